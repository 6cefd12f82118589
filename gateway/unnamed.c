#include "gateway/unnamed.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int unnamed_open(const char *folder)
{
    char path[PATH_MAX];
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR);

    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
        return fd >= 0 ? fd : -errno;
    if (snprintf(path, sizeof(path), "%s/upgate-body-XXXXXX", folder) >= (int)sizeof(path))
        return -ENAMETOOLONG;
    fd = mkostemp(path, O_CLOEXEC);      /* a file system without O_TMPFILE: it has a name for a moment */
    if (fd < 0)
        return -errno;
    unlink(path);
    return fd;
}

int unnamed_write(int fd, struct span data, uint64_t at)
{
    while (data.n > 0) {
        ssize_t n = pwrite(fd, data.p, data.n, (off_t)at);
        if (n < 0 && errno != EINTR)
            return -errno;
        data = span_from(data, n > 0 ? (size_t)n : 0);
        at += n > 0 ? (uint64_t)n : 0;
    }
    return 0;
}

int unnamed_read(int fd, uint8_t *p, size_t n, uint64_t at)
{
    ssize_t got;

    do
        got = pread(fd, p, n < INT_MAX ? n : INT_MAX, (off_t)at);
    while (got < 0 && errno == EINTR);
    if (got == 0)
        return -EIO;                     /* somebody cut a file that has no name */
    return got < 0 ? -errno : (int)got;
}
