/* target_rewrite: a prefix taken off a request's target, and another put in front: the only thing that changes a target on the wire.
 *
 * What is removed: the first segments of the path as received, as many as `strip` has, with the slashes in front of them. Each of them
 * has to mean the segment it stands for: the same bytes once its escapes are decoded (`/%61pp` is `/app`), and no parameters,
 * no encoded slash, no dot or empty segment among them. What follows stays byte for byte; where nothing does, a slash stands.
 *
 * The meaning may not change: what is left has to normalise (target.h) to just what the whole normalised to, less the prefix. So nothing
 * can climb into or out of the prefix (`/app/../app/x`, `/app/x/../../app/y`), and it may not begin with two slashes, which some
 * recipients take for a host. All else is refused (FAULT_TARGET): nobody can say which resource is meant. tests/protocol/test_target_rewrite.c */
#ifndef UPGATE_PROTOCOL_TARGET_REWRITE_H
#define UPGATE_PROTOCOL_TARGET_REWRITE_H

#include "protocol/target.h"

struct target_rewrite {
    struct span strip;                   /* in normal form, no slash at its end; empty: nothing is removed */
    struct span prepend;                 /* the same, put on the wire as it is; empty: nothing is put in front */
};

/* Changes path_and_query and what is derived from it; the asterisk form stays as it is. `strip` has to be a prefix of route_path on a
 * segment border, which the router saw to. FAULT_NONE, FAULT_TARGET, FAULT_NO_MEMORY. */
enum fault target_rewrite(struct arena *a, const struct target_rewrite *how, struct target *t);

#endif
