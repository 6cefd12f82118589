/* messages: what the clients of one run send, and what has to come back, made once. */
#include "tests/bench/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STREAM_MIN_BYTES 65536           /* one way: as many whole messages as make this are sent in one call */
#define REQUEST_HEAD_BYTES 1024

struct messages messages;

static const uint8_t mask[4] = { 0x3a, 0xc5, 0x91, 0x5e };
static const char words[] = "The quick brown fox jumps over the lazy dog, na\xc3\xafve caf\xc3\xa9, 5 \xe2\x82\xac; and on we go. ";

void messages_put_words(uint8_t *out, size_t n)
{
    const size_t step = sizeof(words) - 1;
    size_t at = 0;

    for (; at + step <= n; at += step)
        memcpy(out + at, words, step);
    memset(out + at, 'x', n - at);
}

static const char *path_of(const struct run *run)
{
    static char bytes[64];

    if (run->path != NULL)
        return run->path;
    switch (run->kind) {
    case LOAD_REQUESTS:
        return "/hello";
    case LOAD_DOWNLOADS:
        snprintf(bytes, sizeof(bytes), LOAD_BYTES_PATH "%zu", run->message_bytes);
        return bytes;
    case LOAD_ONEWAY:
        return "/sink";
    default:
        return "/echo";
    }
}

/* ---- requests ---- */

static void make_request(const struct run *run)
{
    bool posts = run->kind == LOAD_POSTS;
    const char *host = run->host != NULL ? run->host : "bench.example";
    size_t body_bytes = posts ? run->message_bytes : 0;
    char length[80] = "";
    int n;

    if (posts)
        snprintf(length, sizeof(length), "Content-Type: text/plain\r\nContent-Length: %zu\r\n", body_bytes);
    messages.stream = net_alloc(REQUEST_HEAD_BYTES + body_bytes);
    n = snprintf((char *)messages.stream, REQUEST_HEAD_BYTES, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: bench\r\nAccept: */*\r\n%s\r\n",
                 posts ? "POST" : "GET", path_of(run), host, length);
    messages_put_words(messages.stream + n, body_bytes);
    messages.stream_bytes = (size_t)n + body_bytes;
    messages.reply_bytes = run->kind == LOAD_REQUESTS ? sizeof(LOAD_BODY) - 1 : run->message_bytes;
    messages.reply = net_alloc(messages.reply_bytes + 1);
    if (run->kind == LOAD_REQUESTS)
        memcpy(messages.reply, LOAD_BODY, messages.reply_bytes);
    else
        messages_put_words(messages.reply, messages.reply_bytes);
}

/* ---- frames ---- */

static size_t put_head(uint8_t *out, const struct run *run, bool masked)
{
    size_t length = run->message_bytes, form = length < 126 ? 0 : length < 65536 ? 2 : 8, n = 2;

    out[0] = run->binary ? 0x82 : 0x81;
    out[1] = (uint8_t)((masked ? 128u : 0u) | (form == 0 ? length : form == 2 ? 126u : 127u));
    for (size_t i = 0; i < form; i++)
        out[n++] = (uint8_t)(length >> (8 * (form - 1 - i)));
    if (masked) {
        memcpy(out + n, mask, sizeof(mask));
        n += sizeof(mask);
    }
    return n;
}

static size_t copies_of(const struct run *run)
{
    if (run->kind == LOAD_ONEWAY)
        return 1 + STREAM_MIN_BYTES / messages.frame_bytes;
    return run->kind == LOAD_ECHO && run->depth > 0 ? run->depth : 1;
}

static void make_frames(const struct run *run)
{
    size_t head;

    messages.reply = net_alloc(run->message_bytes + 14);
    head = put_head(messages.reply, run, false);
    messages_put_words(messages.reply + head, run->message_bytes);
    messages.reply_bytes = head + run->message_bytes;
    messages.frame_bytes = messages.reply_bytes + sizeof(mask);
    messages.stream_bytes = copies_of(run) * messages.frame_bytes;
    messages.stream = net_alloc(messages.stream_bytes);
    for (size_t i = 0; i < messages.stream_bytes; i += messages.frame_bytes) {
        uint8_t *payload = messages.stream + i + put_head(messages.stream + i, run, true);
        for (size_t k = 0; k < run->message_bytes; k++)
            payload[k] = messages.reply[head + k] ^ mask[k % 4];
    }
    messages.offer_bytes = (size_t)snprintf(messages.offer, sizeof(messages.offer), "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\n"
                                            "Connection: Upgrade\r\nSec-WebSocket-Key: " LOAD_KEY "\r\nSec-WebSocket-Version: 13\r\n"
                                            "User-Agent: bench\r\n\r\n", path_of(run), run->host != NULL ? run->host : "bench.example");
}

void messages_make(const struct run *run)
{
    free(messages.stream);
    free(messages.reply);
    if (run->kind == LOAD_REQUESTS || run->kind == LOAD_POSTS || run->kind == LOAD_DOWNLOADS)
        make_request(run);
    else
        make_frames(run);
}
