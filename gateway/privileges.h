/* privileges: root, its groups and its capabilities, given up for good.
 *
 * Started as root, the process becomes `user` (and `group`), with the groups that the user is in; nothing is left in its bounding set.
 * Started by anybody else, it keeps of its capabilities only that to bind low ports, where it was given it (systemd's
 * AmbientCapabilities), so that a reload can. In both cases no program that it would run could have more (no_new_privs). */
#ifndef UPGATE_GATEWAY_PRIVILEGES_H
#define UPGATE_GATEWAY_PRIVILEGES_H

#include "conf/conf.h"

#include <sys/types.h>

struct privileges {
    bool change;                         /* we are root, and are to be somebody else */
    const char *user;
    uid_t uid;
    gid_t gid;
};

/* Who is to be: before anything is given up. false: there is no such user or group (said in the log). */
bool privileges_find(const struct conf *c, struct privileges *out);
/* For good. Before any thread is there. false: not possible, said in the log. */
bool privileges_drop(const struct privileges *p);
/* Calls for each file that the conf names and that the user could not read. We are root. */
void privileges_each_unreadable(const struct privileges *p, const struct conf *c, conf_file_fn *fn, void *ctx);

#endif
