/* Fuzz: the first bytes of a TLS client.
 *
 * Input: what the client sends; the last byte also says how it is cut. The verdict is the same whole, byte by byte and in
 * pieces, it never needs more than TLS_HELLO_BYTES_MAX, and it does not depend on what stands behind the hello. A name is a host name
 * in lower case; it stands in the bytes, letters in any case, unless the hello came in pieces. */
#include "protocol/tls_hello.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum tls_hello_event run(struct tls_hello *h, const uint8_t *p, size_t n, size_t step)
{
    enum tls_hello_event event = TLS_HELLO_MORE;

    tls_hello_init(h);
    for (size_t there = step < n ? step : n; event == TLS_HELLO_MORE; there = n - there > step ? there + step : n) {
        event = tls_hello_feed(h, p, there);
        assert(event != TLS_HELLO_MORE || there < TLS_HELLO_BYTES_MAX);
        if (there == n)
            break;
    }
    assert(h->at <= n);
    return event;
}

static void assert_same(const struct tls_hello *a, const struct tls_hello *b)
{
    assert(a->fault == b->fault && a->whole == b->whole && a->at == b->at && a->records == b->records);
    assert(a->name_n == b->name_n && memcmp(a->name, b->name, a->name_n) == 0);
    assert(a->alpn_n == b->alpn_n && memcmp(a->alpn, b->alpn, a->alpn_n) == 0);
}

static bool stands_in(const struct tls_hello *h, const uint8_t *p)
{
    for (size_t i = 0; i + h->name_n <= h->at; i++)
        if (span_equal_nocase(span_of(p + i, h->name_n), span_of(h->name, h->name_n)))
            return true;
    return false;
}

static void check_name(const struct tls_hello *h, const uint8_t *p)
{
    assert(h->name_n <= TLS_HELLO_NAME_BYTES && h->alpn_n <= TLS_HELLO_ALPN_BYTES);
    for (size_t i = 0; i < h->name_n; i++)
        assert(memchr("abcdefghijklmnopqrstuvwxyz0123456789-_.", h->name[i], 39) != NULL);
    assert(h->name_n == 0 || (h->name[0] != '.' && h->name[h->name_n - 1] != '.'));
    assert(h->records > 1 || h->name_n == 0 || stands_in(h, p));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tls_hello whole, pieces, alone;

    if (size == 0)
        return 0;
    run(&whole, data, size, size);
    run(&pieces, data, size, 1u + data[size - 1]);
    assert_same(&whole, &pieces);
    run(&pieces, data, size, 1);
    assert_same(&whole, &pieces);
    if (whole.whole) {
        check_name(&whole, data);
        assert(run(&alone, data, whole.at, whole.at) == TLS_HELLO_WHOLE);
        assert_same(&whole, &alone);
    }
    return 0;
}
