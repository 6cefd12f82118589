/* tls_gcm: AES-GCM for the records of mbedTLS, eight blocks at a time with the instructions that x86-64 has for it (AES-NI, PCLMULQDQ).
 *
 * The library goes block by block, which makes large records seven to ten times as dear as elsewhere. The linker (--wrap, CMakeLists.txt) sends its
 * calls for whole messages to here; keys, round keys and contexts stay the library's own. What is not AES, has a nonce of another length than 96
 * bits, or runs on another processor, goes where it went before. Nothing here branches or looks up by a secret.
 *
 * GHASH is computed as POLYVAL (RFC 8452 appendix A): bytes reversed, the key times x, products that carry a factor x^-128 (NIST SP 800-38D for
 * the rest). tests/gateway/test_tls_gcm.c */
#include "gateway/tls_parts.h"

#include <mbedtls/aes.h>
#include <mbedtls/cipher.h>
#include <mbedtls/constant_time.h>
#include <string.h>

int __real_mbedtls_gcm_crypt_and_tag(mbedtls_gcm_context *ctx, int mode, size_t n, const unsigned char *iv, size_t iv_n, const unsigned char *ad,
                                     size_t ad_n, const unsigned char *in, unsigned char *out, size_t tag_n, unsigned char *tag);
int __wrap_mbedtls_gcm_crypt_and_tag(mbedtls_gcm_context *ctx, int mode, size_t n, const unsigned char *iv, size_t iv_n, const unsigned char *ad,
                                     size_t ad_n, const unsigned char *in, unsigned char *out, size_t tag_n, unsigned char *tag);
int __real_mbedtls_gcm_auth_decrypt(mbedtls_gcm_context *ctx, size_t n, const unsigned char *iv, size_t iv_n, const unsigned char *ad, size_t ad_n,
                                    const unsigned char *tag, size_t tag_n, const unsigned char *in, unsigned char *out);
int __wrap_mbedtls_gcm_auth_decrypt(mbedtls_gcm_context *ctx, size_t n, const unsigned char *iv, size_t iv_n, const unsigned char *ad, size_t ad_n,
                                    const unsigned char *tag, size_t tag_n, const unsigned char *in, unsigned char *out);

#if defined(__x86_64__) && defined(MBEDTLS_AES_C) && defined(MBEDTLS_CIPHER_C) && !defined(MBEDTLS_GCM_ALT) && !defined(MBEDTLS_AES_ALT)
#include <immintrin.h>

#define FAST __attribute__((target("aes,pclmul,ssse3,sse4.1")))
#define BLOCK 16
#define WIDE 8                           /* blocks at a time */
#define NONCE_BYTES 12
#define MESSAGE_MAX ((size_t)1 << 30)
#ifdef __clang__
#define EIGHT_TIMES _Pragma("clang loop unroll(full)")
#else
#define EIGHT_TIMES _Pragma("GCC unroll 8")
#endif

/* One message under way. */
struct gcm {
    const __m128i *keys;                 /* of the rounds; not aligned */
    int rounds;
    uint32_t counter;                    /* of the next block */
    __m128i nonce;                       /* its last four bytes make room for the counter */
    __m128i hash;
    __m128i power[WIDE];                 /* [0] is the hash's key; the others only where the message is long enough */
};

/* ---- AES ---- */

FAST static inline __m128i reversed(__m128i block)
{
    return _mm_shuffle_epi8(block, _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

FAST static inline __m128i encrypt_block(const struct gcm *g, __m128i block)
{
    block = _mm_xor_si128(block, _mm_loadu_si128(&g->keys[0]));
    for (int i = 1; i < g->rounds; i++)
        block = _mm_aesenc_si128(block, _mm_loadu_si128(&g->keys[i]));
    return _mm_aesenclast_si128(block, _mm_loadu_si128(&g->keys[g->rounds]));
}

FAST static inline __m128i counter_block(const struct gcm *g, uint32_t counter)
{
    return _mm_insert_epi32(g->nonce, (int)__builtin_bswap32(counter), 3);
}

FAST static inline void encrypt_counters(struct gcm *g, __m128i out[WIDE])
{
    __m128i key = _mm_loadu_si128(&g->keys[0]);

    EIGHT_TIMES
    for (int k = 0; k < WIDE; k++)
        out[k] = _mm_xor_si128(counter_block(g, g->counter + (uint32_t)k), key);
    for (int i = 1; i < g->rounds; i++) {
        key = _mm_loadu_si128(&g->keys[i]);
        EIGHT_TIMES
        for (int k = 0; k < WIDE; k++)
            out[k] = _mm_aesenc_si128(out[k], key);
    }
    key = _mm_loadu_si128(&g->keys[g->rounds]);
    EIGHT_TIMES
    for (int k = 0; k < WIDE; k++)
        out[k] = _mm_aesenclast_si128(out[k], key);
    g->counter += WIDE;
}

/* ---- the hash ---- */

/* Sums of 256 bits, the middle one standing 64 bits further up. */
struct product {
    __m128i low, middle, high;
};

FAST static inline void add_product(struct product *p, __m128i a, __m128i b)
{
    p->low = _mm_xor_si128(p->low, _mm_clmulepi64_si128(a, b, 0x00));
    p->high = _mm_xor_si128(p->high, _mm_clmulepi64_si128(a, b, 0x11));
    p->middle = _mm_xor_si128(p->middle, _mm_xor_si128(_mm_clmulepi64_si128(a, b, 0x01), _mm_clmulepi64_si128(a, b, 0x10)));
}

/* Times x^-128, modulo x^128 + x^127 + x^126 + x^121 + 1: twice a multiple of that is added which makes the lowest 64 bits zero. */
FAST static inline __m128i reduced(const struct product *p)
{
    const __m128i modulus = _mm_set_epi64x(0, (long long)0xc200000000000000);
    __m128i low = _mm_xor_si128(p->low, _mm_slli_si128(p->middle, 8));
    __m128i high = _mm_xor_si128(p->high, _mm_srli_si128(p->middle, 8));

    low = _mm_xor_si128(_mm_shuffle_epi32(low, 0x4e), _mm_clmulepi64_si128(low, modulus, 0x00));
    low = _mm_xor_si128(_mm_shuffle_epi32(low, 0x4e), _mm_clmulepi64_si128(low, modulus, 0x00));
    return _mm_xor_si128(high, low);
}

FAST static inline __m128i multiplied(__m128i a, __m128i b)
{
    struct product p = { _mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128() };

    add_product(&p, a, b);
    return reduced(&p);
}

FAST static inline __m128i times_x(__m128i a)
{
    uint64_t low = (uint64_t)_mm_cvtsi128_si64(a), high = (uint64_t)_mm_extract_epi64(a, 1), carry = high >> 63;

    high = (high << 1 | low >> 63) ^ ((0 - carry) & 0xc200000000000000);
    low = low << 1 ^ carry;
    return _mm_set_epi64x((long long)high, (long long)low);
}

FAST static inline void hash_block(struct gcm *g, __m128i block)
{
    g->hash = multiplied(_mm_xor_si128(g->hash, reversed(block)), g->power[0]);
}

FAST static inline void hash_wide(struct gcm *g, const __m128i blocks[WIDE])
{
    struct product p = { _mm_setzero_si128(), _mm_setzero_si128(), _mm_setzero_si128() };

    add_product(&p, _mm_xor_si128(g->hash, reversed(blocks[0])), g->power[WIDE - 1]);
    EIGHT_TIMES
    for (int k = 1; k < WIDE; k++)
        add_product(&p, reversed(blocks[k]), g->power[WIDE - 1 - k]);
    g->hash = reduced(&p);
}

/* The rest of a message or of its head, zeros behind it. */
FAST static inline __m128i load_part(const uint8_t *from, size_t n)
{
    uint8_t block[BLOCK] = { 0 };

    memcpy(block, from, n);
    return _mm_loadu_si128((const __m128i *)(const void *)block);
}

/* ---- a message ---- */

FAST static void begin(struct gcm *g, const mbedtls_aes_context *aes, size_t n, const uint8_t *nonce, const uint8_t *ad, size_t ad_n)
{
    g->keys = (const __m128i *)(const void *)(aes->MBEDTLS_PRIVATE(buf) + aes->MBEDTLS_PRIVATE(rk_offset));
    g->rounds = aes->MBEDTLS_PRIVATE(nr);
    g->nonce = load_part(nonce, NONCE_BYTES);
    g->counter = 2;
    g->hash = _mm_setzero_si128();
    g->power[0] = times_x(reversed(encrypt_block(g, _mm_setzero_si128())));
    for (int k = 1; k < WIDE && n >= (size_t)WIDE * BLOCK; k++)
        g->power[k] = multiplied(g->power[k - 1], g->power[0]);
    for (; ad_n >= BLOCK; ad += BLOCK, ad_n -= BLOCK)
        hash_block(g, _mm_loadu_si128((const __m128i *)(const void *)ad));
    if (ad_n > 0)
        hash_block(g, load_part(ad, ad_n));
}

FAST static void pass_wide(struct gcm *g, bool encrypts, const uint8_t *in, uint8_t *out)
{
    __m128i text[WIDE], stream[WIDE];

    encrypt_counters(g, stream);
    EIGHT_TIMES
    for (int k = 0; k < WIDE; k++) {
        text[k] = _mm_loadu_si128((const __m128i *)(const void *)(in + k * BLOCK));
        stream[k] = _mm_xor_si128(stream[k], text[k]);
    }
    EIGHT_TIMES
    for (int k = 0; k < WIDE; k++)
        _mm_storeu_si128((__m128i *)(void *)(out + k * BLOCK), stream[k]);
    hash_wide(g, encrypts ? stream : text);
}

/* A block, or the last part of one: of the ciphertext beyond it nothing is hashed. */
FAST static void pass_part(struct gcm *g, bool encrypts, const uint8_t *in, uint8_t *out, size_t n)
{
    __m128i text = load_part(in, n), other = _mm_xor_si128(text, encrypt_block(g, counter_block(g, g->counter++)));
    uint8_t block[BLOCK];

    _mm_storeu_si128((__m128i *)(void *)block, other);
    memcpy(out, block, n);
    hash_block(g, encrypts ? load_part(block, n) : text);
}

FAST static void pass(struct gcm *g, bool encrypts, const uint8_t *in, uint8_t *out, size_t n)
{
    size_t at = 0;

    for (; n - at >= (size_t)WIDE * BLOCK; at += (size_t)WIDE * BLOCK)
        pass_wide(g, encrypts, in + at, out + at);
    for (; at < n; at += BLOCK)
        pass_part(g, encrypts, in + at, out + at, n - at < BLOCK ? n - at : BLOCK);
}

FAST static void end(struct gcm *g, size_t n, size_t ad_n, uint8_t tag[BLOCK])
{
    __m128i lengths = _mm_set_epi64x((long long)((uint64_t)ad_n * 8), (long long)((uint64_t)n * 8));

    g->hash = multiplied(_mm_xor_si128(g->hash, lengths), g->power[0]);
    _mm_storeu_si128((__m128i *)(void *)tag, _mm_xor_si128(reversed(g->hash), encrypt_block(g, counter_block(g, 1))));
    mbedtls_platform_zeroize(g->power, sizeof(g->power));
}

/* ---- for the library ---- */

/* NULL: this is not for us. */
static const mbedtls_aes_context *aes_of(const mbedtls_gcm_context *ctx, size_t n, size_t iv_n, size_t tag_n)
{
    const mbedtls_cipher_context_t *cipher = &ctx->MBEDTLS_PRIVATE(cipher_ctx);
    mbedtls_cipher_type_t type = mbedtls_cipher_get_type(cipher);

    if ((type != MBEDTLS_CIPHER_AES_128_ECB && type != MBEDTLS_CIPHER_AES_256_ECB) || iv_n != NONCE_BYTES || n > MESSAGE_MAX || tag_n < 4 ||
        tag_n > BLOCK)
        return NULL;
    if (!__builtin_cpu_supports("aes") || !__builtin_cpu_supports("pclmul") || !__builtin_cpu_supports("sse4.1"))
        return NULL;
    return cipher->MBEDTLS_PRIVATE(cipher_ctx);
}

int __wrap_mbedtls_gcm_crypt_and_tag(mbedtls_gcm_context *ctx, int mode, size_t n, const unsigned char *iv, size_t iv_n, const unsigned char *ad,
                                     size_t ad_n, const unsigned char *in, unsigned char *out, size_t tag_n, unsigned char *tag)
{
    const mbedtls_aes_context *aes = aes_of(ctx, n, iv_n, tag_n);
    uint8_t whole[BLOCK];
    struct gcm g;

    if (aes == NULL)
        return __real_mbedtls_gcm_crypt_and_tag(ctx, mode, n, iv, iv_n, ad, ad_n, in, out, tag_n, tag);
    begin(&g, aes, n, iv, ad, ad_n);
    pass(&g, mode == MBEDTLS_GCM_ENCRYPT, in, out, n);
    end(&g, n, ad_n, whole);
    memcpy(tag, whole, tag_n);
    return 0;
}

int __wrap_mbedtls_gcm_auth_decrypt(mbedtls_gcm_context *ctx, size_t n, const unsigned char *iv, size_t iv_n, const unsigned char *ad, size_t ad_n,
                                    const unsigned char *tag, size_t tag_n, const unsigned char *in, unsigned char *out)
{
    const mbedtls_aes_context *aes = aes_of(ctx, n, iv_n, tag_n);
    uint8_t whole[BLOCK];
    struct gcm g;

    if (aes == NULL)
        return __real_mbedtls_gcm_auth_decrypt(ctx, n, iv, iv_n, ad, ad_n, tag, tag_n, in, out);
    begin(&g, aes, n, iv, ad, ad_n);
    pass(&g, false, in, out, n);
    end(&g, n, ad_n, whole);
    if (mbedtls_ct_memcmp(whole, tag, tag_n) == 0)
        return 0;
    mbedtls_platform_zeroize(out, n);
    return MBEDTLS_ERR_GCM_AUTH_FAILED;
}

#else

int __wrap_mbedtls_gcm_crypt_and_tag(mbedtls_gcm_context *ctx, int mode, size_t n, const unsigned char *iv, size_t iv_n, const unsigned char *ad,
                                     size_t ad_n, const unsigned char *in, unsigned char *out, size_t tag_n, unsigned char *tag)
{
    return __real_mbedtls_gcm_crypt_and_tag(ctx, mode, n, iv, iv_n, ad, ad_n, in, out, tag_n, tag);
}

int __wrap_mbedtls_gcm_auth_decrypt(mbedtls_gcm_context *ctx, size_t n, const unsigned char *iv, size_t iv_n, const unsigned char *ad, size_t ad_n,
                                    const unsigned char *tag, size_t tag_n, const unsigned char *in, unsigned char *out)
{
    return __real_mbedtls_gcm_auth_decrypt(ctx, n, iv, iv_n, ad, ad_n, tag, tag_n, in, out);
}

#endif
