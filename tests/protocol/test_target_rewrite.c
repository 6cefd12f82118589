/* Prefixes off and on: which bytes go, what is refused because two readers would see two resources; then random targets against what
 * the path means. */
#include "protocol/target_rewrite.h"
#include "tests/protocol/chance.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static const struct {
    const char *strip, *prepend, *target, *due;          /* NULL: refused */
} rows[] = {
    /* plain_* */
    { "/app", "", "/app/x", "/x" },
    { "/app", "", "/app/x/y?q=/app", "/x/y?q=/app" },
    { "/app", "", "/app/", "/" },
    { "/app", "", "/app", "/" },
    { "/app", "", "/app?q", "/?q" },
    { "/app", "", "/app?", "/?" },
    { "/app", "", "/app/app/x", "/app/x" },
    { "/a/b", "", "/a/b/c", "/c" },
    { "/a/b", "", "/a/b", "/" },
    { "", "/v1", "/x", "/v1/x" },
    { "", "/v1", "/", "/v1/" },
    { "/app", "/v1", "/app/x", "/v1/x" },
    { "/app", "/v1/w", "/app", "/v1/w" },
    { "/app", "/v1", "/app/", "/v1/" },
    { "/app", "/v1", "/app?q", "/v1?q" },
    { "/app", "/app", "/app/x", "/app/x" },
    { "/app", "", "http://h/app/x?y", "/x?y" },
    { "", "/v1", "http://h", "/v1/" },
    { "", "/v1", "http://h?q", "/v1/?q" },
    { "", "", "/x//y", "/x//y" },
    /* bytes_*: what follows the prefix stays as it is */
    { "/app", "", "/app/%41%c3%a9;p=1/./y//z?%zz", "/%41%c3%a9;p=1/./y//z?%zz" },
    { "/app", "/v", "/app/x/../y", "/v/x/../y" },
    { "/app", "", "/app/x/..", "/x/.." },
    { "/app", "", "/app/a%2fb", "/a%2fb" },
    { "/app", "", "/app/a%2Fb/../c%2fd", "/a%2Fb/../c%2fd" },
    /* escapes_*: the prefix may be spelled with escapes that everybody decodes */
    { "/app", "", "/%61pp/x", "/x" },
    { "/app", "", "/%61%70%70", "/" },
    { "/\xc3\xa9", "", "/%C3%a9/x", "/x" },
    { "/a%25b", "", "/a%25b/x", "/x" },
    { "/a b", "", "/a%20b/x", "/x" },
    /* climbs_*: neither in nor out */
    { "/app", "", "/app/../app/x", NULL },
    { "/app", "", "/app/x/../../app/y", NULL },
    { "/app", "", "/x/../app/y", NULL },
    { "/app", "", "/app/%2e%2e/app/y", NULL },
    { "/a/b", "", "/a/x/../b/y", NULL },
    { "/a/b", "", "/a/./b/y", NULL },
    { "/app", "", "/./app/y", NULL },
    { "/app", "", "/app/./x/../../app/y", NULL },
    /* slashes_*: what is left could be taken for a host */
    { "/app", "", "/app//evil.example/x", NULL },
    { "/app", "/v1", "/app//x", NULL },
    { "/app", "", "//app/x", NULL },
    { "/a/b", "", "/a//b/x", NULL },
    /* params_*, encoded_*: in the prefix nobody knows whose they are */
    { "/app", "", "/app;v=1/x", NULL },
    { "/a/b", "", "/a;/b/x", NULL },
    { "/a/b", "", "/a%2fb/x", NULL },
    { "/a/b", "", "/a%2fb", NULL },
    /* what the router would not have sent here */
    { "/app", "", "/apple", NULL },
    { "/app", "", "/", NULL },
    { "/app", "", "/App/x", NULL },
};

static const struct span get = { (const uint8_t *)"GET", 3 };

static enum fault rewrite(struct arena *a, const char *strip, const char *prepend, struct target *t)
{
    struct target_rewrite how = { span_of_text(strip), span_of_text(prepend) };

    return target_rewrite(a, &how, t);
}

static void table(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct arena a;
        struct target t, again;
        enum fault fault;

        arena_init(&a, 10000);
        assert_int_equal(target_parse(&a, get, span_of_text(rows[i].target), &t), FAULT_NONE);
        fault = rewrite(&a, rows[i].strip, rows[i].prepend, &t);
        if ((fault == FAULT_NONE) != (rows[i].due != NULL) || (fault != FAULT_NONE && fault != FAULT_TARGET))
            fail_msg("%s less %s: %s", rows[i].target, rows[i].strip, fault_word(fault));
        if (fault == FAULT_NONE && !span_equal(t.path_and_query, span_of_text(rows[i].due)))
            fail_msg("%s less %s: %.*s, not %s", rows[i].target, rows[i].strip, SPAN_FORMAT(t.path_and_query), rows[i].due);
        if (fault == FAULT_NONE) {                       /* the parts are those of the new target */
            assert_int_equal(target_parse(&a, get, t.path_and_query, &again), FAULT_NONE);
            assert_true(span_equal(t.path, again.path) && span_equal(t.query, again.query) && t.has_query == again.has_query);
            assert_true(span_equal(t.route_path, again.route_path) && span_equal(t.route_path_kept, again.route_path_kept));
        }
        arena_free(&a);
    }
}

static void asterisk_stays(void **state)
{
    struct arena a;
    struct target t;

    (void)state;
    arena_init(&a, 10000);
    assert_int_equal(target_parse(&a, SPAN_LITERAL("OPTIONS"), SPAN_LITERAL("*"), &t), FAULT_NONE);
    assert_int_equal(rewrite(&a, "", "/v1", &t), FAULT_NONE);
    assert_true(span_equal(t.path_and_query, SPAN_LITERAL("*")));
    arena_free(&a);
}

static void what_was_absolute_stays_known(void **state)
{
    struct arena a;
    struct target t;

    (void)state;
    arena_init(&a, 10000);
    assert_int_equal(target_parse(&a, get, SPAN_LITERAL("HTTPS://h:8/app/x"), &t), FAULT_NONE);
    assert_int_equal(rewrite(&a, "/app", "", &t), FAULT_NONE);
    assert_int_equal(t.form, TARGET_ABSOLUTE);
    assert_true(span_equal(t.scheme, SPAN_LITERAL("https")) && span_equal(t.authority, SPAN_LITERAL("h:8")));
    arena_free(&a);
}

static void memory_ends(void **state)
{
    enum fault fault = FAULT_NO_MEMORY;

    (void)state;
    for (size_t cap = 0; fault == FAULT_NO_MEMORY; cap += 8) {
        struct arena a;
        struct target t;
        arena_init(&a, cap);
        fault = target_parse(&a, get, SPAN_LITERAL("/app/a%2fb?q"), &t);
        if (fault == FAULT_NONE)
            fault = rewrite(&a, "/app", "/v1", &t);
        arena_free(&a);
        assert_true(cap < 10000);
    }
    assert_int_equal(fault, FAULT_NONE);
}

/* The bytes are the end of what came; where nothing of the path was left, a slash stands in front. */
static bool is_end_of(struct span now, struct span before)
{
    struct span behind = span_from(now, 1);

    return span_ends_with(before, now) || ((behind.n == 0 || behind.p[0] == '?') && span_ends_with(before, behind));
}

static void expect_same_meaning(struct arena *a, const char *text, struct target *t)
{
    const struct target before = *t;
    struct span due = span_from(before.route_path, 4);

    if (rewrite(a, "/app", "", t) == FAULT_NONE &&
        (!span_equal(t->route_path, due.n > 0 ? due : SPAN_LITERAL("/")) || span_starts_with(t->path, SPAN_LITERAL("//")) ||
         !is_end_of(t->path_and_query, before.path_and_query)))
        fail_msg("%s: %.*s", text, SPAN_FORMAT(t->path_and_query));
}

static void random_targets(void **state)
{
    static const char *const pieces[] = { "/", "/", "app", "%61pp", "a", "..", ".", "%2e", "%2f", ";x", "//", "b", "?", "%2F.." };
    struct chance chance = chance_seeded("target_rewrite");
    size_t tried = 0;

    (void)state;
    for (int round = 0; round < 40000; round++) {
        char text[200] = "/app";
        struct arena a;
        struct target t;

        for (size_t n = chance_below(&chance, 8), at = strlen(text); n > 0; n--)
            at += (size_t)snprintf(text + at, sizeof(text) - at, "%s", pieces[chance_below(&chance, COUNT(pieces))]);
        arena_init(&a, 10000);
        if (target_parse(&a, get, span_of_text(text), &t) == FAULT_NONE &&
            span_starts_with(t.route_path, SPAN_LITERAL("/app")) && (t.route_path.n == 4 || t.route_path.p[4] == '/')) {
            tried++;
            expect_same_meaning(&a, text, &t);
        }
        arena_free(&a);
    }
    assert_true(tried > 2000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table),       cmocka_unit_test(asterisk_stays), cmocka_unit_test(what_was_absolute_stays_known),
        cmocka_unit_test(memory_ends), cmocka_unit_test(random_targets),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
