/* conf_types: values: what each type of the schema looks like, how its text is read into a field and written back.
 *
 * A reader leaves the field alone when it refuses, and says why in a sentence that goes behind the key's name. What is written
 * reads back as the same. */
#ifndef UPGATE_CONF_CONF_TYPES_H
#define UPGATE_CONF_CONF_TYPES_H

#include "conf/conf_schema.h"
#include "protocol/arena.h"

#define CONF_WHY_BYTES 400

struct conf_value {                      /* one value on its way into a field */
    const struct conf_key *key;
    struct span text;
    struct arena *arena;                 /* for what the field points to */
    bool no_memory;                      /* refused for this and no other reason */
    char why[CONF_WHY_BYTES];
};

typedef bool conf_read_function(struct conf_value *value, void *field);
typedef void conf_write_function(const struct conf *c, const struct conf_key *key, const void *field, FILE *out);

struct conf_type {
    const char *word;                    /* in the reference: `duration` */
    const char *form;                    /* … and how it is written: `250ms, 10s, 5m, 1h, 7d` */
    const char *pattern;                 /* the same for --schema; NULL: any text */
    size_t item_size;                    /* of one in a list; 0 where none can be */
    conf_read_function *read;
    conf_write_function *write;
};

const struct conf_type *conf_type(enum conf_type_id id);
/* The bytes of one item of a list or map. */
size_t conf_item_bytes(const struct conf_key *key);

/* Sets why and answers false. */
bool conf_refuse(struct conf_value *value, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool conf_refuse_no_memory(struct conf_value *value);
/* The text, or other text, as a string in the arena. */
bool conf_keep_text(struct conf_value *value, struct span text, char **text_out);
/* A string as a YAML scalar, quoted where it has to be. */
void conf_write_text(const char *text, FILE *out);
/* A number within a key's bounds as people write it. */
void conf_write_bound(const struct conf_key *key, uint64_t number, FILE *out);

/* conf_address.c */
conf_read_function conf_read_listen_address, conf_read_server_address, conf_read_network;
conf_write_function conf_write_address, conf_write_network;
/* conf_names.c */
#define CONF_HOST_BYTES_MAX 253
/* Labels of letters, digits, - and _ (which names in private networks have), separated by dots. */
bool conf_is_host_name(struct span host);
/* UTF-8 without controls, line separators and other characters that a YAML file can't hold as they are. */
bool conf_is_printable(struct span text);
conf_read_function conf_read_label, conf_read_text, conf_read_folder, conf_read_file, conf_read_file_name, conf_read_name,
    conf_read_token, conf_read_hash, conf_read_origin, conf_read_host, conf_read_path, conf_read_log_target, conf_read_server_names,
    conf_read_named_file, conf_read_server_name, conf_read_tls_fact, conf_read_subject, conf_read_fingerprint,
    conf_read_field_name, conf_read_field_value, conf_read_location, conf_read_body;
conf_write_function conf_write_hash, conf_write_string;

#endif
