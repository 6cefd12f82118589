/* Counters, histograms and their text: which bucket, which code, which labels; sums over workers; texts that are bounded. */
#include "gateway/metrics_text.h"
#include "gateway/tally.h"
#include "protocol/mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *shown(const struct text *t)
{
    char *copy = malloc(t->n + 1);

    assert_false(t->bad);
    assert_non_null(copy);
    memcpy(copy, t->p, t->n);
    copy[t->n] = '\0';
    return copy;
}

static void expect(const char *text, const char *line)
{
    if (strstr(text, line) == NULL)
        fail_msg("not there: %s\n%s", line, text);
}

static void times_fall_into_buckets(void **state)
{
    static const struct {
        uint64_t ms;
        size_t bucket;
    } rows[] = { { 0, 0 }, { 1, 0 }, { 2, 1 }, { 3, 2 }, { 5, 2 }, { 6, 3 }, { 1000, 9 }, { 1001, 10 }, { 30000, 13 }, { 30001, 14 },
                 { UINT64_MAX / 2, 14 } };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct metrics_histogram h = { 0 };
        metrics_observe(&h, rows[i].ms);
        assert_int_equal(h.buckets[rows[i].bucket], 1);
        assert_int_equal(h.sum_ms, rows[i].ms);
    }
}

static void close_codes_have_classes(void **state)
{
    struct metrics m = { 0 };
    struct text t;
    char *text;

    (void)state;
    metrics_close(&m, METRICS_CLIENT, 1000);
    metrics_close(&m, METRICS_CLIENT, 1000);
    metrics_close(&m, METRICS_CLIENT, 1005);
    metrics_close(&m, METRICS_SERVER, 1015);
    metrics_close(&m, METRICS_SERVER, 3000);
    metrics_close(&m, METRICS_SERVER, 3999);
    metrics_close(&m, METRICS_SERVER, 4999);
    metrics_close(&m, METRICS_SERVER, 5000);
    metrics_close(&m, METRICS_SERVER, 0);
    m.flow[METRICS_CLIENT].frames = 16;  /* 3 closes, 2 pings, 11 of data: 4 + 1 messages, and 6 more fragments */
    m.flow[METRICS_CLIENT].messages = 5;
    m.flow[METRICS_CLIENT].texts = 4;
    m.flow[METRICS_CLIENT].pings = 2;
    text_init(&t);
    metrics_text(&t, &m);
    text = shown(&t);
    expect(text, "\nupgate_close_codes_total{from=\"client\",code=\"1000\"} 2\n");
    expect(text, "\nupgate_close_codes_total{from=\"client\",code=\"1005\"} 1\n");
    expect(text, "\nupgate_close_codes_total{from=\"server\",code=\"1015\"} 1\n");
    expect(text, "\nupgate_close_codes_total{from=\"server\",code=\"3xxx\"} 2\n");
    expect(text, "\nupgate_close_codes_total{from=\"server\",code=\"4xxx\"} 1\n");
    expect(text, "\nupgate_close_codes_total{from=\"server\",code=\"other\"} 2\n");
    expect(text, "\nupgate_frames_total{from=\"client\",opcode=\"text\"} 4\n");
    expect(text, "\nupgate_frames_total{from=\"client\",opcode=\"binary\"} 1\n");
    expect(text, "\nupgate_frames_total{from=\"client\",opcode=\"continuation\"} 6\n");
    expect(text, "\nupgate_frames_total{from=\"client\",opcode=\"close\"} 3\n");
    expect(text, "\nupgate_frames_total{from=\"server\",opcode=\"text\"} 0\n");
    free(text);
    text_free(&t);
}

static void kinds_and_units_are_told(void **state)
{
    struct metrics m = { 0 };
    struct text t;
    char *text;

    (void)state;
    m.tunnels_open = 3;
    metrics_ended(&m, METRICS_UPGRADE, END_ORIGIN);
    metrics_time(&m, METRICS_TIME_PING_CLIENT, 3);
    metrics_time(&m, METRICS_TIME_PING_SERVER, 70000);
    text_init(&t);
    metrics_text(&t, &m);
    text = shown(&t);
    expect(text, "# TYPE upgate_connections counter\n");
    expect(text, "\nupgate_connections_total 0\n");
    expect(text, "# TYPE upgate_tunnels_open gauge\n");
    expect(text, "\nupgate_tunnels_open 3\n");
    expect(text, "\nupgate_ended_total{what=\"upgrade\",reason=\"origin\"} 1\n");
    expect(text, "# TYPE upgate_ping_rtt_seconds histogram\n# UNIT upgate_ping_rtt_seconds seconds\n");
    expect(text, "\nupgate_ping_rtt_seconds_bucket{side=\"client\",le=\"0.002\"} 0\n");
    expect(text, "\nupgate_ping_rtt_seconds_bucket{side=\"client\",le=\"0.005\"} 1\n");
    expect(text, "\nupgate_ping_rtt_seconds_bucket{side=\"client\",le=\"+Inf\"} 1\n");
    expect(text, "\nupgate_ping_rtt_seconds_bucket{side=\"server\",le=\"30.000\"} 0\n");
    expect(text, "\nupgate_ping_rtt_seconds_sum{side=\"server\"} 70.000\n");
    expect(text, "\nupgate_connect_seconds_bucket{le=\"+Inf\"} 0\n");
    expect(text, "\nupgate_connect_seconds_count 0\n");
    free(text);
    text_free(&t);
}

static void sets_are_added_up(void **state)
{
    struct metrics one = { 0 }, two = { 0 }, sum = { 0 };

    (void)state;
    one.connections = 3;
    two.connections = 4;
    metrics_fault(&one, METRICS_SERVER, FAULT_COUNT - 1);
    metrics_fault(&two, METRICS_SERVER, FAULT_COUNT - 1);
    metrics_time(&two, METRICS_TIME_COUNT - 1, 5);
    metrics_sum(&sum, &one);
    metrics_sum(&sum, &two);
    assert_int_equal(sum.connections, 7);
    assert_int_equal(sum.faults[METRICS_SERVER][FAULT_COUNT - 1], 2);
    assert_int_equal(sum.times[METRICS_TIME_COUNT - 1].sum_ms, 5);
}

static void tallies_add_their_workers_up(void **state)
{
    struct tally *t = tally_new("app", 3), *held;
    struct tally_counts sum;

    (void)state;
    assert_non_null(t);
    held = tally_hold(t);
    tally_exchange(&t->counts[0], 200, 10, 20);
    tally_exchange(&t->counts[2], 299, 1, 2);
    tally_exchange(&t->counts[2], 0, 0, 0);
    tally_exchange(&t->counts[2], 999, 0, 0);
    tally_tunnel_begins(&t->counts[1]);
    tally_tunnel_begins(&t->counts[1]);
    tally_tunnel_ends(&t->counts[1], 5, 6);
    sum = tally_sum(t);
    assert_int_equal(sum.exchanges[2], 2);
    assert_int_equal(sum.exchanges[0], 2);
    assert_int_equal(sum.tunnels, 2);
    assert_int_equal(sum.tunnels_open, 1);
    assert_int_equal(sum.bytes_from_clients, 16);
    assert_int_equal(sum.bytes_to_clients, 28);
    tally_release(&t);
    assert_null(t);
    tally_release(&held);
}

static void words_are_escaped(void **state)
{
    static const struct {
        const char *from, *json, *label;
    } rows[] = {
        { "plain", "\"plain\"", "plain" },
        { "a\"b\\c\n", "\"a\\u0022b\\u005cc\\u000a\"", "a\\\"b\\\\c\\n" },
        { "</script>", "\"\\u003c/script>\"", "</script>" },
        { "\xc3\xa9", "\"\xc3\xa9\"", "\xc3\xa9" },
        { "\xff\x01", "\"\\u00ff\\u0001\"", "??" },
        { "", "\"\"", "" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct text t;
        char *text;
        text_init(&t);
        text_json(&t, span_of_text(rows[i].from));
        text_put(&t, SPAN_LITERAL("|"));
        text_label(&t, span_of_text(rows[i].from));
        text = shown(&t);
        assert_int_equal(strlen(rows[i].json), strcspn(text, "|"));
        assert_memory_equal(text, rows[i].json, strlen(rows[i].json));
        assert_string_equal(strchr(text, '|') + 1, rows[i].label);
        free(text);
        text_free(&t);
    }
}

static void a_text_without_memory_is_bad_and_stays_so(void **state)
{
    struct text t;

    (void)state;
    text_init(&t);
    text_put(&t, SPAN_LITERAL("a"));
    mem_fail_nth(1);
    for (int i = 0; i < 2000; i++)
        text_put(&t, SPAN_LITERAL("b"));
    mem_fail_nth(0);
    assert_true(t.bad);
    text_put(&t, SPAN_LITERAL("c"));
    assert_true(t.bad && t.n <= 1024);
    text_free(&t);
    assert_false(t.bad);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_fall_into_buckets),
        cmocka_unit_test(close_codes_have_classes),
        cmocka_unit_test(kinds_and_units_are_told),
        cmocka_unit_test(sets_are_added_up),
        cmocka_unit_test(tallies_add_their_workers_up),
        cmocka_unit_test(words_are_escaped),
        cmocka_unit_test(a_text_without_memory_is_bad_and_stays_so),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
