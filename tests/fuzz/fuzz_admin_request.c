/* Requests to the admin endpoint: whatever comes, it is either refused with a status and a sentence, or what was read of it makes sense. */
#include "gateway/admin_request.h"
#include "protocol/mem.h"

#include <stdlib.h>

static void require(bool good)
{
    if (!good)
        abort();
}

static void check(const struct admin_request *r, const struct admin_verdict *v)
{
    require((v->status == 0) == (v->sentence == NULL));
    require(v->status == 0 || v->status == 400 || v->status == 403);
    if (v->status != 0)
        return;
    require(r->path.n > 0 && r->path.p[0] == '/');
    require(r->parameters_n <= ADMIN_PARAMETERS_MAX);
    for (size_t i = 0; i < r->parameters_n; i++) {
        require(span_find(r->parameters[i].value, '\0') == r->parameters[i].value.n);
        for (size_t k = 0; k < i; k++)
            require(!span_equal(r->parameters[i].name, r->parameters[k].name));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char host[] = "gw1.internal", *hosts[] = { host };
    const struct conf_admin conf = { .address = { .kind = CONF_ADDRESS_IP }, .hosts = hosts, .hosts_n = 1 };
    const struct http1_limits limits = { .head_bytes = 16 * 1024, .fields = 100, .chunk_extension_bytes = 256 };
    struct http1_parse *parse = http1_parse_new(HTTP1_REQUEST, &limits);
    struct http1_result result;
    struct admin_request request;
    struct admin_verdict verdict;
    struct arena arena;

    if (parse == NULL)
        return 0;
    arena_init(&arena, 64 * 1024);
    http1_parse_next(parse, data, size, &result);
    if (result.event == HTTP1_HEAD) {
        verdict = admin_request_read(&arena, result.head, &conf, "upgate", &request);
        check(&request, &verdict);
    }
    arena_free(&arena);
    http1_parse_free(parse);
    return 0;
}
