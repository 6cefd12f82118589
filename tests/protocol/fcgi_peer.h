/* fcgi_peer: FastCGI as the other side sees it, for tests: a reader of records and pairs that shares nothing with protocol/,
 * and a builder of the records that an application would send, lawful or not. */
#ifndef UPGATE_TESTS_PROTOCOL_FCGI_PEER_H
#define UPGATE_TESTS_PROTOCOL_FCGI_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- reading what a web server wrote ---- */

struct fcgi_peer_record {
    unsigned version, type, id, content_n, padding_n, reserved;
    const uint8_t *content;
};

/* The record at p; its whole length, or 0 when it is not all there. */
static inline size_t fcgi_peer_record(const uint8_t *p, size_t n, struct fcgi_peer_record *out)
{
    size_t whole;

    *out = (struct fcgi_peer_record){ 0 };
    if (n < 8)
        return 0;
    *out = (struct fcgi_peer_record){ p[0], p[1], p[2] * 256U + p[3], p[4] * 256U + p[5], p[6], p[7], p + 8 };
    whole = (size_t)8 + out->content_n + out->padding_n;
    return whole <= n ? whole : 0;
}

struct fcgi_peer_pair {
    const uint8_t *name, *value;
    size_t name_n, value_n;
};

static inline size_t fcgi_peer_length(const uint8_t *p, size_t n, size_t *at)
{
    size_t i = *at, high = i < n ? p[i] : 0;

    if (i < n && high < 0x80) {
        *at += 1;
        return high;
    }
    if (n - i < 4) {
        *at = SIZE_MAX;
        return 0;
    }
    *at += 4;
    return (high - 0x80) * 0x1000000 + (size_t)p[i + 1] * 0x10000 + (size_t)p[i + 2] * 0x100 + p[i + 3];
}

/* The pair at p; its whole length, or 0 when it is not all there. */
static inline size_t fcgi_peer_pair(const uint8_t *p, size_t n, struct fcgi_peer_pair *out)
{
    size_t at = 0;

    *out = (struct fcgi_peer_pair){ 0 };
    out->name_n = fcgi_peer_length(p, n, &at);
    if (at == SIZE_MAX)
        return 0;
    out->value_n = fcgi_peer_length(p, n, &at);
    if (at == SIZE_MAX || at + out->name_n + out->value_n > n)
        return 0;
    out->name = p + at;
    out->value = p + at + out->name_n;
    return at + out->name_n + out->value_n;
}

/* ---- writing what an application sends ---- */

struct fcgi_peer_bytes {
    uint8_t *p;
    size_t n, capacity;
};

static inline void fcgi_peer_put(struct fcgi_peer_bytes *b, const void *p, size_t n)
{
    if (b->n + n > b->capacity) {
        b->capacity = 2 * b->capacity + n + 64;
        b->p = realloc(b->p, b->capacity);
        if (b->p == NULL)
            abort();
    }
    if (n > 0)
        memcpy(b->p + b->n, p, n);
    b->n += n;
}

static inline void fcgi_peer_free(struct fcgi_peer_bytes *b)
{
    free(b->p);
    *b = (struct fcgi_peer_bytes){ 0 };
}

static inline void fcgi_peer_header(struct fcgi_peer_bytes *b, unsigned version, unsigned type, unsigned id, size_t content_n,
                                    size_t padding_n)
{
    const uint8_t header[8] = { (uint8_t)version, (uint8_t)type, (uint8_t)(id / 256), (uint8_t)(id % 256),
                                (uint8_t)(content_n / 256), (uint8_t)(content_n % 256), (uint8_t)padding_n, 0x5a };

    fcgi_peer_put(b, header, sizeof(header));
}

/* Padding is anything but zeros: it has to be ignored. */
static inline void fcgi_peer_send(struct fcgi_peer_bytes *b, unsigned type, unsigned id, const void *content, size_t content_n,
                                  size_t padding_n)
{
    uint8_t padding[255];

    memset(padding, 1, sizeof(padding));
    fcgi_peer_header(b, 1, type, id, content_n, padding_n);
    fcgi_peer_put(b, content, content_n);
    fcgi_peer_put(b, padding, padding_n);
}

static inline void fcgi_peer_end(struct fcgi_peer_bytes *b, unsigned id, uint32_t app_status, unsigned protocol_status,
                                 size_t padding_n)
{
    const uint8_t body[8] = { (uint8_t)(app_status >> 24), (uint8_t)(app_status >> 16), (uint8_t)(app_status >> 8),
                              (uint8_t)app_status, (uint8_t)protocol_status, 9, 9, 9 };

    fcgi_peer_send(b, 3, id, body, sizeof(body), padding_n);
}

#endif
