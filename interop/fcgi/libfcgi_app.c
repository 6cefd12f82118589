/* libfcgi_app: the application of README.md on libfcgi, the library of the protocol's inventors; one thread per request.
 *
 * Descriptor 0 is the listening socket. */
#include "interop/app/json_line.h"
#include "protocol/sha1.h"

#include <fcgiapp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS 16
#define JSON_BYTES (512 * 1024)
#define BODY_BYTES (16 << 20)            /* of a body that is hashed */
#define BLOCK_BYTES 65536
#define GATE_TURNS 6000
#define GATE_TURN_US 10000

static const char text_head[] = "Content-Type: text/plain\r\n\r\n";
static char block[BLOCK_BYTES];          /* of large answers: byte i is i modulo 251 */

static const char *param(const FCGX_Request *r, const char *name)
{
    const char *value = FCGX_GetParam(name, r->envp);

    return value != NULL ? value : "";
}

/* The decoded value of a query's parameter, in `out`. */
static const char *query(const FCGX_Request *r, const char *name, char *out, size_t size)
{
    const char *at = param(r, "QUERY_STRING");
    size_t name_n = strlen(name), n = 0;

    while (at != NULL && (strncmp(at, name, name_n) != 0 || at[name_n] != '=')) {
        at = strchr(at, '&');
        at = at != NULL ? at + 1 : NULL;
    }
    for (at = at != NULL ? at + name_n + 1 : ""; *at != '\0' && *at != '&' && n + 1 < size; at++) {
        char hex[3] = "";
        if (*at == '%' && at[1] != '\0' && at[2] != '\0') {
            memcpy(hex, at + 1, 2);
            at += 2;
        }
        out[n++] = hex[0] != '\0' ? (char)strtol(hex, NULL, 16) : *at;
    }
    out[n] = '\0';
    return out;
}

static long query_number(const FCGX_Request *r, const char *name)
{
    char text[32];

    return strtol(query(r, name, text, sizeof(text)), NULL, 10);
}

/* ---- the answers ---- */

static void write_params(const FCGX_Request *r, struct json_line *json, bool fields)
{
    const char *between = "";

    for (char **p = r->envp; *p != NULL; p++) {
        struct span pair = span_of_text(*p);
        struct span name = span_first(pair, span_find(pair, '='));
        if (span_starts_with(pair, SPAN_LITERAL("HTTP_")) != fields)
            continue;
        json_line_raw(json, between);
        json_line_string(json, span_from(name, fields ? 5 : 0));
        json_line_raw(json, ":");
        json_line_string(json, span_from(pair, name.n + 1));
        between = ",";
    }
}

static struct span read_body(FCGX_Request *r, uint8_t *room)
{
    size_t n = 0;
    int got;

    while (n < BODY_BYTES && (got = FCGX_GetStr((char *)room + n, (int)(BODY_BYTES - n), r->in)) > 0)
        n += (size_t)got;
    return span_of(room, n);
}

static void write_body(FCGX_Request *r, struct json_line *json)
{
    uint8_t *room = malloc(BODY_BYTES), digest[SHA1_BYTES];
    struct span body = room != NULL ? read_body(r, room) : SPAN_EMPTY;
    char hex[2 * sizeof(digest) + 1];

    sha1_of_two(body, SPAN_EMPTY, digest);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    json_line_raw(json, "{\"bytes\":");
    json_line_number(json, body.n);
    json_line_raw(json, ",\"sha1\":\"");
    json_line_raw(json, hex);
    json_line_raw(json, "\"}");
    free(room);
}

static void answer_see(FCGX_Request *r)
{
    char *room = malloc(JSON_BYTES);
    struct json_line json = json_line_over(room, room != NULL ? JSON_BYTES : 0);
    struct span text;

    json_line_raw(&json, "{\"method\":");
    json_line_string(&json, span_of_text(param(r, "REQUEST_METHOD")));
    json_line_raw(&json, ",\"uri\":");
    json_line_string(&json, span_of_text(param(r, "REQUEST_URI")));
    json_line_raw(&json, ",\"fields\":{");
    write_params(r, &json, true);
    json_line_raw(&json, "},\"params\":{");
    write_params(r, &json, false);
    json_line_raw(&json, "},\"body\":");
    write_body(r, &json);
    json_line_raw(&json, "}");
    text = json_line_span(&json);
    FCGX_FPrintF(r->out, "Content-Type: application/json\r\n\r\n");
    FCGX_PutStr((const char *)text.p, (int)text.n, r->out);
    free(room);
}

static void answer_echo(FCGX_Request *r)
{
    char bytes[16384];
    int n;

    FCGX_FPrintF(r->out, "Content-Type: application/octet-stream\r\nContent-Length: %s\r\n\r\n",
                 FCGX_GetParam("CONTENT_LENGTH", r->envp) != NULL ? param(r, "CONTENT_LENGTH") : "");
    while ((n = FCGX_GetStr(bytes, sizeof(bytes), r->in)) > 0)
        if (FCGX_PutStr(bytes, n, r->out) < 0)
            return;
}

static void answer_large(FCGX_Request *r)
{
    long left = query_number(r, "n");

    FCGX_FPrintF(r->out, "Content-Type: application/octet-stream\r\n\r\n");
    while (left > 0) {
        int n = left < BLOCK_BYTES ? (int)left : BLOCK_BYTES;
        if (FCGX_PutStr(block, n, r->out) < 0)
            return;
        left -= n;
    }
}

static void answer_status(FCGX_Request *r)
{
    long code = query_number(r, "code");

    FCGX_FPrintF(r->out, "Status: %d Told\r\n%sstatus %d\n", (int)code, text_head, (int)code);
}

static void answer_redirect(FCGX_Request *r)
{
    char to[1024];

    FCGX_FPrintF(r->out, "Status: 302 Found\r\nLocation: %s\r\n\r\n", query(r, "to", to, sizeof(to)));
}

static void answer_empty(FCGX_Request *r)
{
    FCGX_PutS(text_head, r->out);
}

static void answer_stderr(FCGX_Request *r)
{
    char word[1024];

    FCGX_FPrintF(r->err, "%s\n", query(r, "word", word, sizeof(word)));
    FCGX_FPrintF(r->out, "%stold\n", text_head);
}

/* What a CGI program would have given to exit(). */
static void answer_exit(FCGX_Request *r)
{
    FCGX_SetExitStatus((int)query_number(r, "code"), r->out);
    FCGX_PutS(text_head, r->out);
}

static void answer_fields(FCGX_Request *r)
{
    FCGX_PutS("X-Long: ", r->out);
    for (long left = query_number(r, "n"); left > 0; left--)
        FCGX_PutChar('x', r->out);
    FCGX_FPrintF(r->out, "\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n%s", text_head);
}

/* The next piece waits until a file says that the last one has arrived. */
static void answer_gate(FCGX_Request *r)
{
    long n = query_number(r, "n");
    char gate[512], file[600];

    query(r, "at", gate, sizeof(gate));
    FCGX_PutS(text_head, r->out);
    for (long i = 1; i <= n; i++) {
        FCGX_FPrintF(r->out, "piece %d\n", (int)i);
        FCGX_FFlush(r->out);
        snprintf(file, sizeof(file), "%s.%ld", gate, i);
        for (int turn = 0; i < n && access(file, F_OK) != 0 && turn < GATE_TURNS; turn++)
            usleep(GATE_TURN_US);
    }
}

static const struct {
    const char *path;
    void (*answer)(FCGX_Request *r);
} routes[] = {
    { "see", answer_see }, { "echo", answer_echo }, { "large", answer_large }, { "status", answer_status },
    { "redirect", answer_redirect }, { "empty", answer_empty }, { "stderr", answer_stderr }, { "fields", answer_fields },
    { "gate", answer_gate }, { "exit", answer_exit },
};

static void answer(FCGX_Request *r)
{
    struct span uri = span_from(span_of_text(param(r, "REQUEST_URI")), 1);
    struct span path = span_first(uri, span_find(span_first(uri, span_find(uri, '?')), '/'));

    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (!span_equal(path, span_of_text(routes[i].path)))
            continue;
        routes[i].answer(r);
        return;
    }
    FCGX_FPrintF(r->out, "Status: 404 Not Found\r\n%s", text_head);
}

/* ---- threads ---- */

/* No lock around accepting, as the library's example has it: a kept connection's next request is awaited in there, too. */
static void *serve(void *unused)
{
    FCGX_Request request;

    (void)unused;
    FCGX_InitRequest(&request, 0, 0);
    while (FCGX_Accept_r(&request) == 0) {
        answer(&request);
        FCGX_Finish_r(&request);
    }
    return NULL;
}

int main(void)
{
    pthread_t threads[THREADS - 1];

    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = (char)(i % 251);
    if (FCGX_Init() != 0)
        return 1;
    signal(SIGTERM, SIG_DFL);            /* the library would wait for a request to come and go */
    for (size_t i = 0; i < THREADS - 1; i++)
        if (pthread_create(&threads[i], NULL, serve, NULL) != 0)
            return 1;
    serve(NULL);
    return 1;                            /* the listening socket is gone */
}
