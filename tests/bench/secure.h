/* secure: TLS for the peers of net.c, by OpenSSL: what others would use, and none of what is measured on upgate's side.
 *
 * A peer that is made secure gets its events as before: the first one (EPOLLOUT of a client) comes when the handshake is over, EPOLLERR when
 * that failed. Versions and suites are fixed by whoever asks, so that every proxy does the same arithmetic: AES-128-GCM, X25519. */
#ifndef UPGATE_TESTS_BENCH_SECURE_H
#define UPGATE_TESTS_BENCH_SECURE_H

#include "tests/bench/net.h"

enum secure_version { SECURE_TLS_1_2, SECURE_TLS_1_3 };

/* How clients connect from now on. resume: each with the newest session that a server gave; one that is not resumed then counts as failed. */
void secure_clients(enum secure_version version, bool resume);
void secure_serve(const char *certificate, const char *key);     /* PEM files; for secure_accept */

void secure_connect(struct peer *p);     /* after net_watch_fd, while the connection is under way */
void secure_accept(struct peer *p);      /* after net_watch_fd */

#endif
