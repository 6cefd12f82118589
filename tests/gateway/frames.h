/* frames: WebSocket frames as words, both ways: "text(hi)" to bytes for a peer to give, and the bytes that a peer got back to
 * words.
 *
 *   text(hi) bin(x) ping(x) pong(x)     whole frames           close(1000) close(1000,bye) close()
 *   frag(he) fragbin(x)                 a first fragment       cont(l)   one in the middle       end(lo)   the last
 *   open(10,abc) more(defghij)          a text frame of 10 bytes that comes in parts            hex(88ff)  bytes as they are
 *
 * Clients' frames are masked, with masks that differ from frame to frame (and are zero for `open`). Include world.h first. */
#ifndef UPGATE_TESTS_GATEWAY_FRAMES_H
#define UPGATE_TESTS_GATEWAY_FRAMES_H

#include "tests/gateway/scripted.h"

#include "protocol/ws_head.h"

#include <ctype.h>

static const struct frame_word {
    const char *word;
    uint8_t first;
} frame_words[] = {
    { "text", 0x81 }, { "bin", 0x82 }, { "ping", 0x89 }, { "pong", 0x8a }, { "frag", 0x01 }, { "fragbin", 0x02 },
    { "cont", 0x00 }, { "end", 0x80 }, { "open", 0x81 }, { "deflated", 0xc1 },
};

enum frame_mask { FRAME_UNMASKED, FRAME_MASKED, FRAME_MASKED_WITH_ZERO };

static inline void frame_add(struct bytes *to, uint8_t first, struct span payload, uint64_t announced, enum frame_mask masked)
{
    static unsigned frames;
    uint8_t head[14] = { first }, mask[4] = { 0 };
    size_t n = 2;

    if (announced < 126) {
        head[1] = (uint8_t)announced;
    } else {
        unsigned length = announced < 65536 ? 2 : 8;
        head[1] = announced < 65536 ? 126 : 127;
        for (unsigned i = 0; i < length; i++)
            head[n++] = (uint8_t)(announced >> (8 * (length - 1 - i)));
    }
    if (masked != FRAME_UNMASKED) {
        frames++;
        for (unsigned i = 0; i < 4; i++)
            head[n++] = mask[i] = masked == FRAME_MASKED ? (uint8_t)(frames * 37 + i * 91) : 0;
        head[1] |= 0x80;
    }
    bytes_add(to, head, n);
    for (size_t i = 0; i < payload.n; i++)
        bytes_add(to, &(uint8_t){ payload.p[i] ^ mask[i % 4] }, 1);
}

static inline void frame_add_hex(struct bytes *to, const char *text, size_t n)
{
    for (size_t i = 0; i + 1 < n; i += 2) {
        char two[3] = { text[i], text[i + 1], '\0' };
        bytes_add(to, &(uint8_t){ (uint8_t)strtoul(two, NULL, 16) }, 1);
    }
}

static inline void frame_add_close(struct bytes *to, const char *inside, size_t n, enum frame_mask masked)
{
    uint8_t payload[125];
    unsigned long code;
    char *rest;
    size_t reason = 0;

    if (n == 0) {
        frame_add(to, 0x88, SPAN_EMPTY, 0, masked);
        return;
    }
    code = strtoul(inside, &rest, 10);
    payload[0] = (uint8_t)(code >> 8);
    payload[1] = (uint8_t)code;
    if (*rest == ',') {
        reason = n - (size_t)(rest + 1 - inside);
        memcpy(payload + 2, rest + 1, reason);
    }
    frame_add(to, 0x88, span_of(payload, 2 + reason), 2 + reason, masked);
}

/* N,BYTES: the first bytes of a frame of N. */
static inline void frame_add_open(struct bytes *to, uint8_t first, struct span inside, bool masked)
{
    char *rest;
    uint64_t announced = strtoull((const char *)inside.p, &rest, 10);
    struct span payload = SPAN_EMPTY;

    if (*rest == ',')
        payload = span_of(rest + 1, (size_t)((const char *)inside.p + inside.n - rest - 1));
    frame_add(to, first, payload, announced, masked ? FRAME_MASKED_WITH_ZERO : FRAME_UNMASKED);
}

static inline bool frame_word_is(const char *word, const char *open, const char *name)
{
    return strlen(name) == (size_t)(open - word) && strncmp(name, word, (size_t)(open - word)) == 0;
}

/* One word; returns what follows it. */
static inline const char *frame_add_word(struct bytes *to, const char *word, bool masked)
{
    const char *open = strchr(word, '('), *close = strchr(word, ')');
    struct span inside;

    if (open == NULL || close == NULL || close < open)
        fail_msg("no frame: %s", word);
    inside = span_of(open + 1, (size_t)(close - open - 1));
    if (frame_word_is(word, open, "close")) {
        frame_add_close(to, open + 1, inside.n, masked ? FRAME_MASKED : FRAME_UNMASKED);
        return close + 1;
    }
    if (frame_word_is(word, open, "hex")) {
        frame_add_hex(to, open + 1, inside.n);
        return close + 1;
    }
    if (frame_word_is(word, open, "more")) {
        bytes_add(to, inside.p, inside.n);
        return close + 1;
    }
    for (size_t i = 0; i < COUNT_OF(frame_words); i++) {
        if (!frame_word_is(word, open, frame_words[i].word))
            continue;
        if (strcmp(frame_words[i].word, "open") == 0)
            frame_add_open(to, frame_words[i].first, inside, masked);
        else
            frame_add(to, frame_words[i].first, inside, inside.n, masked ? FRAME_MASKED : FRAME_UNMASKED);
        return close + 1;
    }
    fail_msg("no frame: %s", word);
    return NULL;
}

/* Words with blanks between them. */
static inline void frames_add(struct bytes *to, const char *words, bool masked)
{
    while (*words != '\0') {
        if (*words == ' ')
            words++;
        else
            words = frame_add_word(to, words, masked);
    }
}

/* ---- back to words ---- */

static inline const char *frame_word_of(uint8_t first)
{
    for (size_t i = 0; i < COUNT_OF(frame_words); i++)
        if (frame_words[i].first == first)
            return frame_words[i].word;
    return "strange";
}

static inline void frame_tell(struct bytes *to, uint8_t first, const uint8_t *payload, size_t n)
{
    size_t at = 0;

    bytes_print(to, "%s(", first == 0x88 ? "close" : frame_word_of(first));
    if (first == 0x88 && n >= 2) {
        bytes_print(to, "%u", (unsigned)payload[0] << 8 | payload[1]);
        at = n;                          /* reasons are for people: they are not compared */
    }
    for (; at < n && at < 64; at++)
        bytes_print(to, isprint(payload[at]) ? "%c" : "\\x%02x", payload[at]);
    if (at < n)
        bytes_print(to, "...%zu", n);
    bytes_add_text(to, ")");
}

/* What was got, as words. What is no whole frame at the end: "cut(BYTES)". masked: it has to be. */
static inline void frames_tell(struct bytes *to, struct span got, bool masked)
{
    size_t at = 0;

    while (at < got.n) {
        struct ws_head h;
        int size = ws_head_parse(got.p + at, got.n - at, &h);
        uint8_t *payload;

        if (size > 0 && h.masked != masked)
            fail_msg("a frame is masked where it must not be, or the other way round");
        if (size <= 0 || got.n - at - (size_t)size < h.length) {
            bytes_print(to, "%scut(%zu)", at > 0 ? " " : "", got.n - at);
            return;
        }
        payload = malloc((size_t)h.length + 1);
        assert_non_null(payload);
        for (size_t i = 0; i < h.length; i++)
            payload[i] = h.masked ? got.p[at + (size_t)size + i] ^ h.mask[i % 4] : got.p[at + (size_t)size + i];
        if (at > 0)
            bytes_add_text(to, " ");
        frame_tell(to, got.p[at], payload, (size_t)h.length);
        free(payload);
        at += (size_t)size + (size_t)h.length;
    }
}

static inline void peer_frames(struct peer *p, const char *words, bool masked)
{
    struct bytes b = { NULL, 0, 0 };

    frames_add(&b, words, masked);
    peer_give(p, bytes_span(&b));
    bytes_free(&b);
}

#endif
