/* RFC 4648 section 10, every two-byte value there and back, and everything that is almost base64. */
#include "protocol/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct { const char *bytes, *text; } vectors[] = {
    { "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" }, { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
    { "foobar", "Zm9vYmFy" }, { "\xfb\xff\xbf", "+/+/" },
};

static void known_texts(void **state)
{
    uint8_t out[16];

    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct span bytes = span_of_text(vectors[i].bytes), text = span_of_text(vectors[i].text);
        base64_encode(bytes, out);
        assert_int_equal(BASE64_BYTES(bytes.n), text.n);
        assert_memory_equal(out, text.p, text.n);
        assert_int_equal(base64_decode(text, out), (int)bytes.n);
        assert_memory_equal(out, bytes.p, bytes.n);
    }
}

static void refused(void **state)
{
    static const char *const texts[] = {
        "A", "AA", "AAA", "AAAAA", "Zg=", "Zg===", "====", "=AAA", "A=AA", "AA=A", "A===", "Zm9v=", "Zg==Zg==", "Zg==AAAA",
        "Zm8=\n", "Zm 8", " Zm8", "Zm8-", "Zm8_", "Zm8.", "Zm\x80=", "Zh==", "Zm9=", "Zg==\r\n\r\n",
    };
    uint8_t out[16];

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_int_equal(base64_decode(span_of_text(texts[i]), out), -1);
    assert_int_equal(base64_decode(SPAN_LITERAL("Zm\0="), out), -1);
}

/* Every value comes back; and of all texts of four characters that begin with eA, only those decode that are some value's own. */
static void one_text_for_each_value(void **state)
{
    uint8_t bytes[3], text[4], back[3];
    unsigned decoded = 0;

    (void)state;
    for (unsigned value = 0; value < 65536; value++) {
        bytes[0] = 'x';
        bytes[1] = (uint8_t)(value >> 8);
        bytes[2] = (uint8_t)value;
        base64_encode(span_of(bytes, 3), text);
        assert_int_equal(base64_decode(span_of(text, 4), back), 3);
        assert_memory_equal(bytes, back, 3);
        memcpy(text, "eA", 2);
        text[2] = (uint8_t)(value >> 8);
        text[3] = (uint8_t)value;
        decoded += base64_decode(span_of(text, 4), back) > 0;
    }
    assert_int_equal(decoded, 64 * 64 + 16 + 1);
}

/* The same bits in the other alphabet, without padding; as strict. */
static void for_urls(void **state)
{
    static const char *const bad[] = { "A", "AAAAA", "Zg==", "Zg=", "Zh", "Zm9", "Zm9vY", "+w", "_/", "Zg\n", " Zg", "Zm9vZ=" };
    uint8_t bytes[3], text[4], back[3];

    (void)state;
    base64url_encode(SPAN_LITERAL("\xfb\xff\xbf"), text);
    assert_memory_equal(text, "-_-_", 4);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(base64url_decode(span_of_text(bad[i]), back), -1);
    for (unsigned value = 0; value < 65536; value++)
        for (size_t n = 0; n <= 3; n++) {
            bytes[0] = (uint8_t)(value >> 8);
            bytes[1] = (uint8_t)value;
            bytes[2] = (uint8_t)(value * 7);
            base64url_encode(span_of(bytes, n), text);
            assert_int_equal(base64url_decode(span_of(text, BASE64URL_BYTES(n)), back), (int)n);
            assert_memory_equal(back, bytes, n);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(for_urls),
        cmocka_unit_test(known_texts),
        cmocka_unit_test(refused),
        cmocka_unit_test(one_text_for_each_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
