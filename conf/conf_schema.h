/* conf_schema: every key of the configuration, one row each.
 *
 * The reader, the defaults, `-T`, `--schema` and `--reference` are all made from these rows, so a key that has a row and a field
 * exists everywhere. How to add one: conf/README.md. */
#ifndef UPGATE_CONF_CONF_SCHEMA_H
#define UPGATE_CONF_CONF_SCHEMA_H

#include "conf/conf.h"

enum conf_block_id {
    CONF_IN_FILE,
    CONF_IN_LOG,
    CONF_IN_ACCESS,
    CONF_IN_ADMIN,
    CONF_IN_LIMITS,
    CONF_IN_TIMEOUTS,
    CONF_IN_LISTENER,
    CONF_IN_PASSTHROUGH,
    CONF_IN_LISTENER_TLS,
    CONF_IN_CERTIFICATE,
    CONF_IN_UPSTREAM,
    CONF_IN_SERVER,
    CONF_IN_EJECT,
    CONF_IN_STICKY,
    CONF_IN_HEALTH,
    CONF_IN_FASTCGI,
    CONF_IN_UPSTREAM_TLS,
    CONF_IN_CLIENT_CERTIFICATE,
    CONF_IN_ROUTE,
    CONF_IN_MATCH,
    CONF_IN_REDIRECT,
    CONF_IN_RESPOND,
    CONF_IN_AUTH,
    CONF_IN_AUTH_BASIC,
    CONF_IN_AUTH_FORWARD,
    CONF_IN_PATH,
    CONF_IN_HEADERS,
    CONF_IN_CHANGES,
    CONF_IN_WEBSOCKET,
    CONF_IN_ROUTE_TIMEOUTS,
    CONF_IN_FORWARDED,
    CONF_BLOCKS
};

enum conf_type_id {
    CONF_TYPE_BLOCK,                     /* keys: those of the row's child */
    CONF_TYPE_COUNT,                     /* unsigned or uint64_t, by the field's size */
    CONF_TYPE_DURATION,                  /* uint64_t, milliseconds */
    CONF_TYPE_SIZE,                      /* uint64_t, bytes */
    CONF_TYPE_RATE,                      /* struct conf_rate; the bounds are those of its count */
    CONF_TYPE_SWITCH,                    /* bool, on or off */
    CONF_TYPE_WORD,                      /* an enum, one of the row's words */
    CONF_TYPE_LISTEN_ADDRESS,            /* struct conf_address */
    CONF_TYPE_SERVER_ADDRESS,            /* struct conf_address */
    CONF_TYPE_NETWORK,                   /* struct conf_network */
    CONF_TYPE_LABEL,                     /* char *, any printable text */
    CONF_TYPE_TEXT,                      /* char *, the same, and longer */
    CONF_TYPE_NAME,                      /* char *, letters, digits and . _ - */
    CONF_TYPE_REFERENCE,                 /* size_t, the index of the upstream of that name */
    CONF_TYPE_TOKEN,                     /* char *, RFC 9110 token */
    CONF_TYPE_HASH,                      /* struct conf_hash */
    CONF_TYPE_ORIGIN,                    /* char *, scheme://host[:port] in lower case, or null */
    CONF_TYPE_HOST,                      /* char *, a host name or *.name */
    CONF_TYPE_SERVER_NAMES,              /* char *, a host name, *.name or * */
    CONF_TYPE_PATH,                      /* char *, a path in normal form */
    CONF_TYPE_LOG_TARGET,                /* char *, stdout or an absolute path */
    CONF_TYPE_NAMED_FILE,                /* struct conf_file, an absolute path */
    CONF_TYPE_SERVER_NAME,               /* char *, a host name, no wildcard */
    CONF_TYPE_TLS_FACT,                  /* char *, one of conf_tls_fact_words */
    CONF_TYPE_SUBJECT,                   /* char *, a certificate's subject */
    CONF_TYPE_FINGERPRINT,               /* char *, a SHA-256 in 64 small hexadecimal digits */
    CONF_TYPE_FIELD_NAME,                /* char *, a token that is no field of HTTP's own machinery */
    CONF_TYPE_FIELD_VALUE,               /* char *, printable text, blanks at neither end */
    CONF_TYPE_LOCATION,                  /* char *, a URL or a path, with {host} and {uri} */
    CONF_TYPE_BODY,                      /* char *, text of many lines */
    CONF_TYPE_FOLDER,                    /* char *, an absolute path in normal form */
    CONF_TYPE_FILE,                      /* char *, a path below some folder, in normal form */
    CONF_TYPE_FILE_NAME,                 /* char *, one segment of a path, or its end */
    CONF_TYPES
};

/* CONF_MAP: blocks by name, which is the block's first field; or single values by name, each a struct field. */
enum conf_shape { CONF_ONE, CONF_LIST, CONF_MAP };

struct conf_word {
    const char *word;
    unsigned value;
};

struct conf_key {
    const char *name;
    enum conf_block_id block;
    enum conf_type_id type;
    enum conf_shape shape;
    enum conf_block_id child;            /* CONF_TYPE_BLOCK */
    enum conf_type_id names;             /* of a map: what its names are, a string; 0: CONF_TYPE_NAME */
    const char *fallback;                /* the default as text; NULL: none, the field stays zero */
    const char *absent;                  /* in the reference, where there is no fallback: what its absence means */
    const char *zero_word;               /* `off`, `auto`: stands for 0 (of a block: for aux_value in its aux field) */
    uint64_t min, max;                   /* of numbers */
    size_t items_min, items_max;         /* of lists and maps */
    const struct conf_word *words;       /* CONF_TYPE_WORD; ends with a NULL word */
    size_t offset, size;                 /* the field within the block's struct */
    size_t count_offset;                 /* lists and maps: the size_t with the number of items */
    size_t inherits;                     /* not 0: absent, it is copied from this offset of struct conf, read before */
    size_t aux_offset;                   /* not 0: a further field that tells which of two keys, or forms, was written, or (of a block
                                          * without zero_word) that it was written at all … */
    size_t aux_size;
    unsigned aux_value;                  /* … by this value */
    const char *only_with;               /* not NULL: a key of the same block, an enum, read before; this one is for its … */
    unsigned only_value;                 /* … being this, and is refused otherwise */
    bool required;
    const char *sentence;
};

struct conf_block {
    const char *place;                   /* where in the file: `listeners[]` */
    const char *noun;                    /* in messages: `a listener` */
    size_t size;                         /* of its struct */
    const char *bare;                    /* the key that a single value in place of the block stands for; NULL: none */
    const char *sentence;
};

const struct conf_block *conf_block(enum conf_block_id id);
/* The keys of a block, which stand together. */
const struct conf_key *conf_block_keys(enum conf_block_id id, size_t *n_out);
const struct conf_key *conf_key_find(enum conf_block_id id, struct span name);
const struct conf_key *conf_key_find_anywhere(struct span name);
enum conf_type_id conf_map_names(const struct conf_key *key);
/* Does a key have a meaning in this block, as far as only_with says? */
bool conf_key_applies(const struct conf_key *key, const void *block);

#define CONF_BLOCK_KEYS_MAX 32

/* The field of a key within its block's struct. */
static inline void *conf_field(const struct conf_key *key, void *block)
{
    return (char *)block + key->offset;
}

static inline const void *conf_field_const(const struct conf_key *key, const void *block)
{
    return (const char *)block + key->offset;
}

#endif
