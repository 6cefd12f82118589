/* AES-GCM of whole messages: the values of its specification, and the library's own block-by-block code as a second opinion, for every length. */
#include "tests/gateway/scripted.h"

#include "gateway/tls_parts.h"

#include <mbedtls/cipher.h>

#define LENGTH_MAX 700                   /* every one up to this: all ways through eight blocks at a time, one at a time, and parts of one */
#define LONG_BYTES 16640                 /* a whole record, and its rest */

static uint8_t key[32], nonce[12], ad[80], clear[LONG_BYTES], sealed[LONG_BYTES], due[LONG_BYTES], opened[LONG_BYTES + 1];

static int begin(void **state)
{
    (void)state;
    return tls_library_begin();
}

static int end(void **state)
{
    (void)state;
    tls_library_end();
    assert_int_equal(mem_live_blocks(), 0);
    return 0;
}

static size_t from_hex(const char *hex, uint8_t *out)
{
    size_t n = strlen(hex) / 2;

    for (size_t i = 0; i < n; i++)
        assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &out[i]), 1);
    return n;
}

static void draw(void)
{
    assert_int_equal(tls_random(NULL, key, sizeof(key)), 0);
    assert_int_equal(tls_random(NULL, nonce, sizeof(nonce)), 0);
    assert_int_equal(tls_random(NULL, ad, sizeof(ad)), 0);
    assert_int_equal(tls_random(NULL, clear, sizeof(clear)), 0);
}

static void key_set(mbedtls_gcm_context *gcm, unsigned bits)
{
    mbedtls_gcm_init(gcm);
    assert_int_equal(mbedtls_gcm_setkey(gcm, MBEDTLS_CIPHER_ID_AES, key, bits), 0);
}

/* By the calls for a message in pieces, which are not led elsewhere. */
static void seal_by_library(mbedtls_gcm_context *gcm, size_t n, size_t ad_n, uint8_t *out, uint8_t tag[16])
{
    size_t done = 0, more = 0;

    assert_int_equal(mbedtls_gcm_starts(gcm, MBEDTLS_GCM_ENCRYPT, nonce, sizeof(nonce)), 0);
    assert_int_equal(mbedtls_gcm_update_ad(gcm, ad, ad_n), 0);
    assert_int_equal(mbedtls_gcm_update(gcm, clear, n, out, n, &done), 0);
    assert_int_equal(mbedtls_gcm_finish(gcm, out + done, n - done, &more, tag, 16), 0);
    assert_int_equal(done + more, n);
}

static void try(mbedtls_gcm_context *gcm, size_t n, size_t ad_n)
{
    uint8_t tag[16], due_tag[16];

    seal_by_library(gcm, n, ad_n, due, due_tag);
    assert_int_equal(mbedtls_gcm_crypt_and_tag(gcm, MBEDTLS_GCM_ENCRYPT, n, nonce, sizeof(nonce), ad, ad_n, clear, sealed, 16, tag), 0);
    assert_memory_equal(sealed, due, n);
    assert_memory_equal(tag, due_tag, 16);
    opened[n] = 0x5a;
    assert_int_equal(mbedtls_gcm_auth_decrypt(gcm, n, nonce, sizeof(nonce), ad, ad_n, tag, 16, sealed, opened), 0);
    assert_memory_equal(opened, clear, n);
    assert_int_equal(opened[n], 0x5a);
    memcpy(opened, clear, n);            /* and in place, as records are */
    assert_int_equal(mbedtls_gcm_crypt_and_tag(gcm, MBEDTLS_GCM_ENCRYPT, n, nonce, sizeof(nonce), ad, ad_n, opened, opened, 16, tag), 0);
    assert_memory_equal(opened, due, n);
    assert_int_equal(mbedtls_gcm_auth_decrypt(gcm, n, nonce, sizeof(nonce), ad, ad_n, due_tag, 16, opened, opened), 0);
    assert_memory_equal(opened, clear, n);
}

static void every_length_is_as_the_library_has_it(void **state)
{
    static const size_t longer[] = { 1023, 1024, 1025, 4096, 16384, 16385, 16401, LONG_BYTES };
    mbedtls_gcm_context gcm;

    (void)state;
    for (unsigned bits = 128; bits <= 256; bits += 64) {
        draw();
        key_set(&gcm, bits);
        for (size_t n = 0; n <= LENGTH_MAX; n++)
            try(&gcm, n, n % 3 == 0 ? 5 : n % 3 == 1 ? 13 : n % sizeof(ad));
        for (size_t i = 0; i < sizeof(longer) / sizeof(longer[0]); i++)
            try(&gcm, longer[i], 5);
        for (size_t n = 0; n <= sizeof(ad); n++)
            try(&gcm, 200, n);
        mbedtls_gcm_free(&gcm);
    }
}

/* Test cases 4 and 16 of the specification (McGrew and Viega). */
static void it_gives_what_the_specification_gives(void **state)
{
    static const char text[] = "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657"
                               "ba637b39";
    static const struct {
        const char *key, *sealed, *tag;
    } rows[] = {
        { "feffe9928665731c6d6a8f9467308308",
          "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
          "5bc94fbc3221a5db94fae95ae7121a47" },
        { "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
          "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
          "76fc6ece0f4e1768cddf8853bb2d551b" },
    };
    size_t n = from_hex(text, clear), ad_n = from_hex("feedfacedeadbeeffeedfacedeadbeefabaddad2", ad);
    mbedtls_gcm_context gcm;
    uint8_t tag[16], due_tag[16];

    (void)state;
    from_hex("cafebabefacedbaddecaf888", nonce);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        key_set(&gcm, (unsigned)from_hex(rows[i].key, key) * 8);
        assert_int_equal(mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, n, nonce, 12, ad, ad_n, clear, sealed, 16, tag), 0);
        from_hex(rows[i].sealed, due);
        from_hex(rows[i].tag, due_tag);
        assert_memory_equal(sealed, due, n);
        assert_memory_equal(tag, due_tag, 16);
        mbedtls_gcm_free(&gcm);
    }
}

static void a_cut_tag_is_the_beginning_of_the_whole(void **state)
{
    mbedtls_gcm_context gcm;
    uint8_t tag[16], cut[16] = { 0 };

    (void)state;
    draw();
    key_set(&gcm, 128);
    for (size_t n = 4; n <= 16; n++) {
        assert_int_equal(mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, 300, nonce, 12, ad, 5, clear, sealed, 16, tag), 0);
        assert_int_equal(mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, 300, nonce, 12, ad, 5, clear, sealed, n, cut), 0);
        assert_memory_equal(cut, tag, n);
        assert_int_equal(mbedtls_gcm_auth_decrypt(&gcm, 300, nonce, 12, ad, 5, cut, n, sealed, opened), 0);
    }
    mbedtls_gcm_free(&gcm);
}

static void expect_refused(mbedtls_gcm_context *gcm, size_t n, const uint8_t tag[16])
{
    memset(opened, 0xaa, n);
    assert_int_equal(mbedtls_gcm_auth_decrypt(gcm, n, nonce, 12, ad, 13, tag, 16, sealed, opened), MBEDTLS_ERR_GCM_AUTH_FAILED);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(opened[i], 0);              /* nothing of it is told */
}

static void every_bit_counts(void **state)
{
    static const size_t lengths[] = { 0, 1, 16, 127, 128, 300 };
    mbedtls_gcm_context gcm;
    uint8_t tag[16];

    (void)state;
    draw();
    key_set(&gcm, 128);
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        size_t n = lengths[i];
        assert_int_equal(mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, n, nonce, 12, ad, 13, clear, sealed, 16, tag), 0);
        for (size_t bit = 0; bit < 8 * n; bit++) {
            sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
            expect_refused(&gcm, n, tag);
            sealed[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        for (size_t bit = 0; bit < 8 * sizeof(tag); bit++) {
            tag[bit / 8] ^= (uint8_t)(1u << bit % 8);
            expect_refused(&gcm, n, tag);
            tag[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        ad[12] ^= 1;
        expect_refused(&gcm, n, tag);
        ad[12] ^= 1;
        nonce[11] ^= 128;
        expect_refused(&gcm, n, tag);
        nonce[11] ^= 128;
    }
    mbedtls_gcm_free(&gcm);
}

/* A nonce of another length, or a tag too short, is the library's affair. */
static void what_is_unusual_goes_to_the_library(void **state)
{
    mbedtls_gcm_context gcm;
    uint8_t tag[16], due_tag[16], other[16];
    size_t done = 0, more = 0;

    (void)state;
    draw();
    memcpy(other, ad, sizeof(other));
    key_set(&gcm, 128);
    assert_int_equal(mbedtls_gcm_starts(&gcm, MBEDTLS_GCM_ENCRYPT, other, sizeof(other)), 0);
    assert_int_equal(mbedtls_gcm_update(&gcm, clear, 100, due, 100, &done), 0);
    assert_int_equal(mbedtls_gcm_finish(&gcm, due + done, 100 - done, &more, due_tag, 16), 0);
    assert_int_equal(mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, 100, other, sizeof(other), NULL, 0, clear, sealed, 16, tag), 0);
    assert_memory_equal(sealed, due, 100);
    assert_memory_equal(tag, due_tag, 16);
    assert_int_not_equal(mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, 100, nonce, 12, NULL, 0, clear, sealed, 3, tag), 0);
    mbedtls_gcm_free(&gcm);
}

/* The linker has to lead the library's own calls: what the library alone would use is taken away from it. */
static void the_library_is_led_here(void **state)
{
#if defined(__x86_64__)
    mbedtls_cipher_context_t cipher;
    mbedtls_gcm_context gcm, *inside;
    uint8_t tag[16];
    size_t n;

    (void)state;
    if (!__builtin_cpu_supports("aes") || !__builtin_cpu_supports("pclmul"))
        skip();
    draw();
    key_set(&gcm, 128);
    seal_by_library(&gcm, 300, 13, due, tag);
    memcpy(due + 300, tag, sizeof(tag));
    mbedtls_gcm_free(&gcm);
    mbedtls_cipher_init(&cipher);
    assert_int_equal(mbedtls_cipher_setup(&cipher, mbedtls_cipher_info_from_type(MBEDTLS_CIPHER_AES_128_GCM)), 0);
    assert_int_equal(mbedtls_cipher_setkey(&cipher, key, 128, MBEDTLS_ENCRYPT), 0);
    inside = cipher.MBEDTLS_PRIVATE(cipher_ctx);
    memset(inside->MBEDTLS_PRIVATE(H), 0, sizeof(inside->MBEDTLS_PRIVATE(H)));
    assert_int_equal(mbedtls_cipher_auth_encrypt_ext(&cipher, nonce, 12, ad, 13, clear, 300, sealed, sizeof(sealed), &n, 16), 0);
    assert_memory_equal(sealed, due, 316);
    mbedtls_cipher_free(&cipher);
#else
    (void)state;
    skip();
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_gives_what_the_specification_gives),
        cmocka_unit_test(every_length_is_as_the_library_has_it),
        cmocka_unit_test(a_cut_tag_is_the_beginning_of_the_whole),
        cmocka_unit_test(every_bit_counts),
        cmocka_unit_test(what_is_unusual_goes_to_the_library),
        cmocka_unit_test(the_library_is_led_here),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
