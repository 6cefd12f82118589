/* Whose request it is, behind hops: from the right, through 10.0.0.0/8 and fd00::/16 only. */
#include "protocol/forwarded_walk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define HOP "10.0.0.1:4000"              /* what the walk ends with when nothing is told */

static bool trusts(void *ctx, const struct net_address *a)
{
    ++*(size_t *)ctx;
    return (a->family == NET_IP4 && a->bytes[0] == 10) || (a->family == NET_IP6 && a->bytes[0] == 0xfd && a->bytes[1] == 0);
}

/* Lines are parted by newlines; each is a field of the name. */
static void walk(const char *name, const char *lines, enum forwarded_field which, char out[NET_NAME_TEXT])
{
    const struct net_address hop = net_address_ip4((const uint8_t[]){ 10, 0, 0, 1 }, 4000);
    struct arena arena;
    struct headers fields;
    struct net_address found;
    size_t asked = 0;

    arena_init(&arena, 1 << 20);
    headers_init(&fields, &arena, 0);
    headers_add(&fields, SPAN_LITERAL("Host"), SPAN_LITERAL("6.6.6.6"));
    while (lines != NULL) {
        size_t n = strcspn(lines, "\n");
        assert_int_equal(headers_add(&fields, span_of_text(name), span_of(lines, n)), FAULT_NONE);
        headers_add(&fields, SPAN_LITERAL("X-Real-IP"), SPAN_LITERAL("6.6.6.6"));
        lines = lines[n] == '\n' ? lines + n + 1 : NULL;
    }
    found = forwarded_walk(&fields, which, &hop, trusts, &asked);
    net_address_print_name(&found, out);
    arena_free(&arena);
}

struct row {
    const char *lines, *found;
};

static void expect_rows(const char *name, enum forwarded_field which, const struct row *rows, size_t n)
{
    char found[NET_NAME_TEXT];

    for (size_t i = 0; i < n; i++) {
        walk(name, rows[i].lines, which, found);
        if (strcmp(found, rows[i].found) != 0)
            fail_msg("%s: %s: `%s` instead of `%s`", name, rows[i].lines, found, rows[i].found);
    }
}

static void x_forwarded_for(void **state)
{
    static const struct row rows[] = {
        { NULL, HOP },
        { "", HOP },
        { "203.0.113.9", "203.0.113.9" },
        { "6.6.6.6, 203.0.113.9", "203.0.113.9" },               /* what is left of the first stranger is his word */
        { "6.6.6.6\n203.0.113.9", "203.0.113.9" },
        { "203.0.113.9, 10.0.0.2", "203.0.113.9" },
        { "6.6.6.6, 203.0.113.9, 10.0.0.2, 10.0.0.3", "203.0.113.9" },
        { "6.6.6.6, 203.0.113.9\n10.0.0.2\n10.0.0.3", "203.0.113.9" },
        { "203.0.113.9, fd00::2,10.0.0.3", "203.0.113.9" },
        { "10.0.0.4,10.0.0.3", "10.0.0.4" },                     /* all of them trusted: the farthest */
        { "6.6.6.6, 10.0.0.4", "6.6.6.6" },
        /* a member that is none stops at the last good one */
        { "6.6.6.6, unknown", HOP },
        { "6.6.6.6, unknown, 10.0.0.2", "10.0.0.2" },
        { "6.6.6.6, , 10.0.0.2,", "6.6.6.6" },                   /* an empty one is no member */
        { ",,,", HOP },
        { "6.6.6.6, x 10.0.0.2", HOP },
        { "6.6.6.6, 10.0.0.256", HOP },
        { "6.6.6.6, 10.0.0", HOP },
        { "6.6.6.6, \"10.0.0.2\"", HOP },
        { "6.6.6.6, for=10.0.0.2", HOP },
        { "6.6.6.6, localhost", HOP },
        /* forms */
        { "203.0.113.9:56324", "203.0.113.9:56324" },
        { "2001:db8::9", "[2001:db8::9]" },
        { "[2001:db8::9]", "[2001:db8::9]" },
        { "[2001:db8::9]:56324", "[2001:db8::9]:56324" },
        { "::ffff:203.0.113.9", "203.0.113.9" },
        { "::ffff:10.0.0.9, fd00::1", "10.0.0.9" },
        { "6.6.6.6, ::ffff:10.0.0.9", "6.6.6.6" },               /* mapped: trusted as what it is */
        { "203.0.113.9:_x", "203.0.113.9" },
        { " \t 203.0.113.9 \t ", "203.0.113.9" },
        { "203.0.113.9:", HOP },
        { "203.0.113.9:65536", HOP },
        { "203.0.113.9:80:80", HOP },
        { "203.0.113.9 :80", HOP },
        { "[203.0.113.9]", HOP },
        { "[2001:db8::9", HOP },
        { "2001:db8::9]", HOP },
        { "[2001:db8::9]x", HOP },
        { "[2001:db8::9]80", HOP },
        { "[]", HOP },
        { "fe80::1%eth0", HOP },
        { "6.6.6.6,", "6.6.6.6" },
        /* quotes mean nothing here: a stranger cannot swallow what was appended to his */
        { "\"6.6.6.6, 203.0.113.9", "203.0.113.9" },
        { "\", 203.0.113.9", "203.0.113.9" },
        { "\\\", 203.0.113.9", "203.0.113.9" },
    };

    (void)state;
    expect_rows("X-Forwarded-For", FORWARDED_X_FORWARDED_FOR, rows, COUNT_OF(rows));
    expect_rows("x-forwarded-FOR", FORWARDED_X_FORWARDED_FOR, rows, COUNT_OF(rows));
}

static void forwarded(void **state)
{
    static const struct row rows[] = {
        { NULL, HOP },
        { "for=203.0.113.9", "203.0.113.9" },
        { "For=203.0.113.9;proto=http;by=10.0.0.1", "203.0.113.9" },
        { "proto=http;by=10.0.0.1;FOR=203.0.113.9", "203.0.113.9" },
        { "for=\"203.0.113.9:56324\"", "203.0.113.9:56324" },
        { "for=\"[2001:db8::9]\"", "[2001:db8::9]" },
        { "for=\"[2001:db8::9]:56324\"", "[2001:db8::9]:56324" },
        { "for=\"203.0.113.9:_gazonk\"", "203.0.113.9" },
        { "for=\"203.0.\\113.9\"", "203.0.113.9" },
        { "for=203.0.113.9; proto=http ;by=10.0.0.1", "203.0.113.9" },
        { ";for=203.0.113.9;", "203.0.113.9" },
        { "for=6.6.6.6, for=203.0.113.9, for=10.0.0.2", "203.0.113.9" },
        { "for=6.6.6.6\nfor=203.0.113.9\nfor=10.0.0.2", "203.0.113.9" },
        { "for=10.0.0.4, for=10.0.0.3", "10.0.0.4" },
        { "for=6.6.6.6;host=\"a, for=7.7.7.7\", for=10.0.0.2;host=\"b;c,d\"", "6.6.6.6" },
        { "for=6.6.6.6;host=\"a\\\", for=7.7.7.7\", for=10.0.0.2;host=\"\\\\\"", "6.6.6.6" },
        /* members that name no address */
        { "for=6.6.6.6, for=unknown", HOP },
        { "for=6.6.6.6, for=_hidden, for=10.0.0.2", "10.0.0.2" },
        { "for=6.6.6.6, proto=http", HOP },
        { "for=6.6.6.6, for=", HOP },
        { "for=6.6.6.6, for=\"\"", HOP },
        { "for=6.6.6.6, for", HOP },
        { "for=6.6.6.6, 10.0.0.2", HOP },
        { "for=6.6.6.6, for=10.0.0.2;for=10.0.0.3", HOP },
        { "for=6.6.6.6, for=10.0.0.2;proto", HOP },
        { "for=6.6.6.6, for=10.0.0.2;=x", HOP },
        { "for=6.6.6.6, for =10.0.0.2", HOP },
        { "for=6.6.6.6, for= 10.0.0.2", HOP },
        { "for=203.0.113.9:80", HOP },                           /* a colon wants quotes */
        { "for=[2001:db8::9]", HOP },
        { "for=\"2001:db8::9\"", HOP },                          /* and IPv6 wants brackets */
        { "for=\"203.0.113.9", HOP },
        { "for=203.0.113.9\"", HOP },
        { "for=\"203.0.113.9\"x", HOP },
        { "for=\"203.0.113.9\";by=\"", HOP },
        { "for=\"                                                                 203.0.113.9\"", HOP },
        /* what a stranger wrote cannot swallow, quote or change what was appended to it */
        { "for=\", for=203.0.113.9", "203.0.113.9" },
        { "for=6.6.6.6;x=\", for=203.0.113.9;host=\"a.test\"", "203.0.113.9" },
        { "for=6.6.6.6;x=\"\\, for=\"[2001:db8::9]\"", "[2001:db8::9]" },
        { "for=6.6.6.6;x=\"\\\", for=203.0.113.9, for=10.0.0.2;host=\"a.test:80\"", "203.0.113.9" },
        { "\"\n\\\nfor=203.0.113.9", "203.0.113.9" },
    };

    (void)state;
    expect_rows("Forwarded", FORWARDED_RFC7239, rows, COUNT_OF(rows));
}

/* One is looked at, and never the other: the hop writes one, and passes the other on as it came. */
static void never_both(void **state)
{
    char found[NET_NAME_TEXT];

    (void)state;
    walk("Forwarded", "for=6.6.6.6", FORWARDED_X_FORWARDED_FOR, found);
    assert_string_equal(found, HOP);
    walk("X-Forwarded-For", "6.6.6.6", FORWARDED_RFC7239, found);
    assert_string_equal(found, HOP);
    walk("X_Forwarded_For", "6.6.6.6", FORWARDED_X_FORWARDED_FOR, found);
    assert_string_equal(found, HOP);
}

/* Nobody is asked about members behind the first that is not trusted, however many there are. */
static void stops(void **state)
{
    static char many[60001];
    const struct net_address hop = net_address_ip4((const uint8_t[]){ 10, 0, 0, 1 }, 0);
    struct arena arena;
    struct headers fields;
    size_t asked = 0;

    (void)state;
    for (size_t i = 0; i + 10 <= 59990; i += 10)
        memcpy(many + i, "10.0.0.2, ", 10);
    memcpy(many + 59990, "6.6.6.6", 8);
    arena_init(&arena, 1 << 20);
    headers_init(&fields, &arena, 0);
    headers_add(&fields, SPAN_LITERAL("X-Forwarded-For"), span_of_text(many));
    forwarded_walk(&fields, FORWARDED_X_FORWARDED_FOR, &hop, trusts, &asked);
    assert_int_equal(asked, 1);
    many[59990 - 2] = '\0';
    fields.fields[0].value = span_of_text(many);
    forwarded_walk(&fields, FORWARDED_X_FORWARDED_FOR, &hop, trusts, &asked);
    assert_int_equal(asked, 1 + 5999);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(x_forwarded_for),
        cmocka_unit_test(forwarded),
        cmocka_unit_test(never_both),
        cmocka_unit_test(stops),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
