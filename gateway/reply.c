#include "gateway/reply.h"
#include "protocol/http1_write.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define RETRY_AFTER_S 5                  /* where nobody knows better */

struct span reply_date(void)
{
    static _Thread_local char text[64];
    static _Thread_local time_t made;
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    time_t now = time(NULL);
    struct tm t;

    if (now != made) {
        gmtime_r(&now, &t);
        snprintf(text, sizeof(text), "%.3s, %02d %.3s %04d %02d:%02d:%02d GMT", days + (ptrdiff_t)3 * t.tm_wday, t.tm_mday % 100,
                 months + (ptrdiff_t)3 * t.tm_mon, (t.tm_year + 1900) % 10000, t.tm_hour % 100, t.tm_min % 100, t.tm_sec % 100);
        made = now;
    }
    return span_of(text, 29);
}

static enum fault add(struct headers *h, const char *name, const char *value)
{
    return headers_add(h, span_of_text(name), span_of_text(value));
}

/* RFC 9110 sections 9.3.7 (OPTIONS), 15.5.6 (405), 15.5.22 (426), 10.2.3 (Retry-After); RFC 6455 section 4.4. */
static enum fault add_what_the_status_wants(struct headers *h, const struct reply *r, const char *retry_after)
{
    unsigned status = r->status;
    enum fault f = FAULT_NONE;

    if (status == 426) {
        f = add(h, "Upgrade", "websocket");
        if (f == FAULT_NONE)
            f = add(h, "Sec-WebSocket-Version", "13");
    } else if (status == 405 || (status == 200 && r->content_type == NULL)) {
        f = add(h, "Allow", "GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH");
    } else if (status == 503 || status == 429) {
        f = add(h, "Retry-After", retry_after);
    }
    return f;
}

/* RFC 7617 section 2; RFC 9110 section 5.6.4 for the quotes. */
static enum fault add_challenge(struct headers *h, const char *realm)
{
    static const char before[] = "Basic realm=\"", behind[] = "\", charset=\"UTF-8\"";
    size_t n = sizeof(before) - 1;
    char *text = arena_alloc(h->arena, 2 * strlen(realm) + sizeof(before) + sizeof(behind));

    if (text == NULL)
        return FAULT_NO_MEMORY;
    memcpy(text, before, n);
    for (; *realm != '\0'; realm++) {
        if (*realm == '"' || *realm == '\\')
            text[n++] = '\\';
        text[n++] = *realm;
    }
    memcpy(text + n, behind, sizeof(behind));
    return add(h, "WWW-Authenticate", text);
}

static const char *connection_value(const struct reply *r)
{
    if (r->status == 426)
        return r->keep_alive ? "Upgrade" : "Upgrade, close";
    if (!r->keep_alive)
        return "close";
    return r->version_minor == 0 ? "keep-alive" : NULL;
}

/* Numbers as text; they have to outlive the head. */
struct numbers {
    char length[16], retry_after[16];
};

/* RFC 9110 section 8.6: no Content-Length in a 204; what it would say of a 304 is not known. */
static bool is_bodiless(unsigned status)
{
    return status == 204 || status == 304;
}

static enum fault fill(struct headers *h, const struct reply *r, const struct numbers *text)
{
    const char *connection = connection_value(r);
    enum fault f = headers_add(h, SPAN_LITERAL("Date"), reply_date());

    if (f == FAULT_NONE && (r->content_type == NULL || r->body.n > 0))
        f = add(h, "Content-Type", r->content_type != NULL ? r->content_type : "text/plain; charset=utf-8");
    if (f == FAULT_NONE && !is_bodiless(r->status))
        f = add(h, "Content-Length", text->length);
    if (f == FAULT_NONE)
        f = add_what_the_status_wants(h, r, text->retry_after);
    if (f == FAULT_NONE && r->realm != NULL)
        f = add_challenge(h, r->realm);
    if (f == FAULT_NONE && r->location.n > 0)
        f = headers_add(h, SPAN_LITERAL("Location"), r->location);
    if (f == FAULT_NONE && connection != NULL)
        f = add(h, "Connection", connection);
    return f;
}

static struct span sentence_of(const struct reply *r, char *room, size_t size)
{
    const char *reason = http1_reason(r->status);
    int n = r->sentence != NULL ? snprintf(room, size, "%u %s: %s.\n", r->status, reason, r->sentence)
                                : snprintf(room, size, "%u %s\n", r->status, reason);

    return span_of(room, (size_t)n < size ? (size_t)n : size - 1);
}

int reply_put(struct stream *s, const struct reply *r, uint64_t *body_bytes_out)
{
    struct arena arena;
    struct headers h;
    struct span head = SPAN_EMPTY;
    struct numbers text;
    char room[256];
    struct span body = r->content_type != NULL ? r->body : sentence_of(r, room, sizeof(room));
    bool tells = !r->head_request && !is_bodiless(r->status) && body.n > 0;
    int error;

    snprintf(text.length, sizeof(text.length), "%zu", body.n);
    snprintf(text.retry_after, sizeof(text.retry_after), "%u", r->retry_after_s > 0 ? r->retry_after_s : RETRY_AFTER_S);
    arena_init(&arena, 8192 + r->location.n);
    headers_init(&h, &arena, 0);
    if (fill(&h, r, &text) == FAULT_NONE)
        head = http1_write_response_head(&arena, r->status, SPAN_EMPTY, &h);
    error = head.p == NULL ? -ENOMEM : stream_put(s, head);
    if (error == 0 && tells)
        error = stream_put(s, body);
    arena_free(&arena);
    *body_bytes_out = tells ? body.n : 0;
    return error;
}
