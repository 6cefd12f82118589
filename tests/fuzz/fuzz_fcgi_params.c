/* Fuzz: a client's request as FastCGI parameters.
 *
 * Input: a byte of choices, then the request's head. What is written, the other side's readers take apart to the last byte:
 * records, then pairs. Each name is there once and is either one of ours or begins with HTTP_; a slow model says from the head
 * which HTTP_ variables are due, and with what value. The script is below the root, and nothing in its path climbs. */
#include "protocol/fcgi_record.h"
#include "protocol/rules_fields.h"
#include "tests/protocol/fcgi_case.h"
#include "tests/protocol/fcgi_peer.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TRUSTED = 1, HTTPS = 2, SPLIT = 4, WHOLE = 8 };

static const char *const ours[] = {
    "GATEWAY_INTERFACE", "SERVER_SOFTWARE", "SERVER_PROTOCOL", "SERVER_NAME", "SERVER_PORT", "SERVER_ADDR", "REQUEST_SCHEME",
    "HTTPS", "REDIRECT_STATUS", "REMOTE_ADDR", "REMOTE_PORT", "SCRIPT_NAME", "SCRIPT_FILENAME", "PATH_INFO", "PATH_TRANSLATED",
    "DOCUMENT_ROOT", "DOCUMENT_URI", "REQUEST_METHOD", "REQUEST_URI", "QUERY_STRING", "CONTENT_LENGTH", "CONTENT_TYPE",
    "APP_ENV", "HTTP_X_OWN",
};
static const struct field own[] = {
    { SPAN_LITERAL("APP_ENV"), SPAN_LITERAL("test") }, { SPAN_LITERAL("HTTP_X_OWN"), SPAN_LITERAL("own") },
};

static bool is_ours(struct span name)
{
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++)
        if (span_equal(name, span_of_text(ours[i])))
            return true;
    return false;
}

/* Whether this field's variable has that name. */
static bool becomes(struct span field, struct span variable)
{
    if (variable.n != field.n + 5 || !span_starts_with(variable, SPAN_LITERAL("HTTP_")))
        return false;
    for (size_t i = 0; i < field.n; i++) {
        uint8_t c = field.p[i];
        bool letter = (c | 0x20) >= 'a' && (c | 0x20) <= 'z', digit = c >= '0' && c <= '9';
        if (!letter && !digit && c != '-')
            return false;
        if (variable.p[i + 5] != (letter ? (uint8_t)(c & 0xdf) : digit ? c : (uint8_t)'_'))
            return false;
    }
    return true;
}

static bool is_word(struct span name, const char *word)
{
    return span_equal_nocase(name, span_of_text(word));
}

/* Fields that have no variable, whatever their value. */
static bool is_kept_back(const struct fcgi_case *c, struct span name)
{
    static const char *const words[] = {
        "proxy", "host", "content-length", "content-type", "expect", "trailer", "connection", "te", "upgrade", "keep-alive",
        "transfer-encoding", "x-own",
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (is_word(name, words[i]))
            return true;
    if (!c->facts.client_trusted && rules_is_trusted_fact(name, NULL, 0))
        return true;
    return rules_is_hop_by_hop(name) || rules_is_nominated(&c->head->fields, name, NULL, 0);
}

static void check_value(const struct fcgi_case *c, struct span variable, struct span value)
{
    struct span rest = value;
    bool first = true;

    if (span_equal(variable, SPAN_LITERAL("HTTP_HOST"))) {
        assert(span_equal(value, c->rules.authority));
        return;
    }
    for (size_t i = 0; i < c->head->fields.n; i++) {
        const struct field *f = &c->head->fields.fields[i];
        struct span comma = is_word(f->name, "cookie") ? SPAN_LITERAL("; ") : SPAN_LITERAL(", ");

        if (!becomes(f->name, variable))
            continue;
        assert(!is_kept_back(c, f->name));
        assert(first || span_starts_with(rest, comma));
        rest = first ? rest : span_from(rest, comma.n);
        assert(span_starts_with(rest, f->value));
        rest = span_from(rest, f->value.n);
        first = false;
    }
    assert(!first && rest.n == 0);
}

/* How many variables are due of fields: one for each name that may pass. */
static size_t count_due(const struct fcgi_case *c)
{
    const struct headers *fields = &c->head->fields;
    size_t due = c->rules.authority.n > 0 ? 1 : 0;

    for (size_t i = 0; i < fields->n; i++) {
        struct span name = fields->fields[i].name;
        bool plain = true, first = true;

        for (size_t k = 0; k < name.n; k++)
            plain = plain && memchr("!#$%&'*+.^_`|~", name.p[k], 14) == NULL;
        for (size_t k = 0; k < i; k++)
            first = first && !span_equal_nocase(fields->fields[k].name, name);
        due += plain && first && !is_kept_back(c, name);
    }
    return due;
}

static void check_pairs(const struct fcgi_case *c, struct span pairs)
{
    static struct span names[1000];
    struct fcgi_peer_pair pair;
    size_t at = 0, n = 0, from_client = 0;

    while (at < pairs.n) {
        size_t whole = fcgi_peer_pair(pairs.p + at, pairs.n - at, &pair);
        struct span name = span_of(pair.name, pair.name_n), value = span_of(pair.value, pair.value_n);

        assert(whole > 0 && n < sizeof(names) / sizeof(names[0]));
        assert(span_find(value, 0) == value.n && !span_equal(name, SPAN_LITERAL("HTTP_PROXY")));
        for (size_t i = 0; i < n; i++)
            assert(!span_equal(names[i], name));
        names[n++] = name;
        if (!is_ours(name)) {
            assert(span_starts_with(name, SPAN_LITERAL("HTTP_")));
            check_value(c, name, value);
            from_client++;
        }
        at += whole;
    }
    assert(from_client == count_due(c));
}

/* BEGIN_REQUEST and PARAMS, which hold the pairs and nothing else. */
static void check_records(struct span begin, struct span pairs)
{
    struct fcgi_peer_record record;
    size_t at = fcgi_peer_record(begin.p, begin.n, &record), got = 0;

    assert(at == 16 && record.type == 1);
    do {
        size_t whole = fcgi_peer_record(begin.p + at, begin.n - at, &record);
        assert(whole > 0 && record.type == 4 && record.id == 1 && record.content_n <= pairs.n - got);
        assert(record.content_n == 0 || memcmp(record.content, pairs.p + got, record.content_n) == 0);
        got += record.content_n;
        at += whole;
    } while (record.content_n > 0);
    assert(got == pairs.n && at == begin.n);
}

static void check_script(const struct fcgi_case *c, uint8_t choices)
{
    const struct fcgi_script *s = &c->script;

    if (s->name.n > 0)
        assert(span_starts_with(s->filename, SPAN_LITERAL("/www/")) && span_ends_with(s->filename, s->name));
    if (s->name.n > 0 && (choices & SPLIT) != 0)
        assert(s->name.p[0] == '/' && span_ends_with(s->name, SPAN_LITERAL(".php")));
    else if (s->name.n > 0)
        assert(span_equal(s->name, SPAN_LITERAL("/index.php")));
    assert(s->path_info.n == 0 || s->path_info.p[0] == '/');
    for (size_t i = 0; i < s->name.n + s->path_info.n; i++) {
        struct span rest = i < s->name.n ? span_from(s->name, i) : span_from(s->path_info, i - s->name.n);

        assert(rest.p[0] >= 0x20 && rest.p[0] != 0x7f && rest.p[0] != '\\');
        assert(!span_starts_with(rest, SPAN_LITERAL("/../")) && !span_equal(rest, SPAN_LITERAL("/..")));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fcgi_params params;
    struct fcgi_case c;

    if (size == 0 || size > 8000)
        return 0;
    fcgi_case_init(&c);
    c.facts.client_trusted = (data[0] & TRUSTED) != 0;
    c.facts.client_https = (data[0] & HTTPS) != 0;
    c.request.own = own;
    c.request.own_n = 2;
    if ((data[0] & (SPLIT | WHOLE)) != 0)
        c.script_rules.script = SPAN_EMPTY;
    if ((data[0] & SPLIT) != 0)
        c.script_rules.split = SPAN_LITERAL(".php");
    c.script_rules.index = SPAN_LITERAL("index.php");
    if (fcgi_case_prepare(&c, span_of(data + 1, size - 1)) == FAULT_NONE) {
        check_script(&c, data[0]);
        assert(fcgi_params_write(&c.arena, &c.request, 100000, &params) == FAULT_NONE);
        check_pairs(&c, params.pairs);
        check_records(fcgi_write_begin(&c.arena, 1, true, params.pairs, true), params.pairs);
        check_records(fcgi_frame_begin(params.at, params.pairs.n, 1, true, true), params.pairs);
        assert(fcgi_params_write(&c.arena, &c.request, params.pairs.n - 1, &params) == FAULT_FCGI_PARAMS);
    }
    fcgi_case_free(&c);
    return 0;
}
