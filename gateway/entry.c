/* The life of an entry:
 *
 *   PROXY      a trusted hop's PROXY header is awaited, with timeouts.header; nothing is said to anybody before it
 *   HELLO      where names are passed through: the client's TLS hello is awaited and read, with timeouts.header; it stays in the stream
 *   TLS        the handshake has the connection, for timeouts.tls_handshake
 *   LINGER     the handshake failed, and its alert is on its way: what the client still sends is read and thrown away for a while, because
 *              closing a socket with unread bytes can destroy what was sent
 *
 * What the listener does not ask for is passed over; behind the last state stands the client, or a pass-through. What goes wrong, in the
 * order in which it happens: the hop is not trusted (closed at once), the header is late, malformed or cut, the client goes away, or is not
 * let in. All of it is counted, said at info, and answered with nothing: nobody can say who would read it. Then: the hello is late or cut
 * (closed), it is plain HTTP (an answer in plain HTTP), it is malformed or asks for a name that nobody has (an alert); the handshake is late or
 * cut (closed), or fails (an alert). */
#include "gateway/entry.h"
#include "gateway/access.h"
#include "gateway/client.h"
#include "gateway/log.h"
#include "gateway/passthrough.h"
#include "gateway/tls_handshake.h"
#include "protocol/mem.h"

#include <assert.h>
#include <string.h>

#define LINGER_MS 2000
#define LINGER_BYTES ((uint64_t)64 * 1024)       /* a client that sends more than this against the alert is cut off */

enum entry_state { ENTRY_BEGIN, ENTRY_PROXY, ENTRY_HELLO, ENTRY_TLS, ENTRY_LINGER };

struct entry {
    struct services *services;
    struct list link;                    /* services->entries */
    enum entry_state state;
    struct inbound inbound;
    struct stream *stream;               /* NULL: TLS */
    struct timer timer;
    struct tls_hello hello;
    struct tls_handshake *handshake;     /* TLS … */
    uint64_t tls_begun_ms;               /* … and since when */
    enum end_reason why;                 /* LINGER: what it will have been */
    uint64_t linger_from;                /* … bytes_in when it began */
};

static const enum end_reason late_ends[] = {
    [ENTRY_BEGIN] = END_NONE,
    [ENTRY_PROXY] = END_PROXY_TIMEOUT,
    [ENTRY_HELLO] = END_HELLO_TIMEOUT,
    [ENTRY_TLS] = END_TLS_TIMEOUT,
};

static uint64_t patience_ms(const struct entry *e)
{
    const struct conf_timeouts *timeouts = &e->inbound.snapshot->conf->timeouts;

    if (e->state == ENTRY_LINGER)
        return LINGER_MS;
    return e->state == ENTRY_TLS ? timeouts->tls_handshake_ms : timeouts->header_ms;
}

/* Every state has a deadline; they are passed in their order. */
static void entry_enter(struct entry *e, enum entry_state to)
{
    assert(to > e->state);
    e->state = to;
    timer_start(e->services->timers, &e->timer, patience_ms(e));
}

/* ---- the end ---- */

static void entry_free(struct entry *e)
{
    timer_clear(e->services->timers, &e->timer);
    list_remove(&e->link);
    tls_handshake_cancel(&e->handshake);
    stream_close(&e->stream);
    mem_free(e);
}

static void say_end(const struct inbound *in, enum end_reason why, const char *words)
{
    log_info("listener %s: %s closed: %s", in->listener->name, in->name, words != NULL ? words : end_reason_sentence(why));
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
    if (e->state == ENTRY_LINGER) {
        end(e, e->why);
        return;
    }
    say_end(&e->inbound, late_ends[e->state], NULL);
    end(e, late_ends[e->state]);
}

static void end_fault(struct entry *e, enum end_reason why, enum fault fault)
{
    metrics_fault(e->services->metrics, METRICS_CLIENT, fault);
    say_end(&e->inbound, why, fault_sentence(fault));
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
    say_end(&e->inbound, why, NULL);
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

/* ---- TLS, LINGER ---- */

static const struct stream_events entry_events;

static void linger(struct entry *e, enum end_reason why)
{
    e->why = why;
    e->linger_from = e->stream->bytes_in;
    entry_enter(e, ENTRY_LINGER);
    stream_own(e->stream, &entry_events, e);
    if (stream_finish(e->stream) != 0)
        end(e, why);
}

static void discard(struct entry *e)
{
    const uint8_t *p;

    stream_consume(e->stream, stream_peek(e->stream, &p));
    if ((e->stream->input != STREAM_OPEN && stream_flushed(e->stream)) || e->stream->bytes_in - e->linger_from > LINGER_BYTES)
        end(e, e->why);
}

static void say_failed(const struct entry *e, const struct tls_answer *a)
{
    char words[256];

    snprintf(words, sizeof(words), "%s%s%s", end_reason_sentence(a->why), a->words != NULL ? ": " : "", a->words != NULL ? a->words : "");
    say_end(&e->inbound, a->why, words);
}

/* A client that connects and leaves without a word is a check, or has changed its mind: no news. */
static void handshake_failed(struct entry *e, const struct tls_answer *a)
{
    bool silent = e->stream->bytes_in == 0;

    if (a->why == END_HELLO_FAULT) {
        metrics_fault(e->services->metrics, METRICS_CLIENT, FAULT_TLS_PLAIN_TEXT);
        become_refused(e, a->why, FAULT_TLS_PLAIN_TEXT);
    } else if (a->why == END_TLS_CUT && silent) {
        end(e, END_CLIENT_CLOSED);
    } else {
        say_failed(e, a);
        if (a->why == END_TLS_FAILED)
            linger(e, a->why);
        else
            end(e, a->why);
    }
}

static void say_agreed(const struct entry *e, const struct tls_facts *f)
{
    log_debug("listener %s: %s speaks %s, %s%s%s%s", e->inbound.listener->name, e->inbound.name, f->version, f->cipher,
              f->resumed ? ", resumed" : "", f->sni[0] != '\0' ? ", for " : "", f->sni);
}

static void on_handshake(void *ctx, const struct tls_answer *a)
{
    struct entry *e = ctx;

    e->handshake = NULL;
    e->stream = a->stream != NULL ? a->stream : a->below;
    if (a->stream == NULL) {
        handshake_failed(e, a);
        return;
    }
    e->inbound.tls = stream_tls_facts(a->stream);
    metrics_add(&e->services->metrics->tls_handshakes, 1);
    metrics_add(&e->services->metrics->tls_versions[strcmp(e->inbound.tls->version, "TLSv1.2") == 0 ? METRICS_TLS_1_2 : METRICS_TLS_1_3], 1);
    metrics_time(e->services->metrics, METRICS_TIME_TLS_HANDSHAKE, timers_now_ms(e->services->timers) - e->tls_begun_ms);
    metrics_add(&e->services->metrics->tls_handshakes_resumed, e->inbound.tls->resumed);
    say_agreed(e, e->inbound.tls);
    become_client(e);
}

static void begin_tls(struct entry *e)
{
    const struct snapshot *s = e->inbound.snapshot;
    struct tls_ctx *ctx = s->generation->tls->listeners[e->inbound.listener - s->conf->listeners];

    entry_enter(e, ENTRY_TLS);
    e->tls_begun_ms = timers_now_ms(e->services->timers);
    e->handshake = tls_handshake_with_client(e->services->tls, &e->stream, ctx, on_handshake, e);
    if (e->handshake == NULL)
        end(e, END_NO_MEMORY);
}

/* ---- HELLO ---- */

/* A name that is passed through, or one of ours, or nobody's. */
static void name_is_known(struct entry *e)
{
    const struct conf_passthrough *to = passthrough_find(e->inbound.listener, span_of(e->hello.name, e->hello.name_n));

    if (to == NULL && e->inbound.listener->tls_on)
        begin_tls(e);
    else if (to != NULL && !access_admits(&e->inbound.listener->admission, &e->inbound.client))
        end_denied(e, END_DENIED);
    else
        become_passthrough(e, to, END_NAME_UNKNOWN);
}

static void read_hello(struct entry *e)
{
    const uint8_t *p;
    size_t n = stream_peek(e->stream, &p);

    if (n < e->hello.at) {               /* there was no memory to keep what had come */
        end(e, END_NO_MEMORY);
        return;
    }
    switch (tls_hello_feed(&e->hello, p, n)) {
    case TLS_HELLO_MORE:
        end_cut(e, END_HELLO_FAULT, n > 0);
        break;
    case TLS_HELLO_WHOLE:
        name_is_known(e);
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
    } else if (e->inbound.listener->tls_on) {
        begin_tls(e);
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

    if (e->state == ENTRY_LINGER)
        discard(e);
    else if (e->state == ENTRY_HELLO)
        read_hello(e);
    else
        read_proxy_header(e);
}

static void on_writable(void *ctx)
{
    struct entry *e = ctx;

    if (e->state == ENTRY_LINGER)
        discard(e);
    else if (e->stream->output_error != 0)
        end(e, END_CLIENT_ABORTED);
}

static const struct stream_events entry_events = { .readable = on_readable, .writable = on_writable };

/* ---- the beginning, and the gateway's end ---- */

static void refuse(struct services *services, struct stream *stream, struct inbound *inbound, enum end_reason why)
{
    if (why != END_NO_MEMORY)
        say_end(inbound, why, NULL);
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
    if (!announced && !wants_hello(inbound.listener) && !inbound.listener->tls_on) {
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
    if (!announced && !wants_hello(inbound.listener)) {
        begin_tls(e);
        return;
    }
    if (announced)
        entry_enter(e, ENTRY_PROXY);
    else
        begin_hello(e);
    stream_own(stream, &entry_events, e);
}

static bool is_silent(const struct entry *e)
{
    return e->state == ENTRY_TLS ? tls_handshake_is_silent(e->handshake) : e->stream->bytes_in == 0;
}

void entry_drain_all(struct services *services)
{
    struct list *next;

    for (struct list *l = services->entries.next; l != &services->entries; l = next) {
        struct entry *e = LIST_OWNER(l, struct entry, link);
        next = l->next;
        if (is_silent(e))
            end(e, END_DRAINED);
    }
}

void entry_kill_all(struct services *services)
{
    while (!list_empty(&services->entries))
        end(LIST_OWNER(services->entries.next, struct entry, link), END_DRAINED);
}
