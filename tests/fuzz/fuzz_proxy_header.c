/* Fuzz: a PROXY header, as it arrives. However it is cut the verdict is one and the same, what it borrows lies within it, and what it says
 * can be written and read again, in both versions. A second reader, made of the C library's functions, agrees about the lines of version 1. */
#include "protocol/proxy_header.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A look at a copy of exactly the first bytes. */
static int look(const uint8_t *data, size_t n)
{
    uint8_t *copy = malloc(n > 0 ? n : 1);
    struct proxy_header h;
    int size;

    assert(copy != NULL);
    if (n > 0)
        memcpy(copy, data, n);
    size = proxy_header_read(copy, n, &h);
    free(copy);
    return size;
}

static void check_cuts(const uint8_t *data, size_t n, int whole)
{
    int before = 0;

    for (size_t seen = 0; seen <= n; seen += n < 512 ? 1 : 1 + n / 97) {
        int now = look(data, seen);
        assert(now == 0 || now == whole);
        assert(before == 0 || now == before);
        assert(now <= (int)seen);
        before = now;
    }
}

static void check_within(struct span s, const uint8_t *data, int size)
{
    assert(s.p == NULL || (s.p >= data && s.p + s.n <= data + size));
}

static bool same_address(const struct net_address *a, const struct net_address *b)
{
    return a->family == b->family && memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0 && a->port == b->port;
}

static void check_again(const struct proxy_header *h)
{
    for (unsigned version = 1; version <= 2; version++) {
        struct proxy_header again = *h, back;
        uint8_t out[PROXY_HEADER_WRITE_BYTES];
        size_t n;
        again.version = version;
        n = proxy_header_write(&again, out);
        assert(n > 0 && (version == 2 || n <= PROXY_HEADER_V1_BYTES));
        assert(proxy_header_read(out, n, &back) == (int)n && back.version == version);
        if (h->kind != PROXY_HEADER_ADDRESSES || h->source.family == NET_UNIX) {
            assert(back.kind == (version == 2 && h->kind == PROXY_HEADER_LOCAL ? PROXY_HEADER_LOCAL : PROXY_HEADER_UNKNOWN));
            continue;
        }
        assert(same_address(&h->source, &back.source) && same_address(&h->destination, &back.destination));
        assert(version == 1 || back.has_tls == h->has_tls);
        assert(version == 1 || !h->has_tls || back.tls.certificate == h->tls.certificate);
        assert(version == 1 || !h->has_tls || back.tls.verified == h->tls.verified);
    }
}

/* "PROXY TCP4 a b 1 2" by sscanf and inet_pton; what sscanf is too kind about is looked at before. */
static bool second_opinion(const uint8_t *data, size_t n)
{
    char line[PROXY_HEADER_V1_BYTES + 1], source[64], destination[64], again[256];
    unsigned family, source_port, destination_port;
    uint8_t bytes[16];
    int end = 0;

    memcpy(line, data, n);
    line[n] = '\0';
    if (strlen(line) != n)
        return false;
    if (strncmp(line, "PROXY UNKNOWN", 13) == 0)
        return line[13] == ' ' || n == 15;
    if (sscanf(line, "PROXY TCP%1u %63[0-9a-fA-F:.] %63[0-9a-fA-F:.] %5u %5u%n", &family, source, destination, &source_port,
               &destination_port, &end) != 5)
        return false;
    snprintf(again, sizeof(again), "PROXY TCP%u %s %s %u %u\r\n", family, source, destination, source_port, destination_port);
    return strcmp(line, again) == 0 && (family == 4 || family == 6) && source_port <= 65535 && destination_port <= 65535 &&
           inet_pton(family == 6 ? AF_INET6 : AF_INET, source, bytes) == 1 &&
           inet_pton(family == 6 ? AF_INET6 : AF_INET, destination, bytes) == 1;
}

static void check_line(const uint8_t *data, size_t n, int size)
{
    const uint8_t *end = n >= 6 && memcmp(data, "PROXY ", 6) == 0 ? memchr(data, '\n', n) : NULL;
    size_t line = end != NULL ? (size_t)(end - data) + 1 : 0;

    if (line == 0 || line > PROXY_HEADER_V1_BYTES || memchr(data, '\0', line) != NULL)
        return;
    assert((size == (int)line) == (line >= 2 && data[line - 2] == '\r' && second_opinion(data, line)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct proxy_header h;
    int size = proxy_header_read(data, n, &h);

    check_cuts(data, n, size);
    check_line(data, n, size);
    if (size <= 0)
        return 0;
    check_within(h.authority, data, size);
    check_within(h.unique_id, data, size);
    check_within(h.tls.version, data, size);
    check_within(h.tls.cipher, data, size);
    check_within(h.tls.common_name, data, size);
    assert(h.version == 1 ? size <= PROXY_HEADER_V1_BYTES : size <= PROXY_HEADER_V2_BYTES);
    check_again(&h);
    return 0;
}
