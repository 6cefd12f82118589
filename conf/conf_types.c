/* conf_types: the table of types, and numbers, switches and words. A number that has a unit is never written without one.
 * tests/conf/test_conf_types.c */
#include "conf/conf_types.h"
#include "conf/conf_report.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#define QUANTITY_BYTES 32

struct unit {
    const char *word;
    uint64_t factor;
};

static const struct unit duration_units[] = { { "ms", 1 },      { "s", 1000 },     { "m", 60000 },
                                              { "h", 3600000 }, { "d", 86400000 }, { NULL, 0 } };
static const struct unit size_units[] = {
    { "B", 1 }, { "KiB", 1024 }, { "MiB", 1 << 20 }, { "GiB", 1 << 30 }, { "TiB", UINT64_C(1) << 40 }, { NULL, 0 }
};
static const struct unit no_units[] = { { "", 1 }, { NULL, 0 } };

static const struct unit *units_of(const struct conf_key *key)
{
    return key->type == CONF_TYPE_DURATION ? duration_units : key->type == CONF_TYPE_SIZE ? size_units : no_units;
}

bool conf_refuse(struct conf_value *value, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(value->why, sizeof(value->why), format, arguments);
    va_end(arguments);
    return false;
}

bool conf_refuse_no_memory(struct conf_value *value)
{
    value->no_memory = true;
    return conf_refuse(value, "out of memory");
}

bool conf_keep_text(struct conf_value *value, struct span text, char **text_out)
{
    char *copy = arena_alloc(value->arena, text.n + 1);

    if (copy == NULL)
        return conf_refuse_no_memory(value);
    if (text.n > 0)
        memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    *text_out = copy;
    return true;
}

/* The largest unit that gives a whole number. */
static const char *quantity_text(const struct unit *units, uint64_t number, char text[QUANTITY_BYTES])
{
    const struct unit *unit = units;

    for (size_t i = 1; units[i].word != NULL; i++)
        if (number > 0 && number % units[i].factor == 0)
            unit = &units[i];
    if (number == 0 && units == duration_units)
        unit = &units[1];                /* 0s, as people write it */
    snprintf(text, QUANTITY_BYTES, "%llu%s", (unsigned long long)(number / unit->factor), unit->word);
    return text;
}

void conf_write_bound(const struct conf_key *key, uint64_t number, FILE *out)
{
    char text[QUANTITY_BYTES];

    fputs(quantity_text(units_of(key), number, text), out);
}

static bool refuse_bounds(struct conf_value *value)
{
    const struct conf_key *key = value->key;
    char shown[CONF_SHOWN_BYTES], least[QUANTITY_BYTES], most[QUANTITY_BYTES], zero[QUANTITY_BYTES] = "";

    if (key->zero_word != NULL)
        snprintf(zero, sizeof(zero), ", or `%s`", key->zero_word);
    return conf_refuse(value, "%s is out of bounds: %s to %s%s", conf_show(value->text, shown),
                       quantity_text(units_of(key), key->min, least), quantity_text(units_of(key), key->max, most), zero);
}

static bool refuse_unit(struct conf_value *value, struct span word)
{
    bool duration = value->key->type == CONF_TYPE_DURATION;
    const char *list = duration ? "ms, s, m, h or d" : "B, KiB, MiB, GiB or TiB";
    char shown[CONF_SHOWN_BYTES], hint[CONF_SHOWN_BYTES];
    struct conf_nearest nearest = { .word = word };

    if (word.n == 0)
        return conf_refuse(value, "%s needs a unit: %s", conf_show(value->text, shown), list);
    if (word.p[0] == ' ')
        return conf_refuse(value, "`%s`: a unit stands right behind its number: %s", conf_show(value->text, shown), list);
    for (const struct unit *unit = units_of(value->key); unit->word != NULL; unit++)
        conf_nearest_try(&nearest, unit->word);
    return conf_refuse(value, "unknown unit `%s`: %s%s", conf_show(word, shown), list, conf_nearest_hint(&nearest, hint));
}

static bool refuse_number(struct conf_value *value)
{
    static const char *const what[CONF_TYPES] = { [CONF_TYPE_COUNT] = "a whole number",
                                                  [CONF_TYPE_DURATION] =
                                                      "a whole number and a unit, as in 250ms, 10s, 5m, 1h or 7d",
                                                  [CONF_TYPE_SIZE] = "a whole number and a unit, as in 512B, 64KiB or 1MiB" };
    const char *zero_word = value->key->zero_word;
    char shown[CONF_SHOWN_BYTES], zero[QUANTITY_BYTES] = "";

    if (span_equal(value->text, SPAN_LITERAL("off")))
        return conf_refuse(value, "can't be off: %s is needed", what[value->key->type]);
    if (zero_word != NULL)
        snprintf(zero, sizeof(zero), ", nor `%s`", zero_word);
    return conf_refuse(value, "`%s` is not %s%s", conf_show(value->text, shown), what[value->key->type], zero);
}

static bool store_number(const struct conf_key *key, uint64_t number, void *field)
{
    unsigned small = (unsigned)number;

    if (key->size == sizeof(small))
        memcpy(field, &small, sizeof(small));
    else
        memcpy(field, &number, sizeof(number));
    return true;
}

static uint64_t load_number(const struct conf_key *key, const void *field)
{
    uint64_t number = 0;
    unsigned small = 0;

    if (key->size != sizeof(small)) {
        memcpy(&number, field, sizeof(number));
        return number;
    }
    memcpy(&small, field, sizeof(small));
    return small;
}

static const struct unit *find_unit(const struct unit *units, struct span word)
{
    for (; units->word != NULL; units++)
        if (span_equal(span_of_text(units->word), word))
            return units;
    return NULL;
}

static bool read_number(struct conf_value *value, void *field)
{
    const struct conf_key *key = value->key;
    const struct unit *unit;
    uint64_t number = 0;
    size_t digits = 0;

    if (key->zero_word != NULL && span_equal(value->text, span_of_text(key->zero_word)))
        return store_number(key, 0, field);
    while (digits < value->text.n && value->text.p[digits] >= '0' && value->text.p[digits] <= '9')
        digits++;
    if (digits == 0 || (key->type == CONF_TYPE_COUNT && digits < value->text.n))
        return refuse_number(value);
    if (digits < value->text.n && value->text.p[digits] == '.')
        return refuse_number(value);
    unit = find_unit(units_of(key), span_from(value->text, digits));
    if (unit == NULL)
        return refuse_unit(value, span_from(value->text, digits));
    if (!span_to_u64(span_first(value->text, digits), &number) || number > UINT64_MAX / unit->factor)
        return refuse_bounds(value);
    number *= unit->factor;
    return number >= key->min && number <= key->max ? store_number(key, number, field) : refuse_bounds(value);
}

static void write_number(const struct conf *c, const struct conf_key *key, const void *field, FILE *out)
{
    uint64_t number = load_number(key, field);

    (void)c;
    if (number == 0 && key->zero_word != NULL)
        fputs(key->zero_word, out);
    else
        conf_write_bound(key, number, out);
}

static const struct unit rate_units[] = { { "/s", 1000 }, { "/m", 60000 }, { "/h", 3600000 }, { NULL, 0 } };

static bool read_rate(struct conf_value *value, void *field)
{
    const struct conf_key *key = value->key;
    size_t slash = span_find(value->text, '/');
    const struct unit *unit = find_unit(rate_units, span_from(value->text, slash));
    struct conf_rate rate = { .count = 0 };
    char shown[CONF_SHOWN_BYTES];

    if (key->zero_word != NULL && span_equal(value->text, span_of_text(key->zero_word))) {
        *(struct conf_rate *)field = rate;
        return true;
    }
    if (unit == NULL || slash == 0 || !span_to_u64(span_first(value->text, slash), &rate.count))
        return conf_refuse(value, "`%s` is not a rate, as in 50/s, 600/m or 1000/h, nor `off`", conf_show(value->text, shown));
    if (rate.count < key->min || rate.count > key->max)
        return refuse_bounds(value);
    rate.per_ms = unit->factor;
    *(struct conf_rate *)field = rate;
    return true;
}

static void write_rate(const struct conf *c, const struct conf_key *key, const void *field, FILE *out)
{
    const struct conf_rate *rate = field;
    const struct unit *unit = rate_units;

    (void)c;
    if (rate->count == 0) {
        fputs(key->zero_word, out);
        return;
    }
    while (unit->factor != rate->per_ms)
        unit++;
    fprintf(out, "%llu%s", (unsigned long long)rate->count, unit->word);
}

static bool read_switch(struct conf_value *value, void *field)
{
    static const char *const pairs[][2] = { { "true", "on" }, { "yes", "on" }, { "1", "on" }, { "on", "on" },
                                            { "false", "off" }, { "no", "off" }, { "0", "off" }, { "off", "off" } };
    char shown[CONF_SHOWN_BYTES];
    bool on = span_equal(value->text, SPAN_LITERAL("on"));

    if (on || span_equal(value->text, SPAN_LITERAL("off"))) {
        *(bool *)field = on;
        return true;
    }
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        if (span_equal_nocase(value->text, span_of_text(pairs[i][0])))
            return conf_refuse(value, "write `%s` instead of `%s`", pairs[i][1], conf_show(value->text, shown));
    return conf_refuse(value, "`%s` is neither `on` nor `off`", conf_show(value->text, shown));
}

static void write_switch(const struct conf *c, const struct conf_key *key, const void *field, FILE *out)
{
    (void)c;
    (void)key;
    fputs(*(const bool *)field ? "on" : "off", out);
}

static bool refuse_word(struct conf_value *value)
{
    struct conf_nearest nearest = { .word = value->text };
    char shown[CONF_SHOWN_BYTES], hint[CONF_SHOWN_BYTES], list[CONF_SHOWN_BYTES] = "";
    size_t used = 0;

    for (const struct conf_word *word = value->key->words; word->word != NULL; word++) {
        const char *between = word == value->key->words ? "" : word[1].word == NULL ? " or " : ", ";
        int n = snprintf(list + used, sizeof(list) - used, "%s%s", between, word->word);
        assert(n > 0 && (size_t)n < sizeof(list) - used);
        used += (size_t)n;
        conf_nearest_try(&nearest, word->word);
    }
    return conf_refuse(value, "unknown value `%s`: %s%s", conf_show(value->text, shown), list, conf_nearest_hint(&nearest, hint));
}

static bool read_word(struct conf_value *value, void *field)
{
    for (const struct conf_word *word = value->key->words; word->word != NULL; word++)
        if (span_equal(span_of_text(word->word), value->text)) {
            memcpy(field, &word->value, sizeof(word->value));
            return true;
        }
    return refuse_word(value);
}

static void write_word(const struct conf *c, const struct conf_key *key, const void *field, FILE *out)
{
    const struct conf_word *word = key->words;
    unsigned number;

    (void)c;
    memcpy(&number, field, sizeof(number));
    while (word->value != number)
        word++;
    fputs(word->word, out);
}

static void write_reference(const struct conf *c, const struct conf_key *key, const void *field, FILE *out)
{
    (void)key;
    conf_write_text(c->upstreams[*(const size_t *)field].name, out);
}

static bool stands_plain(const char *text)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:-";
    size_t n = strlen(text);

    return n > 0 && strspn(text, plain) == n && strchr("-:.", text[0]) == NULL && text[n - 1] != ':';
}

void conf_write_text(const char *text, FILE *out)
{
    if (stands_plain(text)) {
        fputs(text, out);
        return;
    }
    putc('"', out);
    for (; *text != '\0'; text++) {
        const char *letter = *text == '\n' ? "n" : *text == '\r' ? "r" : *text == '\t' ? "t" : text;
        if (*text == '"' || *text == '\\' || letter != text)
            putc('\\', out);
        putc(*letter, out);
    }
    putc('"', out);
}

static const struct conf_type types[CONF_TYPES] = {
    [CONF_TYPE_BLOCK] = { "block", "keys", NULL, 0, NULL, NULL },
    [CONF_TYPE_COUNT] = { "count", "a whole number", NULL, 0, read_number, write_number },
    [CONF_TYPE_DURATION] = { "duration", "250ms, 10s, 5m, 1h, 7d", "^[0-9]+(ms|s|m|h|d)$", 0, read_number, write_number },
    [CONF_TYPE_SIZE] = { "size", "512B, 64KiB, 1MiB", "^[0-9]+(B|KiB|MiB|GiB|TiB)$", 0, read_number, write_number },
    [CONF_TYPE_RATE] = { "rate", "50/s, 600/m, 1000/h", "^[0-9]+/[smh]$", 0, read_rate, write_rate },
    [CONF_TYPE_SWITCH] = { "switch", "on, off", NULL, 0, read_switch, write_switch },
    [CONF_TYPE_WORD] = { "word", "one of those listed", NULL, sizeof(unsigned), read_word, write_word },
    [CONF_TYPE_LISTEN_ADDRESS] = { "address", "8080, 127.0.0.1:8080, \"[::1]:8080\", localhost:8080, unix:/run/app.sock",
                                   "^(:?[0-9]+|[0-9.]+:[0-9]+|localhost:[0-9]+|\\[[0-9A-Fa-f:.]+\\]:[0-9]+|unix:/.+)$", 0,
                                   conf_read_listen_address, conf_write_address },
    [CONF_TYPE_SERVER_ADDRESS] = { "address", "8080, 127.0.0.1:8080, \"[::1]:8080\", host.name:8080, unix:/run/app.sock",
                                   "^(:?[0-9]+|[0-9A-Za-z._-]+:[0-9]+|\\[[0-9A-Fa-f:.]+\\]:[0-9]+|unix:/.+)$", 0,
                                   conf_read_server_address, conf_write_address },
    [CONF_TYPE_NETWORK] = { "network", "10.0.0.0/8, 192.0.2.1, \"::1/128\", unix", "^(unix|[0-9A-Fa-f:.]+(/[0-9]+)?)$",
                            sizeof(struct conf_network), conf_read_network, conf_write_network },
    [CONF_TYPE_LABEL] = { "label", "any printable text", NULL, 0, conf_read_label, conf_write_string },
    [CONF_TYPE_TEXT] = { "text", "any printable text", NULL, sizeof(char *), conf_read_text, conf_write_string },
    [CONF_TYPE_NAME] = { "name", "letters, digits, `.`, `_` and `-`", "^[0-9A-Za-z][0-9A-Za-z._-]*$", 0, conf_read_name,
                         conf_write_string },
    [CONF_TYPE_REFERENCE] = { "name", "of an upstream", "^[0-9A-Za-z][0-9A-Za-z._-]*$", 0, NULL, write_reference },
    [CONF_TYPE_TOKEN] = { "token", "letters, digits and !#$%&'*+-.^_`|~", "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", sizeof(char *),
                          conf_read_token, conf_write_string },
    [CONF_TYPE_HASH] = { "hash key", "client, path, header:NAME, cookie:NAME", "^(client|path|(header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]+)$",
                         0, conf_read_hash, conf_write_hash },
    [CONF_TYPE_ORIGIN] = { "origin", "https://example.com, https://example.com:8443, null", "^(null|[a-z][a-z0-9+.-]*://[^/]+)$",
                           sizeof(char *), conf_read_origin, conf_write_string },
    [CONF_TYPE_HOST] = { "host", "example.com, \"*.example.com\"", "^(\\*\\.)?[0-9A-Za-z._-]+$|^\\[[0-9A-Fa-f:.]+\\]$",
                         sizeof(char *), conf_read_host, conf_write_string },
    [CONF_TYPE_SERVER_NAMES] = { "server name", "example.com, \"*.example.com\", \"*\"", "^(\\*|(\\*\\.)?[0-9A-Za-z._-]+)$", 0,
                                 conf_read_server_names, conf_write_string },
    [CONF_TYPE_PATH] = { "path", "/app", "^/", 0, conf_read_path, conf_write_string },
    [CONF_TYPE_FIELD_NAME] = { "field", "a field's name, as in X-Request-Start", "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", sizeof(char *),
                               conf_read_field_name, conf_write_string },
    [CONF_TYPE_FIELD_VALUE] = { "text", "printable", NULL, sizeof(char *), conf_read_field_value, conf_write_string },
    [CONF_TYPE_LOG_TARGET] = { "target", "stdout, or an absolute path", "^(stdout|/.+)$", 0, conf_read_log_target,
                               conf_write_string },
    [CONF_TYPE_LOCATION] = { "location", "\"https://www.example.com{uri}\", /elsewhere", "^(https?://|/)", 0, conf_read_location, conf_write_string },
    [CONF_TYPE_BODY] = { "text", "of one line or many", NULL, 0, conf_read_body, conf_write_string },
    [CONF_TYPE_FOLDER] = { "folder", "/srv/www/public", "^/", sizeof(char *), conf_read_folder, conf_write_string },
    [CONF_TYPE_FILE] = { "file", "index.php, app/index.php", "^[^/].*[^/]$|^[^/]$", 0, conf_read_file, conf_write_string },
    [CONF_TYPE_FILE_NAME] = { "file name", "index.php, .php", "^[^/]+$", 0, conf_read_file_name, conf_write_string },
    [CONF_TYPE_NAMED_FILE] = { "file", "an absolute path", "^/.+$", 0, conf_read_named_file, conf_write_string },
    [CONF_TYPE_TLS_FACT] = { "fact", "version, cipher, server_name, client_verify, client_subject, client_issuer, client_serial, "
                             "client_fingerprint, client_certificate", "^[a-z_]+$", sizeof(char *), conf_read_tls_fact, conf_write_string },
    [CONF_TYPE_SUBJECT] = { "subject", "\"CN=alice,O=Example,C=DE\"", NULL, sizeof(char *), conf_read_subject, conf_write_string },
    [CONF_TYPE_FINGERPRINT] = { "fingerprint", "64 hexadecimal digits, colons between are left out", "^[0-9A-Fa-f:]+$", sizeof(char *),
                                conf_read_fingerprint, conf_write_string },
    [CONF_TYPE_SERVER_NAME] = { "host", "example.com", "^[0-9A-Za-z._-]+$", 0, conf_read_server_name, conf_write_string },
};

const struct conf_type *conf_type(enum conf_type_id id)
{
    return &types[id];
}

size_t conf_item_bytes(const struct conf_key *key)
{
    if (key->type == CONF_TYPE_BLOCK)
        return conf_block(key->child)->size;
    return key->shape == CONF_MAP ? sizeof(struct field) : conf_type(key->type)->item_size;
}
