/* fcgi_tool_parts: what the files of the FastCGI tool share. In the order of a run: options, body, request, run; trace watches. */
#ifndef UPGATE_GATEWAY_FCGI_TOOL_PARTS_H
#define UPGATE_GATEWAY_FCGI_TOOL_PARTS_H

#include "conf/conf.h"
#include "gateway/fcgi_tool.h"
#include "protocol/fcgi_params.h"
#include "protocol/fcgi_record.h"

enum {
    FCGI_TOOL_FIELDS_MAX = 100,          /* -H */
    FCGI_TOOL_PARAMS_MAX = 100,          /* --param */
    FCGI_TOOL_FORM_MAX = 50,             /* -F */
    FCGI_TOOL_ARENA_BYTES = 16 << 20,    /* everything that is kept for one request */
};

/* ---- fcgi_tool_options.c ---- */

struct fcgi_tool_options {
    struct conf_address to;
    struct span target;                  /* path and query; begins with a slash */
    struct span method;
    struct field fields[FCGI_TOOL_FIELDS_MAX], params[FCGI_TOOL_PARAMS_MAX];
    size_t fields_n, params_n;
    const char *data;                    /* -d: NULL, text, or @FILE, or @- */
    const char *form[FCGI_TOOL_FORM_MAX];            /* -F: name=value or name=@FILE */
    size_t form_n;
    struct fcgi_script_rules script;
    const char *output;                  /* -o; NULL: standard output */
    uint64_t timeout_ms, total_ms;       /* total_ms 0: no limit */
    bool show_head, verbose, fail, get_values, no_length;
    bool help;
};

/* FCGI_TOOL_GOOD, or what to exit with (said on standard error). Strings are argv's, or the arena's. */
enum fcgi_tool_exit fcgi_tool_read_options(struct arena *a, int argc, char **argv, struct fcgi_tool_options *out);
void fcgi_tool_print_help(void);
/* "upgate fcgi: …" on standard error. Returns its first argument. */
enum fcgi_tool_exit fcgi_tool_say(enum fcgi_tool_exit exit, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- fcgi_tool_body.c: what is sent as STDIN, from memory and files, one after the other ---- */

struct fcgi_tool_piece {
    struct span text;                    /* what is left of it, or, with a file, empty */
    int fd;                              /* -1: none */
    uint64_t left;                       /* of the file; UINT64_MAX: until its end */
    const char *name;                    /* in messages */
};

struct fcgi_tool_body {
    struct fcgi_tool_piece pieces[3 * FCGI_TOOL_FORM_MAX + 1];
    size_t n, at;
    bool present;                        /* a body, be it empty */
    bool has_length;                     /* known before it is sent */
    uint64_t length;
    struct span type;                    /* Content-Type, where the options say none */
};

void fcgi_tool_body_init(struct fcgi_tool_body *b);
enum fcgi_tool_exit fcgi_tool_body_open(struct arena *a, const struct fcgi_tool_options *o, struct fcgi_tool_body *b);
/* The descriptor that has to be readable before fcgi_tool_body_read, or -1: it never waits. */
int fcgi_tool_body_fd(const struct fcgi_tool_body *b);
/* How many bytes were put into `room`; 0 with FCGI_TOOL_GOOD: the end. */
enum fcgi_tool_exit fcgi_tool_body_read(struct fcgi_tool_body *b, void *to, size_t room, size_t *n_out);
void fcgi_tool_body_close(struct fcgi_tool_body *b);
/* False: errno says why. */
bool fcgi_tool_write_all(int fd, struct span bytes);

/* ---- fcgi_tool_request.c: the options as the parameters of a request ---- */

enum fcgi_tool_exit fcgi_tool_request(struct arena *a, const struct fcgi_tool_options *o, const struct fcgi_tool_body *b,
                                      struct fcgi_params *out);

/* ---- fcgi_tool_trace.c: -v: each record, by looking at the bytes that pass ---- */

enum fcgi_tool_way { FCGI_TOOL_SENT, FCGI_TOOL_RECEIVED, FCGI_TOOL_WAYS };

struct fcgi_tool_trace {
    bool on;
    struct span pairs;                   /* what PARAMS holds: shown when its first record passes */
    struct fcgi_tool_watch {
        uint8_t header[FCGI_HEADER_BYTES], content[FCGI_HEADER_BYTES];
        size_t header_n, content_n;      /* of the record that passes: how much was kept */
        size_t content_left, padding_left;
        bool lost;                       /* its version is not 1: what follows can't be told apart */
    } ways[FCGI_TOOL_WAYS];
};

/* Bytes that passed, however they are cut. */
void fcgi_tool_watch(struct fcgi_tool_trace *t, enum fcgi_tool_way way, struct span bytes);
/* "* …" */
void fcgi_tool_note(const struct fcgi_tool_trace *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
const char *fcgi_tool_end_name(enum fcgi_end end);         /* "OVERLOADED" */
/* For people: control and other bytes as \xNN. */
void fcgi_tool_print_shown(FILE *out, struct span bytes);

/* ---- fcgi_tool_connect.c ---- */

struct fcgi_tool_clock {
    uint64_t moved_ms;                   /* when something last came or went */
    uint64_t timeout_ms, end_ms;         /* how long it may stand still; when all of it has to be over (UINT64_MAX: never) */
};

void fcgi_tool_clock_start(struct fcgi_tool_clock *c, const struct fcgi_tool_options *o);
void fcgi_tool_clock_moved(struct fcgi_tool_clock *c);
/* For poll: milliseconds until it is too late, at least 1; 0: it is. */
int fcgi_tool_clock_left(const struct fcgi_tool_clock *c);
/* A descriptor that does not block. */
enum fcgi_tool_exit fcgi_tool_connect(const struct conf_address *to, struct fcgi_tool_clock *c, int *fd_out);

/* ---- fcgi_tool_run.c: the exchange on the connection ---- */

/* pairs: of PARAMS; not used with --get-values. */
enum fcgi_tool_exit fcgi_tool_run(struct arena *a, const struct fcgi_tool_options *o, struct fcgi_tool_body *b,
                                  struct fcgi_tool_clock *c, int fd, struct span pairs);

#endif
