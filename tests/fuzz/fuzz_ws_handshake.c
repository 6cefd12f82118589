/* Fuzz: an offer's fields, an empty line, an answer's fields; one `Name: value` per line. The first byte is what is around them.
 *
 * `Sec-WebSocket-Accept: *` in the answer stands for the value that is due, so that what comes behind that check is reached.
 * Whatever was agreed on was offered: looked up in the text of the offer. The letter case of field names does not matter. */
#include "protocol/ws_handshake.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct talk {
    struct arena arena;
    struct http1_head offer_head, answer_head;
    struct span offer_text;
    struct ws_offer offer;
    enum ws_offer_kind kind;
    enum fault fault;
    struct ws_agreement agreed;
};

static struct span trimmed(struct span s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = span_from(s, 1);
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

static struct span upper(struct arena *a, struct span s)
{
    uint8_t *copy = arena_alloc(a, s.n);

    assert(copy != NULL);
    for (size_t i = 0; i < s.n; i++)
        copy[i] = s.p[i] >= 'a' && s.p[i] <= 'z' ? (uint8_t)(s.p[i] - 32) : s.p[i];
    return span_of(copy, s.n);
}

/* Lines up to an empty one; answers what follows it. */
static struct span read_fields(struct talk *t, struct headers *h, struct span text, bool shout)
{
    headers_init(h, &t->arena, 200);
    while (text.n > 0) {
        struct span line = span_first(text, span_find(text, '\n'));
        size_t colon = span_find(line, ':');
        struct span name = span_first(line, colon);
        text = span_from(text, line.n + 1);
        if (line.n == 0)
            break;
        headers_add(h, shout ? upper(&t->arena, name) : name, trimmed(span_from(line, colon + 1)));
    }
    return text;
}

static void fill_accept(struct headers *h, const struct ws_offer *offer)
{
    for (size_t i = 0; i < h->n; i++)
        if (span_equal_nocase(h->fields[i].name, SPAN_LITERAL("sec-websocket-accept"))
            && span_equal(h->fields[i].value, SPAN_LITERAL("*")))
            h->fields[i].value = span_of(offer->accept, WS_ACCEPT_BYTES);
}

static void talk(struct talk *t, uint8_t around, struct span text, bool shout)
{
    memset(t, 0, sizeof(*t));
    arena_init(&t->arena, (size_t)1 << 20);
    t->offer_head.method = around & 1 ? SPAN_LITERAL("POST") : SPAN_LITERAL("GET");
    t->offer_head.version_minor = around & 2 ? 0 : 1;
    t->offer_head.body = around & 4 ? HTTP1_BODY_CHUNKED : HTTP1_BODY_NONE;
    t->answer_head.version_minor = around & 8 ? 0 : 1;
    t->answer_head.status = 101;
    t->offer_text = text;
    text = read_fields(t, &t->offer_head.fields, text, shout);
    t->offer_text.n -= text.n;
    t->kind = ws_offer_read(&t->offer_head, &t->offer, &t->fault);
    assert((t->kind == WS_OFFER_BAD) == (t->fault != FAULT_NONE));
    if (t->kind != WS_OFFER_GOOD)
        return;
    t->offer.extensions_stripped = around & 16;
    read_fields(t, &t->answer_head.fields, text, shout);
    fill_accept(&t->answer_head.fields, &t->offer);
    t->fault = ws_answer_judge(&t->offer, &t->answer_head, &t->agreed);
}

static bool contains(struct span text, struct span part)
{
    for (size_t i = 0; i + part.n <= text.n; i++)
        if (span_starts_with(span_from(text, i), part))
            return true;
    return false;
}

static bool is_bits(unsigned bits)
{
    return bits >= 8 && bits <= 15;
}

static void check_agreement(const struct talk *t, uint8_t around)
{
    const struct headers *answer = &t->answer_head.fields;

    assert(around % 16 == 0);
    assert(contains(t->offer_text, t->agreed.protocol));
    assert(is_bits(t->agreed.client_max_window_bits) && is_bits(t->agreed.server_max_window_bits));
    assert(t->agreed.deflate == (headers_count(answer, SPAN_LITERAL("sec-websocket-extensions")) > 0));
    assert(!t->agreed.deflate || !t->offer.extensions_stripped);
    assert(!t->agreed.deflate || contains(t->offer_text, SPAN_LITERAL("permessage-deflate")));
    assert(headers_count(answer, SPAN_LITERAL("upgrade")) == 1 && headers_count(answer, SPAN_LITERAL("content-length")) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct talk plain, shouted;
    struct span text;

    if (n < 1 || n > 65536)
        return 0;
    text = span_of(data + 1, n - 1);
    talk(&plain, data[0], text, false);
    talk(&shouted, data[0], text, true);
    assert(plain.kind == shouted.kind && plain.fault == shouted.fault);
    if (plain.kind == WS_OFFER_GOOD && plain.fault == FAULT_NONE)
        check_agreement(&plain, data[0]);
    arena_free(&plain.arena);
    arena_free(&shouted.arena);
    return 0;
}
