/* Fuzz: the gateway's own cookie among others, and what is in it. The first byte chooses.
 *
 *   even   lines are Cookie fields. A second, simple reader agrees about the cookie's value and about what is left without it; and no value is good
 *          that was not sealed here
 *   odd    a value is sealed of what the bytes say, and then a few of its bytes are changed: it is good when nothing was changed, and only then */
#include "gateway/tls_seal.h"
#include "protocol/cookie.h"
#include "protocol/mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define FIELDS_MAX 16
#define NOW_S UINT64_C(1700000000)

static const struct span name = { (const uint8_t *)"s", 1 };
static const uint8_t bound[SEALED_BOUND_BYTES] = { 7, 8, 9 };

static const struct sealed_keys *keys(void)
{
    static uint8_t bytes[2 * TLS_SEAL_KEY_BYTES];
    static struct tls_seal *seal;

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * i);
    if (seal == NULL)
        seal = tls_seal_new(bytes, 2);
    assert(seal != NULL);
    return tls_seal_keys(seal);
}

/* ---- cookies, by a second reader ---- */

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

/* The piece before the next semicolon, trimmed: [*from, *to) of s. */
static size_t piece(struct span s, size_t at, size_t *from, size_t *to)
{
    size_t end = at;

    while (end < s.n && s.p[end] != ';')
        end++;
    for (*from = at; *from < end && is_blank(s.p[*from]);)
        ++*from;
    for (*to = end; *to > *from && is_blank(s.p[*to - 1]);)
        --*to;
    return end + 1;
}

/* `s`, blanks, `=`. */
static bool is_ours(struct span s, size_t from, size_t to)
{
    size_t at = from + 1;

    if (to - from < 2 || s.p[from] != 's')
        return false;
    while (at < to && is_blank(s.p[at]))
        at++;
    return at < to && s.p[at] == '=';
}

static bool has_ours(struct span s)
{
    size_t from, to;

    for (size_t at = 0; at < s.n;) {
        at = piece(s, at, &from, &to);
        if (is_ours(s, from, to))
            return true;
    }
    return false;
}

/* Without ours: in all, each byte that is neither blank nor semicolon is the same. */
static void expect_left(struct span before, struct span after)
{
    size_t out = 0, from, to;

    for (size_t at = 0; at < before.n;) {
        at = piece(before, at, &from, &to);
        if (from == to || is_ours(before, from, to))
            continue;
        if (out > 0) {
            assert(after.n - out >= 2 && memcmp(after.p + out, "; ", 2) == 0);
            out += 2;
        }
        assert(after.n - out >= to - from && memcmp(after.p + out, before.p + from, to - from) == 0);
        out += to - from;
    }
    assert(out == after.n);
}

static void check_fields(const struct headers *in, const struct headers *out)
{
    size_t at = 0;
    bool any = false;

    for (size_t i = 0; i < in->n; i++) {
        struct span before = in->fields[i].value;
        any |= has_ours(before);
        if (has_ours(before) && (at == out->n || out->fields[at].name.p != in->fields[i].name.p))
            expect_left(before, SPAN_EMPTY);
        else if (has_ours(before))
            expect_left(before, out->fields[at++].value);
        else
            assert(at < out->n && out->fields[at++].value.p == before.p);
    }
    assert(at == out->n);
    assert(any == (cookie_value(in, name).p != NULL));
    assert(cookie_value(out, name).p == NULL);
}

static void cookies(const uint8_t *data, size_t n)
{
    struct span rest = span_of(data, n);
    struct arena arena;
    struct headers in, out;
    struct sealed found;
    char names[FIELDS_MAX][7];

    arena_init(&arena, 1 << 22);
    headers_init(&in, &arena, 0);
    while (rest.n > 0 && in.n < FIELDS_MAX) {
        size_t end = span_find(rest, '\n');
        memcpy(names[in.n], "Cookie", 7);
        assert(headers_add(&in, span_of(names[in.n], 6), span_first(rest, end)) == FAULT_NONE);
        rest = span_from(rest, end + 1);
    }
    assert(cookie_remove(&arena, &in, name, &out) == FAULT_NONE);
    check_fields(&in, &out);
    assert(sealed_read(keys(), bound, cookie_value(&in, name), NOW_S, &found) != SEALED_GOOD);
    arena_free(&arena);
}

/* ---- values ---- */

static uint64_t take_u64(const uint8_t **p)
{
    uint64_t value;

    memcpy(&value, *p, sizeof(value));
    *p += sizeof(value);
    return value;
}

static void values(const uint8_t *data, size_t n)
{
    uint8_t text[SEALED_TEXT_BYTES], changed[SEALED_TEXT_BYTES];
    struct sealed what, found = { 0 };
    enum sealed_verdict verdict;
    const uint8_t *p = data + SEALED_NONCE_BYTES;

    if (n < SEALED_NONCE_BYTES + 24)
        return;
    what.server = take_u64(&p);
    what.issued_s = take_u64(&p);
    what.expires_s = take_u64(&p);
    assert(sealed_write(keys(), data, bound, &what, text));
    memcpy(changed, text, sizeof(text));
    for (; p + 1 < data + n; p += 2)
        changed[p[0] % sizeof(changed)] = p[1];
    verdict = sealed_read(keys(), bound, span_of(changed, sizeof(changed)), NOW_S, &found);
    if (memcmp(changed, text, sizeof(text)) != 0) {
        assert(verdict != SEALED_GOOD && verdict != SEALED_EXPIRED);
        return;
    }
    assert(verdict == (NOW_S < what.expires_s ? SEALED_GOOD : SEALED_EXPIRED));
    assert(found.server == what.server && found.issued_s == what.issued_s && found.expires_s == what.expires_s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    size_t before;

    keys();
    before = mem_live_blocks();
    if (n > 0 && data[0] % 2 == 0)
        cookies(data + 1, n - 1);
    else if (n > 0)
        values(data + 1, n - 1);
    assert(mem_live_blocks() == before);
    return 0;
}
