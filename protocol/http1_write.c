#include "protocol/http1_write.h"
#include "protocol/token.h"

#include <assert.h>
#include <string.h>

/* RFC 9110 section 15, and RFC 4918, 6585, 7538, 8470 for the others. */
static const struct {
    unsigned status;
    const char *reason;
} reasons[] = {
    { 100, "Continue" }, { 101, "Switching Protocols" }, { 102, "Processing" }, { 103, "Early Hints" },
    { 200, "OK" }, { 201, "Created" }, { 202, "Accepted" }, { 203, "Non-Authoritative Information" }, { 204, "No Content" },
    { 205, "Reset Content" }, { 206, "Partial Content" }, { 207, "Multi-Status" },
    { 300, "Multiple Choices" }, { 301, "Moved Permanently" }, { 302, "Found" }, { 303, "See Other" }, { 304, "Not Modified" },
    { 305, "Use Proxy" }, { 307, "Temporary Redirect" }, { 308, "Permanent Redirect" },
    { 400, "Bad Request" }, { 401, "Unauthorized" }, { 402, "Payment Required" }, { 403, "Forbidden" }, { 404, "Not Found" },
    { 405, "Method Not Allowed" }, { 406, "Not Acceptable" }, { 407, "Proxy Authentication Required" },
    { 408, "Request Timeout" }, { 409, "Conflict" }, { 410, "Gone" }, { 411, "Length Required" }, { 412, "Precondition Failed" },
    { 413, "Content Too Large" },
    { 414, "URI Too Long" }, { 415, "Unsupported Media Type" }, { 416, "Range Not Satisfiable" }, { 417, "Expectation Failed" },
    { 421, "Misdirected Request" }, { 422, "Unprocessable Content" }, { 423, "Locked" }, { 424, "Failed Dependency" },
    { 425, "Too Early" }, { 426, "Upgrade Required" }, { 428, "Precondition Required" }, { 429, "Too Many Requests" },
    { 431, "Request Header Fields Too Large" },
    { 500, "Internal Server Error" }, { 501, "Not Implemented" }, { 502, "Bad Gateway" }, { 503, "Service Unavailable" },
    { 504, "Gateway Timeout" }, { 505, "HTTP Version Not Supported" }, { 507, "Insufficient Storage" }, { 508, "Loop Detected" },
    { 511, "Network Authentication Required" },
};

const char *http1_reason(unsigned status)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (reasons[i].status == status)
            return reasons[i].reason;
    return "";
}

#define FIELD_EXTRA 4                    /* colon, space, CR, LF */
#define CRLF SPAN_LITERAL("\r\n")

static size_t fields_bytes(const struct headers *fields)
{
    size_t bytes = CRLF.n;

    for (size_t i = 0; fields != NULL && i < fields->n; i++)
        bytes += fields->fields[i].name.n + fields->fields[i].value.n + FIELD_EXTRA;
    return bytes;
}

/* RFC 9112 section 5: a field that is no field would be another message. The rules have seen to it; this is the last look. */
static uint8_t *put_fields(uint8_t *to, const struct headers *fields)
{
    for (size_t i = 0; fields != NULL && i < fields->n; i++) {
        const struct field *f = &fields->fields[i];

        assert(token_is_token(f->name) && token_is_field_value(f->value));
        to = span_put(span_put(to, f->name), SPAN_LITERAL(": "));
        to = span_put(span_put(to, f->value), CRLF);
    }
    return span_put(to, CRLF);
}

static bool is_target(struct span target)
{
    for (size_t i = 0; i < target.n; i++)
        if (target.p[i] <= 0x20 || target.p[i] >= 0x7f)
            return false;
    return target.n > 0;
}

struct span http1_write_request_head(struct arena *a, struct span method, struct span target, const struct headers *fields)
{
    const struct span version = SPAN_LITERAL(" HTTP/1.1\r\n");
    size_t n = method.n + 1 + target.n + version.n + fields_bytes(fields);
    uint8_t *head = arena_alloc(a, n), *to;

    assert(token_is_token(method) && is_target(target));
    if (head == NULL)
        return SPAN_EMPTY;
    to = span_put(span_put(head, method), SPAN_LITERAL(" "));
    to = span_put(span_put(to, target), version);
    to = put_fields(to, fields);
    assert(to == head + n);
    return span_of(head, n);
}

struct span http1_write_response_head(struct arena *a, unsigned status, struct span reason, const struct headers *fields)
{
    const struct span version = SPAN_LITERAL("HTTP/1.1 ");
    const uint8_t digits[] = {
        (uint8_t)('0' + status / 100), (uint8_t)('0' + status / 10 % 10), (uint8_t)('0' + status % 10), ' ',
    };
    uint8_t *head, *to;
    size_t n;

    assert(status >= 100 && status <= 599 && token_is_field_value(reason));
    if (reason.n == 0)
        reason = span_of_text(http1_reason(status));
    n = version.n + sizeof(digits) + reason.n + CRLF.n + fields_bytes(fields);
    head = arena_alloc(a, n);
    if (head == NULL)
        return SPAN_EMPTY;
    to = span_put(span_put(head, version), span_of(digits, sizeof(digits)));       /* RFC 9112 section 4: the space stands there even without a reason */
    to = span_put(span_put(to, reason), CRLF);
    to = put_fields(to, fields);
    assert(to == head + n);
    return span_of(head, n);
}

/* RFC 9112 section 7.1. A size of 0 would end the body. */
size_t http1_write_chunk_head(uint8_t out[HTTP1_CHUNK_HEAD_BYTES], uint64_t size)
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    int shift = 60;

    assert(size > 0);
    while (shift > 0 && size >> shift == 0)
        shift -= 4;
    for (; shift >= 0; shift -= 4)
        out[n++] = (uint8_t)hex[size >> shift & 15];
    out[n++] = '\r';
    out[n++] = '\n';
    return n;
}

struct span http1_write_last_chunk(struct arena *a, const struct headers *trailers)
{
    const struct span last = SPAN_LITERAL("0\r\n");
    size_t n = last.n + fields_bytes(trailers);
    uint8_t *text = arena_alloc(a, n), *to;

    if (text == NULL)
        return SPAN_EMPTY;
    to = put_fields(span_put(text, last), trailers);
    assert(to == text + n);
    return span_of(text, n);
}
