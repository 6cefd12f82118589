/* The reader. The text form is read once its line is whole, the binary form once all of its declared length is there; before that only the
 * beginning is looked at, so that what can never become a header is refused with its first wrong byte. */
#include "protocol/proxy_header.h"
#include "protocol/proxy_header_v2.h"

#include <string.h>

/* As far as they go, the bytes agree with the beginning of what is expected. */
static bool agrees(struct span bytes, struct span expected)
{
    struct span head = span_first(bytes, expected.n);

    return span_equal(head, span_first(expected, head.n));
}

/* ---- version 1: a line ---- */

/* "TCP4 192.0.2.1 203.0.113.9 56324 443": one word and the one blank behind it are taken off. */
static struct span take_word(struct span *line)
{
    size_t blank = span_find(*line, ' ');
    struct span word = span_first(*line, blank);

    *line = span_from(*line, blank + 1);
    return word;
}

static bool read_port(struct span s, unsigned *out)
{
    uint64_t port;

    if (s.n > 5 || (s.n > 1 && s.p[0] == '0') || !span_to_u64(s, &port) || port > 65535)
        return false;
    *out = (unsigned)port;
    return true;
}

static bool read_address(struct span s, bool v6, struct net_address *out)
{
    uint8_t bytes[16];

    if (v6 ? !net_address_parse_ip6(s, bytes) : !net_address_parse_ip4(s, bytes))
        return false;
    *out = v6 ? net_address_ip6(bytes, 0) : net_address_ip4(bytes, 0);
    return true;
}

/* Section 2.1: exactly one blank between the words. test_proxy_header.c: v1_lines */
static enum fault read_line(struct span line, struct proxy_header *out)
{
    struct span protocol = take_word(&line), source, destination, source_port;
    bool v6 = span_equal(protocol, SPAN_LITERAL("TCP6"));

    if (span_equal(protocol, SPAN_LITERAL("UNKNOWN"))) {         /* what stands behind it MUST be ignored */
        out->kind = PROXY_HEADER_UNKNOWN;
        return FAULT_NONE;
    }
    if (!v6 && !span_equal(protocol, SPAN_LITERAL("TCP4")))
        return FAULT_PROXY_LINE;
    source = take_word(&line);
    destination = take_word(&line);
    source_port = take_word(&line);
    if (!read_address(source, v6, &out->source) || !read_address(destination, v6, &out->destination) ||
        !read_port(source_port, &out->source.port) || !read_port(line, &out->destination.port))
        return FAULT_PROXY_LINE;
    out->kind = PROXY_HEADER_ADDRESSES;
    return FAULT_NONE;
}

static int read_v1(struct span bytes, struct span begins, struct proxy_header *out)
{
    size_t end = span_find(span_first(bytes, PROXY_HEADER_V1_BYTES), '\n');
    enum fault fault;

    if (end == bytes.n)
        return end < PROXY_HEADER_V1_BYTES ? 0 : -FAULT_PROXY_LINE;
    if (end == PROXY_HEADER_V1_BYTES || end < begins.n || bytes.p[end - 1] != '\r')
        return -FAULT_PROXY_LINE;
    out->version = 1;
    fault = read_line(span_from(span_first(bytes, end - 1), begins.n), out);
    return fault == FAULT_NONE ? (int)end + 1 : -(int)fault;
}

/* ---- version 2: bytes ---- */

static unsigned read_16(const uint8_t *p)
{
    return (unsigned)p[0] << 8 | p[1];
}

static uint32_t read_32(const uint8_t *p)
{
    return (uint32_t)read_16(p) << 16 | read_16(p + 2);
}

struct tlv {
    unsigned type;
    struct span value;
};

/* The next one; false: it is over, or *fault says that what is left is none. */
static bool take_tlv(struct span *rest, struct tlv *out, enum fault *fault)
{
    size_t n;

    if (rest->n == 0)
        return false;
    n = rest->n >= PROXY_V2_TLV_FIXED ? PROXY_V2_TLV_FIXED + (size_t)read_16(rest->p + 1) : SIZE_MAX;
    if (n > rest->n) {
        *fault = FAULT_PROXY_TLV;
        return false;
    }
    *out = (struct tlv){ rest->p[0], span_of(rest->p + PROXY_V2_TLV_FIXED, n - PROXY_V2_TLV_FIXED) };
    *rest = span_from(*rest, n);
    return true;
}

/* Section 2.2.5: verify is 0 when the certificate was shown and is good. */
static enum fault read_ssl(struct span value, struct proxy_header *out)
{
    enum fault fault = FAULT_NONE;
    unsigned client;
    struct tlv t;

    if (value.n < PROXY_V2_SSL_FIXED)
        return FAULT_PROXY_TLV;
    client = value.p[0];
    out->has_tls = (client & PROXY_V2_CLIENT_SSL) != 0;
    out->tls.certificate = (client & (PROXY_V2_CLIENT_CERT_CONN | PROXY_V2_CLIENT_CERT_SESS)) != 0;
    out->tls.verified = out->tls.certificate && read_32(value.p + 1) == 0;
    value = span_from(value, PROXY_V2_SSL_FIXED);
    while (take_tlv(&value, &t, &fault)) {
        if (t.type == PROXY_V2_SSL_VERSION)
            out->tls.version = t.value;
        else if (t.type == PROXY_V2_SSL_CN)
            out->tls.common_name = t.value;
        else if (t.type == PROXY_V2_SSL_CIPHER)
            out->tls.cipher = t.value;
    }
    return fault;
}

static uint32_t crc32c(uint32_t crc, struct span s)
{
    for (size_t i = 0; i < s.n; i++) {
        crc ^= s.p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ UINT32_C(0x82f63b78) : crc >> 1;
    }
    return crc;
}

/* Section 2.2.3: over the whole header, the checksum's own four bytes as zeros; a wrong one MUST end the connection. */
static enum fault check_crc32c(struct span whole, struct span value)
{
    static const uint8_t zeros[4];
    size_t at = (size_t)(value.p - whole.p);
    uint32_t crc = UINT32_C(0xffffffff);

    if (value.n != sizeof(zeros))
        return FAULT_PROXY_TLV;
    crc = crc32c(crc, span_first(whole, at));
    crc = crc32c(crc, span_of(zeros, sizeof(zeros)));
    crc = crc32c(crc, span_from(whole, at + sizeof(zeros)));
    return ~crc == read_32(value.p) ? FAULT_NONE : FAULT_PROXY_CHECKSUM;
}

static enum fault read_tlvs(struct span whole, struct span rest, struct proxy_header *out)
{
    enum fault fault = FAULT_NONE;
    struct tlv t;

    while (fault == FAULT_NONE && take_tlv(&rest, &t, &fault)) {
        if (t.type == PROXY_V2_AUTHORITY)
            out->authority = t.value;
        else if (t.type == PROXY_V2_UNIQUE_ID && t.value.n > PROXY_V2_UNIQUE_ID_MAX)
            fault = FAULT_PROXY_TLV;
        else if (t.type == PROXY_V2_UNIQUE_ID)
            out->unique_id = t.value;
        else if (t.type == PROXY_V2_SSL)
            fault = read_ssl(t.value, out);
        else if (t.type == PROXY_V2_CRC32C)
            fault = check_crc32c(whole, t.value);
    }
    return fault;
}

static size_t address_bytes(unsigned family)
{
    static const size_t bytes[PROXY_V2_FAMILIES] = {
        [PROXY_V2_INET] = PROXY_V2_INET_BYTES, [PROXY_V2_INET6] = PROXY_V2_INET6_BYTES, [PROXY_V2_UNIX] = PROXY_V2_UNIX_BYTES,
    };

    return bytes[family];
}

static void read_addresses(const uint8_t *p, unsigned family, struct proxy_header *out)
{
    out->kind = PROXY_HEADER_ADDRESSES;
    if (family == PROXY_V2_INET) {
        out->source = net_address_ip4(p, read_16(p + 8));
        out->destination = net_address_ip4(p + 4, read_16(p + 10));
    } else if (family == PROXY_V2_INET6) {
        out->source = net_address_ip6(p, read_16(p + 32));
        out->destination = net_address_ip6(p + 16, read_16(p + 34));
    } else {
        out->source.family = out->destination.family = NET_UNIX;
    }
}

/* Section 2.2: LOCAL: the block, its family included, MUST be discarded; UNSPEC, of family or transport: its addresses ought to be ignored,
 * and since their length is not known nothing behind them can be found. test_proxy_header.c: v2_blocks */
static enum fault read_block(struct span whole, unsigned command, unsigned family, unsigned transport, struct proxy_header *out)
{
    struct span block = span_from(whole, PROXY_V2_FIXED);
    size_t addresses;

    out->version = 2;
    out->kind = command == PROXY_V2_LOCAL ? PROXY_HEADER_LOCAL : PROXY_HEADER_UNKNOWN;
    if (command == PROXY_V2_LOCAL)
        return FAULT_NONE;
    if (family >= PROXY_V2_FAMILIES || transport >= PROXY_V2_TRANSPORTS)
        return FAULT_PROXY_FAMILY;
    if (family == PROXY_V2_UNSPEC || transport == PROXY_V2_NO_TRANSPORT)
        return FAULT_NONE;
    addresses = address_bytes(family);
    if (block.n < addresses)
        return FAULT_PROXY_LENGTH;
    read_addresses(block.p, family, out);
    return read_tlvs(whole, span_from(block, addresses), out);
}

static int read_v2(struct span bytes, struct proxy_header *out)
{
    size_t n;
    enum fault fault;

    if (bytes.n > 12 && (bytes.p[12] >> 4 != PROXY_V2_VERSION || (bytes.p[12] & 0x0f) >= PROXY_V2_COMMANDS))
        return -FAULT_PROXY_VERSION;
    if (bytes.n < PROXY_V2_FIXED)
        return 0;
    n = PROXY_V2_FIXED + (size_t)read_16(bytes.p + 14);
    if (n > PROXY_HEADER_V2_BYTES)
        return -FAULT_PROXY_TOO_LONG;
    if (bytes.n < n)
        return 0;
    fault = read_block(span_first(bytes, n), bytes.p[12] & 0x0f, bytes.p[13] >> 4, bytes.p[13] & 0x0f, out);
    return fault == FAULT_NONE ? (int)n : -(int)fault;
}

int proxy_header_read(const uint8_t *p, size_t n, struct proxy_header *out)
{
    const struct span begins = SPAN_LITERAL("PROXY ");
    struct span bytes = span_of(p, n);

    *out = (struct proxy_header){ .version = 0 };
    if (agrees(bytes, PROXY_V2_SIGNATURE))
        return n > 0 ? read_v2(bytes, out) : 0;
    return agrees(bytes, begins) ? read_v1(bytes, begins, out) : -FAULT_PROXY_SIGNATURE;
}
