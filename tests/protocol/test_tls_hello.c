/* ClientHellos: those of real clients (the fuzzer's corpus), made ones, every prefix of one, every way to cut one into records, and what
 * is none at all. Each arrives whole, cut everywhere and byte by byte. */
#include "protocol/tls_hello.h"
#include "tests/protocol/chance.h"
#include "tests/protocol/split.h"
#include "tests/protocol/tls_case.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void write_seen(const struct tls_hello *h, enum tls_hello_event event, struct split_log *log)
{
    if (event == TLS_HELLO_WHOLE)
        split_write(log, "whole at %zu: name '%.*s' alpn '%.*s'", h->at, (int)h->name_n, h->name, (int)h->alpn_n, h->alpn);
    else
        split_write(log, "%s", event == TLS_HELLO_MORE ? "more" : fault_word(h->fault));
}

/* What comes after the verdict changes nothing: it is asked for again with all there is. */
static void feed(void *ctx, struct span bytes, const struct split_arrival *arrival, struct split_log *log)
{
    struct tls_hello h;
    size_t there = split_next(arrival, 0, bytes.n);
    enum tls_hello_event event;

    (void)ctx;
    tls_hello_init(&h);
    while ((event = tls_hello_feed(&h, bytes.p, there)) == TLS_HELLO_MORE && there < bytes.n)
        there = split_next(arrival, there, bytes.n);
    assert_int_equal(tls_hello_feed(&h, bytes.p, bytes.n), event);
    write_seen(&h, event, log);
}

static void expect(const char *name, struct span bytes, const char *due)
{
    static struct split_log log;

    split_all(name, feed, NULL, bytes, &log);
    if (strcmp(log.text, due) != 0)
        fail_msg("%s: %s, and not %s", name, log.text, due);
}

/* ---- real ones ---- */

static struct span load(const char *file, uint8_t room[4096])
{
    char path[256];
    FILE *f;
    size_t n;

    snprintf(path, sizeof(path), "tests/fuzz/corpus/tls_hello/%s", file);
    f = fopen(path, "rb");
    assert_non_null(f);
    n = fread(room, 1, 4096, f);
    fclose(f);
    return span_of(room, n);
}

static const struct {
    const char *file, *due;
} real[] = {
    { "openssl_tls13", "whole at 341: name 'vault.example.com' alpn 'h2,http/1.1'" },
    { "openssl_tls12", "whole at 215: name 'legacy.example.com' alpn ''" },
    { "openssl_tls10", "whole at 156: name 'old.example.com' alpn ''" },
    { "openssl_no_name", "whole at 297: name '' alpn ''" },
    { "openssl_fragments", "whole at 1050: name 'pieces.example.com' alpn "
                           "'protocol-0,protocol-1,protocol-2,protocol-3,protocol-4'" },
    { "curl", "whole at 517: name 'app.example.com' alpn 'h2,http/1.1'" },
    { "python", "whole at 517: name 'python.example.com' alpn ''" },
    { "node", "whole at 389: name 'node.example.com' alpn 'http/1.1'" },
    { "chromium", "whole at 1988: name 'chat.example.com' alpn 'h2,http/1.1'" },       /* made-up values, ECH, a post-quantum key */
};

static void real_clients(void **state)
{
    uint8_t room[4096];

    (void)state;
    for (size_t i = 0; i < sizeof(real) / sizeof(real[0]); i++)
        expect(real[i].file, load(real[i].file, room), real[i].due);
}

/* The message of a real hello without its record headers. */
static size_t message_of(struct span bytes, uint8_t *to)
{
    size_t n = 0;

    while (bytes.n > 5) {
        size_t content = (size_t)bytes.p[3] << 8 | bytes.p[4];
        memcpy(to + n, bytes.p + 5, content);
        n += content;
        bytes = span_from(bytes, 5 + content);
    }
    return n;
}

static void every_record_size(void **state)
{
    static struct tls_case cut;
    uint8_t room[4096], message[4096];

    (void)state;
    for (size_t i = 0; i < sizeof(real) / sizeof(real[0]); i++) {
        size_t n = message_of(load(real[i].file, room), message);
        for (size_t most = 1; most <= n; most++) {
            struct split_log log = { 0 };
            const char *due = strchr(real[i].due, ':');
            cut.n = 0;
            tls_put_records(&cut, span_of(message, n), most);
            feed(NULL, span_of(cut.p, cut.n), &(struct split_arrival){ .step = most % 17 }, &log);
            assert_string_equal(strchr(log.text, ':'), due);
        }
    }
}

/* A message that stops short, its own length telling the truth, is malformed at every place but where the extensions would begin. */
static void every_prefix(void **state)
{
    static struct tls_case cut;
    uint8_t room[4096], message[4096];

    (void)state;
    for (size_t i = 0; i < sizeof(real) / sizeof(real[0]); i++) {
        size_t n = message_of(load(real[i].file, room), message), whole = 0;
        for (size_t k = 0; k + 4 < n; k++) {
            struct split_log log = { 0 };
            cut.n = 0;
            tls_put_hello(&cut, span_of(message + 4, k), 16384);
            feed(NULL, span_of(cut.p, cut.n), &(struct split_arrival){ .n = 0 }, &log);
            assert_string_not_equal(log.text, "more");
            whole += strncmp(log.text, "whole", 5) == 0;
        }
        assert_int_equal(whole, 1);
    }
}

/* ---- made ones ---- */

static struct tls_case made_body, made;

static void begin_made(size_t *list)
{
    made.n = made_body.n = 0;
    tls_put_fixed(&made_body);
    *list = tls_open(&made_body, 2);
}

static struct span end_made(size_t list)
{
    tls_shut(&made_body, 2, list);
    tls_put_hello(&made, span_of(made_body.p, made_body.n), 16384);
    return span_of(made.p, made.n);
}

#define LONG_LABEL "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff123"

static void names(void **state)
{
    static const struct {
        const char *name, *due;
    } rows[] = {
        { "vault.example.com", "vault.example.com" },
        { "VAULT.Example.Com.", "vault.example.com" },
        { "a_b-c.x", "a_b-c.x" },
        { "localhost", "localhost" },
        { "192.0.2.7", "192.0.2.7" },
        { "xn--bcher-kva.example", "xn--bcher-kva.example" },
        { LONG_LABEL "." LONG_LABEL "." LONG_LABEL "." LONG_LABEL, NULL },
        { ".", NULL },
        { "..", NULL },
        { ".a", NULL },
        { "a..b", NULL },
        { "a..", NULL },
        { "a b", NULL },
        { "a/b", NULL },
        { "*.a", NULL },
        { "[::1]", NULL },
        { "b\xc3\xbc.example", NULL },
        { "a\n", NULL },
    };
    char due[512];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t list;
        begin_made(&list);
        tls_put_name(&made_body, span_of_text(rows[i].name));
        end_made(list);
        snprintf(due, sizeof(due), "whole at %zu: name '%s' alpn ''", made.n, rows[i].due != NULL ? rows[i].due : "");
        expect(rows[i].name, span_of(made.p, made.n), rows[i].due != NULL ? due : "tls_server_name");
    }
}

/* 253 bytes are the longest name that there can be; with a final dot it is 254. */
static void longest_name(void **state)
{
    char name[254 + 1], due[600];
    struct span s;
    size_t list;

    (void)state;
    for (size_t i = 0; i < 253; i++)
        name[i] = i % 64 == 63 ? '.' : 'a';
    name[253] = '.';
    name[254] = '\0';
    for (size_t n = 253; n <= 254; n++) {
        s = span_of(name, n);
        begin_made(&list);
        tls_put_name(&made_body, s);
        end_made(list);
        snprintf(due, sizeof(due), "whole at %zu: name '%.253s' alpn ''", made.n, name);
        expect("longest", span_of(made.p, made.n), due);
    }
}

static void extensions(void **state)
{
    static const struct {
        const char *what;
        size_t type;
        struct span data, again;         /* again: once more, of the same type */
        const char *due;
    } rows[] = {
        { "two names", 0, SPAN_LITERAL("\0\x8\0\0\1a\0\0\1b"), { NULL, 0 }, "tls_server_name" },
        { "a name of another type", 0, SPAN_LITERAL("\0\4\1\0\1a"), { NULL, 0 }, "tls_server_name" },
        { "an empty name", 0, SPAN_LITERAL("\0\3\0\0\0"), { NULL, 0 }, "tls_server_name" },
        { "a name with a nought", 0, SPAN_LITERAL("\0\6\0\0\3a\0b"), { NULL, 0 }, "tls_server_name" },
        { "an empty list of names", 0, SPAN_LITERAL("\0\0"), { NULL, 0 }, "tls_hello" },
        { "no list of names", 0, SPAN_LITERAL(""), { NULL, 0 }, "tls_hello" },
        { "a name longer than its list", 0, SPAN_LITERAL("\0\4\0\0\2a"), { NULL, 0 }, "tls_hello" },
        { "a list shorter than its extension", 0, SPAN_LITERAL("\0\4\0\0\1ab"), { NULL, 0 }, "tls_hello" },
        { "a list longer than its extension", 0, SPAN_LITERAL("\0\5\0\0\1a"), { NULL, 0 }, "tls_hello" },
        { "the name twice", 0, SPAN_LITERAL("\0\4\0\0\1a"), SPAN_LITERAL("\0\4\0\0\1a"), "tls_extension_twice" },
        { "the name and an empty one", 0, SPAN_LITERAL("\0\4\0\0\1a"), SPAN_LITERAL(""), "tls_extension_twice" },
        { "a made-up one twice", 0xdada, SPAN_LITERAL(""), SPAN_LITERAL("x"), "tls_extension_twice" },
        { "protocols", 16, SPAN_LITERAL("\0\x5\2h2\1a"), { NULL, 0 }, "name '' alpn 'h2,a'" },
        { "strange protocols", 16, SPAN_LITERAL("\0\x8\2\x0a\x0a\1,\2 a"), { NULL, 0 }, "name '' alpn '\?\?,?,?a'" },
        { "an empty protocol", 16, SPAN_LITERAL("\0\4\0\2h2"), { NULL, 0 }, "tls_alpn" },
        { "no protocol", 16, SPAN_LITERAL("\0\0"), { NULL, 0 }, "tls_alpn" },
        { "a protocol cut short", 16, SPAN_LITERAL("\0\3\3h2"), { NULL, 0 }, "tls_alpn" },
        { "bytes behind the protocols", 16, SPAN_LITERAL("\0\3\2h2x"), { NULL, 0 }, "tls_alpn" },
        { "the protocols twice", 16, SPAN_LITERAL("\0\3\2h2"), SPAN_LITERAL("\0\3\2h2"), "tls_extension_twice" },
        { "ECH, type outer", 0xfe0d, SPAN_LITERAL("\0\0\1\0\1\7\0\1k\0\2pp"), { NULL, 0 }, "name '' alpn ''" },
    };
    char due[100];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t list;
        begin_made(&list);
        tls_put_extension(&made_body, rows[i].type, rows[i].data.p, rows[i].data.n);
        tls_put_extension(&made_body, 0x7a7a, "", 0);
        if (rows[i].again.p != NULL)
            tls_put_extension(&made_body, rows[i].type, rows[i].again.p, rows[i].again.n);
        end_made(list);
        snprintf(due, sizeof(due), "whole at %zu: %s", made.n, rows[i].due);
        expect(rows[i].what, span_of(made.p, made.n), rows[i].due[0] == 'n' ? due : rows[i].due);
    }
}

/* A body with one thing changed: a byte at an offset of the fixed part (see tls_put_fixed), or bytes at the end. */
static void bodies(void **state)
{
    static const struct {
        const char *what;
        size_t offset;
        uint8_t byte;
        const char *due;
    } rows[] = {
        { "version 2.x", 0, 2, "tls_hello" },
        { "version 3.9", 1, 9, "whole" },
        { "a session id of 33", 34, 33, "tls_hello" },
        { "a session id past the end", 34, 255, "tls_hello" },
        { "no suites", 44, 0, "tls_hello" },
        { "half a suite", 44, 3, "tls_hello" },
        { "suites past the end", 43, 255, "tls_hello" },
        { "no compression", 49, 0, "tls_hello" },
        { "compressions past the end", 49, 200, "tls_hello" },
        { "extensions shorter than the rest", 52, 6, "tls_hello" },
        { "extensions longer than the rest", 52, 8, "tls_hello" },
    };
    size_t list;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        static struct split_log log;
        begin_made(&list);
        tls_put_extension(&made_body, 43, "\2\3\4", 3);
        tls_shut(&made_body, 2, list);
        made_body.p[rows[i].offset] = rows[i].byte;
        tls_put_hello(&made, span_of(made_body.p, made_body.n), 16384);
        split_all(rows[i].what, feed, NULL, span_of(made.p, made.n), &log);
        if (strncmp(log.text, rows[i].due, strlen(rows[i].due)) != 0)
            fail_msg("%s: %s", rows[i].what, log.text);
    }
}

/* ---- records ---- */

static void strangers(void **state)
{
    static const struct {
        struct span bytes;
        const char *due;
    } rows[] = {
        { SPAN_LITERAL("G"), "tls_plain_text" },
        { SPAN_LITERAL("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), "tls_plain_text" },
        { SPAN_LITERAL("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "tls_plain_text" },
        { SPAN_LITERAL("ehlo x\r\n"), "tls_plain_text" },
        { SPAN_LITERAL("\r\nGET / HTTP/1.1\r\n"), "tls_record" },
        { SPAN_LITERAL("\x80\x2e\1\0\2\0\x15\0\0\0\x10"), "tls_ssl2" },
        { SPAN_LITERAL("\x80\x67\1\3\1\0\x4e\0\0\0\x10"), "tls_ssl2" },
        { SPAN_LITERAL("\x80\x2e"), "more" },
        { SPAN_LITERAL("\x80\x2e\2\0\2\0"), "tls_record" },
        { SPAN_LITERAL("\xff\xff\xff\xff"), "tls_record" },
        { SPAN_LITERAL("\0"), "tls_record" },
        { SPAN_LITERAL("\x15\3\1\0\2\2\x28"), "tls_record" },                  /* an alert */
        { SPAN_LITERAL("\x17\3\3\0\2ab"), "tls_record" },                      /* application data */
        { SPAN_LITERAL("\x16"), "more" },
        { SPAN_LITERAL("\x16\3\1\0"), "more" },
        { SPAN_LITERAL("\x16\2\1\0\4\1\0\0\0"), "tls_record" },
        { SPAN_LITERAL("\x16\xfe\xff\0\4\1\0\0\0"), "tls_record" },            /* DTLS */
        { SPAN_LITERAL("\x16\3\1\0\0"), "tls_record" },
        { SPAN_LITERAL("\x16\3\1\x40\1\1"), "tls_record" },
        { SPAN_LITERAL("\x16\3\1\0\1\1\x16\3\1\0\0"), "tls_record" },
        { SPAN_LITERAL("\x16\3\1\0\1\1\x14\3\1\0\1\1"), "tls_record" },        /* another kind in the middle */
        { SPAN_LITERAL("\x16\3\1\0\1\1GET"), "tls_record" },
        { SPAN_LITERAL("\x16\3\1\0\4\2\0\0\0"), "tls_message" },               /* a ServerHello */
        { SPAN_LITERAL("\x16\3\1\0\4\0\0\0\0"), "tls_message" },               /* a HelloRequest */
        { SPAN_LITERAL("\x16\3\1\0\4\1\0\0\0"), "tls_hello" },
        { SPAN_LITERAL("\x16\3\1\0\4\1\1\0\0"), "tls_hello_too_large" },
        { SPAN_LITERAL("\x16\3\1\0\4\1\xff\xff\xff"), "tls_hello_too_large" },
        { SPAN_LITERAL("\x16\3\1\0\4\1\0\0\2"), "more" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        expect("stranger", rows[i].bytes, rows[i].due);
}

/* A hello of exactly this many bytes on the wire, in records of at most `most`; padding makes it so (RFC 7685). */
static struct span hello_of(size_t bytes, size_t most)
{
    static const uint8_t zeros[20000];
    size_t list, headers = 0;

    for (size_t content = 0; content + 5 * headers < bytes; headers++)
        content += most;
    begin_made(&list);
    tls_put_extension(&made_body, 21, zeros, bytes - 5 * headers - 4 - made_body.n - 4);
    tls_shut(&made_body, 2, list);
    tls_put_hello(&made, span_of(made_body.p, made_body.n), most);
    assert_int_equal(made.n, bytes);
    return span_of(made.p, made.n);
}

static void bound(void **state)
{
    static const struct {
        size_t bytes, most;
        const char *due;
    } rows[] = {
        { TLS_HELLO_BYTES_MAX, 16384, "whole at 16384: name '' alpn ''" },
        { TLS_HELLO_BYTES_MAX + 1, 16384, "tls_hello_too_large" },
        { TLS_HELLO_BYTES_MAX, 1000, "whole at 16384: name '' alpn ''" },
        { TLS_HELLO_BYTES_MAX + 1, 1000, "tls_hello_too_large" },
        { TLS_HELLO_BYTES_MAX + 6, 3, "tls_hello_too_large" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct span bytes = hello_of(rows[i].bytes, rows[i].most);
        struct split_log log = { 0 };
        for (size_t step = 0; step < 3; step++) {
            log = (struct split_log){ 0 };
            feed(NULL, bytes, &(struct split_arrival){ .step = step * 5 }, &log);
            assert_string_equal(log.text, rows[i].due);
        }
        feed(NULL, bytes, &(struct split_arrival){ .step = 1 }, &log);
    }
}

/* What follows the hello is not looked at: early data, or a client that does not wait. */
static void more_behind(void **state)
{
    static struct tls_case bytes;
    char due[100];

    (void)state;
    bytes.n = 0;
    tls_put_hello_for(&bytes, SPAN_LITERAL("a.example"), 16384);
    snprintf(due, sizeof(due), "whole at %zu: name 'a.example' alpn ''", bytes.n);
    tls_put(&bytes, "\x17\3\3\0\5hello\xff\xff", 12);
    expect("more behind", span_of(bytes.p, bytes.n), due);
}

/* Real ones with bytes changed at random: a verdict, and the same however they arrive. */
static void mutated(void **state)
{
    struct chance c = chance_seeded("tls_hello");
    uint8_t room[4096];

    (void)state;
    for (int round = 0; round < 3000; round++) {
        struct span bytes = load(real[chance_below(&c, sizeof(real) / sizeof(real[0]))].file, room);
        struct split_log whole = { 0 }, cut = { 0 };
        for (size_t i = 0; i <= chance_below(&c, 3); i++)
            room[chance_below(&c, bytes.n)] = (uint8_t)chance_next(&c);
        feed(NULL, bytes, &(struct split_arrival){ .n = 0 }, &whole);
        feed(NULL, bytes, &(struct split_arrival){ .step = 1 + chance_below(&c, 9) }, &cut);
        assert_string_equal(whole.text, cut.text);
    }
}

/* ---- alerts ---- */

static void alerts(void **state)
{
    static const struct {
        enum fault fault;
        uint8_t due;
    } rows[] = {
        { FAULT_TLS_SSL2, 70 },       { FAULT_TLS_RECORD, 10 },          { FAULT_TLS_MESSAGE, 10 }, { FAULT_TLS_HELLO_TOO_LARGE, 22 },
        { FAULT_TLS_HELLO, 50 },      { FAULT_TLS_EXTENSION_TWICE, 47 }, { FAULT_TLS_SERVER_NAME, 47 }, { FAULT_TLS_ALPN, 50 },
    };
    uint8_t record[TLS_ALERT_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        tls_alert_write(record, tls_hello_alert(rows[i].fault));
        assert_memory_equal(record, "\x15\3\3\0\2\2", 6);
        assert_int_equal(record[6], rows[i].due);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(real_clients),
        cmocka_unit_test(every_record_size),
        cmocka_unit_test(every_prefix),
        cmocka_unit_test(names),
        cmocka_unit_test(longest_name),
        cmocka_unit_test(extensions),
        cmocka_unit_test(bodies),
        cmocka_unit_test(strangers),
        cmocka_unit_test(bound),
        cmocka_unit_test(more_behind),
        cmocka_unit_test(mutated),
        cmocka_unit_test(alerts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
