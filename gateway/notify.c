#include "gateway/notify.h"
#include "gateway/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TEXT_BYTES 512                   /* of one datagram: ours are far shorter */

static bool set_address(struct notify *n, const char *name)
{
    size_t length = strlen(name);

    if ((name[0] != '/' && name[0] != '@') || length < 2 || length >= sizeof(n->address.sun_path))
        return false;
    n->address.sun_family = AF_UNIX;
    memcpy(n->address.sun_path, name, length);
    if (name[0] == '@')
        n->address.sun_path[0] = 0;
    n->address_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (name[0] == '/'));
    return true;
}

/* The variables may be meant for somebody else: a parent that left them in place. */
static uint64_t read_watchdog_ms(void)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");

    if (usec == NULL || (pid != NULL && strtol(pid, NULL, 10) != (long)getpid()))
        return 0;
    return strtoull(usec, NULL, 10) / 1000;
}

void notify_open(struct notify *n)
{
    const char *name = getenv("NOTIFY_SOCKET");

    *n = (struct notify){ .fd = -1 };
    if (name == NULL)
        return;
    if (!set_address(n, name)) {
        log_warn("NOTIFY_SOCKET=%s is neither a path nor an abstract name: the service manager is told nothing", name);
        return;
    }
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (n->fd >= 0)
        n->watchdog_ms = read_watchdog_ms();
}

void notify_close(struct notify *n)
{
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}

void notify_tell(struct notify *n, const char *format, ...)
{
    char text[TEXT_BYTES];
    va_list args;
    int length;

    if (n->fd < 0)
        return;
    va_start(args, format);
    length = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (length <= 0 || (size_t)length >= sizeof(text))
        return;
    if (sendto(n->fd, text, (size_t)length, MSG_NOSIGNAL, (struct sockaddr *)&n->address, n->address_n) < 0)
        log_debug("the service manager was not told: %s", strerror(errno));
}

void notify_reloading(struct notify *n)
{
    struct timespec now = { 0 };

    clock_gettime(CLOCK_MONOTONIC, &now);
    notify_tell(n, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reading the configuration again",
                (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
}
