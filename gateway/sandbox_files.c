/* Files, by Landlock: rules are for folders, not for files, because files are exchanged under their names (an editor, certbot, a new
 * resolv.conf), and a rule holds for what had the name when it was made. A symbolic link is followed to its folder, too. */
#include "gateway/log.h"
#include "gateway/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Of later versions than the headers may be. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#ifndef LANDLOCK_ACCESS_FS_TRUNCATE
#define LANDLOCK_ACCESS_FS_TRUNCATE (1ULL << 14)
#endif
#define ACCESS_IOCTL_DEV (1ULL << 15)
#define SCOPE_SIGNAL (1ULL << 1)

#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define READ_FILES LANDLOCK_ACCESS_FS_READ_FILE
#define WRITE_FILES (READ_FILES | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
                     LANDLOCK_ACCESS_FS_TRUNCATE)
#define MAKE_SOCKETS (LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_REMOVE_FILE)

/* What the C library wants: names, libraries that it loads for them, time zones, certificates that others link to. */
static const char *const system_folders[] = {
    "/etc", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share", "/usr/local/share/ca-certificates", "/proc/self",
    "/proc/sys", "/dev/urandom", "/dev/null",
};
/* Where a service's logs and sockets are, so that a reload can begin to use them. */
#define LOG_FOLDER "/var/log/upgate"
#define SOCKET_FOLDER "/run/upgate"

/* struct landlock_ruleset_attr as of version 6; the kernel takes as much as it knows. */
struct ruleset {
    uint64_t files, network, scopes;
};

struct rules {
    int fd;
    uint64_t handled;
    int error;
};

/* A folder that is not there (yet) is none that may be used. */
static void allow(struct rules *r, const char *path, uint64_t access)
{
    struct landlock_path_beneath_attr rule = { .allowed_access = access & r->handled };
    struct stat s;

    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return;
    if (fstat(rule.parent_fd, &s) == 0 && !S_ISDIR(s.st_mode))
        rule.allowed_access &= READ_FILES | LANDLOCK_ACCESS_FS_WRITE_FILE;
    if (syscall(SYS_landlock_add_rule, r->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0 && r->error == 0)
        r->error = -errno;
    close(rule.parent_fd);
}

static void allow_folder_of(struct rules *r, const char *file, uint64_t access)
{
    char folder[PATH_MAX];
    const char *slash = strrchr(file, '/');
    size_t n = slash == NULL ? 1 : slash == file ? 1 : (size_t)(slash - file);

    if (n >= sizeof(folder))
        return;
    memcpy(folder, slash == NULL ? "." : file, n);
    folder[n] = 0;
    allow(r, folder, access);
}

static void allow_file(struct rules *r, const char *file, uint64_t access)
{
    char real[PATH_MAX];

    allow_folder_of(r, file, access);
    if (realpath(file, real) != NULL && strcmp(real, file) != 0)
        allow_folder_of(r, real, access);
}

static void allow_named(void *ctx, const struct conf_file *file)
{
    allow_file(ctx, file->path, READ_FILES);
}

static void allow_configured(struct rules *r, const struct conf *c, const char *file)
{
    if (file != NULL)
        allow_file(r, file, READ_FILES);
    conf_each_file(c, allow_named, r);
    for (size_t i = 0; i < c->sandbox_folders_n; i++)
        allow(r, c->sandbox_folders[i], READ | WRITE_FILES | MAKE_SOCKETS);
    allow(r, LOG_FOLDER, WRITE_FILES);
    allow(r, SOCKET_FOLDER, MAKE_SOCKETS);
    if (c->log.access.to[0] == '/')
        allow_file(r, c->log.access.to, WRITE_FILES);
    for (size_t i = 0; i < c->upstreams_n; i++)
        if (c->upstreams[i].fastcgi.body_folder != NULL)
            allow(r, c->upstreams[i].fastcgi.body_folder, WRITE_FILES);
    for (size_t i = 0; i < c->listeners_n; i++)
        if (c->listeners[i].address.kind == CONF_ADDRESS_UNIX)
            allow_folder_of(r, c->listeners[i].address.path, MAKE_SOCKETS);
    if (c->admin_on && c->admin.address.kind == CONF_ADDRESS_UNIX)
        allow_folder_of(r, c->admin.address.path, MAKE_SOCKETS);
}

/* All that this version of Landlock can restrict. */
static uint64_t known_access(long version)
{
    uint64_t access = LANDLOCK_ACCESS_FS_MAKE_SYM | (LANDLOCK_ACCESS_FS_MAKE_SYM - 1);

    return access | (version >= 2 ? LANDLOCK_ACCESS_FS_REFER : 0) | (version >= 3 ? LANDLOCK_ACCESS_FS_TRUNCATE : 0) |
           (version >= 5 ? ACCESS_IOCTL_DEV : 0);
}

int sandbox_restrict_files(const struct conf *c, const char *file)
{
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    struct ruleset set = { .files = known_access(version), .scopes = version >= 6 ? SCOPE_SIGNAL : 0 };
    struct rules rules = { .handled = set.files };

    if (version < 1)
        return 0;
    rules.fd = (int)syscall(SYS_landlock_create_ruleset, &set, version >= 6 ? sizeof(set) : sizeof(set.files), 0);
    if (rules.fd < 0)
        return -errno;
    for (size_t i = 0; i < sizeof(system_folders) / sizeof(system_folders[0]); i++)
        allow(&rules, system_folders[i], READ);
    allow(&rules, "/dev/null", READ_FILES | LANDLOCK_ACCESS_FS_WRITE_FILE);
    allow_file(&rules, "/etc/resolv.conf", READ_FILES);
    allow_configured(&rules, c, file);
    if (rules.error == 0 && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || syscall(SYS_landlock_restrict_self, rules.fd, 0) != 0))
        rules.error = -errno;
    close(rules.fd);
    return rules.error != 0 ? rules.error : 1;
}
