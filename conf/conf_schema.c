/* conf_schema: see the header. The rows of a block stand together, in the order in which the reference shows them.
 * tests/conf/test_conf_schema.c */
#include "conf/conf_schema.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define TIB (MIB * MIB)
#define SECOND UINT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)

#define FIELD(type, member) .offset = offsetof(struct type, member), .size = sizeof(((struct type *)0)->member)
#define ITEMS(type, member, least, most) \
    .offset = offsetof(struct type, member), .size = sizeof(void *), .count_offset = offsetof(struct type, member##_n), \
    .items_min = (least), .items_max = (most)
#define AUX(type, member, value) \
    .aux_offset = offsetof(struct type, member), .aux_size = sizeof(((struct type *)0)->member), .aux_value = (value)
#define BOUNDS(least, most) .min = (least), .max = (most)

static_assert(sizeof(enum conf_log_level) == sizeof(unsigned), "words are stored as unsigned");
static_assert(offsetof(struct conf_upstream, name) == 0 && offsetof(struct conf_passthrough, name) == 0,
              "a map's name is the first field");

static const struct conf_word levels[] = {
    { "error", CONF_LOG_ERROR }, { "warn", CONF_LOG_WARN }, { "info", CONF_LOG_INFO }, { "debug", CONF_LOG_DEBUG }, { NULL, 0 }
};
static const struct conf_word formats[] = {
    { "json", CONF_ACCESS_JSON }, { "combined", CONF_ACCESS_COMBINED }, { "off", CONF_ACCESS_OFF }, { NULL, 0 }
};
static const struct conf_word protocols[] = {
    { "http", CONF_PROTOCOL_HTTP }, { "fastcgi", CONF_PROTOCOL_FASTCGI }, { NULL, 0 }
};
static const struct conf_word lengths[] = { { "required", CONF_LENGTH_REQUIRED }, { "optional", CONF_LENGTH_OPTIONAL }, { NULL, 0 } };
static const struct conf_word symlinks[] = {
    { "inside", CONF_SYMLINKS_INSIDE }, { "anywhere", CONF_SYMLINKS_ANYWHERE }, { "unchecked", CONF_SYMLINKS_UNCHECKED }, { NULL, 0 }
};
static const struct conf_word balances[] = {
    { "round_robin", CONF_BALANCE_ROUND_ROBIN }, { "least_busy", CONF_BALANCE_LEAST_BUSY }, { "hash", CONF_BALANCE_HASH }, { NULL, 0 }
};
static const struct conf_word real_addresses[] = {
    { "x_forwarded_for", CONF_REAL_X_FORWARDED_FOR }, { "forwarded", CONF_REAL_FORWARDED }, { "off", CONF_REAL_OFF }, { NULL, 0 }
};
static const struct conf_word proxy_protocols[] = { { "off", CONF_PROXY_OFF }, { "require", CONF_PROXY_REQUIRE }, { NULL, 0 } };
static const struct conf_word send_proxies[] = {
    { "off", CONF_SEND_PROXY_OFF }, { "v1", CONF_SEND_PROXY_V1 }, { "v2", CONF_SEND_PROXY_V2 }, { NULL, 0 }
};
static const struct conf_word verifications[] = {
    { "frames", WS_VERIFY_FRAMES }, { "utf8", WS_VERIFY_UTF8 }, { "blind", WS_VERIFY_BLIND }, { NULL, 0 }
};

static const struct conf_word compressions[] = {
    { "pass", CONF_COMPRESSION_PASS }, { "strip", CONF_COMPRESSION_STRIP }, { NULL, 0 }
};
static const struct conf_word tls_versions[] = { { "1.2", CONF_TLS_1_2 }, { "1.3", CONF_TLS_1_3 }, { NULL, 0 } };
static const struct conf_word client_auths[] = {
    { "off", CONF_CLIENT_AUTH_OFF }, { "optional", CONF_CLIENT_AUTH_OPTIONAL }, { "require", CONF_CLIENT_AUTH_REQUIRE }, { NULL, 0 }
};
static const struct conf_word same_sites[] = {
    { "lax", CONF_SAME_SITE_LAX }, { "strict", CONF_SAME_SITE_STRICT }, { "none", CONF_SAME_SITE_NONE }, { NULL, 0 }
};
static const struct conf_word secures[] = { { "auto", CONF_SECURE_AUTO }, { "on", CONF_SECURE_ON }, { NULL, 0 } };
static const struct conf_word redirects[] = { { "off", CONF_REDIRECT_OFF }, { "https", CONF_REDIRECT_HTTPS }, { NULL, 0 } };
static const struct conf_word traceparents[] = { { "pass", CONF_TRACEPARENT_PASS }, { "start", CONF_TRACEPARENT_START }, { NULL, 0 } };
static const struct conf_word redirect_statuses[] = {
    { "301", 301 }, { "302", 302 }, { "303", 303 }, { "307", 307 }, { "308", 308 }, { NULL, 0 }
};
static const struct conf_word drain_codes[] = { { "1001", 1001 }, { "1012", 1012 }, { NULL, 0 } };

static const struct conf_block blocks[CONF_BLOCKS] = {
    [CONF_IN_FILE] = { "", "the file", sizeof(struct conf), NULL, "The whole file." },
    [CONF_IN_LOG] = { "log", "`log`", sizeof(struct conf_log), NULL,
                      "What is told about the gateway itself, and about each request." },
    [CONF_IN_ACCESS] = { "log.access", "`access`", sizeof(struct conf_access), NULL, "One line per request and one per tunnel." },
    [CONF_IN_ADMIN] = { "admin", "`admin`", sizeof(struct conf_admin), NULL,
                        "An HTTP endpoint of its own, for those who run the gateway: /metrics, /healthz, /readyz, /status, /status.json, /tunnels, "
                        "and POST /reload and /drain. Whoever reaches it may do all of that: keep it to this machine or a network of your own." },
    [CONF_IN_LIMITS] = { "limits", "`limits`", sizeof(struct conf_limits), NULL,
                         "What one message, or all clients together, may take." },
    [CONF_IN_TIMEOUTS] = { "timeouts", "`timeouts`", sizeof(struct conf_timeouts), NULL, "How long the gateway waits." },
    [CONF_IN_LISTENER] = { "listeners[]", "a listener", sizeof(struct conf_listener), "address",
                           "Where clients connect. A bare address will do." },
    [CONF_IN_PASSTHROUGH] = { "listeners[].passthrough.NAME", "a passed-through name", sizeof(struct conf_passthrough), "upstream",
                              "Where TLS connections for a name go, undecrypted. A bare upstream will do." },
    [CONF_IN_LISTENER_TLS] = { "listeners[].tls", "`tls`", sizeof(struct conf_listener_tls), NULL,
                               "TLS for the clients of this listener." },
    [CONF_IN_CERTIFICATE] = { "listeners[].tls.certificates[]", "a certificate", sizeof(struct conf_certificate), NULL,
                              "A certificate with its chain, and its key; both PEM." },
    [CONF_IN_UPSTREAM] = { "upstreams.NAME", "an upstream", sizeof(struct conf_upstream), NULL,
                           "A named set of servers that can answer the same requests." },
    [CONF_IN_SERVER] = { "upstreams.NAME.servers[]", "a server", sizeof(struct conf_server), "address",
                         "One server. A bare address will do." },
    [CONF_IN_EJECT] = { "upstreams.NAME.eject", "`eject`", sizeof(struct conf_eject), NULL,
                        "A server that fails again and again is left out for a while; never the last one." },
    [CONF_IN_STICKY] = { "upstreams.NAME.sticky", "`sticky`", sizeof(struct conf_sticky), NULL,
                         "A cookie that leads a client back to the server that it was served by, requests and upgrades. It can be neither read nor "
                         "forged, and every gateway with the same key file understands it. Servers don't see it. The access log says "
                         "what became of it: new, kept, moved (its server is gone or left out), expired, foreign, forged, malformed." },
    [CONF_IN_HEALTH] = { "upstreams.NAME.health", "`health`", sizeof(struct conf_health), NULL,
                         "How its servers are checked, each by the gateway as a whole and not by every worker. One of `tcp`, `http`, `websocket` and "
                         "`fastcgi` says how. A server is up until its first check says otherwise; one that is down gets no request, and when "
                         "all are down requests are answered 503. Tunnels stay." },
    [CONF_IN_FASTCGI] = { "upstreams.NAME.fastcgi", "`fastcgi`", sizeof(struct conf_fastcgi), NULL,
                          "With `protocol: fastcgi`: what the application is told, and what is expected of it. Without `script` and "
                          "`split` the application is not a file: it gets the whole path as PATH_INFO." },
    [CONF_IN_CLIENT_CERTIFICATE] = { "routes[].client_certificate", "`client_certificate`", sizeof(struct conf_client_certificate), NULL,
                                     "Only clients that showed a good certificate are served. `{}` admits all of those." },
    [CONF_IN_UPSTREAM_TLS] = { "upstreams.NAME.tls", "`tls`", sizeof(struct conf_upstream_tls), NULL,
                               "TLS to the servers. `{}` is enough: they are verified by default." },
    [CONF_IN_ROUTE] = { "routes[]", "a route", sizeof(struct conf_route), NULL,
                        "Which requests go where. The first route that matches is taken; a request that none matches is answered "
                        "404." },
    [CONF_IN_MATCH] = { "routes[].match", "`match`", sizeof(struct conf_match), NULL,
                        "What a request must have; every key that is given must agree." },
    [CONF_IN_REDIRECT] = { "routes[].redirect", "`redirect`", sizeof(struct conf_redirect_to), NULL,
                           "The gateway sends clients elsewhere." },
    [CONF_IN_RESPOND] = { "routes[].respond", "`respond`", sizeof(struct conf_respond), NULL,
                          "The gateway answers itself, always the same." },
    [CONF_IN_AUTH] = { "routes[].auth", "`auth`", sizeof(struct conf_auth), NULL,
                       "Who may use this route. It is settled before a server hears of a request or an upgrade." },
    [CONF_IN_AUTH_BASIC] = { "routes[].auth.basic", "`basic`", sizeof(struct conf_auth_basic), NULL,
                             "Name and password (RFC 7617), which belong over TLS. FastCGI servers are told REMOTE_USER. The Authorization field goes "
                             "on to the server, unless `headers` removes it." },
    [CONF_IN_AUTH_FORWARD] = { "routes[].auth.forward", "`forward`", sizeof(struct conf_auth_forward), NULL,
                               "An application decides. It is sent a GET with the client's fields, X-Forwarded-Method and X-Forwarded-Uri. 2xx: the "
                               "request goes on. 401, 403 and redirects go to the client as they are. Anything else, or nothing, is answered 502 "
                               "or 504." },
    [CONF_IN_PATH] = { "routes[].path", "`path` of a route", sizeof(struct conf_path), NULL,
                       "How the path is changed on its way to a server. Without it a target is passed on byte for byte. What a response says "
                       "of paths (Location, cookies, links) stays as it is." },
    [CONF_IN_HEADERS] = { "routes[].headers", "`headers`", sizeof(struct conf_headers), NULL,
                          "Fields that are changed on their way. Not those that HTTP itself needs: framing, Host, Via, what concerns "
                          "one connection only, and the WebSocket handshake's." },
    [CONF_IN_CHANGES] = { "routes[].headers.request", "`request` or `response`", sizeof(struct rules_changes), NULL,
                          "Changes to one head. Names are compared without case, and with `_` and every other sign as `-`." },
    [CONF_IN_WEBSOCKET] = { "routes[].websocket", "`websocket`", sizeof(struct conf_websocket), NULL,
                            "How WebSockets of this route are handled. Without it, or with keys left out, the defaults hold." },
    [CONF_IN_ROUTE_TIMEOUTS] = { "routes[].timeouts", "`timeouts` of a route", sizeof(struct conf_timeouts), NULL,
                                 "Timeouts that differ for this route." },
    [CONF_IN_FORWARDED] = { "forwarded", "`forwarded`", sizeof(struct conf_forwarded), NULL,
                            "What upstreams are told about the client and the gateway." },
};

#define THAT_OF_THE_FILE "that of the top level's `timeouts`"

static const struct conf_key keys[] = {
    { "workers", CONF_IN_FILE, CONF_TYPE_COUNT, FIELD(conf, workers), .fallback = "auto", .zero_word = "auto", BOUNDS(1, 1024),
      .sentence = "Worker threads. `auto`: one per CPU." },
    { "tls_threads", CONF_IN_FILE, CONF_TYPE_COUNT, FIELD(conf, tls_threads), .fallback = "auto", .zero_word = "auto",
      BOUNDS(1, 1024),
      .sentence = "Threads that do the arithmetic of TLS handshakes, so that open connections don't wait for it. `auto`: one per CPU. They "
                  "run at a lower priority than the workers, and only where a configuration has TLS." },
    { "user", CONF_IN_FILE, CONF_TYPE_NAME, FIELD(conf, user), .absent = "whoever starts it",
      .sentence = "Started as root, the gateway becomes this user for good, when it has read keys and bound its listeners. What a reload reads "
                  "again has to be readable by that user, and a port below 1024 can then be added by a restart or USR2 only." },
    { "group", CONF_IN_FILE, CONF_TYPE_NAME, FIELD(conf, group), .absent = "the user's own",
      .sentence = "The group that goes with `user`; the other groups that the user is in go with it, too." },
    { "sandbox", CONF_IN_FILE, CONF_TYPE_SWITCH, FIELD(conf, sandbox), .fallback = "on",
      .sentence = "After the start the process can open no file but those in folders that the configuration names, in /etc and the system's "
                  "libraries (Landlock), and make no system call but those that it needs (seccomp). What is refused is told in the log." },
    { "sandbox_folders", CONF_IN_FILE, CONF_TYPE_FOLDER, CONF_LIST, ITEMS(conf, sandbox_folders, 0, 64), .absent = "none",
      .sentence = "Further folders in which files may be read, written and made after the start: those that a later configuration may name. "
                  "Without it, such a configuration takes a new process (USR2)." },
    { "log", CONF_IN_FILE, CONF_TYPE_BLOCK, FIELD(conf, log), .child = CONF_IN_LOG, .sentence = "The log and the access log." },
    { "admin", CONF_IN_FILE, CONF_TYPE_BLOCK, FIELD(conf, admin), .child = CONF_IN_ADMIN, AUX(conf, admin_on, true), .absent = "none",
      .sentence = "Where the gateway is looked at and spoken to while it runs." },
    { "limits", CONF_IN_FILE, CONF_TYPE_BLOCK, FIELD(conf, limits), .child = CONF_IN_LIMITS,
      .sentence = "Limits on messages and connections." },
    { "timeouts", CONF_IN_FILE, CONF_TYPE_BLOCK, FIELD(conf, timeouts), .child = CONF_IN_TIMEOUTS,
      .sentence = "Timeouts for every route." },
    { "listeners", CONF_IN_FILE, CONF_TYPE_BLOCK, CONF_LIST, .required = true, ITEMS(conf, listeners, 1, 256),
      .child = CONF_IN_LISTENER, .sentence = "Where clients connect." },
    { "upstreams", CONF_IN_FILE, CONF_TYPE_BLOCK, CONF_MAP, .required = true, ITEMS(conf, upstreams, 1, 4096),
      .child = CONF_IN_UPSTREAM, .sentence = "The sets of servers that requests go to, by name." },
    { "routes", CONF_IN_FILE, CONF_TYPE_BLOCK, CONF_LIST, ITEMS(conf, routes, 1, 4096), .child = CONF_IN_ROUTE,
      .absent = "an error, unless every listener only passes TLS through",
      .sentence = "Which requests go to which upstream; the first that matches is taken." },
    { "forwarded", CONF_IN_FILE, CONF_TYPE_BLOCK, FIELD(conf, forwarded), .child = CONF_IN_FORWARDED,
      .sentence = "What upstreams are told about the client." },

    { "level", CONF_IN_LOG, CONF_TYPE_WORD, FIELD(conf_log, level), .fallback = "info", .words = levels,
      .sentence = "The least important kind of line that is still written to standard error." },
    { "access", CONF_IN_LOG, CONF_TYPE_BLOCK, FIELD(conf_log, access), .child = CONF_IN_ACCESS, .sentence = "The access log." },

    { "to", CONF_IN_ACCESS, CONF_TYPE_LOG_TARGET, FIELD(conf_access, to), .fallback = "stdout",
      .sentence = "Where the access log goes: `stdout`, or an absolute path." },
    { "format", CONF_IN_ACCESS, CONF_TYPE_WORD, FIELD(conf_access, format), .fallback = "json", .words = formats,
      .sentence = "One JSON object per line, the combined format that log tools know (requests only: no lines for tunnels and "
                  "connections that are passed through), or no access log." },

    { "address", CONF_IN_ADMIN, CONF_TYPE_LISTEN_ADDRESS, FIELD(conf_admin, address), .required = true,
      .sentence = "Where it listens: an address of this machine, or unix:/run/upgate/admin.sock." },
    { "hosts", CONF_IN_ADMIN, CONF_TYPE_HOST, CONF_LIST, ITEMS(conf_admin, hosts, 1, 64), .absent = "none",
      .sentence = "Names by which people call it. A request whose Host is a name, and not an address, localhost or one of these, is refused "
                  "(but for /metrics, /healthz and /readyz): a page of somebody else's could have made a browser send it." },

    { "header_bytes", CONF_IN_LIMITS, CONF_TYPE_SIZE, FIELD(conf_limits, header_bytes), .fallback = "64KiB",
      BOUNDS(256, 16 * MIB), .sentence = "A request's or a response's whole head, the request target included." },
    { "header_fields", CONF_IN_LIMITS, CONF_TYPE_COUNT, FIELD(conf_limits, header_fields), .fallback = "200", BOUNDS(4, 10000),
      .sentence = "Fields in one head." },
    { "connections", CONF_IN_LIMITS, CONF_TYPE_COUNT, FIELD(conf_limits, connections), .fallback = "100000", BOUNDS(1, 10000000),
      .sentence = "Client connections open at once, over all listeners; past it none is accepted until one ends." },
    { "connections_per_client", CONF_IN_LIMITS, CONF_TYPE_COUNT, FIELD(conf_limits, connections_per_client), .fallback = "off",
      .zero_word = "off", BOUNDS(1, 10000000),
      .sentence = "Connections and tunnels that one client may have open; a further one is closed at once. A client is an IPv4 address or the "
                  "/64 of an IPv6 address. Connections from `trusted` hops are not counted: many clients come through each." },
    { "handshakes_per_client", CONF_IN_LIMITS, CONF_TYPE_RATE, FIELD(conf_limits, handshakes_per_client), .fallback = "off",
      .zero_word = "off", BOUNDS(1, 1000000),
      .sentence = "WebSocket handshakes of one client, as many at once as the whole number; past it the answer is 429. Behind a trusted hop the "
                  "client is whom the hop names." },
    { "requests_per_client", CONF_IN_LIMITS, CONF_TYPE_RATE, FIELD(conf_limits, requests_per_client), .fallback = "off",
      .zero_word = "off", BOUNDS(1, 1000000), .sentence = "Requests of one client, handshakes included; past it the answer is 429." },
    { "tls_handshakes", CONF_IN_LIMITS, CONF_TYPE_COUNT, FIELD(conf_limits, tls_handshakes), .fallback = "1000", BOUNDS(1, 1000000),
      .sentence = "TLS handshakes with clients in progress at once, over all workers; further ones wait their turn, until "
                  "`timeouts: { tls_handshake: … }`." },
    { "body_bytes", CONF_IN_LIMITS, CONF_TYPE_SIZE, FIELD(conf_limits, body_bytes), .fallback = "off", .zero_word = "off",
      BOUNDS(1, 1024 * TIB), .sentence = "A request's whole body; past it the answer is 413." },

    { "tls_handshake", CONF_IN_TIMEOUTS, CONF_TYPE_DURATION, FIELD(conf_timeouts, tls_handshake_ms), .fallback = "10s", BOUNDS(1, HOUR),
      .sentence = "For a client to complete the TLS handshake." },
    { "header", CONF_IN_TIMEOUTS, CONF_TYPE_DURATION, FIELD(conf_timeouts, header_ms), .fallback = "10s", BOUNDS(1, HOUR),
      .sentence = "For a client to send its whole request head." },
    { "body", CONF_IN_TIMEOUTS, CONF_TYPE_DURATION, FIELD(conf_timeouts, body_ms), .fallback = "60s", BOUNDS(1, DAY),
      .sentence = "Between two pieces of a body, from either side." },
    { "keepalive", CONF_IN_TIMEOUTS, CONF_TYPE_DURATION, FIELD(conf_timeouts, keepalive_ms), .fallback = "75s", BOUNDS(1, DAY),
      .sentence = "How long an idle client connection is kept." },
    { "connect", CONF_IN_TIMEOUTS, CONF_TYPE_DURATION, FIELD(conf_timeouts, connect_ms), .fallback = "5s", BOUNDS(1, 10 * MINUTE),
      .sentence = "For a connection to a server to be made, the TLS handshake included." },
    { "response", CONF_IN_TIMEOUTS, CONF_TYPE_DURATION, FIELD(conf_timeouts, response_ms), .fallback = "60s", BOUNDS(1, 7 * DAY),
      .sentence = "From a request's end to the response's head." },
    { "drain_delay", CONF_IN_TIMEOUTS, CONF_TYPE_DURATION, FIELD(conf_timeouts, drain_delay_ms), .fallback = "0s", BOUNDS(0, HOUR),
      .sentence = "How long /readyz says that the gateway drains before it stops accepting: until load balancers have seen it." },
    { "drain", CONF_IN_TIMEOUTS, CONF_TYPE_DURATION, FIELD(conf_timeouts, drain_ms), .fallback = "1h", BOUNDS(0, 30 * DAY),
      .sentence = "How long tunnels may outlive a TERM; then they are closed." },
    { "drain_spread", CONF_IN_TIMEOUTS, CONF_TYPE_DURATION, FIELD(conf_timeouts, drain_spread_ms), .fallback = "30s",
      BOUNDS(0, DAY),
      .sentence = "The time over which a drain's Close frames are spread, so that clients don't all come back at once." },

    { "address", CONF_IN_LISTENER, CONF_TYPE_LISTEN_ADDRESS, FIELD(conf_listener, address), .required = true,
      .sentence = "Where to listen. A bare port means every IPv4 address of this machine; port 0 is chosen by the kernel." },
    { "name", CONF_IN_LISTENER, CONF_TYPE_LABEL, FIELD(conf_listener, name), .absent = "the address",
      .sentence = "What `match: { listener: … }` and the log call it." },
    { "trusted", CONF_IN_LISTENER, CONF_TYPE_NETWORK, CONF_LIST, ITEMS(conf_listener, trusted, 0, 1024), .absent = "nobody",
      .sentence = "Whose PROXY header, Forwarded and X-Forwarded-* fields are believed; the fields are removed from everybody else's "
                  "requests. Behind a PROXY header it is the client named there whose fields are looked at." },
    { "proxy_protocol", CONF_IN_LISTENER, CONF_TYPE_WORD, FIELD(conf_listener, proxy_protocol), .fallback = "off",
      .words = proxy_protocols,
      .sentence = "`require`: every connection begins with a PROXY header (version 1 or 2), which tells the client's real address. "
                  "Only those in `trusted` may connect; others are closed, and so is who sends no good header." },
    { "real_address", CONF_IN_LISTENER, CONF_TYPE_WORD, FIELD(conf_listener, real_address), .fallback = "x_forwarded_for",
      .words = real_addresses,
      .sentence = "The field that tells the client's real address when one in `trusted` forwards its request: X-Forwarded-For, or Forwarded "
                  "(RFC 7239); it is read from the right, through those in `trusted`, to the first who is not. Only one is looked at, "
                  "the one that the load balancer writes, since it may pass the other on as a client invented it." },
    { "tls", CONF_IN_LISTENER, CONF_TYPE_BLOCK, FIELD(conf_listener, tls), .child = CONF_IN_LISTENER_TLS,
      AUX(conf_listener, tls_on, true), .absent = "clear text", .sentence = "Clients speak TLS here." },
    { "redirect", CONF_IN_LISTENER, CONF_TYPE_WORD, FIELD(conf_listener, redirect), .fallback = "off", .words = redirects,
      .sentence = "`https`: no request is served here; each is answered 308 with the same place under https." },
    { "allow", CONF_IN_LISTENER, CONF_TYPE_NETWORK, CONF_LIST, ITEMS(conf_listener, admission.allow, 1, 4096), .absent = "everybody",
      .sentence = "Whose connections are served: clients of these networks and no others. A client whose address is known when it connects is "
                  "closed at once; behind a trusted hop each request is judged by the client it came from, and answered 403." },
    { "deny", CONF_IN_LISTENER, CONF_TYPE_NETWORK, CONF_LIST, ITEMS(conf_listener, admission.deny, 1, 4096), .absent = "nobody",
      .sentence = "Whose are not, even if `allow` has them." },
    { "passthrough", CONF_IN_LISTENER, CONF_TYPE_BLOCK, CONF_MAP, ITEMS(conf_listener, passthrough, 1, 1024),
      .child = CONF_IN_PASSTHROUGH, .names = CONF_TYPE_SERVER_NAMES, .absent = "none",
      .sentence = "TLS connections that are passed on undecrypted, by the server name that the client asks for: the name itself, else "
                  "the longest `*.` above it, else `*`, which is also for clients that name none. Every other name is for `tls` of this "
                  "listener, and refused where there is none." },

    { "upstream", CONF_IN_PASSTHROUGH, CONF_TYPE_REFERENCE, FIELD(conf_passthrough, upstream), .required = true,
      .sentence = "The upstream that they go to: its servers, how one is chosen, and what they are told of the client by send_proxy. "
                  "What servers and clients say to each other is their business." },
    { "idle_timeout", CONF_IN_PASSTHROUGH, CONF_TYPE_DURATION, FIELD(conf_passthrough, idle_timeout_ms), .fallback = "1h",
      BOUNDS(1, 30 * DAY), .sentence = "How long nothing may pass in either direction before both connections are closed." },

    { "protocol", CONF_IN_UPSTREAM, CONF_TYPE_WORD, FIELD(conf_upstream, protocol), .fallback = "http", .words = protocols,
      .sentence = "What its servers speak." },
    { "servers", CONF_IN_UPSTREAM, CONF_TYPE_BLOCK, CONF_LIST, .required = true, ITEMS(conf_upstream, servers, 1, 1024),
      .child = CONF_IN_SERVER, .sentence = "Its servers." },
    { "balance", CONF_IN_UPSTREAM, CONF_TYPE_WORD, FIELD(conf_upstream, balance), .fallback = "round_robin", .words = balances,
      .sentence = "How a server is chosen: in turn; the one with the fewest requests and tunnels, of all workers; or by `hash`. All of them by "
                  "weight." },
    { "hash", CONF_IN_UPSTREAM, CONF_TYPE_HASH, FIELD(conf_upstream, hash), .fallback = "client",
      .sentence = "With `balance: hash`: what decides. The same value goes to the same server, through every gateway that lists the same "
                  "servers; a server more, or one less, moves its own share and no other. `client` is the real client's address; a request "
                  "without the header or the cookie is served in turn." },
    { "hash_bound", CONF_IN_UPSTREAM, CONF_TYPE_COUNT, FIELD(conf_upstream, hash_bound), .fallback = "off", .zero_word = "off",
      BOUNDS(101, 10000),
      .sentence = "With `balance: hash`: how much of this gateway's requests and tunnels a server may have in progress, in percent of its share "
                  "by weight, for a further key to go there; 125 is usual. A key of a busier one goes to the next in its own order, so that a "
                  "key that everybody wants does not drown one server." },
    { "sticky", CONF_IN_UPSTREAM, CONF_TYPE_BLOCK, FIELD(conf_upstream, sticky), .child = CONF_IN_STICKY, AUX(conf_upstream, sticky_on, true),
      .absent = "no cookie", .sentence = "A client comes back to the server that it was served by, as long as that is up; `balance` chooses for "
                                         "clients without a cookie." },
    { "tls", CONF_IN_UPSTREAM, CONF_TYPE_BLOCK, FIELD(conf_upstream, tls), .child = CONF_IN_UPSTREAM_TLS,
      AUX(conf_upstream, tls_on, true), .absent = "clear text", .sentence = "The servers speak TLS." },
    { "keepalive", CONF_IN_UPSTREAM, CONF_TYPE_COUNT, FIELD(conf_upstream, keepalive), .fallback = "32", .zero_word = "off",
      BOUNDS(1, 10000), .sentence = "Idle connections kept per worker and server." },
    { "keepalive_timeout", CONF_IN_UPSTREAM, CONF_TYPE_DURATION, FIELD(conf_upstream, keepalive_timeout_ms), .fallback = "60s",
      BOUNDS(1, DAY), .sentence = "How long an idle connection to a server is kept." },
    { "connections", CONF_IN_UPSTREAM, CONF_TYPE_COUNT, FIELD(conf_upstream, connections), .fallback = "off", .zero_word = "off",
      BOUNDS(1, 1000000),
      .sentence = "Connections to each server at once, of all workers together: busy ones, tunnels, and idle ones that are kept. Past it "
                  "requests wait in a queue; idle connections are closed where that helps. An idle connection keeps a PHP-FPM child "
                  "waiting: keep this below the number of children." },
    { "queue", CONF_IN_UPSTREAM, CONF_TYPE_COUNT, FIELD(conf_upstream, queue), .fallback = "1000", .zero_word = "off",
      BOUNDS(1, 1000000), .sentence = "Requests that wait for a connection at once, of all workers; one more is answered 503." },
    { "queue_timeout", CONF_IN_UPSTREAM, CONF_TYPE_DURATION, FIELD(conf_upstream, queue_timeout_ms), .fallback = "5s",
      BOUNDS(1, HOUR), .sentence = "How long a request waits for a connection; then it is answered 503." },
    { "eject", CONF_IN_UPSTREAM, CONF_TYPE_BLOCK, FIELD(conf_upstream, eject), .child = CONF_IN_EJECT,
      .sentence = "When a server that fails is left out, as long as there is another one." },
    { "health", CONF_IN_UPSTREAM, CONF_TYPE_BLOCK, FIELD(conf_upstream, health), .child = CONF_IN_HEALTH,
      AUX(conf_upstream, health_on, true), .absent = "not checked",
      .sentence = "Servers are checked whether or not they have requests. Over TLS, and with a PROXY header, as requests are sent." },
    { "resolve", CONF_IN_UPSTREAM, CONF_TYPE_DURATION, FIELD(conf_upstream, resolve_ms), .fallback = "30s", .zero_word = "off",
      BOUNDS(100, DAY),
      .sentence = "How often host names of servers are looked up anew. Where a name has several addresses of one family, each of its addresses is a "
                  "server with all that the name's line says: its weight, too; up to 32. A name that cannot be looked up keeps its last "
                  "addresses; open connections and tunnels are never touched. `off`: a name is one server, whatever its addresses." },
    { "slow_start", CONF_IN_UPSTREAM, CONF_TYPE_DURATION, FIELD(conf_upstream, slow_start_ms), .fallback = "off", .zero_word = "off",
      BOUNDS(1, DAY),
      .sentence = "How long a server that was down, or left out, takes to get its whole share again: its weight grows evenly from next to nothing. "
                  "With `balance: hash` its keys come back to it one by one." },
    { "retries", CONF_IN_UPSTREAM, CONF_TYPE_COUNT, FIELD(conf_upstream, retries), .fallback = "1", BOUNDS(0, 10),
      .sentence = "Further servers that are tried when one fails before a byte was sent; repeatable requests only." },
    { "send_proxy", CONF_IN_UPSTREAM, CONF_TYPE_WORD, FIELD(conf_upstream, send_proxy), .fallback = "off", .words = send_proxies,
      .sentence = "Begin each connection with a PROXY header, which tells the server the client's real address. Such a connection "
                  "speaks for one client and is not kept for others: `keepalive` has no effect." },
    { "fastcgi", CONF_IN_UPSTREAM, CONF_TYPE_BLOCK, FIELD(conf_upstream, fastcgi), .child = CONF_IN_FASTCGI,
      .only_with = "protocol", .only_value = CONF_PROTOCOL_FASTCGI,
      .sentence = "What FastCGI applications are told, and what is expected of them." },

    { "address", CONF_IN_SERVER, CONF_TYPE_SERVER_ADDRESS, FIELD(conf_server, address), .required = true,
      .sentence = "Where it is. A bare port means this machine." },
    { "id", CONF_IN_SERVER, CONF_TYPE_NAME, FIELD(conf_server, id), .absent = "the address",
      .sentence = "Its name in logs and metrics, by which it is also known for `balance: hash`: it stays the same server in the eyes of clients "
                  "when its address changes. No two of an upstream have the same." },
    { "weight", CONF_IN_SERVER, CONF_TYPE_COUNT, FIELD(conf_server, weight), .fallback = "1", BOUNDS(1, 1000),
      .sentence = "Its share, next to the weights of the others." },
    { "backup", CONF_IN_SERVER, CONF_TYPE_SWITCH, FIELD(conf_server, backup), .fallback = "off",
      .sentence = "Used only when no other server is, or when all others were tried." },
    { "drain", CONF_IN_SERVER, CONF_TYPE_SWITCH, FIELD(conf_server, drain), .fallback = "off",
      .sentence = "It gets no new clients: no further request but of those whom a sticky cookie leads there, as long as that is good; it is not "
                  "renewed. What it has begun, tunnels too, goes on." },

    { "failures", CONF_IN_EJECT, CONF_TYPE_COUNT, FIELD(conf_eject, failures), .fallback = "off", .zero_word = "off", BOUNDS(1, 1000000),
      .sentence = "So many in a row: no connection, no answer in time, a broken one. A status is none, unless `statuses` is on." },
    { "for", CONF_IN_EJECT, CONF_TYPE_DURATION, FIELD(conf_eject, for_ms), .fallback = "30s", BOUNDS(1, DAY),
      .sentence = "How long; twice as long each time that it fails again as soon as it is back, up to eight times." },
    { "error_rate", CONF_IN_EJECT, CONF_TYPE_COUNT, FIELD(conf_eject, error_rate), .fallback = "off", .zero_word = "off", BOUNDS(1, 100),
      .sentence = "So many percent of the requests within `window` failed, in a row or not: then it is left out in the same way." },
    { "window", CONF_IN_EJECT, CONF_TYPE_DURATION, FIELD(conf_eject, window_ms), .fallback = "10s", BOUNDS(10, HOUR),
      .sentence = "How long requests are counted for `error_rate` before counting begins anew; and how long a server has to do well until it is "
                  "forgotten how often it was left out." },
    { "requests", CONF_IN_EJECT, CONF_TYPE_COUNT, FIELD(conf_eject, requests), .fallback = "20", BOUNDS(1, 1000000),
      .sentence = "Fewer than so many say nothing of the `error_rate`." },
    { "statuses", CONF_IN_EJECT, CONF_TYPE_SWITCH, FIELD(conf_eject, statuses), .fallback = "off",
      .sentence = "Answers with the status 500, 502, 503 or 504 count as failures, too." },

    { "cookie", CONF_IN_STICKY, CONF_TYPE_TOKEN, FIELD(conf_sticky, cookie), .fallback = "upgate",
      .sentence = "Its name. Upstreams whose routes share a host need different ones." },
    { "key_file", CONF_IN_STICKY, CONF_TYPE_NAMED_FILE, FIELD(conf_sticky, key_file), .required = true,
      .sentence = "A file with a key on each line: 32 random bytes, in base64 or hexadecimal digits; `upgate sticky-key` makes one. The first "
                  "key seals, all of them open. To rotate, add a new one at the end, on every gateway; then put it in front; then take the "
                  "old one away when its cookies have expired. It is read with the configuration." },
    { "max_age", CONF_IN_STICKY, CONF_TYPE_DURATION, FIELD(conf_sticky, max_age_ms), .fallback = "off", .zero_word = "off",
      BOUNDS(SECOND, 400 * DAY),
      .sentence = "How long a cookie is good; it is renewed when half of that is over. `off`: until the browser's session ends, and for 30 days "
                  "at most." },
    { "same_site", CONF_IN_STICKY, CONF_TYPE_WORD, FIELD(conf_sticky, same_site), .fallback = "lax", .words = same_sites,
      .sentence = "When browsers send it with requests from other sites' pages; `none`, which browsers take under https only, for pages that "
                  "are embedded in others." },
    { "secure", CONF_IN_STICKY, CONF_TYPE_WORD, FIELD(conf_sticky, secure), .fallback = "auto", .words = secures,
      .sentence = "Whether browsers send it under https only. `auto`: where the client came by TLS, to this gateway or to a trusted hop that says "
                  "so." },

    { "tcp", CONF_IN_HEALTH, CONF_TYPE_SWITCH, FIELD(conf_health, tcp), .fallback = "off",
      .sentence = "A connection can be made, with TLS where the servers speak it." },
    { "http", CONF_IN_HEALTH, CONF_TYPE_PATH, FIELD(conf_health, http), .absent = "not this one",
      .sentence = "A GET for this path is answered with `status`." },
    { "websocket", CONF_IN_HEALTH, CONF_TYPE_PATH, FIELD(conf_health, websocket), .absent = "not this one",
      .sentence = "A WebSocket can be opened at this path, and its Ping is answered." },
    { "fastcgi", CONF_IN_HEALTH, CONF_TYPE_LABEL, FIELD(conf_health, fastcgi), .absent = "not this one",
      .sentence = "A path, which is answered with `status`. Where there is a `script` or `split`, it is the name of a script below `root` "
                  "(PHP-FPM: its ping.path will do); otherwise the application's own. `values`: the server answers FCGI_GET_VALUES, which "
                  "asks no application; libfcgi does not." },
    { "interval", CONF_IN_HEALTH, CONF_TYPE_DURATION, FIELD(conf_health, interval_ms), .fallback = "5s", BOUNDS(10, DAY),
      .sentence = "From one check of a server to the next, give or take a tenth." },
    { "timeout", CONF_IN_HEALTH, CONF_TYPE_DURATION, FIELD(conf_health, timeout_ms), .fallback = "2s", BOUNDS(1, HOUR),
      .sentence = "For a whole check." },
    { "rise", CONF_IN_HEALTH, CONF_TYPE_COUNT, FIELD(conf_health, rise), .fallback = "2", BOUNDS(1, 1000),
      .sentence = "So many good checks in a row, and a server is up again." },
    { "fall", CONF_IN_HEALTH, CONF_TYPE_COUNT, FIELD(conf_health, fall), .fallback = "3", BOUNDS(1, 1000),
      .sentence = "So many bad ones, and it is down. Of the very first check one is enough." },
    { "status", CONF_IN_HEALTH, CONF_TYPE_COUNT, FIELD(conf_health, status), .fallback = "any", .zero_word = "any", BOUNDS(200, 599),
      .sentence = "The status that the answer must have, with `http` or the path of `fastcgi`; `any`: one from 200 to 399." },
    { "body", CONF_IN_HEALTH, CONF_TYPE_TEXT, FIELD(conf_health, body), .absent = "any",
      .sentence = "Text that must be in the answer, within its first 16KiB." },
    { "host", CONF_IN_HEALTH, CONF_TYPE_LABEL, FIELD(conf_health, host), .absent = "the server's name or address",
      .sentence = "The Host that a check asks for." },

    { "root", CONF_IN_FASTCGI, CONF_TYPE_FOLDER, FIELD(conf_fastcgi, root), .absent = "none; needed by `script` and `split`",
      .sentence = "The folder of the application's scripts as the application sees it: DOCUMENT_ROOT, and what SCRIPT_FILENAME "
                  "begins with." },
    { "script", CONF_IN_FASTCGI, CONF_TYPE_FILE, FIELD(conf_fastcgi, script), .absent = "none",
      .sentence = "The one script below `root` that gets every request." },
    { "split", CONF_IN_FASTCGI, CONF_TYPE_FILE_NAME, FIELD(conf_fastcgi, split), .absent = "none",
      .sentence = "How the scripts' names end (`.php`): the first segment of the path that ends so is the script, and what follows is "
                  "PATH_INFO; a path without one is answered 404." },
    { "index", CONF_IN_FASTCGI, CONF_TYPE_FILE_NAME, FIELD(conf_fastcgi, index), .absent = "none",
      .sentence = "With `split`: the script of a path that ends in a slash." },
    { "symlinks", CONF_IN_FASTCGI, CONF_TYPE_WORD, FIELD(conf_fastcgi, symlinks), .fallback = "inside", .words = symlinks,
      .sentence = "With `split`: the script has to be a file here, and no link may lead out of `root`; or links may lead anywhere; or "
                  "nothing is looked at, for servers that see other files than the gateway does." },
    { "params", CONF_IN_FASTCGI, CONF_TYPE_TEXT, CONF_MAP, ITEMS(conf_fastcgi, params, 1, 256), .names = CONF_TYPE_NAME,
      .absent = "none", .sentence = "Further parameters, by name. They take the place of the gateway's own." },
    { "stderr_bytes", CONF_IN_FASTCGI, CONF_TYPE_SIZE, FIELD(conf_fastcgi, stderr_bytes), .fallback = "8KiB", .zero_word = "off",
      BOUNDS(1, MIB), .sentence = "How much of what a request writes to its error stream goes to the log; the rest is dropped." },
    { "length", CONF_IN_FASTCGI, CONF_TYPE_WORD, FIELD(conf_fastcgi, length), .fallback = "required", .words = lengths,
      .sentence = "Whether applications need CONTENT_LENGTH, as PHP does. `required`: a chunked request is gathered first, and only then "
                  "sent to a server. `optional`: it is sent as it comes." },
    { "body_memory", CONF_IN_FASTCGI, CONF_TYPE_SIZE, FIELD(conf_fastcgi, body_memory), .fallback = "1MiB", BOUNDS(1, 1024 * MIB),
      .sentence = "How much of a body that is gathered is held in memory; the rest goes to a file without a name." },
    { "body_max", CONF_IN_FASTCGI, CONF_TYPE_SIZE, FIELD(conf_fastcgi, body_max), .fallback = "64MiB", BOUNDS(1, TIB),
      .sentence = "How large a body that is gathered may be; past it the answer is 413. Not more than `body_memory`: there is no file." },
    { "body_folder", CONF_IN_FASTCGI, CONF_TYPE_FOLDER, FIELD(conf_fastcgi, body_folder), .fallback = "/tmp",
      .sentence = "Where files are made, which have no name there." },
    { "multiplex", CONF_IN_FASTCGI, CONF_TYPE_SWITCH, FIELD(conf_fastcgi, multiplex), .fallback = "off",
      .sentence = "Send several requests at once on one connection to servers that say they can (FCGI_MPXS_CONNS; each is asked once by each "
                  "worker). Requests with a body travel alone." },
    { "multiplex_memory", CONF_IN_FASTCGI, CONF_TYPE_SIZE, FIELD(conf_fastcgi, multiplex_memory), .fallback = "1MiB",
      BOUNDS(64 * KIB, 1024 * MIB),
      .sentence = "How much of an answer is held in memory for a client that reads more slowly than the others on the same connection. Such "
                  "a connection takes no further request, so that the slow client soon has it for itself." },
    { "multiplex_file", CONF_IN_FASTCGI, CONF_TYPE_SIZE, FIELD(conf_fastcgi, multiplex_file), .fallback = "1GiB", .zero_word = "off",
      BOUNDS(1, TIB), .sentence = "How much more of it is held in a file in `body_folder`; past it the answer is cut." },

    { "match", CONF_IN_ROUTE, CONF_TYPE_BLOCK, FIELD(conf_route, match), .child = CONF_IN_MATCH, .absent = "every request",
      .sentence = "The requests that take this route." },
    { "upstream", CONF_IN_ROUTE, CONF_TYPE_REFERENCE, FIELD(conf_route, upstream), AUX(conf_route, upstream_on, true),
      .absent = "`redirect` or `respond` stands in its place", .sentence = "The upstream that they go to." },
    { "redirect", CONF_IN_ROUTE, CONF_TYPE_BLOCK, FIELD(conf_route, redirect), .child = CONF_IN_REDIRECT,
      AUX(conf_route, redirect_on, true), .absent = "they are answered by somebody", .sentence = "Instead of `upstream`: they are sent elsewhere." },
    { "respond", CONF_IN_ROUTE, CONF_TYPE_BLOCK, FIELD(conf_route, respond), .child = CONF_IN_RESPOND,
      AUX(conf_route, respond_on, true), .absent = "they are answered by somebody",
      .sentence = "Instead of `upstream`: the gateway answers them itself." },
    { "websocket", CONF_IN_ROUTE, CONF_TYPE_BLOCK, FIELD(conf_route, websocket), .child = CONF_IN_WEBSOCKET, .zero_word = "off",
      AUX(conf_route, websocket.mode, CONF_WEBSOCKET_OFF), .absent = "upgrades are allowed, with the defaults below",
      .sentence = "WebSockets of this route. `off`: Upgrade is removed, and the request goes on as plain HTTP." },
    { "timeouts", CONF_IN_ROUTE, CONF_TYPE_BLOCK, FIELD(conf_route, timeouts), .child = CONF_IN_ROUTE_TIMEOUTS,
      .sentence = "Timeouts that differ for this route." },
    { "allow", CONF_IN_ROUTE, CONF_TYPE_NETWORK, CONF_LIST, ITEMS(conf_route, admission.allow, 1, 4096), .absent = "everybody",
      .sentence = "Whose requests are served: clients of these networks and no others. The others get 403; they don't fall through to a later "
                  "route." },
    { "deny", CONF_IN_ROUTE, CONF_TYPE_NETWORK, CONF_LIST, ITEMS(conf_route, admission.deny, 1, 4096), .absent = "nobody",
      .sentence = "Whose are not, even if `allow` has them." },
    { "client_certificate", CONF_IN_ROUTE, CONF_TYPE_BLOCK, FIELD(conf_route, client_certificate), .child = CONF_IN_CLIENT_CERTIFICATE,
      AUX(conf_route, client_certificate_on, true), .absent = "not asked for",
      .sentence = "The client has to have shown a certificate (`client_auth` of the listener); others get 403." },
    { "auth", CONF_IN_ROUTE, CONF_TYPE_BLOCK, FIELD(conf_route, auth), .child = CONF_IN_AUTH, .absent = "nobody is asked who he is",
      .sentence = "Authentication." },
    { "path", CONF_IN_ROUTE, CONF_TYPE_BLOCK, FIELD(conf_route, path), .child = CONF_IN_PATH, .absent = "it stays as it is",
      .sentence = "Changes to the path." },
    { "headers", CONF_IN_ROUTE, CONF_TYPE_BLOCK, FIELD(conf_route, headers), .child = CONF_IN_HEADERS, .absent = "none are changed",
      .sentence = "Fields that are set, added or removed." },

    { "host", CONF_IN_MATCH, CONF_TYPE_HOST, FIELD(conf_match, host), .absent = "any",
      .sentence = "The request's host, without a port. `*.example.com` is any name below example.com." },
    { "path", CONF_IN_MATCH, CONF_TYPE_PATH, FIELD(conf_match, path), AUX(conf_match, path_exact, false), .absent = "any",
      .sentence = "The path, or one that it begins with: `/ws` is also `/ws/a`, but not `/wsx`; `/ws/` is not `/ws`." },
    { "exact", CONF_IN_MATCH, CONF_TYPE_PATH, FIELD(conf_match, path), AUX(conf_match, path_exact, true), .absent = "any",
      .sentence = "The whole path; instead of `path`." },
    { "methods", CONF_IN_MATCH, CONF_TYPE_TOKEN, CONF_LIST, ITEMS(conf_match, methods, 1, 64), .absent = "any",
      .sentence = "The methods, in the case in which they are sent." },
    { "listener", CONF_IN_MATCH, CONF_TYPE_LABEL, FIELD(conf_match, listener), .absent = "any",
      .sentence = "The name of the listener that the client came through." },

    { "basic", CONF_IN_AUTH, CONF_TYPE_BLOCK, FIELD(conf_auth, basic), .child = CONF_IN_AUTH_BASIC, AUX(conf_auth, basic_on, true),
      .absent = "no password is asked for", .sentence = "Users of a password file; instead of `forward`." },
    { "forward", CONF_IN_AUTH, CONF_TYPE_BLOCK, FIELD(conf_auth, forward), .child = CONF_IN_AUTH_FORWARD,
      AUX(conf_auth, forward_on, true), .absent = "no application is asked", .sentence = "An application that decides." },

    { "file", CONF_IN_AUTH_BASIC, CONF_TYPE_NAMED_FILE, FIELD(conf_auth_basic, file), .required = true,
      .sentence = "The users: a line name:hash for each. Hashes as `htpasswd -B` and `mkpasswd` make them: bcrypt, yescrypt, scrypt, SHA-512, "
                  "SHA-256. It is read with the configuration." },
    { "realm", CONF_IN_AUTH_BASIC, CONF_TYPE_LABEL, FIELD(conf_auth_basic, realm), .fallback = "restricted",
      .sentence = "What people are shown when they are asked for the password." },
    { "user_field", CONF_IN_AUTH_BASIC, CONF_TYPE_FIELD_NAME, FIELD(conf_auth_basic, user_field), .absent = "no field",
      .sentence = "A field that tells the server the user's name: X-Remote-User, say. What anybody else sends under it is removed." },

    { "to", CONF_IN_REDIRECT, CONF_TYPE_LOCATION, FIELD(conf_redirect_to, to), .required = true,
      .sentence = "Where to: a URL, or a path of the same host. `{uri}` is the request's path and query as they came, `{host}` its host without "
                  "the port: `https://www.example.com{uri}`." },
    { "status", CONF_IN_REDIRECT, CONF_TYPE_WORD, FIELD(conf_redirect_to, status), .fallback = "302", .words = redirect_statuses,
      .sentence = "301 and 308 are for good and may be remembered; 307 and 308 keep the method." },

    { "status", CONF_IN_RESPOND, CONF_TYPE_COUNT, FIELD(conf_respond, status), .fallback = "200", BOUNDS(200, 599),
      .sentence = "The status. A 503 or 429 has a Retry-After of some seconds." },
    { "body", CONF_IN_RESPOND, CONF_TYPE_BODY, FIELD(conf_respond, body), .absent = "none", .sentence = "The text, of one line or many." },
    { "content_type", CONF_IN_RESPOND, CONF_TYPE_FIELD_VALUE, FIELD(conf_respond, content_type), .fallback = "text/plain; charset=utf-8",
      .sentence = "What the text is." },

    { "upstream", CONF_IN_AUTH_FORWARD, CONF_TYPE_REFERENCE, FIELD(conf_auth_forward, upstream), .required = true,
      .sentence = "The upstream that is asked, whatever it speaks." },
    { "path", CONF_IN_AUTH_FORWARD, CONF_TYPE_PATH, FIELD(conf_auth_forward, path), .required = true,
      .sentence = "The path that it is asked for." },
    { "pass", CONF_IN_AUTH_FORWARD, CONF_TYPE_FIELD_NAME, CONF_LIST, ITEMS(conf_auth_forward, pass, 1, 32), .absent = "none",
      .sentence = "Fields of its answer that go on to the server: X-User, say. What anybody else sends under these names is removed." },
    { "timeout", CONF_IN_AUTH_FORWARD, CONF_TYPE_DURATION, FIELD(conf_auth_forward, timeout_ms), .fallback = "5s", BOUNDS(1, HOUR),
      .sentence = "For its whole answer." },

    { "strip", CONF_IN_PATH, CONF_TYPE_PATH, FIELD(conf_path, strip), .absent = "nothing",
      .sentence = "Segments that are taken off its beginning: the path in `match`, or where that begins. A path that spells them in a way which "
                  "could be read as another is answered 400 (dot or empty segments, parameters, an encoded slash in or right behind them)." },
    { "prepend", CONF_IN_PATH, CONF_TYPE_PATH, FIELD(conf_path, prepend), .absent = "nothing",
      .sentence = "What is put in front, after `strip`." },

    { "request", CONF_IN_HEADERS, CONF_TYPE_BLOCK, FIELD(conf_headers, request), .child = CONF_IN_CHANGES,
      .sentence = "Of requests and upgrades on their way to a server; to a FastCGI server a field becomes a parameter, HTTP_NAME." },
    { "response", CONF_IN_HEADERS, CONF_TYPE_BLOCK, FIELD(conf_headers, response), .child = CONF_IN_CHANGES,
      .sentence = "Of servers' final responses and 101s on their way to a client; the gateway's own answers stay as they are." },

    { "set", CONF_IN_CHANGES, CONF_TYPE_FIELD_VALUE, CONF_MAP, ITEMS(rules_changes, set, 1, 32), .names = CONF_TYPE_FIELD_NAME,
      .absent = "none", .sentence = "Fields in place of all of the same name, whoever wrote them." },
    { "add", CONF_IN_CHANGES, CONF_TYPE_FIELD_VALUE, CONF_MAP, ITEMS(rules_changes, add, 1, 32), .names = CONF_TYPE_FIELD_NAME,
      .absent = "none", .sentence = "Fields beside those of the same name." },
    { "remove", CONF_IN_CHANGES, CONF_TYPE_FIELD_NAME, CONF_LIST, ITEMS(rules_changes, remove, 1, 64), .absent = "none",
      .sentence = "Fields that go, whoever wrote them; out of the trailers, too." },

    { "verify", CONF_IN_WEBSOCKET, CONF_TYPE_WORD, FIELD(conf_websocket, verify), .fallback = "frames", .words = verifications,
      .sentence =
          "Every frame is checked; or also the UTF-8 of text messages and close reasons; or nothing is, and bytes just pass." },
    { "handshake_timeout", CONF_IN_WEBSOCKET, CONF_TYPE_DURATION, FIELD(conf_websocket, handshake_timeout_ms), .fallback = "10s",
      BOUNDS(1, 10 * MINUTE), .sentence = "For the server to answer the upgrade." },
    { "idle_timeout", CONF_IN_WEBSOCKET, CONF_TYPE_DURATION, FIELD(conf_websocket, idle_timeout_ms), .fallback = "5m",
      BOUNDS(1, 30 * DAY), .sentence = "How long one side may send no frame, pongs included, before the tunnel is closed." },
    { "close_timeout", CONF_IN_WEBSOCKET, CONF_TYPE_DURATION, FIELD(conf_websocket, close_timeout_ms), .fallback = "5s",
      BOUNDS(1, MINUTE), .sentence = "For the other side to answer a Close, and for the connection to end." },
    { "max_message", CONF_IN_WEBSOCKET, CONF_TYPE_SIZE, FIELD(conf_websocket, max_message), .fallback = "64MiB",
      .zero_word = "off", BOUNDS(1, TIB),
      .sentence = "The payload of one message, over all its frames; past it the tunnel is closed with 1009." },
    { "max_frame", CONF_IN_WEBSOCKET, CONF_TYPE_SIZE, FIELD(conf_websocket, max_frame), .fallback = "off", .zero_word = "off",
      BOUNDS(1, TIB), .sentence = "The payload of one data frame; past it the tunnel is closed with 1009." },
    { "max_fragments", CONF_IN_WEBSOCKET, CONF_TYPE_COUNT, FIELD(conf_websocket, max_fragments), .fallback = "131072",
      .zero_word = "off", BOUNDS(1, 4294967295),
      .sentence = "The frames of one message; past it the tunnel is closed with 1009." },
    { "ping_interval", CONF_IN_WEBSOCKET, CONF_TYPE_DURATION, FIELD(conf_websocket, ping_interval_ms), .fallback = "30s",
      .zero_word = "off", BOUNDS(10, DAY),
      .sentence = "A side that was silent this long is sent a Ping; if no Pong, nor anything else, comes for as long again, the "
                  "tunnel is closed. The Pong is not passed on. Must be less than idle_timeout." },
    { "slow_timeout", CONF_IN_WEBSOCKET, CONF_TYPE_DURATION, FIELD(conf_websocket, slow_timeout_ms), .fallback = "60s",
      BOUNDS(1, DAY), .sentence = "How long one side may read nothing of what the other sends before the tunnel is closed." },
    { "max_lifetime", CONF_IN_WEBSOCKET, CONF_TYPE_DURATION, FIELD(conf_websocket, max_lifetime_ms), .fallback = "off",
      .zero_word = "off", BOUNDS(1, 365 * DAY), .sentence = "How long a tunnel may live; then it is closed with 1001." },
    { "rate", CONF_IN_WEBSOCKET, CONF_TYPE_COUNT, FIELD(conf_websocket, rate), .fallback = "off", .zero_word = "off",
      BOUNDS(1, 1000000),
      .sentence = "Messages per second from the client, a second's worth at once; the first one too many is not passed on, and "
                  "the tunnel is closed with 1008." },
    { "compression", CONF_IN_WEBSOCKET, CONF_TYPE_WORD, FIELD(conf_websocket, compression), .fallback = "pass",
      .words = compressions,
      .sentence = "Let permessage-deflate be agreed between client and server, or remove the offer. The UTF-8 of compressed "
                  "messages is not checked." },
    { "drain_code", CONF_IN_WEBSOCKET, CONF_TYPE_WORD, FIELD(conf_websocket, drain_code), .fallback = "1012",
      .words = drain_codes, .sentence = "The close code that clients get when the gateway drains." },
    { "origins", CONF_IN_WEBSOCKET, CONF_TYPE_ORIGIN, CONF_LIST, ITEMS(conf_websocket, origins, 1, 256), .absent = "any",
      .sentence = "The origins (scheme://host:port, or null) whose pages may open a WebSocket; others get 403." },
    { "protocols", CONF_IN_WEBSOCKET, CONF_TYPE_TOKEN, CONF_LIST, ITEMS(conf_websocket, protocols, 1, 64), .absent = "any",
      .sentence = "The subprotocols that are offered onward; a client that offers only others gets 403." },

    { "body", CONF_IN_ROUTE_TIMEOUTS, CONF_TYPE_DURATION, FIELD(conf_timeouts, body_ms), .absent = THAT_OF_THE_FILE,
      BOUNDS(1, DAY), .inherits = offsetof(struct conf, timeouts.body_ms),
      .sentence = "Between two pieces of a body, from either side." },
    { "connect", CONF_IN_ROUTE_TIMEOUTS, CONF_TYPE_DURATION, FIELD(conf_timeouts, connect_ms), .absent = THAT_OF_THE_FILE,
      BOUNDS(1, 10 * MINUTE), .inherits = offsetof(struct conf, timeouts.connect_ms),
      .sentence = "For a connection to a server to be made." },
    { "response", CONF_IN_ROUTE_TIMEOUTS, CONF_TYPE_DURATION, FIELD(conf_timeouts, response_ms), .absent = THAT_OF_THE_FILE,
      BOUNDS(1, 7 * DAY), .inherits = offsetof(struct conf, timeouts.response_ms),
      .sentence = "From a request's end to the response's head." },

    { "via", CONF_IN_FORWARDED, CONF_TYPE_TOKEN, FIELD(conf_forwarded, via), .fallback = "upgate",
      .sentence = "The name under which the gateway enters itself in Via." },
    { "x_forwarded", CONF_IN_FORWARDED, CONF_TYPE_SWITCH, FIELD(conf_forwarded, x_forwarded), .fallback = "on",
      .sentence = "Send X-Forwarded-For, -Proto and -Host." },
    { "rfc7239", CONF_IN_FORWARDED, CONF_TYPE_SWITCH, FIELD(conf_forwarded, rfc7239), .fallback = "off",
      .sentence = "Send Forwarded (RFC 7239)." },
    { "request_id", CONF_IN_FORWARDED, CONF_TYPE_FIELD_NAME, FIELD(conf_forwarded, request_id), .fallback = "X-Request-Id", .zero_word = "off",
      .sentence = "The field that tells servers the request's id, which is also in the access log and in what the log says of failures: that of a "
                  "trusted hop, otherwise 128 random bits. What anybody else sent under this name is removed. FastCGI: HTTP_X_REQUEST_ID." },
    { "traceparent", CONF_IN_FORWARDED, CONF_TYPE_WORD, FIELD(conf_forwarded, traceparent), .fallback = "pass", .words = traceparents,
      .sentence = "W3C Trace Context. A good traceparent goes on as it came, and the access log has its trace_id; one that can't be read is "
                  "removed, with its tracestate. `start`: a request without one begins a trace, marked as sampled." },
    { "tls_fields", CONF_IN_FORWARDED, CONF_TYPE_TLS_FACT, CONF_MAP, ITEMS(conf_forwarded, tls_fields, 1, 16),
      .names = CONF_TYPE_FIELD_NAME, .absent = "none",
      .sentence = "Fields in which servers are told what the client's TLS handshake proved. What anybody else sent under these names, in any "
                  "spelling, is removed from every request, also where there is nothing to tell. FastCGI has its own parameters for it "
                  "(SSL_PROTOCOL, SSL_CLIENT_S_DN …)." },
    { "strip", CONF_IN_FORWARDED, CONF_TYPE_TOKEN, CONF_LIST, ITEMS(conf_forwarded, strip, 0, 256), .absent = "none",
      .sentence = "Further fields that only a trusted peer may send, beside the well-known ones that are always removed." },

    { "certificates", CONF_IN_LISTENER_TLS, CONF_TYPE_BLOCK, CONF_LIST, .required = true,
      ITEMS(conf_listener_tls, certificates, 1, 1024), .child = CONF_IN_CERTIFICATE,
      .sentence = "What is shown to clients, chosen by the name that they ask for: the names in the certificates count, wildcards as RFC "
                  "9525 has them. The first one is for everybody else. Several for one name, with keys of different kinds, may be given." },
    { "versions", CONF_IN_LISTENER_TLS, CONF_TYPE_WORD, CONF_LIST, ITEMS(conf_listener_tls, versions, 1, 2), .words = tls_versions,
      .absent = "1.2 and 1.3", .sentence = "The versions of TLS that are spoken." },
    { "client_auth", CONF_IN_LISTENER_TLS, CONF_TYPE_WORD, FIELD(conf_listener_tls, client_auth), .fallback = "off",
      .words = client_auths,
      .sentence = "Whether clients are asked for a certificate: not at all; they may show one; they must. One that is shown has to be good in "
                  "either case. Where it is not off no session is resumed: each connection proves itself." },
    { "client_ca", CONF_IN_LISTENER_TLS, CONF_TYPE_NAMED_FILE, FIELD(conf_listener_tls, client_ca), .absent = "none",
      .sentence = "The certificates (PEM) of those who issue clients' certificates." },
    { "tickets", CONF_IN_LISTENER_TLS, CONF_TYPE_SWITCH, FIELD(conf_listener_tls, tickets), .fallback = "on",
      .sentence = "Let clients resume sessions by tickets." },
    { "ticket_keys", CONF_IN_LISTENER_TLS, CONF_TYPE_NAMED_FILE, FIELD(conf_listener_tls, ticket_keys),
      .absent = "random keys, replaced every 12 hours",
      .sentence = "A file of one to four keys of 32 random bytes each: the first seals tickets, all of them open tickets. Gateways that share "
                  "it resume each other's sessions. To rotate, put a new key in front, and load the configuration again." },

    { "certificate", CONF_IN_CERTIFICATE, CONF_TYPE_NAMED_FILE, FIELD(conf_certificate, certificate), .required = true,
      .sentence = "The certificate and those between it and a root, in this order." },
    { "key", CONF_IN_CERTIFICATE, CONF_TYPE_NAMED_FILE, FIELD(conf_certificate, key), .required = true,
      .sentence = "Its private key, without a passphrase; nobody else should be able to read the file." },

    { "subjects", CONF_IN_CLIENT_CERTIFICATE, CONF_TYPE_SUBJECT, CONF_LIST, ITEMS(conf_client_certificate, subjects, 1, 1024),
      .absent = "any", .sentence = "The subjects that are let in, exactly as RFC 4514 writes them: the last part of the name first." },
    { "fingerprints", CONF_IN_CLIENT_CERTIFICATE, CONF_TYPE_FINGERPRINT, CONF_LIST,
      ITEMS(conf_client_certificate, fingerprints, 1, 1024), .absent = "any",
      .sentence = "The SHA-256 fingerprints of certificates that are let in, whatever their subject." },

    { "verify", CONF_IN_UPSTREAM_TLS, CONF_TYPE_SWITCH, FIELD(conf_upstream_tls, verify), .fallback = "on",
      .sentence = "Connect only to servers whose certificate is issued by somebody in `ca`, for their name, and has not expired. Off, "
                  "anybody on the way can read and change everything." },
    { "ca", CONF_IN_UPSTREAM_TLS, CONF_TYPE_NAMED_FILE, FIELD(conf_upstream_tls, ca), .fallback = "/etc/ssl/certs/ca-certificates.crt",
      .sentence = "The certificates (PEM) of those whose word is taken for a server." },
    { "server_name", CONF_IN_UPSTREAM_TLS, CONF_TYPE_SERVER_NAME, FIELD(conf_upstream_tls, server_name), .absent = "the server's host",
      .sentence = "The name that the server is asked for (SNI), and that its certificate must be for." },
    { "certificate", CONF_IN_UPSTREAM_TLS, CONF_TYPE_NAMED_FILE, FIELD(conf_upstream_tls, client.certificate), .absent = "none",
      .sentence = "What is shown to servers that ask for a certificate; with `key`." },
    { "key", CONF_IN_UPSTREAM_TLS, CONF_TYPE_NAMED_FILE, FIELD(conf_upstream_tls, client.key), .absent = "none",
      .sentence = "The private key of `certificate`." },
};

#define KEYS_N (sizeof(keys) / sizeof(keys[0]))

const struct conf_block *conf_block(enum conf_block_id id)
{
    return &blocks[id];
}

const struct conf_key *conf_block_keys(enum conf_block_id id, size_t *n_out)
{
    size_t first = 0, n = 0;

    while (first < KEYS_N && keys[first].block != id)
        first++;
    while (first + n < KEYS_N && keys[first + n].block == id)
        n++;
    *n_out = n;
    return &keys[first];
}

const struct conf_key *conf_key_find(enum conf_block_id id, struct span name)
{
    size_t n;
    const struct conf_key *key = conf_block_keys(id, &n);

    for (size_t i = 0; i < n; i++)
        if (span_equal(span_of_text(key[i].name), name))
            return &key[i];
    return NULL;
}

enum conf_type_id conf_map_names(const struct conf_key *key)
{
    return key->names != CONF_TYPE_BLOCK ? key->names : CONF_TYPE_NAME;
}

bool conf_key_applies(const struct conf_key *key, const void *block)
{
    unsigned value;

    if (key->only_with == NULL)
        return true;
    memcpy(&value, conf_field_const(conf_key_find(key->block, span_of_text(key->only_with)), block), sizeof(value));
    return value == key->only_value;
}

const struct conf_key *conf_key_find_anywhere(struct span name)
{
    for (size_t i = 0; i < KEYS_N; i++)
        if (span_equal(span_of_text(keys[i].name), name))
            return &keys[i];
    return NULL;
}
