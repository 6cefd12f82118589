/* The life of an entry:
 *
 *   PROXY      a trusted hop's PROXY header is awaited, with timeouts.header; nothing is said to anybody before it
 *   HELLO      where names are passed through: the client's TLS hello is awaited and read, with timeouts.header; it stays in the stream
 *
 * What the listener does not ask for is passed over; behind the last state stands the client, or a pass-through. What goes wrong, in the
 * order in which it happens: the hop is not trusted (closed at once), the header is late, malformed or cut, the client goes away, or is not
 * let in. All of it is counted, said at info, and answered with nothing: nobody can say who would read it. Then: the hello is late or cut
 * (closed), it is plain HTTP (an answer in plain HTTP), it is malformed or asks for a name that nobody has (an alert). */
#include "gateway/entry.h"
#include "gateway/access.h"
#include "gateway/client.h"
#include "gateway/log.h"
#include "gateway/passthrough.h"
#include "protocol/mem.h"

#include <assert.h>

enum entry_state { ENTRY_BEGIN, ENTRY_PROXY, ENTRY_HELLO };

struct entry {
    struct services *services;
    struct list link;                    /* services->entries */
    enum entry_state state;
    struct inbound inbound;
    struct stream *stream;
    struct timer timer;
    struct tls_hello hello;
};

static const enum end_reason late_ends[] = { [ENTRY_BEGIN] = END_NONE, [ENTRY_PROXY] = END_PROXY_TIMEOUT, [ENTRY_HELLO] = END_HELLO_TIMEOUT };

/* Every state has a deadline; they are passed in their order. */
static void entry_enter(struct entry *e, enum entry_state to)
{
    assert(to > e->state);
    e->state = to;
    timer_start(e->services->timers, &e->timer, e->inbound.snapshot->conf->timeouts.header_ms);
}

/* ---- the end ---- */

static void entry_free(struct entry *e)
{
    timer_clear(e->services->timers, &e->timer);
    list_remove(&e->link);
    stream_close(&e->stream);
    mem_free(e);
}

static void say_end(const struct inbound *in, enum end_reason why, enum fault fault)
{
    log_info("listener %s: %s closed: %s", in->listener->name, in->name,
             fault != FAULT_NONE ? fault_sentence(fault) : end_reason_sentence(why));
}

static void end(struct entry *e, enum end_reason why)
{
    struct services *services = e->services;
    struct inbound inbound = e->inbound;

    entry_free(e);
    inbound_ended(services, &inbound, why);
}

static void end_late(struct timer *t, uint64_t now_ms)
{
    struct entry *e = LIST_OWNER(t, struct entry, timer);

    (void)now_ms;
    say_end(&e->inbound, late_ends[e->state], FAULT_NONE);
    end(e, late_ends[e->state]);
}

static void end_fault(struct entry *e, enum end_reason why, enum fault fault)
{
    metrics_fault(e->services->metrics, METRICS_CLIENT, fault);
    say_end(&e->inbound, why, fault);
    end(e, why);
}

/* Whoever is not let in is closed at once where the connection tells who it is. A trusted hop tells it with each request, which is then
 * judged by itself; but in what is passed through nobody sees a request. */
static enum end_reason admit(struct services *services, struct inbound *in)
{
    if (in->trusted)
        return END_NONE;
    if (!access_admits(&in->listener->admission, &in->client))
        return END_DENIED;
    return quota_connect(services->quota, &in->client, in->snapshot->conf->limits.connections_per_client, &in->share)
               ? END_NONE
               : END_CLIENT_CONNECTIONS;
}

static void end_denied(struct entry *e, enum end_reason why)
{
    say_end(&e->inbound, why, FAULT_NONE);
    end(e, why);
}

/* The input is over, and what was awaited has not come, or not whole. */
static void end_cut(struct entry *e, enum end_reason why, bool begun)
{
    if (e->stream->input == STREAM_EOF && begun)
        end_fault(e, why, FAULT_TRUNCATED);
    else if (e->stream->input != STREAM_OPEN)
        end(e, e->stream->input == STREAM_EOF ? END_CLIENT_CLOSED : END_CLIENT_ABORTED);
}

/* ---- whose it becomes ---- */

static void become_client(struct entry *e)
{
    struct services *services = e->services;
    struct stream *stream = stream_take(&e->stream);
    struct inbound inbound = e->inbound;

    entry_free(e);
    client_new(services, stream, &inbound);
}

/* RFC 9110 section 15.5.1: whoever speaks HTTP here is told in HTTP what is wrong. */
static void become_refused(struct entry *e, enum end_reason why, enum fault fault)
{
    struct services *services = e->services;
    struct stream *stream = stream_take(&e->stream);
    struct inbound inbound = e->inbound;

    entry_free(e);
    client_refuse(services, stream, &inbound, why, fault);
}

/* to NULL: it is told why not. */
static void become_passthrough(struct entry *e, const struct conf_passthrough *to, enum end_reason why)
{
    struct services *services = e->services;
    struct inbound inbound = e->inbound;
    struct tls_hello hello = e->hello;
    struct passthrough_start start = { .client = stream_take(&e->stream), .inbound = &inbound, .hello = &hello, .to = to, .why = why };

    entry_free(e);
    passthrough_new(services, &start);
}

/* ---- HELLO ---- */

static void read_hello(struct entry *e)
{
    const uint8_t *p;
    size_t n = stream_peek(e->stream, &p);
    const struct conf_passthrough *to;

    if (n < e->hello.at) {               /* there was no memory to keep what had come */
        end(e, END_NO_MEMORY);
        return;
    }
    switch (tls_hello_feed(&e->hello, p, n)) {
    case TLS_HELLO_MORE:
        end_cut(e, END_HELLO_FAULT, n > 0);
        break;
    case TLS_HELLO_WHOLE:
        to = passthrough_find(e->inbound.listener, span_of(e->hello.name, e->hello.name_n));
        if (to != NULL && !access_admits(&e->inbound.listener->admission, &e->inbound.client))
            end_denied(e, END_DENIED);
        else
            become_passthrough(e, to, END_NAME_UNKNOWN);
        break;
    case TLS_HELLO_FAULT:
        metrics_fault(e->services->metrics, METRICS_CLIENT, e->hello.fault);
        if (e->hello.fault == FAULT_TLS_PLAIN_TEXT)
            become_refused(e, END_HELLO_FAULT, e->hello.fault);
        else
            become_passthrough(e, NULL, END_HELLO_FAULT);
        break;
    }
}

static bool wants_hello(const struct conf_listener *listener)
{
    return listener->passthrough_n > 0;
}

static void begin_hello(struct entry *e)
{
    tls_hello_init(&e->hello);
    entry_enter(e, ENTRY_HELLO);
}

/* It is known who the client is. */
static void go_on(struct entry *e)
{
    enum end_reason why = admit(e->services, &e->inbound);

    if (why != END_NONE) {
        end_denied(e, why);
    } else if (wants_hello(e->inbound.listener)) {
        begin_hello(e);
        read_hello(e);                   /* it may be here already */
    } else {
        become_client(e);
    }
}

/* ---- PROXY ---- */

static void say_header(const struct inbound *in, const struct proxy_header *h)
{
    char hop[NET_NAME_TEXT];

    if (!log_enabled(CONF_LOG_DEBUG))
        return;
    net_address_print_name(&in->hop, hop);
    log_debug("listener %s: %s is behind %s%s%.*s%s%.*s", in->listener->name, in->name, hop, h->authority.n > 0 ? ", for " : "",
              SPAN_FORMAT(h->authority), h->unique_id.n > 0 ? ", id " : "", SPAN_FORMAT(h->unique_id));
}

static void read_proxy_header(struct entry *e)
{
    struct proxy_header header;
    const uint8_t *p;
    size_t n = stream_peek(e->stream, &p);
    int size = proxy_header_read(p, n, &header);

    if (size > 0) {
        inbound_behind(&e->inbound, &header);
        say_header(&e->inbound, &header);
        stream_consume(e->stream, (size_t)size);
        go_on(e);
    } else if (size < 0) {
        end_fault(e, END_PROXY_FAULT, (enum fault)-size);
    } else {
        end_cut(e, END_PROXY_FAULT, n > 0);
    }
}

/* ---- events ---- */

static void on_readable(void *ctx)
{
    struct entry *e = ctx;

    if (e->state == ENTRY_HELLO)
        read_hello(e);
    else
        read_proxy_header(e);
}

static void on_writable(void *ctx)
{
    struct entry *e = ctx;

    if (e->stream->output_error != 0)
        end(e, END_CLIENT_ABORTED);
}

static const struct stream_events entry_events = { .readable = on_readable, .writable = on_writable };

/* ---- the beginning, and the gateway's end ---- */

static void refuse(struct services *services, struct stream *stream, struct inbound *inbound, enum end_reason why)
{
    if (why != END_NO_MEMORY)
        say_end(inbound, why, FAULT_NONE);
    stream_close(&stream);
    inbound_ended(services, inbound, why);
}

void entry_new(struct services *services, struct stream *stream, const struct inbound *accepted)
{
    bool announced = accepted->listener->proxy_protocol != CONF_PROXY_OFF;
    struct inbound inbound = *accepted;
    enum end_reason why = !announced ? admit(services, &inbound) : inbound.trusted ? END_NONE : END_PROXY_UNTRUSTED;
    struct entry *e;

    inbound_arrived(services);
    if (why != END_NONE) {
        refuse(services, stream, &inbound, why);
        return;
    }
    if (!announced && !wants_hello(inbound.listener)) {
        client_new(services, stream, &inbound);
        return;
    }
    e = mem_zalloc(sizeof(*e));
    if (e == NULL) {
        refuse(services, stream, &inbound, END_NO_MEMORY);
        return;
    }
    e->services = services;
    e->inbound = inbound;
    e->stream = stream;
    timer_init(&e->timer, end_late);
    list_append(&services->entries, &e->link);
    if (announced)
        entry_enter(e, ENTRY_PROXY);
    else
        begin_hello(e);
    stream_own(stream, &entry_events, e);
}

void entry_drain_all(struct services *services)
{
    struct list *next;

    for (struct list *l = services->entries.next; l != &services->entries; l = next) {
        struct entry *e = LIST_OWNER(l, struct entry, link);
        next = l->next;
        if (e->stream->bytes_in == 0)
            end(e, END_DRAINED);
    }
}

void entry_kill_all(struct services *services)
{
    while (!list_empty(&services->entries))
        end(LIST_OWNER(services->entries.next, struct entry, link), END_DRAINED);
}
