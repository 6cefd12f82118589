/* Host names that stand for servers: what an answer means, when it is asked for, what is kept when there is none, and what becomes of it in a
 * set. The resolver is scripted, time is invented. */
#include "tests/gateway/world.h"

#include "gateway/names.h"

/* ---- an answer ---- */

/* Addresses as words; "-" is none of a server's. */
static struct resolver_answer answer_of(const char *words)
{
    struct resolver_answer a = { .error = 0 };
    char text[512], *rest = NULL;

    snprintf(text, sizeof(text), "%s", words);
    for (char *word = strtok_r(text, " ", &rest); word != NULL; word = strtok_r(NULL, " ", &rest)) {
        struct sockaddr_storage *s = &a.addresses[a.n++];
        struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)s;
        struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)s;
        if (strcmp(word, "-") == 0)
            s->ss_family = AF_UNIX;
        else if (inet_pton(AF_INET, word, &v4->sin_addr) == 1)
            s->ss_family = AF_INET;
        else if (inet_pton(AF_INET6, word, &v6->sin6_addr) == 1)
            s->ss_family = AF_INET6;
        else
            fail_msg("no address: %s", word);
    }
    return a;
}

static void what_an_answer_means(void **state)
{
    static const struct {
        const char *answer, *servers;
    } rows[] = {
        { "", "" },
        { "10.0.0.1", "" },              /* one server, by its name */
        { "2001:db8::1", "" },
        { "10.0.0.1 2001:db8::1", "" },  /* … of both families: one machine */
        { "10.0.0.1 10.0.0.1 2001:db8::1", "" },
        { "127.0.0.1 - fe80::1 ::1", "" },
        { "10.0.0.2 10.0.0.1", "10.0.0.1:80 10.0.0.2:80 " },
        { "10.0.0.1 10.0.0.2 10.0.0.1", "10.0.0.1:80 10.0.0.2:80 " },
        { "10.0.0.1 10.0.0.2 2001:db8::1", "10.0.0.1:80 10.0.0.2:80 [2001:db8::1]:80 " },
        { "2001:db8::2 2001:db8::1 - fe80::1", "[2001:db8::1]:80 [2001:db8::2]:80 " },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct resolver_answer a = answer_of(rows[i].answer);
        static struct names_list l;
        struct bytes seen = { NULL, 0, 0 };
        memset(&l, 0xAA, sizeof(l));
        names_list_of(&l, &a, 80);
        for (size_t s = 0; s < l.n; s++) {
            assert_int_equal(l.addresses[s].kind, CONF_ADDRESS_IP);
            assert_int_equal(l.addresses[s].port, 80);
            assert_non_null(strstr(l.addresses[s].text, l.addresses[s].host));
            bytes_print(&seen, "%s ", l.addresses[s].text);
        }
        assert_string_equal(bytes_text(&seen), rows[i].servers);
        bytes_free(&seen);
    }
}

static void as_many_as_there_may_be(void **state)
{
    struct resolver_answer a = { .n = RESOLVER_ADDRESSES };
    static struct names_list l;

    (void)state;
    for (size_t i = 0; i < a.n; i++) {
        struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)&a.addresses[i];
        v4->sin_family = AF_INET;
        v4->sin_addr.s_addr = htonl(0x0A000000u + (uint32_t)i);
    }
    names_list_of(&l, &a, 65535);
    assert_int_equal(l.n, RESOLVER_ADDRESSES);
}

/* ---- asking ---- */

struct asked {
    struct timers timers;
    uint64_t now_ms;
    struct names *names;
    struct resolver_wait *waits[8];
    const char *hosts[8];
    size_t n;                            /* questions that are out */
    unsigned questions, changes;
    size_t servers;                      /* that the last one to change stands for */
    bool no_memory;
    struct bytes log;
    size_t blocks_before;
};

static uint64_t clock_of(void *ctx)
{
    return ((struct asked *)ctx)->now_ms;
}

static int take_question(void *ctx, struct resolver_wait *w, const char *host, unsigned port)
{
    struct asked *a = ctx;

    assert_int_equal(port, 80);
    if (a->no_memory)
        return -ENOMEM;
    a->questions++;
    a->hosts[a->n] = host;
    a->waits[a->n++] = w;
    return 0;
}

static void on_changed(void *ctx, const char *host, size_t servers)
{
    struct asked *a = ctx;

    assert_non_null(host);
    a->changes++;
    a->servers = servers;
}

static void log_line(void *ctx, const char *line, size_t n)
{
    bytes_add(&((struct asked *)ctx)->log, line, n);
}

static void begin(struct asked *a)
{
    struct names_start start = { .timers = &a->timers, .ask = take_question, .changed = on_changed, .ctx = a };

    *a = (struct asked){ .now_ms = 1000000, .blocks_before = mem_live_blocks() };
    timers_init(&a->timers, clock_of, a);
    log_set_sink(log_line, a);
    log_set_level(CONF_LOG_INFO);
    a->names = names_new(&start);
    assert_non_null(a->names);
}

static void end(struct asked *a)
{
    names_free(a->names);
    assert_int_equal(a->timers.n, 0);
    log_set_sink(NULL, NULL);
    bytes_free(&a->log);
    assert_int_equal(mem_live_blocks(), a->blocks_before);
}

static void later(struct asked *a, uint64_t ms)
{
    a->now_ms += ms;
    timers_run(&a->timers, a->now_ms);
}

/* The oldest question that is out has this answer; NULL: none. */
static void answer(struct asked *a, const char *host, const char *words)
{
    struct resolver_wait *w = a->waits[0];
    struct resolver_answer r = words != NULL ? answer_of(words) : (struct resolver_answer){ .error = UV_EAI_NONAME };

    assert_true(a->n > 0);
    assert_string_equal(a->hosts[0], host);
    memmove(a->waits, a->waits + 1, sizeof(a->waits[0]) * --a->n);
    memmove(a->hosts, a->hosts + 1, sizeof(a->hosts[0]) * a->n);
    w->answered(w, &r);
}

#define FILE_OF(servers) "listeners: [ 1 ]\nroutes: [ { upstream: a } ]\nupstreams: { a: { servers: [ " servers " ], resolve: 10s } }\n"

static size_t servers_of(const struct asked *a, const char *host)
{
    struct conf_address name = { .kind = CONF_ADDRESS_NAME, .host = (char *)(uintptr_t)host, .port = 80 };
    const struct names_list *l = names_find(a->names, &name);

    return l != NULL ? l->n : 1;
}

static void names_are_asked_for_again_and_again(void **state)
{
    struct conf *conf = world_conf(FILE_OF("one.example:80, 10.0.0.9:80, two.example:80"));
    struct asked a;

    (void)state;
    begin(&a);
    names_follow(a.names, conf);
    assert_int_equal(a.questions, 2);    /* at once */
    answer(&a, "one.example", "10.0.0.1 10.0.0.2");
    assert_int_equal(a.changes, 1);
    assert_int_equal(servers_of(&a, "one.example"), 2);
    assert_int_equal(servers_of(&a, "two.example"), 1);
    answer(&a, "two.example", "10.0.0.3");
    assert_int_equal(a.changes, 1);      /* one server it was, and is */
    later(&a, 9990);
    assert_int_equal(a.questions, 2);
    later(&a, 20);
    assert_int_equal(a.questions, 4);
    answer(&a, "one.example", "10.0.0.2 10.0.0.1");
    assert_int_equal(a.changes, 1);      /* the order says nothing */
    answer(&a, "two.example", "10.0.0.3 10.0.0.4 10.0.0.5");
    assert_int_equal(a.changes, 2);
    assert_int_equal(servers_of(&a, "two.example"), 3);
    end(&a);
    conf_free(conf);
}

static void one_that_fails_keeps_what_it_stood_for(void **state)
{
    struct conf *conf = world_conf(FILE_OF("one.example:80"));
    struct asked a;

    (void)state;
    begin(&a);
    names_follow(a.names, conf);
    answer(&a, "one.example", NULL);
    assert_int_equal(servers_of(&a, "one.example"), 1);
    later(&a, 10010);
    answer(&a, "one.example", "10.0.0.1 10.0.0.2");
    for (int i = 0; i < 3; i++) {
        later(&a, 10010);
        answer(&a, "one.example", NULL);
        assert_int_equal(servers_of(&a, "one.example"), 2);
    }
    assert_int_equal(a.changes, 1);
    assert_non_null(strstr(bytes_text(&a.log), "warn  the name one.example cannot be looked up (unknown node or service): it stands for what it did\n"));
    later(&a, 10010);
    answer(&a, "one.example", "10.0.0.1");
    assert_int_equal(a.changes, 2);
    assert_non_null(strstr(bytes_text(&a.log), "info  the name one.example can be looked up again\n"));
    assert_int_equal(a.servers, 1);
    a.no_memory = true;
    later(&a, 10010);
    a.no_memory = false;
    later(&a, 10010);
    assert_int_equal(a.n, 1);            /* it is asked again */
    end(&a);
    conf_free(conf);
}

static void a_reload_keeps_those_that_are_still_there(void **state)
{
    struct conf *before = world_conf(FILE_OF("one.example:80, two.example:80"));
    struct conf *now = world_conf(FILE_OF("two.example:80, three.example:80"));
    struct conf *off = world_conf("listeners: [ 1 ]\nroutes: [ { upstream: a } ]\nupstreams: { a: { servers: [ two.example:80 ], resolve: off } }\n");
    struct asked a;

    (void)state;
    begin(&a);
    names_follow(a.names, before);
    answer(&a, "one.example", "10.0.0.1 10.0.0.2");
    answer(&a, "two.example", "10.0.0.3 10.0.0.4");
    names_follow(a.names, now);
    assert_int_equal(servers_of(&a, "one.example"), 1);
    assert_int_equal(servers_of(&a, "two.example"), 2);
    assert_int_equal(a.questions, 3);
    answer(&a, "three.example", "10.0.0.5");
    names_follow(a.names, off);
    assert_int_equal(servers_of(&a, "two.example"), 1);
    later(&a, 100000);
    assert_int_equal(a.questions, 3);
    end(&a);
    conf_free(before);
    conf_free(now);
    conf_free(off);
}

/* ---- in a set ---- */

static void each_address_is_a_server(void **state)
{
    struct conf *conf = world_conf(FILE_OF("{ address: one.example:80, weight: 3 }, { address: two.example:80, id: blue, drain: on }, 10.0.0.9:80"));
    struct asked a;
    struct world w;
    struct server_set *set;
    struct server_state *first, *second, *last;

    (void)state;
    world_begin(&w, conf);
    begin(&a);
    set = w.generation.sets[0];
    assert_int_equal(set->members_n, 3);         /* until there is an answer */
    assert_string_equal(set->members[0]->name, "one.example:80");
    names_follow(a.names, conf);
    answer(&a, "one.example", "10.0.0.2 10.0.0.1");
    answer(&a, "two.example", "10.0.1.1 10.0.1.2");
    generation_enforce(&w.generation, a.names, w.now_ms);
    assert_int_equal(set->members_n, 5);
    first = set->members[0];
    second = set->members[1];
    last = set->members[4];
    assert_string_equal(first->name, "10.0.0.1:80");
    assert_string_equal(first->host, "one.example");     /* what its certificate is for */
    assert_int_equal(first->weight, 3);
    assert_string_equal(set->members[2]->name, "blue@10.0.1.1:80");
    assert_true(set->members[3]->draining);
    later(&a, 10010);
    answer(&a, "one.example", "10.0.0.2 10.0.0.3");
    generation_enforce(&w.generation, a.names, w.now_ms);
    assert_ptr_equal(set->members[0], second);   /* who is told again stays who it is */
    assert_string_equal(set->members[1]->name, "10.0.0.3:80");
    assert_ptr_equal(set->members[4], last);
    world_run(&w);
    names_free(a.names);
    bytes_free(&a.log);
    world_end(&w);
    conf_free(conf);
}

static void without_memory_it_stays_as_it_was(void **state)
{
    struct conf *conf = world_conf(FILE_OF("{ address: one.example:80, id: blue }"));

    (void)state;
    for (size_t nth = 1; nth < 12; nth++) {
        struct asked a;
        begin(&a);
        mem_fail_nth(nth);
        names_follow(a.names, conf);
        if (a.n > 0)
            answer(&a, "one.example", "10.0.0.1 10.0.0.2");
        mem_fail_nth(0);
        names_follow(a.names, conf);
        later(&a, 10010);
        if (a.n > 0)
            answer(&a, "one.example", "10.0.0.1 10.0.0.2");
        assert_int_equal(servers_of(&a, "one.example"), 2);
        end(&a);
    }
    conf_free(conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_an_answer_means),
        cmocka_unit_test(as_many_as_there_may_be),
        cmocka_unit_test(names_are_asked_for_again_and_again),
        cmocka_unit_test(one_that_fails_keeps_what_it_stood_for),
        cmocka_unit_test(a_reload_keeps_those_that_are_still_there),
        cmocka_unit_test(each_address_is_a_server),
        cmocka_unit_test(without_memory_it_stays_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
