#include "protocol/span.h"

#include <string.h>

struct span span_of_text(const char *text)
{
    return text == NULL ? SPAN_EMPTY : span_of(text, strlen(text));
}

struct span span_of(const void *p, size_t n)
{
    return (struct span){ p, n };
}

struct span span_from(struct span s, size_t offset)
{
    if (offset >= s.n)
        return SPAN_EMPTY;
    return (struct span){ s.p + offset, s.n - offset };
}

struct span span_first(struct span s, size_t n)
{
    return (struct span){ s.p, n < s.n ? n : s.n };
}

bool span_equal(struct span a, struct span b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

uint8_t ascii_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

/* Two bytes that differ are the same letter if they differ in its case only. */
static bool same_letter(uint8_t a, uint8_t b)
{
    return (a ^ b) == 0x20 && (uint8_t)((a | 0x20) - 'a') < 26;
}

#define EACH(byte) ((uint64_t)0x0101010101010101u * (byte))

/* The same for eight bytes in a word: where they differ, it is in the bit of the case, and both are letters of ASCII. */
static inline bool same_eight(uint64_t a, uint64_t b)
{
    uint64_t differ = a ^ b, lower, letters;

    if (differ == 0 || (differ & ~EACH(0x20)) != 0)
        return differ == 0;
    lower = (a & EACH(0x7f)) | EACH(0x20);
    letters = (lower + EACH(0x80 - 'a')) & ~(lower + EACH(0x7f - 'z')) & ~a & EACH(0x80);
    return (differ << 2 & ~letters) == 0;
}

/* Four to seven bytes in a word: those in the middle stand in it twice. */
static inline uint64_t short_word(const uint8_t *p, size_t n)
{
    const uint8_t *q = p + n - 4;
    uint32_t first = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    uint32_t last = (uint32_t)q[0] | (uint32_t)q[1] << 8 | (uint32_t)q[2] << 16 | (uint32_t)q[3] << 24;

    return first | (uint64_t)last << 32;
}

static bool same_few(const uint8_t *a, const uint8_t *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i] && !same_letter(a[i], b[i]))
            return false;
    return true;
}

bool span_same_letters(const uint8_t *a, const uint8_t *b, size_t n)
{
    if (n < 8)
        return n < 4 ? same_few(a, b, n) : same_eight(short_word(a, n), short_word(b, n));
    for (size_t i = 0; i + 8 < n; i += 8)
        if (!same_eight(span_word(a + i), span_word(b + i)))
            return false;
    return same_eight(span_word(a + n - 8), span_word(b + n - 8));
}

bool span_starts_with(struct span s, struct span prefix)
{
    return s.n >= prefix.n && span_equal(span_first(s, prefix.n), prefix);
}

bool span_ends_with(struct span s, struct span suffix)
{
    return s.n >= suffix.n && span_equal(span_of(s.p + (s.n - suffix.n), suffix.n), suffix);
}

size_t span_find(struct span s, uint8_t c)
{
    const uint8_t *hit = s.n > 0 ? memchr(s.p, c, s.n) : NULL;

    return hit == NULL ? s.n : (size_t)(hit - s.p);
}

#define DIGITS_SAFE 19                   /* so many are never too much */

bool span_to_u64(struct span s, uint64_t *value_out)
{
    uint64_t value = 0;

    if (s.n == 0)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        uint64_t digit = (uint64_t)s.p[i] - '0';
        if (s.p[i] < '0' || s.p[i] > '9' || (i >= DIGITS_SAFE && value > (UINT64_MAX - digit) / 10))
            return false;
        value = value * 10 + digit;
    }
    *value_out = value;
    return true;
}

struct span span_of_u64(uint64_t value, uint8_t room[SPAN_U64_BYTES])
{
    size_t at = SPAN_U64_BYTES;

    do
        room[--at] = (uint8_t)('0' + value % 10);
    while ((value /= 10) > 0);
    return span_of(room + at, SPAN_U64_BYTES - at);
}
