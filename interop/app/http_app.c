/* http_app: the demo's HTTP application, on libuv and the gateway's own message reader. It serves site.h. */
#include "interop/app/http_peer.h"
#include "interop/app/site.h"

static struct server server;
static struct http_peers peers;

static void start(struct server *s)
{
    http_peers_init(&peers, s);
    peers.answer = site_answer;
}

static void connection(struct server *s)
{
    (void)s;
    http_peers_connection(&peers);
}

static void stop(struct server *s)
{
    (void)s;
    http_peers_stop(&peers);
}

static bool read_files(struct server *s, const char *value)
{
    (void)s;
    return site_read(value);
}

static void ended(struct server *s)
{
    (void)s;
    site_free();
}

int main(int argc, char **argv)
{
    static const struct server_option options[] = {
        { "--root", "FOLDER (of the page)", read_files },
        { .name = NULL }
    };
    static const struct server_calls calls = {
        .program = "demo_http_app", .options = options,
        .start = start, .connection = connection, .stop = stop, .ended = ended
    };

    return server_run(&server, argc, argv, &calls);
}
