/* conf_dump: the effective configuration as YAML, every default filled in. It loads to the same conf: every value is written in
 * the form in which its type reads it. tests/conf/test_conf_dump.c */
#include "conf/conf_types.h"

#include <string.h>

struct dump {
    const struct conf *c;
    FILE *out;
    int indent;
    bool indented;                       /* already: a list item's first key stands behind its dash */
};

static void dump_block(struct dump *dump, enum conf_block_id id, const void *block);

static size_t count_of(const struct conf_key *key, const void *block)
{
    size_t n;

    memcpy(&n, (const char *)block + key->count_offset, sizeof(n));
    return n;
}

static const char *items_of(const struct conf_key *key, const void *block)
{
    const char *items;

    memcpy(&items, conf_field_const(key, block), sizeof(items));
    return items;
}

static bool is_string(const struct conf_key *key)
{
    return conf_type(key->type)->write == conf_write_string;
}

/* Was this form of the field written? */
static bool aux_agrees(const struct conf_key *key, const void *block)
{
    unsigned value = 0;
    bool flag;

    if (key->aux_size == sizeof(flag)) {
        memcpy(&flag, (const char *)block + key->aux_offset, sizeof(flag));
        return flag == (key->aux_value != 0);
    }
    memcpy(&value, (const char *)block + key->aux_offset, sizeof(value));
    return value == key->aux_value;
}

static bool is_there(const struct conf_key *key, const void *block)
{
    if (!conf_key_applies(key, block))
        return false;
    if (key->shape != CONF_ONE)
        return count_of(key, block) > 0 || key->items_min == 0;
    if (key->type == CONF_TYPE_BLOCK && key->zero_word == NULL && key->aux_offset != 0)
        return aux_agrees(key, block);
    if (!is_string(key))
        return key->type != CONF_TYPE_REFERENCE || key->aux_offset == 0 || aux_agrees(key, block);
    return (items_of(key, block) != NULL || key->zero_word != NULL) && (key->aux_offset == 0 || aux_agrees(key, block));
}

static bool holds_anything(enum conf_block_id id, const void *block)
{
    size_t n;
    const struct conf_key *keys = conf_block_keys(id, &n);

    for (size_t i = 0; i < n; i++)
        if (is_there(&keys[i], block))
            return true;
    return false;
}

static void dump_value(struct dump *dump, const struct conf_key *key, const void *field)
{
    conf_type(key->type)->write(dump->c, key, field, dump->out);
}

static void dump_values(struct dump *dump, const struct conf_key *key, const void *block)
{
    const char *items = items_of(key, block);
    size_t n = count_of(key, block);

    fputs(" [", dump->out);
    for (size_t i = 0; i < n; i++) {
        fputs(i == 0 ? " " : ", ", dump->out);
        dump_value(dump, key, items + i * conf_item_bytes(key));
    }
    fputs(n > 0 ? " ]\n" : "]\n", dump->out);
}

/* A map of single values: the names and values are strings. */
static void dump_pairs(struct dump *dump, const struct conf_key *key, const void *block)
{
    const struct field *pairs = (const void *)items_of(key, block);
    size_t n = count_of(key, block);

    fputs(" {", dump->out);
    for (size_t i = 0; i < n; i++) {
        fputs(i == 0 ? " " : ", ", dump->out);
        conf_write_text((const char *)pairs[i].name.p, dump->out);
        fputs(": ", dump->out);
        conf_write_text((const char *)pairs[i].value.p, dump->out);
    }
    fputs(n > 0 ? " }\n" : "}\n", dump->out);
}

static void dump_inner(struct dump *dump, enum conf_block_id id, const void *block, int deeper)
{
    dump->indent += deeper;
    dump_block(dump, id, block);
    dump->indent -= deeper;
}

static void dump_blocks(struct dump *dump, const struct conf_key *key, const void *block)
{
    const char *items = items_of(key, block);
    size_t n = count_of(key, block);

    putc('\n', dump->out);
    for (size_t i = 0; i < n; i++) {
        const void *item = items + i * conf_item_bytes(key);
        char *name;
        fprintf(dump->out, "%*s", dump->indent + 2, "");
        if (key->shape == CONF_MAP) {
            memcpy(&name, item, sizeof(name));
            conf_write_text(name, dump->out);
            fputs(":\n", dump->out);
        } else {
            fputs("- ", dump->out);
            dump->indented = true;
        }
        dump_inner(dump, key->child, item, 4);
    }
}

static void dump_child(struct dump *dump, const struct conf_key *key, const void *block)
{
    const void *child = conf_field_const(key, block);

    if (key->zero_word != NULL && aux_agrees(key, block)) {
        fprintf(dump->out, " %s\n", key->zero_word);
    } else if (!holds_anything(key->child, child)) {
        fputs(" {}\n", dump->out);
    } else {
        putc('\n', dump->out);
        dump_inner(dump, key->child, child, 2);
    }
}

static void dump_key(struct dump *dump, const struct conf_key *key, const void *block)
{
    fprintf(dump->out, "%*s%s:", dump->indented ? 0 : dump->indent, "", key->name);
    dump->indented = false;
    if (key->type == CONF_TYPE_BLOCK && key->shape == CONF_ONE) {
        dump_child(dump, key, block);
    } else if (key->type == CONF_TYPE_BLOCK) {
        dump_blocks(dump, key, block);
    } else if (key->shape == CONF_MAP) {
        dump_pairs(dump, key, block);
    } else if (key->shape == CONF_LIST) {
        dump_values(dump, key, block);
    } else {
        putc(' ', dump->out);
        dump_value(dump, key, conf_field_const(key, block));
        putc('\n', dump->out);
    }
}

static void dump_block(struct dump *dump, enum conf_block_id id, const void *block)
{
    size_t n;
    const struct conf_key *keys = conf_block_keys(id, &n);

    for (size_t i = 0; i < n; i++)
        if (is_there(&keys[i], block))
            dump_key(dump, &keys[i], block);
}

void conf_dump(const struct conf *c, FILE *out)
{
    struct dump dump = { .c = c, .out = out };

    dump_block(&dump, CONF_IN_FILE, c);
}
