/* token_runs: how far from here on is it all plain? Letters, digits and dashes for names; for values whatever is no control character.
 * For token.c and its tests alone.
 *
 * A run ends at the first byte that is not plain, or before it: nothing here decides that a byte is wrong. Who asks goes on from there with
 * the table of classes, byte by byte; tests/protocol/test_token.c compares each byte at each place of each length with that. */
#ifndef UPGATE_PROTOCOL_TOKEN_RUNS_H
#define UPGATE_PROTOCOL_TOKEN_RUNS_H

#include "protocol/span.h"

/* ---- eight bytes in a word: of those that are not plain, a bit in the byte of the first (and perhaps in others behind it) ---- */

#define TOKEN_EACH(byte) ((uint64_t)0x0101010101010101u * (byte))

static inline uint64_t token_odd_values8(uint64_t w)
{
    uint64_t no_7f = w ^ TOKEN_EACH(0x7f);

    return ((w - TOKEN_EACH(0x20)) & ~w & TOKEN_EACH(0x80)) | ((no_7f - TOKEN_EACH(0x01)) & ~no_7f & TOKEN_EACH(0x80));
}

static inline uint64_t token_odd_letters8(uint64_t w)
{
    uint64_t ascii = w & TOKEN_EACH(0x7f), lower = ascii | TOKEN_EACH(0x20);
    uint64_t letters = (lower + TOKEN_EACH(0x80 - 'a')) & ~(lower + TOKEN_EACH(0x7f - 'z'));
    uint64_t digits = (ascii + TOKEN_EACH(0x80 - '0')) & ~(ascii + TOKEN_EACH(0x7f - '9'));
    uint64_t dashes = ~((ascii ^ TOKEN_EACH('-')) + TOKEN_EACH(0x7f));

    return ~((letters | digits | dashes) & ~w) & TOKEN_EACH(0x80);
}

static inline size_t token_run8(struct span s, uint64_t (*odd)(uint64_t w))
{
    size_t i = 0;

    for (; s.n - i >= 8; i += 8) {
        uint64_t bits = odd(span_word(s.p + i));
        if (bits != 0)
            return i + (size_t)__builtin_ctzll(bits) / 8;
    }
    return i;
}

#if defined(__SSE2__)

#include <emmintrin.h>
#include <string.h>

/* ---- sixteen in a vector: a bit for each that is not plain ---- */

static inline __m128i token_up_to(__m128i bytes, int most)
{
    return _mm_cmpeq_epi8(_mm_min_epu8(bytes, _mm_set1_epi8((char)most)), bytes);
}

static inline unsigned token_odd_values16(__m128i b)
{
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(token_up_to(b, 0x1f), _mm_cmpeq_epi8(b, _mm_set1_epi8(0x7f))));
}

static inline unsigned token_odd_letters16(__m128i b)
{
    __m128i letters = token_up_to(_mm_sub_epi8(_mm_or_si128(b, _mm_set1_epi8(0x20)), _mm_set1_epi8('a')), 25);
    __m128i digits = token_up_to(_mm_sub_epi8(b, _mm_set1_epi8('0')), 9);
    __m128i dashes = _mm_cmpeq_epi8(b, _mm_set1_epi8('-'));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(letters, digits), dashes)) ^ 0xffffu;
}

static inline __m128i token_load(const uint8_t *p)
{
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

/* Of eight to fifteen bytes the first eight and the last eight: what the latter say again of the middle does not matter. */
static inline size_t token_run_short(struct span s, unsigned (*odd)(__m128i bytes))
{
    __m128i first = _mm_loadl_epi64((const __m128i *)(const void *)s.p);
    __m128i last = _mm_loadl_epi64((const __m128i *)(const void *)(s.p + s.n - 8));
    unsigned bits = odd(_mm_unpacklo_epi64(first, last));
    size_t at = bits != 0 ? (size_t)__builtin_ctz(bits) : 16;

    return at < 8 ? at : s.n - 16 + at;
}

/* So with four to seven, for which there is half a vector. */
static inline size_t token_run_shorter(struct span s, unsigned (*odd)(__m128i bytes))
{
    int first, last;
    unsigned bits;
    size_t at;

    memcpy(&first, s.p, 4);
    memcpy(&last, s.p + s.n - 4, 4);
    bits = odd(_mm_unpacklo_epi32(_mm_cvtsi32_si128(first), _mm_cvtsi32_si128(last))) & 0xffu;
    at = bits != 0 ? (size_t)__builtin_ctz(bits) : 8;
    return at < 4 ? at : s.n - 8 + at;
}

static inline size_t token_run16(struct span s, unsigned (*odd)(__m128i bytes))
{
    unsigned bits = 0;
    size_t i = 0;

    if (s.n < 16)
        return s.n >= 8 ? token_run_short(s, odd) : s.n >= 4 ? token_run_shorter(s, odd) : 0;
    while (s.n - i >= 16 && (bits = odd(token_load(s.p + i))) == 0)
        i += 16;
    if (bits == 0 && i < s.n) {
        i = s.n - 16;
        bits = odd(token_load(s.p + i));
    }
    return bits != 0 ? i + (size_t)__builtin_ctz(bits) : s.n;
}

static inline size_t token_run_values(struct span s)
{
    return token_run16(s, token_odd_values16);
}

static inline size_t token_run_letters(struct span s)
{
    return token_run16(s, token_odd_letters16);
}

#else

static inline size_t token_run_values(struct span s)
{
    return token_run8(s, token_odd_values8);
}

static inline size_t token_run_letters(struct span s)
{
    return token_run8(s, token_odd_letters8);
}

#endif
#endif
