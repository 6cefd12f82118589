/* Why a tunnel ends, and what each side is told. Whoever is not to blame hears it first; a Close of the gateway's own goes only where a
 * frame has just ended. */
#include "gateway/tunnel_parts.h"
#include "gateway/log.h"
#include "protocol/ws_build.h"

#include <assert.h>

/* ---- deciding to end ---- */

static void owe(struct side *s, enum owes when, unsigned code, enum owed_words words)
{
    if (s->told || s->owes != OWES_NOTHING)
        return;
    s->owes = when;
    s->owed_code = (uint16_t)code;
    s->owed_words = words;
}

static void begin_ending(struct tunnel *t, enum end_reason why, enum closer closed_by)
{
    if (t->end == END_NONE) {
        t->end = why;
        if (t->closed_by == CLOSED_BY_NOBODY)
            t->closed_by = closed_by;
    }
    if (t->state < TUNNEL_ENDING)
        tunnel_enter(t, TUNNEL_ENDING);
}

static const char *name_of(const struct tunnel *t, const struct side *s)
{
    return tunnel_is_client(t, s) ? "client" : "server";
}

static enum closer closer_of(const struct tunnel *t, const struct side *s)
{
    return tunnel_is_client(t, s) ? CLOSED_BY_CLIENT : CLOSED_BY_SERVER;
}

static enum end_reason reason_of_fault(const struct tunnel *t, const struct side *s)
{
    if (s->pump.scan.fault == FAULT_WS_RATE)
        return END_RATE;
    return tunnel_is_client(t, s) ? END_CLIENT_FRAME_FAULT : END_SERVER_FRAME_FAULT;
}

/* Who broke the protocol is told when the other side has had its last word. Who was only too fast is told at once. */
void tunnel_end_by_fault(struct tunnel *t, struct side *s)
{
    enum fault fault = s->pump.scan.fault;
    enum end_reason why = reason_of_fault(t, s);

    s->done = true;
    t->fault = fault;
    metrics_fault(t->services->metrics, tunnel_is_client(t, s) ? METRICS_CLIENT : METRICS_SERVER, fault);
    log_info("tunnel %.*s: the %s: %s", SPAN_FORMAT(tunnel_name(t)), name_of(t, s), fault_sentence(fault));
    begin_ending(t, why, CLOSED_BY_GATEWAY);
    tunnel_other(t, s)->pump.hold_close = true;
    owe(tunnel_other(t, s), OWES_NOW, end_reason_close_code(why), why == END_RATE ? WORDS_OF_RATE : WORDS_OF_OTHER);
    owe(s, why == END_RATE ? OWES_NOW : OWES_AFTER_OTHER, fault_close_code(fault), WORDS_OF_FAULT);
}

/* The side's input ended without a Close. After its own Close that is as it should be, and never comes here. Where it left the other's
 * Close without an answer, the gateway makes none up: that one's connection just ends, as it would have without the gateway. */
void tunnel_end_by_loss(struct tunnel *t, struct side *s, enum pump_result how)
{
    bool client = tunnel_is_client(t, s);
    enum end_reason why = client ? END_CLIENT_VANISHED : END_SERVER_VANISHED;

    if (how == PUMP_CUT)
        why = client ? END_CLIENT_CUT : END_SERVER_CUT;
    else if (how == PUMP_RESET)
        why = client ? END_CLIENT_RESET : END_SERVER_RESET;
    if (how == PUMP_RESET && s->stream->input_why != END_NONE)
        why = s->stream->input_why;
    if (tunnel_blind(t) && how == PUMP_EOF)
        why = END_CLOSED;                /* without frames an orderly end is all there is to see */
    s->done = true;
    if (how == PUMP_RESET)
        s->told = true;
    begin_ending(t, why, closer_of(t, s));
    if (!tunnel_other(t, s)->pump.close_passes)
        owe(tunnel_other(t, s), OWES_NOW, end_reason_close_code(why), WORDS_OF_LOSS);
}

/* The gateway's own decision: a side is to blame, and gets blame_code, or nobody is (NULL). */
void tunnel_end_by_gateway(struct tunnel *t, enum end_reason why, struct side *to_blame, unsigned blame_code)
{
    unsigned code = end_reason_close_code(why);

    assert(t->state == TUNNEL_OPEN);
    begin_ending(t, why, CLOSED_BY_GATEWAY);
    for (int i = 0; i < 2; i++) {
        t->sides[i].pump.hold_close = true;
        owe(&t->sides[i], OWES_NOW, &t->sides[i] == to_blame ? blame_code : code, WORDS_OF_END);
    }
}

/* RFC 6455 section 7.4.1 and the registry of close codes: 1012 is "service restart": the client may come back soon. */
void tunnel_end_by_drain(struct tunnel *t)
{
    tunnel_end_by_gateway(t, END_DRAINED, &t->sides[CLIENT], t->conf->drain_code);
}

void tunnel_end_by_operator(struct tunnel *t, unsigned code)
{
    struct side *client = &t->sides[CLIENT];
    bool owed = client->told || client->owes != OWES_NOTHING;

    tunnel_end_by_gateway(t, END_OPERATOR, client, code);
    if (!owed)
        client->owed_words = WORDS_OF_OPERATOR;
}

void tunnel_note_close(struct tunnel *t, struct side *s)
{
    s->done = true;
    if (s->pump.close_passes)            /* verified before it was to be held, and out since */
        tunnel_other(t, s)->told = true;
    if (t->closed_by == CLOSED_BY_NOBODY)
        t->closed_by = closer_of(t, s);
    if (t->state == TUNNEL_OPEN) {
        tunnel_other(t, s)->pump.close_is_last = tunnel_is_client(t, s);       /* towards the client: see ends_first */
        tunnel_enter(t, TUNNEL_CLOSING);
    }
}

static const char *owed_words(const struct tunnel *t, const struct side *s)
{
    switch (s->owed_words) {
    case WORDS_OF_END:
        break;
    case WORDS_OF_RATE:
        return end_reason_sentence(END_RATE);
    case WORDS_OF_FAULT:
        return fault_sentence(s->pump.scan.fault);
    case WORDS_OF_OTHER:
        return "the other side broke the protocol";
    case WORDS_OF_LOSS:
        return tunnel_is_client(t, s) ? "the server is gone" : "the client is gone";
    case WORDS_OF_OPERATOR:
        return t->farewell;
    }
    return end_reason_sentence(t->end);
}

static void put_close(struct tunnel *t, struct side *s)
{
    uint8_t frame[WS_BUILT_MAX_BYTES], mask[4];
    size_t n;

    services_random(mask, sizeof(mask));
    n = ws_build_close(frame, s->owed_code, span_of_text(owed_words(t, s)), tunnel_is_client(t, s) ? NULL : mask);
    if (stream_put(s->stream, span_of(frame, n)) != 0)
        s->deaf = true;
}

/* Gives a side the Close it is owed, if it can be given now; true when something changed. */
bool tunnel_tell(struct tunnel *t, struct side *s, bool at_once)
{
    struct side *from = tunnel_other(t, s);

    if (s->owes == OWES_NOTHING || s->told || (s->owes == OWES_AFTER_OTHER && !from->done && !at_once))
        return false;
    if (!s->deaf && !tunnel_blind(t) && pump_at_boundary(&from->pump))
        put_close(t, s);
    else if (!s->deaf && !tunnel_blind(t) && !from->done && !at_once)
        return false;                    /* the frame that stands open is completed first */
    else if (!s->deaf && stream_finish(s->stream) != 0)      /* it never will be: the connection's end says so at once */
        s->deaf = true;
    s->told = true;
    return true;
}

bool tunnel_all_said(const struct tunnel *t)
{
    for (int i = 0; i < 2; i++)
        if (!t->sides[i].done || (t->sides[i].owes != OWES_NOTHING && !t->sides[i].told))
            return false;
    return true;
}

/* RFC 6455 section 7.1.1: after both Closes the server ends TCP first, and keeps the TIME_WAIT. Towards the client that is us; from a
 * server that said its Close the end is awaited for LAST_WORD_MS. */
static bool ends_first(const struct tunnel *t, const struct side *s)
{
    return !tunnel_is_client(t, s) && s->pump.close_code != 0 && s->stream->input == STREAM_OPEN;
}

void tunnel_begin_flushing(struct tunnel *t)
{
    if (t->end == END_NONE)
        t->end = END_CLOSED;
    tunnel_enter(t, TUNNEL_FLUSHING);
    for (int i = 0; i < 2; i++) {
        struct side *s = &t->sides[i];
        s->done = true;
        if (!s->deaf && !ends_first(t, s) && stream_finish(s->stream) != 0)
            s->deaf = true;
    }
}
