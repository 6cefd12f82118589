#include "protocol/http1_reader.h"

#include <assert.h>

static int on_head(llhttp_t *llhttp)
{
    ((struct http1_reader *)llhttp->data)->has_head = true;
    return 0;
}

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
    .on_headers_complete = on_head,
    .on_chunk_header = on_chunk,
    .on_message_complete = on_complete,
};

static bool is_pause(llhttp_errno_t error)
{
    return error == HPE_PAUSED || error == HPE_PAUSED_UPGRADE;
}

static bool is_about_framing(llhttp_errno_t error)
{
    return error == HPE_UNEXPECTED_CONTENT_LENGTH || error == HPE_INVALID_CONTENT_LENGTH ||
           error == HPE_INVALID_TRANSFER_ENCODING;
}

/* How many bytes were read, fewer than n after an error; *error_out is HPE_OK after a pause too. */
static size_t feed(struct http1_reader *r, const uint8_t *p, size_t n, llhttp_errno_t *error_out)
{
    llhttp_errno_t error = n > 0 ? llhttp_execute(&r->llhttp, (const char *)p, n) : HPE_OK;
    size_t used;

    *error_out = is_pause(error) ? HPE_OK : error;
    if (error == HPE_OK)
        return n;
    if (error == HPE_PAUSED)
        llhttp_resume(&r->llhttp);
    used = (size_t)((const uint8_t *)llhttp_get_error_pos(&r->llhttp) - p);
    return is_pause(error) || used < n ? used : n - 1;
}

void http1_reader_start(struct http1_reader *r, bool response)
{
    static const char request_line[] = "POST / HTTP/1.1\r\n", status_line[] = "HTTP/1.1 200 OK\r\n";
    llhttp_errno_t error;

    *r = (struct http1_reader){ .has_head = false };
    llhttp_init(&r->llhttp, response ? HTTP_RESPONSE : HTTP_REQUEST, &settings);
    r->llhttp.data = r;
    if (response)
        feed(r, (const uint8_t *)status_line, sizeof(status_line) - 1, &error);
    else
        feed(r, (const uint8_t *)request_line, sizeof(request_line) - 1, &error);
    assert(error == HPE_OK);
}

size_t http1_reader_head(struct http1_reader *r, const uint8_t *p, size_t n)
{
    llhttp_errno_t error;
    size_t used;

    if (r->refused)
        return n;
    used = feed(r, p, n, &error);
    if (!is_about_framing(error))
        return used;
    r->refused = true;
    return n;
}

size_t http1_reader_body(struct http1_reader *r, const uint8_t *p, size_t n)
{
    llhttp_errno_t error;

    r->done = false;
    return feed(r, p, n, &error);
}

uint64_t http1_reader_chunk(struct http1_reader *r)
{
    r->at_chunk = false;
    return r->llhttp.content_length;
}
