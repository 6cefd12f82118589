/* metrics: counters and gauges, declared once with their help text; one set per worker, added up when somebody asks.
 *
 * A row: M(name, help); a name that ends in _open is a gauge, all others only grow. Beside them each set counts every end_reason (by what
 * ended), every fault (by side), what passes through tunnels (by who sends it), and how long some things take. Only the owning worker writes;
 * others may read at any time. metrics_text.h prints them. */
#ifndef UPGATE_GATEWAY_METRICS_H
#define UPGATE_GATEWAY_METRICS_H

#include "gateway/end_reason.h"
#include "protocol/fault.h"

#include <stdatomic.h>
#include <stdint.h>

#define METRICS_TABLE(M)                                                                          \
    M(connections, "client connections accepted")                                                 \
    M(connections_open, "client connections open now, tunnels left out")                          \
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
    M(sticky_followed, "requests that a sticky cookie led to its server")                         \
    M(sticky_moved, "requests whose sticky cookie names a server that is gone, left out, or fails") \
    M(sticky_issued, "sticky cookies given to clients")                                           \
    M(sticky_malformed, "sticky cookies that are none")                                           \
    M(sticky_foreign, "sticky cookies sealed with a key that is not in the key file")             \
    M(sticky_forged, "sticky cookies that were changed, or are another upstream's")               \
    M(sticky_expired, "sticky cookies that came after their time")                                \
    M(health_checks, "health checks of servers that came to a result")                            \
    M(health_checks_failed, "… of which found something wrong")                                   \
    M(servers_fell, "servers that were up and are down, by their checks")                         \
    M(servers_rose, "servers that were down and are up again, by their checks")                   \
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
    M(access_lines_dropped, "access-log lines dropped: its disk or its reader did not keep up")     \
    M(reloads, "configurations put in force while running")                                       \
    M(reloads_failed, "configurations that could not be put in force")

/* How long things take. A row: H(name, family, label, help). Rows of one family stand together. */
#define METRICS_TIMES(H)                                                                                                        \
    H(PING_CLIENT, "ping_rtt_seconds", "side=\"client\"", "from a Ping of the gateway to its Pong")                             \
    H(PING_SERVER, "ping_rtt_seconds", "side=\"server\"", "")                                                                   \
    H(CONNECT, "connect_seconds", "", "until a new connection to a server can be used: name, TCP and TLS")                      \
    H(RESPONSE, "response_seconds", "", "from the end of a request to the head of its final response")                          \
    H(EXCHANGE, "exchange_seconds", "", "from the head of a request to the end of its response, upgrades left out")             \
    H(TLS_HANDSHAKE, "tls_handshake_seconds", "", "from the first byte of a client's TLS to the end of its handshake")          \
    H(BLOCKED_CLIENT, "forward_blocked_seconds", "from=\"client\"", "how long bytes of a tunnel waited because the other side did not read") \
    H(BLOCKED_SERVER, "forward_blocked_seconds", "from=\"server\"", "")                                                       \
    H(SWITCH, "handshake_seconds", "", "from an upgrade request to the 101 that its client gets")

/* Upper bounds of their buckets, in milliseconds; one more bucket holds the rest. */
#define METRICS_BOUNDS_MS { 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 30000 }
#define METRICS_BUCKETS 15
extern const uint32_t metrics_bounds_ms[METRICS_BUCKETS - 1];

enum metrics_time {
#define METRICS_TIME_ENUM(name, family, label, help) METRICS_TIME_##name,
    METRICS_TIMES(METRICS_TIME_ENUM)
#undef METRICS_TIME_ENUM
    METRICS_TIME_COUNT
};

/* An upgrade ends as a tunnel (END_SWITCHED), or is refused by the gateway or the server. */
enum metrics_ended {
    METRICS_CONNECTION, METRICS_EXCHANGE, METRICS_UPGRADE, METRICS_TUNNEL, METRICS_POOLED, METRICS_PASSTHROUGH, METRICS_ENDED_COUNT
};
enum metrics_tls { METRICS_TLS_1_2, METRICS_TLS_1_3, METRICS_TLS_COUNT };
enum metrics_side { METRICS_CLIENT, METRICS_SERVER, METRICS_SIDE_COUNT };

struct metrics_histogram {
    _Atomic uint64_t buckets[METRICS_BUCKETS];
    _Atomic uint64_t sum_ms;
};

/* What one side of all tunnels sends. */
#define METRICS_CLOSES 19                /* 1000 … 1015, 3xxx, 4xxx, others */
struct metrics_flow {
    _Atomic uint64_t bytes, frames, messages, texts, pings, pongs;
    _Atomic uint64_t closes[METRICS_CLOSES];
};

struct metrics {
#define METRICS_MEMBER(name, help) _Atomic uint64_t name;
    METRICS_TABLE(METRICS_MEMBER)
#undef METRICS_MEMBER
    _Atomic uint64_t ended[METRICS_ENDED_COUNT][END_REASON_COUNT];
    _Atomic uint64_t faults[METRICS_SIDE_COUNT][FAULT_COUNT];
    _Atomic uint64_t tls_versions[METRICS_TLS_COUNT];    /* handshakes with clients that succeeded */
    struct metrics_flow flow[METRICS_SIDE_COUNT];
    struct metrics_histogram times[METRICS_TIME_COUNT];
};

void metrics_add(_Atomic uint64_t *counter, uint64_t amount);
void metrics_sub(_Atomic uint64_t *gauge, uint64_t amount);
void metrics_ended(struct metrics *m, enum metrics_ended what, enum end_reason why);
void metrics_fault(struct metrics *m, enum metrics_side side, enum fault f);
void metrics_close(struct metrics *m, enum metrics_side side, unsigned code);    /* 1005: a Close without a code */
void metrics_observe(struct metrics_histogram *h, uint64_t ms);
void metrics_time(struct metrics *m, enum metrics_time what, uint64_t ms);
static inline uint64_t metrics_value(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Adds `from` to `into`. */
void metrics_sum(struct metrics *into, const struct metrics *from);
void metrics_sum_histogram(struct metrics_histogram *into, const struct metrics_histogram *from);

#endif
