/* The keys of `fastcgi`, what they need of each other, and FastCGI servers on the command line. */
#include "tests/conf/conf_test.h"

static char *with_upstream(const char *keys)
{
    static char text[4096];

    snprintf(text, sizeof(text), "listeners: [ 80 ]\nupstreams: { a: { servers: [ 9000 ]%s } }\nroutes: [ { upstream: a } ]\n", keys);
    return text;
}

static char *with_fastcgi(const char *keys)
{
    static char text[2048];

    snprintf(text, sizeof(text), ", protocol: fastcgi, fastcgi: { %s }", keys);
    return with_upstream(text);
}

static void refused(const char *text, const char *words)
{
    char *messages;
    struct conf *c = load(text, &messages);

    if (c != NULL || strstr(messages, words) == NULL)
        fail_msg("%s: %s\nwanted: %s", text, c != NULL ? "was taken" : messages, words);
    free(messages);
}

static void warned(const char *text, const char *words)
{
    char *messages;
    struct conf *c = load(text, &messages);

    if (c == NULL || strstr(messages, words) == NULL)
        fail_msg("%s: %s\nwanted: %s", text, messages, words);
    conf_free(c);
    free(messages);
}

static void every_key(void **state)
{
    struct conf *c = load_good(with_fastcgi("root: /, split: .php, index: index.php, symlinks: anywhere, stderr_bytes: 1KiB, "
                                            "params: { A_B: 1, c: \"x y\", HTTP_PROXY: \"-\" }"));
    const struct conf_fastcgi *f = &c->upstreams[0].fastcgi;

    (void)state;
    conf_free(c);
    c = load_good(with_fastcgi("root: /srv/a b, script: sub/index.php"));
    f = &c->upstreams[0].fastcgi;
    assert_int_equal(c->upstreams[0].protocol, CONF_PROTOCOL_FASTCGI);
    assert_string_equal(f->root, "/srv/a b");
    assert_string_equal(f->script, "sub/index.php");
    assert_null(f->split);
    assert_int_equal(f->symlinks, CONF_SYMLINKS_INSIDE);
    assert_int_equal(f->params_n, 0);
    assert_int_equal(f->stderr_bytes, 8192);
    assert_int_equal(f->length, CONF_LENGTH_REQUIRED);
    assert_int_equal(f->body_memory, 1 << 20);
    assert_int_equal(f->body_max, 64 << 20);
    assert_string_equal(f->body_folder, "/tmp");
    assert_false(f->multiplex);
    assert_int_equal(f->multiplex_memory, 1 << 20);
    assert_int_equal(f->multiplex_file, 1 << 30);
    conf_free(c);
    c = load_good(with_fastcgi("multiplex: on, multiplex_memory: 64KiB, multiplex_file: off"));
    f = &c->upstreams[0].fastcgi;
    assert_true(f->multiplex);
    assert_int_equal(f->multiplex_memory, 65536);
    assert_int_equal(f->multiplex_file, 0);
    conf_free(c);
    c = load_good(with_fastcgi("length: optional, body_memory: 1B, body_max: 1GiB, body_folder: /var/tmp"));
    f = &c->upstreams[0].fastcgi;
    assert_int_equal(f->length, CONF_LENGTH_OPTIONAL);
    assert_int_equal(f->body_memory, 1);
    assert_int_equal(f->body_max, 1 << 30);
    assert_string_equal(f->body_folder, "/var/tmp");
    conf_free(c);
    c = load_good(with_fastcgi("params: { A_B: 1, c: \"x y\" }, stderr_bytes: off"));
    f = &c->upstreams[0].fastcgi;
    assert_int_equal(f->params_n, 2);
    assert_true(span_equal(f->params[0].name, SPAN_LITERAL("A_B")));
    assert_true(span_equal(f->params[0].value, SPAN_LITERAL("1")));
    assert_true(span_equal(f->params[1].name, SPAN_LITERAL("c")));
    assert_true(span_equal(f->params[1].value, SPAN_LITERAL("x y")));
    assert_int_equal(f->stderr_bytes, 0);
    conf_free(c);
}

static void the_word_alone_will_do(void **state)
{
    struct conf *c = load_good(with_upstream(", protocol: fastcgi"));

    (void)state;
    assert_int_equal(c->upstreams[0].protocol, CONF_PROTOCOL_FASTCGI);
    assert_null(c->upstreams[0].fastcgi.root);
    assert_int_equal(c->upstreams[0].fastcgi.stderr_bytes, 8192);
    conf_free(c);
}

static void what_is_refused(void **state)
{
    (void)state;
    refused(with_upstream(", fastcgi: { root: /srv }"), "f.yaml:2:38: `fastcgi` is only for `protocol: fastcgi`");
    refused(with_upstream(", protocol: http, fastcgi: { stderr_bytes: off }"), "`fastcgi` is only for `protocol: fastcgi`");
    refused(with_fastcgi("script: x.php"), "`script` needs `root`");
    refused(with_fastcgi("split: .php"), "`split` needs `root`");
    refused(with_fastcgi("root: /srv, script: x.php, split: .php"), "`script` and `split` can't both be given");
    refused(with_fastcgi("root: /srv, index: x.php"), "`index` needs `split`");
    refused(with_fastcgi("root: srv"), "`srv` is not an absolute path");
    refused(with_fastcgi("root: /srv/"), "without empty, `.` and `..` segments and without a slash at the end");
    refused(with_fastcgi("root: /srv/../etc"), "without empty, `.` and `..` segments");
    refused(with_fastcgi("root: /, script: ../x.php"), "a file below the root is written without");
    refused(with_fastcgi("root: /, script: /x.php"), "a file below the root is written without");
    refused(with_fastcgi("root: /, script: x//y.php"), "a file below the root is written without");
    refused(with_fastcgi("root: /, split: a/b"), "is not a file's name");
    refused(with_fastcgi("root: /, split: .php, index: .."), "is not a file's name");
    refused(with_fastcgi("root: \"/a\\nb\""), "control characters");
    refused(with_fastcgi("symlinks: off"), "inside, anywhere or unchecked");
    refused(with_fastcgi("params: {}"), "`params` holds nothing");
    refused(with_fastcgi("params: { A: [ 1 ] }"), "`params`: ");
    refused(with_fastcgi("params: { A: 1, A: 2 }"), "`A` is there twice");
    refused(with_fastcgi("params: { \"A=B\": 1 }"), "can't be a name");
    refused(with_fastcgi("params: { A: \"x\\ty\" }"), "control characters");
    refused(with_fastcgi("stderr_bytes: 8"), "stderr_bytes");
    refused(with_fastcgi("length: maybe"), "required or optional");
    refused(with_fastcgi("body_max: off"), "body_max");
    refused(with_fastcgi("multiplex_memory: 63KiB"), "multiplex_memory");
    refused("listeners: [ { address: 80, passthrough: { \"*\": a } } ]\nupstreams: { a: { servers: [ 9000 ], protocol: fastcgi } }\n"
            "routes: [ { upstream: a } ]\n",
            "the servers of `a` speak FastCGI");
    refused(with_fastcgi("body_folder: tmp"), "not an absolute path");
    refused(with_fastcgi("rooot: /"), "did you mean `root`");
}

static void what_works_but_hardly_as_meant(void **state)
{
    (void)state;
    warned(with_fastcgi("root: /no/such/folder, split: .php"), "`root`: /no/such/folder is no folder that can be seen here");
    warned(with_fastcgi("root: /etc/passwd, split: .php"), "is no folder that can be seen here");
    warned(with_fastcgi("root: /, script: x.php, symlinks: anywhere"), "`symlinks` has no effect without `split`");
    warned("listeners: [ 80 ]\nupstreams: { a: { servers: [ 9000 ], protocol: fastcgi } }\n"
           "routes: [ { upstream: a, websocket: { idle_timeout: 5m } } ]\n",
           "`websocket` has no effect: the upstream `a` speaks FastCGI");
    conf_free(load_good(with_fastcgi("root: /no/such/folder, split: .php, symlinks: unchecked")));
    conf_free(load_good(with_fastcgi("root: /no/such/folder, script: x.php")));
}

static struct conf *from_options(const char *to, const char *second, char **messages)
{
    char port[] = "8080", *listen[] = { port }, *servers[] = { (char *)(uintptr_t)to, (char *)(uintptr_t)second };
    struct caught caught;
    struct conf *c;

    catch_open(&caught);
    c = conf_from_options(listen, 1, servers, second != NULL ? 2 : 1, caught.stream);
    *messages = catch_close(&caught);
    return c;
}

static void on_the_command_line(void **state)
{
    char *messages;
    struct conf *c = from_options("fcgi:127.0.0.1:9000", "fcgi:unix:/run/a.sock", &messages);

    (void)state;
    assert_non_null(c);
    assert_int_equal(c->upstreams[0].protocol, CONF_PROTOCOL_FASTCGI);
    assert_string_equal(c->upstreams[0].servers[0].address.text, "127.0.0.1:9000");
    assert_int_equal(c->upstreams[0].servers[1].address.kind, CONF_ADDRESS_UNIX);
    assert_string_equal(c->upstreams[0].servers[1].address.path, "/run/a.sock");
    conf_free(c);
    free(messages);
    assert_null(from_options("fcgi:127.0.0.1:9000", "9001", &messages));
    assert_non_null(strstr(messages, "servers that speak FastCGI and others that speak HTTP"));
    free(messages);
    assert_null(from_options("fcgi:", NULL, &messages));
    assert_non_null(strstr(messages, "empty"));
    free(messages);
    assert_null(from_options("fcgi:1:2:3", NULL, &messages));
    assert_non_null(strstr(messages, "1:2:3"));
    free(messages);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key),
        cmocka_unit_test(the_word_alone_will_do),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(what_works_but_hardly_as_meant),
        cmocka_unit_test(on_the_command_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
