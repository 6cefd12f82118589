/* Every way in which a tunnel lives and ends, played by two peers: what each of them saw, in which order, and what the record
 * says.
 *
 * Each play is performed with bytes coming and going whole, one by one, and in odd pieces: nobody may see a difference. */
#include "tests/gateway/play.h"

static const char *const conf_text =
    "listeners: [ { address: 127.0.0.1:1, name: main } ]\n"
    "upstreams: { app: { servers: [ 127.0.0.1:9001 ] } }\n"
    "timeouts: { drain_spread: 0ms }\n"
    "routes:\n"
    "  - { upstream: app, match: { path: /frames }, websocket: { verify: frames, ping_interval: off } }\n"
    "  - { upstream: app, match: { path: /utf8 }, websocket: { verify: utf8, ping_interval: off } }\n"
    "  - { upstream: app, match: { path: /blind }, websocket: { verify: blind, ping_interval: off } }\n"
    "  - { upstream: app, match: { path: /ping }, websocket: { ping_interval: 30s, idle_timeout: 5m } }\n"
    "  - { upstream: app, match: { path: /limits }, websocket: { ping_interval: off, max_frame: 100B, max_message: 200B,\n"
    "        max_fragments: 3, drain_code: 1001, max_lifetime: 1h, idle_timeout: 2h } }\n"
    "  - { upstream: app, match: { path: /rate }, websocket: { ping_interval: off, rate: 5 } }\n"
    "  - { upstream: app }\n";

enum route { FRAMES, UTF8, BLIND, PING, LIMITS, RATE };

static struct conf *conf;

static int load(void **state)
{
    (void)state;
    conf = world_conf(conf_text);
    return 0;
}

static int unload(void **state)
{
    (void)state;
    conf_free(conf);
    return 0;
}

struct scene {
    const char *name;
    enum route route;
    bool deflate;
    const char *play;
    const char *client_saw, *server_saw;
    const char *end, *closed_by;
    unsigned client_code, server_code;   /* of the Close that came from that side */
    const char *fault;                   /* NULL: none */
};

#define TEN "0123456789"
#define PEERS_GO "; c eof; s eof"

static const struct scene closings[] = {
    { "the client closes", FRAMES, false, "c text(hi); s text(yo); c close(1000,bye); s close(1000)" PEERS_GO,
      "text(yo) close(1000) fin", "text(hi) close(1000) closed", "closed", "client", 1000, 1000, NULL },
    { "the server closes", FRAMES, false, "s close(4321); c close(4321)" PEERS_GO,
      "close(4321) fin", "close(4321) closed", "closed", "server", 4321, 4321, NULL },
    { "closes without a code", FRAMES, false, "c close(); s close()" PEERS_GO,
      "close() fin", "close() closed", "closed", "client", 1005, 1005, NULL },
    { "both close at once", FRAMES, false, "& c close(1000); s close(1001)" PEERS_GO,
      "close(1001) fin", "close(1000) closed", "closed", NULL, 1000, 1001, NULL },
    { "the server goes on talking before it answers", FRAMES, false,
      "c close(1000); s text(one) text(two); s close(1000)" PEERS_GO,
      "text(one) text(two) close(1000) fin", "close(1000) closed", "closed", "client", 1000, 1000, NULL },
    { "nothing passes behind a close", FRAMES, false, "c close(1000) text(more) hex(ff); s close(1000) text(more)" PEERS_GO,
      "close(1000) fin", "close(1000) closed", "closed", "client", 1000, 1000, NULL },
    { "a close that was sent is delivered before the end that followed it", FRAMES, false,
      "& c text(a) close(1000); c eof; s close(1000); s eof",
      "close(1000) fin", "text(a) close(1000) closed", "closed", "client", 1000, 1000, NULL },
    { "… and before the reset that followed it", FRAMES, false, "& s close(1011); s reset; c close(1011); c eof",
      "close(1011) fin", "closed", "closed", "server", 1011, 1011, NULL },     /* nobody is there for the answer */
    { "the close goes out although the other side does not read now", FRAMES, false,
      "s block; c text(abc) close(1000); t 1000; s unblock; s close(1000)" PEERS_GO,
      "close(1000) fin", "text(abc) close(1000) closed", "closed", "client", 1000, 1000, NULL },
    { "the server ends its connection before the gateway does", FRAMES, false,
      "c close(1000); s close(1000); t 900; s eof; c eof",
      "close(1000) fin", "close(1000) closed", "closed", "client", 1000, 1000, NULL },     /* RFC 6455 section 7.1.1 */
    { "peers that do not end their connection after the closing handshake", FRAMES, false, "c close(1000); s close(1000); t 1100",
      "close(1000) fin", "close(1000) closed", "closed", "client", 1000, 1000, NULL },
    { "the answer to a close never comes", FRAMES, false, "c close(1000); t 5100; t 1100",
      "fin", "close(1000) fin", "close_timeout", "client", 1000, 0, NULL },
    { "the answer to a close never comes, from the client", FRAMES, false, "s close(1001); c text(busy); t 5100; t 1100",
      "close(1001) fin", "text(busy) closed", "close_timeout", "server", 0, 1001, NULL },
    { "the answer to a close finds nobody", FRAMES, false, "s close(1000); s reset; c close(1000); t 1100",
      "close(1000) fin", "closed", "closed", "server", 1000, 1000, NULL },
    { "the one that should answer vanishes", FRAMES, false, "c close(1000); s eof; c eof",
      "fin", "close(1000) fin", "server_vanished", "client", 1000, 0, NULL },
    { "the one that should answer is reset", FRAMES, false, "c close(1000); s reset; c eof",
      "fin", "close(1000) closed", "server_reset", "client", 1000, 0, NULL },
    { "pings, pongs and fragments pass", FRAMES, false,
      "c ping(a); s pong(a) pong(unasked); s fragbin(x) ping(b) cont(y); c pong(b); s end(z); & c close(1000); "
      "s close(1000)" PEERS_GO,
      "pong(a) pong(unasked) fragbin(x) ping(b) cont(y) end(z) close(1000) fin", "ping(a) pong(b) close(1000) closed", "closed",
      NULL,
      1000, 1000, NULL },
    { "compressed messages pass where that was agreed", FRAMES, true,
      "c deflated(abc); s deflated(x); & c close(1000); s close(1000)" PEERS_GO,
      "deflated(x) close(1000) fin", "deflated(abc) close(1000) closed", "closed", NULL, 1000, 1000, NULL },
};

static const struct scene faults[] = {
    { "the client breaks the protocol", FRAMES, false, "c text(a) hex(83800000); s close(1011)" PEERS_GO,
      "close(1002) fin", "text(a) close(1011) closed", "client_frame_fault", "gateway", 0, 1011, "ws_opcode" },
    { "the server breaks the protocol", FRAMES, false, "s text(a) hex(c100); c close(1011)" PEERS_GO,
      "text(a) close(1011) fin", "close(1002) fin", "server_frame_fault", "gateway", 1011, 0, "ws_rsv" },
    { "what was already on its way back is delivered first", FRAMES, false,
      "c text(a) hex(8100); s text(a); s close(1011)" PEERS_GO,
      "text(a) close(1002) fin", "text(a) close(1011) closed", "client_frame_fault", "gateway", 0, 1011, "ws_unmasked" },
    { "the innocent side does not answer", FRAMES, false, "c hex(83); t 5100; c eof; s eof",
      "close(1002) fin", "close(1011) fin", "client_frame_fault", "gateway", 0, 0, "ws_opcode" },
    { "the innocent side ends without answering", FRAMES, false, "c hex(83); s eof; c eof",
      "close(1002) fin", "close(1011) fin", "client_frame_fault", "gateway", 0, 0, "ws_opcode" },
    { "the innocent side is reset", FRAMES, false, "c hex(83); s reset; c eof",
      "close(1002) fin", "close(1011) closed", "client_frame_fault", "gateway", 0, 0, "ws_opcode" },
    { "the offender goes on", FRAMES, false, "c hex(83); c text(more) close(1000); s close(1011)" PEERS_GO,
      "close(1002) fin", "close(1011) closed", "client_frame_fault", "gateway", 0, 1011, "ws_opcode" },
    { "the offender is gone", FRAMES, false, "& c hex(83); c reset; s close(1011); s eof",
      "closed", "close(1011) closed", "client_frame_fault", "gateway", 0, 1011, "ws_opcode" },
    { "between fragments", FRAMES, false, "c frag(a); c text(b); s close(1011)" PEERS_GO,
      "close(1002) fin", "frag(a) close(1011) closed", "client_frame_fault", "gateway", 0, 1011, "ws_interleaved" },
    { "inside a frame that has begun to pass", UTF8, false, "c open(10,ab); c more(\xff); s text(x); s eof; c eof",
      "text(x) close(1007) fin", "cut(8) fin", "client_frame_fault", "gateway", 0, 0, "ws_text" },
    { "inside a frame of the server's that has begun to pass", UTF8, false,
      "s open(10,ab); s more(\xff); c text(x); c close(1000)" PEERS_GO,
      "cut(4) fin", "text(x) close(1007) fin", "server_frame_fault", "gateway", 1000, 0, "ws_text" },
    { "behind verified bytes that could not go out yet", FRAMES, false,
      "s block; c text(abc) hex(83); t 1000; s unblock; s close(1011)" PEERS_GO,
      "close(1002) fin", "text(abc) close(1011) closed", "client_frame_fault", "gateway", 0, 1011, "ws_opcode" },
    { "the innocent side does not read", FRAMES, false, "s block; c hex(83); t 5100; t 5100; c eof",
      "close(1002) fin", "closed lost", "client_frame_fault", "gateway", 0, 0, "ws_opcode" },
    { "the other's frame stands open", FRAMES, false, "s open(4,ab); c hex(83); s more(cd); s close(1011)" PEERS_GO,
      "text(abcd) close(1002) fin", "close(1011) closed", "client_frame_fault", "gateway", 0, 1011, "ws_opcode" },
    { "the other's frame is never completed", FRAMES, false, "s open(4,ab); c hex(83); t 5100" PEERS_GO,
      "cut(4) fin", "close(1011) fin", "client_frame_fault", "gateway", 0, 0, "ws_opcode" },
    { "both break the protocol", FRAMES, false, "& c hex(83); s hex(83)" PEERS_GO,
      "close(1002) fin", "close(1011) fin", "client_frame_fault", "gateway", 0, 0, "ws_opcode" },
    { "text that is none", UTF8, false, "c text(\xc3(); s close(1000)" PEERS_GO,
      "close(1007) fin", NULL, "client_frame_fault", "gateway", 0, 1000, "ws_text" },
    { "text across fragments that is none", UTF8, false, "c frag(\xce); c end(\xff); s close(1000)" PEERS_GO,
      "close(1007) fin", "cut(6) fin", "client_frame_fault", "gateway", 0, 1000, "ws_text" },
    { "a close code that may not be sent", FRAMES, false, "c close(1005); s close(1011)" PEERS_GO,
      "close(1002) fin", "close(1011) closed", "client_frame_fault", "gateway", 0, 1011, "ws_close_code" },
    { "a close with one byte", FRAMES, false, "c text(a) hex(888100000000ff); s close(1011)" PEERS_GO,
      "close(1002) fin", "text(a) close(1011) closed", "client_frame_fault", "gateway", 0, 1011, "ws_close_payload" },
    { "a close reason that is no text", UTF8, false, "s close(1000,\xff); c close(1011)" PEERS_GO,
      "close(1011) fin", "close(1007) fin", "server_frame_fault", "gateway", 1011, 0, "ws_close_text" },
    { "the server masks", FRAMES, false, "s hex(8180); c close(1000)" PEERS_GO,
      "close(1011) fin", "close(1002) fin", "server_frame_fault", "gateway", 1000, 0, "ws_masked" },
    { "a frame that announces too much", LIMITS, false, "c open(101,x); s close(1000)" PEERS_GO,
      "close(1009) fin", "close(1011) closed", "client_frame_fault", "gateway", 0, 1000, "ws_frame_too_large" },
    { "a message that announces too much", LIMITS, false,
      "s frag(" TEN TEN TEN TEN TEN TEN TEN TEN ") cont(" TEN TEN TEN TEN TEN TEN TEN TEN ") hex(8029); c close(1009)" PEERS_GO,
      NULL, "close(1009) fin", "server_frame_fault", "gateway", 1009, 0, "ws_message_too_large" },
    { "too many fragments", LIMITS, false, "s frag(a) cont(b) cont(c) cont(d); c close(1000)" PEERS_GO,
      "frag(a) cont(b) cont(c) close(1011) fin", "close(1009) fin", "server_frame_fault", "gateway", 1000, 0,
      "ws_too_many_fragments" },
    { "compressed where it was not agreed", FRAMES, false, "s deflated(abc); c close(1000)" PEERS_GO,
      "close(1011) fin", "close(1002) fin", "server_frame_fault", "gateway", 1000, 0, "ws_rsv" },
    { "a fault after the other side's close", FRAMES, false, "s close(1000); c hex(83)" PEERS_GO,
      "close(1000) fin", "close(1011) closed", "client_frame_fault", "server", 0, 1000, "ws_opcode" },
    { "a fault while the other side's close waits for room", FRAMES, false,
      "c block; s text(x) close(1000); c hex(83); c unblock" PEERS_GO,
      NULL, "close(1011) closed", "client_frame_fault", NULL, 0, 1000, "ws_opcode" },      /* one of the two closes, never both */
};

static const struct scene losses[] = {
    { "the client vanishes between frames", FRAMES, false, "c text(a); c eof; s close(1001); s eof",
      "close(1001) fin", "text(a) close(1001) closed", "client_vanished", "client", 0, 1001, NULL },
    { "the server vanishes between frames", FRAMES, false, "s text(a); s eof; c close(1014); c eof",
      "text(a) close(1014) fin", "close(1014) fin", "server_vanished", "server", 1014, 0, NULL },
    { "the client vanishes between fragments", FRAMES, false, "c frag(a); c eof; s close(1001); s eof",
      "close(1001) fin", "frag(a) close(1001) closed", "client_vanished", "client", 0, 1001, NULL },
    { "the client vanishes inside a frame", FRAMES, false, "c open(9,abc); c eof; s eof",
      "close(1014) fin", "cut(9) fin", "client_cut", "client", 0, 0, NULL },
    { "the client vanishes inside a header", FRAMES, false, "c text(a) hex(8184); c eof; s close(1001); s eof",
      "close(1001) fin", "text(a) close(1001) closed", "client_cut", "client", 0, 1001, NULL },
    { "the server vanishes inside a frame, the client still says something", FRAMES, false,
      "s open(9,abc); s eof; c text(x); c close(1000); c eof",
      "cut(5) fin", "text(x) close(1000) fin", "server_cut", "server", 1000, 0, NULL },
    { "the client is reset", FRAMES, false, "c text(a); c reset; s close(1001); s eof",
      "closed", "text(a) close(1001) closed", "client_reset", "client", 0, 1001, NULL },
    { "what the client sent before its reset is delivered", FRAMES, false, "& c text(a) text(b); c reset; s close(1001); s eof",
      "closed", "text(a) text(b) close(1001) closed", "client_reset", "client", 0, 1001, NULL },
    { "the server is reset", FRAMES, false, "s reset; c close(1014); c eof",
      "close(1014) fin", "closed", "server_reset", "server", 1014, 0, NULL },
    { "the server is reset inside a frame", FRAMES, false, "s open(9,abc); s reset; c eof",
      "cut(5) fin", "closed", "server_reset", "server", 0, 0, NULL },
    { "both vanish", FRAMES, false, "& c eof; s eof", "close(1014) fin", "close(1001) fin", "client_vanished", "client", 0, 0,
      NULL },
    { "both are reset", FRAMES, false, "& c reset; s reset", NULL, NULL, "client_reset", "client", 0, 0, NULL },
    { "the one that is left does not answer", FRAMES, false, "c eof; t 5100; t 1100",
      "fin", "close(1001) fin", "client_vanished", "client", 0, 0, NULL },
    { "the one that is left goes on talking to one who still reads", FRAMES, false, "c eof; s text(last) close(1001); s eof",
      "text(last) close(1001) fin", "close(1001) closed", "client_vanished", "client", 0, 1001, NULL },
    { "the one that is left does not read", FRAMES, false, "s block; c eof; t 5100; t 5100",
      "fin", "closed lost", "client_vanished", "client", 0, 0, NULL },
};

static const struct scene timers[] = {
    { "the client says nothing", FRAMES, false, "t 299000; s text(not him); t 1100; c close(1001); s close(1001)" PEERS_GO,
      "text(not him) close(1001) fin", "close(1001) closed", "client_idle", "gateway", 1001, 1001, NULL },
    { "the server says nothing", FRAMES, false, "t 299000; c text(not he); t 1100; c close(1001); s close(1001)" PEERS_GO,
      "close(1001) fin", "text(not he) close(1001) closed", "server_idle", "gateway", 1001, 1001, NULL },
    { "nobody answers that it is over", FRAMES, false, "t 300100; t 5100; t 1100", "close(1001) fin", "close(1001) fin",
      "client_idle", "gateway", 0, 0, NULL },
    { "idle in the middle of a frame", FRAMES, false, "c open(9,abc); t 300100; t 5100; t 1100",
      "close(1001) fin", "cut(9) fin", NULL, "gateway", 0, 0, NULL },
    { "a side that talks is not idle", FRAMES, false,
      "t 200000; c text(a); s text(b); t 200000; c ping(c); s pong(c); t 200000; & c close(1000); s close(1000)" PEERS_GO,
      "text(b) pong(c) close(1000) fin", "text(a) ping(c) close(1000) closed", "closed", NULL, 1000, 1000, NULL },
    { "the server does not read", FRAMES, false,
      "s take 0; s block; c text(abcdefgh); t 60100; c close(1000); t 5100; t 5100; c eof",
      "close(1014) fin", "fin", "server_slow", "gateway", 0, 0, NULL },
    { "the client does not read", FRAMES, false, "c block; s text(abcdefgh); t 60100; s close(1000); t 5100; t 5100; s eof",
      "fin", "close(1001) fin", "client_slow", "gateway", 0, 0, NULL },
    { "the server reads slowly, but it reads", FRAMES, false,
      "s block; c text(abcdefgh); t 50000; s take 1; t 50000; s take 1; t 50000; s unblock; s text(x); & c close(1000); "
      "s close(1000)" PEERS_GO,
      "text(x) close(1000) fin", "text(abcdefgh) close(1000) closed", "closed", NULL, 1000, 1000, NULL },
    { "the lifetime is over", LIMITS, false, "t 3600100; c close(1001); s close(1001)" PEERS_GO,
      "close(1001) fin", "close(1001) closed", "lifetime", "gateway", 1001, 1001, NULL },
};

static const struct scene endings_of_the_gateway[] = {
    { "drained", FRAMES, false, "drain; t 10; c close(1012); s close(1001)" PEERS_GO,
      "close(1012) fin", "close(1001) closed", "drained", "gateway", 1012, 1001, NULL },
    { "drained, with the code of the route", LIMITS, false, "drain; t 10; c close(1001); s close(1001)" PEERS_GO,
      "close(1001) fin", "close(1001) closed", "drained", "gateway", 1001, 1001, NULL },
    { "drained in the middle of a frame, which is completed first", FRAMES, false,
      "c open(5,ab); drain; t 10; c more(cde); c close(1012); s close(1001)" PEERS_GO,
      "close(1012) fin", "text(abcde) close(1001) closed", "drained", "gateway", 1012, 1001, NULL },
    { "drained in the middle of a frame that is never completed", FRAMES, false, "s open(5,ab); drain; t 10; t 5100" PEERS_GO,
      "cut(4) fin", "close(1001) fin", "drained", "gateway", 0, 0, NULL },
    { "drained while what was verified waits for room", FRAMES, false,
      "s block; c text(abc); drain; t 10; s unblock; s close(1001); c close(1012)" PEERS_GO,
      "close(1012) fin", "text(abc) close(1001) closed", "drained", "gateway", 1012, 1001, NULL },
    { "drained while a close waits for room", FRAMES, false,
      "c block; s text(x) close(1000); drain; t 10; c unblock; c close(1000)" PEERS_GO,
      NULL, "close(1001) closed", "drained", NULL, 1000, 1000, NULL },     /* one of the two closes, never both */
    { "drained, and nobody answers", FRAMES, false, "drain; t 10; t 5100; t 1100", "close(1012) fin", "close(1001) fin",
      "drained", "gateway", 0, 0, NULL },
    { "drained while it is closing already", FRAMES, false, "c close(1000); drain; t 10; s close(1000)" PEERS_GO,
      "close(1000) fin", "close(1000) closed", "closed", "client", 1000, 1000, NULL },
    { "drained twice", FRAMES, false, "drain; drain; t 10; & c close(1012); s close(1001)" PEERS_GO,
      "close(1012) fin", "close(1001) closed", "drained", "gateway", 1012, 1001, NULL },
    { "killed", FRAMES, false, "c text(a); kill", "closed", "text(a) closed", "drained", "gateway", 0, 0, NULL },
    { "killed while it is closing", FRAMES, false, "c close(1000); kill", "closed", "close(1000) closed", "drained", "client",
      1000, 0, NULL },
};

static const struct scene blind[] = {
    { "bytes pass, whatever they are", BLIND, false, "c hex(ff00) text(a); s hex(00); c eof; s hex(01); s eof", NULL, NULL,
      "closed", "client",
      0, 0, NULL },
    { "an end passes as an end", BLIND, false, "c hex(aa); c eof; t 1; s eof", "fin", NULL, "closed", "client", 0, 0, NULL },
    { "a reset ends the other side", BLIND, false, "s reset; c eof", "fin", "closed", "server_reset", "server", 0, 0, NULL },
    { "idle", BLIND, false, "t 300100; t 1100" PEERS_GO, "fin", "fin", "client_idle", "gateway", 0, 0, NULL },
    { "drained", BLIND, false, "drain; t 10; t 1100" PEERS_GO, "fin", "fin", "drained", "gateway", 0, 0, NULL },
};

/* ---- performing ---- */

static unsigned wrongs;                  /* all scenes are played before the test fails */

static void wrong(const struct world *w, const struct scene *s, const char *what, const char *is, const char *due)
{
    wrongs++;
    print_error("%s (%zu in, %zu out): %s `%s`, not `%s`\n", s->name, w->piece, w->grain, what, is, due);
}

static void expect_saw(const struct stage *st, const struct scene *s, const struct peer *p, const char *what, const char *due)
{
    struct bytes saw;
    const char *text;

    if (s->route == BLIND && due == NULL)
        return;                          /* what passed may be no frames */
    saw = play_saw(st, p);
    text = bytes_text(&saw);
    if (count_text(text, "close(") > 1)
        wrong(st->world, s, what, text, "one close at most");
    if (due != NULL && strcmp(*text == ' ' ? text + 1 : text, due) != 0)
        wrong(st->world, s, what, text, due);
    bytes_free(&saw);
}

static void expect_said(struct world *w, const struct scene *s, const char *key, const char *due)
{
    const char *said = world_said(w, "tunnel", 0, key);

    if (due != NULL && strcmp(said, due) != 0)
        wrong(w, s, key, said, due);
}

static void expect_codes(struct world *w, const struct scene *s)
{
    unsigned client, server;
    const char *line = world_access(w), *at = strstr(line, "\"from_server\"");
    char is[32], due[32];

    assert_int_equal(sscanf(strstr(line, "\"close_code\""), "\"close_code\":%u", &client), 1);
    assert_int_equal(sscanf(strstr(at, "\"close_code\""), "\"close_code\":%u", &server), 1);
    snprintf(is, sizeof(is), "%u %u", client, server);
    snprintf(due, sizeof(due), "%u %u", s->client_code, s->server_code);
    if (strcmp(is, due) != 0)
        wrong(w, s, "the record has close codes", is, due);
}

static void perform(const struct scene *s, size_t piece, size_t grain)
{
    struct world w;
    struct stage st;

    world_begin(&w, conf);
    w.piece = piece;
    w.grain = grain;
    st = play_begin(&w, s->route, s->deflate);
    play(&st, s->play);
    expect_saw(&st, s, st.client, "the client saw", s->client_saw);
    expect_saw(&st, s, st.server, "the server saw", s->server_saw);
    if (world_lines(&w, "tunnel") != 1) {
        wrong(&w, s, "the tunnel's record", world_access(&w), "one line");
        world_kill(&w);
    }
    expect_said(&w, s, "end", s->end);
    expect_said(&w, s, "closed_by", s->closed_by);
    expect_said(&w, s, "fault", s->fault != NULL ? s->fault : s->end != NULL ? "" : NULL);
    if (s->end != NULL)
        expect_codes(&w, s);
    world_end(&w);
}

static void perform_all(const struct scene *scenes, size_t n)
{
    static const size_t sizes[][2] = { { SIZE_MAX, SIZE_MAX }, { 1, 1 }, { SIZE_MAX, 1 }, { 1, SIZE_MAX }, { 3, 2 }, { 2, 5 } };

    wrongs = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t s = 0; s < COUNT_OF(sizes); s++)
            perform(&scenes[i], sizes[s][0], sizes[s][1]);
    assert_int_equal(wrongs, 0);
}

#define SCENES(table)                           \
    static void table##_all(void **state)       \
    {                                           \
        (void)state;                            \
        perform_all(table, COUNT_OF(table));    \
    }
SCENES(closings)
SCENES(faults)
SCENES(losses)
SCENES(timers)
SCENES(endings_of_the_gateway)
SCENES(blind)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(closings_all),
        cmocka_unit_test(faults_all),
        cmocka_unit_test(losses_all),
        cmocka_unit_test(timers_all),
        cmocka_unit_test(endings_of_the_gateway_all),
        cmocka_unit_test(blind_all),
    };

    return cmocka_run_group_tests(tests, load, unload);
}
