/* target: the four request-target forms (RFC 9112 section 3.2), split and checked, and host names made comparable.
 *
 * Nothing here rewrites what goes on the wire: `path_and_query` is the target's own bytes. `route_path` is the text that
 * path rules are matched against: percent-decoded where that is unambiguous, dot segments and doubled slashes removed, so that
 * no rule can be walked around. An encoded slash (%2f) is a slash in `route_path`, since some backends decode it; the other
 * spelling is in `route_path_kept`, and a router has to find the same route for both, or refuse (FAULT_TARGET). What else could
 * be read in two ways (%5c, %00, a backslash, bad escapes, `..` above the root …) is refused: the whole table is at the top of
 * target.c. */
#ifndef UPGATE_PROTOCOL_TARGET_H
#define UPGATE_PROTOCOL_TARGET_H

#include "protocol/arena.h"
#include "protocol/fault.h"

enum target_form { TARGET_ORIGIN, TARGET_ABSOLUTE, TARGET_AUTHORITY, TARGET_ASTERISK };

struct target {
    enum target_form form;
    struct span scheme;                  /* absolute: "http" or "https", lower case; else empty */
    struct span authority;               /* absolute: host[:port] as written, without userinfo (which is refused) */
    struct span path_and_query;          /* what follows the authority; "/" where it was empty ("*" for OPTIONS) */
    struct span path;                    /* its path, as received */
    struct span query;                   /* without the ?; empty when absent */
    bool has_query;
    struct span route_path;              /* normalised, for matching; in the arena; "*" for the asterisk */
    struct span route_path_kept;         /* where the path has %2f: the same with it kept as %2F; else empty */
};

/* FAULT_NONE, FAULT_TARGET, FAULT_SCHEME, FAULT_CONNECT (authority-form or CONNECT), FAULT_HOST (absolute form's authority). */
enum fault target_parse(struct arena *a, struct span method, struct span text, struct target *out);

/* A Host value or an authority: uri-host [":" port] (RFC 9110 section 7.2), checked byte by byte; IPv6 in brackets. */
struct host_port {
    struct span host;                    /* lower case, one trailing dot removed; borrowed from the text, or in the arena */
    unsigned port;                       /* 0 when absent */
    bool has_port;
};
/* FAULT_NONE, FAULT_HOST, FAULT_NO_MEMORY */
enum fault host_parse(struct arena *a, struct span text, struct host_port *out);

#endif
