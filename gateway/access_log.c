#include "gateway/access_log.h"
#include "protocol/mem.h"
#include "protocol/utf8.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

struct access_log {
    struct log_writer *writer;
    unsigned ring;                       /* of the writer's, this worker's */
    enum conf_access_format format;
    struct metrics *metrics;
    char *text;                          /* the line that is being written */
    size_t n, size;
    bool line_bad;                       /* it does not fit */
    time_t second;                       /* of the last JSON line, … */
    char second_text[40];                /* … as such a line begins */
};

void access_log_switch(struct access_log *l, struct log_writer *writer, enum conf_access_format format)
{
    l->writer = writer;
    l->format = writer == NULL ? CONF_ACCESS_OFF : format;
}

struct access_log *access_log_new(struct log_writer *writer, unsigned ring, enum conf_access_format format, struct metrics *metrics)
{
    struct access_log *l = mem_zalloc(sizeof(*l));

    if (l == NULL)
        return NULL;
    access_log_switch(l, writer, format);
    l->ring = ring;
    l->metrics = metrics;
    return l;
}

void access_log_free(struct access_log *l)
{
    if (l == NULL)
        return;
    mem_free(l->text);
    mem_free(l);
}

/* ---- a line ---- */

static bool room_for(struct access_log *l, size_t n)
{
    size_t size = l->size < 4096 ? 4096 : l->size;
    char *grown;

    while (size < l->n + n)
        size *= 2;
    if (size == l->size)
        return true;
    if (size > LOG_WRITER_BYTES)
        return false;
    grown = mem_realloc(l->text, size);
    if (grown == NULL)
        return false;
    l->text = grown;
    l->size = size;
    return true;
}

static void put(struct access_log *l, const char *text, size_t n)
{
    if (l->line_bad || (n > l->size - l->n && !room_for(l, n))) {
        l->line_bad = true;
        return;
    }
    if (n > 0)
        memcpy(l->text + l->n, text, n);
    l->n += n;
}

static void put_format(struct access_log *l, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put_format(struct access_log *l, const char *format, ...)
{
    char text[256];
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    put(l, text, n < (int)sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

static void put_decimal(struct access_log *l, uint64_t value)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    put(l, digits + at, sizeof(digits) - at);
}

static void line_begin(struct access_log *l)
{
    l->n = 0;
    l->line_bad = false;
}

static void line_end(struct access_log *l)
{
    put(l, "\n", 1);
    if (l->line_bad || !log_writer_put(l->writer, l->ring, l->text, l->n))
        metrics_add(&l->metrics->access_lines_dropped, 1);
}

/* ---- JSON ---- */

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void put_escaped(struct access_log *l, uint8_t c, bool utf8)
{
    if (c == '"' || c == '\\')
        put_format(l, "\\%c", c);
    else if (c >= 0x80 && utf8)
        put(l, (const char *)&c, 1);
    else
        put_format(l, "\\u%04x", c);
}

/* What needs no care goes in one piece. Bytes that are not UTF-8 are written as the code points of the same number, so that a line is
 * always JSON. */
static void put_characters(struct access_log *l, struct span s)
{
    size_t done = 0;
    bool utf8;

    while (done < s.n && is_plain(s.p[done]))
        done++;
    put(l, (const char *)s.p, done);
    utf8 = done == s.n || utf8_valid(s.p, s.n);
    while (done < s.n) {
        size_t from = done;
        while (done < s.n && is_plain(s.p[done]))
            done++;
        put(l, (const char *)s.p + from, done - from);
        if (done < s.n)
            put_escaped(l, s.p[done++], utf8);
    }
}

static void put_string(struct access_log *l, struct span s)
{
    bool cut = s.n > ACCESS_LOG_TEXT_BYTES;

    put(l, "\"", 1);
    put_characters(l, span_first(s, ACCESS_LOG_TEXT_BYTES));
    put(l, cut ? "…\"" : "\"", cut ? sizeof("…\"") - 1 : 1);
}

static void put_name(struct access_log *l, const char *name)
{
    put(l, ",\"", 2);
    put(l, name, strlen(name));
    put(l, "\":", 2);
}

static void put_text(struct access_log *l, const char *name, struct span value)
{
    put_name(l, name);
    put_string(l, value);
}

static void put_number(struct access_log *l, const char *name, uint64_t value)
{
    put_name(l, name);
    put_decimal(l, value);
}

/* The same second is written once. */
static void put_time_json(struct access_log *l)
{
    struct timespec now;
    struct tm parts;
    unsigned ms;

    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec != l->second || l->second_text[0] == '\0') {
        l->second = now.tv_sec;
        gmtime_r(&now.tv_sec, &parts);
        strftime(l->second_text, sizeof(l->second_text), "{\"time\":\"%Y-%m-%dT%H:%M:%S.", &parts);
    }
    ms = (unsigned)(now.tv_nsec / 1000000);
    put(l, l->second_text, strlen(l->second_text));
    put(l, (const char[]){ (char)('0' + ms / 100), (char)('0' + ms / 10 % 10), (char)('0' + ms % 10), 'Z', '"' }, 5);
}

static void put_text_if_any(struct access_log *l, const char *name, struct span value)
{
    if (value.n > 0)
        put_text(l, name, value);
}

static void json_begin(struct access_log *l, const char *kind, struct span client, struct span listener)
{
    put_time_json(l);
    put_text(l, "kind", span_of_text(kind));
    put_text(l, "client", client);
    put_text(l, "listener", listener);
}

static void json_request(struct access_log *l, const char *kind, const struct access_request *r)
{
    json_begin(l, kind, r->client, r->listener);
    put_text_if_any(l, "request_id", r->id);
    put_text_if_any(l, "trace_id", r->trace_id);
    put_text_if_any(l, "user", r->user);
    put_text(l, "method", r->method);
    put_text(l, "target", r->target);
    put_text(l, "host", r->host);
    if (r->tls.version != NULL) {
        put_text(l, "tls", span_of_text(r->tls.version));
        put_text(l, "cipher", span_of_text(r->tls.cipher));
    }
    put_text_if_any(l, "client_subject", r->tls.client_subject);
    put_text_if_any(l, "upstream", r->upstream);
    put_text_if_any(l, "server", r->server);
}

static void json_end(struct access_log *l, enum end_reason end, enum fault fault, const char *detail)
{
    put_text(l, "end", span_of_text(end_reason_word(end)));
    if (fault != FAULT_NONE)
        put_text(l, "fault", span_of_text(fault_word(fault)));
    if (detail != NULL)
        put_text(l, "detail", span_of_text(detail));
    put(l, "}", 1);
}

static void open_object(struct access_log *l, const char *name, const char *first, uint64_t value)
{
    put_name(l, name);
    put(l, "{\"", 2);
    put(l, first, strlen(first));
    put(l, "\":", 2);
    put_decimal(l, value);
}

static void json_direction(struct access_log *l, const char *name, const struct access_direction *d)
{
    open_object(l, name, "frames", d->frames);
    put_number(l, "messages", d->messages);
    put_number(l, "bytes", d->bytes);
    put_number(l, "pings", d->pings);
    put_number(l, "pongs", d->pongs);
    put_number(l, "close_code", d->close_code);
    put_number(l, "blocked_ms", d->blocked_ms);
    if (d->rtt.n > 0) {
        open_object(l, "rtt_ms", "n", d->rtt.n);
        put_number(l, "min", d->rtt.least_ms);
        put_number(l, "avg", d->rtt.sum_ms / d->rtt.n);
        put_number(l, "max", d->rtt.most_ms);
        put(l, "}", 1);
    }
    put(l, "}", 1);
}

/* ---- the combined format ---- */

static void combined_escaped(struct access_log *l, struct span s, uint8_t least)
{
    for (size_t i = 0; i < s.n && i < ACCESS_LOG_TEXT_BYTES; i++) {
        uint8_t c = s.p[i];
        if (c < least || c >= 0x7f || c == '"' || c == '\\')
            put_format(l, "\\x%02x", c);
        else
            put(l, (const char *)&c, 1);
    }
}

/* A word between blanks. */
static void combined_word(struct access_log *l, struct span s)
{
    combined_escaped(l, s.n > 0 ? s : SPAN_LITERAL("-"), ' ' + 1);
}

static void combined_quoted(struct access_log *l, struct span s)
{
    put(l, "\"", 1);
    combined_escaped(l, s, ' ');
    put(l, s.n == 0 ? "-\"" : "\"", s.n == 0 ? 2 : 1);
}

static void put_time_combined(struct access_log *l)
{
    time_t now = time(NULL);
    struct tm parts;
    char text[40];

    gmtime_r(&now, &parts);
    strftime(text, sizeof(text), " [%d/%b/%Y:%H:%M:%S +0000] ", &parts);
    put(l, text, strlen(text));
}

/* "192.0.2.1:80", "[::1]:80", "unix:", and without a port where it is not known. */
static size_t address_size(struct span client)
{
    size_t n = client.n;

    while (n > 0 && client.p[n - 1] != ':' && client.p[n - 1] != ']')
        n--;
    if (n == 0)
        return client.n;
    return client.p[n - 1] == ':' ? n - 1 : n;
}

static void combined_request(struct access_log *l, const struct access_request *r, unsigned status, uint64_t bytes)
{
    struct span address = span_first(r->client, address_size(r->client));
    char line[ACCESS_LOG_TEXT_BYTES];
    int n;

    put(l, (const char *)address.p, address.n);
    put(l, " - ", 3);
    combined_word(l, r->user);
    put_time_combined(l);
    n = snprintf(line, sizeof(line), "%.*s %.*s HTTP/1.%u", SPAN_FORMAT(r->method), SPAN_FORMAT(r->target), r->version_minor);
    combined_quoted(l, span_of(line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1));
    put_format(l, " %u %" PRIu64 " ", status, bytes);
    combined_quoted(l, r->referer);
    put(l, " ", 1);
    combined_quoted(l, r->user_agent);
}

/* ---- the kinds of line ---- */

bool access_log_is_on(const struct access_log *l)
{
    return l->format != CONF_ACCESS_OFF;
}

void access_log_exchange(struct access_log *l, const struct access_exchange *x)
{
    if (l->format == CONF_ACCESS_OFF)
        return;
    line_begin(l);
    if (l->format == CONF_ACCESS_COMBINED) {
        combined_request(l, &x->request, x->status, x->bytes_out);
    } else {
        json_request(l, "exchange", &x->request);
        if (x->route != 0)
            put_number(l, "route", x->route);
        put_number(l, "status", x->status);
        put_number(l, "bytes_in", x->bytes_in);
        put_number(l, "bytes_out", x->bytes_out);
        put_number(l, "duration_ms", x->duration_ms);
        if (x->answered)
            put_number(l, "response_ms", x->response_ms);
        if (x->attempts > 1)
            put_number(l, "attempts", x->attempts);
        put_text_if_any(l, "sticky", span_of_text(x->sticky));
        json_end(l, x->end, x->fault, x->detail);
    }
    line_end(l);
}

void access_log_tunnel(struct access_log *l, const struct access_tunnel *t)
{
    if (l->format != CONF_ACCESS_JSON)
        return;                          /* the combined format has its line from the exchange */
    line_begin(l);
    json_request(l, "tunnel", &t->request);
    put_text_if_any(l, "protocol", t->protocol);
    put_text(l, "compression", span_of_text(t->deflate ? "permessage-deflate" : "none"));
    put_number(l, "duration_ms", t->duration_ms);
    json_direction(l, "from_client", &t->from_client);
    json_direction(l, "from_server", &t->from_server);
    put_text(l, "closed_by", span_of_text(t->closed_by));
    json_end(l, t->end, t->fault, NULL);
    line_end(l);
}

void access_log_passthrough(struct access_log *l, const struct access_passthrough *p)
{
    if (l->format != CONF_ACCESS_JSON)
        return;                          /* the combined format is for requests */
    line_begin(l);
    json_begin(l, "passthrough", p->client, p->listener);
    put_text(l, "server_name", p->server_name);
    put_text_if_any(l, "alpn", p->alpn);
    put_text_if_any(l, "upstream", p->upstream);
    put_text_if_any(l, "server", p->server);
    put_number(l, "bytes_in", p->bytes_in);
    put_number(l, "bytes_out", p->bytes_out);
    put_number(l, "duration_ms", p->duration_ms);
    if (p->attempts > 1)
        put_number(l, "attempts", p->attempts);
    put_text(l, "closed_by", span_of_text(p->closed_by));
    json_end(l, p->end, p->fault, p->detail);
    line_end(l);
}
