/* Addresses as text and back. */
#include "protocol/net_address.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* What is read, and how it is written; NULL: it is no address. */
static void texts(void **state)
{
    static const struct {
        const char *text, *printed;
    } rows[] = {
        { "192.0.2.1", "192.0.2.1" },
        { "0.0.0.0", "0.0.0.0" },
        { "255.255.255.255", "255.255.255.255" },
        { "", NULL },
        { "1.2.3", NULL },
        { "1.2.3.4.5", NULL },
        { "1.2.3.", NULL },
        { ".1.2.3", NULL },
        { "1.2.3.4.", NULL },
        { "1.2.3.256", NULL },
        { "01.2.3.4", NULL },            /* octal to some readers */
        { "1.2.3.0x4", NULL },
        { "+1.2.3.4", NULL },
        { " 1.2.3.4", NULL },
        { "1.2.3.4 ", NULL },
        { "1.2.3.4:80", NULL },
        { "::", "::" },
        { "::1", "::1" },
        { "1::", "1::" },
        { "2001:DB8::A", "2001:db8::a" },
        { "2001:0db8:0000:0000:0000:0000:0000:0001", "2001:db8::1" },
        { "2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1" },     /* RFC 5952 section 4.2.3: the first of equal runs */
        { "2001:0:0:1:0:0:0:1", "2001:0:0:1::1" },           /* … the longest */
        { "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },  /* section 4.2.2: never one group */
        { "2001:db8::1:1:1:1:1", "2001:db8:0:1:1:1:1:1" },
        { "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8" },
        { "1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0" },
        { "::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8" },
        { "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304" },
        { "::ffff:192.0.2.1", "192.0.2.1" },                 /* mapped: the IPv4 address */
        { "::FFFF:c000:201", "192.0.2.1" },
        { "64:ff9b::192.0.2.1", "64:ff9b::c000:201" },
        { "1:2:3:4:5:6:7", NULL },
        { "1:2:3:4:5:6:7:8:9", NULL },
        { "1:2:3:4:5:6:7:8::", NULL },
        { "1:2:3:4::5:6:7:8", NULL },
        { "1::2::3", NULL },
        { ":::", NULL },
        { "::::", NULL },
        { ":1", NULL },
        { ":1::", NULL },
        { "1:", NULL },
        { "1::2:", NULL },
        { "12345::", NULL },
        { "g::", NULL },
        { "[::1]", NULL },
        { "::1%eth0", NULL },
        { "1.2.3.4::", NULL },
        { "::1.2.3.4:5", NULL },
        { "::1.2.3", NULL },
        { "1:2:3:4:5:6:7:1.2.3.4", NULL },
        { "::1:2:3:4:5:6:1.2.3.4", NULL },
        { "unix", NULL },
        { "unknown", NULL },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct net_address a = { 0 }, again;
        char printed[NET_ADDRESS_TEXT] = "";
        bool good = net_address_parse(span_of_text(rows[i].text), &a);
        if (good)
            net_address_print(&a, printed);
        if (good != (rows[i].printed != NULL) || (good && strcmp(printed, rows[i].printed) != 0))
            fail_msg("`%s` became `%s`", rows[i].text, printed);
        if (good && (!net_address_parse(span_of_text(printed), &again) || !net_address_equal(&a, &again)))
            fail_msg("`%s` does not read back", printed);
    }
}

static void names(void **state)
{
    static const uint8_t v4[4] = { 192, 0, 2, 1 };
    static const uint8_t v6[16] = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 }, longest[16] = { [0 ... 15] = 0x11 };
    static const struct {
        const uint8_t *bytes;
        enum net_family family;
        unsigned port;
        const char *name;
    } rows[] = {
        { v4, NET_IP4, 80, "192.0.2.1:80" },
        { v4, NET_IP4, 0, "192.0.2.1" },
        { v6, NET_IP6, 65535, "[2001:db8::1]:65535" },
        { v6, NET_IP6, 0, "[2001:db8::1]" },
        { longest, NET_IP6, 65535, "[1111:1111:1111:1111:1111:1111:1111:1111]:65535" },
        { NULL, NET_UNIX, 0, "unix:" },
        { NULL, NET_UNKNOWN, 0, "unknown" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct net_address a = { .family = rows[i].family };
        char name[NET_NAME_TEXT];
        if (rows[i].family == NET_IP4)
            a = net_address_ip4(rows[i].bytes, rows[i].port);
        if (rows[i].family == NET_IP6)
            a = net_address_ip6(rows[i].bytes, rows[i].port);
        net_address_print_name(&a, name);
        assert_string_equal(name, rows[i].name);
    }
}

/* No text that is cut anywhere is read as something longer than itself, and none is read past its end. */
static void every_cut(void **state)
{
    static const char *const whole[] = { "192.168.100.200", "2001:db8:1:22:333:4444:55:6", "::ffff:192.0.2.1", "1::8" };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(whole); i++)
        for (size_t n = 0; n <= strlen(whole[i]); n++) {
            char text[64], printed[NET_ADDRESS_TEXT];
            struct net_address a;
            memcpy(text, whole[i], n);   /* without a NUL */
            memset(text + n, '1', sizeof(text) - n);
            if (!net_address_parse(span_of(text, n), &a))
                continue;
            net_address_print(&a, printed);
            assert_true(strlen(printed) <= n + 1);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts),
        cmocka_unit_test(names),
        cmocka_unit_test(every_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
