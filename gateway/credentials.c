#include "gateway/credentials.h"
#include "gateway/services.h"
#include "protocol/mem.h"
#include "protocol/siphash.h"

#include <assert.h>
#include <string.h>

#define USER_BYTES_MAX 255
#define WAYS 8
#define SETS (CREDENTIALS_KNOWN_MAX / WAYS)

/* 128 bits of a keyed hash: nobody without the keys can find another input that has them. */
struct mark {
    uint64_t a, b;
};

struct known {
    struct mark mark;
    uint64_t until_ms;                   /* 0: no entry */
};

struct credentials {
    struct tls_helpers *helpers;
    struct tls_home *home;
    struct timers *timers;
    struct siphash_key keys[2];
    struct list waiting;
    struct credentials_check *running;   /* with the helpers */
    size_t n;                            /* both */
    struct known known[SETS][WAYS];
};

struct credentials_check {
    struct tls_job job;
    struct list link;
    struct credentials *owner;
    struct mark mark;
    void (*answered)(void *ctx, bool good);      /* NULL: given up */
    void *ctx;
    bool exists;                         /* there is a user of that name */
    bool good;
    char hash[PASSWORDS_HASH_BYTES];
    char password[PASSWORD_BYTES_MAX + 1];
};

struct credentials *credentials_new(struct tls_helpers *helpers, struct tls_home *home, struct timers *timers)
{
    struct credentials *c = mem_zalloc(sizeof(*c));

    if (c == NULL)
        return NULL;
    c->helpers = helpers;
    c->home = home;
    c->timers = timers;
    services_random(c->keys, sizeof(c->keys));
    list_init(&c->waiting);
    return c;
}

void credentials_free(struct credentials *c)
{
    if (c == NULL)
        return;
    assert(c->n == 0);
    mem_free(c);
}

/* ---- what is known ---- */

/* Lengths first: no two inputs are the same bytes. */
static struct mark make_mark(const struct credentials *c, struct span user, struct span password, const char *hash)
{
    uint8_t text[3 + USER_BYTES_MAX + PASSWORD_BYTES_MAX + PASSWORDS_HASH_BYTES];
    size_t hash_n = strlen(hash), n = 3;
    struct mark m;

    text[0] = (uint8_t)user.n;
    text[1] = (uint8_t)(password.n >> 8);
    text[2] = (uint8_t)(password.n & 0xff);
    memcpy(text + n, user.p, user.n);
    n += user.n;
    if (password.n > 0)
        memcpy(text + n, password.p, password.n);
    n += password.n;
    memcpy(text + n, hash, hash_n);
    n += hash_n;
    m = (struct mark){ siphash(&c->keys[0], span_of(text, n)), siphash(&c->keys[1], span_of(text, n)) };
    explicit_bzero(text, sizeof(text));
    return m;
}

static bool is_known(struct credentials *c, const struct mark *m)
{
    const struct known *set = c->known[m->a % SETS];

    for (size_t i = 0; i < WAYS; i++)
        if (set[i].mark.a == m->a && set[i].mark.b == m->b && set[i].until_ms > timers_now_ms(c->timers))
            return true;
    return false;
}

static void remember(struct credentials *c, const struct mark *m)
{
    struct known *set = c->known[m->a % SETS], *oldest = set;

    for (size_t i = 1; i < WAYS; i++)
        if (set[i].until_ms < oldest->until_ms)
            oldest = &set[i];
    *oldest = (struct known){ *m, timers_now_ms(c->timers) + CREDENTIALS_KNOWN_MS };
}

/* ---- checks ---- */

static void check_free(struct credentials_check *k)
{
    k->owner->n--;
    list_remove(&k->link);
    explicit_bzero(k->hash, sizeof(k->hash));
    explicit_bzero(k->password, sizeof(k->password));
    mem_free(k);
}

static void run(struct tls_job *job)     /* in a helper's thread */
{
    struct credentials_check *k = LIST_OWNER(job, struct credentials_check, job);

    k->good = password_is(k->hash, k->password) && k->exists;
}

static void run_next(struct credentials *c);

static void finished(struct tls_job *job)
{
    struct credentials_check *k = LIST_OWNER(job, struct credentials_check, job);
    struct credentials *c = k->owner;
    void (*answered)(void *ctx, bool good) = k->answered;
    void *ctx = k->ctx;
    bool good = k->good;

    if (good)
        remember(c, &k->mark);
    c->running = NULL;
    check_free(k);
    run_next(c);
    if (answered != NULL)
        answered(ctx, good);
}

static void run_next(struct credentials *c)
{
    struct credentials_check *k;

    if (c->running != NULL || list_empty(&c->waiting))
        return;
    k = LIST_OWNER(c->waiting.next, struct credentials_check, link);
    list_remove(&k->link);
    c->running = k;
    tls_helpers_give(c->helpers, c->home, &k->job);
}

static struct credentials_check *check_new(struct credentials *c, const char *hash, struct span password)
{
    struct credentials_check *k = mem_zalloc(sizeof(*k));

    if (k == NULL)
        return NULL;
    k->owner = c;
    k->job.run = run;
    k->job.finished = finished;
    memcpy(k->hash, hash, strlen(hash));         /* the file may go while it is checked */
    if (password.n > 0)
        memcpy(k->password, password.p, password.n);
    list_append(&c->waiting, &k->link);
    c->n++;
    return k;
}

/* crypt(3) takes a string: a password that has a NUL, or is too long, is nobody's. */
static bool is_possible(struct span user, struct span password)
{
    return user.n > 0 && user.n <= USER_BYTES_MAX && password.n <= PASSWORD_BYTES_MAX && span_find(password, 0) == password.n;
}

enum credentials_verdict credentials_ask(struct credentials *c, const struct passwords *among, struct span user, struct span password,
                                         void (*answered)(void *ctx, bool good), void *ctx, struct credentials_check **check_out)
{
    const char *hash = passwords_find(among, user);
    bool exists = hash != NULL;
    struct credentials_check *k;
    struct mark mark;

    *check_out = NULL;
    if (!is_possible(user, password))
        return CREDENTIALS_WRONG;
    if (!exists)
        hash = passwords_any(among);
    mark = make_mark(c, user, password, hash);
    if (exists && is_known(c, &mark))
        return CREDENTIALS_GOOD;
    if (c->n >= CREDENTIALS_WAITING_MAX)
        return CREDENTIALS_BUSY;
    k = check_new(c, hash, password);
    if (k == NULL)
        return CREDENTIALS_NO_MEMORY;
    k->mark = mark;
    k->exists = exists;
    k->answered = answered;
    k->ctx = ctx;
    *check_out = k;
    run_next(c);
    return CREDENTIALS_ASKED;
}

void credentials_cancel(struct credentials_check **check)
{
    struct credentials_check *k = *check;

    *check = NULL;
    if (k == NULL)
        return;
    k->answered = NULL;
    if (k != k->owner->running)
        check_free(k);                   /* nobody has begun it */
}
