/* conf: the operator's file as one immutable, typed struct.
 *
 * Loaded once, shared by all threads, never changed. Every default is filled in; every reference between parts is an index that
 * was checked. Durations are milliseconds, sizes bytes; 0 stands for `off` where a key allows it. Strings belong to the conf. */
#ifndef UPGATE_CONF_CONF_H
#define UPGATE_CONF_CONF_H

#include "protocol/rules.h"
#include "protocol/ws_scan.h"

#include <stdio.h>

enum conf_log_level { CONF_LOG_ERROR, CONF_LOG_WARN, CONF_LOG_INFO, CONF_LOG_DEBUG };
enum conf_access_format { CONF_ACCESS_JSON, CONF_ACCESS_COMBINED, CONF_ACCESS_OFF };

enum conf_address_kind { CONF_ADDRESS_IP, CONF_ADDRESS_NAME, CONF_ADDRESS_UNIX };
struct conf_address {
    enum conf_address_kind kind;         /* of a listener never NAME: `localhost` is read as 127.0.0.1 */
    char *host;                          /* IP: numeric, no brackets; a bare port: 0.0.0.0 of a listener, 127.0.0.1 of a server */
    unsigned port;                       /* 0 only for a listener: chosen by the kernel and logged */
    char *path;                          /* UNIX */
    char *text;                          /* in full, as people write it: "127.0.0.1:8080", "[::1]:80", "unix:/x" */
};

struct conf_network {                    /* 10.0.0.0/8, ::1/128, unix */
    int family;                          /* AF_INET, AF_INET6, AF_UNIX */
    uint8_t bytes[16];
    unsigned prefix_bits;
};

enum conf_real_address { CONF_REAL_X_FORWARDED_FOR, CONF_REAL_FORWARDED, CONF_REAL_OFF };
enum conf_proxy_protocol { CONF_PROXY_OFF, CONF_PROXY_REQUIRE };

struct conf_admission {                  /* whom his address lets in: deny wins; where some are allowed, nobody else is */
    struct conf_network *allow, *deny;
    size_t allow_n, deny_n;              /* 0: the list is not there */
};

struct conf_passthrough {
    char *name;                          /* lower case; "*.example.com": any below; "*": whatever no other entry takes */
    size_t upstream;                     /* index into conf.upstreams */
    uint64_t idle_timeout_ms;
};

/* A file that the configuration names. What is in it is for the gateway to judge: see conf_complain. */
struct conf_file {
    char *path;                          /* NULL: none */
    size_t offset;                       /* of its name in the source */
};

struct conf_certificate {
    struct conf_file certificate, key;
};

enum conf_client_auth { CONF_CLIENT_AUTH_OFF, CONF_CLIENT_AUTH_OPTIONAL, CONF_CLIENT_AUTH_REQUIRE };
enum conf_tls_version { CONF_TLS_1_2 = 0x303, CONF_TLS_1_3 = 0x304 };
struct conf_listener_tls {
    struct conf_certificate *certificates;       /* at least one; the first is for whoever names none of theirs */
    size_t certificates_n;
    unsigned *versions;                  /* enum conf_tls_version; versions_n 0: all */
    size_t versions_n;
    enum conf_client_auth client_auth;
    struct conf_file client_ca;          /* whose certificates clients may show; there is one unless client_auth is off */
    bool tickets;
    struct conf_file ticket_keys;        /* none: random ones that rotate */
};

enum conf_redirect { CONF_REDIRECT_OFF, CONF_REDIRECT_HTTPS };
struct conf_listener {
    struct conf_address address;
    char *name;                          /* for match.listener; defaults to the address's text */
    bool tls_on;
    struct conf_listener_tls tls;
    enum conf_redirect redirect;
    struct conf_network *trusted;
    size_t trusted_n;
    enum conf_proxy_protocol proxy_protocol;
    enum conf_real_address real_address;
    struct conf_admission admission;
    struct conf_passthrough *passthrough;        /* passthrough_n 0: what comes is HTTP */
    size_t passthrough_n;
};

struct conf_server {
    struct conf_address address;
    char *id;                            /* its name in logs, metrics, cookies and hashing; NULL: the address */
    unsigned weight;                     /* 1 … 1000 */
    bool backup;
    bool drain;
};

struct conf_upstream_tls {
    bool verify;
    struct conf_file ca;
    char *server_name;                   /* NULL: each server's host */
    struct conf_certificate client;      /* what is shown to servers that ask; both files or none */
};

enum conf_protocol { CONF_PROTOCOL_HTTP, CONF_PROTOCOL_FASTCGI };
enum conf_send_proxy { CONF_SEND_PROXY_OFF, CONF_SEND_PROXY_V1, CONF_SEND_PROXY_V2 };
enum conf_balance { CONF_BALANCE_ROUND_ROBIN, CONF_BALANCE_LEAST_BUSY, CONF_BALANCE_HASH };
struct conf_eject {
    unsigned failures;                   /* in a row; 0: off */
    uint64_t for_ms;
    unsigned error_rate;                 /* percent; 0: off */
    uint64_t window_ms;                  /* … of the requests in so long … */
    uint64_t requests;                   /* … if there were so many */
    bool statuses;                       /* 500, 502, 503 and 504 are failures, too */
};
/* Exactly one of the first four says what a check does. */
struct conf_health {
    bool tcp;
    char *http, *websocket;              /* paths, as they stand on the wire; NULL: not this one */
    char *fastcgi;                       /* a path, or "values" */
    uint64_t interval_ms, timeout_ms;
    unsigned rise, fall;                 /* results in a row */
    unsigned status;                     /* that an answer has to have; 0: 200 to 399 */
    char *body;                          /* text that has to be in it; NULL: none */
    char *host;                          /* NULL: the server's address */
};

enum conf_hash_kind { CONF_HASH_CLIENT, CONF_HASH_PATH, CONF_HASH_HEADER, CONF_HASH_COOKIE };
struct conf_hash {
    enum conf_hash_kind kind;
    char *name;                          /* of the header or the cookie */
};

/* Which scripts an application may be asked for, where links are involved. */
enum conf_symlinks { CONF_SYMLINKS_INSIDE, CONF_SYMLINKS_ANYWHERE, CONF_SYMLINKS_UNCHECKED };
/* Does an application have to be told how long a body is? */
enum conf_length { CONF_LENGTH_REQUIRED, CONF_LENGTH_OPTIONAL };
struct conf_fastcgi {
    char *root;                          /* NULL: none. Without script and split the application is not a file */
    char *script, *split, *index;        /* NULL: none; never script and split */
    enum conf_symlinks symlinks;         /* with split */
    struct field *params;
    size_t params_n;
    uint64_t stderr_bytes;               /* of one request, that are logged; 0: off */
    enum conf_length length;
    uint64_t body_memory, body_max;      /* with CONF_LENGTH_REQUIRED: of a body whose length is not told in its head */
    char *body_folder;
    bool multiplex;
    uint64_t multiplex_memory, multiplex_file;   /* held for a client that does not keep up with others on the connection; file 0: off */
};

enum conf_same_site { CONF_SAME_SITE_LAX, CONF_SAME_SITE_STRICT, CONF_SAME_SITE_NONE };
enum conf_secure { CONF_SECURE_AUTO, CONF_SECURE_ON };
struct conf_sticky {
    char *cookie;                        /* a token */
    struct conf_file key_file;
    uint64_t max_age_ms;                 /* 0: the client's session */
    enum conf_same_site same_site;
    enum conf_secure secure;
};

struct conf_upstream {
    char *name;
    enum conf_protocol protocol;
    struct conf_server *servers;
    size_t servers_n;
    enum conf_balance balance;
    struct conf_eject eject;
    uint64_t resolve_ms;                 /* 0: off, a name is one server */
    uint64_t slow_start_ms;              /* 0: off */
    bool health_on;
    struct conf_health health;
    struct conf_hash hash;               /* with CONF_BALANCE_HASH */
    unsigned hash_bound;                 /* percent of its share that a server may have, for a key to go there; 0: off */
    bool sticky_on;
    struct conf_sticky sticky;
    bool tls_on;
    struct conf_upstream_tls tls;
    unsigned keepalive;                  /* idle connections kept per worker and server; 0: off */
    uint64_t keepalive_timeout_ms;       /* how long an idle one is kept */
    unsigned retries;
    enum conf_send_proxy send_proxy;     /* not off: no connection is kept, since each speaks for one client */
    struct conf_fastcgi fastcgi;         /* with CONF_PROTOCOL_FASTCGI */
    uint64_t connections;                /* to each server, of all workers together, kept ones too; 0: off */
    uint64_t queue;                      /* requests that wait for one, at once */
    uint64_t queue_timeout_ms;           /* … and how long each */
};

struct conf_admin {                      /* where the gateway is looked at and spoken to while it runs */
    struct conf_address address;
    char **hosts;                        /* names that its users call it by, lower case, beside addresses and localhost; "*.example.com": any below */
    size_t hosts_n;
};

struct conf_timeouts {
    uint64_t tls_handshake_ms, header_ms, body_ms, keepalive_ms, connect_ms, response_ms, drain_delay_ms, drain_ms, drain_spread_ms;
};

enum conf_compression { CONF_COMPRESSION_PASS, CONF_COMPRESSION_STRIP };
enum conf_websocket_mode { CONF_WEBSOCKET_ON, CONF_WEBSOCKET_OFF };
struct conf_websocket {
    enum conf_websocket_mode mode;
    enum ws_verify verify;
    uint64_t handshake_timeout_ms, idle_timeout_ms, close_timeout_ms;
    uint64_t max_message, max_frame;     /* 0: off */
    uint64_t max_fragments;              /* frames of one message; 0: off */
    uint64_t ping_interval_ms;           /* 0: off */
    uint64_t slow_timeout_ms;
    uint64_t max_lifetime_ms;            /* 0: off */
    unsigned rate;                       /* messages per second from the client; 0: off */
    unsigned drain_code;                 /* of the Close when the gateway drains: 1001 or 1012 */
    enum conf_compression compression;
    char **origins;                      /* as a browser writes them, lower case; origins_n 0: any */
    size_t origins_n;
    char **protocols;                    /* subprotocols that may be offered onward; protocols_n 0: any */
    size_t protocols_n;
};

struct conf_match {
    char *host;                          /* lower case, no port; NULL: any; "*.example.com": any below; IPv6 in brackets */
    char *path;                          /* NULL: any; in normal form, decoded; a prefix on segment borders, unless path_exact */
    bool path_exact;
    char **methods;                      /* methods_n 0: any */
    size_t methods_n;
    char *listener;                      /* NULL: any */
};

struct conf_path {                       /* NULL: nothing */
    char *strip;                         /* begins match.path, on a segment border; no slash at its end */
    char *prepend;                       /* as it stands on the wire; no slash at its end */
};

struct conf_headers {                    /* no name in them is rules_is_machinery */
    struct rules_changes request, response;
};

struct conf_auth_forward {
    size_t upstream;                     /* index into conf.upstreams */
    char *path;                          /* as it stands on the wire */
    char **pass;                         /* fields of a good answer that go on to the server */
    size_t pass_n;
    uint64_t timeout_ms;
};

struct conf_auth_basic {
    struct conf_file file;               /* name:hash lines */
    char *realm;
    char *user_field;                    /* NULL: none */
};

struct conf_auth {
    struct conf_auth_basic basic;
    bool basic_on;                       /* at most one of the two */
    struct conf_auth_forward forward;
    bool forward_on;
};

struct conf_client_certificate {         /* which clients' certificates are let in: those that were verified, and of them … */
    char **subjects;                     /* … these, as RFC 4514 writes them … */
    size_t subjects_n;
    char **fingerprints;                 /* … and these, SHA-256 in small hexadecimal digits; neither list: all */
    size_t fingerprints_n;
};

struct conf_redirect_to {
    unsigned status;
    char *to;                            /* a URL, or a path here; {host} and {uri} stand for the request's own */
};

struct conf_respond {
    unsigned status;
    char *body;                          /* NULL: none */
    char *content_type;
};

struct conf_route {
    struct conf_match match;
    bool upstream_on, redirect_on, respond_on;   /* one of them */
    size_t upstream;                     /* index into conf.upstreams */
    struct conf_redirect_to redirect;
    struct conf_respond respond;
    struct conf_admission admission;
    bool client_certificate_on;
    struct conf_client_certificate client_certificate;
    struct conf_auth auth;
    struct conf_path path;
    struct conf_headers headers;
    struct conf_websocket websocket;
    struct conf_timeouts timeouts;       /* the global ones with this route's changes */
};

struct conf_access {
    char *to;                            /* "stdout" or a path */
    enum conf_access_format format;
};

struct conf_log {
    enum conf_log_level level;
    struct conf_access access;
};

struct conf_rate {
    uint64_t count;                      /* 0: off */
    uint64_t per_ms;
};

struct conf_limits {
    uint64_t header_bytes, header_fields, connections;
    unsigned connections_per_client;     /* 0: off */
    struct conf_rate handshakes_per_client, requests_per_client;
    uint64_t tls_handshakes;             /* TLS handshakes in progress at once, all workers together */
    uint64_t body_bytes;                 /* 0: off */
};

/* What a TLS handshake with a client proved, and servers can be told. A row: F(name, word, in words). */
#define CONF_TLS_FACT_TABLE(F)                                                                    \
    F(VERSION, "version", "TLSv1.3")                                                              \
    F(CIPHER, "cipher", "TLS_AES_128_GCM_SHA256, as OpenSSL names it")                            \
    F(SERVER_NAME, "server_name", "the name that the client asked for")                           \
    F(CLIENT_VERIFY, "client_verify", "SUCCESS, or NONE where no certificate was shown")          \
    F(CLIENT_SUBJECT, "client_subject", "CN=alice,O=Example,C=DE (RFC 4514)")                     \
    F(CLIENT_ISSUER, "client_issuer", "the same of who issued it")                                \
    F(CLIENT_SERIAL, "client_serial", "its serial number, hexadecimal")                           \
    F(CLIENT_FINGERPRINT, "client_fingerprint", "its SHA-256, hexadecimal")                       \
    F(CLIENT_CERTIFICATE, "client_certificate", "the certificate as RFC 9440 has it: :base64:")
enum conf_tls_fact {
#define CONF_TLS_FACT_ENUM(name, word, words) CONF_TLS_FACT_##name,
    CONF_TLS_FACT_TABLE(CONF_TLS_FACT_ENUM)
#undef CONF_TLS_FACT_ENUM
    CONF_TLS_FACTS
};
extern const char *const conf_tls_fact_words[CONF_TLS_FACTS];

enum conf_traceparent { CONF_TRACEPARENT_PASS, CONF_TRACEPARENT_START };
struct conf_forwarded {
    char *via;
    char *request_id;                    /* the field's name; NULL: off */
    enum conf_traceparent traceparent;
    bool x_forwarded, rfc7239;
    char **strip;                        /* further field names that only a trusted peer may send */
    size_t strip_n;
    struct field *tls_fields;            /* a field's name, and one of conf_tls_fact_words */
    size_t tls_fields_n;
};

struct conf {
    unsigned workers;                    /* 0 = auto: one per CPU */
    unsigned tls_threads;                /* 0 = auto: one per CPU */
    char *user, *group;                  /* whom to become, started as root; NULL: nobody else, the user's own */
    bool sandbox;
    char **sandbox_folders;
    size_t sandbox_folders_n;
    struct conf_log log;
    bool admin_on;
    struct conf_admin admin;
    struct conf_limits limits;
    struct conf_timeouts timeouts;
    struct conf_listener *listeners;     /* at least one, and so of upstreams and routes */
    size_t listeners_n;
    struct conf_upstream *upstreams;
    size_t upstreams_n;
    struct conf_route *routes;
    size_t routes_n;
    struct conf_forwarded forwarded;
    char *source_name;                   /* the file; NULL: made from options */
    struct span source_text;
};

/* Reads a file. NULL when it cannot be used; then (and for warnings) every message went to `messages`, one per problem, in the
 * form that config.md describes: file:line:column, what is wrong, the line, a caret, the nearest key. */
struct conf *conf_load_file(const char *path, FILE *messages);
/* The same for text in memory; `name` stands for the file in messages. */
struct conf *conf_load_text(const char *name, struct span text, FILE *messages);
/* The one-line form: --listen ADDRESS … --to ADDRESS …. One route for everything; `fcgi:` in front of a --to: they speak FastCGI. */
struct conf *conf_from_options(char *const *listen, size_t listen_n, char *const *to, size_t to_n, FILE *messages);
void conf_free(struct conf *c);

/* A message about the content of a file that the configuration names, in the same form: where it is named, a sentence. */
void conf_complain(const struct conf *c, const struct conf_file *about, bool warning, FILE *messages, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* Every file that the configuration names. */
typedef void conf_file_fn(void *ctx, const struct conf_file *file);
void conf_each_file(const struct conf *c, conf_file_fn *fn, void *ctx);

void conf_dump(const struct conf *c, FILE *out);             /* -T: YAML that loads to the same conf */
void conf_print_schema(FILE *out);                           /* --schema: JSON Schema */
void conf_print_reference(FILE *out);                        /* --reference: every key, type, default, bounds, sentence */
void conf_print_man(FILE *out);                              /* --man: upgate.yaml(5), roff */
const char *conf_yaml_version(void);

#endif
