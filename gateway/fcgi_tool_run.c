/* The FastCGI tool's exchange: records out as fast as they are taken, records in as they come, until END_REQUEST.
 *
 * One buffer each way, whatever the bodies' sizes. Writing the answer out may block: then nothing else is read, and the server
 * waits. What can go wrong, in order: the server stops taking STDIN (what it has to say is still read); silence; an end without
 * END_REQUEST; a record that may not come; a reply that is none; an end that says no. */
#include "gateway/fcgi_tool_parts.h"
#include "protocol/fcgi_reply.h"
#include "protocol/http1_write.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define INPUT_BYTES 65536
#define OUTPUT_BYTES (FCGI_CONTENT_OURS + 4 * FCGI_HEADER_BYTES)     /* a record of STDIN with its padding, and STDIN's end */

struct run {
    struct arena *arena;
    const struct fcgi_tool_options *options;
    struct fcgi_tool_body *body;
    struct fcgi_tool_clock *clock;
    struct fcgi_tool_trace trace;
    int fd, output;                      /* output -1: not yet open */
    unsigned id;
    struct span pending;                 /* to be sent next */
    bool body_over;                      /* nothing follows what is pending */
    struct fcgi_reader reader;
    struct fcgi_reply reply;
    bool stderr_open;                    /* the application's last line has no end yet */
    bool over;                           /* END, or the answer to FCGI_GET_VALUES, has come */
    struct fcgi_result end;
    unsigned status;
    size_t in_n;
    uint8_t in[INPUT_BYTES];
    uint8_t data[FCGI_CONTENT_OURS];     /* of the body */
    uint8_t out[OUTPUT_BYTES];
};

/* ---- out ---- */

/* A record of STDIN, whole: there is room for it. */
static void frame(struct run *r, struct span data)
{
    struct fcgi_out out;
    struct span piece;
    size_t n = 0;

    fcgi_out_init(&out, FCGI_STDIN, r->id);
    while ((piece = fcgi_out_piece(&out, data)).n > 0) {
        memcpy(r->out + n, piece.p, piece.n);
        n += piece.n;
        data = span_from(data, fcgi_out_sent(&out, piece.n));
    }
    r->pending = span_of(r->out, n);
}

static enum fcgi_tool_exit read_body(struct run *r)
{
    size_t n;
    enum fcgi_tool_exit exit = fcgi_tool_body_read(r->body, r->data, sizeof(r->data), &n);

    if (exit != FCGI_TOOL_GOOD)
        return exit;
    fcgi_tool_clock_moved(r->clock);
    if (n > 0) {
        frame(r, span_of(r->data, n));
        return FCGI_TOOL_GOOD;
    }
    fcgi_write_header(r->out, FCGI_STDIN, r->id, 0);
    r->pending = span_of(r->out, FCGI_HEADER_BYTES);
    r->body_over = true;
    return FCGI_TOOL_GOOD;
}

/* What the server does not take any more is not sent; it may have answered all the same. */
static void send_pending(struct run *r)
{
    ssize_t n = send(r->fd, r->pending.p, r->pending.n, MSG_NOSIGNAL);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n < 0) {
        fcgi_tool_note(&r->trace, "the server takes no more: %s", strerror(errno));
        r->pending = SPAN_EMPTY;
        r->body_over = true;
        return;
    }
    fcgi_tool_watch(&r->trace, FCGI_TOOL_SENT, span_first(r->pending, (size_t)n));
    fcgi_tool_clock_moved(r->clock);
    r->pending = span_from(r->pending, (size_t)n);
}

/* ---- the reply ---- */

static enum fcgi_tool_exit write_out(struct run *r, struct span bytes)
{
    const char *path = r->options->output;

    if (r->output < 0)
        r->output = path == NULL ? STDOUT_FILENO : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (r->output >= 0 && fcgi_tool_write_all(r->output, bytes))
        return FCGI_TOOL_GOOD;
    return fcgi_tool_say(FCGI_TOOL_OUTPUT, "%s cannot be written: %s", path != NULL ? path : "standard output", strerror(errno));
}

/* With the length that the application promised, which the reply keeps apart. */
static enum fcgi_tool_exit show_head(struct run *r, const struct http1_head *head)
{
    struct headers fields;
    struct span text = SPAN_EMPTY;
    enum fault fault = FAULT_NONE;
    char digits[24];

    headers_init(&fields, r->arena, 0);
    for (size_t i = 0; i < head->fields.n && fault == FAULT_NONE; i++)
        fault = headers_add(&fields, head->fields.fields[i].name, head->fields.fields[i].value);
    snprintf(digits, sizeof(digits), "%" PRIu64, head->content_length);
    if (head->has_content_length && fault == FAULT_NONE)
        fault = headers_add(&fields, SPAN_LITERAL("Content-Length"), span_of_text(digits));
    if (fault == FAULT_NONE)
        text = http1_write_response_head(r->arena, head->status, head->reason, &fields);
    return text.p != NULL ? write_out(r, text) : fcgi_tool_say(FCGI_TOOL_MEMORY, "there is not enough memory");
}

static enum fcgi_tool_exit take_head(struct run *r, const struct http1_head *head)
{
    r->status = head->status;
    return r->options->show_head ? show_head(r, head) : write_out(r, SPAN_EMPTY);
}

static enum fcgi_tool_exit reply_fault(struct run *r, enum fault fault)
{
    struct span line = fcgi_reply_line(&r->reply);
    enum fcgi_tool_exit exit = fault == FAULT_TRUNCATED ? FCGI_TOOL_TRUNCATED
                               : fault == FAULT_NO_MEMORY ? FCGI_TOOL_MEMORY : FCGI_TOOL_FAULT;

    fcgi_tool_say(exit, "the application's reply: %s", fault_sentence(fault));
    if (line.n > 0) {
        fputs("    ", stderr);
        fcgi_tool_print_shown(stderr, line);
        fputc('\n', stderr);
    }
    return exit;
}

/* All of the data is taken, unless something is wrong. Without data: as far as it goes. */
static enum fcgi_tool_exit take_stdout(struct run *r, struct span data)
{
    enum fcgi_tool_exit exit = FCGI_TOOL_GOOD;
    struct http1_result result;

    do {
        data = span_from(data, fcgi_reply_next(&r->reply, data.p, data.n, &result));
        if (result.event == HTTP1_FAULT)
            exit = reply_fault(r, result.fault);
        if (result.event == HTTP1_HEAD)
            exit = take_head(r, result.head);
        if (result.event == HTTP1_BODY) {
            exit = write_out(r, result.data);
            fcgi_reply_took(&r->reply, result.data.n);
            data = span_from(data, result.data.n);
        }
    } while (exit == FCGI_TOOL_GOOD && result.event != HTTP1_MORE && result.event != HTTP1_END);
    return exit;
}

/* ---- in ---- */

static enum fcgi_tool_exit show_values(const struct fcgi_values *v)
{
    if (!v->told)
        return fcgi_tool_say(FCGI_TOOL_GOOD, "the server does not know FCGI_GET_VALUES");
    if (v->max_connections > 0)
        printf("%s=%u\n", fcgi_value_names[0], v->max_connections);
    if (v->max_requests > 0)
        printf("%s=%u\n", fcgi_value_names[1], v->max_requests);
    if (v->has_multiplexes)
        printf("%s=%d\n", fcgi_value_names[2], v->multiplexes);
    return fflush(stdout) == 0 ? FCGI_TOOL_GOOD : fcgi_tool_say(FCGI_TOOL_OUTPUT, "standard output cannot be written");
}

static void take_stderr(struct run *r, struct span data)
{
    fcgi_tool_write_all(STDERR_FILENO, data);
    r->stderr_open = data.p[data.n - 1] != '\n';
}

/* What follows on standard error begins on a line of its own. */
static void end_stderr(struct run *r)
{
    if (r->stderr_open)
        fputc('\n', stderr);
    r->stderr_open = false;
}

/* Returns how many bytes behind those that were consumed are used up. */
static size_t act(struct run *r, const struct fcgi_result *result, enum fcgi_tool_exit *exit_out)
{
    switch (result->event) {
    case FCGI_EVENT_STDOUT:
        *exit_out = take_stdout(r, result->data);
        fcgi_reader_took(&r->reader, result->data.n);
        return result->data.n;
    case FCGI_EVENT_STDERR:
        take_stderr(r, result->data);
        fcgi_reader_took(&r->reader, result->data.n);
        return result->data.n;
    case FCGI_EVENT_END:
        r->end = *result;
        r->over = true;
        return 0;
    case FCGI_EVENT_VALUES:
        *exit_out = show_values(&result->values);
        r->over = true;
        return 0;
    case FCGI_EVENT_FAULT:
        *exit_out = fcgi_tool_say(FCGI_TOOL_FAULT, "the server: %s", fault_sentence(result->fault));
        return 0;
    case FCGI_EVENT_MORE:
        break;
    }
    return 0;
}

static enum fcgi_tool_exit take_input(struct run *r)
{
    enum fcgi_tool_exit exit = FCGI_TOOL_GOOD;
    struct fcgi_result result;
    size_t at = 0;

    do {
        at += fcgi_reader_next(&r->reader, r->in + at, r->in_n - at, &result);
        at += act(r, &result, &exit);
    } while (exit == FCGI_TOOL_GOOD && !r->over && result.event != FCGI_EVENT_MORE);
    r->in_n -= at;
    memmove(r->in, r->in + at, r->in_n);
    return exit;
}

static enum fcgi_tool_exit receive(struct run *r)
{
    ssize_t n = recv(r->fd, r->in + r->in_n, sizeof(r->in) - r->in_n, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return FCGI_TOOL_GOOD;
    if (n < 0)
        return fcgi_tool_say(FCGI_TOOL_TRUNCATED, "the connection broke before the end of the request: %s", strerror(errno));
    if (n == 0)
        return fcgi_tool_say(FCGI_TOOL_TRUNCATED, "the server closed the connection before the end of the request");
    fcgi_tool_watch(&r->trace, FCGI_TOOL_RECEIVED, span_of(r->in + r->in_n, (size_t)n));
    fcgi_tool_clock_moved(r->clock);
    r->in_n += (size_t)n;
    return take_input(r);
}

/* ---- the turn ---- */

static enum fcgi_tool_exit late(const struct run *r)
{
    bool all = r->clock->end_ms < r->clock->moved_ms + r->clock->timeout_ms;

    return fcgi_tool_say(FCGI_TOOL_TIMEOUT, all ? "not over within --max-time" : "nothing moved for as long as --timeout allows");
}

static enum fcgi_tool_exit turn(struct run *r)
{
    bool reads_body = r->pending.n == 0 && !r->body_over;
    struct pollfd polls[2] = {
        { .fd = r->fd, .events = (short)(r->pending.n > 0 ? POLLIN | POLLOUT : POLLIN) },
        { .fd = reads_body ? fcgi_tool_body_fd(r->body) : -1, .events = POLLIN },
    };
    int left = fcgi_tool_clock_left(r->clock);

    if (reads_body && polls[1].fd < 0)
        return read_body(r);
    if (left == 0)
        return late(r);
    if (poll(polls, 2, left) < 0)
        return errno == EINTR ? FCGI_TOOL_GOOD : fcgi_tool_say(FCGI_TOOL_TRUNCATED, "poll: %s", strerror(errno));
    if ((polls[0].revents & POLLOUT) != 0)
        send_pending(r);
    if (polls[1].revents != 0)
        return read_body(r);
    return (polls[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 ? receive(r) : FCGI_TOOL_GOOD;
}

/* END has come: what it says, and what the reply says now that no more of it follows. */
static enum fcgi_tool_exit judge(struct run *r)
{
    enum fcgi_tool_exit exit;

    if (r->end.end != FCGI_REQUEST_COMPLETE)
        return fcgi_tool_say(FCGI_TOOL_REFUSED, "the server refused the request: %s", fcgi_tool_end_name(r->end.end));
    fcgi_reply_finish(&r->reply);
    exit = take_stdout(r, SPAN_EMPTY);
    if (exit != FCGI_TOOL_GOOD)
        return exit;
    if (r->end.app_status != 0)
        return fcgi_tool_say(FCGI_TOOL_APPLICATION, "the application's exit status is %" PRIu32, r->end.app_status);
    if (r->options->fail && r->status >= 400)
        return fcgi_tool_say(FCGI_TOOL_STATUS, "the answer's status is %u", r->status);
    return FCGI_TOOL_GOOD;
}

static enum fcgi_tool_exit begin(struct run *r, struct span pairs)
{
    const struct http1_limits limits = { .head_bytes = 1 << 20, .fields = 1000 };

    if (r->options->get_values) {
        fcgi_write_get_values(r->out);
        r->pending = span_of(r->out, FCGI_GET_VALUES_BYTES);
        r->body_over = true;
        fcgi_reader_ask_values(&r->reader);
        return FCGI_TOOL_GOOD;
    }
    r->id = fcgi_reader_open(&r->reader);
    r->trace.pairs = pairs;
    r->pending = fcgi_write_begin(r->arena, r->id, false, pairs, r->body->present);
    r->body_over = !r->body->present;
    fcgi_reply_init(&r->reply, r->arena, &limits, span_equal(r->options->method, SPAN_LITERAL("HEAD")));
    return r->pending.p != NULL ? FCGI_TOOL_GOOD : fcgi_tool_say(FCGI_TOOL_MEMORY, "there is not enough memory");
}

enum fcgi_tool_exit fcgi_tool_run(struct arena *a, const struct fcgi_tool_options *o, struct fcgi_tool_body *b,
                                  struct fcgi_tool_clock *c, int fd, struct span pairs)
{
    struct run *r = arena_alloc(a, sizeof(*r));
    enum fcgi_tool_exit exit;

    if (r == NULL)
        return fcgi_tool_say(FCGI_TOOL_MEMORY, "there is not enough memory");
    memset(r, 0, sizeof(*r));
    r->arena = a;
    r->options = o;
    r->body = b;
    r->clock = c;
    r->trace.on = o->verbose;
    r->fd = fd;
    r->output = -1;
    fcgi_reader_init(&r->reader);
    fcgi_tool_note(&r->trace, "connected to %s", o->to.text);
    exit = begin(r, pairs);
    while (exit == FCGI_TOOL_GOOD && !r->over)
        exit = turn(r);
    end_stderr(r);
    if (exit == FCGI_TOOL_GOOD && !o->get_values)
        exit = judge(r);
    if (r->output >= 0 && o->output != NULL && close(r->output) != 0 && exit == FCGI_TOOL_GOOD)
        exit = fcgi_tool_say(FCGI_TOOL_OUTPUT, "%s cannot be written: %s", o->output, strerror(errno));
    return exit;
}
