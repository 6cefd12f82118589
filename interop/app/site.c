#include "interop/app/site.h"

#include "interop/app/json_line.h"
#include "interop/app/query.h"
#include "protocol/mem.h"

#include <stdio.h>
#include <string.h>

#define FILE_MAX_BYTES (1024 * 1024)
#define LARGE_MAX_BYTES ((uint64_t)1 << 40)
#define STREAM_MAX_PIECES 100000
#define STREAM_MAX_WAIT_MS 10000
#define HEADERS_MAX_BYTES (192 * 1024)

/* --- the page --- */

struct page_file {
    const char *path, *name, *type;
    char *bytes;
    size_t n;
};

static struct page_file files[] = {
    { .path = "/", .name = "index.html", .type = "text/html; charset=utf-8" },
    { .path = "/page.js", .name = "page.js", .type = "text/javascript; charset=utf-8" },
    { .path = "/page.css", .name = "page.css", .type = "text/css; charset=utf-8" },
};
#define FILES (sizeof(files) / sizeof(files[0]))

static bool file_read(const char *root, struct page_file *f)
{
    char path[4096];
    FILE *in;

    snprintf(path, sizeof(path), "%s/%s", root, f->name);
    in = fopen(path, "rb");
    if (in == NULL) {
        perror(path);
        return false;
    }
    f->bytes = mem_alloc(FILE_MAX_BYTES);
    f->n = f->bytes != NULL ? fread(f->bytes, 1, FILE_MAX_BYTES, in) : 0;
    fclose(in);
    return f->n > 0;
}

bool site_read(const char *root)
{
    bool good = true;

    for (size_t i = 0; i < FILES; i++)
        good = file_read(root, &files[i]) && good;
    return good;
}

void site_free(void)
{
    for (size_t i = 0; i < FILES; i++)
        mem_free(files[i].bytes);
}

/* --- the answers --- */

static void answer_text(struct http_reply *reply, unsigned status, const char *text)
{
    reply->status = status;
    reply->body = span_of_text(text);
}

static void answer_hello(const struct http_request *request, struct http_reply *reply)
{
    (void)request;
    answer_text(reply, 200, "Hello from the application behind the gateway.\n");
}

static void answer_headers(const struct http_request *request, struct http_reply *reply)
{
    char *room = arena_alloc(request->arena, HEADERS_MAX_BYTES);
    struct json_line text = json_line_over(room, room != NULL ? HEADERS_MAX_BYTES : 0);

    json_line_bytes(&text, request->head->method);
    json_line_raw(&text, " ");
    json_line_bytes(&text, request->head->target);
    json_line_raw(&text, request->head->version_minor == 1 ? " HTTP/1.1\n" : " HTTP/1.0\n");
    for (size_t i = 0; i < request->head->fields.n; i++) {
        json_line_bytes(&text, request->head->fields.fields[i].name);
        json_line_raw(&text, ": ");
        json_line_bytes(&text, request->head->fields.fields[i].value);
        json_line_raw(&text, "\n");
    }
    reply->body = json_line_span(&text);
}

static void answer_upload(const struct http_request *request, struct http_reply *reply)
{
    static const char *const framings[] = {
        [HTTP1_BODY_NONE] = "none", [HTTP1_BODY_LENGTH] = "length", [HTTP1_BODY_CHUNKED] = "chunked", [HTTP1_BODY_CLOSE] = "close"
    };
    char *text = arena_alloc(request->arena, 256);

    if (text == NULL) {
        answer_text(reply, 503, "out of memory\n");
        return;
    }
    snprintf(text, 256, "{\"bytes\":%llu,\"fnv1a64\":\"%016llx\",\"framing\":\"%s\",\"trailers\":%zu}\n",
             (unsigned long long)request->body_bytes, (unsigned long long)request->body_hash, framings[request->head->body],
             request->trailers->n);
    reply->type = "application/json";
    reply->body = span_of_text(text);
}

static size_t stream_next(struct http_reply *r, uint8_t *out, size_t room, uint64_t *wait_ms_out)
{
    int n;

    if (r->done == r->pieces)
        return 0;
    n = snprintf((char *)out, room, "piece %llu of %llu\n", (unsigned long long)++r->done, (unsigned long long)r->pieces);
    *wait_ms_out = r->done < r->pieces ? r->every_ms : 0;
    return (size_t)n;
}

static void answer_stream(const struct http_request *request, struct http_reply *reply)
{
    reply->next = stream_next;
    reply->framing = HTTP1_BODY_CHUNKED;
    reply->pieces = query_number(request->query, "n", 10, STREAM_MAX_PIECES);
    reply->every_ms = query_number(request->query, "ms", 200, STREAM_MAX_WAIT_MS);
}

/* Byte i is the i-th of this line, over and over. */
static const char large_line[] = "The quick brown fox jumps over the lazy dog, 0123456789 times.\r\n";
#define LARGE_LINE_BYTES (sizeof(large_line) - 1)

static size_t large_next(struct http_reply *r, uint8_t *out, size_t room, uint64_t *wait_ms_out)
{
    size_t n = r->length - r->done < room ? (size_t)(r->length - r->done) : room;
    size_t offset = (size_t)(r->done % LARGE_LINE_BYTES);

    (void)wait_ms_out;
    for (size_t at = 0, step; at < n; at += step, offset = 0) {
        step = LARGE_LINE_BYTES - offset < n - at ? LARGE_LINE_BYTES - offset : n - at;
        memcpy(out + at, large_line + offset, step);
    }
    r->done += n;
    return n;
}

static void answer_large(const struct http_request *request, struct http_reply *reply)
{
    reply->next = large_next;
    reply->framing = HTTP1_BODY_LENGTH;
    reply->length = query_number(request->query, "n", 1024 * 1024, LARGE_MAX_BYTES);
}

struct http_route {
    const char *path;
    const char *allow;
    void (*answer)(const struct http_request *request, struct http_reply *reply);
};

static const struct http_route routes[] = {
    { "/hello", "GET, HEAD", answer_hello },
    { "/headers", NULL, answer_headers },
    { "/upload", "POST, PUT", answer_upload },
    { "/stream", "GET, HEAD", answer_stream },
    { "/large", "GET, HEAD", answer_large },
};

static bool allows(const char *allow, struct span method)
{
    struct list_walk walk = list_walk_value(span_of_text(allow));
    struct span allowed = method;

    while (allow != NULL && list_walk_next(&walk, &allowed) && !span_equal(allowed, method))
        continue;
    return span_equal(allowed, method);
}

static bool answer_file(const struct http_request *request, struct http_reply *reply)
{
    for (size_t i = 0; i < FILES; i++) {
        if (files[i].n == 0 || !span_equal(request->path, span_of_text(files[i].path)))
            continue;
        reply->type = files[i].type;
        reply->body = span_of(files[i].bytes, files[i].n);
        return true;
    }
    return false;
}

void site_answer(const struct http_request *request, struct http_reply *reply)
{
    const struct http_route *r = routes;
    const struct http_route *end = routes + sizeof(routes) / sizeof(routes[0]);

    if (answer_file(request, reply))
        return;
    while (r < end && !span_equal(request->path, span_of_text(r->path)))
        r++;
    if (r == end) {
        answer_text(reply, 404, "There is nothing here. Try /hello, /headers, /upload, /stream or /large.\n");
    } else if (!allows(r->allow, request->head->method)) {
        reply->allow = r->allow;
        answer_text(reply, 405, "This path takes another method.\n");
    } else {
        r->answer(request, reply);
    }
}
