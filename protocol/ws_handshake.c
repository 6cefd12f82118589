/* ws_handshake: two lists of checks in the order of RFC 6455: section 4.2.1 for the offer, section 4.1 (what a client has to
 * check) for the answer. Each check is a function that answers its fault; the first fault is the verdict. */
#include "protocol/ws_handshake.h"
#include "protocol/base64.h"
#include "protocol/sha1.h"
#include "protocol/token.h"
#include "protocol/ws_extensions.h"

#define KEY_BYTES ((size_t)16)
#define NO_WINDOW_LIMIT 15

static bool has(const struct headers *h, struct span name)
{
    return headers_find(h, name) != NULL;
}

/* The value of a field that has to stand there exactly once; its p is NULL otherwise. */
static struct span only_value(const struct headers *h, struct span name)
{
    return headers_count(h, name) == 1 ? headers_value(h, name) : SPAN_EMPTY;
}

/* ---- the offer ---- */

static bool asks_for_websocket(const struct headers *h)
{
    return headers_list_has(h, SPAN_LITERAL("connection"), SPAN_LITERAL("upgrade"))
        && headers_list_has(h, SPAN_LITERAL("upgrade"), SPAN_LITERAL("websocket"));
}

/* hixie-76 (and hybi-00 to -03) sends two number puzzles instead of a key, hixie-75 sends nothing of the kind.
 * test_ws_handshake.c: before_the_rfc */
static bool is_before_keys(const struct headers *h)
{
    if (has(h, SPAN_LITERAL("sec-websocket-key1")) || has(h, SPAN_LITERAL("sec-websocket-key2")))
        return true;
    return !has(h, SPAN_LITERAL("sec-websocket-key")) && !has(h, SPAN_LITERAL("sec-websocket-version"))
        && !has(h, SPAN_LITERAL("sec-websocket-draft"));
}

/* RFC 6455 section 4.2.1, 6: hybi-04 to -12 send other versions, or (before that) a draft number. */
static bool is_version_13(const struct headers *h)
{
    return span_equal(only_value(h, SPAN_LITERAL("sec-websocket-version")), SPAN_LITERAL("13"))
        && !has(h, SPAN_LITERAL("sec-websocket-draft"));
}

/* RFC 6455 section 4.2.1, 5: "a base64-encoded value that, when decoded, is 16 bytes in length". */
static bool is_key(struct span key)
{
    uint8_t decoded[BASE64_BYTES(KEY_BYTES) / 4 * 3];

    return key.n == BASE64_BYTES(KEY_BYTES) && base64_decode(key, decoded) == KEY_BYTES;
}

/* Bytes of a body would stand where the frames begin: a request that has both is how tunnels were smuggled through proxies. */
static bool has_body(const struct http1_head *request)
{
    return has(&request->fields, SPAN_LITERAL("transfer-encoding")) || request->body == HTTP1_BODY_CHUNKED
        || request->content_length > 0;
}

/* RFC 6455 section 4.1, client's list 10: tokens, at least one where the field stands, all of them different. */
static bool protocols_are_lawful(const struct headers *h)
{
    struct list_walk walk = list_walk_field(h, SPAN_LITERAL("sec-websocket-protocol"));
    struct span seen[WS_OFFER_MAX_PROTOCOLS], member;
    size_t n = 0;

    while (list_walk_next(&walk, &member)) {
        if (n == WS_OFFER_MAX_PROTOCOLS || !token_is_token(member))
            return false;
        for (size_t i = 0; i < n; i++)
            if (span_equal(seen[i], member))
                return false;
        seen[n++] = member;
    }
    return n > 0 || !has(h, SPAN_LITERAL("sec-websocket-protocol"));
}

static bool extensions_are_lawful(const struct headers *h)
{
    struct list_walk walk = list_walk_field(h, SPAN_LITERAL("sec-websocket-extensions"));
    struct ws_extension extension;
    struct span member;
    size_t n = 0;

    while (list_walk_next(&walk, &member))
        if (++n > WS_OFFER_MAX_PROTOCOLS || !ws_extension_read(member, &extension))
            return false;
    return n > 0 || !has(h, SPAN_LITERAL("sec-websocket-extensions"));
}

static enum fault judge_offer(const struct http1_head *request)
{
    const struct headers *h = &request->fields;

    if (!span_equal(request->method, SPAN_LITERAL("GET")))
        return FAULT_WS_METHOD;
    if (request->version_minor != 1)
        return FAULT_WS_HTTP_VERSION;
    if (is_before_keys(h))
        return FAULT_WS_HIXIE;
    if (!is_version_13(h))
        return FAULT_WS_VERSION;
    if (!is_key(only_value(h, SPAN_LITERAL("sec-websocket-key"))))
        return FAULT_WS_KEY;
    if (has_body(request))
        return FAULT_WS_BODY;
    if (!protocols_are_lawful(h) || !extensions_are_lawful(h))
        return FAULT_WS_OFFER;
    return FAULT_NONE;
}

/* RFC 6455 section 4.2.2, 5.4. */
static void accept_of(struct span key, uint8_t accept[WS_ACCEPT_BYTES])
{
    uint8_t digest[SHA1_BYTES];

    sha1_of_two(key, SPAN_LITERAL("258EAFA5-E914-47DA-95CA-C5AB0DC85B11"), digest);
    base64_encode(span_of(digest, sizeof(digest)), accept);
}

enum ws_offer_kind ws_offer_read(const struct http1_head *request, struct ws_offer *out, enum fault *fault_out)
{
    *fault_out = FAULT_NONE;
    if (!asks_for_websocket(&request->fields))
        return WS_OFFER_NONE;
    *fault_out = judge_offer(request);
    if (*fault_out != FAULT_NONE)
        return WS_OFFER_BAD;
    *out = (struct ws_offer){ .fields = &request->fields };
    out->key = headers_value(&request->fields, SPAN_LITERAL("sec-websocket-key"));
    accept_of(out->key, out->accept);
    return WS_OFFER_GOOD;
}

/* ---- the answer ---- */

/* RFC 6455 section 4.1, the client's checks 2 to 4; an Upgrade list of several protocols would leave open which it is. */
static enum fault judge_switch(const struct ws_offer *offer, const struct headers *h)
{
    if (!span_equal_nocase(only_value(h, SPAN_LITERAL("upgrade")), SPAN_LITERAL("websocket")))
        return FAULT_WS_UPGRADE_FIELD;
    if (!headers_list_has(h, SPAN_LITERAL("connection"), SPAN_LITERAL("upgrade")))
        return FAULT_WS_CONNECTION_FIELD;
    if (!span_equal(only_value(h, SPAN_LITERAL("sec-websocket-accept")), span_of(offer->accept, sizeof(offer->accept))))
        return FAULT_WS_ACCEPT;
    return FAULT_NONE;
}

/* RFC 9110 section 8.6, RFC 9112 section 6.1: neither in a 1xx. */
static enum fault judge_framing(const struct http1_head *answer)
{
    if (has(&answer->fields, SPAN_LITERAL("content-length")) || has(&answer->fields, SPAN_LITERAL("transfer-encoding")))
        return FAULT_WS_FRAMING;
    return FAULT_NONE;
}

/* RFC 6455 section 4.1, check 6: one that was offered, with the same letters. */
static enum fault judge_protocol(const struct ws_offer *offer, const struct headers *h, struct span *protocol_out)
{
    struct list_walk offered = list_walk_field(offer->fields, SPAN_LITERAL("sec-websocket-protocol"));
    struct span chosen = only_value(h, SPAN_LITERAL("sec-websocket-protocol")), member;

    *protocol_out = SPAN_EMPTY;
    if (!has(h, SPAN_LITERAL("sec-websocket-protocol")))
        return FAULT_NONE;
    while (list_walk_next(&offered, &member))
        if (span_equal(member, chosen)) {
            *protocol_out = chosen;
            return FAULT_NONE;
        }
    return FAULT_WS_PROTOCOL;
}

/* A client may offer permessage-deflate several times, the most wanted first: the answer has to fit one of them. */
static bool fits_an_offer(const struct ws_offer *offer, const struct ws_deflate *answer)
{
    struct list_walk offered = list_walk_field(offer->fields, SPAN_LITERAL("sec-websocket-extensions"));
    struct ws_extension extension;
    struct ws_deflate deflate;
    struct span member;

    while (list_walk_next(&offered, &member)) {
        if (!ws_extension_read(member, &extension) || !ws_extension_is_deflate(&extension))
            continue;
        if (ws_deflate_read_offer(&extension, &deflate) && ws_deflate_fits(&deflate, answer))
            return true;
    }
    return false;
}

static void agree_on(const struct ws_deflate *deflate, struct ws_agreement *out)
{
    out->deflate = true;
    out->client_no_context_takeover = deflate->client_no_context_takeover;
    out->server_no_context_takeover = deflate->server_no_context_takeover;
    if (deflate->client_max_window_bits != 0)
        out->client_max_window_bits = deflate->client_max_window_bits;
    if (deflate->server_max_window_bits != 0)
        out->server_max_window_bits = deflate->server_max_window_bits;
}

/* RFC 6455 section 4.1, check 5; RFC 7692 section 5.1: permessage-deflate, once, as it was offered, or nothing. */
static enum fault judge_extensions(const struct ws_offer *offer, const struct headers *h, struct ws_agreement *out)
{
    struct list_walk chosen = list_walk_field(h, SPAN_LITERAL("sec-websocket-extensions"));
    struct ws_extension extension;
    struct ws_deflate deflate;
    struct span member;

    if (!has(h, SPAN_LITERAL("sec-websocket-extensions")))
        return FAULT_NONE;
    if (offer->extensions_stripped || !list_walk_next(&chosen, &member))
        return FAULT_WS_EXTENSION;
    if (!ws_extension_read(member, &extension) || !ws_extension_is_deflate(&extension))
        return FAULT_WS_EXTENSION;
    if (!ws_deflate_read_answer(&extension, &deflate) || !fits_an_offer(offer, &deflate))
        return FAULT_WS_EXTENSION;
    if (list_walk_next(&chosen, &member))
        return FAULT_WS_EXTENSION;
    agree_on(&deflate, out);
    return FAULT_NONE;
}

enum fault ws_answer_judge(const struct ws_offer *offer, const struct http1_head *answer, struct ws_agreement *out)
{
    const struct headers *h = &answer->fields;
    enum fault fault = answer->version_minor == 1 ? FAULT_NONE : FAULT_WS_ANSWER_VERSION;

    *out = (struct ws_agreement){ .client_max_window_bits = NO_WINDOW_LIMIT, .server_max_window_bits = NO_WINDOW_LIMIT };
    if (fault == FAULT_NONE)
        fault = judge_switch(offer, h);
    if (fault == FAULT_NONE)
        fault = judge_framing(answer);
    if (fault == FAULT_NONE)
        fault = judge_protocol(offer, h, &out->protocol);
    if (fault == FAULT_NONE)
        fault = judge_extensions(offer, h, out);
    return fault;
}
