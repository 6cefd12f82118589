/* notify: what a service manager is told, in the protocol of sd_notify(3): one datagram of NAME=VALUE lines to the socket that $NOTIFY_SOCKET
 * names, a path or (`@`) an abstract name. Without that variable nothing is told, and nothing fails.
 *
 * Nothing here waits: a manager that does not read misses a line. tests/system/test_notify.py */
#ifndef UPGATE_GATEWAY_NOTIFY_H
#define UPGATE_GATEWAY_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify {
    int fd;                              /* -1: nobody wants to know */
    struct sockaddr_un address;
    socklen_t address_n;
    uint64_t watchdog_ms;                /* how long the manager waits for WATCHDOG=1; 0: it does not */
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID. */
void notify_open(struct notify *n);
void notify_close(struct notify *n);
/* Lines as in "READY=1\nSTATUS=…". */
void notify_tell(struct notify *n, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* RELOADING=1, with the time that systemd wants beside it. A READY=1 has to follow. */
void notify_reloading(struct notify *n);

#endif
