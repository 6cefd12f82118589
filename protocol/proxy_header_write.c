/* The writer. Nothing it writes can be longer than its buffer: values have a bound of their own. */
#include "protocol/proxy_header.h"
#include "protocol/proxy_header_v2.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static bool is_ip(const struct net_address *a)
{
    return a->family == NET_IP4 || a->family == NET_IP6;
}

static bool tells_addresses(const struct proxy_header *h)
{
    return h->kind == PROXY_HEADER_ADDRESSES && is_ip(&h->source);
}

/* Both in one family: what is not known takes the other's. */
static bool is_v6(const struct proxy_header *h)
{
    return h->source.family == NET_IP6 || h->destination.family == NET_IP6;
}

/* RFC 4291 section 2.5.5.2 */
static void bytes_as_v6(const struct net_address *a, uint8_t out[16])
{
    memset(out, 0, 16);
    if (a->family == NET_IP6) {
        memcpy(out, a->bytes, 16);
    } else if (a->family == NET_IP4) {
        out[10] = out[11] = 0xff;
        memcpy(out + 12, a->bytes, 4);
    }
}

/* ---- version 1 ---- */

/* An IPv4 address beside an IPv6 one is written in its mapped form. */
static void print_address(const struct net_address *a, bool v6, char out[NET_ADDRESS_TEXT])
{
    char text[NET_ADDRESS_TEXT];

    net_address_print(a, text);
    if (!is_ip(a))
        snprintf(out, NET_ADDRESS_TEXT, "%s", v6 ? "::" : "0.0.0.0");
    else
        snprintf(out, NET_ADDRESS_TEXT, v6 && a->family == NET_IP4 ? "::ffff:%.15s" : "%s", text);
}

static size_t write_v1(const struct proxy_header *h, uint8_t *out)
{
    char source[NET_ADDRESS_TEXT], destination[NET_ADDRESS_TEXT];
    bool v6 = is_v6(h);
    int n;

    if (!tells_addresses(h)) {
        memcpy(out, "PROXY UNKNOWN\r\n", 15);
        return 15;
    }
    print_address(&h->source, v6, source);
    print_address(&h->destination, v6, destination);
    n = snprintf((char *)out, PROXY_HEADER_WRITE_BYTES, "PROXY %s %s %s %u %u\r\n", v6 ? "TCP6" : "TCP4", source, destination,
                 h->source.port & 0xffff, h->destination.port & 0xffff);
    assert(n > 0 && n <= PROXY_HEADER_V1_BYTES);
    return (size_t)n;
}

/* ---- version 2 ---- */

static size_t put_bytes(uint8_t *out, const void *p, size_t n)
{
    if (n > 0)
        memcpy(out, p, n);
    return n;
}

static size_t put_16(uint8_t *out, size_t value)
{
    out[0] = (uint8_t)(value >> 8);
    out[1] = (uint8_t)value;
    return 2;
}

static size_t put_tlv(uint8_t *out, enum proxy_v2_type type, struct span value)
{
    if (value.n == 0 || value.n > PROXY_HEADER_VALUE_BYTES)
        return 0;
    out[0] = (uint8_t)type;
    put_16(out + 1, value.n);
    return PROXY_V2_TLV_FIXED + put_bytes(out + PROXY_V2_TLV_FIXED, value.p, value.n);
}

/* Section 2.2.5: verify is not 0 when there was no certificate, or not a good one. */
static size_t put_ssl(uint8_t *out, const struct proxy_header_tls *tls)
{
    size_t n = PROXY_V2_TLV_FIXED;

    out[0] = PROXY_V2_SSL;
    out[n++] = PROXY_V2_CLIENT_SSL | (tls->certificate ? PROXY_V2_CLIENT_CERT_CONN | PROXY_V2_CLIENT_CERT_SESS : 0);
    n += put_bytes(out + n, (const uint8_t[]){ 0, 0, 0, !tls->verified }, 4);
    n += put_tlv(out + n, PROXY_V2_SSL_VERSION, tls->version);
    n += put_tlv(out + n, PROXY_V2_SSL_CN, tls->common_name);
    n += put_tlv(out + n, PROXY_V2_SSL_CIPHER, tls->cipher);
    put_16(out + 1, n - PROXY_V2_TLV_FIXED);
    return n;
}

static size_t put_addresses(uint8_t *out, const struct proxy_header *h)
{
    uint8_t bytes[16];
    size_t n = 0, size = is_v6(h) ? 16 : 4;

    bytes_as_v6(&h->source, bytes);
    n += put_bytes(out + n, bytes + 16 - size, size);
    bytes_as_v6(&h->destination, bytes);
    n += put_bytes(out + n, bytes + 16 - size, size);
    n += put_16(out + n, h->source.port);
    return n + put_16(out + n, h->destination.port);
}

static unsigned family_byte(const struct proxy_header *h)
{
    unsigned family = is_v6(h) ? PROXY_V2_INET6 : PROXY_V2_INET;

    return tells_addresses(h) ? family << 4 | PROXY_V2_STREAM : PROXY_V2_UNSPEC;
}

static size_t write_v2(const struct proxy_header *h, uint8_t *out)
{
    size_t n = put_bytes(out, PROXY_V2_SIGNATURE.p, PROXY_V2_SIGNATURE.n);

    out[n++] = PROXY_V2_VERSION << 4 | (h->kind == PROXY_HEADER_LOCAL ? PROXY_V2_LOCAL : PROXY_V2_PROXY);
    out[n++] = (uint8_t)family_byte(h);
    n += 2;
    assert(n == PROXY_V2_FIXED);
    if (tells_addresses(h)) {
        n += put_addresses(out + n, h);
        n += put_tlv(out + n, PROXY_V2_AUTHORITY, h->authority);
        if (h->has_tls)
            n += put_ssl(out + n, &h->tls);
    }
    put_16(out + PROXY_V2_FIXED - 2, n - PROXY_V2_FIXED);
    assert(n <= PROXY_HEADER_WRITE_BYTES);
    return n;
}

size_t proxy_header_write(const struct proxy_header *h, uint8_t out[PROXY_HEADER_WRITE_BYTES])
{
    return h->version == 1 ? write_v1(h, out) : write_v2(h, out);
}
