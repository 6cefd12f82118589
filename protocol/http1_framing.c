#include "protocol/http1_framing.h"
#include "protocol/token.h"

#define CONNECTION SPAN_LITERAL("connection")
#define CONTENT_LENGTH SPAN_LITERAL("content-length")
#define TRANSFER_ENCODING SPAN_LITERAL("transfer-encoding")
#define CHUNKED SPAN_LITERAL("chunked")

#define LARGEST_LENGTH ((uint64_t)INT64_MAX)     /* more is an overflow in somebody's arithmetic */

struct codings {
    size_t n;
    size_t chunked;
    bool chunked_last;
    bool malformed;
};

/* RFC 9110 section 10.1.4: transfer-coding = token *( OWS ";" OWS transfer-parameter ); RFC 9112 section 7.1: chunked has no
 * parameters. An empty member, which a list may hold, is refused here: recipients differ on it. */
static void read_coding(struct codings *c, struct span member)
{
    size_t semicolon = span_find(member, ';');
    struct span name = token_trim(span_first(member, semicolon));

    c->n++;
    c->chunked_last = span_equal_nocase(name, CHUNKED);
    c->chunked += c->chunked_last;
    if (!token_is_token(name) || (c->chunked_last && semicolon < member.n))
        c->malformed = true;
}

static struct codings read_codings(const struct headers *fields)
{
    struct codings c = { 0 };

    for (size_t i = 0; i < fields->n; i++) {
        struct span rest = fields->fields[i].value;
        size_t comma;

        if (!span_equal_nocase(fields->fields[i].name, TRANSFER_ENCODING))
            continue;
        do {
            comma = span_find(rest, ',');
            read_coding(&c, token_trim(span_first(rest, comma)));
            if (comma + 1 == rest.n)
                c.malformed = true;      /* a comma at the end: an empty member follows */
            rest = span_from(rest, comma + 1);
        } while (rest.n > 0);
    }
    return c;
}

/* RFC 9112 sections 6.1 and 6.3, item 4. test_http1_parse.c: te_* */
static enum fault judge_codings(const struct http1_head *head)
{
    struct codings c = read_codings(&head->fields);

    /* section 6.1: in an HTTP/1.0 message the framing MUST be treated as faulty */
    if (head->version_minor == 0)
        return FAULT_CODING_VERSION;
    /* section 6.1: such a message ought to be handled as an error, and here it is: it is what smuggling is made of */
    if (headers_find(&head->fields, CONTENT_LENGTH) != NULL)
        return FAULT_LENGTH_AND_CODING;
    /* section 7.1: chunked not more than once, and the last one; section 6.3: a request where it is not MUST get a 400 */
    if (c.malformed || c.chunked > 1 || (c.chunked == 1 && !c.chunked_last))
        return FAULT_TRANSFER_ENCODING;
    /* section 6.1: a coding that is not understood gets a 501, and that comes before the question of its place */
    return c.chunked == 1 && c.n == 1 ? FAULT_NONE : FAULT_CODING_UNKNOWN;
}

/* RFC 9110 section 8.6: Content-Length = 1*DIGIT. Repetitions, also of the same number, might be taken for one; they are refused.
 * RFC 9112 section 6.3, item 5. test_http1_parse.c: cl_* */
static enum fault judge_length(struct http1_head *head)
{
    size_t count;
    struct span length = headers_value_and_count(&head->fields, CONTENT_LENGTH, &count);

    if (count != 1)
        return FAULT_CONTENT_LENGTH;
    if (!span_to_u64(length, &head->content_length))
        return FAULT_CONTENT_LENGTH;
    if (head->content_length > LARGEST_LENGTH)
        return FAULT_CONTENT_LENGTH;
    head->has_content_length = true;
    return FAULT_NONE;
}

/* RFC 9112 section 9.3: close wins; HTTP/1.1 persists; HTTP/1.0 does when it says so. test_http1_parse.c: keep_alive_* */
static bool says_keep_alive(const struct http1_head *head)
{
    if (headers_list_has(&head->fields, CONNECTION, SPAN_LITERAL("close")))
        return false;
    return head->version_minor == 1 || headers_list_has(&head->fields, CONNECTION, SPAN_LITERAL("keep-alive"));
}

/* What the fields say, apart from what the status or the method makes of it; `otherwise` when they say nothing. */
static enum fault judge_fields(struct http1_head *head, enum http1_body otherwise)
{
    head->keep_alive = says_keep_alive(head);
    head->body = otherwise;
    if (headers_find(&head->fields, TRANSFER_ENCODING) != NULL) {
        head->body = HTTP1_BODY_CHUNKED;
        return judge_codings(head);
    }
    if (headers_find(&head->fields, CONTENT_LENGTH) != NULL) {
        head->body = HTTP1_BODY_LENGTH;
        return judge_length(head);
    }
    return FAULT_NONE;
}

/* RFC 9112 section 6.3, item 7: a request without framing fields has no body; it never lasts until the connection ends. */
enum fault http1_framing_request(struct http1_head *head)
{
    return judge_fields(head, HTTP1_BODY_NONE);
}

bool http1_framing_bodiless(unsigned status, bool head_request)
{
    return head_request || status < 200 || status == 204 || status == 304;
}

/* RFC 9110 section 8.6 and RFC 9112 section 6.1: a server MUST NOT send framing fields with 1xx and 204. A Content-Length of 0 is
 * common all the same, says what is so, and is dropped on the way. test_http1_parse.c: bodiless_* */
static enum fault judge_bodiless(const struct http1_head *head)
{
    bool never = head->status < 200 || head->status == 204;

    if (never && head->body == HTTP1_BODY_CHUNKED)
        return FAULT_BODY_NOT_ALLOWED;
    if (never && head->content_length > 0)
        return FAULT_BODY_NOT_ALLOWED;
    return FAULT_NONE;
}

enum fault http1_framing_response(struct http1_head *head, bool head_request)
{
    enum fault fault = judge_fields(head, HTTP1_BODY_CLOSE);

    /* a 101's fields are judged against the offer (RFC 6455 section 4.1), by ws_handshake; no body belongs to it in any case */
    if (head->status == 101)
        fault = FAULT_NONE;
    else if (fault == FAULT_NONE)
        fault = judge_bodiless(head);
    if (http1_framing_bodiless(head->status, head_request))
        head->body = HTTP1_BODY_NONE;
    if (head->body == HTTP1_BODY_CLOSE)
        head->keep_alive = false;
    return fault;
}
