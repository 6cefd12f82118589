/* conf_files: every file that a configuration names, found through the schema, so that no key can be forgotten. tests/conf/test_conf_files.c */
#include "conf/conf.h"
#include "conf/conf_types.h"

#include <string.h>

struct visit {
    conf_file_fn *fn;
    void *ctx;
};

static void visit_block(const struct visit *v, enum conf_block_id id, const void *block);

static void visit_item(const struct visit *v, const struct conf_key *key, const void *item)
{
    const struct conf_file *file = item;

    if (key->type == CONF_TYPE_BLOCK)
        visit_block(v, key->child, item);
    else if (key->type == CONF_TYPE_NAMED_FILE && file->path != NULL)
        v->fn(v->ctx, file);
}

static void visit_items(const struct visit *v, const struct conf_key *key, const void *block)
{
    const char *items;
    size_t n;

    memcpy(&items, conf_field_const(key, block), sizeof(items));
    memcpy(&n, (const char *)block + key->count_offset, sizeof(n));
    for (size_t i = 0; i < n; i++)
        visit_item(v, key, items + i * conf_item_bytes(key));
}

static void visit_block(const struct visit *v, enum conf_block_id id, const void *block)
{
    size_t n;
    const struct conf_key *keys = conf_block_keys(id, &n);

    for (size_t i = 0; i < n; i++) {
        if (keys[i].type != CONF_TYPE_BLOCK && keys[i].type != CONF_TYPE_NAMED_FILE)
            continue;
        if (keys[i].shape == CONF_ONE)
            visit_item(v, &keys[i], conf_field_const(&keys[i], block));
        else
            visit_items(v, &keys[i], block);
    }
}

void conf_each_file(const struct conf *c, conf_file_fn *fn, void *ctx)
{
    struct visit v = { fn, ctx };

    visit_block(&v, CONF_IN_FILE, c);
}
