/* The handshake: offers that are good, bad, or none; answers against offers; permessage-deflate's parameters against each other.
 *
 * Rows are fields as text, one per line; most of them are changes to a good offer or a good answer: a line `-Name` takes a field
 * out, `Name: value` alone replaces it, `+Name: value` adds one. */
#include "protocol/ws_extensions.h"
#include "protocol/ws_handshake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define GOOD_KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define GOOD_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static const char good_offer[] = "Host: a.example\nUpgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Key: " GOOD_KEY
                                 "\nSec-WebSocket-Version: 13\n";
static const char good_answer[] = "Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Accept: " GOOD_ACCEPT "\n";

struct head {
    struct arena arena;
    struct http1_head head;
};

static void apply_line(struct headers *h, struct span line)
{
    bool add = line.p[0] == '+', remove = line.p[0] == '-';
    struct span text = add || remove ? span_from(line, 1) : line;
    size_t colon = span_find(text, ':');
    struct span name = span_first(text, colon), value = span_from(text, colon + 1);

    while (value.n > 0 && value.p[0] == ' ')
        value = span_from(value, 1);
    if (!add)
        headers_remove(h, name);
    if (!remove)
        assert_int_equal(headers_add(h, name, value), FAULT_NONE);
}

static void apply(struct headers *h, const char *lines)
{
    for (struct span rest = span_of_text(lines); rest.n > 0;) {
        size_t end = span_find(rest, '\n');
        if (end > 0)
            apply_line(h, span_first(rest, end));
        rest = span_from(rest, end + 1);
    }
}

static void make(struct head *h, const char *base, const char *changes)
{
    memset(h, 0, sizeof(*h));
    arena_init(&h->arena, 1 << 20);
    headers_init(&h->head.fields, &h->arena, 0);
    h->head.version_minor = 1;
    h->head.keep_alive = true;
    apply(&h->head.fields, base);
    apply(&h->head.fields, changes);
}

static void make_offer(struct head *h, const char *changes)
{
    make(h, good_offer, changes);
    h->head.method = SPAN_LITERAL("GET");
    h->head.target = SPAN_LITERAL("/chat");
}

static void make_answer(struct head *h, const char *changes)
{
    make(h, good_answer, changes);
    h->head.status = 101;
}

/* ---- offers ---- */

static void expect_offer(const char *changes, enum ws_offer_kind kind, enum fault fault)
{
    struct head h;
    struct ws_offer offer;
    enum fault got;
    enum ws_offer_kind got_kind;

    make_offer(&h, changes);
    got_kind = ws_offer_read(&h.head, &offer, &got);
    if (got_kind != kind || got != fault)
        fail_msg("offer {%s}: kind %d, fault %s; due %d, %s", changes, (int)got_kind, fault_word(got), (int)kind,
                 fault_word(fault));
    arena_free(&h.arena);
}

static void good_offers(void **state)
{
    static const char *const rows[] = {
        "",
        "Upgrade: WebSocket\nConnection: keep-alive, Upgrade",
        "Upgrade: h2c, websocket",
        "Upgrade: h2c\n+Upgrade: websocket\nConnection: close\n+Connection: upgrade",
        "Content-Length: 0",
        "Sec-WebSocket-Protocol: chat",
        "Sec-WebSocket-Protocol: chat, superchat\n+Sec-WebSocket-Protocol: v2.chat,Chat",
        "Sec-WebSocket-Protocol: , chat ,",
        "Sec-WebSocket-Extensions: permessage-deflate",
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits; x=\"y\", foo\n+Sec-WebSocket-Extensions: a;b = c",
        "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        "Sec-WebSocket-Key: ////////////////////+w==",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_offer(rows[i], WS_OFFER_GOOD, FAULT_NONE);
}

static void no_offers(void **state)
{
    static const char *const rows[] = {
        "-Upgrade",
        "-Connection",
        "Upgrade: h2c",
        "Upgrade: websocket/13",
        "Upgrade: TLS/1.0, HTTP/2",
        "Connection: close",
        "Connection: keep-alive, x-upgrade",
        "Upgrade: websockets",
        "-Upgrade\n-Connection\n-Sec-WebSocket-Key",
        "Upgrade: \"websocket\"",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_offer(rows[i], WS_OFFER_NONE, FAULT_NONE);
}

static void bad_offers(void **state)
{
    static const struct { const char *changes; enum fault fault; } rows[] = {
        /* RFC 6455 section 4.2.1, 5 */
        { "-Sec-WebSocket-Key", FAULT_WS_KEY },
        { "+Sec-WebSocket-Key: " GOOD_KEY, FAULT_WS_KEY },
        { "Sec-WebSocket-Key:", FAULT_WS_KEY },
        { "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=", FAULT_WS_KEY },
        { "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ", FAULT_WS_KEY },
        { "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZR==", FAULT_WS_KEY },
        { "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSE=", FAULT_WS_KEY },
        { "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j", FAULT_WS_KEY },
        { "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSEh", FAULT_WS_KEY },
        { "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j ZQ==", FAULT_WS_KEY },
        { "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSBvZiBmaWZ0eSBieXRlcyBhbmQgbW9yZSBieXRlcw==", FAULT_WS_KEY },
        { "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ--", FAULT_WS_KEY },
        /* section 4.2.1, 6 and 4.4 */
        { "-Sec-WebSocket-Version", FAULT_WS_VERSION },
        { "Sec-WebSocket-Version: 8", FAULT_WS_VERSION },
        { "Sec-WebSocket-Version: 0", FAULT_WS_VERSION },
        { "Sec-WebSocket-Version: 14", FAULT_WS_VERSION },
        { "Sec-WebSocket-Version: 013", FAULT_WS_VERSION },
        { "Sec-WebSocket-Version: 13, 8", FAULT_WS_VERSION },
        { "Sec-WebSocket-Version: 13.0", FAULT_WS_VERSION },
        { "Sec-WebSocket-Version:", FAULT_WS_VERSION },
        { "+Sec-WebSocket-Version: 13", FAULT_WS_VERSION },
        { "Sec-WebSocket-Version: 8\n-Sec-WebSocket-Key", FAULT_WS_VERSION },
        /* bodies */
        { "Transfer-Encoding: chunked", FAULT_WS_BODY },
        /* section 4.1, the client's 10 and 11 */
        { "Sec-WebSocket-Protocol:", FAULT_WS_OFFER },
        { "Sec-WebSocket-Protocol: , ,", FAULT_WS_OFFER },
        { "Sec-WebSocket-Protocol: a b", FAULT_WS_OFFER },
        { "Sec-WebSocket-Protocol: a/b", FAULT_WS_OFFER },
        { "Sec-WebSocket-Protocol: \"a\"", FAULT_WS_OFFER },
        { "Sec-WebSocket-Protocol: a, b, a", FAULT_WS_OFFER },
        { "Sec-WebSocket-Protocol: a\n+Sec-WebSocket-Protocol: a", FAULT_WS_OFFER },
        { "Sec-WebSocket-Extensions:", FAULT_WS_OFFER },
        { "Sec-WebSocket-Extensions: a;", FAULT_WS_OFFER },
        { "Sec-WebSocket-Extensions: a;b=", FAULT_WS_OFFER },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect_offer(rows[i].changes, WS_OFFER_BAD, rows[i].fault);
}

/* hixie-75, hixie-76 and hybi-00 to -12, as their browsers sent them. */
static void before_the_rfc(void **state)
{
    static const char *const hixie[] = {
        "Upgrade: WebSocket\nConnection: Upgrade\nHost: a\nOrigin: http://a\n",
        "Upgrade: WebSocket\nConnection: Upgrade\nHost: a\nOrigin: http://a\nWebSocket-Protocol: sample\n",
        "Upgrade: WebSocket\nConnection: Upgrade\nHost: a\nOrigin: http://a\nSec-WebSocket-Protocol: sample\n"
        "Sec-WebSocket-Key1: 4 @1  46546xW%0l 1 5\nSec-WebSocket-Key2: 12998 5 Y3 1  .P00\n",
        "Upgrade: WebSocket\nConnection: Upgrade\nHost: a\nSec-WebSocket-Draft: 2\nSec-WebSocket-Key1: 4 @1\nSec-WebSocket-Key2: "
        "1 2\n",
        "Upgrade: WebSocket\nConnection: Upgrade\nHost: a\nSec-WebSocket-Key2: 12998 5 Y3 1  .P00\nSec-WebSocket-Version: 13\n"
        "Sec-WebSocket-Key: " GOOD_KEY "\n",
    };
    char hybi[] = "Upgrade: websocket\nConnection: Upgrade\nHost: a\nSec-WebSocket-Key: " GOOD_KEY
                  "\nSec-WebSocket-Origin: http://a\nSec-WebSocket-Version: 00\n";
    struct head h;
    struct ws_offer offer;
    enum fault fault;

    (void)state;
    for (size_t i = 0; i < sizeof(hixie) / sizeof(hixie[0]) + 13; i++) {
        size_t draft = i - sizeof(hixie) / sizeof(hixie[0]);
        if (i >= sizeof(hixie) / sizeof(hixie[0]))
            snprintf(hybi + sizeof(hybi) - 4, 4, "%zu\n", draft);
        make(&h, i < sizeof(hixie) / sizeof(hixie[0]) ? hixie[i] : hybi, "");
        h.head.method = SPAN_LITERAL("GET");
        assert_int_equal(ws_offer_read(&h.head, &offer, &fault), WS_OFFER_BAD);
        assert_int_equal(fault, i < sizeof(hixie) / sizeof(hixie[0]) ? FAULT_WS_HIXIE : FAULT_WS_VERSION);
        assert_int_equal(fault_status(fault), 426);
        arena_free(&h.arena);
    }
    expect_offer("+Sec-WebSocket-Draft: 3", WS_OFFER_BAD, FAULT_WS_VERSION);
    expect_offer("-Sec-WebSocket-Key\n-Sec-WebSocket-Version\n+Sec-WebSocket-Draft: 3", WS_OFFER_BAD, FAULT_WS_VERSION);
}

static void expect_head_fault(struct head *h, enum fault due)
{
    struct ws_offer offer;
    enum fault fault;

    assert_int_equal(ws_offer_read(&h->head, &offer, &fault), WS_OFFER_BAD);
    assert_int_equal(fault, due);
    arena_free(&h->arena);
}

static void methods_versions_bodies(void **state)
{
    static const char *const methods[] = { "POST", "get", "HEAD", "OPTIONS", "CONNECT", "GETX" };
    struct head h;

    (void)state;
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        make_offer(&h, "");
        h.head.method = span_of_text(methods[i]);
        expect_head_fault(&h, FAULT_WS_METHOD);
    }
    make_offer(&h, "");
    h.head.version_minor = 0;
    expect_head_fault(&h, FAULT_WS_HTTP_VERSION);
    make_offer(&h, "Content-Length: 8");
    h.head.body = HTTP1_BODY_LENGTH;
    h.head.content_length = 8;
    expect_head_fault(&h, FAULT_WS_BODY);
    make_offer(&h, "");
    h.head.body = HTTP1_BODY_CHUNKED;
    expect_head_fault(&h, FAULT_WS_BODY);
}

static void what_is_read(void **state)
{
    struct head h;
    struct ws_offer offer;
    enum fault fault;

    (void)state;
    make_offer(&h, "");
    assert_int_equal(ws_offer_read(&h.head, &offer, &fault), WS_OFFER_GOOD);
    assert_true(span_equal(offer.key, SPAN_LITERAL(GOOD_KEY)));
    assert_true(span_equal(span_of(offer.accept, sizeof(offer.accept)), SPAN_LITERAL(GOOD_ACCEPT)));
    assert_ptr_equal(offer.fields, &h.head.fields);
    assert_false(offer.extensions_stripped);
    arena_free(&h.arena);
}

/* The number of offered protocols and of extensions is limited, so that comparing them is. */
static void many_members(void **state)
{
    static const char *const names[] = { "Sec-WebSocket-Protocol: ", "Sec-WebSocket-Extensions: " };
    char text[2000];

    (void)state;
    for (size_t name = 0; name < 2; name++)
        for (size_t count = WS_OFFER_MAX_PROTOCOLS - 1; count <= WS_OFFER_MAX_PROTOCOLS + 1; count++) {
            size_t n = (size_t)snprintf(text, sizeof(text), "%s", names[name]);
            for (size_t i = 0; i < count; i++)
                n += (size_t)snprintf(text + n, sizeof(text) - n, "p%zu,", i);
            if (count <= WS_OFFER_MAX_PROTOCOLS)
                expect_offer(text, WS_OFFER_GOOD, FAULT_NONE);
            else
                expect_offer(text, WS_OFFER_BAD, FAULT_WS_OFFER);
        }
}

/* ---- answers ---- */

static enum fault judge(const char *offer_changes, const char *answer_changes, bool stripped, struct ws_agreement *out)
{
    struct head o, a;
    struct ws_offer offer;
    enum fault fault;

    make_offer(&o, offer_changes);
    make_answer(&a, answer_changes);
    assert_int_equal(ws_offer_read(&o.head, &offer, &fault), WS_OFFER_GOOD);
    offer.extensions_stripped = stripped;
    fault = ws_answer_judge(&offer, &a.head, out);
    out->protocol = out->protocol.n > 0 ? SPAN_LITERAL("(freed)") : SPAN_EMPTY;
    arena_free(&o.arena);
    arena_free(&a.arena);
    return fault;
}

struct answer_row {
    const char *offer, *answer;
    enum fault fault;
};

static void run_answers(const struct answer_row *rows, size_t n)
{
    struct ws_agreement agreed;

    for (size_t i = 0; i < n; i++) {
        enum fault got = judge(rows[i].offer, rows[i].answer, false, &agreed);
        if (got != rows[i].fault)
            fail_msg("offer {%s}, answer {%s}: %s, due %s", rows[i].offer, rows[i].answer, fault_word(got),
                     fault_word(rows[i].fault));
    }
}
#define RUN_ANSWERS(rows) run_answers(rows, sizeof(rows) / sizeof((rows)[0]))

static void answers(void **state)
{
    static const struct answer_row rows[] = {
        { "", "", FAULT_NONE },
        { "", "Upgrade: WebSocket\nConnection: keep-alive, UPGRADE\nServer: x\nSet-Cookie: a=b", FAULT_NONE },
        { "", "-Upgrade", FAULT_WS_UPGRADE_FIELD },
        { "", "Upgrade: h2c", FAULT_WS_UPGRADE_FIELD },
        { "", "Upgrade: websocket, h2c", FAULT_WS_UPGRADE_FIELD },
        { "", "Upgrade: websocket,", FAULT_WS_UPGRADE_FIELD },
        { "", "+Upgrade: websocket", FAULT_WS_UPGRADE_FIELD },
        { "", "-Connection", FAULT_WS_CONNECTION_FIELD },
        { "", "Connection: close", FAULT_WS_CONNECTION_FIELD },
        { "", "-Sec-WebSocket-Accept", FAULT_WS_ACCEPT },
        { "", "+Sec-WebSocket-Accept: " GOOD_ACCEPT, FAULT_WS_ACCEPT },
        { "", "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=", FAULT_WS_ACCEPT },
        { "", "Sec-WebSocket-Accept: s3pplmbitxaq9kygzzhzrbk+xoo=", FAULT_WS_ACCEPT },
        { "", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo", FAULT_WS_ACCEPT },
        { "", "Sec-WebSocket-Accept: " GOOD_ACCEPT "=", FAULT_WS_ACCEPT },
        { "", "Sec-WebSocket-Accept: " GOOD_KEY, FAULT_WS_ACCEPT },
        { "", "Sec-WebSocket-Accept:", FAULT_WS_ACCEPT },
        { "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "", FAULT_WS_ACCEPT },
        { "", "Content-Length: 0", FAULT_WS_FRAMING },
        { "", "Content-Length: 5", FAULT_WS_FRAMING },
        { "", "Transfer-Encoding: chunked", FAULT_WS_FRAMING },
        /* subprotocols */
        { "Sec-WebSocket-Protocol: a, b\n+Sec-WebSocket-Protocol: c", "", FAULT_NONE },
        { "Sec-WebSocket-Protocol: a, b\n+Sec-WebSocket-Protocol: c", "Sec-WebSocket-Protocol: c", FAULT_NONE },
        { "Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Protocol: A", FAULT_WS_PROTOCOL },
        { "Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Protocol: d", FAULT_WS_PROTOCOL },
        { "Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Protocol: a, b", FAULT_WS_PROTOCOL },
        { "Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Protocol: a\n+Sec-WebSocket-Protocol: b", FAULT_WS_PROTOCOL },
        { "Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Protocol: a\n+Sec-WebSocket-Protocol: a", FAULT_WS_PROTOCOL },
        { "Sec-WebSocket-Protocol: a, b", "Sec-WebSocket-Protocol:", FAULT_WS_PROTOCOL },
        { "", "Sec-WebSocket-Protocol: a", FAULT_WS_PROTOCOL },
        { "", "Sec-WebSocket-Protocol:", FAULT_WS_PROTOCOL },
        /* extensions */
        { "", "Sec-WebSocket-Extensions: permessage-deflate", FAULT_WS_EXTENSION },
        { "", "Sec-WebSocket-Extensions:", FAULT_WS_EXTENSION },
        { "Sec-WebSocket-Extensions: foo", "Sec-WebSocket-Extensions: foo", FAULT_WS_EXTENSION },
        { "Sec-WebSocket-Extensions: foo, permessage-deflate", "Sec-WebSocket-Extensions: permessage-deflate", FAULT_NONE },
        { "Sec-WebSocket-Extensions: foo, permessage-deflate", "Sec-WebSocket-Extensions: permessage-deflate, foo",
          FAULT_WS_EXTENSION },
        { "Sec-WebSocket-Extensions: foo; client_max_window_bits, permessage-deflate",
          "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=9", FAULT_WS_EXTENSION },
        { "Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Extensions: permessage-deflate, permessage-deflate",
          FAULT_WS_EXTENSION },
        { "Sec-WebSocket-Extensions: permessage-deflate",
          "Sec-WebSocket-Extensions: permessage-deflate\n+Sec-WebSocket-Extensions: permessage-deflate", FAULT_WS_EXTENSION },
        { "Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Extensions: Permessage-Deflate", FAULT_WS_EXTENSION },
        { "Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Extensions: permessage-deflate;", FAULT_WS_EXTENSION },
        { "Sec-WebSocket-Extensions: x-webkit-deflate-frame", "Sec-WebSocket-Extensions: x-webkit-deflate-frame",
          FAULT_WS_EXTENSION },
    };
    struct ws_agreement agreed;
    struct head h;

    (void)state;
    RUN_ANSWERS(rows);
    assert_int_equal(
        judge("Sec-WebSocket-Extensions: permessage-deflate", "Sec-WebSocket-Extensions: permessage-deflate", true, &agreed),
        FAULT_WS_EXTENSION);
    assert_int_equal(judge("Sec-WebSocket-Extensions: permessage-deflate", "", true, &agreed), FAULT_NONE);
    make_answer(&h, "");
    h.head.version_minor = 0;
    assert_int_equal(ws_answer_judge(&(struct ws_offer){ .fields = &h.head.fields }, &h.head, &agreed), FAULT_WS_ANSWER_VERSION);
    arena_free(&h.arena);
}

/* RFC 7692 section 7.1: offer and answer, without the name in front. */
static void deflate_answers(void **state)
{
    static const struct { const char *offer, *answer; bool fits; } rows[] = {
        { "", "", true },
        { "", "server_no_context_takeover", true },
        { "", "client_no_context_takeover", true },
        { "", "server_max_window_bits=10", true },
        { "", "client_max_window_bits=10", false },
        { "", "client_max_window_bits", false },
        { "server_no_context_takeover", "", false },
        { "server_no_context_takeover", "server_no_context_takeover", true },
        { "server_no_context_takeover", "server_no_context_takeover; server_no_context_takeover", false },
        { "client_no_context_takeover", "", true },
        { "client_no_context_takeover", "client_no_context_takeover", true },
        { "client_no_context_takeover", "client_no_context_takeover=1", false },
        { "server_no_context_takeover", "server_no_context_takeover=\"\"", false },
        { "server_max_window_bits=10", "", false },
        { "server_max_window_bits=10", "server_max_window_bits=10", true },
        { "server_max_window_bits=10", "server_max_window_bits=8", true },
        { "server_max_window_bits=10", "server_max_window_bits=\"9\"", true },
        { "server_max_window_bits=10", "server_max_window_bits=\"1\\0\"", true },
        { "server_max_window_bits=10", "server_max_window_bits=11", false },
        { "server_max_window_bits=15", "server_max_window_bits=15", true },
        { "server_max_window_bits", "server_max_window_bits=10", false },
        { "server_max_window_bits=7", "server_max_window_bits=7", false },
        { "", "server_max_window_bits=7", false },
        { "", "server_max_window_bits=16", false },
        { "", "server_max_window_bits=08", false },
        { "", "server_max_window_bits=010", false },
        { "", "server_max_window_bits=+10", false },
        { "", "server_max_window_bits=-10", false },
        { "", "server_max_window_bits=1e1", false },
        { "", "server_max_window_bits=99999999999999999999", false },
        { "", "server_max_window_bits", false },
        { "", "server_max_window_bits=10; server_max_window_bits=10", false },
        { "client_max_window_bits", "", true },
        { "client_max_window_bits", "client_max_window_bits=8", true },
        { "client_max_window_bits", "client_max_window_bits=15", true },
        { "client_max_window_bits", "client_max_window_bits", false },
        { "client_max_window_bits", "client_max_window_bits=7", false },
        { "client_max_window_bits", "client_max_window_bits=9; client_max_window_bits=9", false },
        { "client_max_window_bits=10", "", true },
        { "client_max_window_bits=10", "client_max_window_bits=9", true },
        { "client_max_window_bits=10", "client_max_window_bits=11", false },
        { "client_max_window_bits=16", "", false },
        { "client_max_window_bits; client_max_window_bits", "", false },
        { "", "unknown", false },
        { "unknown", "", false },
        { "unknown", "unknown", false },
        { "", "Server_No_Context_Takeover", false },
        { "client_max_window_bits; server_no_context_takeover",
          "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; client_max_window_bits=11", true },
        /* several offers, the answer fits one of them */
        { "server_max_window_bits=9, permessage-deflate", "", true },
        { "server_max_window_bits=9, permessage-deflate; client_max_window_bits", "client_max_window_bits=9", true },
        { "server_max_window_bits=9, permessage-deflate; server_no_context_takeover", "", false },
        { "server_max_window_bits=99, permessage-deflate", "server_max_window_bits=12", true },
    };
    char offer[300], answer[300];
    struct ws_agreement agreed;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *first = rows[i].offer[0] != '\0' ? "; " : "", *second = rows[i].answer[0] != '\0' ? "; " : "";
        snprintf(offer, sizeof(offer), "Sec-WebSocket-Extensions: permessage-deflate%s%s", first, rows[i].offer);
        snprintf(answer, sizeof(answer), "Sec-WebSocket-Extensions: permessage-deflate%s%s", second, rows[i].answer);
        if ((judge(offer, answer, false, &agreed) == FAULT_NONE) != rows[i].fits)
            fail_msg("offer {%s}, answer {%s}", offer, answer);
        assert_int_equal(agreed.deflate, rows[i].fits);
    }
}

static void agreements(void **state)
{
    struct ws_agreement a;

    (void)state;
    assert_int_equal(judge("Sec-WebSocket-Protocol: x", "", false, &a), FAULT_NONE);
    assert_true(!a.deflate && a.protocol.n == 0 && a.client_max_window_bits == 15 && a.server_max_window_bits == 15);
    assert_int_equal(judge("Sec-WebSocket-Protocol: x", "Sec-WebSocket-Protocol: x", false, &a), FAULT_NONE);
    assert_true(a.protocol.n > 0);
    assert_int_equal(judge("Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
                           "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits=9; server_no_context_takeover",
                           false, &a),
                     FAULT_NONE);
    assert_true(a.deflate && a.server_no_context_takeover && !a.client_no_context_takeover);
    assert_true(a.client_max_window_bits == 9 && a.server_max_window_bits == 15);
    assert_int_equal(judge("Sec-WebSocket-Extensions: permessage-deflate",
                           "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=8; client_no_context_takeover",
                           false, &a),
                     FAULT_NONE);
    assert_true(a.client_no_context_takeover && a.server_max_window_bits == 8 && a.client_max_window_bits == 15);
}

/* ---- the grammar of extensions ---- */

static void extension_grammar(void **state)
{
    static const struct { const char *text; bool lawful;
    } rows[] = {
        { "a", true },           { "a;b", true },         { "a; b=c; d=\"e\"", true },
        { "a ; b = c", true },   { "a;b=\"\\c\"", true }, { "a\t;\tb", true },
        { "", false },           { ";", false },          { "a;", false },
        { "a; ", false },        { ";b", false },         { "a;;b", false },
        { "a b", false },        { "a;b c", false },      { "a;b=", false },
        { "a;=c", false },       { "a;b=\"\"", false },   { "a;b=\"c d\"", false },
        { "a;b=\"c", false },    { "a;b=\"c\\", false },  { "a;b=\"c\\\"", false },
        { "a;b=\"c\"d", false }, { "a;b=c=d", false },    { "a=b", false },
        { "\"a\"", false },      { "a;\"b\"", false },    { "a;b='c'", true },
        { "a;b=(c)", false },    { "a\x80", false },      { "a;b=\"c;d\"", false },
        { " a", false },
    };
    struct ws_extension e;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t n = strlen(rows[i].text);
        uint8_t *exact = malloc(n);      /* nothing behind it: reading on is seen */
        memcpy(exact, rows[i].text, n);
        if (ws_extension_read(span_of(exact, n), &e) != rows[i].lawful)
            fail_msg("{%s}", rows[i].text);
        free(exact);
    }
}

static void extension_parts(void **state)
{
    struct ws_extension e;
    struct ws_parameter p;
    struct span rest;

    (void)state;
    assert_true(ws_extension_read(SPAN_LITERAL("foo ; bar ; baz = \"q\\x\" ;z=1"), &e));
    assert_true(span_equal(e.name, SPAN_LITERAL("foo")));
    rest = e.parameters;
    assert_true(ws_parameter_next(&rest, &p));
    assert_true(span_equal(p.name, SPAN_LITERAL("bar")) && !p.has_value);
    assert_true(ws_parameter_next(&rest, &p));
    assert_true(span_equal(p.name, SPAN_LITERAL("baz")) && p.has_value && span_equal(p.value, SPAN_LITERAL("\"q\\x\"")));
    assert_true(ws_parameter_next(&rest, &p));
    assert_true(span_equal(p.name, SPAN_LITERAL("z")) && p.has_value && span_equal(p.value, SPAN_LITERAL("1")));
    assert_false(ws_parameter_next(&rest, &p));
    assert_int_equal(rest.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_offers),
        cmocka_unit_test(no_offers),
        cmocka_unit_test(bad_offers),
        cmocka_unit_test(before_the_rfc),
        cmocka_unit_test(methods_versions_bodies),
        cmocka_unit_test(what_is_read),
        cmocka_unit_test(many_members),
        cmocka_unit_test(answers),
        cmocka_unit_test(deflate_answers),
        cmocka_unit_test(agreements),
        cmocka_unit_test(extension_grammar),
        cmocka_unit_test(extension_parts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
