/* What an application is told beside the head: the operator's parameters, the user, the TLS connection and its certificate. */
#include "gateway/fcgi_facts.h"
#include "gateway/tls_facts.h"
#include "protocol/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct field params[] = { { SPAN_LITERAL("APP_ENV"), SPAN_LITERAL("x") }, { SPAN_LITERAL("SSL_CIPHER"), SPAN_LITERAL("mine") } };
static struct conf_fastcgi conf = { .params = params, .params_n = 2 };

static struct span first_of(const struct field *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (span_equal(list[i].name, span_of_text(name)))
            return list[i].value;
    return SPAN_EMPTY;
}

#define EXPECT(name, text) assert_true(span_equal(first_of(list, n, name), SPAN_LITERAL(text)))

static void clear_text(void **state)
{
    struct inbound inbound = { .tls = NULL, .tls_ahead = true };
    struct arena a;
    const struct field *list;
    size_t n;

    (void)state;
    arena_init(&a, 65536);
    list = fcgi_facts(&a, &conf, &inbound, NULL, &n);
    assert_int_equal(n, 2);
    EXPECT("APP_ENV", "x");
    arena_free(&a);
}

static void tls_with_and_without_a_certificate(void **state)
{
    struct tls_peer peer = { .subject = "CN=alice", .issuer = "CN=ca", .serial = "0A", .fingerprint = "ff", .not_before = "b", .not_after = "a" };
    struct tls_facts facts = { .version = "TLSv1.3", .cipher = "TLS_AES_128_GCM_SHA256", .sni = "a.test" };
    struct inbound inbound = { .tls = &facts };
    struct arena a;
    const struct field *list;
    size_t n;

    (void)state;
    arena_init(&a, 65536);
    list = fcgi_facts(&a, &conf, &inbound, NULL, &n);
    EXPECT("SSL_PROTOCOL", "TLSv1.3");
    EXPECT("SSL_CIPHER", "mine");                        /* the operator's stands first */
    EXPECT("SSL_TLS_SNI", "a.test");
    EXPECT("SSL_CLIENT_VERIFY", "NONE");
    assert_null(first_of(list, n, "SSL_CLIENT_S_DN").p);
    facts.peer = &peer;
    facts.sni[0] = '\0';
    list = fcgi_facts(&a, &conf, &inbound, NULL, &n);
    assert_null(first_of(list, n, "SSL_TLS_SNI").p);
    EXPECT("SSL_CLIENT_VERIFY", "SUCCESS");
    EXPECT("SSL_CLIENT_S_DN", "CN=alice");
    EXPECT("SSL_CLIENT_I_DN", "CN=ca");
    EXPECT("SSL_CLIENT_M_SERIAL", "0A");
    EXPECT("SSL_CLIENT_V_START", "b");
    EXPECT("SSL_CLIENT_V_END", "a");
    EXPECT("SSL_CLIENT_FINGERPRINT", "ff");
    arena_free(&a);
}

static void the_user(void **state)
{
    const struct field operator[] = { { SPAN_LITERAL("X-A"), SPAN_LITERAL("b") }, { SPAN_LITERAL("remote_user"), SPAN_LITERAL("second") } };
    const struct field told[] = { { SPAN_LITERAL("Remote-User"), SPAN_LITERAL("alice") } };
    struct rules_changes last = { .set = operator, .set_n = 2 }, first = { .set = told, .set_n = 1, .next = &last };
    struct inbound inbound = { .tls = NULL };
    struct arena a;
    const struct field *list;
    size_t n;

    (void)state;
    arena_init(&a, 65536);
    list = fcgi_facts(&a, &conf, &inbound, &first, &n);
    assert_int_equal(n, 3);
    EXPECT("REMOTE_USER", "alice");
    list = fcgi_facts(&a, &conf, &inbound, &last, &n);
    EXPECT("REMOTE_USER", "second");
    last.set_n = 1;
    last.add = told;                                     /* beside the client's own: not to be believed */
    last.add_n = 1;
    list = fcgi_facts(&a, &conf, &inbound, &last, &n);
    assert_null(first_of(list, n, "REMOTE_USER").p);
    arena_free(&a);
}

static void no_memory(void **state)
{
    struct inbound inbound = { .tls = NULL };
    struct arena a;
    size_t n;

    (void)state;
    arena_init(&a, 65536);
    mem_fail_nth(1);
    assert_null(fcgi_facts(&a, &conf, &inbound, NULL, &n));
    mem_fail_nth(0);
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clear_text),
        cmocka_unit_test(tls_with_and_without_a_certificate),
        cmocka_unit_test(the_user),
        cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
