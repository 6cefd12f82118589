/* utf8: the table of RFC 3629 section 4, a byte at a time, and in front of it a fast reader of whole code points.
 *
 * utf8_feed alternates: between code points utf8_whole (utf8_simd.c) runs over everything that is whole and valid; where it
 * stops, the table below looks at each byte, and so finds the first impossible one, or the code point that is still open.
 * utf8_valid has the whole text: where it is short, it looks first whether there is anything in it to be checked. */
#include "protocol/utf8.h"
#include "protocol/utf8_simd.h"

#include <string.h>

#define SHORT_BYTES 64                  /* a text that is no longer: most are ASCII, which a few words tell sooner than a reader has begun */

enum utf8_state {
    BETWEEN,
    NEED_1, NEED_2, NEED_3,              /* that many continuation bytes */
    AFTER_E0, AFTER_ED, AFTER_F0, AFTER_F4,      /* the first continuation byte is limited: overlong, surrogate, past U+10FFFF */
    BROKEN,
};

struct utf8_step {
    uint8_t low, high;                   /* the bytes that may follow in this state */
    uint8_t next;
};

static const struct utf8_step steps[] = {
    [NEED_1] = { 0x80, 0xbf, BETWEEN },
    [NEED_2] = { 0x80, 0xbf, NEED_1 },
    [NEED_3] = { 0x80, 0xbf, NEED_2 },
    [AFTER_E0] = { 0xa0, 0xbf, NEED_1 },
    [AFTER_ED] = { 0x80, 0x9f, NEED_1 },
    [AFTER_F0] = { 0x90, 0xbf, NEED_2 },
    [AFTER_F4] = { 0x80, 0x8f, NEED_2 },
};

static uint8_t state_after_first(uint8_t c)
{
    if (c < 0x80)
        return BETWEEN;
    if (c < 0xc2)
        return BROKEN;
    if (c < 0xe0)
        return NEED_1;
    if (c < 0xf0)
        return c == 0xe0 ? AFTER_E0 : c == 0xed ? AFTER_ED : NEED_2;
    if (c < 0xf4)
        return c == 0xf0 ? AFTER_F0 : NEED_3;
    return c == 0xf4 ? AFTER_F4 : BROKEN;
}

static uint8_t state_after(uint8_t state, uint8_t c)
{
    if (state == BETWEEN)
        return state_after_first(c);
    return c >= steps[state].low && c <= steps[state].high ? steps[state].next : BROKEN;
}

static bool feed(struct utf8 *u, const uint8_t *p, size_t n, const uint8_t key[UTF8_KEY_BYTES])
{
    for (size_t i = 0; i < n; i++) {
        if (u->state == BETWEEN)
            i += utf8_whole(p + i, n - i, key + i % 4);
        if (i == n)
            break;
        u->state = state_after(u->state, p[i] ^ key[i % 4]);
        if (u->state == BROKEN)
            return false;
        u->open_bytes = u->state == BETWEEN ? 0 : (uint8_t)(u->open_bytes + 1);
    }
    return true;
}

static const uint8_t no_mask[4] = { 0 };

bool utf8_feed(struct utf8 *u, const uint8_t *p, size_t n)
{
    return utf8_feed_masked(u, p, n, no_mask);
}

bool utf8_feed_masked(struct utf8 *u, const uint8_t *p, size_t n, const uint8_t mask[4])
{
    uint8_t key[UTF8_KEY_BYTES];

    for (size_t i = 0; i < sizeof(key); i += 4)
        memcpy(key + i, mask, 4);
    return feed(u, p, n, key);
}

bool utf8_complete(const struct utf8 *u)
{
    return u->state == BETWEEN;
}

static uint64_t word_at(const uint8_t *p)
{
    uint64_t word;

    memcpy(&word, p, sizeof(word));
    return word;
}

/* 8 bytes and more. The last word overlaps what was looked at before it, and ends where the mask does; up to three bytes are left. */
static bool is_ascii(const uint8_t *p, size_t n, const uint8_t mask[4])
{
    size_t whole = n - n % 4, i = 0;
    uint64_t key, seen;
    uint8_t rest = 0;
    uint32_t once;

    memcpy(&once, mask, sizeof(once));
    key = (uint64_t)once << 32 | once;
    seen = word_at(p + whole - 8) ^ key;
    for (; i + 16 <= n; i += 16)
        seen |= (word_at(p + i) ^ key) | (word_at(p + i + 8) ^ key);
    if (i + 8 <= n)
        seen |= word_at(p + i) ^ key;
    for (i = whole; i < n; i++)
        rest |= p[i] ^ mask[i % 4];
    return ((seen & 0x8080808080808080u) | (rest & 0x80u)) == 0;
}

bool utf8_valid(const uint8_t *p, size_t n)
{
    return utf8_valid_masked(p, n, no_mask);
}

bool utf8_valid_masked(const uint8_t *p, size_t n, const uint8_t mask[4])
{
    struct utf8 u = { 0 };

    if (n >= 8 && n <= SHORT_BYTES && is_ascii(p, n, mask))
        return true;
    return utf8_feed_masked(&u, p, n, mask) && utf8_complete(&u);
}
