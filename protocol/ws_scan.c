/* ws_scan: walks frame after frame from where the last call stopped passing, and moves its place as far as bytes may pass.
 *
 * In the order in which things happen: the first two bytes of a header (RSV, opcode, fragmentation, mask bit), its length, the
 * limits; then a control frame whole, or a data frame's header, and its payload as it comes. With text checked, the walk runs
 * ahead of the place that is sure: `mark` remembers where to go back to, for one of two reasons. A code point is open
 * (unsettled): then the end of the window goes back, to begin there again with more bytes. Or the frame turns out faulty:
 * then nothing of it passes.
 *
 * Most messages are one frame that is all there when it is looked at: those pass by themselves (pass_whole_messages), without a mark and without a
 * place to stand in. What is not quite so, or has a fault, is left to the walk. */
#include "protocol/ws_scan.h"

#include <assert.h>
#include <string.h>

struct walk {
    const uint8_t *p;
    size_t n;
    size_t at;
    bool unsettled;                      /* what follows the mark passes only when the open code point is settled */
    bool marked;                         /* the frame that is being walked through began at or behind the mark, in this window */
    struct {
        size_t at;
        struct ws_place place;
        struct ws_scan_counts counts;
    } mark;
};

enum step { STEP_ON, STEP_STARVED, STEP_CONTROL, STEP_FAULT };

void ws_scan_init(struct ws_scan *s, const struct ws_scan_rules *rules)
{
    *s = (struct ws_scan){ .rules = rules };
}

static enum step fail(struct ws_scan *s, enum fault fault)
{
    s->fault = fault;
    return STEP_FAULT;
}

/* A message more may begin: those that have passed are not yet as many as allowed. */
static bool may_begin(const struct ws_scan *s)
{
    return !s->rules->rated || (int32_t)(s->messages_allowed - (uint32_t)s->counts.messages) > 0;
}

static bool is_control(uint8_t opcode)
{
    return (opcode & 8) != 0;
}

/* ---- the mark ---- */

static void mark_here(struct walk *w, const struct ws_scan *s)
{
    w->marked = true;
    w->mark.at = w->at;
    w->mark.place = s->place;
    w->mark.counts = s->counts;
}

static void back_to_mark(struct walk *w, struct ws_scan *s)
{
    w->at = w->mark.at;
    s->place = w->mark.place;
    s->counts = w->mark.counts;
    w->unsettled = false;
}

/* ---- headers ---- */

/* RFC 6455 sections 5.2 and 5.4, what the first byte tells. test_ws_scan.c: first_bytes */
static enum fault judge_first_byte(const struct ws_scan *s, uint8_t byte)
{
    uint8_t opcode = byte & 15, rsv = byte >> 4 & 7;
    bool fin = byte >> 7, in_message = s->place.message_opcode != 0;

    if (opcode > WS_PONG || (opcode > WS_BINARY && opcode < WS_CLOSE))
        return FAULT_WS_OPCODE;
    /* RFC 7692 section 6: RSV1 stands on a message's first frame, and on no control frame. */
    if (rsv != 0 && (rsv != 4 || !s->rules->deflate || is_control(opcode) || opcode == WS_CONTINUATION))
        return FAULT_WS_RSV;
    if (is_control(opcode))
        return fin ? FAULT_NONE : FAULT_WS_CONTROL_FRAGMENT;
    if (opcode == WS_CONTINUATION && !in_message)
        return FAULT_WS_CONTINUATION;
    if (opcode != WS_CONTINUATION && in_message)
        return FAULT_WS_INTERLEAVED;
    if (opcode != WS_CONTINUATION && !may_begin(s))
        return FAULT_WS_RATE;
    if (s->rules->max_fragments > 0 && s->place.message_fragments >= s->rules->max_fragments)
        return FAULT_WS_TOO_MANY_FRAGMENTS;
    return FAULT_NONE;
}

/* RFC 6455 sections 5.1 (who masks), 5.5 and 5.5.1 (control frames), what the second byte tells. */
static enum fault judge_second_byte(const struct ws_scan *s, uint8_t opcode, uint8_t byte)
{
    bool masked = byte >> 7;
    unsigned length = byte & 127u;

    if (masked != s->rules->from_client)
        return masked ? FAULT_WS_MASKED : FAULT_WS_UNMASKED;
    if (is_control(opcode) && length > WS_CONTROL_MAX_BYTES)
        return FAULT_WS_CONTROL_LENGTH;
    if (opcode == WS_CLOSE && length == 1)
        return FAULT_WS_CLOSE_PAYLOAD;
    return FAULT_NONE;
}

/* The limits, as soon as the length is known; and text that would end inside a code point (RFC 6455 section 8.1). */
static enum fault judge_length(const struct ws_scan *s, const struct ws_head *h)
{
    const struct ws_scan_rules *rules = s->rules;

    if (is_control(h->opcode))
        return FAULT_NONE;
    if (rules->max_frame > 0 && h->length > rules->max_frame)
        return FAULT_WS_FRAME_TOO_LARGE;
    if (rules->max_message > 0
        && (h->length > rules->max_message || s->place.message_bytes > rules->max_message - h->length))
        return FAULT_WS_MESSAGE_TOO_LARGE;
    if (h->length == 0 && h->fin && !utf8_complete(&s->place.utf8))
        return FAULT_WS_TEXT;
    return FAULT_NONE;
}

/* The size of the header at p when it is whole and lawful, 0 when it is not whole, minus the fault. */
static int judge_head(const struct ws_scan *s, const uint8_t *p, size_t n, struct ws_head *h)
{
    enum fault fault = judge_first_byte(s, p[0]);
    int size;

    if (fault == FAULT_NONE && n > 1)
        fault = judge_second_byte(s, p[0] & 15, p[1]);
    if (fault != FAULT_NONE)
        return -(int)fault;
    size = ws_head_parse(p, n, h);
    if (size >= 0 && ws_head_length_known(h, n))
        fault = judge_length(s, h);
    return fault != FAULT_NONE ? -(int)fault : size;
}

/* ---- control frames ---- */

bool ws_close_code_lawful(unsigned code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

/* RFC 6455 sections 5.5.1 and 7.4, on as much of the payload as there is. test_ws_scan.c: close_frames */
static enum fault judge_close(const struct ws_scan *s, const struct ws_head *h, const uint8_t *payload, size_t n)
{
    struct utf8 utf8 = { 0 };

    if (n < 2)
        return FAULT_NONE;
    if (!ws_close_code_lawful((unsigned)payload[0] << 8 | payload[1]))
        return FAULT_WS_CLOSE_CODE;
    if (s->rules->verify != WS_VERIFY_UTF8)
        return FAULT_NONE;
    if (!utf8_feed(&utf8, payload + 2, n - 2) || (n == h->length && !utf8_complete(&utf8)))
        return FAULT_WS_CLOSE_TEXT;
    return FAULT_NONE;
}

static void unmask(const struct ws_head *h, const uint8_t *p, size_t n, uint8_t *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = h->masked ? p[i] ^ h->mask[i % 4] : p[i];
}

static enum step walk_control(struct ws_scan *s, struct walk *w, const struct ws_head *h, struct ws_control *out)
{
    size_t there = w->n - w->at - h->size;
    enum fault fault = FAULT_NONE;

    if (there > h->length)
        there = (size_t)h->length;
    unmask(h, w->p + w->at + h->size, there, out->payload);
    if (h->opcode == WS_CLOSE)
        fault = judge_close(s, h, out->payload, there);
    if (fault != FAULT_NONE)
        return fail(s, fault);
    if (there < h->length)
        return STEP_STARVED;
    out->opcode = h->opcode;
    out->frame_bytes = h->size + there;
    out->payload_bytes = there;
    out->close_code = 0;
    if (h->opcode == WS_CLOSE && there >= 2)
        out->close_code = (uint16_t)(out->payload[0] << 8 | out->payload[1]);
    s->control_opcode = h->opcode;
    return STEP_CONTROL;
}

void ws_scan_control_done(struct ws_scan *s)
{
    assert(s->control_opcode != 0);
    s->counts.frames++;
    s->counts.pings += s->control_opcode == WS_PING;
    s->counts.pongs += s->control_opcode == WS_PONG;
    s->close_seen = s->control_opcode == WS_CLOSE;
    s->control_opcode = 0;
}

/* ---- data frames ---- */

static void end_frame(struct ws_scan *s)
{
    if (!s->place.frame_fin)
        return;
    s->counts.messages++;
    s->counts.texts += s->place.message_opcode == WS_TEXT;
    s->place = (struct ws_place){ 0 };
}

/* RFC 7692 section 6.1: RSV1 on the first frame means that the whole message is compressed. */
static bool is_checked_text(const struct ws_scan *s, const struct ws_head *h)
{
    if (h->opcode == WS_CONTINUATION)
        return s->place.message_is_text;
    return h->opcode == WS_TEXT && h->rsv == 0 && s->rules->verify == WS_VERIFY_UTF8;
}

static void begin_frame(struct ws_scan *s, const struct ws_head *h)
{
    struct ws_place *place = &s->place;

    place->message_is_text = is_checked_text(s, h);
    s->unseen_before = !place->message_is_text;
    if (h->opcode != WS_CONTINUATION)
        place->message_opcode = h->opcode;
    place->message_bytes += h->length;
    place->message_fragments++;
    place->payload_left = h->length;
    place->frame_fin = h->fin;
    if (h->masked)
        memcpy(place->mask, h->mask, sizeof(place->mask));
    s->counts.frames++;
    if (h->length == 0)
        end_frame(s);
}

/* Before a text frame's header: does it pass as it is, or only together with the rest of an open code point? */
static void settle_before(const struct ws_scan *s, struct walk *w, const struct ws_head *h)
{
    if (h->length == 0)
        w->unsettled = false;            /* an empty fragment; the last one of a message would have been a fault */
    if (w->unsettled)
        return;
    mark_here(w, s);
    w->unsettled = h->length > 0 && !utf8_complete(&s->place.utf8);
}

static enum step walk_head(struct ws_scan *s, struct walk *w, struct ws_control *control_out)
{
    struct ws_head h = { .size = 0 };
    int size = judge_head(s, w->p + w->at, w->n - w->at, &h);

    if (size < 0)
        return fail(s, (enum fault)-size);
    if (is_control(w->p[w->at] & 15))
        w->unsettled = false;
    if (size == 0)
        return STEP_STARVED;
    if (is_control(h.opcode))
        return walk_control(s, w, &h, control_out);
    if (is_checked_text(s, &h))
        settle_before(s, w, &h);
    begin_frame(s, &h);
    w->at += h.size;
    return STEP_ON;
}

/* Payload of the open frame passes from w->at on. */
static void advance(struct ws_scan *s, struct walk *w, size_t n)
{
    struct ws_place *place = &s->place;
    uint8_t mask[4];

    place->payload_left -= n;
    if (n % 4 != 0 && place->payload_left > 0) {
        memcpy(mask, place->mask, sizeof(mask));
        for (size_t i = 0; i < sizeof(mask); i++)
            place->mask[i] = mask[(i + n) % 4];
    }
    s->counts.payload_bytes += (uint32_t)n;
    w->at += n;
}

static bool feed_text(struct ws_scan *s, struct walk *w, size_t n)
{
    struct utf8 *utf8 = &s->place.utf8;
    const uint8_t *p = w->p + w->at;

    return s->rules->from_client ? utf8_feed_masked(utf8, p, n, s->place.mask) : utf8_feed(utf8, p, n);
}

/* n bytes of text. The last code point may stay open behind them: what it has of these bytes waits for the rest of it. */
static enum step walk_text(struct ws_scan *s, struct walk *w, size_t n)
{
    struct utf8 before = s->place.utf8, after;
    bool good = feed_text(s, w, n) && (utf8_complete(&s->place.utf8) || n < s->place.payload_left || !s->place.frame_fin);
    size_t open;

    after = s->place.utf8;
    s->place.utf8 = before;
    if (!good) {
        if (w->marked)
            back_to_mark(w, s);
        return fail(s, FAULT_WS_TEXT);
    }
    open = after.open_bytes;
    assert(open <= n || w->unsettled);
    if (open <= n) {                     /* it began here, or there is none: all before it is settled */
        advance(s, w, n - open);
        s->place.utf8 = (struct utf8){ 0 };
        w->unsettled = open > 0;
        if (open > 0)
            mark_here(w, s);
        n = open;
    }
    advance(s, w, n);
    s->place.utf8 = after;
    return STEP_ON;
}

static enum step walk_payload(struct ws_scan *s, struct walk *w)
{
    size_t n = w->n - w->at;

    if (n > s->place.payload_left)
        n = (size_t)s->place.payload_left;
    if (!s->place.message_is_text)
        advance(s, w, n);
    else if (walk_text(s, w, n) == STEP_FAULT)
        return STEP_FAULT;
    if (s->place.payload_left == 0)
        end_frame(s);
    return STEP_ON;
}

/* ---- whole messages ---- */

static bool between_messages(const struct ws_scan *s)
{
    return s->place.message_opcode == 0 && s->place.payload_left == 0 && !s->close_seen;
}

/* One lawful first byte of a message of one frame: FIN, TEXT or BINARY, RSV1 where it may stand. *checked_out: its payload is looked at. */
static bool begins_whole(const struct ws_scan *s, uint8_t byte, bool *checked_out)
{
    uint8_t rsv1 = s->rules->deflate ? 0x40 : 0;

    *checked_out = byte == (0x80 | WS_TEXT) && s->rules->verify == WS_VERIFY_UTF8;
    byte &= (uint8_t)~rsv1;
    return byte == (0x80 | WS_TEXT) || byte == (0x80 | WS_BINARY);
}

/* The header's size and the payload's, when both are there and lawful, and the length takes at most two bytes; otherwise 0. */
static size_t whole_head(const struct ws_scan *s, const uint8_t *p, size_t n, size_t *length_out)
{
    size_t mask_bytes = s->rules->from_client ? 4 : 0, size = 2, length;

    if (n < 4 || p[1] >> 7 != s->rules->from_client)
        return 0;
    length = p[1] & 127u;
    if (length == 126) {
        length = (size_t)p[2] << 8 | p[3];
        size = length >= 126 ? 4 : SIZE_MAX / 2;
    } else if (length == 127) {
        return 0;
    }
    size += mask_bytes;
    *length_out = length;
    return size + length <= n ? size : 0;
}

static bool within_limits(const struct ws_scan *s, size_t length)
{
    const struct ws_scan_rules *rules = s->rules;

    return (rules->max_frame == 0 || length <= rules->max_frame) && (rules->max_message == 0 || length <= rules->max_message)
           && may_begin(s);
}

static bool is_text(const struct ws_scan *s, const uint8_t *payload, size_t n)
{
    return s->rules->from_client ? utf8_valid_masked(payload, n, payload - 4) : utf8_valid(payload, n);
}

/* The size of the whole message of one frame that stands at p, passing; 0: there is none, or not a lawful one. */
static size_t pass_whole(struct ws_scan *s, const uint8_t *p, size_t n)
{
    size_t head, length;
    bool checked;

    if (n == 0 || !begins_whole(s, p[0], &checked))
        return 0;
    head = whole_head(s, p, n, &length);
    if (head == 0 || !within_limits(s, length) || (checked && !is_text(s, p + head, length)))
        return 0;
    s->counts.frames++;
    s->counts.messages++;
    s->counts.texts += (p[0] & 15) == WS_TEXT;
    s->counts.payload_bytes += (uint32_t)length;
    s->unseen_before = !checked;
    return head + length;
}

/* How many bytes of them stand in a row. test_ws_scan.c: whole_messages */
static size_t pass_whole_messages(struct ws_scan *s, const uint8_t *p, size_t n)
{
    size_t at = 0, message;

    while ((message = pass_whole(s, p + at, n - at)) > 0)
        at += message;
    return at;
}

/* ---- the walk ---- */

static enum step walk_on(struct ws_scan *s, struct walk *w, struct ws_control *control_out)
{
    if (w->at == w->n)
        return STEP_STARVED;
    if (s->close_seen)
        return fail(s, FAULT_WS_AFTER_CLOSE);        /* RFC 6455 section 5.5.1. test_ws_scan.c: after_close */
    return s->place.payload_left > 0 ? walk_payload(s, w) : walk_head(s, w, control_out);
}

/* To the end of the message that stands open or begins at *at, or as far as there is something. */
static enum step walk(struct ws_scan *s, const uint8_t *p, size_t n, size_t *at, struct ws_control *control_out)
{
    struct walk w = { .p = p, .n = n, .at = *at };
    enum step step;

    do
        step = walk_on(s, &w, control_out);
    while (step == STEP_ON && !between_messages(s));
    if (w.unsettled)
        back_to_mark(&w, s);
    *at = w.at;
    return step;
}

static enum ws_scan_verdict verdict_of(enum step step)
{
    return step == STEP_FAULT ? WS_SCAN_FAULT : step == STEP_CONTROL ? WS_SCAN_CONTROL : WS_SCAN_MORE;
}

enum ws_scan_verdict ws_scan_feed(struct ws_scan *s, const uint8_t *p, size_t n, size_t *passed_out,
                                  struct ws_control *control_out)
{
    enum step step = STEP_ON;
    size_t at = 0;

    *passed_out = 0;
    if (s->fault != FAULT_NONE)
        return WS_SCAN_FAULT;
    if (s->rules->verify == WS_VERIFY_BLIND) {
        *passed_out = n;
        return WS_SCAN_MORE;
    }
    while (step == STEP_ON) {
        if (between_messages(s))
            at += pass_whole_messages(s, p + at, n - at);
        step = at < n ? walk(s, p, n, &at, control_out) : STEP_STARVED;
    }
    *passed_out = at;
    return verdict_of(step);
}

uint64_t ws_scan_unseen(const struct ws_scan *s)
{
    return s->fault == FAULT_NONE && s->rules->verify != WS_VERIFY_BLIND && !s->place.message_is_text ? s->place.payload_left : 0;
}

void ws_scan_passed_unseen(struct ws_scan *s, uint64_t n)
{
    assert(n <= ws_scan_unseen(s));
    s->place.payload_left -= n;          /* the mask is not turned: only text is unmasked */
    s->counts.payload_bytes += (uint32_t)n;
    if (n > 0 && s->place.payload_left == 0)
        end_frame(s);
}

bool ws_scan_at_boundary(const struct ws_scan *s)
{
    return s->rules->verify != WS_VERIFY_BLIND && s->place.payload_left == 0;
}

bool ws_scan_in_message(const struct ws_scan *s)
{
    return s->place.message_opcode != 0;
}
