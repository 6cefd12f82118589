/* fcgi_app: a FastCGI application in a scripted world: what it was told, read by a reader that shares nothing with the gateway, and
 * what it says.
 *
 * By itself (app_new, for world.on_server) it answers each whole request by what its target says:
 *
 *   /plain    a body without a length                        /length   one with its length
 *   /errors   lines on STDERR in front of it                 /empty    204
 *   /moved    Location, a URL                                /last     an answer, and the connection ends
 *   /silent   nothing at all                                 /busy     END_REQUEST says OVERLOADED
 *
 * The body of an answer names the method, the target, and how long STDIN was. Include world.h first. */
#ifndef UPGATE_TESTS_GATEWAY_FCGI_APP_H
#define UPGATE_TESTS_GATEWAY_FCGI_APP_H

#include "tests/gateway/world.h"

#include "tests/protocol/fcgi_peer.h"

#define APP_REQUESTS_MAX 70

struct app_request {
    unsigned id;
    bool keep, params_over, input_over, aborted;
    struct bytes params, input;
};

/* Everything that a server was sent. */
struct app {
    struct app_request requests[APP_REQUESTS_MAX];
    size_t n;                            /* requests, in the order in which they began */
    size_t read;                         /* bytes, up to the last whole record */
    unsigned questions;                  /* FCGI_GET_VALUES */
};

static inline struct app_request *app_by_id(struct app *a, unsigned id)
{
    for (size_t i = a->n; i > 0; i--)
        if (a->requests[i - 1].id == id)
            return &a->requests[i - 1];
    fail_msg("a record for the request %u, which never began", id);
    return NULL;
}

static inline void app_begin(struct app *a, const struct fcgi_peer_record *r)
{
    struct app_request *q = &a->requests[a->n];

    assert_true(a->n < APP_REQUESTS_MAX);
    assert_int_equal(r->content_n, 8);
    assert_int_equal(r->content[0] * 256 + r->content[1], 1);            /* the responder */
    assert_true(r->content[2] <= 1);
    assert_true(r->id > 0);
    *q = (struct app_request){ .id = r->id, .keep = r->content[2] == 1 };
    a->n++;
}

static inline void app_take(struct app *a, const struct fcgi_peer_record *r)
{
    struct app_request *q;

    assert_int_equal(r->version, 1);
    if (r->type == 9) {
        assert_int_equal(r->id, 0);
        a->questions++;
        return;
    }
    if (r->type == 1) {
        app_begin(a, r);
        return;
    }
    q = app_by_id(a, r->id);
    assert_false(q->aborted);
    if (r->type == 2) {
        q->aborted = true;
    } else if (r->type == 4) {
        assert_false(q->params_over);
        bytes_add(&q->params, r->content, r->content_n);
        q->params_over = r->content_n == 0;
    } else {
        assert_int_equal(r->type, 5);
        assert_true(q->params_over && !q->input_over);
        bytes_add(&q->input, r->content, r->content_n);
        q->input_over = r->content_n == 0;
    }
}

static inline void app_read(struct app *a, const struct peer *p)
{
    struct fcgi_peer_record r;
    size_t n;

    *a = (struct app){ .n = 0 };
    while ((n = fcgi_peer_record(p->got.p + a->read, p->got.n - a->read, &r)) > 0) {
        app_take(a, &r);
        a->read += n;
    }
}

static inline void app_free(struct app *a)
{
    for (size_t i = 0; i < a->n; i++) {
        bytes_free(&a->requests[i].params);
        bytes_free(&a->requests[i].input);
    }
}

/* The nth value of a name, or NULL; static memory, several at a time. */
static inline const char *app_param_nth(const struct app_request *q, const char *name, size_t nth)
{
    static char values[4][8192];
    static size_t next;
    char *value = values[next++ % COUNT_OF(values)];
    struct fcgi_peer_pair pair;
    size_t n;

    for (size_t at = 0; at < q->params.n; at += n) {
        n = fcgi_peer_pair(q->params.p + at, q->params.n - at, &pair);
        assert_true(n > 0);
        if (pair.name_n != strlen(name) || memcmp(pair.name, name, pair.name_n) != 0 || nth-- > 0)
            continue;
        assert_true(pair.value_n < sizeof(values[0]));
        memcpy(value, pair.value, pair.value_n);
        value[pair.value_n] = '\0';
        return value;
    }
    return NULL;
}

static inline const char *app_param(const struct app_request *q, const char *name)
{
    assert_null(app_param_nth(q, name, 1));
    return app_param_nth(q, name, 0);
}

/* ---- what it says ---- */

static inline void app_send(struct peer *p, unsigned type, unsigned id, const void *content, size_t n, size_t padding_n)
{
    struct fcgi_peer_bytes b = { 0 };

    fcgi_peer_send(&b, type, id, content, n, padding_n);
    peer_give(p, span_of(b.p, b.n));
    fcgi_peer_free(&b);
}

static inline void app_out(struct peer *p, unsigned id, const char *text)
{
    app_send(p, 6, id, text, strlen(text), strlen(text) % 8);
}

static inline void app_err(struct peer *p, unsigned id, const char *text)
{
    app_send(p, 7, id, text, strlen(text), 0);
}

/* END_REQUEST with a protocol status. */
static inline void app_end(struct peer *p, unsigned id, unsigned status)
{
    struct fcgi_peer_bytes b = { 0 };

    fcgi_peer_end(&b, id, 0, status, 0);
    peer_give(p, span_of(b.p, b.n));
    fcgi_peer_free(&b);
}

static inline void app_reply(struct peer *p, unsigned id, const char *text)
{
    app_out(p, id, text);
    app_send(p, 6, id, "", 0, 0);
    app_end(p, id, 0);
}

static inline void app_answer(struct peer *p, const struct app_request *q)
{
    const char *target = app_param(q, "REQUEST_URI"), *method = app_param(q, "REQUEST_METHOD");
    char said[9000], text[9200];

    assert_true(target != NULL && method != NULL);
    snprintf(said, sizeof(said), "[%s %s %zu]", method, target, q->input.n);
    snprintf(text, sizeof(text), "Content-Type: text/plain\r\n\r\n%s", said);
    if (strncmp(target, "/silent", 7) == 0)
        return;
    if (strncmp(target, "/busy", 5) == 0) {
        app_end(p, q->id, 2);
        return;
    }
    if (strncmp(target, "/length", 7) == 0)
        snprintf(text, sizeof(text), "Content-Type: text/plain\nContent-Length: %zu\n\n%s", strlen(said), said);
    else if (strncmp(target, "/empty", 6) == 0)
        snprintf(text, sizeof(text), "Status: 204 No Content\r\n\r\n");
    else if (strncmp(target, "/moved", 6) == 0)
        snprintf(text, sizeof(text), "Location: https://b.test/\r\n\r\n");
    else if (strncmp(target, "/errors", 7) == 0)
        app_err(p, q->id, "first line\nsecond line\n");
    app_reply(p, q->id, text);
    if (strncmp(target, "/last", 5) == 0)
        peer_ends(p);
}

static inline void app_react(struct peer *p)
{
    struct app a;

    app_read(&a, p);
    for (; p->step < a.n; p->step++) {
        const struct app_request *q = &a.requests[p->step];
        if (!q->input_over && !q->aborted)
            break;
        if (p->ends != STREAM_OPEN || p->stream == NULL)
            continue;
        if (q->aborted)
            app_end(p, q->id, 0);
        else
            app_answer(p, q);
    }
    app_free(&a);
    if (p->fin)
        peer_ends(p);
}

static inline void app_new(struct world *w, struct peer *p)
{
    (void)w;
    p->react = app_react;
}

#endif
