/* What is made of the files that a configuration names: what is wrong with them is said with its place, and whom a client meets is chosen by
 * the name it asks for. */
#include "tests/gateway/tls_rig.h"

static struct certs certs;

/* The messages, and whether a set was made. */
static bool loads(const char *text, char messages[2048])
{
    FILE *out = fmemopen(messages, 2048, "w");
    struct tls_tickets *tickets = tls_tickets_new();
    struct conf *conf = rig_conf(text);
    struct tls_set *set;

    assert_non_null(out);
    messages[0] = '\0';
    set = tls_set_new(conf, tickets, out);
    fclose(out);
    tls_set_free(set);
    conf_free(conf);
    tls_tickets_free(tickets);
    return set != NULL;
}

static const char *listener(const char *certificate, const char *key, const char *more)
{
    static char text[2048];

    snprintf(text, sizeof(text),
             "listeners:\n  - address: 8443\n    tls:\n      certificates:\n        - certificate: %s\n          key: %s\n%s"
             "upstreams: { app: { servers: [ 9000 ] } }\n" RIG_TAIL,
             certs_path(&certs, certificate, ""), certs_path(&certs, key, ""), more);
    return text;
}

static void what_is_wrong_is_said_with_its_place(void **state)
{
    char more[256], many[5000], messages[2048];
    size_t blocks = mem_live_blocks();
    static const struct { const char *certificate, *key, *words; } rows[] = {
        { "site.crt", "site.key", NULL },
        { "site.crt", "other.key", "test.yaml:6:16: " },
        { "site.crt", "other.key", "the key does not belong to the certificate" },
        { "none.crt", "site.key", "test.yaml:5:24: " },
        { "none.crt", "site.key", "cannot be opened: No such file" },
        { "site.crt", "none.key", "cannot be opened: No such file" },
        { "site.key", "site.key", "holds no certificate" },
        { "site.crt", "site.crt", "holds no private key" },
        { "empty.crt", "site.key", "is empty" },
        { "long.crt", "site.key", "the chain is too long to be sent: leave the root out" },
    };

    (void)state;
    certs_write(&certs, "empty", ".crt", "", 0);
    certs_append(&certs, "long", "site", MBEDTLS_SSL_OUT_CONTENT_LEN);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        bool good = loads(listener(rows[i].certificate, rows[i].key, ""), messages);
        assert_int_equal(good, rows[i].words == NULL);
        if (rows[i].words != NULL && strstr(messages, rows[i].words) == NULL)
            fail_msg("%s and %s: %s", rows[i].certificate, rows[i].key, messages);
    }
    memset(many, 'k', sizeof(many));
    for (size_t n = 0; n <= 5; n++) {    /* keys in a file */
        certs_write(&certs, "tickets", ".keys", many, n * TLS_TICKETS_KEY_BYTES);
        snprintf(more, sizeof(more), "      ticket_keys: %s\n", certs_path(&certs, "tickets", ".keys"));
        assert_int_equal(loads(listener("site.crt", "site.key", more), messages), n >= 1 && n <= 4);
    }
    assert_int_equal(mem_live_blocks(), blocks);
}

/* Nobody loads half of a configuration: without memory there is none, and it is said. */
static void every_allocation_may_fail(void **state)
{
    size_t calls = 0, blocks = mem_live_blocks();

    (void)state;
    for (size_t nth = 0; nth <= calls; nth += nth < 300 ? 1 : 1 + calls / 100) {
        char messages[2048] = "";
        FILE *out = fmemopen(messages, sizeof(messages), "w");
        struct tls_tickets *tickets = tls_tickets_new();
        struct conf *conf = rig_conf(rig_usual(&certs, "", ""));
        struct tls_set *set;
        size_t before = mem_calls();
        mem_fail_nth(nth);
        set = tls_set_new(conf, tickets, out);
        mem_fail_nth(0);
        calls = nth == 0 ? mem_calls() - before : calls;
        fclose(out);
        if (set == NULL)
            assert_int_not_equal(strlen(messages), 0);
        tls_set_free(set);
        conf_free(conf);
        tls_tickets_free(tickets);
        assert_int_equal(mem_live_blocks(), blocks);
    }
    assert_true(calls > 20);
}

/* The certificate that a client is shown who asks for this name; NULL: for none. */
static void meets(struct tls_rig *r, const char *name, const char *due)
{
    const mbedtls_x509_crt *shown;

    far_begin(r, r->set->upstreams[0], name);
    rig_meet_client(r);
    far_hello(r);
    rig_run(r);
    assert_true(r->far_open);
    shown = mbedtls_ssl_get_peer_cert(&r->far.ssl);
    assert_non_null(shown);
    if (tls_certificate_fits(shown, span_of_text(due)) != 2)
        fail_msg("%s gets the certificate of %.*s", name != NULL ? name : "nobody", SPAN_FORMAT(tls_certificate_name(shown)));
    rig_end_connection(r);
}

static void who_is_met_is_chosen_by_name(void **state)
{
    static const struct { const char *name, *due; } rows[] = {
        { "site.example", "site.example" }, { "SITE.example", "site.example" }, { "other.example", "other.example" },
        { "a.wild.example", "site.example" },                            /* by its wildcard */
        { "deep.wild.example", "deep.wild.example" },                    /* a name goes before a wildcard */
        { "a.b.wild.example", "site.example" }, { "wild.example", "site.example" },      /* which stands for one label: the default */
        { "unknown.example", "site.example" }, { "xother.example", "site.example" }, { NULL, "site.example" },
    };
    char text[4096];
    struct tls_rig r;

    (void)state;
    snprintf(text, sizeof(text),
             "listeners: [ { address: 8443, tls: { certificates: [ { certificate: %1$s/site.crt, key: %1$s/site.key }, "
             "{ certificate: %1$s/other.crt, key: %1$s/other.key }, { certificate: %1$s/deep.crt, key: %1$s/deep.key } ] } } ]\n"
             "upstreams: { app: { servers: [ localhost:9000 ], tls: { verify: off } } }\n" RIG_TAIL, certs.folder);
    rig_begin(&r, text);
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        meets(&r, rows[i].name, rows[i].due);
    rig_end(&r);
}

static int begin_all(void **state)
{
    (void)state;
    rig_begin_all(&certs);
    certs_make(&certs, &(struct certs_wish){ .name = "deep", .issuer = "ca", .dns = { "deep.wild.example" } });
    return 0;
}

static int end_all(void **state)
{
    (void)state;
    rig_end_all(&certs);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_wrong_is_said_with_its_place),
        cmocka_unit_test(every_allocation_may_fail),
        cmocka_unit_test(who_is_met_is_chosen_by_name),
    };

    return cmocka_run_group_tests(tests, begin_all, end_all);
}
