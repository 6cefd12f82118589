/* play: a tunnel between two peers, and a play that they perform, written as text:
 *
 *     "c text(hi); s text(yo); & c close(1000); s close(1000); c eof; s eof"
 *
 *   c WORDS, s WORDS   the client, the server gives frames (frames.h)
 *   c eof|reset        its connection ends
 *   c block|unblock    it stops reading, it reads on        c take N    it reads N bytes more
 *   t N                N milliseconds pass
 *   drain, kill        the gateway ends
 *
 * After each step everything happens that can, except after one that begins with `&`: that one and the next happen at once.
 * What a peer got is told in the same words, with `fin`, `reset` or `closed` behind it when its connection was finished,
 * reset, or closed without either; `lost`: with something of the gateway's own that had not gone out. Include it first. */
#ifndef UPGATE_TESTS_GATEWAY_PLAY_H
#define UPGATE_TESTS_GATEWAY_PLAY_H

#include "tests/gateway/world.h"

#include "tests/gateway/frames.h"

struct stage {
    struct world *world;
    struct peer *client, *server;
    bool with_head;                      /* the peers' bytes begin with HTTP heads */
};

/* A tunnel over the first server of the first upstream, as an exchange would make it. */
static inline struct stage play_begin(struct world *w, size_t route, bool deflate)
{
    struct stage st = { .world = w, .client = world_peer(w), .server = world_peer(w) };
    struct tunnel_start start = {
        .client = scripted_new(&w->ready, st.client),
        .server = scripted_new(&w->ready, st.server),
        .snapshot = w->services.snapshot,
        .route = &w->services.snapshot->conf->routes[route],
        .deflate = deflate,
        .protocol = SPAN_LITERAL("chat"),
        .server_record = w->services.snapshot->upstreams[0].servers[0],
        .names = { .client = SPAN_LITERAL("192.0.2.7:40000"), .target = SPAN_LITERAL("/ws"), .host = SPAN_LITERAL("example.com"),
                   .listener = "main" },
    };

    assert_non_null(start.client);
    assert_non_null(start.server);
    w->accepted++;
    w->metrics.connections_open++;
    assert_int_equal(tunnel_new(&w->services, &start), 0);
    w->metrics.connections_open--;       /* what counts it from here on is tunnels_open */
    world_run(w);
    return st;
}

static inline bool play_word_is(const char *words, const char *word)
{
    return strncmp(words, word, strlen(word)) == 0 && (words[strlen(word)] == '\0' || words[strlen(word)] == ' ');
}

static inline void play_peer(struct peer *p, const char *words, bool masked)
{
    if (play_word_is(words, "eof"))
        peer_ends(p);
    else if (play_word_is(words, "reset"))
        peer_resets(p);
    else if (play_word_is(words, "block"))
        peer_stops_reading(p);
    else if (play_word_is(words, "unblock"))
        peer_reads_on(p);
    else if (play_word_is(words, "take"))
        peer_takes(p, strtoul(words + 5, NULL, 10));
    else
        peer_frames(p, words, masked);
}

static inline void play_step(struct stage *st, const char *step)
{
    bool at_once = *step == '&';

    step += at_once;
    while (*step == ' ')
        step++;
    if (*step == '\0')
        return;
    if (step[0] == 'c' && step[1] == ' ')
        play_peer(st->client, step + 2, true);
    else if (step[0] == 's' && step[1] == ' ')
        play_peer(st->server, step + 2, false);
    else if (step[0] == 't' && step[1] == ' ')
        world_sleep(st->world, strtoull(step + 2, NULL, 10));
    else if (play_word_is(step, "drain"))
        world_drain(st->world);
    else if (play_word_is(step, "kill"))
        world_kill(st->world);
    else
        fail_msg("no such step: %s", step);
    if (!at_once)
        world_run(st->world);
}

static inline void play(struct stage *st, const char *steps)
{
    char step[1024];

    while (*steps != '\0') {
        size_t n = strcspn(steps, ";");
        assert_true(n < sizeof(step));
        while (n > 0 && *steps == ' ') {
            steps++;
            n--;
        }
        memcpy(step, steps, n);
        step[n] = '\0';
        play_step(st, step);
        steps += n + (steps[n] == ';');
    }
}

/* What a peer saw; the caller frees. */
static inline struct bytes play_saw(const struct stage *st, const struct peer *p)
{
    struct bytes saw = { NULL, 0, 0 };
    struct span got = bytes_span(&p->got);

    bytes_add_text(&saw, "");
    if (st->with_head) {
        const uint8_t *end = memmem(got.p, got.n, "\r\n\r\n", 4);
        got = end != NULL ? span_from(got, (size_t)(end - got.p) + 4) : SPAN_EMPTY;
    }
    frames_tell(&saw, got, p == st->server);
    if (p->fin)
        bytes_add_text(&saw, " fin");
    if (p->reset)
        bytes_add_text(&saw, " reset");
    if (p->closed && !p->fin && !p->reset)
        bytes_add_text(&saw, " closed");
    if (p->lost > 0)
        bytes_add_text(&saw, " lost");
    return saw;
}

#endif
