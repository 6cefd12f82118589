/* pass: plays for a TLS client, a server and the gateway that passes them through, written as text:
 *
 *     "c hello a.test; c say 123; s say abc; & c eof; s block; c take 10; t 1000; drain; kill"
 *
 *   c hello NAME|-     the client's hello; -: without a name           c half NAME   its first half, c rest: the second
 *   c say, s say TEXT  the client, the server gives these bytes
 *   c eof|reset        its connection ends
 *   c block|unblock    it stops reading, it reads on                    c take N      it reads N bytes more
 *   t N                N milliseconds pass
 *   drain, kill        the gateway ends
 *
 * After each step everything happens that can, except after one that begins with `&`: that one and the next happen at once.
 * The server is the last one that was connected to. Include it first. */
#ifndef UPGATE_TESTS_GATEWAY_PASS_H
#define UPGATE_TESTS_GATEWAY_PASS_H

#include "tests/gateway/world.h"

#include "tests/protocol/tls_case.h"

struct pass {
    struct world *world;
    struct peer *client;
    struct tls_case hello;
    size_t given;                        /* of the hello */
};

static inline struct pass *pass_begin(struct world *w, size_t listener)
{
    static struct pass p;

    p.world = w;
    p.client = world_client_at(w, listener, "192.0.2.7");
    p.hello.n = p.given = 0;
    return &p;
}

static inline struct peer *pass_server(const struct pass *p)
{
    return p->world->servers_n > 0 ? p->world->servers[p->world->servers_n - 1] : NULL;
}

static inline void pass_hello(struct pass *p, const char *name, size_t parts)
{
    if (p->hello.n == 0)
        tls_put_hello_for(&p->hello, span_of_text(strcmp(name, "-") == 0 ? "" : name), 16384);
    if (!p->client->closed)
        peer_give(p->client, span_of(p->hello.p + p->given, p->hello.n / parts));
    p->given = p->hello.n / parts;
}

static inline bool pass_word_is(const char *words, const char *word)
{
    return strncmp(words, word, strlen(word)) == 0 && (words[strlen(word)] == '\0' || words[strlen(word)] == ' ');
}

static inline void pass_peer(struct pass *p, struct peer *peer, const char *words)
{
    if (peer == NULL)
        return;                          /* there is no server yet */
    if (pass_word_is(words, "hello"))
        pass_hello(p, words + 6, 1);
    else if (pass_word_is(words, "half"))
        pass_hello(p, words + 5, 2);
    else if (pass_word_is(words, "rest"))
        peer_give(peer, span_of(p->hello.p + p->given, p->hello.n - p->given));
    else if (pass_word_is(words, "say"))
        peer_says(peer, words + 4);
    else if (pass_word_is(words, "eof"))
        peer_ends(peer);
    else if (pass_word_is(words, "reset"))
        peer_resets(peer);
    else if (pass_word_is(words, "block"))
        peer_stops_reading(peer);
    else if (pass_word_is(words, "unblock"))
        peer_reads_on(peer);
    else if (pass_word_is(words, "take"))
        peer_takes(peer, strtoul(words + 5, NULL, 10));
    else
        fail_msg("no such words: %s", words);
}

static inline void pass_step(struct pass *p, const char *step)
{
    bool at_once = *step == '&';

    step += at_once;
    step += strspn(step, " ");
    if (*step == '\0')
        return;
    if (step[0] == 'c' && step[1] == ' ')
        pass_peer(p, p->client, step + 2);
    else if (step[0] == 's' && step[1] == ' ')
        pass_peer(p, pass_server(p), step + 2);
    else if (step[0] == 't' && step[1] == ' ')
        world_sleep(p->world, strtoull(step + 2, NULL, 10));
    else if (strcmp(step, "drain") == 0)
        world_drain(p->world);
    else if (strcmp(step, "kill") == 0)
        world_kill(p->world);
    else
        fail_msg("no such step: %s", step);
    if (!at_once)
        world_run(p->world);
}

static inline void pass_play(struct pass *p, const char *steps)
{
    char step[1024];

    while (*steps != '\0') {
        size_t n;
        steps += strspn(steps, " ");
        n = strcspn(steps, ";");
        assert_true(n < sizeof(step));
        memcpy(step, steps, n);
        step[n] = '\0';
        pass_step(p, step);
        steps += n + (steps[n] == ';');
    }
}

/* What a peer saw: "hello" for the hello, the bytes behind it, `alert(N)` for an alert, and how it ended. The caller frees. */
static inline struct bytes pass_saw(const struct pass *p, const struct peer *peer)
{
    struct bytes saw = { NULL, 0, 0 };
    struct span got = peer != NULL ? bytes_span(&peer->got) : SPAN_EMPTY;

    bytes_add_text(&saw, "");
    if (peer == NULL) {
        bytes_add_text(&saw, "nothing");
        return saw;
    }
    if (p->hello.n > 0 && span_starts_with(got, span_of(p->hello.p, p->hello.n))) {
        bytes_add_text(&saw, "hello");
        got = span_from(got, p->hello.n);
    }
    if (got.n >= 7 && memcmp(got.p, "\x15\3\3\0\2\2", 6) == 0) {
        bytes_print(&saw, "alert(%u)", got.p[6]);
        got = span_from(got, 7);
    }
    bytes_add(&saw, got.p, got.n);
    bytes_add_text(&saw, peer->fin ? " fin" : peer->reset ? " reset" : peer->closed ? " closed" : "");
    return saw;
}

#endif
