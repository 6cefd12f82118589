/* Sealed values: the format byte for byte, and everything that is almost such a value. The encryption is a toy that shows what it is given; the
 * real one is in tests/gateway/test_sticky.c. */
#include "protocol/sealed.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW_S UINT64_C(1700000000)

static const uint8_t names[3][SEALED_KEY_NAME_BYTES] = { "\x01\x02\x03\x04", "keyB", "keyB" };
static size_t opened;                    /* keys tried */

static const uint8_t *name_of(const struct sealed_keys *k, size_t key)
{
    (void)k;
    return names[key];
}

/* No secret at all: the tag is a sum over everything that goes into it. */
static void tag_of(size_t key, const uint8_t *nonce, struct span with, const uint8_t *plain, size_t n, uint8_t *tag)
{
    uint32_t sum = 7 + (uint32_t)key;

    for (size_t i = 0; i < SEALED_NONCE_BYTES; i++)
        sum = sum * 31 + nonce[i];
    for (size_t i = 0; i < with.n; i++)
        sum = sum * 31 + with.p[i];
    for (size_t i = 0; i < n; i++)
        sum = sum * 31 + plain[i];
    for (size_t i = 0; i < SEALED_TAG_BYTES; i++, sum = sum * 1103515245 + 12345)
        tag[i] = (uint8_t)(sum >> 16);
}

static int toy_seal(const struct sealed_keys *k, size_t key, const uint8_t *nonce, struct span with, const uint8_t *in, size_t n, uint8_t *out)
{
    (void)k;
    memcpy(out, in, n);
    tag_of(key, nonce, with, in, n, out + n);
    return 0;
}

static int toy_open(const struct sealed_keys *k, size_t key, const uint8_t *nonce, struct span with, const uint8_t *in, size_t n, uint8_t *out)
{
    uint8_t tag[SEALED_TAG_BYTES];

    (void)k;
    opened++;
    tag_of(key, nonce, with, in, n, tag);
    memcpy(out, in, n);
    return memcmp(tag, in + n, sizeof(tag)) == 0 ? 0 : -EBADMSG;
}

static const struct sealed_keys toy = { .n = 3, .name = name_of, .seal = toy_seal, .open = toy_open };
static const uint8_t nonce[SEALED_NONCE_BYTES] = "abcdefghijklmnopqrstuvwx", bound[SEALED_BOUND_BYTES] = "an upstream and a cookie";
static const struct sealed what = { .server = UINT64_C(0x0123456789abcdef), .issued_s = NOW_S, .expires_s = NOW_S + 3600 };

static enum sealed_verdict read_text(struct span text, struct sealed *out)
{
    uint8_t *copy = malloc(text.n > 0 ? text.n : 1);     /* exactly as long, for the sanitizer to see */
    enum sealed_verdict verdict;

    memcpy(copy, text.p, text.n);
    verdict = sealed_read(&toy, bound, span_of(copy, text.n), NOW_S, out);
    free(copy);
    return verdict;
}

static void the_format(void **state)
{
    uint8_t text[SEALED_TEXT_BYTES], value[SEALED_BYTES];
    struct sealed back = { 0 };

    (void)state;
    assert_int_equal(SEALED_TEXT_BYTES, 92);
    assert_true(sealed_write(&toy, nonce, bound, &what, text));
    assert_int_equal(base64url_decode(span_of(text, sizeof(text)), value), SEALED_BYTES);
    assert_memory_equal(value, "\x01\x01\x02\x03\x04" "abcdefghijklmnopqrstuvwx" "\x01\x23\x45\x67\x89\xab\xcd\xef"
                               "\0\0\0\0\x65\x53\xf1\x00" "\0\0\0\0\x65\x53\xff\x10", SEALED_BYTES - SEALED_TAG_BYTES);
    assert_int_equal(read_text(span_of(text, sizeof(text)), &back), SEALED_GOOD);
    assert_true(back.server == what.server && back.issued_s == what.issued_s && back.expires_s == what.expires_s);
}

static void at_every_length(void **state)
{
    uint8_t text[SEALED_TEXT_BYTES + 8];
    struct sealed back;

    (void)state;
    memset(text, 'A', sizeof(text));
    assert_true(sealed_write(&toy, nonce, bound, &what, text));
    for (size_t n = 0; n <= sizeof(text); n++)
        assert_int_equal(read_text(span_of(text, n), &back), n == SEALED_TEXT_BYTES ? SEALED_GOOD : SEALED_MALFORMED);
}

/* Each character replaced by each byte: nothing else is good, and each is what it is for a reason. */
static void every_byte_changed(void **state)
{
    uint8_t text[SEALED_TEXT_BYTES], value[SEALED_BYTES];
    struct sealed back;

    (void)state;
    assert_true(sealed_write(&toy, nonce, bound, &what, text));
    for (size_t at = 0; at < sizeof(text); at++)
        for (unsigned c = 0; c < 256; c++) {
            uint8_t was = text[at];
            enum sealed_verdict verdict, due = SEALED_FORGED;
            text[at] = (uint8_t)c;
            verdict = read_text(span_of(text, sizeof(text)), &back);
            if (c == was)
                due = SEALED_GOOD;
            else if (base64url_decode(span_of(text, sizeof(text)), value) < 0 || value[0] != 1)
                due = SEALED_MALFORMED;
            else if (memcmp(value + 1, names[0], SEALED_KEY_NAME_BYTES) != 0)
                due = SEALED_FOREIGN;
            if (verdict != due)
                fail_msg("byte %zu as %02x: %d instead of %d", at, c, (int)verdict, (int)due);
            text[at] = was;
        }
}

static void bound_to_one_use(void **state)
{
    uint8_t text[SEALED_TEXT_BYTES], other[SEALED_BOUND_BYTES];
    struct sealed back;

    (void)state;
    assert_true(sealed_write(&toy, nonce, bound, &what, text));
    memcpy(other, bound, sizeof(other));
    other[31] ^= 1;
    assert_int_equal(sealed_read(&toy, other, span_of(text, sizeof(text)), NOW_S, &back), SEALED_FORGED);
}

static void until_it_expires(void **state)
{
    uint8_t text[SEALED_TEXT_BYTES];
    struct sealed back;

    (void)state;
    assert_true(sealed_write(&toy, nonce, bound, &what, text));
    assert_int_equal(sealed_read(&toy, bound, span_of(text, sizeof(text)), 0, &back), SEALED_GOOD);
    assert_int_equal(sealed_read(&toy, bound, span_of(text, sizeof(text)), NOW_S + 3599, &back), SEALED_GOOD);
    assert_int_equal(sealed_read(&toy, bound, span_of(text, sizeof(text)), NOW_S + 3600, &back), SEALED_EXPIRED);
    assert_int_equal(sealed_read(&toy, bound, span_of(text, sizeof(text)), UINT64_MAX, &back), SEALED_EXPIRED);
}

static const uint8_t *only_b(const struct sealed_keys *k, size_t key)
{
    (void)k;
    (void)key;
    return names[1];
}

/* Of two keys with the same name the right one is found; keys with another name are not tried. */
static void by_the_keys_name(void **state)
{
    const struct sealed_keys second = { .n = 1, .name = only_b, .seal = toy_seal, .open = toy_open };
    uint8_t text[SEALED_TEXT_BYTES], value[SEALED_BYTES];
    struct span with;
    uint8_t all[5 + SEALED_BOUND_BYTES];
    struct sealed back;

    (void)state;
    assert_true(sealed_write(&second, nonce, bound, &what, text));
    base64url_decode(span_of(text, sizeof(text)), value);
    memcpy(all, value, 5);
    memcpy(all + 5, bound, SEALED_BOUND_BYTES);
    with = span_of(all, sizeof(all));
    tag_of(2, nonce, with, value + SEALED_HEAD_BYTES, SEALED_PLAIN_BYTES, value + SEALED_BYTES - SEALED_TAG_BYTES);
    base64url_encode(span_of(value, sizeof(value)), text);
    opened = 0;
    assert_int_equal(read_text(span_of(text, sizeof(text)), &back), SEALED_GOOD);
    assert_int_equal(opened, 2);                 /* the two of that name */
}

static int no_memory(const struct sealed_keys *k, size_t key, const uint8_t *n, struct span with, const uint8_t *in, size_t in_n, uint8_t *out)
{
    (void)k, (void)key, (void)n, (void)with, (void)in, (void)in_n, (void)out;
    return -ENOMEM;
}

static void without_memory(void **state)
{
    const struct sealed_keys poor = { .n = 1, .name = name_of, .seal = no_memory, .open = no_memory };
    uint8_t text[SEALED_TEXT_BYTES];
    struct sealed back;

    (void)state;
    assert_false(sealed_write(&poor, nonce, bound, &what, text));
    assert_true(sealed_write(&toy, nonce, bound, &what, text));
    assert_int_equal(sealed_read(&poor, bound, span_of(text, sizeof(text)), NOW_S, &back), SEALED_NO_MEMORY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_format),        cmocka_unit_test(at_every_length),  cmocka_unit_test(every_byte_changed),
        cmocka_unit_test(bound_to_one_use),  cmocka_unit_test(until_it_expires), cmocka_unit_test(by_the_keys_name),
        cmocka_unit_test(without_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
