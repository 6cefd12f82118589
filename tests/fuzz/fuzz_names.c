/* Fuzz: what an answer about a host name means. The first two bytes are the port; then each address is a byte that chooses its family, and its
 * bytes.
 *
 * Whatever is told: every server is an address that was told, none is there twice, and none is of a link. The order of an answer, and
 * saying all of it twice, change nothing. */
#include "gateway/names.h"

#include <assert.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Returns how many bytes it took; 0: none is left. */
static size_t read_address(const uint8_t *p, size_t n, struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (void *)out;
    struct sockaddr_in6 *v6 = (void *)out;

    memset(out, 0, sizeof(*out));
    if (n >= 5 && p[0] % 3 == 0) {
        v4->sin_family = AF_INET;
        memcpy(&v4->sin_addr, p + 1, 4);
        return 5;
    }
    if (n >= 17 && p[0] % 3 == 1) {
        v6->sin6_family = AF_INET6;
        memcpy(&v6->sin6_addr, p + 1, 16);
        return 17;
    }
    out->ss_family = AF_UNIX;
    return n > 0;
}

static struct resolver_answer read_answer(const uint8_t *p, size_t n)
{
    struct resolver_answer a = { .n = 0 };
    size_t took;

    while (a.n < RESOLVER_ADDRESSES && (took = read_address(p, n, &a.addresses[a.n])) > 0) {
        a.n++;
        p += took;
        n -= took;
    }
    return a;
}

static bool was_told(const struct resolver_answer *a, const struct conf_address *server)
{
    char text[INET6_ADDRSTRLEN];

    for (size_t i = 0; i < a->n; i++) {
        const struct sockaddr_storage *s = &a->addresses[i];
        const void *bytes = s->ss_family == AF_INET ? (const void *)&((const struct sockaddr_in *)(const void *)s)->sin_addr
                                                    : (const void *)&((const struct sockaddr_in6 *)(const void *)s)->sin6_addr;
        if (s->ss_family != AF_UNIX && inet_ntop(s->ss_family, bytes, text, sizeof(text)) != NULL && strcmp(text, server->host) == 0)
            return true;
    }
    return false;
}

static void check(const struct resolver_answer *a, const struct names_list *l, unsigned port)
{
    assert(l->n != 1 && l->n <= a->n);
    for (size_t i = 0; i < l->n; i++) {
        assert(l->addresses[i].kind == CONF_ADDRESS_IP && l->addresses[i].port == port);
        assert(strstr(l->addresses[i].text, l->addresses[i].host) != NULL);
        assert(was_told(a, &l->addresses[i]));
        assert(strncmp(l->addresses[i].host, "fe8", 3) != 0 || strchr(l->addresses[i].host, ':') == NULL);
        assert(i == 0 || strcmp(l->addresses[i - 1].text, l->addresses[i].text) < 0);
    }
}

static void expect_same(const struct names_list *a, const struct names_list *b)
{
    assert(a->n == b->n);
    for (size_t i = 0; i < a->n; i++)
        assert(strcmp(a->texts[i], b->texts[i]) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct names_list list, again;
    struct resolver_answer a, other;
    unsigned port;

    if (n < 2)
        return 0;
    port = (unsigned)data[0] << 8 | data[1];
    a = read_answer(data + 2, n - 2);
    names_list_of(&list, &a, port);
    check(&a, &list, port);
    other = a;
    for (size_t i = 0; i < a.n; i++)
        other.addresses[i] = a.addresses[a.n - 1 - i];
    names_list_of(&again, &other, port);
    expect_same(&list, &again);
    for (other = a; other.n < RESOLVER_ADDRESSES && other.n < 2 * a.n; other.n++)
        other.addresses[other.n] = a.addresses[other.n - a.n];
    names_list_of(&again, &other, port);
    expect_same(&list, &again);
    return 0;
}
