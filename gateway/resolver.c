#include "gateway/resolver.h"
#include "gateway/log.h"
#include "protocol/mem.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>

struct resolver_entry {
    struct list link;
    struct list waiting;                 /* of resolver_wait.link */
    struct resolver *resolver;
    uv_getaddrinfo_t question;
    bool asking;
    bool failing;                        /* the last question had no answer */
    uint64_t answered_ms;                /* of the loop's clock; 0 = never */
    uint64_t asked_ms;                   /* when somebody asked for it last */
    struct resolver_answer answer;
    unsigned port;
    char host[];
};

struct resolver {
    uv_loop_t *loop;
    struct ready_queue *ready;
    uint64_t fresh_ms;
    struct list entries;
};

struct resolver *resolver_new(uv_loop_t *loop, struct ready_queue *ready, uint64_t fresh_ms)
{
    struct resolver *r = mem_zalloc(sizeof(*r));

    if (r == NULL)
        return NULL;
    r->loop = loop;
    r->ready = ready;
    r->fresh_ms = fresh_ms;
    list_init(&r->entries);
    return r;
}

void resolver_free(struct resolver *r)
{
    if (r == NULL)
        return;
    while (!list_empty(&r->entries)) {
        struct resolver_entry *e = LIST_OWNER(r->entries.next, struct resolver_entry, link);
        list_remove(&e->link);
        mem_free(e);
    }
    mem_free(r);
}

/* Those of a configuration that is gone, mostly. An answer that is being delivered is looked at by nobody but who waits. */
static void forget_unused(struct resolver *r, uint64_t now_ms)
{
    struct list *next;

    for (struct list *l = r->entries.next; l != &r->entries; l = next) {
        struct resolver_entry *e = LIST_OWNER(l, struct resolver_entry, link);
        next = l->next;
        if (e->asking || !list_empty(&e->waiting) || now_ms - e->asked_ms < RESOLVER_UNUSED_MS)
            continue;
        list_remove(&e->link);
        mem_free(e);
    }
}

static struct resolver_entry *entry_of(struct resolver *r, const char *host, unsigned port)
{
    struct resolver_entry *e;
    size_t n = strlen(host) + 1;

    for (struct list *l = r->entries.next; l != &r->entries; l = l->next) {
        e = LIST_OWNER(l, struct resolver_entry, link);
        if (e->port == port && strcmp(e->host, host) == 0)
            return e;
    }
    e = mem_zalloc(sizeof(*e) + n);
    if (e == NULL)
        return NULL;
    e->resolver = r;
    e->port = port;
    memcpy(e->host, host, n);
    list_init(&e->waiting);
    list_append(&r->entries, &e->link);
    return e;
}

static void deliver(struct ready *ready)
{
    struct resolver_wait *w = LIST_OWNER(ready, struct resolver_wait, ready);

    w->answered(w, &w->entry->answer);
}

static void deliver_all(struct resolver_entry *e)
{
    while (!list_empty(&e->waiting)) {
        struct list *link = e->waiting.next;
        list_remove(link);
        ready_add(e->resolver->ready, &LIST_OWNER(link, struct resolver_wait, link)->ready);
    }
}

static void set_port(struct sockaddr_storage *a, unsigned port)
{
    if (a->ss_family == AF_INET)
        ((struct sockaddr_in *)a)->sin_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in6 *)a)->sin6_port = htons((uint16_t)port);
}

static void note_answer(struct resolver_entry *e, const struct addrinfo *found)
{
    e->answer.error = 0;
    e->answer.n = 0;
    for (; found != NULL && e->answer.n < RESOLVER_ADDRESSES; found = found->ai_next) {
        if (found->ai_family != AF_INET && found->ai_family != AF_INET6)
            continue;
        memcpy(&e->answer.addresses[e->answer.n], found->ai_addr, found->ai_addrlen);
        set_port(&e->answer.addresses[e->answer.n++], e->port);
    }
    if (e->answer.n == 0)
        e->answer.error = UV_EAI_NODATA;
    e->answered_ms = uv_now(e->resolver->loop);
}

static void on_answer(uv_getaddrinfo_t *question, int status, struct addrinfo *found)
{
    struct resolver_entry *e = question->data;
    bool stale_serves = e->answered_ms != 0 && e->answer.error == 0, was_failing = e->failing;

    e->asking = false;
    e->failing = status != 0;
    if (status == 0)
        note_answer(e, found);
    else if (stale_serves && !was_failing)
        log_warn("the name %s cannot be resolved now (%s); its last addresses are used", e->host, uv_strerror(status));
    else if (!stale_serves)
        e->answer = (struct resolver_answer){ .error = status };
    uv_freeaddrinfo(found);
    deliver_all(e);
}

static int ask(struct resolver_entry *e)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    int error;

    if (e->asking)
        return 0;
    e->question.data = e;
    error = uv_getaddrinfo(e->resolver->loop, &e->question, on_answer, e->host, NULL, &hints);
    e->asking = error == 0;
    return error;
}

int resolver_ask(struct resolver *r, struct resolver_wait *w, const char *host, unsigned port)
{
    struct resolver_entry *e = entry_of(r, host, port);

    if (e != NULL) {
        e->asked_ms = uv_now(r->loop);
        forget_unused(r, e->asked_ms);
    }
    ready_init(&w->ready, deliver);
    list_init(&w->link);
    w->entry = e;
    if (e == NULL)
        return -ENOMEM;
    if (e->answered_ms != 0 && e->answer.error == 0 && uv_now(r->loop) - e->answered_ms < r->fresh_ms) {
        ready_add(r->ready, &w->ready);
        return 0;
    }
    list_append(&e->waiting, &w->link);
    return ask(e);
}

void resolver_cancel(struct resolver_wait *w)
{
    if (w->entry == NULL)
        return;
    list_remove(&w->link);
    ready_cancel(&w->ready);
    w->entry = NULL;
}

const char *resolver_words(int error)
{
    return uv_strerror(error);
}
