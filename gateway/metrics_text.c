#include "gateway/metrics_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- families and samples ---- */

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n >= m && strcmp(name + n - m, end) == 0;
}

void metrics_text_family(struct text *t, const char *name, const char *kind, const char *help)
{
    text_print(t, "# TYPE upgate_%s %s\n", name, kind);
    if (ends_with(name, "_seconds"))
        text_print(t, "# UNIT upgate_%s seconds\n", name);
    text_print(t, "# HELP upgate_%s %s\n", name, help);
}

static void sample(struct text *t, const char *name, const char *suffix, const char *labels, uint64_t value)
{
    text_print(t, "upgate_%s%s", name, suffix);
    if (labels[0] != '\0') {
        text_put(t, SPAN_LITERAL("{"));
        text_put(t, span_of_text(labels));
        text_put(t, SPAN_LITERAL("}"));
    }
    text_print(t, " %" PRIu64 "\n", value);
}

void metrics_text_counter(struct text *t, const char *name, const char *labels, uint64_t value)
{
    sample(t, name, "_total", labels, value);
}

void metrics_text_gauge(struct text *t, const char *name, const char *labels, uint64_t value)
{
    sample(t, name, "", labels, value);
}

static void bucket(struct text *t, const char *name, const char *labels, const char *bound, uint64_t value)
{
    text_print(t, "upgate_%s_bucket{", name);
    text_put(t, span_of_text(labels));
    text_print(t, "%sle=\"%s\"} %" PRIu64 "\n", labels[0] != '\0' ? "," : "", bound, value);
}

void metrics_text_histogram(struct text *t, const char *name, const char *labels, const struct metrics_histogram *h)
{
    uint64_t count = 0, sum_ms = metrics_value(&h->sum_ms);
    char bound[32];

    for (size_t i = 0; i < METRICS_BUCKETS; i++) {
        count += metrics_value(&h->buckets[i]);
        if (i < METRICS_BUCKETS - 1)
            snprintf(bound, sizeof(bound), "%u.%03u", metrics_bounds_ms[i] / 1000, metrics_bounds_ms[i] % 1000);
        bucket(t, name, labels, i < METRICS_BUCKETS - 1 ? bound : "+Inf", count);
    }
    sample(t, name, "_count", labels, count);
    text_print(t, "upgate_%s_sum", name);
    if (labels[0] != '\0')
        text_print(t, "{%s}", labels);
    text_print(t, " %" PRIu64 ".%03" PRIu64 "\n", sum_ms / 1000, sum_ms % 1000);
}

/* ---- the parts of a set ---- */

static const char *const side_words[METRICS_SIDE_COUNT] = { "client", "server" };

static void put_one(struct text *t, const char *name, const char *help, uint64_t value)
{
    bool gauge = ends_with(name, "_open");

    metrics_text_family(t, name, gauge ? "gauge" : "counter", help);
    sample(t, name, gauge ? "" : "_total", "", value);
}

static void put_ended(struct text *t, const struct metrics *m)
{
    static const char *const words[METRICS_ENDED_COUNT] = { "connection", "exchange", "upgrade", "tunnel", "pooled", "passthrough" };
    char labels[128];

    metrics_text_family(t, "ended", "counter", "What has ended, and why.");
    for (int what = 0; what < METRICS_ENDED_COUNT; what++)
        for (int why = 0; why < END_REASON_COUNT; why++) {
            uint64_t n = metrics_value(&m->ended[what][why]);
            snprintf(labels, sizeof(labels), "what=\"%s\",reason=\"%s\"", words[what], end_reason_word((enum end_reason)why));
            if (n > 0)
                metrics_text_counter(t, "ended", labels, n);
        }
}

static void put_faults(struct text *t, const struct metrics *m)
{
    char labels[128];

    metrics_text_family(t, "faults", "counter", "Breaches of protocol, by who committed them.");
    for (int side = 0; side < METRICS_SIDE_COUNT; side++)
        for (int f = 0; f < FAULT_COUNT; f++) {
            uint64_t n = metrics_value(&m->faults[side][f]);
            snprintf(labels, sizeof(labels), "side=\"%s\",fault=\"%s\"", side_words[side], fault_word((enum fault)f));
            if (n > 0)
                metrics_text_counter(t, "faults", labels, n);
        }
}

static uint64_t closes_of(const struct metrics_flow *f)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < METRICS_CLOSES; i++)
        sum += metrics_value(&f->closes[i]);
    return sum;
}

static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;            /* another thread may be counting */
}

/* Close frames are counted by their code, all other control frames by themselves: what is left are data frames. */
static uint64_t data_frames_of(const struct metrics_flow *f)
{
    uint64_t all = metrics_value(&f->frames), control = metrics_value(&f->pings) + metrics_value(&f->pongs) + closes_of(f);

    return less(all, control);
}

/* A message has one frame with its opcode; its further ones are continuations. Of one that is not whole, so is the first. */
static void put_frames(struct text *t, const struct metrics *m)
{
    char labels[64];

    metrics_text_family(t, "frames", "counter", "Frames that tunnels verified, by their sender.");
    for (int side = 0; side < METRICS_SIDE_COUNT; side++) {
        const struct metrics_flow *f = &m->flow[side];
        uint64_t messages = metrics_value(&f->messages), texts = metrics_value(&f->texts);
        const struct {
            const char *opcode;
            uint64_t n;
        } rows[] = { { "text", texts }, { "binary", less(messages, texts) }, { "continuation", less(data_frames_of(f), messages) },
                     { "ping", metrics_value(&f->pings) }, { "pong", metrics_value(&f->pongs) }, { "close", closes_of(f) } };
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
            snprintf(labels, sizeof(labels), "from=\"%s\",opcode=\"%s\"", side_words[side], rows[i].opcode);
            metrics_text_counter(t, "frames", labels, rows[i].n);
        }
    }
}

static void put_closes(struct text *t, const struct metrics *m)
{
    static const char *const others[] = { "3xxx", "4xxx", "other" };
    char labels[64], code[16];

    metrics_text_family(t, "close_codes", "counter", "Close frames by sender and code; 1005: without a code.");
    for (int side = 0; side < METRICS_SIDE_COUNT; side++)
        for (unsigned i = 0; i < METRICS_CLOSES; i++) {
            uint64_t n = metrics_value(&m->flow[side].closes[i]);
            snprintf(code, sizeof(code), "%u", 1000 + i);
            snprintf(labels, sizeof(labels), "from=\"%s\",code=\"%s\"", side_words[side], i < 16 ? code : others[i - 16]);
            if (n > 0)
                metrics_text_counter(t, "close_codes", labels, n);
        }
}

static void put_flow(struct text *t, const struct metrics *m)
{
    put_frames(t, m);
    metrics_text_family(t, "messages", "counter", "Whole messages that passed through tunnels, by their sender.");
    for (int side = 0; side < METRICS_SIDE_COUNT; side++)
        metrics_text_counter(t, "messages", side == METRICS_CLIENT ? "from=\"client\"" : "from=\"server\"",
                             metrics_value(&m->flow[side].messages));
    metrics_text_family(t, "tunnel_bytes", "counter", "Bytes that passed through tunnels, frame headers included, by their sender.");
    for (int side = 0; side < METRICS_SIDE_COUNT; side++)
        metrics_text_counter(t, "tunnel_bytes", side == METRICS_CLIENT ? "from=\"client\"" : "from=\"server\"",
                             metrics_value(&m->flow[side].bytes));
    put_closes(t, m);
}

static void put_tls(struct text *t, const struct metrics *m)
{
    static const char *const words[METRICS_TLS_COUNT] = { "version=\"TLSv1.2\"", "version=\"TLSv1.3\"" };

    metrics_text_family(t, "tls_versions", "counter", "TLS handshakes with clients that succeeded, by version.");
    for (int i = 0; i < METRICS_TLS_COUNT; i++)
        metrics_text_counter(t, "tls_versions", words[i], metrics_value(&m->tls_versions[i]));
}

static void put_times(struct text *t, const struct metrics *m)
{
    static const struct {
        const char *family, *labels, *help;
    } rows[METRICS_TIME_COUNT] = {
#define METRICS_TIME_ROW(name, family, label, help) { family, label, help },
        METRICS_TIMES(METRICS_TIME_ROW)
#undef METRICS_TIME_ROW
    };

    for (size_t i = 0; i < METRICS_TIME_COUNT; i++) {
        if (i == 0 || strcmp(rows[i].family, rows[i - 1].family) != 0)
            metrics_text_family(t, rows[i].family, "histogram", rows[i].help);
        metrics_text_histogram(t, rows[i].family, rows[i].labels, &m->times[i]);
    }
}

void metrics_text(struct text *t, const struct metrics *m)
{
#define METRICS_PUT(name, help) put_one(t, #name, help, metrics_value(&m->name));
    METRICS_TABLE(METRICS_PUT)
#undef METRICS_PUT
    put_ended(t, m);
    put_faults(t, m);
    put_tls(t, m);
    put_flow(t, m);
    put_times(t, m);
}

/* ---- the older form ---- */

/* "# TYPE name kind": the name as its samples have it. */
static void put_type(struct text *out, struct span rest, struct span *name_out, const char **suffix_out)
{
    size_t n = span_find(rest, ' ');
    struct span kind = span_from(rest, n + 1);

    *name_out = span_first(rest, n);
    *suffix_out = span_equal(kind, SPAN_LITERAL("counter")) ? "_total" : span_equal(kind, SPAN_LITERAL("info")) ? "_info" : "";
    text_put(out, SPAN_LITERAL("# TYPE "));
    text_put(out, *name_out);
    text_put(out, span_of_text(*suffix_out));
    text_put(out, SPAN_LITERAL(" "));
    text_put(out, span_equal(kind, SPAN_LITERAL("info")) ? SPAN_LITERAL("gauge") : kind);
    text_put(out, SPAN_LITERAL("\n"));
}

void metrics_text_classic(struct text *out, const struct text *open_metrics)
{
    static const struct span type = SPAN_LITERAL("# TYPE "), help = SPAN_LITERAL("# HELP ");
    struct span rest = span_of(open_metrics->p, open_metrics->n), name = SPAN_EMPTY;
    const char *suffix = "";

    out->bad = open_metrics->bad;
    while (rest.n > 0) {
        size_t n = span_find(rest, '\n');
        struct span line = span_first(rest, n);
        rest = span_from(rest, n + 1);
        if (span_starts_with(line, type)) {
            put_type(out, span_from(line, type.n), &name, &suffix);
        } else if (span_starts_with(line, help)) {
            text_put(out, help);
            text_put(out, name);
            text_put(out, span_of_text(suffix));
            text_put(out, span_from(line, help.n + name.n));
            text_put(out, SPAN_LITERAL("\n"));
        } else if (line.n > 0 && line.p[0] != '#') {
            text_put(out, line);
            text_put(out, SPAN_LITERAL("\n"));
        }
    }
}
