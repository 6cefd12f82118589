#include "interop/app/http_reply.h"

#include "protocol/http1_write.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define CHUNK_FRAMING_BYTES (HTTP1_CHUNK_HEAD_BYTES + 2)

/* --- the request --- */

void http_request_begin(struct http_request *r, const struct http1_head *head)
{
    size_t mark = span_find(head->target, '?');

    r->head = head;
    r->path = span_first(head->target, mark);
    r->query = span_from(head->target, mark + 1);
    r->body_bytes = 0;
    r->body_hash = 0xcbf29ce484222325;
}

void http_request_count(struct http_request *r, struct span body)
{
    uint64_t hash = r->body_hash;

    for (size_t i = 0; i < body.n; i++)
        hash = (hash ^ body.p[i]) * 0x100000001b3;
    r->body_hash = hash;
    r->body_bytes += body.n;
}

/* --- the reply --- */

static size_t whole_body(struct http_reply *r, uint8_t *out, size_t room, uint64_t *wait_ms_out)
{
    struct span rest = span_first(span_from(r->body, (size_t)r->done), room);

    (void)wait_ms_out;
    if (rest.n > 0)
        memcpy(out, rest.p, rest.n);
    r->done += rest.n;
    return rest.n;
}

bool http_reply_settle(struct http_reply *r, unsigned version_minor)
{
    if (r->next == NULL) {
        r->next = whole_body;
        r->framing = HTTP1_BODY_LENGTH;
        r->length = r->body.n;
    }
    if (r->framing == HTTP1_BODY_CHUNKED && version_minor == 0)
        r->framing = HTTP1_BODY_CLOSE;   /* HTTP/1.0 knows no chunks */
    return r->framing != HTTP1_BODY_CLOSE;
}

/* --- the head --- */

static struct span text_of_now(struct arena *a)
{
    char text[40];
    time_t now = time(NULL);
    struct tm parts;

    gmtime_r(&now, &parts);
    strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    return arena_copy(a, span_of_text(text));
}

static struct span text_of_number(struct arena *a, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    return arena_copy(a, span_of_text(text));
}

struct span http_reply_head(const struct http_reply *r, const char *connection, struct arena *arena)
{
    struct headers fields;

    headers_init(&fields, arena, 0);
    headers_add(&fields, SPAN_LITERAL("Date"), text_of_now(arena));
    headers_add(&fields, SPAN_LITERAL("Server"), SPAN_LITERAL("demo_http_app"));
    headers_add(&fields, SPAN_LITERAL("Content-Type"), span_of_text(r->type));
    headers_add(&fields, SPAN_LITERAL("Cache-Control"), SPAN_LITERAL("no-store"));
    if (r->allow != NULL)
        headers_add(&fields, SPAN_LITERAL("Allow"), span_of_text(r->allow));
    if (r->framing == HTTP1_BODY_CHUNKED)
        headers_add(&fields, SPAN_LITERAL("Transfer-Encoding"), SPAN_LITERAL("chunked"));
    else if (r->framing == HTTP1_BODY_LENGTH)
        headers_add(&fields, SPAN_LITERAL("Content-Length"), text_of_number(arena, r->length));
    if (connection != NULL)
        headers_add(&fields, SPAN_LITERAL("Connection"), span_of_text(connection));
    return http1_write_response_head(arena, r->status, SPAN_EMPTY, &fields);
}

/* --- the body --- */

/* A chunk's data was made behind the room for its head, and the head is then put right before it. */
static struct span frame_chunk(uint8_t *room, size_t n)
{
    uint8_t head[HTTP1_CHUNK_HEAD_BYTES];
    size_t head_n = http1_write_chunk_head(head, n);
    uint8_t *start = room + HTTP1_CHUNK_HEAD_BYTES - head_n;

    memcpy(start, head, head_n);
    memcpy(start + head_n + n, "\r\n", 2);
    return span_of(start, head_n + n + 2);
}

struct span http_reply_piece(struct http_reply *r, uint8_t room[HTTP_REPLY_ROOM_BYTES], uint64_t *wait_ms_out)
{
    size_t n;

    if (r->ended)
        return SPAN_EMPTY;
    if (r->framing != HTTP1_BODY_CHUNKED)
        return span_of(room, r->next(r, room, HTTP_REPLY_ROOM_BYTES, wait_ms_out));
    n = r->next(r, room + HTTP1_CHUNK_HEAD_BYTES, HTTP_REPLY_ROOM_BYTES - CHUNK_FRAMING_BYTES, wait_ms_out);
    r->ended = n == 0;
    return r->ended ? SPAN_LITERAL("0\r\n\r\n") : frame_chunk(room, n);
}
