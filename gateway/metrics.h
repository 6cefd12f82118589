/* metrics: counters and gauges, declared once with their help text; one set per worker, added up when somebody asks.
 *
 * A row: M(name, help). Beside them each set counts every end_reason (by what ended) and every fault (by side). Only the owning worker
 * writes; others may read at any time. */
#ifndef UPGATE_GATEWAY_METRICS_H
#define UPGATE_GATEWAY_METRICS_H

#include "gateway/end_reason.h"
#include "protocol/fault.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

#define METRICS_TABLE(M)                                                                          \
    M(connections, "client connections accepted")                                                 \
    M(connections_open, "client connections open now, tunnels included")                          \
    M(exchanges, "requests answered or given up")                                                 \
    M(exchanges_open, "requests in progress now")                                                 \
    M(tunnels, "connections that became tunnels")                                                 \
    M(tunnels_open, "tunnels open now")                                                           \
    M(passthroughs, "TLS connections passed through undecrypted, or refused to be")               \
    M(passthroughs_open, "TLS connections passed through now")                                    \
    M(dials, "connections to servers begun")                                                      \
    M(dials_failed, "connections to servers that failed")                                         \
    M(pool_reuses, "requests sent on a connection that was kept")                                 \
    M(ejections, "servers left out for a while because they failed")                              \
    M(queued, "requests that waited for a connection to a server to be free")                     \
    M(retries, "requests sent again to a server after a failure")                                 \
    M(fields_stripped, "client fields removed because they could pass for a trusted fact")        \
    M(bodies_gathered, "request bodies put aside until their length was known")                   \
    M(bodies_in_files, "request bodies of these that did not fit into memory")                    \
    M(fields_folded, "client fields not told to FastCGI because their names could pass for others") \
    M(fcgi_stderr_bytes, "bytes that FastCGI applications wrote to their error stream")           \
    M(fcgi_shared, "FastCGI requests that joined others on their connection")                     \
    M(fcgi_aborts, "FastCGI requests aborted because their client was gone or was given up")      \
    M(tls_handshakes, "TLS handshakes with clients that succeeded")                               \
    M(tls_handshakes_resumed, "… of which resumed a session")                                     \
    M(tls_server_handshakes, "TLS handshakes with servers that succeeded")                        \
    M(tls_server_handshakes_resumed, "… of which resumed a session")                              \
    M(bytes_from_clients, "payload bytes received from clients")                                  \
    M(bytes_to_clients, "payload bytes sent to clients")                                          \
    M(access_lines_dropped, "access-log lines dropped because the log was not read")              \
    M(reloads, "configurations put in force while running")                                       \
    M(reloads_failed, "configurations that could not be put in force")

/* Upper bounds of the round-trip histogram's buckets, in milliseconds; one more holds the rest. */
#define METRICS_RTT_BOUNDS { 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000 }
#define METRICS_RTT_BUCKETS 14

enum metrics_ended { METRICS_CONNECTION, METRICS_EXCHANGE, METRICS_TUNNEL, METRICS_POOLED, METRICS_PASSTHROUGH, METRICS_ENDED_COUNT };
enum metrics_side { METRICS_CLIENT, METRICS_SERVER, METRICS_SIDE_COUNT };

struct metrics {
#define METRICS_MEMBER(name, help) _Atomic uint64_t name;
    METRICS_TABLE(METRICS_MEMBER)
#undef METRICS_MEMBER
    _Atomic uint64_t ended[METRICS_ENDED_COUNT][END_REASON_COUNT];
    _Atomic uint64_t faults[METRICS_SIDE_COUNT][FAULT_COUNT];
    _Atomic uint64_t rtt[METRICS_SIDE_COUNT][METRICS_RTT_BUCKETS];       /* of the gateway's pings */
    _Atomic uint64_t rtt_sum_ms[METRICS_SIDE_COUNT];
};

void metrics_add(_Atomic uint64_t *counter, uint64_t amount);
void metrics_sub(_Atomic uint64_t *gauge, uint64_t amount);
void metrics_ended(struct metrics *m, enum metrics_ended what, enum end_reason why);
void metrics_fault(struct metrics *m, enum metrics_side side, enum fault f);
void metrics_rtt(struct metrics *m, enum metrics_side side, uint64_t rtt_ms);
/* Adds `from` to `into`. */
void metrics_sum(struct metrics *into, const struct metrics *from);
/* Every counter that is not 0, as `name{labels} value` lines with the help text above. */
void metrics_print(const struct metrics *m, FILE *out);

#endif
