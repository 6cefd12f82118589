/* conf_read: document nodes to fields, through the schema.
 *
 * Nothing stops at the first error: what can't be read is reported and left zero, and the reading goes on. Where each field came
 * from is remembered until the checks across fields are done. */
#ifndef UPGATE_CONF_CONF_READ_H
#define UPGATE_CONF_CONF_READ_H

#include "conf/conf_report.h"
#include "conf/conf_schema.h"

#include <yaml.h>

struct conf_place {                      /* where a field was written */
    struct conf_place *next;
    const void *field;
    const struct conf_source *source;
    size_t offset;
    bool is_item;                        /* a whole item of a list or map; its first field has the same address */
};

struct conf_reference {                  /* an upstream's name, to be resolved when all are known */
    struct conf_reference *next;
    size_t *index_out;
    struct span name;
    struct conf_place place;
};

struct conf_reader {
    struct conf *conf;
    struct arena *arena;                 /* the conf's */
    struct conf_report *report;
    const struct conf_source *source;    /* of what is being read */
    yaml_document_t *document;           /* NULL when there is none: the command line */
    struct conf_cursor cursor;
    struct arena scratch;
    struct conf_place *places;           /* the latest first */
    struct conf_reference *references;
    size_t root_offset;                  /* where the file's keys begin */
    bool names_unsure;                   /* an upstream's name could not be read: an unknown name may be that one */
};

void conf_read_document(struct conf_reader *reader);
/* A block of which nothing was written: every default, and no complaint about required keys. */
void conf_read_defaults(struct conf_reader *reader, enum conf_block_id id, void *block);
/* One value as text. False, reported, when it is refused. */
bool conf_read_value(struct conf_reader *reader, const struct conf_key *key, struct span text, size_t offset,
                     void *block_or_item);
/* Zeroed memory for n items, which become the key's list; NULL when there is none. */
void *conf_read_room(struct conf_reader *reader, const struct conf_key *key, size_t n, void *block);
/* Where a field, or an item, was written; NULL when it was not. */
const struct conf_place *conf_place_of(const struct conf_reader *reader, const void *field);
const struct conf_place *conf_place_of_item(const struct conf_reader *reader, const void *item);

#endif
