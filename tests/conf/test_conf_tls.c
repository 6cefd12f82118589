/* The keys of TLS: what they hold, what goes together, how files are remembered for what the gateway finds in them. */
#include "tests/conf/conf_test.h"

#define LISTENER "listeners: [ { address: 8443, %s } ]\nupstreams: { app: { servers: [ 9000 ] } }\nroutes: [ { upstream: app } ]\n"
#define UPSTREAM "listeners: [ 8080 ]\nupstreams: { app: { servers: [ 9000 ], tls: { %s } } }\nroutes: [ { upstream: app } ]\n"
#define ROUTE                                                                                                                    \
    "listeners: [ { address: 8443, name: in, tls: { certificates: [ { certificate: /c, key: /k } ], client_auth: optional, client_ca: /a } } ]\n" \
    "upstreams: { app: { servers: [ 9000 ] } }\nroutes: [ { upstream: app, client_certificate: { %s } } ]\n"
#define PAIR "{ certificate: /c, key: /k }"

static void absent_is_clear_text(void **state)
{
    struct conf *c = load_good("listeners: [ 80 ]\nupstreams: { app: { servers: [ 9000 ] } }\nroutes: [ { upstream: app } ]\n");
    char *dump = dump_of(c);

    (void)state;
    assert_false(c->listeners[0].tls_on);
    assert_false(c->upstreams[0].tls_on);
    assert_false(c->routes[0].client_certificate_on);
    assert_null(strstr(dump, "tls:"));
    assert_null(strstr(dump, "client_certificate"));
    free(dump);
    conf_free(c);
}

static void everything_is_kept(void **state)
{
    static const char text[] =
        "listeners:\n  - address: 8443\n    name: in\n    tls:\n      certificates: [ { certificate: /c1, key: /k1 }, { certificate: /c2, key: /k2 } ]\n"
        "      versions: [ 1.3 ]\n      client_auth: require\n      client_ca: /ca\n"
        "  - address: 8444\n    tls: { certificates: [ { certificate: /c1, key: /k1 } ], ticket_keys: /t }\n"
        "upstreams:\n  app: { servers: [ 9000 ], tls: {} }\n"
        "  own: { servers: [ unix:/s ], tls: { ca: /a, server_name: In.Example, certificate: /c, key: /k } }\n"
        "routes:\n  - { match: { path: /x }, upstream: own, client_certificate: { subjects: [ \"CN=a,O=b\" ], fingerprints: [ "
        "\"AA:00112233445566778899aabbccddeeff00112233445566778899aabbccddee\" ] } }\n  - { upstream: app }\n"
        "forwarded: { tls_fields: { X-A: client_subject, X-B: version } }\n";
    struct conf *c = load_good(text), *again;
    char *dump = dump_of(c), *second;

    (void)state;
    assert_true(c->listeners[0].tls_on && c->listeners[1].tls_on && c->upstreams[0].tls_on && c->upstreams[1].tls_on);
    assert_int_equal(c->listeners[0].tls.certificates_n, 2);
    assert_string_equal(c->listeners[0].tls.certificates[1].key.path, "/k2");
    assert_memory_equal(text + c->listeners[0].tls.certificates[1].key.offset, "/k2", 3);
    assert_int_equal(c->listeners[0].tls.versions_n, 1);
    assert_int_equal(c->listeners[0].tls.versions[0], CONF_TLS_1_3);
    assert_int_equal(c->listeners[0].tls.client_auth, CONF_CLIENT_AUTH_REQUIRE);
    assert_int_equal(c->listeners[1].tls.versions_n, 0);
    assert_true(c->upstreams[0].tls.verify);
    assert_string_equal(c->upstreams[0].tls.ca.path, "/etc/ssl/certs/ca-certificates.crt");
    assert_string_equal(c->upstreams[1].tls.server_name, "in.example");
    assert_string_equal(c->routes[0].client_certificate.fingerprints[0],
                        "aa00112233445566778899aabbccddeeff00112233445566778899aabbccddee");
    again = load_good(dump);
    second = dump_of(again);
    assert_string_equal(dump, second);
    free(dump);
    free(second);
    conf_free(c);
    conf_free(again);
}

static void refused_listeners(void **state)
{
    (void)state;
    expect_refused(LISTENER, "tls: {}", "`tls` needs `certificates`");
    expect_refused(LISTENER, "tls: on", "`tls`: keys (`key: value`) must stand here, not a single value");
    expect_refused(LISTENER, "tls: { certificates: [] }", "`certificates` holds nothing");
    expect_refused(LISTENER, "tls: { certificates: [ { certificate: /c } ] }", "a certificate needs `key`");
    expect_refused(LISTENER, "tls: { certificates: [ { certificate: c.pem, key: /k } ] }", "`certificate`: `c.pem` is not an absolute path");
    expect_refused(LISTENER, "tls: { certificates: [ " PAIR " ], versions: [ 1.1 ] }", "`versions`: unknown value `1.1`: 1.2 or 1.3, did you mean `1.2`?");
    expect_refused(LISTENER, "tls: { certificates: [ " PAIR " ], client_auth: require }",
                   "`client_auth` needs `client_ca`: whose certificates clients may show");
    expect_refused(LISTENER, "redirect: https, tls: { certificates: [ " PAIR " ] }",
                   "`redirect`: this listener has `tls`: its requests are https already");
    expect_refused(LISTENER, "redirect: http", "`redirect`: unknown value `http`: off or https, did you mean `https`?");
}

static void refused_upstreams(void **state)
{
    (void)state;
    expect_refused(UPSTREAM, "certificate: /c", "`certificate` and `key` go together");
    expect_refused(UPSTREAM, "key: /k", "`certificate` and `key` go together");
    expect_refused(UPSTREAM, "server_name: \"*.example\"", "`server_name`: `*.example` is not a host name");
    expect_refused("listeners: [ 80 ]\nupstreams:\n  app: { servers: [ \"%s\" ], tls: {} }\nroutes: [ { upstream: app } ]\n", "unix:/s",
                   "the upstream `app` needs `server_name`: a UNIX socket has no name to verify");
}

static void refused_routes(void **state)
{
    (void)state;
    expect_refused(ROUTE, "subjects: [ \"/C=DE/CN=a\" ]", "`subjects`: `/C=DE/CN=a` is not a subject: it looks like CN=alice,O=Example,C=DE");
    expect_refused(ROUTE, "subjects: [ \"CN=a, O=b\" ]", "`subjects`: `CN=a, O=b`: no blanks behind the commas");
    expect_refused(ROUTE, "subjects: [ \"CN=ü\" ]", "`subjects`: `CN=ü`: write what is not ASCII as \\XX, as RFC 4514 does");
    expect_refused(ROUTE, "fingerprints: [ abcd ]", "`fingerprints`: `abcd` is not a SHA-256 fingerprint: 64 hexadecimal digits");
    expect_refused("listeners: [ 80 ]\nupstreams: { app: { servers: [ 1 ] } }\nroutes:\n  - { upstream: app, client_certificate: { %s } }\n", "",
                   "`client_certificate`: no listener of this route asks clients for one (`tls: { client_auth: … }`)");
    expect_refused("listeners: [ 80 ]\nupstreams: { app: { servers: [ 1 ] } }\nroutes: [ { upstream: app } ]\nforwarded: { tls_fields: { %s } }\n",
                   "X-A: client_subjet", "`tls_fields`: `client_subjet` is nothing that a TLS handshake proves, did you mean `client_subject`?");
}

static void expect_warned(const char *template, const char *value, const char *words)
{
    char *messages;
    struct conf *c = load(fill_in(template, value), &messages);

    assert_non_null(c);
    if (strstr(messages, words) == NULL)
        fail_msg("%s is not in %s", words, messages);
    free(messages);
    conf_free(c);
}

static void without_effect(void **state)
{
    (void)state;
    expect_warned(LISTENER, "tls: { certificates: [ " PAIR " ], client_ca: /a }", "warning: `client_ca` has no effect: `client_auth` is off");
    expect_warned(LISTENER, "tls: { certificates: [ " PAIR " ], tickets: off, ticket_keys: /t }", "`ticket_keys` has no effect: `tickets` is off");
    expect_warned(LISTENER, "tls: { certificates: [ " PAIR " ] }, passthrough: { \"*\": app }", "`tls` has no effect: `*` passes every name through");
    expect_warned(UPSTREAM, "verify: off", "`verify` is off: whoever is on the way to the servers of `app`");
    expect_warned(UPSTREAM, "verify: off, ca: /a", "`ca` has no effect: `verify` is off");
}

static void complaints_have_a_place(void **state)
{
    struct conf *c = load_good(fill_in(LISTENER, "tls: { certificates: [ " PAIR " ] }"));
    struct caught caught;
    char *said;

    (void)state;
    catch_open(&caught);
    conf_complain(c, &c->listeners[0].tls.certificates[0].key, false, caught.stream, "%s: %s", "/k", "is no key");
    conf_complain(c, &(struct conf_file){ .path = NULL, .offset = SIZE_MAX }, true, caught.stream, "somewhere");
    said = catch_close(&caught);
    assert_string_equal(said, "f.yaml:1:78: /k: is no key\n    listeners: [ { address: 8443, tls: { certificates: [ { certificate: /c, key: /k "
                              "} ] } } ]\n                                                                                 ^\nf.yaml: warning: somewhere\n");
    free(said);
    conf_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_is_clear_text),
        cmocka_unit_test(everything_is_kept),
        cmocka_unit_test(refused_listeners),
        cmocka_unit_test(refused_upstreams),
        cmocka_unit_test(refused_routes),
        cmocka_unit_test(without_effect),
        cmocka_unit_test(complaints_have_a_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
