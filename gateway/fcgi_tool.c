#include "gateway/fcgi_tool.h"

#include "gateway/fcgi_tool_parts.h"
#include "protocol/mem.h"

#include <assert.h>
#include <signal.h>
#include <unistd.h>

/* Everything is known before the connection is made: a server waits for nobody who is still reading a file. */
static enum fcgi_tool_exit make_request(struct arena *a, const struct fcgi_tool_options *o, struct fcgi_tool_body *b)
{
    struct fcgi_params params = { .pairs = SPAN_EMPTY };
    enum fcgi_tool_exit exit = FCGI_TOOL_GOOD;
    struct fcgi_tool_clock clock;
    int fd;

    if (!o->get_values)
        exit = fcgi_tool_body_open(a, o, b);
    if (exit == FCGI_TOOL_GOOD && !o->get_values)
        exit = fcgi_tool_request(a, o, b, &params);
    if (exit != FCGI_TOOL_GOOD)
        return exit;
    if (params.dropped > 0)
        fcgi_tool_say(exit, "%u of the fields have names that fold onto others, and are not passed on", params.dropped);
    fcgi_tool_clock_start(&clock, o);
    exit = fcgi_tool_connect(&o->to, &clock, &fd);
    if (exit != FCGI_TOOL_GOOD)
        return exit;
    exit = fcgi_tool_run(a, o, b, &clock, fd, params.pairs);
    close(fd);
    return exit;
}

int fcgi_tool_main(int argc, char **argv)
{
    struct fcgi_tool_options options;
    struct fcgi_tool_body body;
    enum fcgi_tool_exit exit;
    struct arena arena;

    signal(SIGPIPE, SIG_IGN);            /* who reads our output may go: then it cannot be written */
    arena_init(&arena, FCGI_TOOL_ARENA_BYTES);
    fcgi_tool_body_init(&body);
    exit = fcgi_tool_read_options(&arena, argc, argv, &options);
    if (exit == FCGI_TOOL_GOOD && options.help)
        fcgi_tool_print_help();
    else if (exit == FCGI_TOOL_GOOD)
        exit = make_request(&arena, &options, &body);
    fcgi_tool_body_close(&body);
    arena_free(&arena);
    assert(mem_live_blocks() == 0);
    return (int)exit;
}
