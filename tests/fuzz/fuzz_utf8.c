/* Fuzz: UTF-8 in pieces, masked and unmasked, against a reader that knows nothing of states.
 *
 * The first four bytes are the mask, the fifth says how the rest is cut. The second opinion looks at a code point's bytes so far
 * and asks: between the smallest and the largest completion, is there a code point that is written with so many bytes? */
#include "protocol/utf8.h"
#include "protocol/utf8_simd.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static size_t length_by_first(uint8_t c)
{
    return c < 0x80 ? 1 : c < 0xc0 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf8 ? 4 : 0;
}

static uint32_t value_of(const uint8_t *p, size_t there, size_t length, uint8_t filling)
{
    uint32_t value = length == 1 ? p[0] : p[0] & (0x7fu >> length);

    for (size_t i = 1; i < length; i++)
        value = value << 6 | ((i < there ? p[i] : filling) & 63);
    return value;
}

/* May these bytes begin (or be) a code point? */
static bool possible(const uint8_t *p, size_t there)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 }, most[] = { 0, 0x7f, 0x7ff, 0xffff, 0x10ffff };
    size_t length = length_by_first(p[0]);
    uint32_t low, high;

    if (length == 0 || there > length)
        return false;
    for (size_t i = 1; i < there; i++)
        if (p[i] < 0x80 || p[i] > 0xbf)
            return false;
    low = value_of(p, there, length, 0x80);
    high = value_of(p, there, length, 0xbf);
    low = low < least[length] ? least[length] : low;
    high = high > most[length] ? most[length] : high;
    return low <= high && !(low >= 0xd800 && high <= 0xdfff);
}

static void judge(const uint8_t *p, size_t n, size_t *whole, size_t *good)
{
    size_t from = 0, at = 0;

    *whole = 0;
    while (at < n && possible(p + from, at + 1 - from)) {
        at++;
        if (at - from == length_by_first(p[from]))
            *whole = from = at;
    }
    *good = at;
}

static void feed_pieces(const uint8_t *p, size_t n, const uint8_t *mask, size_t piece, size_t good)
{
    struct utf8 u = { 0 };

    for (size_t at = 0; at < n; at += piece) {
        size_t take = n - at < piece ? n - at : piece;
        uint8_t turned[4];
        bool lawful;
        for (size_t i = 0; i < 4; i++)
            turned[i] = mask != NULL ? mask[(at + i) % 4] : 0;
        lawful = mask != NULL ? utf8_feed_masked(&u, p + at, take, turned) : utf8_feed(&u, p + at, take);
        assert(lawful == (at + take <= good));
        if (!lawful)
            return;
    }
}

static void check_readers(const uint8_t *p, size_t n, const uint8_t *mask, size_t whole)
{
    uint8_t key[UTF8_KEY_BYTES];

    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = mask[i % 4];
    assert(utf8_whole(p, n, key) == whole);
    assert(utf8_whole_portable(p, n, key) == whole);
#if defined(__x86_64__)
    assert(utf8_whole_ssse3(p, n, key) <= whole);
    assert(!__builtin_cpu_supports("avx2") || utf8_whole_avx2(p, n, key) <= whole);
#endif
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t whole, good, piece;
    uint8_t *masked;

    if (n < 5)
        return 0;
    piece = data[4] % 8 == 0 ? n : data[4];
    n -= 5;
    masked = malloc(n);
    if (masked == NULL)
        return 0;
    for (size_t i = 0; i < n; i++)
        masked[i] = data[5 + i] ^ data[i % 4];
    judge(data + 5, n, &whole, &good);
    feed_pieces(data + 5, n, NULL, piece, good);
    feed_pieces(masked, n, data, piece, good);
    check_readers(masked, n, data, whole);
    assert(utf8_valid(data + 5, n) == (whole == n));
    assert(utf8_valid_masked(masked, n, data) == (whole == n));
    free(masked);
    return 0;
}
