#include "gateway/names.h"
#include "gateway/log.h"
#include "protocol/mem.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct name {
    struct list link;
    struct names *names;
    struct resolver_wait wait;
    struct timer timer;
    uint64_t interval_ms;                /* the least that is wanted */
    bool wanted;                         /* while names_follow looks */
    bool failing;                        /* the last question had no answer: it was said */
    struct names_list list;
    unsigned port;
    char host[];
};

struct names {
    struct names_start start;
    struct list all;
};

/* ---- an answer ---- */

static bool is_ours(const struct sockaddr_storage *a)
{
    const struct sockaddr_in6 *v6 = (const void *)a;

    return a->ss_family == AF_INET || (a->ss_family == AF_INET6 && !IN6_IS_ADDR_LINKLOCAL(&v6->sin6_addr));
}

static void add(struct names_list *l, const struct sockaddr_storage *a, unsigned port)
{
    const struct sockaddr_in *v4 = (const void *)a;
    const struct sockaddr_in6 *v6 = (const void *)a;
    const void *bytes = a->ss_family == AF_INET ? (const void *)&v4->sin_addr : (const void *)&v6->sin6_addr;
    char *host = l->hosts[l->n], *text = l->texts[l->n];

    if (inet_ntop(a->ss_family, bytes, host, INET6_ADDRSTRLEN) == NULL)
        return;
    snprintf(text, NAMES_ADDRESS_BYTES, a->ss_family == AF_INET ? "%s:%u" : "[%s]:%u", host, port);
    for (size_t i = 0; i < l->n; i++)
        if (strcmp(l->texts[i], text) == 0)
            return;
    l->n++;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* By their texts: hosts are made of them again, since both arrays have to agree. */
static void put_in_order(struct names_list *l, unsigned port)
{
    qsort(l->texts, l->n, NAMES_ADDRESS_BYTES, by_text);
    for (size_t i = 0; i < l->n; i++) {
        bool v6 = l->texts[i][0] == '[';
        size_t size = strcspn(l->texts[i] + v6, v6 ? "]" : ":");
        memcpy(l->hosts[i], l->texts[i] + v6, size);
        l->hosts[i][size] = '\0';
        l->addresses[i] = (struct conf_address){ .kind = CONF_ADDRESS_IP, .host = l->hosts[i], .port = port, .text = l->texts[i] };
    }
}

static bool is_one_server(const struct names_list *l)
{
    size_t v6 = 0;

    for (size_t i = 0; i < l->n; i++)
        v6 += l->texts[i][0] == '[';
    return v6 <= 1 && l->n - v6 <= 1;
}

void names_list_of(struct names_list *out, const struct resolver_answer *answer, unsigned port)
{
    out->n = 0;
    for (size_t i = 0; i < answer->n && i < RESOLVER_ADDRESSES; i++)
        if (is_ours(&answer->addresses[i]))
            add(out, &answer->addresses[i], port);
    if (is_one_server(out))
        out->n = 0;
    put_in_order(out, port);
}

/* ---- asking ---- */

static void ask(struct name *name)
{
    struct names *n = name->names;

    if (n->start.ask(n->start.ctx, &name->wait, name->host, name->port) != 0)
        timer_start(n->start.timers, &name->timer, name->interval_ms);
}

static void on_due(struct timer *t, uint64_t now_ms)
{
    (void)now_ms;
    ask(LIST_OWNER(t, struct name, timer));
}

static bool same_list(const struct names_list *a, const struct names_list *b)
{
    for (size_t i = 0; i < a->n && i < b->n; i++)
        if (strcmp(a->texts[i], b->texts[i]) != 0)
            return false;
    return a->n == b->n;
}

static void note_failure(struct name *name, int error)
{
    if (!name->failing)
        log_warn("the name %s cannot be looked up (%s): it stands for what it did", name->host, resolver_words(error));
    name->failing = true;
}

/* Returns true when it stands for something else now. */
static bool note_answer(struct name *name, const struct resolver_answer *answer)
{
    struct names_list *list = mem_alloc(sizeof(*list));
    bool other;

    if (list == NULL)
        return false;
    if (name->failing)
        log_info("the name %s can be looked up again", name->host);
    name->failing = false;
    names_list_of(list, answer, name->port);
    other = !same_list(&name->list, list);
    if (other)
        names_list_of(&name->list, answer, name->port);          /* in place: its addresses point into it */
    mem_free(list);
    return other;
}

static void on_answer(struct resolver_wait *w, const struct resolver_answer *answer)
{
    struct name *name = LIST_OWNER(w, struct name, wait);
    struct names *n = name->names;
    bool other = false;

    if (answer->error != 0)
        note_failure(name, answer->error);
    else
        other = note_answer(name, answer);
    timer_start(n->start.timers, &name->timer, name->interval_ms);
    if (other)
        n->start.changed(n->start.ctx, name->host, name->list.n > 0 ? name->list.n : 1);
}

/* ---- which names ---- */

static struct name *find(const struct names *n, const struct conf_address *a)
{
    for (struct list *l = n->all.next; l != &n->all; l = l->next) {
        struct name *name = LIST_OWNER(l, struct name, link);
        if (name->port == a->port && strcmp(name->host, a->host) == 0)
            return name;
    }
    return NULL;
}

const struct names_list *names_find(const struct names *n, const struct conf_address *a)
{
    struct name *name = n != NULL && a->kind == CONF_ADDRESS_NAME ? find(n, a) : NULL;

    return name != NULL && name->list.n > 0 ? &name->list : NULL;
}

static void name_free(struct name *name)
{
    resolver_cancel(&name->wait);
    timer_clear(name->names->start.timers, &name->timer);
    list_remove(&name->link);
    mem_free(name);
}

static struct name *name_new(struct names *n, const struct conf_address *a)
{
    size_t size = strlen(a->host) + 1;
    struct name *name = mem_zalloc(sizeof(*name) + size);

    if (name == NULL)
        return NULL;
    name->names = n;
    name->wait.answered = on_answer;
    timer_init(&name->timer, on_due);
    name->port = a->port;
    memcpy(name->host, a->host, size);
    list_append(&n->all, &name->link);
    return name;
}

static void want(struct names *n, const struct conf_address *a, uint64_t interval_ms)
{
    struct name *name = find(n, a);
    bool fresh = name == NULL;

    if (fresh)
        name = name_new(n, a);
    if (name == NULL) {
        log_error("the name %s is not looked up: no memory", a->host);
        return;
    }
    if (!name->wanted || interval_ms < name->interval_ms)
        name->interval_ms = interval_ms;
    name->wanted = true;
    if (fresh)
        ask(name);
    else if (timer_is_set(&name->timer))
        timer_start(n->start.timers, &name->timer, name->interval_ms);
}

void names_follow(struct names *n, const struct conf *c)
{
    struct list *next;

    for (size_t u = 0; u < c->upstreams_n; u++)
        for (size_t i = 0; c->upstreams[u].resolve_ms != 0 && i < c->upstreams[u].servers_n; i++)
            if (c->upstreams[u].servers[i].address.kind == CONF_ADDRESS_NAME)
                want(n, &c->upstreams[u].servers[i].address, c->upstreams[u].resolve_ms);
    for (struct list *l = n->all.next; l != &n->all; l = next) {
        struct name *name = LIST_OWNER(l, struct name, link);
        next = l->next;
        if (!name->wanted)
            name_free(name);
        else
            name->wanted = false;
    }
}

struct names *names_new(const struct names_start *start)
{
    struct names *n = mem_zalloc(sizeof(*n));

    if (n == NULL)
        return NULL;
    n->start = *start;
    list_init(&n->all);
    return n;
}

void names_free(struct names *n)
{
    if (n == NULL)
        return;
    while (!list_empty(&n->all))
        name_free(LIST_OWNER(n->all.next, struct name, link));
    mem_free(n);
}
