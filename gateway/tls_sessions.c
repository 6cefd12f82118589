#include "gateway/tls_sessions.h"

#include <string.h>

struct kept {
    uint64_t ctx_id;
    char *server;
    uint64_t used;                       /* larger: later */
    mbedtls_ssl_session session;
};

struct tls_sessions {
    uint64_t clock;
    struct kept *list[TLS_SESSIONS_MAX]; /* NULL: free */
};

struct tls_sessions *tls_sessions_new(void)
{
    return mem_zalloc(sizeof(struct tls_sessions));
}

static void forget(struct kept **k)
{
    if (*k != NULL) {
        mbedtls_ssl_session_free(&(*k)->session);
        mem_free((*k)->server);
    }
    mem_free(*k);
    *k = NULL;
}

void tls_sessions_free(struct tls_sessions *c)
{
    for (size_t i = 0; c != NULL && i < TLS_SESSIONS_MAX; i++)
        forget(&c->list[i]);
    mem_free(c);
}

static struct kept **find(struct tls_sessions *c, uint64_t ctx_id, const char *server)
{
    for (size_t i = 0; i < TLS_SESSIONS_MAX; i++)
        if (c->list[i] != NULL && c->list[i]->ctx_id == ctx_id && strcmp(c->list[i]->server, server) == 0)
            return &c->list[i];
    return NULL;
}

static struct kept **oldest(struct tls_sessions *c)
{
    struct kept **k = &c->list[0];

    for (size_t i = 1; i < TLS_SESSIONS_MAX && *k != NULL; i++)
        if (c->list[i] == NULL || c->list[i]->used < (*k)->used)
            k = &c->list[i];
    return k;
}

const mbedtls_ssl_session *tls_sessions_get(struct tls_sessions *c, const struct tls_ctx *ctx, const char *server)
{
    struct kept **k = find(c, ctx->id, server);

    if (k == NULL)
        return NULL;
    (*k)->used = ++c->clock;
    return &(*k)->session;
}

void tls_sessions_drop(struct tls_sessions *c, const struct tls_ctx *ctx, const char *server)
{
    struct kept **k = find(c, ctx->id, server);

    if (k != NULL)
        forget(k);
}

void tls_sessions_put(struct tls_sessions *c, const char *server, const struct tls_session *from)
{
    struct kept **place = find(c, from->ctx->id, server), *k;

    if (place == NULL)
        place = oldest(c);
    forget(place);
    *place = k = mem_zalloc(sizeof(*k));
    if (k == NULL)
        return;
    mbedtls_ssl_session_init(&k->session);
    k->ctx_id = from->ctx->id;
    k->used = ++c->clock;
    k->server = mem_strdup(server);
    if (k->server == NULL || tls_session_save(from, &k->session) != 0)
        forget(place);
}
