/* tls_case: ClientHellos made by hand, in records of any size. */
#ifndef UPGATE_TESTS_PROTOCOL_TLS_CASE_H
#define UPGATE_TESTS_PROTOCOL_TLS_CASE_H

#include "protocol/span.h"

#include <stdlib.h>
#include <string.h>

struct tls_case {
    uint8_t p[131072];
    size_t n;
};

static inline void tls_put(struct tls_case *c, const void *p, size_t n)
{
    if (n > sizeof(c->p) - c->n)
        abort();
    if (n > 0)
        memcpy(c->p + c->n, p, n);
    c->n += n;
}

static inline void tls_put_number(struct tls_case *c, size_t bytes, size_t value)
{
    for (size_t i = bytes; i-- > 0;)
        tls_put(c, &(uint8_t){ (uint8_t)(value >> (8 * i)) }, 1);
}

/* A vector with its length in front: what is put between the two calls. */
static inline size_t tls_open(struct tls_case *c, size_t length_bytes)
{
    tls_put_number(c, length_bytes, 0);
    return c->n;
}

static inline void tls_shut(struct tls_case *c, size_t length_bytes, size_t from)
{
    size_t n = c->n - from;

    for (size_t i = 0; i < length_bytes; i++)
        c->p[from - 1 - i] = (uint8_t)(n >> (8 * i));
}

static inline void tls_put_extension(struct tls_case *c, size_t type, const void *p, size_t n)
{
    tls_put_number(c, 2, type);
    tls_put_number(c, 2, n);
    tls_put(c, p, n);
}

static inline void tls_put_name(struct tls_case *c, struct span name)
{
    size_t data, list;

    tls_put_number(c, 2, 0);
    data = tls_open(c, 2);
    list = tls_open(c, 2);
    tls_put_number(c, 1, 0);
    tls_put_number(c, 2, name.n);
    tls_put(c, name.p, name.n);
    tls_shut(c, 2, list);
    tls_shut(c, 2, data);
}

/* The message up to its extensions, without its header. */
static inline void tls_put_fixed(struct tls_case *c)
{
    static const uint8_t random[32] = { 1, 2, 3 }, session[8] = { 9 }, suites[] = { 0x13, 1, 0x0a, 0x0a }, null = 0;

    tls_put_number(c, 2, 0x0303);
    tls_put(c, random, sizeof(random));
    tls_put_number(c, 1, sizeof(session));
    tls_put(c, session, sizeof(session));
    tls_put_number(c, 2, sizeof(suites));
    tls_put(c, suites, sizeof(suites));
    tls_put_number(c, 1, 1);
    tls_put(c, &null, 1);
}

/* Handshake bytes in records of at most `most` bytes each. */
static inline void tls_put_records(struct tls_case *c, struct span message, size_t most)
{
    while (message.n > 0) {
        struct span piece = span_first(message, most);
        tls_put_number(c, 1, 22);
        tls_put_number(c, 2, 0x0301);
        tls_put_number(c, 2, piece.n);
        tls_put(c, piece.p, piece.n);
        message = span_from(message, piece.n);
    }
}

/* A whole connection's beginning: a ClientHello with this body. */
static inline void tls_put_hello(struct tls_case *c, struct span body, size_t most)
{
    static struct tls_case message;

    message.n = 0;
    tls_put_number(&message, 1, 1);
    tls_put_number(&message, 3, body.n);
    tls_put(&message, body.p, body.n);
    tls_put_records(c, span_of(message.p, message.n), most);
}

/* The plainest one for a name; an empty name: without the extension. */
static inline void tls_put_hello_for(struct tls_case *c, struct span name, size_t most)
{
    static struct tls_case body;
    size_t list;

    body.n = 0;
    tls_put_fixed(&body);
    list = tls_open(&body, 2);
    tls_put_extension(&body, 43, "\2\3\4", 3);
    if (name.n > 0)
        tls_put_name(&body, name);
    tls_shut(&body, 2, list);
    tls_put_hello(c, span_of(body.p, body.n), most);
}

#endif
