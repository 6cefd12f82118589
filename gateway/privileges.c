#include "gateway/privileges.h"
#include "gateway/log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define GROUPS_MOST 256

/* ---- who ---- */

static bool find_user(const char *name, struct privileges *out)
{
    const struct passwd *user;

    errno = 0;
    user = getpwnam(name);
    if (user == NULL) {
        log_error("user: %s: %s", name, errno != 0 ? strerror(errno) : "there is no such user");
        return false;
    }
    out->uid = user->pw_uid;
    out->gid = user->pw_gid;
    return true;
}

static bool find_group(const char *name, struct privileges *out)
{
    const struct group *group;

    errno = 0;
    group = getgrnam(name);
    if (group == NULL) {
        log_error("group: %s: %s", name, errno != 0 ? strerror(errno) : "there is no such group");
        return false;
    }
    out->gid = group->gr_gid;
    return true;
}

bool privileges_find(const struct conf *c, struct privileges *out)
{
    *out = (struct privileges){ .user = c->user };
    if (c->user == NULL || geteuid() != 0)
        return true;
    if (!find_user(c->user, out) || (c->group != NULL && !find_group(c->group, out)))
        return false;
    out->change = out->uid != 0;
    return true;
}

/* ---- giving up ---- */

/* Not there before Linux 2.6.25 and behind the last capability: both are no fault. */
static void empty_bounding_set(void)
{
    for (unsigned long capability = 0; capability <= 63; capability++)
        prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
}

static int set_capabilities(unsigned kept)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = { { .effective = kept, .permitted = kept, .inheritable = kept } };

    return syscall(SYS_capset, &header, data) != 0 ? -errno : 0;
}

static bool become(const struct privileges *p)
{
    empty_bounding_set();
    if (initgroups(p->user, p->gid) != 0 || setresgid(p->gid, p->gid, p->gid) != 0 || setresuid(p->uid, p->uid, p->uid) != 0) {
        log_error("cannot become the user %s: %s", p->user, strerror(errno));
        return false;
    }
    if (set_capabilities(0) != 0 || setuid(0) == 0) {
        log_error("as the user %s, root is not given up", p->user);
        return false;
    }
    log_info("now the user %s: uid %u, gid %u, no capability", p->user, (unsigned)p->uid, (unsigned)p->gid);
    return true;
}

/* All but the one for low ports. A manager that forbids the call has seen to them itself. */
static void thin_out(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct data[2] = { { 0 } };

    if (syscall(SYS_capget, &header, data) != 0)
        return;
    if ((data[0].permitted & ~(1u << CAP_NET_BIND_SERVICE)) == 0 && data[1].permitted == 0)
        return;
    if (set_capabilities(data[0].permitted & (1u << CAP_NET_BIND_SERVICE)) != 0)
        log_warn("the capabilities that this process was started with cannot be given up");
}

bool privileges_drop(const struct privileges *p)
{
    if (p->change) {
        if (!become(p))
            return false;
    } else if (geteuid() == 0) {
        log_warn("running as root: `user` names somebody to be after the start");
    } else {
        thin_out();
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        log_warn("no_new_privs: %s", strerror(errno));
    return true;
}

/* ---- what a reload could not read ---- */

struct unreadable {
    conf_file_fn *fn;
    void *ctx;
};

static void look_at(void *ctx, const struct conf_file *file)
{
    const struct unreadable *u = ctx;

    if (faccessat(AT_FDCWD, file->path, R_OK, AT_EACCESS) != 0 && errno == EACCES)
        u->fn(u->ctx, file);
}

/* Effective ids only, and back. */
void privileges_each_unreadable(const struct privileges *p, const struct conf *c, conf_file_fn *fn, void *ctx)
{
    struct unreadable u = { fn, ctx };
    gid_t groups[GROUPS_MOST];
    int n = getgroups(GROUPS_MOST, groups);

    if (n < 0 || initgroups(p->user, p->gid) != 0)
        return;
    if (setegid(p->gid) == 0 && seteuid(p->uid) == 0)
        conf_each_file(c, look_at, &u);
    if (seteuid(0) != 0 || setegid(0) != 0 || setgroups((size_t)n, groups) != 0)
        log_warn("the groups of root could not be had back");
}
