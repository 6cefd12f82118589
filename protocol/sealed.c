#include "protocol/sealed.h"

#include <errno.h>
#include <string.h>

#define VERSION 1
#define NAMED_BYTES (1 + SEALED_KEY_NAME_BYTES)

static void put_u64(uint8_t *p, uint64_t value)
{
    for (int i = 0; i < 8; i++)
        p[i] = (uint8_t)(value >> (56 - 8 * i));
}

static uint64_t get_u64(const uint8_t *p)
{
    uint64_t value = 0;

    for (int i = 0; i < 8; i++)
        value = value << 8 | p[i];
    return value;
}

/* What is authenticated, but not in the value a second time. */
struct with {
    uint8_t bytes[NAMED_BYTES + SEALED_BOUND_BYTES];
};

static struct span make_with(struct with *w, const uint8_t *value, const uint8_t *bound)
{
    memcpy(w->bytes, value, NAMED_BYTES);
    memcpy(w->bytes + NAMED_BYTES, bound, SEALED_BOUND_BYTES);
    return span_of(w->bytes, sizeof(w->bytes));
}

bool sealed_write(const struct sealed_keys *k, const uint8_t nonce[SEALED_NONCE_BYTES], const uint8_t bound[SEALED_BOUND_BYTES],
                  const struct sealed *what, uint8_t text_out[SEALED_TEXT_BYTES])
{
    uint8_t value[SEALED_BYTES], plain[SEALED_PLAIN_BYTES];
    struct with w;

    value[0] = VERSION;
    memcpy(value + 1, k->name(k, 0), SEALED_KEY_NAME_BYTES);
    memcpy(value + NAMED_BYTES, nonce, SEALED_NONCE_BYTES);
    put_u64(plain, what->server);
    put_u64(plain + 8, what->issued_s);
    put_u64(plain + 16, what->expires_s);
    if (k->seal(k, 0, nonce, make_with(&w, value, bound), plain, sizeof(plain), value + SEALED_HEAD_BYTES) != 0)
        return false;
    base64url_encode(span_of(value, sizeof(value)), text_out);
    return true;
}

/* Two keys may have the same name, once in a great while. */
static enum sealed_verdict open_value(const struct sealed_keys *k, const uint8_t *bound, const uint8_t value[SEALED_BYTES],
                                      uint8_t plain[SEALED_PLAIN_BYTES])
{
    enum sealed_verdict verdict = SEALED_FOREIGN;
    struct with w;
    struct span with = make_with(&w, value, bound);

    for (size_t i = 0; i < k->n; i++) {
        int rv;
        if (memcmp(k->name(k, i), value + 1, SEALED_KEY_NAME_BYTES) != 0)
            continue;
        rv = k->open(k, i, value + NAMED_BYTES, with, value + SEALED_HEAD_BYTES, SEALED_PLAIN_BYTES, plain);
        if (rv == 0)
            return SEALED_GOOD;
        verdict = rv == -ENOMEM ? SEALED_NO_MEMORY : SEALED_FORGED;
    }
    return verdict;
}

enum sealed_verdict sealed_read(const struct sealed_keys *k, const uint8_t bound[SEALED_BOUND_BYTES], struct span text, uint64_t now_s,
                                struct sealed *out)
{
    uint8_t value[SEALED_BYTES], plain[SEALED_PLAIN_BYTES];
    enum sealed_verdict verdict;

    if (text.n != SEALED_TEXT_BYTES || base64url_decode(text, value) != SEALED_BYTES || value[0] != VERSION)
        return SEALED_MALFORMED;
    verdict = open_value(k, bound, value, plain);
    if (verdict != SEALED_GOOD)
        return verdict;
    *out = (struct sealed){ .server = get_u64(plain), .issued_s = get_u64(plain + 8), .expires_s = get_u64(plain + 16) };
    return now_s < out->expires_s ? SEALED_GOOD : SEALED_EXPIRED;
}
