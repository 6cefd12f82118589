/* ws_app: the demo's WebSocket server, on libuv and wslay.
 *
 *   /echo     sends every message back as it came (subprotocol `echo` where it is offered)
 *   /chat     a small room, see chat.h (subprotocol `chat`)
 *
 * Messages of up to 64 MiB (--max-message BYTES) on /echo; no extensions. --log on prints one JSON line per ended
 * connection. SIGTERM closes every connection with 1001 and ends when the peers have answered, or after 5 s. */
#include "interop/app/chat.h"
#include "interop/app/ws_peer.h"

#include <stdlib.h>
#include <string.h>

#define ECHO_MESSAGE_MAX_BYTES ((size_t)64 * 1024 * 1024)

static void echo_opened(struct ws_peer *p, struct span nickname)
{
    (void)p;
    (void)nickname;
}

static void echo_message(struct ws_peer *p, bool text, struct span data)
{
    ws_peer_send(p, text, data);
}

static void echo_ended(struct ws_peer *p)
{
    (void)p;
}

static struct chat room;
static struct ws_endpoint endpoints[] = {
    { "/echo", "echo", ECHO_MESSAGE_MAX_BYTES, echo_opened, echo_message, echo_ended, NULL },
    { "/chat", "chat", CHAT_MESSAGE_MAX_BYTES, chat_opened, chat_message, chat_ended, &room },
    { .path = NULL }
};
static struct server server;
static struct ws_peers peers;

static bool set_log(struct server *s, const char *value)
{
    (void)s;
    peers.log = strcmp(value, "on") == 0;
    return peers.log || strcmp(value, "off") == 0;
}

static bool set_message_max(struct server *s, const char *value)
{
    char *end;
    unsigned long long bytes = strtoull(value, &end, 10);

    (void)s;
    endpoints[0].message_max_bytes = (size_t)bytes;
    return *value >= '1' && *value <= '9' && *end == '\0' && bytes < (1ULL << 31);
}

static void start(struct server *s)
{
    ws_peers_init(&peers, s, endpoints);
}

static void connection(struct server *s)
{
    (void)s;
    ws_peers_connection(&peers);
}

static void before_sleep(struct server *s)
{
    (void)s;
    ws_peers_flush(&peers);
}

static void stop(struct server *s)
{
    (void)s;
    ws_peers_stop(&peers);
}

int main(int argc, char **argv)
{
    static const struct server_option options[] = {
        { "--log", "on|off", set_log },
        { "--max-message", "BYTES", set_message_max },
        { .name = NULL }
    };
    static const struct server_calls calls = {
        .program = "demo_ws_app", .options = options,
        .start = start, .connection = connection, .before_sleep = before_sleep, .stop = stop
    };

    return server_run(&server, argc, argv, &calls);
}
