/* The files that a configuration names, found through the schema; and the keys about what the process may do after its start. */
#include "tests/conf/conf_test.h"

static const char text[] =
    "listeners:\n"
    "  - { address: 8443, tls: { certificates: [ { certificate: /t/a.crt, key: /t/a.key }, { certificate: /t/b.crt, key: /t/b.key } ],\n"
    "                            client_auth: require, client_ca: /t/clients.pem } }\n"
    "  - { address: 8444, tls: { certificates: [ { certificate: /t/c.crt, key: /t/c.key } ], ticket_keys: /t/tickets } }\n"
    "  - 8080\n"
    "upstreams:\n"
    "  app: { servers: [ 9000 ], tls: { ca: /t/ca.pem, certificate: /t/own.crt, key: /t/own.key } }\n"
    "  other: { servers: [ 9001 ] }\n"
    "routes:\n"
    "  - { match: { path: /x }, upstream: other, auth: { basic: { file: /t/users } } }\n"
    "  - { upstream: app }\n";

static const char *const due[] = { "/t/a.crt", "/t/a.key", "/t/b.crt", "/t/b.key", "/t/c.crt", "/t/c.key", "/t/clients.pem", "/t/tickets", "/t/ca.pem", "/t/own.crt",
                                   "/t/own.key", "/t/users" };

static void note(void *ctx, const struct conf_file *file)
{
    bool *seen = ctx;

    if (strncmp(file->path, "/t/", 3) != 0)
        return;                          /* a default */
    for (size_t i = 0; i < COUNT_OF(due); i++)
        if (strcmp(file->path, due[i]) == 0) {
            assert_false(seen[i]);
            seen[i] = true;
            return;
        }
    fail_msg("%s is not in the configuration", file->path);
}

static void every_file_is_found(void **state)
{
    bool seen[COUNT_OF(due)] = { false };
    struct conf *c = load_good(text);

    (void)state;
    conf_each_file(c, note, seen);
    for (size_t i = 0; i < COUNT_OF(due); i++)
        if (!seen[i])
            fail_msg("%s was not found", due[i]);
    conf_free(c);
}

static void nobody_in_particular_and_locked_in(void **state)
{
    struct conf *c = load_good(MINIMAL);

    (void)state;
    assert_null(c->user);
    assert_null(c->group);
    assert_true(c->sandbox);
    assert_int_equal(c->sandbox_folders_n, 0);
    conf_free(c);
}

static void keys(void **state)
{
    struct conf *c = load_good(MINIMAL "user: www-data\ngroup: ssl-cert\nsandbox: off\nsandbox_folders: [ /srv/next, /run/site ]\n"), *again;
    char *dump = dump_of(c);

    (void)state;
    again = load_good(dump);
    assert_string_equal(again->user, "www-data");
    assert_string_equal(again->group, "ssl-cert");
    assert_false(again->sandbox);
    assert_int_equal(again->sandbox_folders_n, 2);
    assert_string_equal(again->sandbox_folders[1], "/run/site");
    free(dump);
    conf_free(c);
    conf_free(again);
}

static void refused(void **state)
{
    static const char *const bad[] = { "user: 'a b'", "user: ''", "group: 'x/y'", "sandbox: maybe", "sandbox_folders: [ relative ]",
                                       "sandbox_folders: [ /a/../b ]" };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        char whole[256], *messages;
        snprintf(whole, sizeof(whole), MINIMAL "%s\n", bad[i]);
        if (load(whole, &messages) != NULL)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(strstr(messages, "f.yaml:4:"));
        free(messages);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file_is_found),
        cmocka_unit_test(nobody_in_particular_and_locked_in),
        cmocka_unit_test(keys),
        cmocka_unit_test(refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
