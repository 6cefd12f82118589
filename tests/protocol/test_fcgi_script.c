/* Which script a path means: each row is a path, and the four variables that come of it, or the fault. The tricks are those
 * that other servers fell for: suffixes in the middle of a name, other cases and alphabets, encoded dots, slashes, NULs and
 * line ends. */
#include "protocol/fcgi_script.h"
#include "protocol/mem.h"
#include "tests/protocol/chance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct row {
    const char *path;
    const char *due;                     /* SCRIPT_NAME|SCRIPT_FILENAME|PATH_INFO|PATH_TRANSLATED, or !fault */
};

static void describe(enum fault fault, const struct fcgi_script *s, char *out, size_t n)
{
    if (fault != FAULT_NONE)
        snprintf(out, n, "!%s", fault_word(fault));
    else
        snprintf(out, n, "%.*s|%.*s|%.*s|%.*s", SPAN_FORMAT(s->name), SPAN_FORMAT(s->filename), SPAN_FORMAT(s->path_info),
                 SPAN_FORMAT(s->path_translated));
}

static void run_rows(const struct fcgi_script_rules *rules, const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct fcgi_script script;
        struct arena a;
        char got[600];

        arena_init(&a, 10000);
        describe(fcgi_script_find(&a, rules, span_of_text(rows[i].path), &script), &script, got, sizeof(got));
        if (strcmp(got, rows[i].due) != 0)
            print_error("%s\n", rows[i].path);
        assert_string_equal(got, rows[i].due);
        arena_free(&a);
    }
}
#define RUN(rules, rows) run_rows(&(rules), rows, sizeof(rows) / sizeof((rows)[0]))

static const struct fcgi_script_rules split_rules = {
    .root = { (const uint8_t *)"/www", 4 }, .split = { (const uint8_t *)".php", 4 }, .index = { (const uint8_t *)"index.php", 9 },
};

static void split(void **state)
{
    static const struct row rows[] = {
        { "/a.php", "/a.php|/www/a.php||" },
        { "/d/a.php", "/d/a.php|/www/d/a.php||" },
        { "/a.php/", "/a.php|/www/a.php|/|/www/" },
        { "/a.php/b", "/a.php|/www/a.php|/b|/www/b" },
        { "/a.php/b.php", "/a.php|/www/a.php|/b.php|/www/b.php" },
        { "/a.php//b//", "/a.php|/www/a.php|//b//|/www//b//" },
        { "//d///a.php", "/d/a.php|/www/d/a.php||" },
        { "/%61.p%68p/%62", "/a.php|/www/a.php|/b|/www/b" },
        { "/a%20b.php", "/a b.php|/www/a b.php||" },
        { "/100%25.php", "/100%.php|/www/100%.php||" },
        { "/a%252e.php", "/a%2e.php|/www/a%2e.php||" },
        { "/a.php/x%252f..%252fy", "/a.php|/www/a.php|/x%2f..%2fy|/www/x%2f..%2fy" },
        { "/%c3%a9.php/\xc3\xa9", "/\xc3\xa9.php|/www/\xc3\xa9.php|/\xc3\xa9|/www/\xc3\xa9" },
        { "/.hidden/a.php", "/.hidden/a.php|/www/.hidden/a.php||" },
        { "/.../a.php", "/.../a.php|/www/.../a.php||" },
        { "/a.php/...", "/a.php|/www/a.php|/...|/www/..." },
        /* folders */
        { "/", "/index.php|/www/index.php||" },
        { "//", "/index.php|/www/index.php||" },
        { "/d/", "/d/index.php|/www/d/index.php||" },
        { "/d//", "/d/index.php|/www/d/index.php||" },
        { "/d", "!fcgi_script" },
        { "", "!fcgi_script" },
        { "*", "!fcgi_script" },
        { "a.php", "!fcgi_script" },
        /* not the suffix, but something like it */
        { "/a.php.jpg", "!fcgi_script" },
        { "/a.php.jpg/", "/a.php.jpg/index.php|/www/a.php.jpg/index.php||" },
        { "/a.phpx", "!fcgi_script" },
        { "/a.ph", "!fcgi_script" },
        { "/aphp", "!fcgi_script" },
        { "/.php", "!fcgi_script" },
        { "/.php/x", "!fcgi_script" },
        { "/x.PHP", "!fcgi_script" },
        { "/x.Php/b", "!fcgi_script" },
        { "/x.PHP/b.php", "/x.PHP/b.php|/www/x.PHP/b.php||" },
        { "/a.php%20", "!fcgi_script" },
        { "/a.php.", "!fcgi_script" },
        { "/a.php::$DATA", "!fcgi_script" },
        { "/a.php;x=1", "!fcgi_script" },
        { "/a.php~", "!fcgi_script" },
        { "/upload/evil.jpg/x.php", "/upload/evil.jpg/x.php|/www/upload/evil.jpg/x.php||" },
        { "/upload/evil.jpg/.php", "!fcgi_script" },
        { "/upload/evil.jpg%2fx.php", "!target" },
        /* letters whose lower case is shorter or longer, or looks like another: U+0130, U+212A, U+1E9E, U+FF50, U+0440 */
        { "/%c4%b0%c4%b0%c4%b0.php/x.txt.php",
          "/\xc4\xb0\xc4\xb0\xc4\xb0.php|/www/\xc4\xb0\xc4\xb0\xc4\xb0.php|/x.txt.php|/www/x.txt.php" },
        { "/%e2%84%aa%e2%84%aa.txt/a.php.txt", "!fcgi_script" },
        { "/%c8%ba%c8%ba%c8%ba%c8%ba.txt.php.txt", "!fcgi_script" },
        { "/a.%ef%bd%90hp", "!fcgi_script" },
        { "/a.\xd1\x80hp", "!fcgi_script" },
        { "/%ff%fe.php", "/\xff\xfe.php|/www/\xff\xfe.php||" },
        /* dot segments, however they are written and wherever they stand */
        { "/../a.php", "!target" },
        { "/a.php/../b.php", "!target" },
        { "/a.php/..", "!target" },
        { "/a.php/x/%2e%2e/y", "!target" },
        { "/%2e%2e/a.php", "!target" },
        { "/.%2E/a.php", "!target" },
        { "/%2e/a.php", "!target" },
        { "/./a.php", "!target" },
        { "/a.php/.", "!target" },
        { "/..", "!target" },
        { "/a.php/%2e%2e%2fb", "!target" },
        /* other bytes */
        { "/a%2fb.php", "!target" },
        { "/a.php/x%2Fy", "!target" },
        { "/a.php%00.jpg", "!target" },
        { "/a.jpg%00.php", "!target" },
        { "/a.php/%0a", "!target" },
        { "/a.php%0a/x", "!target" },
        { "/a.php%0d", "!target" },
        { "/a.php/%7f", "!target" },
        { "/a.php/\x01", "!target" },
        { "/a\n.php", "!target" },
        { "/a%5cb.php", "!target" },
        { "/..\\a.php", "!target" },
        { "/a.php/%", "!target" },
        { "/a.php/%4", "!target" },
        { "/a.php/%4g", "!target" },
        { "/a.php/%g4", "!target" },
        { "/a.php/%%41", "!target" },
    };
    struct fcgi_script_rules no_index = split_rules;
    static const struct row without_index[] = {
        { "/", "!fcgi_script" }, { "/d/", "!fcgi_script" }, { "/d/a.php", "/d/a.php|/www/d/a.php||" },
    };

    (void)state;
    RUN(split_rules, rows);
    no_index.index = SPAN_EMPTY;
    RUN(no_index, without_index);
}

static void fixed(void **state)
{
    static const struct row rows[] = {
        { "/", "/index.php|/www/index.php||" },
        { "/blog/1", "/index.php|/www/index.php||" },
        { "/index.php", "/index.php|/www/index.php||" },
        { "/index.php/blog/1", "/index.php|/www/index.php|/blog/1|/www/blog/1" },
        { "/%69ndex.php/a%20b", "/index.php|/www/index.php|/a b|/www/a b" },
        { "/index.php/", "/index.php|/www/index.php|/|/www/" },
        { "/index.phpx/y", "/index.php|/www/index.php||" },
        { "/index.php.jpg", "/index.php|/www/index.php||" },
        { "/INDEX.PHP/x", "/index.php|/www/index.php||" },
        { "/d/index.php/x", "/index.php|/www/index.php||" },
        { "/other.php", "/index.php|/www/index.php||" },
        { "*", "/index.php|/www/index.php||" },
        /* what would be refused as a name of a file is the application's to judge: it is in REQUEST_URI alone */
        { "/wiki/a%2fb", "/index.php|/www/index.php||" },
        { "/index.php/a%2fb", "/index.php|/www/index.php||" },
        { "/index.php/../../etc/passwd", "/index.php|/www/index.php||" },
        { "/index.php/%2e%2e", "/index.php|/www/index.php||" },
        { "/index.php/%00", "/index.php|/www/index.php||" },
        { "/index.php/%0a", "/index.php|/www/index.php||" },
        { "/index.php/\\", "/index.php|/www/index.php||" },
        { "/index.php/%zz", "/index.php|/www/index.php||" },
    };
    struct fcgi_script_rules rules = split_rules;
    static const struct row deep[] = {
        { "/x", "/front/app.php|/front/app.php||" }, { "/front/app.php/x", "/front/app.php|/front/app.php|/x|/x" },
    };

    (void)state;
    rules.script = SPAN_LITERAL("index.php");
    RUN(rules, rows);
    rules.script = SPAN_LITERAL("//index.php");
    rules.root = SPAN_LITERAL("/www//");
    RUN(rules, rows);
    rules.script = SPAN_LITERAL("front/app.php");
    rules.root = SPAN_LITERAL("/");
    RUN(rules, deep);
}

static void whole(void **state)
{
    static const struct row rows[] = {
        { "/", "||/|" },
        { "/a/b.php", "||/a/b.php|" },
        { "/a%20b//c", "||/a b//c|" },
        { "/a%2Fb", "||/a/b|" },
        { "*", "|||" },
        { "/a%2f..%2fb", "!target" },
        { "/../a", "!target" },
        { "/%2e%2e", "!target" },
        { "/%00", "!target" },
        { "/%0d%0a", "!target" },
        { "/%5c", "!target" },
        { "/%", "!target" },
    };
    static const struct row rooted[] = { { "/a", "||/a|/www/a" }, { "*", "|||" } };
    struct fcgi_script_rules rules = { .index = SPAN_LITERAL("index.php") };

    (void)state;
    RUN(rules, rows);
    rules.root = SPAN_LITERAL("/www");
    RUN(rules, rooted);
}

static void no_memory(void **state)
{
    static const char *const paths[] = { "/a.php/b", "/d/", "/x" };
    struct fcgi_script_rules rules = split_rules;

    (void)state;
    for (int kind = 0; kind < 3; kind++) {
        rules.script = kind == 1 ? SPAN_LITERAL("x") : SPAN_EMPTY;
        rules.split = kind == 2 ? SPAN_EMPTY : split_rules.split;
        for (size_t i = 0; i < 3; i++) {
            for (size_t cap = 0; cap < 100; cap++) {
                struct fcgi_script script;
                struct arena a;
                enum fault fault;

                arena_init(&a, cap);
                fault = fcgi_script_find(&a, &rules, span_of_text(paths[i]), &script);
                assert_true(cap < 99 ? fault == FAULT_NO_MEMORY || cap > 1 : fault == FAULT_NONE || fault == FAULT_FCGI_SCRIPT);
                arena_free(&a);
            }
        }
    }
    assert_int_equal(mem_live_blocks(), 0);
}

static void append(char *text, size_t room, const char *part)
{
    size_t n = strlen(text);

    snprintf(text + n, room - n, "%s", part);
}

/* Whatever the path: a script that is found ends in the suffix or is the index, and nothing in it climbs or hides. */
static void random_paths(void **state)
{
    static const char *const parts[] = {
        "/", "a", ".php", ".", "..", "%2e", "%2f", "%00", "%0a", "\\", "%5c", "x.php", ".PHP", "%70", "\xc4\xb0", "%", "%25",
    };
    struct chance c = chance_seeded("fcgi_script");
    unsigned found = 0;

    (void)state;
    for (int round = 0; round < 50000; round++) {
        struct fcgi_script s;
        struct arena a;
        char path[100] = "/";

        for (size_t n = chance_below(&c, 8); n > 0; n--)
            append(path, sizeof(path), parts[chance_below(&c, sizeof(parts) / sizeof(parts[0]))]);
        arena_init(&a, 10000);
        if (fcgi_script_find(&a, &split_rules, span_of_text(path), &s) == FAULT_NONE) {
            struct span all = span_of(s.filename.p, s.filename.n);
            found++;
            assert_true(span_starts_with(all, SPAN_LITERAL("/www/")));
            assert_true(span_ends_with(s.name, SPAN_LITERAL(".php")));
            assert_false(span_ends_with(s.name, SPAN_LITERAL("/.php")));
            assert_true(s.path_info.n == 0 || s.path_info.p[0] == '/');
            for (size_t i = 0; i < s.name.n; i++) {
                struct span rest = span_from(s.name, i);
                assert_true(s.name.p[i] >= 0x20 && s.name.p[i] != '\\');
                assert_false(span_starts_with(rest, SPAN_LITERAL("//")));
                assert_false(span_starts_with(rest, SPAN_LITERAL("/../")) || span_starts_with(rest, SPAN_LITERAL("/./")));
                /* the first one is taken: no segment before the last ends in the suffix */
                assert_false(i > 1 && s.name.p[i - 1] != '/' && span_starts_with(rest, SPAN_LITERAL(".php/")));
            }
        }
        arena_free(&a);
    }
    assert_true(found > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(split),
        cmocka_unit_test(fixed),
        cmocka_unit_test(whole),
        cmocka_unit_test(no_memory),
        cmocka_unit_test(random_paths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
