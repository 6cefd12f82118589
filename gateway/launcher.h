/* launcher: a small process beside the gateway that can still do the one thing which the gateway gives up: run the gateway's program.
 *
 * It is forked before the gateway has threads, reads a secret or gives up a privilege, and it keeps the program's path, arguments, environment
 * and folder as they were at the start, and the rights of that moment. It holds no listening socket and no file, waits for messages of the
 * gateway, takes nothing from them but sockets, and ends when the gateway has ended. So whoever breaks into the gateway can have the
 * installed program started again with the configuration that is in the file, and nothing else.
 *
 * The program gets the sockets in the manner of inherited.h. That it did not start shows in that its end of the `word` is closed. */
#ifndef UPGATE_GATEWAY_LAUNCHER_H
#define UPGATE_GATEWAY_LAUNCHER_H

#include <stdbool.h>
#include <stddef.h>

struct launcher_socket {
    int fd;
    bool own;                            /* see inherited.h */
};

/* The gateway's end; -1: not possible, said in the log. Before any thread is there, and before libuv, whose fork handler closes descriptors. */
int launcher_start(char *const *argv);
/* Asks for a process with these sockets and, for its HANDOVER_VARIABLE, a copy of `word`. 0, or a negative errno. Does not wait for it. */
int launcher_launch(int launcher, const struct launcher_socket *sockets, size_t n, int word);

#endif
