#include "interop/app/ws_upgrade.h"

#include "protocol/base64.h"
#include "protocol/sha1.h"

#include <stdio.h>
#include <string.h>

#define ACCEPT_BYTES 28                  /* base64 of a SHA-1 */
#define KEY_BYTES 24                     /* base64 of 16 bytes */

/* --- the head, line by line --- */

/* Offset of what follows the first empty line, 0 when there is none yet. */
static size_t head_size(struct span s)
{
    for (size_t i = 3; i < s.n; i++)
        if (s.p[i] == '\n' && memcmp(s.p + i - 3, "\r\n\r\n", 4) == 0)
            return i + 1;
    return 0;
}

/* Cuts the first line off *rest; false at the end, or where a line does not end in CR LF. */
static bool next_line(struct span *rest, struct span *line_out)
{
    size_t end = span_find(*rest, '\n');

    if (end == rest->n || end == 0 || rest->p[end - 1] != '\r')
        return false;
    *line_out = span_first(*rest, end - 1);
    *rest = span_from(*rest, end + 1);
    return true;
}

static struct span trim(struct span s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = span_from(s, 1);
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* The next line of *rest that is the field `name`; its value without blanks around it. */
static bool next_field(struct span *rest, struct span name, struct span *value_out)
{
    struct span line;

    while (next_line(rest, &line)) {
        if (line.n <= name.n || line.p[name.n] != ':' || !span_equal_nocase(span_first(line, name.n), name))
            continue;
        *value_out = trim(span_from(line, name.n + 1));
        return true;
    }
    return false;
}

static bool list_has(struct span list, struct span member, bool any_case)
{
    while (list.n > 0) {
        struct span item = trim(span_first(list, span_find(list, ',')));

        if (any_case ? span_equal_nocase(item, member) : span_equal(item, member))
            return true;
        list = span_from(list, span_find(list, ',') + 1);
    }
    return false;
}

static bool field_lists(struct span fields, struct span name, struct span member, bool any_case)
{
    struct span value;

    while (next_field(&fields, name, &value))
        if (list_has(value, member, any_case))
            return true;
    return false;
}

/* The value of a field that must be there exactly once; empty otherwise. */
static struct span single_field(struct span fields, struct span name)
{
    struct span value, again;

    if (!next_field(&fields, name, &value) || next_field(&fields, name, &again))
        return SPAN_EMPTY;
    return value;
}

/* --- the request --- */

static bool key_is_good(struct span key)
{
    uint8_t bytes[KEY_BYTES];

    return key.n == KEY_BYTES && base64_decode(key, bytes) == 16;
}

/* "GET /path?query HTTP/1.1" */
static int read_request_line(struct span line, struct ws_upgrade *out)
{
    size_t mark;

    if (!span_starts_with(line, SPAN_LITERAL("GET ")))
        return -405;
    if (line.n < 14 || line.p[4] != '/' || !span_ends_with(line, SPAN_LITERAL(" HTTP/1.1")))
        return -400;
    line = span_first(span_from(line, 4), line.n - 13);
    mark = span_find(line, '?');
    out->path = span_first(line, mark);
    out->query = span_from(line, mark + 1);
    return 0;
}

static int read_fields(struct ws_upgrade *u)
{
    if (!field_lists(u->fields, SPAN_LITERAL("upgrade"), SPAN_LITERAL("websocket"), true))
        return -426;
    if (!field_lists(u->fields, SPAN_LITERAL("connection"), SPAN_LITERAL("upgrade"), true))
        return -426;
    if (!span_equal(single_field(u->fields, SPAN_LITERAL("sec-websocket-version")), SPAN_LITERAL("13")))
        return -426;
    if (single_field(u->fields, SPAN_LITERAL("host")).n == 0)
        return -400;
    u->key = single_field(u->fields, SPAN_LITERAL("sec-websocket-key"));
    return key_is_good(u->key) ? 0 : -400;
}

int ws_upgrade_read(const uint8_t *p, size_t n, struct ws_upgrade *out)
{
    struct span head = { p, n }, line;
    size_t size = head_size(head);
    int error;

    if (size == 0)
        return n < WS_UPGRADE_HEAD_MAX_BYTES ? 0 : -431;
    head.n = size - 2;                   /* without the empty line */
    if (!next_line(&head, &line))
        return -400;
    *out = (struct ws_upgrade){ .fields = head };
    error = read_request_line(line, out);
    if (error == 0)
        error = read_fields(out);
    return error != 0 ? error : (int)size;
}

bool ws_upgrade_offers(const struct ws_upgrade *u, const char *subprotocol)
{
    return field_lists(u->fields, SPAN_LITERAL("sec-websocket-protocol"), span_of_text(subprotocol), false);
}

/* --- the answer --- */

size_t ws_upgrade_accept(const struct ws_upgrade *u, const char *subprotocol, char out[WS_UPGRADE_ANSWER_MAX_BYTES])
{
    uint8_t digest[SHA1_BYTES], accept[ACCEPT_BYTES];
    int n;

    sha1_of_two(u->key, SPAN_LITERAL("258EAFA5-E914-47DA-95CA-C5AB0DC85B11"), digest);
    base64_encode(span_of(digest, sizeof(digest)), accept);
    n = snprintf(out, WS_UPGRADE_ANSWER_MAX_BYTES,
                 "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: %.*s\r\n%s%s%s\r\n",
                 ACCEPT_BYTES, (const char *)accept, subprotocol != NULL ? "Sec-WebSocket-Protocol: " : "",
                 subprotocol != NULL ? subprotocol : "", subprotocol != NULL ? "\r\n" : "");
    return (size_t)n;
}

struct refusal {
    int status;
    const char *reason, *sentence, *field;
};

static const struct refusal refusals[] = {
    { 404, "Not Found", "there is a WebSocket at /echo and one at /chat", "" },
    { 405, "Method Not Allowed", "a WebSocket handshake is a GET", "Allow: GET\r\n" },
    { 426, "Upgrade Required", "this server speaks WebSocket version 13 only",
      "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" },
    { 431, "Request Header Fields Too Large", "the request's head is too large", "" },
    { 400, "Bad Request", "the request is not a WebSocket handshake", "" },       /* the last one stands for all others */
};

size_t ws_upgrade_refuse(int status, char out[WS_UPGRADE_ANSWER_MAX_BYTES])
{
    const struct refusal *r = refusals;
    const struct refusal *last = &refusals[sizeof(refusals) / sizeof(refusals[0]) - 1];
    int n;

    while (r < last && r->status != status)
        r++;
    n = snprintf(out, WS_UPGRADE_ANSWER_MAX_BYTES,
                 "HTTP/1.1 %d %s\r\n%sConnection: %sclose\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n\r\n%s\n",
                 r->status, r->reason, r->field, r->status == 426 ? "Upgrade, " : "", strlen(r->sentence) + 1, r->sentence);
    return (size_t)n;
}
