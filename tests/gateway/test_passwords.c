/* Password files: what is read, what is refused and in which words; each kind of hash. */
#include "tests/gateway/hashes.h"

#include "gateway/passwords.h"
#include "protocol/mem.h"

static char *path;
static char *said;                       /* the messages of the last load */

static struct conf *conf_for(const char *file)
{
    char text[1000];
    struct conf *c;

    snprintf(text, sizeof(text),
             "listeners: [ 8080 ]\nupstreams: { app: { servers: [ 9000 ] } }\nroutes:\n"
             "  - { upstream: app, match: { path: /a }, auth: { basic: { file: %s } } }\n"
             "  - { upstream: app, match: { path: /b } }\n"
             "  - { upstream: app, match: { path: /c }, auth: { basic: { file: %s, realm: other } } }\n", file, file);
    c = conf_load_text("f.yaml", span_of_text(text), stderr);
    assert_non_null(c);
    return c;
}

static struct passwords_set *load(const struct conf *c)
{
    size_t n;
    FILE *messages;
    struct passwords_set *s;

    free(said);
    messages = open_memstream(&said, &n);
    s = passwords_set_new(c, messages);
    fclose(messages);
    return s;
}

static int begin(void **state)
{
    (void)state;
    path = temporary_file();
    return 0;
}

static int end(void **state)
{
    (void)state;
    remove_file(path);
    free(said);
    said = NULL;
    return 0;
}

static void users(void **state)
{
    struct conf *c = conf_for(path);
    struct passwords_set *s;
    const struct passwords *p;
    char text[2000];

    (void)state;
    snprintf(text, sizeof(text), "# a comment: not:a:user\n\nbob:%s\r\nann:%s\n%s:%s", cheap_hash("b"), cheap_hash("a"), "zo\xc3\xab",
             cheap_hash("z"));
    write_file(path, text);
    s = load(c);
    assert_non_null(s);
    assert_string_equal(said, "");       /* mkstemp lets nobody else read it */
    p = passwords_of(s, c, &c->routes[0]);
    assert_ptr_equal(p, passwords_of(s, c, &c->routes[2]));              /* one file is read once */
    assert_true(password_is(passwords_find(p, SPAN_LITERAL("ann")), "a"));
    assert_true(password_is(passwords_find(p, SPAN_LITERAL("bob")), "b"));
    assert_true(password_is(passwords_find(p, SPAN_LITERAL("zo\xc3\xab")), "z"));
    assert_false(password_is(passwords_find(p, SPAN_LITERAL("ann")), "b"));
    assert_false(password_is(passwords_find(p, SPAN_LITERAL("ann")), ""));
    assert_null(passwords_find(p, SPAN_LITERAL("an")));
    assert_null(passwords_find(p, SPAN_LITERAL("anna")));
    assert_null(passwords_find(p, SPAN_LITERAL("ANN")));
    assert_null(passwords_find(p, SPAN_LITERAL("# a comment")));
    assert_null(passwords_find(p, SPAN_EMPTY));
    assert_non_null(passwords_any(p));
    passwords_set_free(s);
    conf_free(c);
}

static void kinds(void **state)
{
    static const struct {
        const char *kind;
        unsigned long cost;
    } good[] = { { "$2b$", 4 }, { "$2y$", 4 }, { "$2a$", 4 }, { "$y$", 1 }, { "$gy$", 1 }, { "$7$", 6 }, { "$6$", 1000 }, { "$5$", 1000 } };
    struct conf *c = conf_for(path);
    char text[600];

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct passwords_set *s;
        snprintf(text, sizeof(text), "ann:%s\n", hash_of_password(good[i].kind, good[i].cost, "secret"));
        write_file(path, text);
        s = load(c);
        if (s == NULL)
            fail_msg("%s: %s", text, said);
        assert_true(password_is(passwords_find(passwords_of(s, c, &c->routes[0]), SPAN_LITERAL("ann")), "secret"));
        assert_false(password_is(passwords_find(passwords_of(s, c, &c->routes[0]), SPAN_LITERAL("ann")), "Secret"));
        passwords_set_free(s);
    }
    conf_free(c);
}

static void refused(void **state)
{
    static const char weak[] = "the hash of `ann` is weak, cut, or of an unknown kind: make it with htpasswd -B, or mkpasswd";
    static const struct {
        const char *text, *words;
    } rows[] = {
        { "", "holds nobody" },
        { "# nothing\n\n", "holds nobody" },
        { "ann\n", "line 1 is not name:hash" },
        { "#\n:$2y$04$abc\n", "line 2 is not name:hash" },
        { "ann:\n", weak },
        { "ann:secret\n", weak },
        { "ann:$apr1$abcdefgh$1234567890123456789012\n", weak },
        { "ann:$1$abcdefgh$cHJi5PXp/ki/ktXzqlk6I1\n", weak },
        { "ann:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n", weak },
        { "ann:abJnggxhB/yWI\n", weak },                  /* DES */
        { "ann:$2y$04$abcdefghijklmnopqrstuu\n", weak },
        { "ann:$6$rounds=1000$abcdefgh$nhYjN017qxiYztzyUpZtPnUQcnLy62KsunSLHNeLahp2EHPlAKmFFlrjEwSXGo2kgY5hR2\n", weak },
        { "ann :x\n", "no name can have blanks at its ends, or control characters" },
        { "a\tn\x01n:x\n", "no name can have blanks at its ends, or control characters" },
    };
    struct conf *c = conf_for(path);
    char text[600];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        write_file(path, rows[i].text);
        if (load(c) != NULL || strstr(said, rows[i].words) == NULL || strstr(said, "f.yaml:4:") == NULL)
            fail_msg("%s: %s", rows[i].text, said);
    }
    snprintf(text, sizeof(text), "ann:%s\nbob:%s\nann:%s\n", cheap_hash("a"), cheap_hash("b"), cheap_hash("c"));
    write_file(path, text);
    assert_null(load(c));
    assert_non_null(strstr(said, "`ann` is there twice"));
    conf_free(c);
    c = conf_for("/nowhere/passwords");
    assert_null(load(c));
    assert_non_null(strstr(said, "/nowhere/passwords: cannot be opened: No such file or directory"));
    conf_free(c);
    c = conf_for("/dev");
    assert_null(load(c));
    conf_free(c);
}

static void whoever_may_read_it(void **state)
{
    struct conf *c = conf_for(path);
    char text[600];
    struct passwords_set *s;

    (void)state;
    snprintf(text, sizeof(text), "ann:%s\n", cheap_hash("a"));
    write_file(path, text);
    assert_int_equal(chmod(path, 0644), 0);
    s = load(c);
    assert_non_null(s);
    assert_non_null(strstr(said, "warning"));
    assert_non_null(strstr(said, "everybody on this machine may read the hashes"));
    passwords_set_free(s);
    conf_free(c);
}

static void no_memory(void **state)
{
    struct conf *c = conf_for(path);
    struct passwords_set *s = NULL;
    size_t blocks;
    char text[600];

    (void)state;
    snprintf(text, sizeof(text), "ann:%s\n", cheap_hash("a"));
    write_file(path, text);
    for (size_t nth = 1; s == NULL; nth++) {
        blocks = mem_live_blocks();
        mem_fail_nth(nth);
        s = load(c);
        mem_fail_nth(0);
        assert_true(s != NULL || mem_live_blocks() == blocks);
        assert_true(nth < 20);
    }
    mem_fail_nth(1);
    assert_false(password_is(passwords_any(passwords_of(s, c, &c->routes[0])), "a"));
    mem_fail_nth(0);
    passwords_set_free(s);
    passwords_set_free(NULL);
    conf_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(users, begin, end),   cmocka_unit_test_setup_teardown(kinds, begin, end),
        cmocka_unit_test_setup_teardown(refused, begin, end), cmocka_unit_test_setup_teardown(whoever_may_read_it, begin, end),
        cmocka_unit_test_setup_teardown(no_memory, begin, end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
