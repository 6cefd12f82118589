/* sockets: those that one listener of the configuration accepts on, as the control loop knows them.
 *
 * For TCP each worker has one of its own (SO_REUSEPORT), so that the kernel spreads connections; a UNIX path has one, which all share. */
#ifndef UPGATE_GATEWAY_SOCKETS_H
#define UPGATE_GATEWAY_SOCKETS_H

#include "gateway/inherited.h"

struct sockets {
    int *fds;
    size_t n;
    unsigned port;                       /* TCP: the real one */
    size_t passed;                       /* of them, the first so many were passed in */
    bool foreign;                        /* somebody else has them, too: a UNIX path is not ours to remove */
    bool given;                          /* the workers have them, and close them when they are told to */
};

/* For n workers: those that were passed in first, if they are at this address (from: NULL: none), then new ones. There may be more than n, since
 * each that was passed in may have a queue. 0, or a negative errno (said in the log). port_is_ours: some listener of this gateway has the port
 * already, at another address. */
int sockets_bind(const struct conf_address *address, size_t n, bool port_is_ours, struct inherited *from, struct sockets *out);
/* How many all of these are together. */
size_t sockets_count(const struct sockets *s, size_t n);
/* Closes what no worker has, and removes a UNIX path: from there on nobody new finds it. */
void sockets_close(struct sockets *s, const struct conf_address *address);

#endif
