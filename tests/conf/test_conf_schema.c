/* The schema's rows keep their own rules, --schema is JSON with every key in it, and --reference leaves nothing out. */
#include "tests/conf/conf_test.h"

#include "conf/conf_schema.h"
#include "conf/conf_types.h"

static char *printed(void print(FILE *out))
{
    struct caught caught;

    catch_open(&caught);
    print(caught.stream);
    return catch_close(&caught);
}

static bool fits_its_place(const struct conf_key *key)
{
    size_t end = key->offset + key->size;

    return key->size > 0 && end <= conf_block(key->block)->size &&
           (key->shape == CONF_ONE || key->count_offset + sizeof(size_t) <= conf_block(key->block)->size);
}

static void check_row(const struct conf_key *key)
{
    const struct conf_type *type = conf_type(key->type);
    size_t sentence_n = strlen(key->sentence);

    assert_true(fits_its_place(key));
    assert_true(sentence_n > 0 && key->sentence[sentence_n - 1] == '.');
    assert_true((key->type == CONF_TYPE_WORD) == (key->words != NULL));
    assert_true((key->type == CONF_TYPE_BLOCK) == (key->child != CONF_IN_FILE));
    assert_true(key->min <= key->max);
    assert_true((key->aux_size == 0) == (key->aux_offset == 0));         /* the first field of a struct can't be an aux field */
    assert_true((key->shape == CONF_ONE) == (key->items_max == 0));
    assert_true(key->shape == CONF_ONE || key->type == CONF_TYPE_BLOCK || type->item_size == key->size || type->item_size > 0);
    assert_false(key->required && key->fallback != NULL);
    if (key->type == CONF_TYPE_COUNT || key->type == CONF_TYPE_DURATION || key->type == CONF_TYPE_SIZE)
        assert_true(key->max > 0 && (key->fallback != NULL || key->inherits != 0));
    if (key->fallback == NULL && !key->required && key->type != CONF_TYPE_BLOCK)
        assert_non_null(key->absent);
}

static void rows(void **state)
{
    size_t total = 0;

    (void)state;
    for (enum conf_block_id id = 0; id < CONF_BLOCKS; id++) {
        size_t n;
        const struct conf_key *keys = conf_block_keys(id, &n);
        assert_true(n > 0 && n <= CONF_BLOCK_KEYS_MAX);
        for (size_t i = 0; i < n; i++) {
            check_row(&keys[i]);
            assert_ptr_equal(conf_key_find(id, span_of_text(keys[i].name)), &keys[i]);       /* no name twice */
        }
        if (conf_block(id)->bare != NULL)
            assert_non_null(conf_key_find(id, span_of_text(conf_block(id)->bare)));
        total += n;
    }
    assert_true(total > 40);
}

/* A reader of JSON (RFC 8259) that only says where it ends, or NULL. */
static const char *json_value(const char *p, int depth);

static const char *json_space(const char *p)
{
    return p == NULL ? NULL : p + strspn(p, " \n\r\t");
}

static const char *json_string(const char *p)
{
    if (*p++ != '"')
        return NULL;
    for (; *p != '"'; p++) {
        if ((unsigned char)*p < 0x20)
            return NULL;
        if (*p == '\\' && strchr("\"\\/bfnrt", *++p) == NULL)
            return NULL;
    }
    return p + 1;
}

static const char *json_number(const char *p)
{
    size_t n = strspn(p, "0123456789"), fraction;

    if (n == 0 || (*p == '0' && n > 1))
        return NULL;
    p += n;
    fraction = *p == '.' ? strspn(p + 1, "0123456789") : 0;
    return *p != '.' ? p : fraction > 0 ? p + 1 + fraction : NULL;
}

static const char *json_items(const char *p, char close, int depth)
{
    p = json_space(p + 1);
    if (*p == close)
        return p + 1;
    for (;;) {
        if (close == '}') {
            p = json_space(json_string(p));
            if (p == NULL || *p++ != ':')
                return NULL;
        }
        p = json_space(json_value(p, depth + 1));
        if (p == NULL || *p == close)
            return p == NULL ? NULL : p + 1;
        if (*p++ != ',')
            return NULL;
        p = json_space(p);
    }
}

static const char *json_value(const char *p, int depth)
{
    static const char *const words[] = { "true", "false", "null" };

    p = json_space(p);
    if (p == NULL || depth > 50)
        return NULL;
    if (*p == '{' || *p == '[')
        return json_items(p, *p == '{' ? '}' : ']', depth);
    if (*p == '"')
        return json_string(p);
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (strncmp(p, words[i], strlen(words[i])) == 0)
            return p + strlen(words[i]);
    return json_number(p);
}

static void json_checker(void **state)
{
    static const char *const good[] = { "{}", "[1, 20, 0, 1.25]", "{\"a\": [true, null], \"b\\\\\": \"\\\"\"}", " [ [] ] " };
    static const char *const wrong[] = {
        "{", "[1,]", "{\"a\"}", "{a: 1}", "[01]", "\"a\nb\"", "\"\\x\"", "[1 2]", "[1.]", "{\"a\": 1,}"
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++)
        assert_true(json_value(good[i], 0) != NULL && *json_space(json_value(good[i], 0)) == '\0');
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_true(json_value(wrong[i], 0) == NULL || *json_space(json_value(wrong[i], 0)) != '\0');
}

static void schema(void **state)
{
    static const char *const there[] = {
        "\"$schema\": \"https://json-schema.org/draft/2020-12/schema\"",
        "\"required\": [\"listeners\", \"upstreams\"]",
        "\"pattern\": \"^[0-9]+(ms|s|m|h|d)$\"",
        "\"enum\": [\"json\", \"combined\", \"off\"]",
        "\"not\": {\"required\": [\"path\", \"exact\"]}",
        "\"workers\": {\"anyOf\": [{\"type\": \"integer\", \"minimum\": 1, \"maximum\": 1024}, {\"const\": \"auto\"}]",
        "{\"const\": \"auto\"}], \"default\": \"auto\", \"description\": \"Worker threads.",
        "\"$ref\": \"#/$defs/routes.websocket\"}, {\"const\": \"off\"}",
        "\"routes.websocket\": {",
        "\"default\": 200",
    };
    char *json = printed(conf_print_schema);
    const char *end = json_value(json, 0);
    size_t closed = 0;

    (void)state;
    assert_non_null(end);
    assert_string_equal(end, "\n");
    for (size_t i = 0; i < COUNT_OF(there); i++)
        if (strstr(json, there[i]) == NULL)
            fail_msg("%s is not in\n%s", there[i], json);
    for (const char *at = json; (at = strstr(at, "\"additionalProperties\": false")) != NULL; at++)
        closed++;
    assert_int_equal(closed, CONF_BLOCKS);
    free(json);
}

static void reference(void **state)
{
    static const char *const there[] = {
        "  workers: count (a whole number), or auto; 1 to 1024; default: auto\n      Worker threads. `auto`: one per CPU.\n",
        "  header_bytes: size (512B, 64KiB, 1MiB); 256B to 16MiB; default: 64KiB\n",
        "\nroutes[].websocket\n",
        "  drain: duration (250ms, 10s, 5m, 1h, 7d); 0s to 30d; default: 1h\n",
        "  verify: frames | utf8 | blind; default: frames\n",
        "  upstream: name (of an upstream); required\n",
        "  servers: list of blocks, see upstreams.NAME.servers[]; 1 to 1024 items; required\n",
        "  body: duration (250ms, 10s, 5m, 1h, 7d); 1ms to 1d; without it: that of the top level's `timeouts`\n",
    };
    char *text = printed(conf_print_reference);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(there); i++)
        if (strstr(text, there[i]) == NULL)
            fail_msg("%s is not in\n%s", there[i], text);
    for (enum conf_block_id id = 0; id < CONF_BLOCKS; id++) {
        size_t n;
        const struct conf_key *keys = conf_block_keys(id, &n);
        for (size_t i = 0; i < n; i++) {
            char line[64];
            snprintf(line, sizeof(line), "\n  %s: ", keys[i].name);
            assert_non_null(strstr(text, line));
        }
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(rows), cmocka_unit_test(json_checker), cmocka_unit_test(schema),
                                        cmocka_unit_test(reference) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
