/* conf_reference: what the schema says, for people (`--reference`) and for editors (`--schema`, JSON Schema draft 2020-12).
 * tests/conf/test_conf_schema.c */
#include "conf/conf_types.h"

#include <string.h>

#define TEXT_WIDTH 100

/* Words broken to lines of a width, each with an indent in front. */
static void print_wrapped(const char *text, int indent, FILE *out)
{
    size_t column = 0;

    while (*text != '\0') {
        size_t n = strcspn(text, " ");
        if (column > 0 && column + 1 + n > TEXT_WIDTH) {
            putc('\n', out);
            column = 0;
        }
        fprintf(out, "%*s%.*s", column == 0 ? indent : 1, "", (int)n, text);
        column += n + (column == 0 ? (size_t)indent : 1);
        text += n + (text[n] == ' ');
    }
    putc('\n', out);
}

static void print_words(const struct conf_word *words, FILE *out)
{
    for (const struct conf_word *word = words; word->word != NULL; word++)
        fprintf(out, "%s%s", word == words ? "" : " | ", word->word);
}

static void print_type(const struct conf_key *key, FILE *out)
{
    const struct conf_type *type = conf_type(key->type);

    if (key->shape == CONF_LIST)
        fputs("list of ", out);
    if (key->shape == CONF_MAP && conf_map_names(key) == CONF_TYPE_NAME)
        fputs("NAME: ", out);
    else if (key->shape == CONF_MAP)
        fprintf(out, "%s (%s): ", conf_type(key->names)->word, conf_type(key->names)->form);
    if (key->type == CONF_TYPE_WORD)
        print_words(key->words, out);
    else if (key->type == CONF_TYPE_BLOCK)
        fprintf(out, "%s, see %s", key->shape == CONF_LIST ? "blocks" : type->word, conf_block(key->child)->place);
    else
        fprintf(out, "%s (%s)", type->word, type->form);
    if (key->zero_word != NULL)
        fprintf(out, ", or %s", key->zero_word);
}

static void print_bounds(const struct conf_key *key, FILE *out)
{
    if (key->max > 0) {
        fputs("; ", out);
        conf_write_bound(key, key->min, out);
        fputs(" to ", out);
        conf_write_bound(key, key->max, out);
    }
    if (key->items_max > 0)
        fprintf(out, "; %zu to %zu items", key->items_min, key->items_max);
}

static void print_key(const struct conf_key *key, FILE *out)
{
    fprintf(out, "  %s: ", key->name);
    print_type(key, out);
    print_bounds(key, out);
    if (key->required)
        fputs("; required", out);
    else if (key->fallback != NULL)
        fprintf(out, "; default: %s", key->fallback);
    else if (key->absent != NULL)
        fprintf(out, "; without it: %s", key->absent);
    putc('\n', out);
    print_wrapped(key->sentence, 6, out);
}

void conf_print_reference(FILE *out)
{
    for (enum conf_block_id id = 0; id < CONF_BLOCKS; id++) {
        size_t n;
        const struct conf_key *keys = conf_block_keys(id, &n);
        fprintf(out, "%s%s\n", id == 0 ? "" : "\n", id == CONF_IN_FILE ? "(top level)" : conf_block(id)->place);
        print_wrapped(conf_block(id)->sentence, 2, out);
        for (size_t i = 0; i < n; i++) {
            putc('\n', out);
            print_key(&keys[i], out);
        }
    }
}

static void json_string(const char *text, FILE *out)
{
    putc('"', out);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            putc('\\', out);
        putc(*text, out);
    }
    putc('"', out);
}

static void json_member(const char *name, const char *text, FILE *out)
{
    fprintf(out, ", \"%s\": ", name);
    json_string(text, out);
}

static void json_words(const struct conf_word *words, FILE *out)
{
    fputs("\"enum\": [", out);
    for (const struct conf_word *word = words; word->word != NULL; word++) {
        fputs(word == words ? "" : ", ", out);
        json_string(word->word, out);
        if (strspn(word->word, "0123456789.") == strlen(word->word))      /* an editor reads it as a number, unless it is quoted */
            fprintf(out, ", %s", word->word);
    }
    putc(']', out);
}

static void json_pattern(const struct conf_type *type, FILE *out)
{
    fputs("\"type\": \"string\"", out);
    if (type->pattern != NULL)
        json_member("pattern", type->pattern, out);
    else
        fputs(", \"minLength\": 1", out);
}

/* A block's name among the definitions: its place without the signs that a reference can't hold. */
static void json_definition(enum conf_block_id id, FILE *out)
{
    for (const char *c = conf_block(id)->place; *c != '\0'; c++)
        if (*c != '[' && *c != ']')
            putc(*c, out);
}

/* One value of the key's type, without a zero word, as the members of a schema. */
static void json_value(const struct conf_key *key, FILE *out)
{
    switch (key->type) {
    case CONF_TYPE_COUNT:
        fprintf(out, "\"type\": \"integer\", \"minimum\": %llu, \"maximum\": %llu", (unsigned long long)key->min,
                (unsigned long long)key->max);
        break;
    case CONF_TYPE_SWITCH:
        fputs("\"enum\": [\"on\", \"off\"]", out);
        break;
    case CONF_TYPE_WORD:
        json_words(key->words, out);
        break;
    case CONF_TYPE_LISTEN_ADDRESS:
    case CONF_TYPE_SERVER_ADDRESS:
        fprintf(out, "\"anyOf\": [{\"type\": \"integer\", \"minimum\": %d, \"maximum\": 65535}, {",
                key->type == CONF_TYPE_SERVER_ADDRESS);
        json_pattern(conf_type(key->type), out);
        fputs("}]", out);
        break;
    case CONF_TYPE_BLOCK:
        fputs("\"$ref\": \"#/$defs/", out);
        json_definition(key->child, out);
        putc('"', out);
        break;
    default:
        json_pattern(conf_type(key->type), out);
        break;
    }
}

static void json_one(const struct conf_key *key, FILE *out)
{
    if (key->zero_word == NULL) {
        json_value(key, out);
        return;
    }
    fputs("\"anyOf\": [{", out);
    json_value(key, out);
    fputs("}, {\"const\": ", out);
    json_string(key->zero_word, out);
    fputs("}]", out);
}

/* A block, or the single value that may stand for it. */
static void json_item(const struct conf_key *key, FILE *out)
{
    const char *bare = key->type == CONF_TYPE_BLOCK ? conf_block(key->child)->bare : NULL;

    if (bare != NULL) {
        fputs("\"anyOf\": [{", out);
        json_value(conf_key_find(key->child, span_of_text(bare)), out);
        fputs("}, {", out);
    }
    json_one(key, out);
    if (bare != NULL)
        fputs("}]", out);
}

static void json_default(const struct conf_key *key, FILE *out)
{
    if (key->fallback == NULL)
        return;
    if (key->type == CONF_TYPE_COUNT && (key->zero_word == NULL || strcmp(key->fallback, key->zero_word) != 0))
        fprintf(out, ", \"default\": %s", key->fallback);
    else
        json_member("default", key->fallback, out);
}

static void json_key(const struct conf_key *key, FILE *out)
{
    fputs("      ", out);
    json_string(key->name, out);
    fputs(": {", out);
    if (key->shape == CONF_LIST) {
        fprintf(out, "\"type\": \"array\", \"minItems\": %zu, \"maxItems\": %zu, \"items\": {", key->items_min, key->items_max);
        json_item(key, out);
        putc('}', out);
    } else if (key->shape == CONF_MAP) {
        fprintf(out, "\"type\": \"object\", \"minProperties\": %zu, \"maxProperties\": %zu, \"propertyNames\": {", key->items_min,
                key->items_max);
        json_pattern(conf_type(conf_map_names(key)), out);
        fputs("}, \"additionalProperties\": {", out);
        json_item(key, out);
        putc('}', out);
    } else {
        json_one(key, out);
    }
    json_default(key, out);
    json_member("description", key->sentence, out);
    putc('}', out);
}

static void json_required(const struct conf_key *keys, size_t n, FILE *out)
{
    const char *between = "";

    fputs("    \"required\": [", out);
    for (size_t i = 0; i < n; i++) {
        if (!keys[i].required)
            continue;
        fputs(between, out);
        json_string(keys[i].name, out);
        between = ", ";
    }
    fputs("]", out);
}

/* Keys that are forms of one field exclude each other. */
static void json_forms(const struct conf_key *keys, size_t n, FILE *out)
{
    for (size_t i = 1; i < n; i++)
        if (keys[i].offset == keys[i - 1].offset)
            fprintf(out, ",\n    \"not\": {\"required\": [\"%s\", \"%s\"]}", keys[i - 1].name, keys[i].name);
}

static void json_block(enum conf_block_id id, FILE *out)
{
    size_t n;
    const struct conf_key *keys = conf_block_keys(id, &n);

    fputs("    \"type\": \"object\", \"additionalProperties\": false", out);
    json_member("description", conf_block(id)->sentence, out);
    fputs(",\n", out);
    json_required(keys, n, out);
    json_forms(keys, n, out);
    fputs(",\n    \"properties\": {\n", out);
    for (size_t i = 0; i < n; i++) {
        json_key(&keys[i], out);
        fputs(i + 1 < n ? ",\n" : "\n", out);
    }
    fputs("    }", out);
}

void conf_print_schema(FILE *out)
{
    fputs("{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n  \"title\": \"Upgate configuration\",\n", out);
    json_block(CONF_IN_FILE, out);
    fputs(",\n  \"$defs\": {\n", out);
    for (enum conf_block_id id = CONF_IN_FILE + 1; id < CONF_BLOCKS; id++) {
        fputs("   \"", out);
        json_definition(id, out);
        fputs("\": {\n", out);
        json_block(id, out);
        fputs(id + 1 < CONF_BLOCKS ? "},\n" : "}\n", out);
    }
    fputs("  }\n}\n", out);
}
