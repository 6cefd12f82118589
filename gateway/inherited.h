/* inherited: listening sockets that this process was started with, in the manner of sd_listen_fds(3): from descriptor 3 on, as many as $LISTEN_FDS
 * says, if $LISTEN_PID is this process. systemd passes them (socket activation), and so does a gateway that a new binary takes over from; that
 * one leaves a further descriptor on which it waits for word, $UPGATE_HANDOVER_FD, and its sockets have LISTEN_FDNAMES of HANDOVER_OWN, if a
 * UNIX path is the gateway's own to remove.
 *
 * A socket belongs to the listener that has its address; one of the kernel's choice (port 0) takes what is left at its host. */
#ifndef UPGATE_GATEWAY_INHERITED_H
#define UPGATE_GATEWAY_INHERITED_H

#include "conf/conf.h"

#define HANDOVER_VARIABLE "UPGATE_HANDOVER_FD"
#define HANDOVER_OWN "own"
#define HANDOVER_FOREIGN "passed"

struct inherited {
    struct inherited_socket *sockets;
    size_t n;
    int handover;                        /* where the process before waits for word; -1: there is none */
};

struct inherited_socket {
    int fd;                              /* -1: taken */
    bool own;                            /* false: somebody else holds it, too, for the next one */
};

/* Looks once, and takes the variables out of the environment. false: no memory. Bad variables count as none, with a warning. */
bool inherited_open(struct inherited *i);
/* The sockets at this address, into fds, of which there are at most i->n; they are the caller's. Returns how many. own: see above. */
size_t inherited_take(struct inherited *i, const struct conf_address *address, int *fds, bool *own_out);
/* What nobody took is closed, with a warning each. */
void inherited_close(struct inherited *i);

#endif
