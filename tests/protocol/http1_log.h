/* http1_log: runs http1_parse over arriving bytes and writes one short line of what came out.
 *
 *   GET /x 1.1 none keep;        a request's head: method, target, version, body (none, length=N, chunked, close), keep or close
 *   200 OK 1.1 length=3 keep;    a response's
 *   [A: b|C: d]                  its fields, where asked for
 *   'abc'                        body bytes, however they were cut
 *   .                            the end; .{A: b} with trailers
 *   !word@12                     a fault, and how many bytes were consumed up to it
 *   ~ ~end ~truncated            what the end of the stream meant; not after a fault */
#ifndef UPGATE_TESTS_PROTOCOL_HTTP1_LOG_H
#define UPGATE_TESTS_PROTOCOL_HTTP1_LOG_H

#include "protocol/http1_parse.h"
#include "tests/protocol/split.h"

struct http1_log {
    struct http1_parse *parse;
    enum http1_kind kind;
    bool head_request;                   /* responses: to a HEAD */
    bool show_fields;
    size_t most_taken;                   /* of one BODY event; 0: all of it */
    bool in_body;                        /* a quote is open */
};

static inline void http1_log_text(struct split_log *log, struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        bool plain = s.p[i] >= 0x20 && s.p[i] < 0x7f && s.p[i] != '\\';
        split_write(log, plain ? "%c" : "\\x%02x", s.p[i]);
    }
}

static inline void http1_log_fields(struct split_log *log, const struct headers *fields)
{
    for (size_t i = 0; i < fields->n; i++) {
        split_write(log, "%s", i > 0 ? "|" : "");
        http1_log_text(log, fields->fields[i].name);
        split_write(log, ": ");
        http1_log_text(log, fields->fields[i].value);
    }
}

static inline void http1_log_head(const struct http1_log *l, struct split_log *log, const struct http1_head *head)
{
    static const char *const bodies[] = { "none", "length", "chunked", "close" };

    if (l->kind == HTTP1_REQUEST) {
        http1_log_text(log, head->method);
        split_write(log, " ");
        http1_log_text(log, head->target);
    } else {
        split_write(log, "%u ", head->status);
        http1_log_text(log, head->reason);
    }
    split_write(log, " 1.%u %s", head->version_minor, bodies[head->body]);
    if (head->has_content_length)
        split_write(log, "=%llu", (unsigned long long)head->content_length);
    split_write(log, " %s;", head->keep_alive ? "keep" : "close");
    if (!l->show_fields)
        return;
    split_write(log, "[");
    http1_log_fields(log, &head->fields);
    split_write(log, "]");
}

static inline void http1_log_quote(struct http1_log *l, struct split_log *log, bool open)
{
    if (l->in_body != open)
        split_write(log, "'");
    l->in_body = open;
}

/* One event. How many bytes of body were taken. */
static inline size_t http1_log_event(struct http1_log *l, struct split_log *log, const struct http1_result *r, size_t consumed)
{
    size_t taken = r->data.n;

    http1_log_quote(l, log, r->event == HTTP1_BODY || (l->in_body && r->event == HTTP1_MORE));
    switch (r->event) {
    case HTTP1_HEAD:
        http1_log_head(l, log, r->head);
        return 0;
    case HTTP1_BODY:
        if (l->most_taken > 0 && taken > l->most_taken)
            taken = l->most_taken;
        http1_log_text(log, span_first(r->data, taken));
        http1_parse_took(l->parse, taken);
        return taken;
    case HTTP1_END:
        split_write(log, ".");
        if (r->trailers->n > 0) {
            split_write(log, "{");
            http1_log_fields(log, r->trailers);
            split_write(log, "}");
        }
        return 0;
    case HTTP1_FAULT:
        split_write(log, "!%s@%zu", fault_word(r->fault), consumed);
        return 0;
    case HTTP1_MORE:
        break;
    }
    return 0;
}

static inline void http1_log_eof(struct http1_log *l, struct split_log *log)
{
    struct http1_result r;

    http1_log_quote(l, log, false);
    http1_parse_eof(l->parse, &r);
    split_write(log, "~%s", r.event == HTTP1_FAULT ? fault_word(r.fault) : r.event == HTTP1_END ? "end" : "");
}

/* A split_run whose ctx is a struct http1_log: message after message until a fault or the bytes' end. */
static inline void http1_log_run(void *ctx, struct span bytes, const struct split_arrival *arrival, struct split_log *log)
{
    struct http1_log *l = ctx;
    size_t seen = split_next(arrival, 0, bytes.n), at = 0;
    struct http1_result r = { .event = HTTP1_MORE };

    l->in_body = false;
    http1_parse_reset(l->parse);
    http1_parse_expect(l->parse, l->head_request);
    while (r.event != HTTP1_FAULT) {
        at += http1_parse_next(l->parse, bytes.p + at, seen - at, &r);
        at += http1_log_event(l, log, &r, at);
        if (r.event == HTTP1_END && at == bytes.n)
            return;
        if (r.event == HTTP1_END)
            http1_parse_reset(l->parse);
        if (r.event == HTTP1_MORE && seen == bytes.n) {
            http1_log_eof(l, log);
            return;
        }
        if (r.event == HTTP1_MORE)
            seen = split_next(arrival, seen, bytes.n);
    }
}

#endif
