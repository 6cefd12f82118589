/* utf8_simd: the portable reader, the two vector readers made of utf8_blocks.h, and the choice at run time.
 *
 * Nothing here decides that a text is bad: a reader that is not content stops, and utf8.c looks at the bytes one by one. */
#include "protocol/utf8_simd.h"

#include <stdbool.h>
#include <string.h>

#define HIGH_BIT_OF_EACH 0x8080808080808080u

static uint64_t word_at(const uint8_t *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof(word));
    return word;
}

/* The bytes of the code point that starts at p: 0 when it is not all there, or not one (RFC 3629 section 4). */
static size_t code_point_bytes(const uint8_t *p, size_t n, const uint8_t *key)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    uint32_t first = p[0] ^ key[0];
    size_t bytes = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
    uint32_t value;

    if (bytes == 1)
        return 1;
    if (n < bytes || first < 0xc2 || first > 0xf4)
        return 0;
    value = first & (0x7fu >> bytes);
    for (size_t i = 1; i < bytes; i++) {
        uint32_t c = p[i] ^ key[i % 4];
        if ((c & 0xc0) != 0x80)
            return 0;
        value = value << 6 | (c & 0x3f);
    }
    return value >= least[bytes] && value <= 0x10ffff && (value & ~0x7ffu) != 0xd800 ? bytes : 0;
}

size_t utf8_whole_portable(const uint8_t *p, size_t n, const uint8_t *key)
{
    size_t i = 0;

    while (i < n) {
        size_t step = 8;
        if (n - i < 8 || ((word_at(p + i) ^ word_at(key + i % 4)) & HIGH_BIT_OF_EACH) != 0)
            step = code_point_bytes(p + i, n - i, key + i % 4);
        if (step == 0)
            break;
        i += step;
    }
    return i;
}

#if defined(__x86_64__)

#include <immintrin.h>

/* How two bytes in a row can be wrong (RFC 3629 sections 3 and 4). */
enum {
    LEAD_ALONE = 1,                      /* a lead, and no continuation byte behind it */
    NO_LEAD = 2,                         /* a continuation byte behind ASCII */
    OVERLONG_2 = 4,                      /* C0, C1 */
    OVERLONG_3 = 8,                      /* E0 80 … 9F */
    SURROGATE = 16,                      /* ED A0 … BF */
    TOO_LARGE = 32,                      /* F4 90 … BF, F5 and more with 90 … BF */
    OVERLONG_4 = 64,                     /* F0 80 … 8F, and F5 and more with 80 … 8F */
    CONTINUATIONS = 128,                 /* two in a row: wrong unless they are due */
    WHATEVER_LOW = LEAD_ALONE | NO_LEAD | CONTINUATIONS,
};

static const uint8_t first_high[16] = {
    NO_LEAD, NO_LEAD, NO_LEAD, NO_LEAD, NO_LEAD, NO_LEAD, NO_LEAD, NO_LEAD,
    CONTINUATIONS, CONTINUATIONS, CONTINUATIONS, CONTINUATIONS,
    LEAD_ALONE | OVERLONG_2, LEAD_ALONE, LEAD_ALONE | OVERLONG_3 | SURROGATE, LEAD_ALONE | TOO_LARGE | OVERLONG_4,
};
#define PAST_F4 (WHATEVER_LOW | TOO_LARGE | OVERLONG_4)
static const uint8_t first_low[16] = {
    WHATEVER_LOW | OVERLONG_2 | OVERLONG_3 | OVERLONG_4, WHATEVER_LOW | OVERLONG_2, WHATEVER_LOW, WHATEVER_LOW,
    WHATEVER_LOW | TOO_LARGE, PAST_F4, PAST_F4, PAST_F4,
    PAST_F4, PAST_F4, PAST_F4, PAST_F4, PAST_F4, PAST_F4 | SURROGATE, PAST_F4, PAST_F4,
};
#define BEHIND_ANY (NO_LEAD | OVERLONG_2 | CONTINUATIONS)
static const uint8_t second_high[16] = {
    LEAD_ALONE, LEAD_ALONE, LEAD_ALONE, LEAD_ALONE, LEAD_ALONE, LEAD_ALONE, LEAD_ALONE, LEAD_ALONE,
    BEHIND_ANY | OVERLONG_3 | OVERLONG_4, BEHIND_ANY | OVERLONG_3 | TOO_LARGE, BEHIND_ANY | SURROGATE | TOO_LARGE,
    BEHIND_ANY | SURROGATE | TOO_LARGE,
    LEAD_ALONE, LEAD_ALONE, LEAD_ALONE, LEAD_ALONE,
};

static int key_word(const uint8_t *key, size_t offset)
{
    int word;

    memcpy(&word, key + offset % 4, sizeof(word));
    return word;
}

#define TARGET __attribute__((target("ssse3")))
#define FUNCTION(name) name##_ssse3
#define VECTOR __m128i
#define BLOCK ((size_t)16)
#define LOAD(p) _mm_loadu_si128((const __m128i *)(const void *)(p))
#define ALL(byte) _mm_set1_epi8((char)(byte))
#define KEY_AT(key, offset) _mm_set1_epi32(key_word(key, offset))
#define AND(a, b) _mm_and_si128(a, b)
#define OR(a, b) _mm_or_si128(a, b)
#define XOR(a, b) _mm_xor_si128(a, b)
#define EQUAL(a, b) _mm_cmpeq_epi8(a, b)
#define MINUS(a, b) _mm_subs_epu8(a, b)
#define LOW_HALF(a) _mm_and_si128(a, _mm_set1_epi8(15))
#define HIGH_HALF(a) _mm_and_si128(_mm_srli_epi16(a, 4), _mm_set1_epi8(15))
#define LOOK_UP(table, at) _mm_shuffle_epi8(LOAD(table), at)
#define HIGH_BITS(a) (unsigned)_mm_movemask_epi8(a)
#define EVERY_HIGH_BIT 0xffffu
#define SHIFTED_IN(in, by) _mm_slli_si128(in, by)
#include "protocol/utf8_blocks.h"

#undef TARGET
#undef FUNCTION
#undef VECTOR
#undef BLOCK
#undef LOAD
#undef ALL
#undef KEY_AT
#undef AND
#undef OR
#undef XOR
#undef EQUAL
#undef MINUS
#undef LOW_HALF
#undef HIGH_HALF
#undef LOOK_UP
#undef HIGH_BITS
#undef EVERY_HIGH_BIT
#undef SHIFTED_IN

#define TARGET __attribute__((target("avx2")))
#define FUNCTION(name) name##_avx2
#define VECTOR __m256i
#define BLOCK ((size_t)32)
#define LOAD(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define ALL(byte) _mm256_set1_epi8((char)(byte))
#define KEY_AT(key, offset) _mm256_set1_epi32(key_word(key, offset))
#define AND(a, b) _mm256_and_si256(a, b)
#define OR(a, b) _mm256_or_si256(a, b)
#define XOR(a, b) _mm256_xor_si256(a, b)
#define EQUAL(a, b) _mm256_cmpeq_epi8(a, b)
#define MINUS(a, b) _mm256_subs_epu8(a, b)
#define LOW_HALF(a) _mm256_and_si256(a, _mm256_set1_epi8(15))
#define HIGH_HALF(a) _mm256_and_si256(_mm256_srli_epi16(a, 4), _mm256_set1_epi8(15))
#define LOOK_UP(table, at) _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)(table))), at)
#define HIGH_BITS(a) (unsigned)_mm256_movemask_epi8(a)
#define EVERY_HIGH_BIT 0xffffffffu
#define SHIFTED_IN(in, by) _mm256_alignr_epi8(in, _mm256_permute2x128_si256(in, in, 0x08), 16 - (by))
#include "protocol/utf8_blocks.h"

/* `end` without the bytes of a code point that is still open there; what is before it is otherwise valid. */
static size_t last_border(const uint8_t *p, size_t end, const uint8_t *key)
{
    for (size_t back = 1; back <= 3 && back <= end; back++) {
        uint8_t c = p[end - back] ^ key[(end - back) % 4];
        if (c < 0x80)
            return end;
        if (c >= 0xc0)
            return (c < 0xe0 ? 2u : c < 0xf0 ? 3u : 4u) > back ? end - back : end;
    }
    return end;
}

size_t utf8_whole_ssse3(const uint8_t *p, size_t n, const uint8_t *key)
{
    return last_border(p, good_bytes_ssse3(p, n, key), key);
}

size_t utf8_whole_avx2(const uint8_t *p, size_t n, const uint8_t *key)
{
    return last_border(p, good_bytes_avx2(p, n, key), key);
}

static size_t whole_in_blocks(const uint8_t *p, size_t n, const uint8_t *key)
{
    if (n >= 32 && __builtin_cpu_supports("avx2"))
        return utf8_whole_avx2(p, n, key);
    return n >= 16 && __builtin_cpu_supports("ssse3") ? utf8_whole_ssse3(p, n, key) : 0;
}

#else

static size_t whole_in_blocks(const uint8_t *p, size_t n, const uint8_t *key)
{
    (void)p, (void)n, (void)key;
    return 0;
}

#endif

size_t utf8_whole(const uint8_t *p, size_t n, const uint8_t *key)
{
    size_t done = whole_in_blocks(p, n, key);

    return done + utf8_whole_portable(p + done, n - done, key + done % 4);
}
