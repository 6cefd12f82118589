/* A ticket: the key's name (16 bytes) | when it was sealed (8, milliseconds since 1970) | nonce (12) | the session, AES-256-GCM | tag (16).
 * All that stands before the session is authenticated with it. Name and sealing key are both made from the key that was drawn or read,
 * so that a file holds nothing else. */
#include "gateway/tls_parts.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#define NAME_BYTES 16
#define TIME_BYTES 8
#define NONCE_BYTES 12
#define TAG_BYTES 16
#define HEAD_BYTES (NAME_BYTES + TIME_BYTES + NONCE_BYTES)

struct ticket_key {
    uint8_t name[NAME_BYTES];
    uint8_t key[TLS_TICKETS_KEY_BYTES];
};

struct tls_tickets {
    pthread_mutex_t lock;
    struct ticket_key keys[TLS_TICKETS_KEYS_MAX];        /* the first seals */
    size_t n;
    bool rotates;
    uint64_t drawn_s;                    /* the first key */
    uint64_t (*now_s)(void);             /* NULL: the clock */
};

static _Thread_local bool opened;

bool tls_tickets_opened(void)
{
    bool was = opened;

    opened = false;
    return was;
}

/* ---- keys ---- */

static uint64_t clock_ms(const struct tls_tickets *t)
{
    struct timespec now;

    if (t->now_s != NULL)
        return t->now_s() * 1000;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool derive(const char *use, const uint8_t *from, uint8_t out[32])
{
    mbedtls_sha256_context sha;
    bool good;

    mbedtls_sha256_init(&sha);
    good = mbedtls_sha256_starts(&sha, 0) == 0 && mbedtls_sha256_update(&sha, (const uint8_t *)use, strlen(use)) == 0 &&
           mbedtls_sha256_update(&sha, from, TLS_TICKETS_KEY_BYTES) == 0 && mbedtls_sha256_finish(&sha, out) == 0;
    mbedtls_sha256_free(&sha);
    return good;
}

static bool key_make(struct ticket_key *k, const uint8_t *from)
{
    uint8_t name[32];
    bool good = derive("upgate ticket name", from, name) && derive("upgate ticket key", from, k->key);

    memcpy(k->name, name, NAME_BYTES);
    return good;
}

static bool key_draw(struct ticket_key *k)
{
    uint8_t random[TLS_TICKETS_KEY_BYTES];
    bool good = tls_random(NULL, random, sizeof(random)) == 0 && key_make(k, random);

    mbedtls_platform_zeroize(random, sizeof(random));
    return good;
}

/* Under the lock. The one before opens what it sealed for one more term. */
static void rotate(struct tls_tickets *t)
{
    uint64_t now_s = clock_ms(t) / 1000;
    struct ticket_key fresh;

    if (!t->rotates || now_s < t->drawn_s + TLS_TICKETS_ROTATE_S || !key_draw(&fresh))
        return;
    t->n = now_s < t->drawn_s + 2 * TLS_TICKETS_ROTATE_S ? 2 : 1;
    t->keys[1] = t->keys[0];
    t->keys[0] = fresh;
    if (t->n == 1)
        mbedtls_platform_zeroize(&t->keys[1], sizeof(t->keys[1]));
    t->drawn_s = now_s;
    mbedtls_platform_zeroize(&fresh, sizeof(fresh));
}

/* name NULL: the key that seals. */
static bool find_key(struct tls_tickets *t, const uint8_t *name, struct ticket_key *out)
{
    bool found = false;

    pthread_mutex_lock(&t->lock);
    rotate(t);
    for (size_t i = 0; i < t->n && !found; i++)
        if (name == NULL || memcmp(t->keys[i].name, name, NAME_BYTES) == 0) {
            *out = t->keys[i];
            found = true;
        }
    pthread_mutex_unlock(&t->lock);
    return found;
}

static struct tls_tickets *make(void)
{
    struct tls_tickets *t = mem_zalloc(sizeof(*t));

    if (t != NULL && pthread_mutex_init(&t->lock, NULL) != 0) {
        mem_free(t);
        t = NULL;
    }
    return t;
}

struct tls_tickets *tls_tickets_new(void)
{
    struct tls_tickets *t = make();

    if (t == NULL)
        return NULL;
    t->rotates = true;
    t->n = 1;
    t->drawn_s = clock_ms(t) / 1000;
    if (key_draw(&t->keys[0]))
        return t;
    tls_tickets_free(t);
    return NULL;
}

struct tls_tickets *tls_tickets_of_keys(const uint8_t *keys, size_t n)
{
    struct tls_tickets *t = make();

    assert(n >= 1 && n <= TLS_TICKETS_KEYS_MAX);
    if (t == NULL)
        return NULL;
    for (t->n = 0; t->n < n; t->n++)
        if (!key_make(&t->keys[t->n], keys + t->n * TLS_TICKETS_KEY_BYTES)) {
            tls_tickets_free(t);
            return NULL;
        }
    return t;
}

void tls_tickets_free(struct tls_tickets *t)
{
    if (t == NULL)
        return;
    pthread_mutex_destroy(&t->lock);
    mbedtls_platform_zeroize(t, sizeof(*t));
    mem_free(t);
}

void tls_tickets_set_clock(struct tls_tickets *t, uint64_t (*now_s)(void))
{
    t->now_s = now_s;
    t->drawn_s = clock_ms(t) / 1000;
}

/* ---- sealing and opening ---- */

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

static int seal(const struct ticket_key *k, uint8_t *ticket, size_t n)
{
    uint8_t *session = ticket + HEAD_BYTES;
    mbedtls_gcm_context gcm;
    int rv;

    mbedtls_gcm_init(&gcm);
    rv = mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, k->key, 8 * TLS_TICKETS_KEY_BYTES);
    if (rv == 0)
        rv = mbedtls_gcm_crypt_and_tag(&gcm, MBEDTLS_GCM_ENCRYPT, n, ticket + NAME_BYTES + TIME_BYTES, NONCE_BYTES, ticket, HEAD_BYTES,
                                       session, session, TAG_BYTES, session + n);
    mbedtls_gcm_free(&gcm);
    return rv;
}

static int open_ticket(const struct ticket_key *k, uint8_t *ticket, size_t n)
{
    uint8_t *session = ticket + HEAD_BYTES;
    mbedtls_gcm_context gcm;
    int rv;

    mbedtls_gcm_init(&gcm);
    rv = mbedtls_gcm_setkey(&gcm, MBEDTLS_CIPHER_ID_AES, k->key, 8 * TLS_TICKETS_KEY_BYTES);
    if (rv == 0)
        rv = mbedtls_gcm_auth_decrypt(&gcm, n, ticket + NAME_BYTES + TIME_BYTES, NONCE_BYTES, ticket, HEAD_BYTES, session + n, TAG_BYTES,
                                      session, session);
    mbedtls_gcm_free(&gcm);
    return rv;
}

int tls_tickets_write(void *ctx, const mbedtls_ssl_session *session, unsigned char *start, const unsigned char *end, size_t *n_out,
                      uint32_t *lifetime_s_out)
{
    struct tls_tickets *t = ctx;
    size_t room = (size_t)(end - start), n = 0;
    struct ticket_key k;
    int rv;

    *lifetime_s_out = TLS_TICKETS_LIFETIME_S;
    if (room < HEAD_BYTES + TAG_BYTES)
        return MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL;
    rv = mbedtls_ssl_session_save(session, start + HEAD_BYTES, room - HEAD_BYTES - TAG_BYTES, &n);
    if (rv != 0)
        return rv;
    if (!find_key(t, NULL, &k))
        return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
    memcpy(start, k.name, NAME_BYTES);
    put_u64(start + NAME_BYTES, clock_ms(t));
    rv = tls_random(NULL, start + NAME_BYTES + TIME_BYTES, NONCE_BYTES);
    if (rv == 0)
        rv = seal(&k, start, n);
    mbedtls_platform_zeroize(&k, sizeof(k));
    *n_out = HEAD_BYTES + n + TAG_BYTES;
    return rv;
}

/* The library measures a ticket's age by this machine's own uptime, which says nothing to the rest of a fleet. */
static void set_age(mbedtls_ssl_session *session, uint64_t age_ms)
{
    session->MBEDTLS_PRIVATE(ticket_creation_time) = mbedtls_ms_time() - (mbedtls_ms_time_t)age_ms;
}

int tls_tickets_parse(void *ctx, mbedtls_ssl_session *session, unsigned char *buf, size_t n)
{
    struct tls_tickets *t = ctx;
    struct ticket_key k;
    uint64_t sealed_ms, now_ms = clock_ms(t), age_ms;
    int rv;

    if (n < HEAD_BYTES + TAG_BYTES || !find_key(t, buf, &k))
        return MBEDTLS_ERR_SSL_INVALID_MAC;
    n -= HEAD_BYTES + TAG_BYTES;
    rv = open_ticket(&k, buf, n);
    mbedtls_platform_zeroize(&k, sizeof(k));
    if (rv != 0)
        return MBEDTLS_ERR_SSL_INVALID_MAC;
    sealed_ms = get_u64(buf + NAME_BYTES);
    age_ms = now_ms > sealed_ms ? now_ms - sealed_ms : 0;        /* a fleet's clocks differ a little */
    if (age_ms > (uint64_t)TLS_TICKETS_LIFETIME_S * 1000)
        return MBEDTLS_ERR_SSL_SESSION_TICKET_EXPIRED;
    rv = mbedtls_ssl_session_load(session, buf + HEAD_BYTES, n);
    mbedtls_platform_zeroize(buf + HEAD_BYTES, n);
    if (rv != 0)
        return rv;
    set_age(session, age_ms);
    opened = true;
    return 0;
}
