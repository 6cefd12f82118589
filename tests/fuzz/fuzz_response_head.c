/* Response heads: what the parser lets through is lawful, has one meaning, and says nothing of a body where none can be.
 * Input: a byte that says whether a HEAD is answered, then the head. */
#include "protocol/rules.h"
#include "protocol/token.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_head(const struct http1_head *head, bool head_request)
{
    bool bodiless = head_request || head->status < 200 || head->status == 204 || head->status == 304;

    assert(head->status >= 100 && head->status <= 599 && token_is_field_value(head->reason) && head->version_minor <= 1);
    for (size_t i = 0; i < head->fields.n; i++)
        assert(token_is_token(head->fields.fields[i].name) && token_is_field_value(head->fields.fields[i].value));
    if (bodiless)
        assert(head->body == HTTP1_BODY_NONE);
    else
        assert(head->body != HTTP1_BODY_NONE);
    if (head->body == HTTP1_BODY_CLOSE)
        assert(!head->keep_alive);
    if (head->status != 101)
        assert(headers_count(&head->fields, SPAN_LITERAL("content-length")) +
               headers_count(&head->fields, SPAN_LITERAL("transfer-encoding")) <= 1);
    assert(rules_check_response(head, head_request) == FAULT_NONE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http1_limits limits = { .head_bytes = 8192, .fields = 64, .chunk_extension_bytes = 16 };
    struct http1_parse *h;
    struct http1_result r;
    size_t used;

    if (size == 0)
        return 0;
    h = http1_parse_new(HTTP1_RESPONSE, &limits);
    http1_parse_expect(h, data[0] & 1);
    used = http1_parse_next(h, data + 1, size - 1, &r);
    assert(used < size);
    if (r.event == HTTP1_HEAD)
        check_head(r.head, data[0] & 1);
    else
        assert(r.event == HTTP1_FAULT || (r.event == HTTP1_MORE && used == size - 1));
    http1_parse_free(h);
    return 0;
}
