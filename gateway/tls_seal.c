#include "gateway/tls_seal.h"
#include "gateway/tls_parts.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define SALT_BYTES 12                    /* of the nonce: what a value's own key is made with */
#define GCM_NONCE_BYTES (SEALED_NONCE_BYTES - SALT_BYTES)

struct seal_key {
    uint8_t name[SEALED_KEY_NAME_BYTES];
    uint8_t key[TLS_SEAL_KEY_BYTES];
};

struct tls_seal {
    struct sealed_keys keys;
    struct seal_key key[TLS_SEAL_KEYS_MAX];
};

static bool digest(const struct span *parts, size_t n, uint8_t out[32])
{
    mbedtls_sha256_context sha;
    bool good;

    mbedtls_sha256_init(&sha);
    good = mbedtls_sha256_starts(&sha, 0) == 0;
    for (size_t i = 0; i < n; i++)
        good = good && mbedtls_sha256_update(&sha, parts[i].p, parts[i].n) == 0;
    good = good && mbedtls_sha256_finish(&sha, out) == 0;
    mbedtls_sha256_free(&sha);
    return good;
}

bool tls_seal_bind(struct span a, struct span b, uint8_t out[SEALED_BOUND_BYTES])
{
    uint8_t digits[SPAN_U64_BYTES];
    const struct span parts[] = { span_of_u64(a.n, digits), SPAN_LITERAL(" "), a, b };

    return digest(parts, 4, out);
}

static bool derive(struct span use, const uint8_t *key, const uint8_t *salt, size_t salt_n, uint8_t out[32])
{
    const struct span parts[] = { use, span_of(key, TLS_SEAL_KEY_BYTES), span_of(salt, salt_n) };

    return digest(parts, 3, out);
}

/* ---- a value's own key ---- */

static int begin(const struct seal_key *k, const uint8_t *salt, mbedtls_gcm_context *gcm)
{
    uint8_t own[TLS_SEAL_KEY_BYTES];
    int rv = -ENOMEM;

    mbedtls_gcm_init(gcm);
    if (derive(SPAN_LITERAL("upgate seal"), k->key, salt, SALT_BYTES, own) &&
        mbedtls_gcm_setkey(gcm, MBEDTLS_CIPHER_ID_AES, own, 8 * TLS_SEAL_KEY_BYTES) == 0)
        rv = 0;
    mbedtls_platform_zeroize(own, sizeof(own));
    return rv;
}

static const struct seal_key *key_of(const struct sealed_keys *k, size_t key)
{
    const struct tls_seal *s = (const void *)k;          /* its first member */

    return &s->key[key];
}

static const uint8_t *name_of(const struct sealed_keys *k, size_t key)
{
    return key_of(k, key)->name;
}

static int seal(const struct sealed_keys *k, size_t key, const uint8_t *nonce, struct span with, const uint8_t *in, size_t n, uint8_t *out)
{
    mbedtls_gcm_context gcm;
    int rv = begin(key_of(k, key), nonce, &gcm);

    if (rv == 0 && mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, n, nonce + SALT_BYTES, GCM_NONCE_BYTES, with.p, with.n, in, out,
                                             SEALED_TAG_BYTES, out + n) != 0)
        rv = -ENOMEM;
    mbedtls_gcm_free(&gcm);
    return rv;
}

static int open_sealed(const struct sealed_keys *k, size_t key, const uint8_t *nonce, struct span with, const uint8_t *in, size_t n,
                       uint8_t *out)
{
    mbedtls_gcm_context gcm;
    int rv = begin(key_of(k, key), nonce, &gcm);

    if (rv == 0 && mbedtls_gcm_auth_decrypt(&gcm, n, nonce + SALT_BYTES, GCM_NONCE_BYTES, with.p, with.n, in + n, SEALED_TAG_BYTES, in,
                                            out) != 0)
        rv = -EBADMSG;
    mbedtls_gcm_free(&gcm);
    return rv;
}

/* ---- keys ---- */

static bool key_make(struct seal_key *k, const uint8_t *from)
{
    uint8_t name[32];
    bool good = derive(SPAN_LITERAL("upgate seal name"), from, NULL, 0, name);

    memcpy(k->name, name, sizeof(k->name));
    memcpy(k->key, from, sizeof(k->key));
    return good;
}

struct tls_seal *tls_seal_new(const uint8_t *keys, size_t n)
{
    struct tls_seal *s = mem_zalloc(sizeof(*s));

    static_assert(offsetof(struct tls_seal, keys) == 0, "found from its first member");
    assert(n >= 1 && n <= TLS_SEAL_KEYS_MAX);
    if (s == NULL)
        return NULL;
    s->keys = (struct sealed_keys){ .n = n, .name = name_of, .seal = seal, .open = open_sealed };
    for (size_t i = 0; i < n; i++)
        if (!key_make(&s->key[i], keys + i * TLS_SEAL_KEY_BYTES)) {
            tls_seal_free(s);
            return NULL;
        }
    return s;
}

void tls_seal_free(struct tls_seal *s)
{
    if (s == NULL)
        return;
    mbedtls_platform_zeroize(s, sizeof(*s));
    mem_free(s);
}

const struct sealed_keys *tls_seal_keys(const struct tls_seal *s)
{
    return &s->keys;
}
