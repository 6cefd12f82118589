/* Replies of applications: each row at every cut, whole and byte by byte, the body taken whole and in small pieces: the same
 * events, and the same line to blame. */
#include "protocol/fcgi_reply.h"
#include "protocol/http1_write.h"
#include "protocol/mem.h"
#include "protocol/rules.h"
#include "tests/protocol/chance.h"
#include "tests/protocol/http1_log.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

struct row {
    const char *name;                    /* "head_…": to a HEAD; "cut_…": the application has not ended the request */
    const char *bytes;
    size_t n;
    const char *due;
};
#define ROW(name, bytes, due) { name, bytes, sizeof(bytes) - 1, due }
#define T "Content-Type: t\r\n"
#define OK_OPEN "200  1.1 close keep;[Content-Type: t]"

/* As http1_log.h writes it, the fields shown; >path: a local redirect; !word{line}: a fault and the line that is quoted; ~:
 * more is awaited. */
static const struct row rows[] = {
    ROW("plain", T "\r\nabc", OK_OPEN "'abc'."),
    ROW("lf", "Content-Type: t\n\nabc", OK_OPEN "'abc'."),
    ROW("mixed_lines", "Status: 404 Not Found\nContent-Type: t\r\n\nabc", "404 Not Found 1.1 close keep;[Content-Type: t]'abc'."),
    ROW("mixed_lines_2", "Status: 404 Not Found\r\nContent-Type: t\n\r\nabc",
        "404 Not Found 1.1 close keep;[Content-Type: t]'abc'."),
    ROW("body_of_line_ends", T "\r\n\r\n\n\r\n", OK_OPEN "'\\x0d\\x0a\\x0a\\x0d\\x0a'."),
    ROW("no_body", T "\r\n", OK_OPEN "."),
    ROW("cut_body", T "\r\nab", OK_OPEN "'ab'~"),
    ROW("cut_head", T, "~"),
    ROW("fields", T "Set-Cookie: a=1\r\nset-cookie:b=2\r\nX-Y: \t z \t\r\nX-Empty:\r\nX-Blank:  \t\r\n\r\n",
        "200  1.1 close keep;[Content-Type: t|Set-Cookie: a=1|set-cookie: b=2|X-Y: z]."),
    ROW("field_bytes", T "X: \x80\xff\tq\r\n\r\n", "200  1.1 close keep;[Content-Type: t|X: \\x80\\xff\\x09q]."),

    ROW("status", "Status: 200 OK\r\n" T "\r\n", "200 OK 1.1 close keep;[Content-Type: t]."),
    ROW("status_case", "sTATUS:404\r\n" T "\r\n", "404  1.1 close keep;[Content-Type: t]."),
    ROW("status_reason_words", "Status: 599  a b c \r\n" T "\r\n", "599 a b c 1.1 close keep;[Content-Type: t]."),
    ROW("status_reason_bytes", "Status: 200 \xc3\xa9\r\n" T "\r\n", "200 \\xc3\\xa9 1.1 close keep;[Content-Type: t]."),
    ROW("status_alone", "Status: 404 Gone\r\n\r\n", "404 Gone 1.1 length=0 keep;[]."),
    ROW("status_empty", "Status:\r\n" T "\r\n", OK_OPEN "."),
    ROW("status_100", "Status: 100 Continue\r\n" T "\r\n", "!fcgi_status{Status: 100 Continue}"),
    ROW("status_101", "Status: 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
        "!fcgi_status{Status: 101 Switching Protocols}"),
    ROW("status_103", "Status: 103\r\n\r\n", "!fcgi_status{Status: 103}"),
    ROW("status_199", "Status: 199\r\n\r\n", "!fcgi_status{Status: 199}"),
    ROW("status_600", "Status: 600\r\n\r\n", "!fcgi_status{Status: 600}"),
    ROW("status_000", "Status: 000\r\n\r\n", "!fcgi_status{Status: 000}"),
    ROW("status_20", "Status: 20\r\n\r\n", "!fcgi_status{Status: 20}"),
    ROW("status_2000", "Status: 2000\r\n\r\n", "!fcgi_status{Status: 2000}"),
    ROW("status_200x", "Status: 200OK\r\n\r\n", "!fcgi_status{Status: 200OK}"),
    ROW("status_words", "Status: OK 200\r\n\r\n", "!fcgi_status{Status: OK 200}"),
    ROW("status_signed", "Status: +20 x\r\n\r\n", "!fcgi_status{Status: +20 x}"),

    ROW("location", "Location: http://x/y\r\n\r\n", "302  1.1 length=0 keep;[Location: http://x/y]."),
    ROW("location_with_body", "Location: http://x/y\r\n" T "\r\nsee",
        "302  1.1 close keep;[Location: http://x/y|Content-Type: t]'see'."),
    ROW("location_with_status", "Status: 301 Moved\r\nLocation: /y\r\n\r\n", "301 Moved 1.1 length=0 keep;[Location: /y]."),
    ROW("location_after_type", T "Location: http://x/y\r\n\r\n", "302  1.1 close keep;[Content-Type: t|Location: http://x/y]."),
    ROW("location_201", "Status: 201 Created\r\nLocation: /y\r\n" T "\r\nx",
        "201 Created 1.1 close keep;[Location: /y|Content-Type: t]'x'."),
    ROW("location_relative", "Location: y\r\n\r\n", "302  1.1 length=0 keep;[Location: y]."),
    ROW("location_empty", "Location:\r\n" T "\r\n", OK_OPEN "."),
    ROW("local", "Location: /y?z\r\n\r\n", "302  1.1 length=0 keep;[Location: /y?z]>/y?z."),
    ROW("local_root", "location: /\n\n", "302  1.1 length=0 keep;[location: /]>/."),
    ROW("local_empty_others", "Location: /y\r\nStatus:\r\nContent-Type: \r\n\r\n", "302  1.1 length=0 keep;[Location: /y]>/y."),
    ROW("local_is_no_host", "Location: //evil/y\r\n\r\n", "302  1.1 length=0 keep;[Location: //evil/y]."),
    ROW("local_with_type", "Location: /y\r\n" T "\r\n", "302  1.1 close keep;[Location: /y|Content-Type: t]."),
    ROW("local_with_others", "Location: /y\r\nX-A: b\r\n\r\n", "302  1.1 length=0 keep;[Location: /y|X-A: b]."),
    ROW("local_with_length", "Location: /y\r\nContent-Length: 0\r\n\r\n", "302  1.1 length=0 keep;[Location: /y]."),
    ROW("local_with_body", "Location: /y\r\n\r\nx", "!fcgi_content_type{Location: /y}"),

    ROW("type_missing", "Status: 200 OK\r\nX-A: b\r\n\r\nx", "!fcgi_content_type{Status: 200 OK}"),
    ROW("type_missing_length", "Status: 200 OK\r\nContent-Length: 1\r\n\r\nx", "!fcgi_content_type{Status: 200 OK}"),
    ROW("type_missing_length_0", "Status: 200 OK\r\nContent-Length: 0\r\n\r\n", "200 OK 1.1 length=0 keep;[]."),
    ROW("type_missing_no_body", "Status: 200 OK\r\nX-A: b\r\n\r\n", "200 OK 1.1 length=0 keep;[X-A: b]."),
    ROW("type_missing_promised", "Status: 200 OK\r\nContent-Length: 1\r\n\r\n", "!truncated{}"),
    ROW("cut_type_missing", "Status: 200 OK\r\n\r\n", "~"),
    ROW("cut_type_missing_length_0", "Status: 200 OK\r\nContent-Length: 0\r\n\r\n", "200 OK 1.1 length=0 keep;[]~"),
    ROW("nothing_of_cgi", "X-A: b\r\n\r\n", "!fcgi_no_cgi_field{X-A: b}"),
    ROW("nothing_of_cgi_length", "Content-Length: 0\r\n\r\n", "!fcgi_no_cgi_field{Content-Length: 0}"),
    ROW("nothing_at_all", "\r\n", "!fcgi_no_cgi_field{}"),
    ROW("nothing_at_all_lf", "\n", "!fcgi_no_cgi_field{}"),
    ROW("nothing_before_a_body", "\n<html>", "!fcgi_no_cgi_field{}"),
    ROW("empty", "", "!truncated{}"),
    ROW("truncated_line", "Content-Type: t", "!truncated{Content-Type: t}"),
    ROW("truncated_head", T, "!truncated{Content-Type: t}"),
    ROW("truncated_cr", T "\r", "!truncated{Content-Type: t}"),

    ROW("repeated_status", "Status: 200\r\nStatus: 200\r\n\r\n", "!fcgi_repeated{Status: 200}"),
    ROW("repeated_type", T "content-type: u\r\n\r\n", "!fcgi_repeated{content-type: u}"),
    ROW("repeated_location", "Location: /a\r\nLocation: /a\r\n\r\n", "!fcgi_repeated{Location: /a}"),
    ROW("repeated_length", T "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", "!content_length{Content-Length: 1}"),

    ROW("length", T "Content-Length: 3\r\n\r\nabc", "200  1.1 length=3 keep;[Content-Type: t]'abc'."),
    ROW("length_first", "Content-Length: 3\r\n" T "\r\nabc", "200  1.1 length=3 keep;[Content-Type: t]'abc'."),
    ROW("length_0", T "Content-Length: 0\r\n\r\n", "200  1.1 length=0 keep;[Content-Type: t]."),
    ROW("length_short", T "Content-Length: 3\r\n\r\nab", "200  1.1 length=3 keep;[Content-Type: t]'ab'!truncated{}"),
    ROW("length_none", T "Content-Length: 3\r\n\r\n", "200  1.1 length=3 keep;[Content-Type: t]!truncated{}"),
    ROW("length_excess", T "Content-Length: 3\r\n\r\nabcd", "200  1.1 length=3 keep;[Content-Type: t]'abc'!excess{}"),
    ROW("length_0_excess", "Status: 200\r\nContent-Length: 0\r\n\r\nd", "200  1.1 length=0 keep;[]!excess{}"),
    ROW("cut_length", T "Content-Length: 3\r\n\r\nabc", "200  1.1 length=3 keep;[Content-Type: t]'abc'~"),
    ROW("length_empty", T "Content-Length:\r\n\r\nabc", OK_OPEN "'abc'."),
    ROW("length_signed", T "Content-Length: -1\r\n\r\n", "!content_length{Content-Length: -1}"),
    ROW("length_list", T "Content-Length: 1, 1\r\n\r\n", "!content_length{Content-Length: 1, 1}"),
    ROW("length_hex", T "Content-Length: 0x1\r\n\r\n", "!content_length{Content-Length: 0x1}"),
    ROW("length_overflow", T "Content-Length: 18446744073709551616\r\n\r\n",
        "!content_length{Content-Length: 18446744073709551616}"),
    ROW("length_63_bits", T "Content-Length: 9223372036854775808\r\n\r\n",
        "!content_length{Content-Length: 9223372036854775808}"),

    ROW("dropped", T "Transfer-Encoding: chunked\r\nConnection: close, X-A\r\nKeep-Alive: 1\r\n"
        "Upgrade: h2c\r\nTrailer: X\r\nX-A: b\r\n"
        "Proxy-Connection: x\r\n\r\nabc", "200  1.1 close keep;[Content-Type: t|X-A: b]'abc'."),
    ROW("dropped_disguise", T "Transfer_Encoding: chunked\r\n\r\n0\r\n\r\n", OK_OPEN "'0\\x0d\\x0a\\x0d\\x0a'."),

    ROW("head_plain", T "\r\nabc", "200  1.1 none keep;[Content-Type: t]."),
    ROW("head_length", T "Content-Length: 5\r\n\r\n", "200  1.1 none=5 keep;[Content-Type: t]."),
    ROW("head_length_and_body", T "Content-Length: 5\r\n\r\nabcdefgh", "200  1.1 none=5 keep;[Content-Type: t]."),
    ROW("head_without_type", "Status: 404\r\n\r\nabc", "404  1.1 none keep;[]."),
    ROW("head_local", "Location: /y\r\n\r\n", "302  1.1 none keep;[Location: /y]>/y."),
    ROW("304", "Status: 304 Not Modified\r\nETag: \"x\"\r\n\r\n", "304 Not Modified 1.1 none keep;[ETag: \"x\"]."),
    ROW("304_body", "Status: 304\r\n" T "Content-Length: 7\r\n\r\nabc", "304  1.1 none=7 keep;[Content-Type: t]."),
    ROW("204_body", "Status: 204\r\n" T "\r\nabc", "204  1.1 none keep;[Content-Type: t]."),
    ROW("204_length", "Status: 204\r\nContent-Length: 7\r\n\r\n", "204  1.1 none keep;[]."),
    ROW("head_205", "Status: 205\r\nContent-Length: 7\r\n\r\n", "205  1.1 none=0 keep;[]."),
    ROW("205_body", "Status: 205\r\n" T "Content-Length: 7\r\n\r\nabc", "205  1.1 length=0 keep;[Content-Type: t]."),

    ROW("nph", "HTTP/1.1 200 OK\r\n" T "\r\n", "!fcgi_nph{HTTP/1.1 200 OK}"),
    ROW("nph_case", "http/1.0 200 OK\n\n", "!fcgi_nph{http/1.0 200 OK}"),
    ROW("nph_later", T "HTTP/1.1 200 OK\r\n\r\n", "!fcgi_nph{HTTP/1.1 200 OK}"),
    ROW("line_no_colon", "Hello world\n\nmore", "!field{Hello world}"),
    ROW("line_no_colon_later", T "oops\r\n\r\n", "!field{oops}"),
    ROW("line_no_name", ": v\r\n\r\n", "!field{: v}"),
    ROW("line_space_before_colon", "Status : 200\r\n\r\n", "!field{Status : 200}"),
    ROW("line_space_in_name", "PHP Warning: x in y\nContent-Type: t\n\n", "!field{PHP Warning: x in y}"),
    ROW("line_continued", T " more\r\n\r\n", "!field{ more}"),
    ROW("line_continued_tab", T "\tmore: x\r\n\r\n", "!field{\\x09more: x}"),
    ROW("line_blank_but_not_empty", T " \r\n\r\n", "!field{ }"),
    ROW("line_nul", T "X: a\0b\r\n\r\n", "!field{X: a\\x00b}"),
    ROW("line_control", T "X: a\x01\r\n\r\n", "!field{X: a\\x01}"),
    ROW("line_bare_cr", T "X: a\rb: c\r\n\r\n", "!field{X: a\\x0db: c}"),
    ROW("line_two_crs", T "\r\r\n\r\n", "!field{\\x0d}"),
    ROW("line_html", "<html>\n<body style=\"x: y\">\n", "!truncated{<html>}"),
};

struct reply_run {
    const struct row *row;
    struct http1_log log;
    struct http1_limits limits;
};

static void log_fault(struct split_log *log, struct fcgi_reply *r, enum fault fault)
{
    split_write(log, "!%s{", fault_word(fault));
    http1_log_text(log, fcgi_reply_line(r));
    split_write(log, "}");
}

/* One event; how many bytes of body were taken. */
static size_t log_event(struct reply_run *run, struct split_log *log, struct fcgi_reply *r, const struct http1_result *e)
{
    struct http1_log *l = &run->log;
    size_t taken = e->data.n;

    http1_log_quote(l, log, e->event == HTTP1_BODY || (l->in_body && e->event == HTTP1_MORE));
    if (e->event == HTTP1_HEAD) {
        http1_log_head(l, log, e->head);
        if (fcgi_reply_local(r).n > 0)
            split_write(log, ">%.*s", SPAN_FORMAT(fcgi_reply_local(r)));
    } else if (e->event == HTTP1_BODY) {
        assert_true(taken > 0 && e->head != NULL);
        taken = l->most_taken > 0 && taken > l->most_taken ? l->most_taken : taken;
        http1_log_text(log, span_first(e->data, taken));
        fcgi_reply_took(r, taken);
    } else if (e->event == HTTP1_END) {
        assert_int_equal(e->trailers->n, 0);
        split_write(log, ".");
    } else if (e->event == HTTP1_FAULT) {
        log_fault(log, r, e->fault);
    }
    return taken;
}

static bool starts(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* When the bytes' end is seen nothing more comes, unless the row says that the application goes on. */
static void run_reply(void *ctx, struct span bytes, const struct split_arrival *arrival, struct split_log *log)
{
    struct reply_run *run = ctx;
    struct http1_result e = { .event = HTTP1_MORE };
    size_t seen = split_next(arrival, 0, bytes.n), at = 0;
    bool finished = false;
    struct fcgi_reply r;
    struct arena a;

    arena_init(&a, 1 << 20);
    fcgi_reply_init(&r, &a, &run->limits, starts(run->row->name, "head_"));
    run->log.in_body = false;
    while (e.event != HTTP1_FAULT && e.event != HTTP1_END) {
        at += fcgi_reply_next(&r, bytes.p + at, seen - at, &e);
        at += log_event(run, log, &r, &e);
        if (e.event != HTTP1_MORE)
            continue;
        assert_int_equal(at, seen);      /* nothing is left behind */
        if (seen == bytes.n && (finished || starts(run->row->name, "cut_")))
            break;
        finished = seen == bytes.n;
        if (finished)
            fcgi_reply_finish(&r);
        seen = split_next(arrival, seen, bytes.n);
    }
    http1_log_quote(&run->log, log, false);
    if (e.event == HTTP1_MORE)
        split_write(log, "~");
    arena_free(&a);
}

static void run_rows(const struct row *some, size_t n, const struct http1_limits *limits)
{
    static struct split_log whole;

    for (size_t i = 0; i < n; i++) {
        struct reply_run run = { .row = &some[i], .limits = *limits, .log = { .kind = HTTP1_RESPONSE, .show_fields = true } };

        for (run.log.most_taken = 0; run.log.most_taken < 2; run.log.most_taken++) {
            split_all(some[i].name, run_reply, &run, span_of(some[i].bytes, some[i].n), &whole);
            if (strcmp(whole.text, some[i].due) != 0)
                print_error("%s\n", some[i].name);
            assert_string_equal(whole.text, some[i].due);
        }
    }
}

static void replies(void **state)
{
    static const struct http1_limits limits = { .head_bytes = 65536, .fields = 200 };

    (void)state;
    run_rows(rows, sizeof(rows) / sizeof(rows[0]), &limits);
}

static void limits(void **state)
{
    static const struct row small[] = {
        ROW("bytes_32", "Content-Type: t\r\nX-A: 678901\r\n\r\nabcde",
            "200  1.1 close keep;[Content-Type: t|X-A: 678901]'abcde'."),
        ROW("bytes_33", "Content-Type: t\r\nX-A: 6789012\r\n\r\nabcde", "!head_too_large{Content-Type: t}"),
        ROW("bytes_lf", "Content-Type: t\nX-A: 678901234\n\nabcde",
            "200  1.1 close keep;[Content-Type: t|X-A: 678901234]'abcde'."),
        ROW("bytes_no_line", "0123456789012345678901234567890123456789", "!head_too_large{01234567890123456789012345678901}"),
        ROW("fields_3", T "A: 1\nB: 2\n\n", "200  1.1 close keep;[Content-Type: t|A: 1|B: 2]."),
        ROW("fields_4", T "A: 1\nB: 2\nC:3\n\n", "!too_many_fields{C:3}"),
    };
    static const struct http1_limits few = { .head_bytes = 32, .fields = 3 };

    (void)state;
    run_rows(small, sizeof(small) / sizeof(small[0]), &few);
}

/* A line that is quoted is not quoted for ever. */
static void quoted_line(void **state)
{
    static const struct http1_limits many = { .head_bytes = 65536, .fields = 200 };
    static char bytes[1000];
    struct http1_result e;
    struct fcgi_reply r;
    struct arena a;

    (void)state;
    memset(bytes, 'x', sizeof(bytes));
    memcpy(bytes + 900, "\n\n", 2);
    arena_init(&a, 100000);
    fcgi_reply_init(&r, &a, &many, false);
    fcgi_reply_next(&r, (const uint8_t *)bytes, sizeof(bytes), &e);
    assert_int_equal(e.event, HTTP1_FAULT);
    assert_int_equal(fcgi_reply_line(&r).n, 200);
    fcgi_reply_next(&r, (const uint8_t *)bytes, sizeof(bytes), &e);
    assert_int_equal(e.fault, FAULT_FIELD);
    arena_free(&a);
}

static enum fault read_in_pieces(size_t piece, struct fcgi_reply *r)
{
    static const struct span bytes = { (const uint8_t *)"Status: 200 OK\nContent-Type: t\nX-A: b\n\nabc", 42 };
    struct http1_result e = { .event = HTTP1_MORE };

    for (size_t at = 0; at < bytes.n && e.event == HTTP1_MORE; at += piece)
        fcgi_reply_next(r, bytes.p + at, at + piece < bytes.n ? piece : bytes.n - at, &e);
    return e.event == HTTP1_FAULT ? e.fault : FAULT_NONE;
}

static void no_memory(void **state)
{
    static const struct http1_limits many = { .head_bytes = 65536, .fields = 200 };

    (void)state;
    for (size_t cap = 0; cap < 3000; cap += 10) {
        struct fcgi_reply r;
        struct arena a;
        enum fault fault;

        arena_init(&a, cap);
        fcgi_reply_init(&r, &a, &many, false);
        fault = read_in_pieces(1 + cap % 7, &r);
        assert_int_equal(fault, cap < 550 ? FAULT_NO_MEMORY : fault);
        assert_true(fault == FAULT_NONE || cap < 1500);
        arena_free(&a);
    }
    assert_int_equal(mem_live_blocks(), 0);
}

/* Whatever head is told, what goes to the client of it is one message with that body: the writers and the parser agree. */
static void onward(const struct http1_head *head, bool head_request)
{
    static const struct http1_limits many = { .head_bytes = 1 << 20, .fields = 300, .chunk_extension_bytes = 100 };
    struct rules_reply_facts facts = { .pseudonym = SPAN_LITERAL("upgate"), .client_version_minor = 1, .client_keep_alive = true,
                                       .head_request = head_request };
    struct http1_parse *parse = http1_parse_new(HTTP1_RESPONSE, &many);
    struct http1_result e;
    struct headers fields;
    struct arena a;
    struct span bytes;

    arena_init(&a, 1 << 20);
    assert_int_equal(rules_check_response(head, head_request), FAULT_NONE);
    assert_int_equal(rules_response_to_client(&a, head, &facts, &fields), FAULT_NONE);
    bytes = http1_write_response_head(&a, head->status, head->reason, &fields);
    assert_non_null(bytes.p);
    assert_non_null(parse);
    http1_parse_expect(parse, head_request);
    assert_int_equal(http1_parse_next(parse, bytes.p, bytes.n, &e), bytes.n);
    if (e.event != HTTP1_HEAD)
        fail_msg("%s: %.*s", fault_word(e.fault), SPAN_FORMAT(bytes));
    assert_int_equal(e.head->status, head->status);
    assert_int_equal(e.head->body, head->body == HTTP1_BODY_CLOSE ? HTTP1_BODY_CHUNKED : head->body);
    if (e.head->has_content_length)
        assert_int_equal(e.head->content_length, head->content_length);
    http1_parse_free(parse);
    arena_free(&a);
}

static void random_replies(void **state)
{
    static const char *const parts[] = {
        "Status: 200 OK\r\n", "Status: 304\n", "Status: 204 x\r\n", "Status: 205\n", T, "Content-Length: 3\r\n",
        "Content-Length: 0\n", "Location: /x\r\n", "Location: http://a/\r\n", "X: y\r\n", "Connection: X\r\n",
        "Transfer-Encoding: chunked\r\n", "Upgrade: websocket\n", "Via: 1.1 x\n", "Date: d\n", "\x01",
    };
    const size_t parts_n = sizeof(parts) / sizeof(parts[0]);
    static const struct http1_limits many = { .head_bytes = 65536, .fields = 200 };
    struct chance c = chance_seeded("fcgi_reply");
    unsigned heads = 0;

    (void)state;
    for (int round = 0; round < 5000; round++) {
        bool head_request = chance_one_in(&c, 4);
        char bytes[1000] = "";
        struct http1_result e;
        struct fcgi_reply r;
        struct arena a;
        size_t n = 0, at = 0;

        for (size_t count = chance_below(&c, 7); count > 0; count--)
            n += (size_t)snprintf(bytes + n, sizeof(bytes) - n, "%s", parts[chance_below(&c, parts_n)]);
        n += (size_t)snprintf(bytes + n, sizeof(bytes) - n, "%s", chance_one_in(&c, 2) ? "\n" : "\nabc");
        arena_init(&a, 1 << 20);
        fcgi_reply_init(&r, &a, &many, head_request);
        do {
            at += fcgi_reply_next(&r, (const uint8_t *)bytes + at, n - at, &e);
            if (e.event == HTTP1_HEAD)
                onward(e.head, head_request);
            if (e.event == HTTP1_BODY)
                fcgi_reply_took(&r, e.data.n);
            at += e.data.n;
            if (e.event == HTTP1_MORE)
                fcgi_reply_finish(&r);
            heads += e.event == HTTP1_HEAD;
        } while (e.event != HTTP1_END && e.event != HTTP1_FAULT);
        arena_free(&a);
    }
    assert_true(heads > 300);
}

static void due(void **state)
{
    static const char with[] = "Content-Type: a/b\nContent-Length: 5\n\nhello", without[] = "Content-Type: a/b\n\nhello";
    const struct http1_limits limits = { .head_bytes = 4096, .fields = 20 };
    struct http1_result e;
    struct fcgi_reply r;
    struct arena a;
    size_t at;

    (void)state;
    arena_init(&a, 1 << 20);
    fcgi_reply_init(&r, &a, &limits, false);
    assert_int_equal(fcgi_reply_due(&r), 0);
    at = fcgi_reply_next(&r, (const uint8_t *)with, sizeof(with) - 1, &e);
    assert_int_equal(e.event, HTTP1_HEAD);
    assert_int_equal(at, sizeof(with) - 1 - 5);
    assert_int_equal(fcgi_reply_due(&r), 5);
    fcgi_reply_took(&r, 4);              /* unseen */
    assert_int_equal(fcgi_reply_due(&r), 1);
    fcgi_reply_took(&r, 1);
    assert_int_equal(fcgi_reply_due(&r), 0);
    assert_int_equal(fcgi_reply_next(&r, (const uint8_t *)"x", 1, &e), 0);
    assert_int_equal(e.fault, FAULT_EXCESS);
    fcgi_reply_init(&r, &a, &limits, false);
    fcgi_reply_next(&r, (const uint8_t *)without, sizeof(without) - 1, &e);
    assert_int_equal(e.event, HTTP1_HEAD);
    assert_int_equal(fcgi_reply_due(&r), 0);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replies),
        cmocka_unit_test(limits),
        cmocka_unit_test(quoted_line),
        cmocka_unit_test(no_memory),
        cmocka_unit_test(random_replies),
        cmocka_unit_test(due),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
