#include "protocol/http1_reader.h"

#include <assert.h>
#include <string.h>

static int on_chunk(llhttp_t *llhttp)
{
    ((struct http1_reader *)llhttp->data)->at_chunk = true;
    return HPE_PAUSED;
}

static int on_complete(llhttp_t *llhttp)
{
    ((struct http1_reader *)llhttp->data)->done = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_chunk_header = on_chunk,
    .on_message_complete = on_complete,
};

static bool is_about_framing(llhttp_errno_t error)
{
    return error == HPE_UNEXPECTED_CONTENT_LENGTH || error == HPE_INVALID_CONTENT_LENGTH ||
           error == HPE_INVALID_TRANSFER_ENCODING;
}

#define REQUEST_LINE "POST / HTTP/1.1\r\n"
#define STATUS_LINE "HTTP/1.1 200 OK\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n\r\n"

enum beginning { REQUEST_FIELDS, RESPONSE_FIELDS, REQUEST_CHUNKS, RESPONSE_CHUNKS, BEGINNINGS };

static void read_beginning(llhttp_t *llhttp, enum beginning b)
{
    static const char *const texts[] = {
        [REQUEST_FIELDS] = REQUEST_LINE, [RESPONSE_FIELDS] = STATUS_LINE,
        [REQUEST_CHUNKS] = REQUEST_LINE CHUNKED, [RESPONSE_CHUNKS] = STATUS_LINE CHUNKED,
    };
    struct http1_reader behind_a_head = { .stopped = false };

    llhttp_init(llhttp, b == RESPONSE_FIELDS || b == RESPONSE_CHUNKS ? HTTP_RESPONSE : HTTP_REQUEST, &settings);
    llhttp->data = &behind_a_head;
    llhttp_execute(llhttp, texts[b], strlen(texts[b]));
    llhttp->data = NULL;
    assert(llhttp_get_errno(llhttp) == HPE_OK);
}

/* Our own start lines are the same each time: each thread reads them once, and begins with a copy of what came of it. */
static void start(struct http1_reader *r, enum beginning b)
{
    static _Thread_local struct {
        bool made;
        llhttp_t llhttp;
    } begun[BEGINNINGS];

    if (!begun[b].made)
        read_beginning(&begun[b].llhttp, b);
    begun[b].made = true;
    *r = (struct http1_reader){ .llhttp = begun[b].llhttp };
    r->llhttp.data = r;
}

void http1_reader_start_head(struct http1_reader *r, bool response)
{
    start(r, response ? RESPONSE_FIELDS : REQUEST_FIELDS);
}

void http1_reader_start_chunks(struct http1_reader *r, bool response)
{
    start(r, response ? RESPONSE_CHUNKS : REQUEST_CHUNKS);
}

/* Whether it took them all. A pause is ours and stands at the end of what was given, or is that of an upgrade, behind a head. */
static llhttp_errno_t feed(struct http1_reader *r, const uint8_t *p, size_t n)
{
    llhttp_errno_t error = n > 0 && !r->stopped ? llhttp_execute(&r->llhttp, (const char *)p, n) : HPE_OK;

    if (error == HPE_PAUSED && llhttp_get_error_pos(&r->llhttp) == (const char *)p + n) {
        llhttp_resume(&r->llhttp);
        error = HPE_OK;
    }
    r->stopped = r->stopped || error != HPE_OK;
    return error;
}

void http1_reader_head(struct http1_reader *r, const uint8_t *p, size_t n)
{
    llhttp_errno_t error = feed(r, p, n);

    if (error != HPE_OK && error != HPE_PAUSED_UPGRADE && !is_about_framing(error))
        r->refused = true;
}

void http1_reader_chunks(struct http1_reader *r, const uint8_t *p, size_t n)
{
    r->at_chunk = false;
    r->done = false;
    if (feed(r, p, n) != HPE_OK)
        r->refused = true;
}

uint64_t http1_reader_chunk_size(const struct http1_reader *r)
{
    return r->llhttp.content_length;
}
