/* tls_hello: see the header. First the records are walked through, byte for byte once; then the message is read. */
#include "protocol/tls_hello.h"

#include <assert.h>
#include <string.h>

enum { RECORD_HEAD_BYTES = 5, MESSAGE_HEAD_BYTES = 4, RECORD_CONTENT_MAX = 16384 };
enum { CONTENT_HANDSHAKE = 22, CONTENT_ALERT = 21, MESSAGE_CLIENT_HELLO = 1, ALERT_FATAL = 2 };
enum { EXTENSION_SERVER_NAME = 0, EXTENSION_ALPN = 16, EXTENSIONS = 65536 };

void tls_hello_init(struct tls_hello *h)
{
    *h = (struct tls_hello){ .fault = FAULT_NONE };
}

/* ---- the message, whole: RFC 8446 section 4.1.2 ---- */

/* A number of `bytes` bytes from the front; false when there are not so many. */
static bool take_number(struct span *s, size_t bytes, size_t *out)
{
    size_t value = 0;

    if (s->n < bytes)
        return false;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | s->p[i];
    *s = span_from(*s, bytes);
    *out = value;
    return true;
}

static bool take_bytes(struct span *s, size_t n, struct span *out)
{
    if (s->n < n)
        return false;
    *out = span_first(*s, n);
    *s = span_from(*s, n);
    return true;
}

/* What has its length in front, in so many bytes. */
static bool take_vector(struct span *s, size_t length_bytes, struct span *out)
{
    size_t n;

    return take_number(s, length_bytes, &n) && take_bytes(s, n, out);
}

static bool is_host_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

/* RFC 6066 section 3: a DNS name, without a final dot; some clients send one all the same. */
static bool keep_name(struct tls_hello *h, struct span name)
{
    if (span_ends_with(name, SPAN_LITERAL(".")))
        name.n--;
    if (name.n == 0 || name.n > sizeof(h->name) || name.p[0] == '.')
        return false;
    for (size_t i = 0; i < name.n; i++) {
        uint8_t c = ascii_lower(name.p[i]);
        if (!is_host_byte(c) || (c == '.' && (i + 1 == name.n || name.p[i + 1] == '.')))
            return false;
        h->name[i] = (char)c;
    }
    h->name_n = name.n;
    return true;
}

/* RFC 6066 section 3: no two names of one type, and host_name is the only type that there is. */
static enum fault read_server_name(struct tls_hello *h, struct span data)
{
    struct span list, name;
    size_t type;

    if (!take_vector(&data, 2, &list) || data.n > 0 || !take_number(&list, 1, &type) || !take_vector(&list, 2, &name))
        return FAULT_TLS_HELLO;
    return type == 0 && list.n == 0 && keep_name(h, name) ? FAULT_NONE : FAULT_TLS_SERVER_NAME;
}

static void keep_protocol(struct tls_hello *h, struct span protocol)
{
    size_t comma = h->alpn_n > 0;

    if (protocol.n + comma > sizeof(h->alpn) - h->alpn_n)
        return;
    if (comma > 0)
        h->alpn[h->alpn_n++] = ',';
    for (size_t i = 0; i < protocol.n; i++)
        h->alpn[h->alpn_n++] = protocol.p[i] > 0x20 && protocol.p[i] < 0x7f && protocol.p[i] != ',' ? (char)protocol.p[i] : '?';
}

/* RFC 7301 section 3.1: neither an empty list nor an empty protocol. */
static enum fault read_alpn(struct tls_hello *h, struct span data)
{
    struct span list, protocol;

    if (!take_vector(&data, 2, &list) || data.n > 0 || list.n == 0)
        return FAULT_TLS_ALPN;
    while (list.n > 0) {
        if (!take_vector(&list, 1, &protocol) || protocol.n == 0)
            return FAULT_TLS_ALPN;
        keep_protocol(h, protocol);
    }
    return FAULT_NONE;
}

/* RFC 8446 section 4.2: no extension twice. Where one reader takes the first and another the last, they mean two servers. */
static enum fault read_extensions(struct tls_hello *h, struct span list)
{
    uint8_t seen[EXTENSIONS / 8] = { 0 };
    struct span data;
    size_t type;

    while (list.n > 0) {
        enum fault fault = FAULT_NONE;
        if (!take_number(&list, 2, &type) || !take_vector(&list, 2, &data))
            return FAULT_TLS_HELLO;
        if ((seen[type / 8] >> type % 8 & 1) != 0)
            return FAULT_TLS_EXTENSION_TWICE;
        seen[type / 8] |= (uint8_t)(1u << type % 8);
        if (type == EXTENSION_SERVER_NAME)
            fault = read_server_name(h, data);
        else if (type == EXTENSION_ALPN)
            fault = read_alpn(h, data);
        if (fault != FAULT_NONE)
            return fault;
    }
    return FAULT_NONE;
}

/* The extensions may be missing altogether: so it was before TLS 1.2 (RFC 5246 section 7.4.1.2). */
static enum fault read_message(struct tls_hello *h, struct span s)
{
    struct span version_and_random, session, suites, compressions, extensions;

    if (!take_bytes(&s, 2 + 32, &version_and_random) || !take_vector(&s, 1, &session) || session.n > 32 ||
        !take_vector(&s, 2, &suites) || suites.n == 0 || suites.n % 2 != 0 || !take_vector(&s, 1, &compressions) || compressions.n == 0)
        return FAULT_TLS_HELLO;
    if (version_and_random.p[0] != 3)
        return FAULT_TLS_HELLO;
    if (s.n == 0)
        return FAULT_NONE;
    if (!take_vector(&s, 2, &extensions) || s.n > 0)
        return FAULT_TLS_HELLO;
    return read_extensions(h, extensions);
}

/* The message without the record headers in between. Its first record's header was seen to be in order. */
static struct span gather(const struct tls_hello *h, const uint8_t *p, uint8_t to[TLS_HELLO_BYTES_MAX])
{
    size_t at = 0, n = 0;

    if (h->records == 1)
        return span_of(p + RECORD_HEAD_BYTES, h->message_n);
    while (n < h->message_n) {
        size_t content = (size_t)p[at + 3] << 8 | p[at + 4];
        if (content > h->message_n - n)
            content = h->message_n - n;
        memcpy(to + n, p + at + RECORD_HEAD_BYTES, content);
        n += content;
        at += RECORD_HEAD_BYTES + content;
    }
    return span_of(to, n);
}

static void read_whole(struct tls_hello *h, const uint8_t *p)
{
    uint8_t gathered[TLS_HELLO_BYTES_MAX];

    h->fault = read_message(h, span_from(gather(h, p, gathered), MESSAGE_HEAD_BYTES));
    h->whole = h->fault == FAULT_NONE;
}

/* ---- the records: RFC 8446 section 5.1 ---- */

/* What the first bytes are when they are no handshake record. An SSLv2 hello has its top bit set, a length, and the type 1 behind it. */
static enum fault name_stranger(const uint8_t *p)
{
    uint8_t letter = ascii_lower(p[0]);

    if (letter >= 'a' && letter <= 'z')
        return FAULT_TLS_PLAIN_TEXT;
    return (p[0] & 0x80) != 0 && p[2] == 1 ? FAULT_TLS_SSL2 : FAULT_TLS_RECORD;
}

/* How many bytes must be there to tell what a record is; told by its first byte, so that a letter is answered at once. */
static size_t head_bytes(const uint8_t *p)
{
    if (p[0] == CONTENT_HANDSHAKE)
        return RECORD_HEAD_BYTES;
    return (p[0] & 0x80) != 0 ? 3 : 1;
}

/* The version of the record is not to be looked at, but for its first byte, which was 3 since SSLv3. Empty pieces are forbidden. */
static enum fault begin_record(struct tls_hello *h, const uint8_t *p)
{
    size_t content = (size_t)p[3] << 8 | p[4];

    if (p[1] != 3 || content == 0 || content > RECORD_CONTENT_MAX)
        return FAULT_TLS_RECORD;
    h->record_left = content;
    h->at += RECORD_HEAD_BYTES;
    h->records++;
    return FAULT_NONE;
}

/* One byte of the message's header: its type, then its length, which has to leave room for at least one record header. */
static enum fault read_message_head(struct tls_hello *h, uint8_t byte)
{
    if (h->message_at == 0)
        return byte == MESSAGE_CLIENT_HELLO ? FAULT_NONE : FAULT_TLS_MESSAGE;
    h->message_n = h->message_n << 8 | byte;
    if (h->message_at < MESSAGE_HEAD_BYTES - 1)
        return FAULT_NONE;
    h->message_n += MESSAGE_HEAD_BYTES;
    return h->message_n <= TLS_HELLO_BYTES_MAX - RECORD_HEAD_BYTES ? FAULT_NONE : FAULT_TLS_HELLO_TOO_LARGE;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* As much of the record's content as is there. */
static enum fault walk_content(struct tls_hello *h, const uint8_t *p, size_t n)
{
    size_t step = 1;
    enum fault fault = FAULT_NONE;

    if (h->message_at < MESSAGE_HEAD_BYTES)
        fault = read_message_head(h, p[h->at]);
    else
        step = least(least(n - h->at, h->record_left), h->message_n - h->message_at);
    h->at += step;
    h->record_left -= step;
    h->message_at += step;
    return fault;
}

/* One record header, or one piece of content; false: more bytes are needed first. */
static bool walk(struct tls_hello *h, const uint8_t *p, size_t n)
{
    if (h->at == n)
        return false;
    if (h->record_left > 0) {
        h->fault = walk_content(h, p, n);
        return true;
    }
    if (n - h->at < head_bytes(p + h->at))
        return false;
    h->fault = p[h->at] == CONTENT_HANDSHAKE ? begin_record(h, p + h->at) : h->records > 0 ? FAULT_TLS_RECORD : name_stranger(p + h->at);
    return true;
}

static bool is_message_whole(const struct tls_hello *h)
{
    return h->message_at >= MESSAGE_HEAD_BYTES && h->message_at == h->message_n;
}

enum tls_hello_event tls_hello_feed(struct tls_hello *h, const uint8_t *p, size_t n)
{
    assert(n >= h->at);
    n = least(n, TLS_HELLO_BYTES_MAX);
    while (h->fault == FAULT_NONE && !h->whole && walk(h, p, n))
        if (h->fault == FAULT_NONE && is_message_whole(h))
            read_whole(h, p);
    if (h->fault == FAULT_NONE && !h->whole && n == TLS_HELLO_BYTES_MAX)
        h->fault = FAULT_TLS_HELLO_TOO_LARGE;
    return h->fault != FAULT_NONE ? TLS_HELLO_FAULT : h->whole ? TLS_HELLO_WHOLE : TLS_HELLO_MORE;
}

/* ---- alerts ---- */

enum tls_alert tls_hello_alert(enum fault fault)
{
    switch (fault) {
    case FAULT_TLS_SSL2:
        return TLS_ALERT_PROTOCOL_VERSION;
    case FAULT_TLS_RECORD:
    case FAULT_TLS_MESSAGE:
        return TLS_ALERT_UNEXPECTED_MESSAGE;
    case FAULT_TLS_HELLO_TOO_LARGE:
        return TLS_ALERT_RECORD_OVERFLOW;
    case FAULT_TLS_EXTENSION_TWICE:
    case FAULT_TLS_SERVER_NAME:
        return TLS_ALERT_ILLEGAL_PARAMETER;
    default:
        return TLS_ALERT_DECODE_ERROR;
    }
}

/* RFC 8446 sections 5.1 and 6; the version is the one that every record has for the sake of old devices. */
void tls_alert_write(uint8_t out[TLS_ALERT_BYTES], enum tls_alert alert)
{
    const uint8_t record[TLS_ALERT_BYTES] = { CONTENT_ALERT, 3, 3, 0, 2, ALERT_FATAL, (uint8_t)alert };

    memcpy(out, record, sizeof(record));
}
