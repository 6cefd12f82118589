#include "gateway/script_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRIES 8                          /* a look-up that a rename disturbed is made again */

static int judge(int error, const struct stat *s)
{
    if (error != 0)
        return -errno;
    return S_ISREG(s->st_mode) ? 0 : -EISDIR;
}

/* The kernel follows links as long as they stay below the root; one that is absolute leaves it. */
static int open_beneath(int root_fd, const char *path)
{
    struct open_how how = { .flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
    long fd = -1;

    for (int i = 0; i < TRIES; i++) {
        fd = syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
        if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
            break;
    }
    return (int)fd;
}

/* For kernels before 5.6, and sandboxes that do not know the call. */
static int check_by_name(const char *root, const char *path)
{
    char whole[PATH_MAX], real_root[PATH_MAX], real[PATH_MAX];
    struct stat s;
    size_t n;

    if (snprintf(whole, sizeof(whole), "%s/%s", root, path) >= (int)sizeof(whole))
        return -ENAMETOOLONG;
    if (realpath(root, real_root) == NULL || realpath(whole, real) == NULL)
        return -errno;
    n = strlen(real_root);
    if (n > 1 && (strncmp(real, real_root, n) != 0 || real[n] != '/'))
        return -EXDEV;
    return judge(stat(real, &s), &s);
}

static int check_beneath(const char *root, const char *path)
{
    int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC), fd, result;
    struct stat s;

    if (root_fd < 0)
        return -errno;
    fd = open_beneath(root_fd, path);
    result = fd < 0 ? -errno : judge(fstat(fd, &s), &s);
    if (fd >= 0)
        close(fd);
    close(root_fd);
    return result == -ENOSYS || result == -EPERM ? check_by_name(root, path) : result;
}

static int check_anywhere(const char *root, const char *path)
{
    char whole[PATH_MAX];
    struct stat s;

    if (snprintf(whole, sizeof(whole), "%s/%s", root, path) >= (int)sizeof(whole))
        return -ENAMETOOLONG;
    return judge(stat(whole, &s), &s);
}

int script_file_check(const char *root, struct span name, enum conf_symlinks symlinks)
{
    char path[PATH_MAX];

    if (symlinks == CONF_SYMLINKS_UNCHECKED)
        return 0;
    if (name.n >= sizeof(path))
        return -ENAMETOOLONG;
    memcpy(path, name.p + 1, name.n - 1);
    path[name.n - 1] = '\0';
    return symlinks == CONF_SYMLINKS_INSIDE ? check_beneath(root, path) : check_anywhere(root, path);
}
