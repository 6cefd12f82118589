/* Fuzz: an offer of permessage-deflate and an answer to it, one per line.
 *
 * What the grammar takes, it takes again when it is written anew from its parts; and where neither line has quotes or blanks, a
 * plain reading of RFC 7692 section 7.1 gives the same verdicts. */
#include "protocol/ws_extensions.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_again(const struct ws_extension *e)
{
    char text[2 * LINE_BYTES];
    size_t n = (size_t)snprintf(text, sizeof(text), "%.*s", SPAN_FORMAT(e->name));
    struct span rest = e->parameters;
    struct ws_parameter p, q;
    struct ws_extension again;

    while (ws_parameter_next(&rest, &p)) {
        const char *equals = p.has_value ? "=" : "";
        n += (size_t)snprintf(text + n, sizeof(text) - n, ";%.*s%s%.*s", SPAN_FORMAT(p.name), equals, SPAN_FORMAT(p.value));
    }
    assert(n < sizeof(text) && ws_extension_read(span_of(text, n), &again) && span_equal(again.name, e->name));
    rest = e->parameters;
    while (ws_parameter_next(&rest, &p)) {
        assert(ws_parameter_next(&again.parameters, &q));
        assert(span_equal(p.name, q.name) && p.has_value == q.has_value && span_equal(p.value, q.value));
    }
    assert(!ws_parameter_next(&again.parameters, &q));
}

/* ---- the plain reading: counts of each parameter, and its bits ---- */

enum { SERVER_NONE, CLIENT_NONE, SERVER_BITS, CLIENT_BITS, NAMES };

struct plain {
    unsigned count[NAMES];
    unsigned bits[NAMES];                /* 0: without a value */
    bool bad;
};

static unsigned plain_bits(struct span value)
{
    static const char *const all[] = { "8", "9", "10", "11", "12", "13", "14", "15" };

    for (unsigned i = 0; i < 8; i++)
        if (span_equal(value, span_of_text(all[i])))
            return 8 + i;
    return 0;
}

static void plain_one(struct span text, struct plain *out)
{
    static const char *const names[NAMES] = { "server_no_context_takeover", "client_no_context_takeover",
                                              "server_max_window_bits", "client_max_window_bits" };
    size_t equals = span_find(text, '=');

    for (unsigned i = 0; i < NAMES; i++)
        if (span_equal(span_first(text, equals), span_of_text(names[i]))) {
            out->count[i]++;
            out->bits[i] = plain_bits(span_from(text, equals + 1));
            if (equals < text.n && (i < SERVER_BITS || out->bits[i] == 0))
                out->bad = true;
            return;
        }
    out->bad = true;
}

static struct plain plain_of(struct span parameters)
{
    struct plain out = { .bad = false };

    while (parameters.n > 0) {
        struct span rest = span_from(parameters, 1);
        size_t end = span_find(rest, ';');
        plain_one(span_first(rest, end), &out);
        parameters = span_from(rest, end);
    }
    for (unsigned i = 0; i < NAMES; i++)
        out.bad = out.bad || out.count[i] > 1;
    out.bad = out.bad || (out.count[SERVER_BITS] > 0 && out.bits[SERVER_BITS] == 0);
    return out;
}

static bool plain_fits(const struct plain *offer, const struct plain *answer)
{
    if (offer->count[SERVER_NONE] > answer->count[SERVER_NONE] || offer->count[SERVER_BITS] > answer->count[SERVER_BITS]
        || answer->count[CLIENT_BITS] > offer->count[CLIENT_BITS])
        return false;
    if (offer->count[SERVER_BITS] > 0 && answer->bits[SERVER_BITS] > offer->bits[SERVER_BITS])
        return false;
    return offer->bits[CLIENT_BITS] == 0 || answer->bits[CLIENT_BITS] <= offer->bits[CLIENT_BITS];
}

static bool is_plain(struct span s)
{
    return span_find(s, '"') == s.n && span_find(s, ' ') == s.n && span_find(s, '\t') == s.n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct span all = span_of(data, n), offer_line = span_first(all, span_find(all, '\n')),
                answer_line = span_from(all, offer_line.n + 1);
    struct ws_extension offer, answer;
    struct ws_deflate offered, answered;
    bool offer_good, answer_good;
    struct plain o, a;

    if (offer_line.n > LINE_BYTES || answer_line.n > LINE_BYTES)
        return 0;
    if (!ws_extension_read(offer_line, &offer) || !ws_extension_read(answer_line, &answer))
        return 0;
    check_again(&offer);
    check_again(&answer);
    offer_good = ws_deflate_read_offer(&offer, &offered);
    answer_good = ws_deflate_read_answer(&answer, &answered);
    if (!is_plain(offer_line) || !is_plain(answer_line))
        return 0;
    o = plain_of(offer.parameters);
    a = plain_of(answer.parameters);
    assert(offer_good == !o.bad);
    assert(answer_good == !(a.bad || (a.count[CLIENT_BITS] > 0 && a.bits[CLIENT_BITS] == 0)));
    if (offer_good && answer_good)
        assert(ws_deflate_fits(&offered, &answered) == plain_fits(&o, &a));
    return 0;
}
