/* end_reason: every way in which a connection, an exchange or a tunnel can end. One table: the counter's label and log word, whether
 * it is an error, the HTTP status that an exchange without a response head gets, the close code that the side of a tunnel gets which
 * is not to blame, and the sentence for people. A row: E(name, word, error, status, close code, sentence). */
#ifndef UPGATE_GATEWAY_END_REASON_H
#define UPGATE_GATEWAY_END_REASON_H

#include <stdbool.h>

#define END_REASON_TABLE(E)                                                                                                    \
    E(NONE, "none", false, 0, 0, "not ended")                                                                                  \
    E(COMPLETE, "complete", false, 0, 0, "complete")                                                                           \
    /* a client's connection */                                                                                                \
    E(PROXY_UNTRUSTED, "proxy_untrusted", true, 0, 0, "the peer is not in `trusted`: no PROXY header of it is believed")       \
    E(PROXY_FAULT, "proxy_fault", true, 0, 0, "the connection did not begin with a good PROXY header")                         \
    E(PROXY_TIMEOUT, "proxy_timeout", true, 0, 0, "the PROXY header did not arrive in time")                                   \
    E(CLIENT_CLOSED, "client_closed", false, 0, 0, "the client closed the connection between requests")                        \
    E(KEEPALIVE_TIMEOUT, "keepalive_timeout", false, 0, 0, "no further request came on the kept connection")                   \
    E(HEADER_TIMEOUT, "header_timeout", true, 408, 0, "the request head did not arrive in time")                               \
    E(CLIENT_FAULT, "client_fault", true, 400, 0, "the client broke the protocol")                                             \
    E(DRAINED, "drained", false, 503, 1001, "the gateway is shutting down")                                                    \
    E(LINGER_OVER, "linger_over", false, 0, 0, "the answer was sent and the client was given time to read it")                 \
    E(TLS_FAILED, "tls_failed", true, 502, 0, "the TLS handshake failed")                                                      \
    E(TLS_TIMEOUT, "tls_timeout", true, 0, 0, "the TLS handshake was not completed in time")                                   \
    E(TLS_CUT, "tls_cut", true, 0, 0, "the connection ended in the middle of the TLS handshake")                               \
    E(TLS_BROKEN, "tls_broken", true, 0, 1011, "TLS was broken off, or what came cannot be decrypted")                         \
    E(TLS_KEY_UPDATE, "tls_key_update", true, 0, 1011, "the peer asked for new TLS keys (KeyUpdate), which is not supported")  \
    E(OVERLOAD, "overload", true, 503, 1013, "the gateway is at its connection limit")                                         \
    E(NO_MEMORY, "no_memory", true, 503, 1011, "there is not enough memory")                                                   \
    /* a TLS connection before it is known what it is for, and one that is passed through */                                   \
    E(HELLO_TIMEOUT, "hello_timeout", true, 0, 0, "the TLS hello did not arrive in time")                                      \
    E(HELLO_FAULT, "hello_fault", true, 400, 0, "the client's TLS hello is none, or malformed")                                \
    E(NAME_UNKNOWN, "name_unknown", true, 0, 0, "nobody is configured for the server name")                                    \
    E(PASS_IDLE, "pass_idle", false, 0, 0, "nothing passed in either direction for too long")                                  \
    /* an exchange */                                                                                                          \
    E(CLIENT_ABORTED, "client_aborted", true, 0, 0, "the client went away before the response was complete")                   \
    E(BODY_TIMEOUT, "body_timeout", true, 408, 0, "the request body stalled")                                                  \
    E(CLIENT_STALLED, "client_stalled", true, 0, 0, "the client did not read the response")                                    \
    E(REDIRECTED, "redirected", false, 308, 0, "ask for it with https")                                                        \
    E(RESPONDED, "responded", false, 200, 0, "answered by the route itself")                                                  \
    E(CLIENT_CERTIFICATE, "client_certificate", true, 403, 0, "a client certificate is needed here, and not any")              \
    E(NO_ROUTE, "no_route", true, 404, 0, "no route matches the request")                                                      \
    E(DENIED, "denied", true, 403, 0, "clients of that address are not let in here")                                           \
    E(CLIENT_CONNECTIONS, "client_connections", true, 0, 0, "the client has as many connections open as it may")               \
    E(CLIENT_HANDSHAKES, "client_handshakes", true, 429, 0, "the client began more WebSocket handshakes than it may")          \
    E(CLIENT_REQUESTS, "client_requests", true, 429, 0, "the client sent more requests than it may")                           \
    E(UNAUTHORIZED, "unauthorized", false, 401, 0, "a name and a password are needed")                                         \
    E(AUTH_BUSY, "auth_busy", true, 503, 0, "more passwords are being checked than the gateway can keep up with")              \
    E(AUTH_REFUSED, "auth_refused", false, 403, 0, "the authentication service did not let the request through")               \
    E(AUTH_FAILED, "auth_failed", true, 502, 0, "the authentication service gave no answer that counts")                       \
    E(AUTH_TIMEOUT, "auth_timeout", true, 504, 0, "it was not found out in time who sent the request")                         \
    E(ORIGIN, "origin", true, 403, 0, "WebSockets of this route are not open to pages of that origin")                         \
    E(PROTOCOL, "protocol", true, 403, 0, "none of the subprotocols offered is allowed here")                                  \
    E(GATHER_FAILED, "gather_failed", true, 503, 0, "the request's body could not be stored")                                   \
    E(REFUSED, "refused", true, 400, 0, "the gateway refused the request")                                                     \
    E(RESOLVE_FAILED, "resolve_failed", true, 502, 0, "the server's name could not be resolved")                               \
    E(NO_SERVER, "no_server", true, 503, 0, "every server of the upstream is down or draining")                                     \
    E(SERVER_FULL, "server_full", true, 503, 0, "the server has as many connections as it may have")                           \
    E(QUEUE_FULL, "queue_full", true, 503, 0, "too many requests wait for a server")                                           \
    E(QUEUE_TIMEOUT, "queue_timeout", true, 503, 0, "no server had a connection free in time")                                 \
    E(CONNECT_FAILED, "connect_failed", true, 502, 0, "the server could not be reached")                                       \
    E(CONNECT_TIMEOUT, "connect_timeout", true, 504, 0, "the server did not accept the connection in time")                    \
    E(SERVER_CLOSED, "server_closed", true, 502, 0, "the server closed the connection before its response")                    \
    E(SERVER_FAULT, "server_fault", true, 502, 0, "the server broke the protocol")                                             \
    E(SERVER_OVERLOADED, "server_overloaded", true, 503, 0, "the server has no room for the request")                          \
    E(SERVER_TRUNCATED, "server_truncated", true, 502, 0, "the server ended the response before it was complete")              \
    E(RESPONSE_TIMEOUT, "response_timeout", true, 504, 0, "the server did not answer in time")                                 \
    E(SERVER_STALLED, "server_stalled", true, 504, 0, "the server stalled in the middle of a body")                            \
    /* the switch */                                                                                                           \
    E(SWITCH_REFUSED, "switch_refused", false, 0, 0, "the server answered the upgrade with an ordinary response")              \
    E(SWITCH_BAD, "switch_bad", true, 502, 0, "the server's 101 does not match the client's offer")                            \
    E(HANDSHAKE_TIMEOUT, "handshake_timeout", true, 504, 0, "the server did not answer the upgrade in time")                   \
    E(SWITCHED, "switched", false, 0, 0, "the connection became a tunnel")                                                     \
    /* a tunnel */                                                                                                             \
    E(CLOSED, "closed", false, 0, 0, "closed with Close frames both ways")                                                     \
    E(CLIENT_VANISHED, "client_vanished", true, 0, 1001, "the client's connection ended without a Close frame")                \
    E(CLIENT_RESET, "client_reset", true, 0, 1001, "the client's connection was reset")                                        \
    E(CLIENT_CUT, "client_cut", true, 0, 1001, "the client's connection ended in the middle of a frame")                       \
    E(SERVER_VANISHED, "server_vanished", true, 0, 1014, "the server's connection ended without a Close frame")                \
    E(SERVER_RESET, "server_reset", true, 0, 1014, "the server's connection was reset")                                        \
    E(SERVER_CUT, "server_cut", true, 0, 1014, "the server's connection ended in the middle of a frame")                       \
    E(CLIENT_FRAME_FAULT, "client_frame_fault", true, 0, 1011, "the client sent an unlawful frame")                            \
    E(SERVER_FRAME_FAULT, "server_frame_fault", true, 0, 1011, "the server sent an unlawful frame")                            \
    E(CLIENT_SILENT, "client_silent", true, 0, 1001, "the client did not answer a ping")                                       \
    E(SERVER_SILENT, "server_silent", true, 0, 1014, "the server did not answer a ping")                                       \
    E(CLIENT_IDLE, "client_idle", false, 0, 1001, "the client sent no frame for too long")                                     \
    E(SERVER_IDLE, "server_idle", false, 0, 1001, "the server sent no frame for too long")                                     \
    E(CLIENT_SLOW, "client_slow", true, 0, 1001, "the client did not read for too long")                                       \
    E(SERVER_SLOW, "server_slow", true, 0, 1014, "the server did not read for too long")                                       \
    E(RATE, "rate", true, 0, 1001, "the client sent more messages per second than it may")                                     \
    E(LIFETIME, "lifetime", false, 0, 1001, "the tunnel reached its maximum lifetime")                                         \
    E(OPERATOR, "operator", false, 0, 1001, "the operator closed the tunnel")                                                  \
    E(CLOSE_TIMEOUT, "close_timeout", true, 0, 0, "the closing handshake was not completed in time")                           \
    /* an idle connection to a server */                                                                                       \
    E(POOL_EXPIRED, "pool_expired", false, 0, 0, "the idle connection to the server was kept long enough")                     \
    E(POOL_CLOSED, "pool_closed", false, 0, 0, "the server closed its idle connection")                                        \
    E(POOL_UNASKED, "pool_unasked", true, 0, 0, "the server sent bytes nobody asked for on an idle connection")                \
    E(POOL_WANTED, "pool_wanted", false, 0, 0, "the idle connection to the server made room for another one")                   \
    E(POOL_FULL, "pool_full", false, 0, 0, "enough idle connections to the server were kept already")

enum end_reason {
#define END_REASON_ENUM(name, word, error, status, code, sentence) END_##name,
    END_REASON_TABLE(END_REASON_ENUM)
#undef END_REASON_ENUM
    END_REASON_COUNT
};

const char *end_reason_word(enum end_reason why);
const char *end_reason_sentence(enum end_reason why);
bool end_reason_is_error(enum end_reason why);
unsigned end_reason_status(enum end_reason why);           /* 0 where there is none */
unsigned end_reason_close_code(enum end_reason why);       /* for the side not to blame; 0 where there is none */

#endif
