/* Whole messages: however the bytes are cut, and however little of a body is taken at a time, the same comes out.
 * Input: a byte of choices, two bytes that say where to cut, then the stream. */
#define SPLIT_LOG_BYTES (1 << 16)
#include "tests/protocol/http1_log.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { RESPONSE = 1, HEAD_REQUEST = 2, SIPS = 4, TIGHT = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct http1_limits usual = { .head_bytes = 4096, .fields = 32, .chunk_extension_bytes = 16 };
    static const struct http1_limits tight = { .head_bytes = 64, .fields = 3, .chunk_extension_bytes = 4, .body_bytes = 5 };
    static struct split_log whole;
    struct split_arrival cuts = { .n = 2 };
    struct http1_log l = { .show_fields = true };
    struct span bytes;

    if (size < 3 || size > 4000)
        return 0;
    bytes = span_of(data + 3, size - 3);
    l.kind = data[0] & RESPONSE ? HTTP1_RESPONSE : HTTP1_REQUEST;
    l.head_request = (data[0] & HEAD_REQUEST) != 0;
    l.parse = http1_parse_new(l.kind, data[0] & TIGHT ? &tight : &usual);
    cuts.stops[0] = bytes.n * data[1] / 256;
    cuts.stops[1] = cuts.stops[0] + (bytes.n - cuts.stops[0]) * data[2] / 256;

    whole.n = 0;
    whole.text[0] = '\0';
    http1_log_run(&l, bytes, &(struct split_arrival){ .n = 0 }, &whole);
    l.most_taken = data[0] & SIPS ? 1 : 0;
    split_once("one by one", http1_log_run, &l, bytes, (struct split_arrival){ .step = 1 }, &whole);
    split_once("two cuts", http1_log_run, &l, bytes, cuts, &whole);
    l.most_taken = data[0] & SIPS ? 0 : 3;
    split_once("other sips", http1_log_run, &l, bytes, cuts, &whole);
    http1_parse_free(l.parse);
    return 0;
}
