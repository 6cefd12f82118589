/* conf_read: see the header. A block's pairs are sorted into its rows first (unknown and repeated keys are found there), then the
 * rows are read in the schema's order, so that what a row inherits from is there. tests/conf/test_conf_messages.c */
#include "conf/conf_read.h"
#include "conf/conf_types.h"

#include <assert.h>
#include <string.h>

#define LIST_BYTES 400                   /* the names of a block's keys in a message */

struct entries {                         /* a block's pairs by row */
    const yaml_node_t *keys[CONF_BLOCK_KEYS_MAX];
    const yaml_node_t *values[CONF_BLOCK_KEYS_MAX];
    bool meant[CONF_BLOCK_KEYS_MAX];     /* an unknown key looks like this one: its lack is no second error */
};

static void read_block(struct conf_reader *reader, enum conf_block_id id, const yaml_node_t *node, void *block);

static void *room(struct conf_reader *reader, struct arena *arena, size_t bytes)
{
    void *p = arena_alloc(arena, bytes);

    if (p == NULL)
        reader->report->no_memory = true;
    else
        memset(p, 0, bytes);
    return p;
}

static size_t offset_of(struct conf_reader *reader, const yaml_node_t *node)
{
    return conf_cursor_seek(&reader->cursor, reader->source, node->start_mark.index);
}

static struct span scalar_text(const yaml_node_t *node)
{
    return span_of(node->data.scalar.value, node->data.scalar.length);
}

static yaml_node_t *node_at(const struct conf_reader *reader, int index)
{
    return yaml_document_get_node(reader->document, index);
}

static void add_place(struct conf_reader *reader, const void *field, size_t offset, bool is_item)
{
    struct conf_place *place = room(reader, &reader->scratch, sizeof(*place));

    if (place == NULL)
        return;
    *place = (struct conf_place){ reader->places, field, reader->source, offset, is_item };
    reader->places = place;
}

static const struct conf_place *find_place(const struct conf_reader *reader, const void *field, bool is_item)
{
    const struct conf_place *place = reader->places;

    while (place != NULL && (place->field != field || place->is_item != is_item))
        place = place->next;
    return place;
}

const struct conf_place *conf_place_of(const struct conf_reader *reader, const void *field)
{
    return find_place(reader, field, false);
}

const struct conf_place *conf_place_of_item(const struct conf_reader *reader, const void *item)
{
    return find_place(reader, item, true);
}

static bool add_reference(struct conf_reader *reader, struct span name, size_t offset, size_t *index_out)
{
    struct conf_reference *reference = room(reader, &reader->scratch, sizeof(*reference));

    if (reference == NULL)
        return false;
    reference->next = reader->references;
    reference->index_out = index_out;
    reference->name = name;
    reference->place = (struct conf_place){ .source = reader->source, .offset = offset };
    reader->references = reference;
    return true;
}

static bool read_typed(struct conf_reader *reader, const struct conf_key *key, enum conf_type_id type, struct span text,
                       size_t offset, void *field)
{
    struct conf_value value = { .key = key, .text = text, .arena = reader->arena };

    if (text.n == 0)
        conf_error(reader->report, reader->source, offset, "`%s` is empty: give it a value, or leave it out", key->name);
    else if (type == CONF_TYPE_REFERENCE)
        return add_reference(reader, text, offset, field);
    else if (conf_type(type)->read(&value, field))
        return true;
    else if (value.no_memory)
        reader->report->no_memory = true;
    else
        conf_error(reader->report, reader->source, offset, "`%s`: %s", key->name, value.why);
    return false;
}

static void store_aux(const struct conf_key *key, void *block)
{
    bool flag = key->aux_value != 0;

    if (key->aux_offset != 0)
        memcpy((char *)block + key->aux_offset, key->aux_size == sizeof(flag) ? (const void *)&flag : &key->aux_value,
               key->aux_size);
}

bool conf_read_value(struct conf_reader *reader, const struct conf_key *key, struct span text, size_t offset, void *block_or_item)
{
    void *field = key->shape == CONF_LIST ? block_or_item : conf_field(key, block_or_item);

    if (!read_typed(reader, key, key->type, text, offset, field))
        return false;
    if (key->shape == CONF_ONE)
        store_aux(key, block_or_item);
    add_place(reader, field, offset, false);
    return true;
}

/* What a key that is not written stands for. */
static void read_absent(struct conf_reader *reader, const struct conf_key *key, void *block)
{
    void *field = conf_field(key, block);
    struct conf_value value = { .key = key, .text = span_of_text(key->fallback), .arena = reader->arena };

    if (key->type == CONF_TYPE_BLOCK && key->shape == CONF_ONE)
        read_block(reader, key->child, NULL, field);
    else if (key->inherits != 0)
        memcpy(field, (const char *)reader->conf + key->inherits, key->size);
    else if (key->fallback != NULL && !conf_type(key->type)->read(&value, field)) {
        assert(value.no_memory);
        reader->report->no_memory = true;
    }
}

static const char *kind_word(const yaml_node_t *node)
{
    return node->type == YAML_MAPPING_NODE ? "keys" : node->type == YAML_SEQUENCE_NODE ? "a list" : "a single value";
}

static bool expect_kind(struct conf_reader *reader, const struct conf_key *key, const yaml_node_t *node, yaml_node_type_t type)
{
    const char *wanted = type == YAML_MAPPING_NODE    ? "keys (`key: value`)"
                         : type == YAML_SEQUENCE_NODE ? "a list (`[ … ]`, or lines that begin with `- `)"
                                                      : "a single value";
    bool nothing = node->type == YAML_SCALAR_NODE && node->data.scalar.length == 0;
    char word[CONF_SHOWN_BYTES] = "";

    if (node->type == type)
        return true;
    if (type == YAML_MAPPING_NODE && key->zero_word != NULL)
        snprintf(word, sizeof(word), " or `%s`", key->zero_word);
    if (nothing)
        conf_error(reader->report, reader->source, offset_of(reader, node), "`%s`: %s%s must stand here; nothing does", key->name,
                   wanted, word);
    else
        conf_error(reader->report, reader->source, offset_of(reader, node), "`%s`: %s%s must stand here, not %s", key->name,
                   wanted, word, kind_word(node));
    return false;
}

void *conf_read_room(struct conf_reader *reader, const struct conf_key *key, size_t n, void *block)
{
    void *items = room(reader, reader->arena, n * conf_item_bytes(key));

    if (items == NULL)
        return NULL;
    memcpy(conf_field(key, block), &items, sizeof(items));
    memcpy((char *)block + key->count_offset, &n, sizeof(n));
    return items;
}

static bool items_in_bounds(struct conf_reader *reader, const struct conf_key *key, const yaml_node_t *node, size_t n)
{
    if (n < key->items_min)
        conf_error(reader->report, reader->source, offset_of(reader, node), "`%s` holds nothing", key->name);
    else if (n > key->items_max)
        conf_error(reader->report, reader->source, offset_of(reader, node), "`%s` holds %zu items; at most %zu can be", key->name,
                   n, key->items_max);
    return n >= key->items_min && n <= key->items_max;
}

static void read_block_item(struct conf_reader *reader, const struct conf_key *key, const yaml_node_t *node, void *item)
{
    const char *bare = conf_block(key->child)->bare;

    if (bare == NULL || node->type != YAML_SCALAR_NODE) {
        if (expect_kind(reader, key, node, YAML_MAPPING_NODE))
            read_block(reader, key->child, node, item);
        return;
    }
    conf_read_defaults(reader, key->child, item);
    conf_read_value(reader, conf_key_find(key->child, span_of_text(bare)), scalar_text(node), offset_of(reader, node), item);
}

static void read_list(struct conf_reader *reader, const struct conf_key *key, const yaml_node_t *node, void *block)
{
    const yaml_node_item_t *first = node->data.sequence.items.start;
    size_t n = (size_t)(node->data.sequence.items.top - first);
    size_t item_bytes = conf_item_bytes(key);
    char *items = items_in_bounds(reader, key, node, n) && n > 0 ? conf_read_room(reader, key, n, block) : NULL;

    for (size_t i = 0; items != NULL && i < n; i++) {
        const yaml_node_t *item = node_at(reader, first[i]);
        if (key->type == CONF_TYPE_BLOCK) {
            add_place(reader, items + i * item_bytes, offset_of(reader, item), true);
            read_block_item(reader, key, item, items + i * item_bytes);
        } else if (expect_kind(reader, key, item, YAML_SCALAR_NODE)) {
            conf_read_value(reader, key, scalar_text(item), offset_of(reader, item), items + i * item_bytes);
        }
    }
}

static void report_repeated(struct conf_reader *reader, const yaml_node_t *again, const yaml_node_t *first)
{
    char shown[CONF_SHOWN_BYTES];

    if (conf_report_full(reader->report))
        conf_error_unseen(reader->report);
    else
        conf_error(reader->report, reader->source, offset_of(reader, again), "`%s` is there twice; the first is in line %zu",
                   conf_show(scalar_text(again), shown), conf_source_line(reader->source, offset_of(reader, first)));
}

static bool is_repeated(struct conf_reader *reader, const yaml_node_pair_t *pairs, size_t i)
{
    const yaml_node_t *key = node_at(reader, pairs[i].key);

    for (size_t j = 0; j < i; j++) {
        const yaml_node_t *earlier = node_at(reader, pairs[j].key);
        if (earlier->type != YAML_SCALAR_NODE || !span_equal(scalar_text(earlier), scalar_text(key)))
            continue;
        report_repeated(reader, key, earlier);
        return true;
    }
    return false;
}

static void read_item_name(struct conf_reader *reader, const struct conf_key *key, const yaml_node_t *node, void *item)
{
    struct conf_value value = { .key = key, .text = scalar_text(node), .arena = reader->arena };

    add_place(reader, item, offset_of(reader, node), true);
    if (conf_type(conf_map_names(key))->read(&value, item))
        return;
    reader->names_unsure |= key->child == CONF_IN_UPSTREAM;
    if (value.no_memory)
        reader->report->no_memory = true;
    else
        conf_error(reader->report, reader->source, offset_of(reader, node), "`%s`: %s", key->name, value.why);
}

static void read_block_pair(struct conf_reader *reader, const struct conf_key *key, const yaml_node_t *name,
                            const yaml_node_t *value, void *item)
{
    read_item_name(reader, key, name, item);
    read_block_item(reader, key, value, item);
}

/* `name: value`; both are strings, which become spans. */
static void read_value_pair(struct conf_reader *reader, const struct conf_key *key, const yaml_node_t *name,
                            const yaml_node_t *value, struct field *item)
{
    char *name_text = NULL, *value_text = NULL;

    add_place(reader, item, offset_of(reader, name), true);
    add_place(reader, &item->value, offset_of(reader, value), false);
    read_typed(reader, key, key->names, scalar_text(name), offset_of(reader, name), &name_text);
    if (expect_kind(reader, key, value, YAML_SCALAR_NODE))
        read_typed(reader, key, key->type, scalar_text(value), offset_of(reader, value), &value_text);
    *item = (struct field){ span_of_text(name_text), span_of_text(value_text) };
}

static void read_map(struct conf_reader *reader, const struct conf_key *key, const yaml_node_t *node, void *block)
{
    const yaml_node_pair_t *pairs = node->data.mapping.pairs.start;
    size_t n = (size_t)(node->data.mapping.pairs.top - pairs);
    size_t item_bytes = conf_item_bytes(key);
    char *items = items_in_bounds(reader, key, node, n) && n > 0 ? conf_read_room(reader, key, n, block) : NULL;

    for (size_t i = 0; items != NULL && i < n; i++) {
        const yaml_node_t *name = node_at(reader, pairs[i].key), *value = node_at(reader, pairs[i].value);
        if (!expect_kind(reader, key, name, YAML_SCALAR_NODE) || is_repeated(reader, pairs, i))
            continue;
        if (key->type == CONF_TYPE_BLOCK)
            read_block_pair(reader, key, name, value, items + i * item_bytes);
        else
            read_value_pair(reader, key, name, value, (void *)(items + i * item_bytes));
    }
}

/* A block that a single word may stand for: `websocket: off`. */
static bool is_word_for_block(const struct conf_key *key, const yaml_node_t *node)
{
    return key->zero_word != NULL && node->type == YAML_SCALAR_NODE &&
           span_equal(scalar_text(node), span_of_text(key->zero_word));
}

static void read_one_block(struct conf_reader *reader, const struct conf_key *key, const yaml_node_t *node, void *block)
{
    void *field = conf_field(key, block);

    if (is_word_for_block(key, node)) {
        conf_read_defaults(reader, key->child, field);
        store_aux(key, block);
    } else if (expect_kind(reader, key, node, YAML_MAPPING_NODE)) {
        if (key->zero_word == NULL)
            store_aux(key, block);       /* it is there: that is what the aux field of such a block tells */
        read_block(reader, key->child, node, field);
    } else {
        conf_read_defaults(reader, key->child, field);
    }
}

/* A key that another key's value leaves without a meaning. */
static void report_idle(struct conf_reader *reader, const struct conf_key *key, const yaml_node_t *key_node)
{
    const struct conf_word *word = conf_key_find(key->block, span_of_text(key->only_with))->words;

    while (word->value != key->only_value)
        word++;
    conf_error(reader->report, reader->source, offset_of(reader, key_node), "`%s` is only for `%s: %s`", key->name, key->only_with,
               word->word);
}

static void read_key(struct conf_reader *reader, const struct conf_key *key, const yaml_node_t *node, void *block)
{
    if (key->shape == CONF_LIST) {
        if (expect_kind(reader, key, node, YAML_SEQUENCE_NODE))
            read_list(reader, key, node, block);
    } else if (key->shape == CONF_MAP) {
        if (expect_kind(reader, key, node, YAML_MAPPING_NODE))
            read_map(reader, key, node, block);
    } else if (key->type == CONF_TYPE_BLOCK) {
        read_one_block(reader, key, node, block);
    } else if (expect_kind(reader, key, node, YAML_SCALAR_NODE)) {
        conf_read_value(reader, key, scalar_text(node), offset_of(reader, node), block);
    }
}

static const char *list_keys(enum conf_block_id id, char list[LIST_BYTES])
{
    size_t n, used = 0;
    const struct conf_key *keys = conf_block_keys(id, &n);

    for (size_t i = 0; i < n && used < LIST_BYTES; i++)
        used += (size_t)snprintf(list + used, LIST_BYTES - used, "%s%s", i == 0 ? "" : ", ", keys[i].name);
    return list;
}

static void report_foreign(struct conf_reader *reader, enum conf_block_id id, const yaml_node_t *node)
{
    const struct conf_key *elsewhere = conf_key_find_anywhere(scalar_text(node));
    char shown[CONF_SHOWN_BYTES], list[LIST_BYTES];

    conf_show(scalar_text(node), shown);
    if (elsewhere == NULL)
        conf_error(reader->report, reader->source, offset_of(reader, node), "unknown key `%s`; %s can have: %s", shown,
                   conf_block(id)->noun, list_keys(id, list));
    else if (elsewhere->block == CONF_IN_FILE)
        conf_error(reader->report, reader->source, offset_of(reader, node), "unknown key `%s` in %s; it belongs at the top level",
                   shown, conf_block(id)->noun);
    else
        conf_error(reader->report, reader->source, offset_of(reader, node), "unknown key `%s` in %s; it belongs in `%s`", shown,
                   conf_block(id)->noun, conf_block(elsewhere->block)->place);
}

static void report_unknown(struct conf_reader *reader, enum conf_block_id id, const yaml_node_t *node, struct entries *entries)
{
    struct conf_nearest nearest = { .word = scalar_text(node) };
    char shown[CONF_SHOWN_BYTES], hint[CONF_SHOWN_BYTES];
    size_t n;
    const struct conf_key *keys = conf_block_keys(id, &n);

    if (conf_report_full(reader->report)) {
        conf_error_unseen(reader->report);
        return;
    }
    for (size_t i = 0; i < n; i++)
        conf_nearest_try(&nearest, keys[i].name);
    if (nearest.best == NULL) {
        report_foreign(reader, id, node);
        return;
    }
    entries->meant[conf_key_find(id, span_of_text(nearest.best)) - keys] = true;
    conf_error(reader->report, reader->source, offset_of(reader, node), "unknown key `%s`%s", conf_show(nearest.word, shown),
               conf_nearest_hint(&nearest, hint));
}

static void sort_pair(struct conf_reader *reader, enum conf_block_id id, const yaml_node_pair_t *pair, struct entries *entries)
{
    const yaml_node_t *key_node = node_at(reader, pair->key);
    const struct conf_key *key;
    size_t n, row;

    if (key_node->type != YAML_SCALAR_NODE) {
        conf_error(reader->report, reader->source, offset_of(reader, key_node), "a key must stand here, not %s",
                   kind_word(key_node));
        return;
    }
    key = conf_key_find(id, scalar_text(key_node));
    if (key == NULL) {
        report_unknown(reader, id, key_node, entries);
        return;
    }
    row = (size_t)(key - conf_block_keys(id, &n));
    if (entries->keys[row] != NULL)
        report_repeated(reader, key_node, entries->keys[row]);
    entries->keys[row] = key_node;
    entries->values[row] = node_at(reader, pair->value);
}

/* Two keys that are forms of one field. */
static void check_forms(struct conf_reader *reader, const struct conf_key *keys, size_t n, const struct entries *entries)
{
    for (size_t i = 1; i < n; i++)
        for (size_t j = 0; j < i; j++)
            if (keys[i].offset == keys[j].offset && entries->keys[i] != NULL && entries->keys[j] != NULL)
                conf_error(reader->report, reader->source, offset_of(reader, entries->keys[i]),
                           "`%s` and `%s` can't both be given", keys[j].name, keys[i].name);
}

static void read_block(struct conf_reader *reader, enum conf_block_id id, const yaml_node_t *node, void *block)
{
    struct entries entries = { .keys = { NULL } };
    size_t n, pairs_n = node == NULL ? 0 : (size_t)(node->data.mapping.pairs.top - node->data.mapping.pairs.start);
    const struct conf_key *keys = conf_block_keys(id, &n);

    assert(n <= CONF_BLOCK_KEYS_MAX);
    for (size_t i = 0; i < pairs_n; i++)
        sort_pair(reader, id, &node->data.mapping.pairs.start[i], &entries);
    check_forms(reader, keys, n, &entries);
    for (size_t i = 0; i < n && !reader->report->no_memory; i++) {
        if (entries.values[i] != NULL)
            read_key(reader, &keys[i], entries.values[i], block);
        else
            read_absent(reader, &keys[i], block);
        if (entries.values[i] != NULL && !conf_key_applies(&keys[i], block))
            report_idle(reader, &keys[i], entries.keys[i]);
        if (entries.values[i] == NULL && keys[i].required && !entries.meant[i] && node != NULL)
            conf_error(reader->report, reader->source, offset_of(reader, node), "%s needs `%s`", conf_block(id)->noun,
                       keys[i].name);
    }
}

void conf_read_defaults(struct conf_reader *reader, enum conf_block_id id, void *block)
{
    read_block(reader, id, NULL, block);
}

void conf_read_document(struct conf_reader *reader)
{
    static const struct conf_key whole = { .name = "the file", .type = CONF_TYPE_BLOCK, .child = CONF_IN_FILE };
    const yaml_node_t *root = yaml_document_get_root_node(reader->document);

    reader->root_offset = offset_of(reader, root);
    if (expect_kind(reader, &whole, root, YAML_MAPPING_NODE))
        read_block(reader, CONF_IN_FILE, root, reader->conf);
}
