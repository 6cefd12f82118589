/* Fuzz: a whole exchange with a FastCGI server that sends anything.
 *
 * Input: which request and how the server ends, how its bytes are cut; the rest is what it sends, also to the question whether it
 * multiplexes. Whatever it is, the client gets an answer or sees its connection end, everybody is gone in the end, and nothing is
 * left over: streams, timers, memory (world_end). */
#include "tests/gateway/world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const requests[] = {
    "GET /x HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "HEAD /x HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "POST /x HTTP/1.1\r\nHost: a.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello",
    "POST /x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    "GET /mux HTTP/1.1\r\nHost: a.test\r\n\r\nGET /mux HTTP/1.1\r\nHost: a.test\r\n\r\n",
    "GET /x HTTP/1.0\r\nHost: a.test\r\n\r\n",
};

static struct conf *load(void)
{
    return world_conf("listeners: [ { address: 127.0.0.1:1, name: main } ]\n"
                      "limits: { header_bytes: 1KiB }\n"
                      "upstreams:\n"
                      "  app: { protocol: fastcgi, servers: [ 127.0.0.1:9001 ], retries: 1, fastcgi: { stderr_bytes: 100B } }\n"
                      "  mux: { protocol: fastcgi, servers: [ 127.0.0.1:9002 ], fastcgi: { multiplex: on } }\n"
                      "routes: [ { upstream: mux, match: { path: /mux } }, { upstream: app } ]\n");
}

static struct span sent;
static enum stream_input ends;

/* Each server says all of it, at once. */
static void any_server(struct world *w, struct peer *p)
{
    (void)w;
    peer_give(p, sent);
    if (ends == STREAM_EOF)
        peer_ends(p);
    else if (ends == STREAM_FAILED)
        peer_resets(p);
}

static void hang_up(struct peer *p)
{
    if (p->fin)
        peer_ends(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct conf *conf;
    struct world w;
    struct peer *client;

    if (size < 2 || size > 4096)
        return 0;
    if (conf == NULL)
        conf = load();
    sent = span_of(data + 2, size - 2);
    ends = (enum stream_input)(data[0] / 8 % 3);
    world_begin(&w, conf);
    w.piece = data[1] == 0 ? SIZE_MAX : data[1];
    w.grain = data[0] >= 128 ? 7 : SIZE_MAX;
    w.on_server = any_server;
    client = world_client(&w);
    client->react = hang_up;
    client->piece = SIZE_MAX;
    peer_says(client, requests[data[0] % 8 % COUNT_OF(requests)]);
    world_run(&w);
    world_sleep(&w, 200000);
    assert_true(client->closed || client->got.n > 0);
    peer_ends(client);
    world_sleep(&w, 200000);
    world_end(&w);
    return 0;
}
