/* origin: what a server and a client can do by themselves in a scripted world.
 *
 * The origin answers each whole request by what its target says; the browser, so to speak, hangs up when the gateway does.
 *
 *   /plain    200, Content-Length                           /empty   204
 *   /chunked  200 in two chunks, with a trailer             /100     100, then 200
 *   /close    200 until the connection ends                 /last    200 and Connection: close
 *   /bad      101 with a wrong accept                       /silent  nothing at all
 *   others    101 to an upgrade, or 404
 *
 * The body of an answer names the method, the target, and how long the request's body was. Include world.h first. */
#ifndef UPGATE_TESTS_GATEWAY_ORIGIN_H
#define UPGATE_TESTS_GATEWAY_ORIGIN_H

#include "tests/gateway/world.h"

#define WS_KEY "dGhlIHNhbXBsZSBub25jZQ=="        /* the key and the accept of RFC 6455 section 1.3 */
#define WS_ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define WS_OFFER_FIELDS \
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " WS_KEY "\r\n"
#define WS_REQUEST_TO(target) "GET " target " HTTP/1.1\r\nHost: a.test\r\n" WS_OFFER_FIELDS "\r\n"
#define WS_REQUEST WS_REQUEST_TO("/ws")
#define WS_101_HEAD "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
#define WS_101 WS_101_HEAD "Sec-WebSocket-Accept: " WS_ACCEPT "\r\n\r\n"

static inline size_t origin_number(const char *head, const char *name)
{
    const char *at = strcasestr(head, name);

    return at != NULL ? strtoul(at + strlen(name), NULL, 10) : 0;
}

/* Where a chunked body that begins at `at` ends, or 0. */
static inline size_t origin_chunks_size(const char *text, size_t at, size_t *body_out)
{
    const char *end = strstr(text + at, "\r\n");
    size_t size = strtoul(text + at, NULL, 16);

    *body_out = 0;
    while (end != NULL && size > 0) {
        *body_out += size;
        at = (size_t)(end - text) + 2 + size + 2;
        if (at > strlen(text))
            return 0;
        end = strstr(text + at, "\r\n");
        size = strtoul(text + at, NULL, 16);
    }
    end = end != NULL ? strstr(end, "\r\n\r\n") : NULL;
    return end != NULL ? (size_t)(end - text) + 4 : 0;
}

/* The size of the request at text, its body included, or 0 when it is not whole. */
static inline size_t origin_request_size(const char *text, size_t *body_out)
{
    const char *end = strstr(text, "\r\n\r\n");
    char head[8192];
    size_t n;

    if (end == NULL)
        return 0;
    n = (size_t)(end - text) + 4;
    assert_true(n < sizeof(head));
    memcpy(head, text, n);
    head[n] = '\0';
    if (strcasestr(head, "Transfer-Encoding: chunked") == NULL) {
        *body_out = origin_number(head, "\r\nContent-Length:");
        return strlen(text) >= n + *body_out ? n + *body_out : 0;
    }
    return origin_chunks_size(text, n, body_out);
}

static inline bool origin_target_is(const char *target, const char *what)
{
    size_t n = strlen(what);

    return strncmp(target, what, n) == 0 && (target[n] == ' ' || target[n] == '?' || target[n] == '/');
}

static inline void origin_answer(struct peer *p, const char *request, size_t body)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    int line = (int)strcspn(request, "\r") - 9;
    const char *target = strchr(request, ' ') + 1;
    bool is_head = strncmp(request, "HEAD ", 5) == 0, is_last = origin_target_is(target, "/last");
    char said[512];
    struct bytes out = { NULL, 0, 0 };

    snprintf(said, sizeof(said), "[%.*s %zu]", line, request, body);
    if (origin_target_is(target, "/silent"))
        return;
    if (origin_target_is(target, "/100"))
        bytes_add_text(&out, "HTTP/1.1 100 Continue\r\n\r\n");
    if (origin_target_is(target, "/chunked"))
        bytes_print(&out, "%sTransfer-Encoding: chunked\r\n\r\n%s", head, is_head ? "" : "4\r\nmany\r\n");
    if (origin_target_is(target, "/chunked") && !is_head)
        bytes_print(&out, "%zx\r\n%s\r\n0\r\nX-Sum: 1\r\n\r\n", strlen(said), said);
    else if (origin_target_is(target, "/close"))
        bytes_print(&out, "%s\r\n%s", head, is_head ? "" : said);
    else if (origin_target_is(target, "/empty"))
        bytes_add_text(&out, "HTTP/1.1 204 No Content\r\n\r\n");
    else if (origin_target_is(target, "/bad"))
        bytes_add_text(&out, WS_101_HEAD "Sec-WebSocket-Accept: wrong\r\n\r\n");
    else if (strstr(request, "\r\nUpgrade: websocket\r\n") != NULL)
        bytes_add_text(&out, WS_101);
    else if (origin_target_is(target, "/plain") || origin_target_is(target, "/100") || is_last)
        bytes_print(&out, "%s%sContent-Length: %zu\r\n\r\n%s", head, is_last ? "Connection: close\r\n" : "", strlen(said),
                    is_head ? "" : said);
    else if (!origin_target_is(target, "/chunked"))
        bytes_add_text(&out, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    peer_give(p, bytes_span(&out));
    if (origin_target_is(target, "/close") || is_last)
        peer_ends(p);
    bytes_free(&out);
}

static inline void origin_react(struct peer *p)
{
    size_t body = 0, n;

    while (p->step < p->got.n && (n = origin_request_size((const char *)p->got.p + p->step, &body)) > 0) {
        if (p->ends == STREAM_OPEN && p->stream != NULL)
            origin_answer(p, (const char *)p->got.p + p->step, body);
        p->step += n;
    }
    if (p->fin)
        peer_ends(p);
}

/* For world.on_server. */
static inline void origin_new(struct world *w, struct peer *p)
{
    (void)w;
    p->react = origin_react;
}

static inline void hang_up_when_finished(struct peer *p)
{
    if (p->fin)
        peer_ends(p);
}

#endif
