/* conf_check_parts: what the files of the checks share among themselves; nobody else includes it.
 *
 *   conf_check.c          names, references, what is there twice or never reached
 *   conf_check_admin.c    the endpoint of those who run the gateway
 *   conf_check_route.c    what a route does to the requests that it takes
 *   conf_check_sticky.c   cookies that lead clients back
 *   conf_check_tls.c      certificates, and who asks whom for one
 *   conf_check_health.c   how servers are checked */
#ifndef UPGATE_CONF_CONF_CHECK_PARTS_H
#define UPGATE_CONF_CONF_CHECK_PARTS_H

#include "conf/conf_check.h"

/* Where a field, or a whole item, was written; a place at CONF_NOWHERE when it was not. */
static inline const struct conf_place *place_of(const struct conf_reader *reader, const void *field)
{
    static const struct conf_place nowhere = { .offset = CONF_NOWHERE };
    const struct conf_place *place = conf_place_of(reader, field);

    return place != NULL ? place : &nowhere;
}

static inline const struct conf_place *item_place(const struct conf_reader *reader, const void *item)
{
    static const struct conf_place nowhere = { .offset = CONF_NOWHERE };
    const struct conf_place *place = conf_place_of_item(reader, item);

    return place != NULL ? place : &nowhere;
}

static inline const struct conf_source *source_of(const struct conf_reader *reader, const struct conf_place *place)
{
    return place->source != NULL ? place->source : reader->source;
}

#define ERROR_AT(reader, place, ...) conf_error((reader)->report, source_of(reader, place), (place)->offset, __VA_ARGS__)
#define WARN_AT(reader, place, ...) conf_warn((reader)->report, source_of(reader, place), (place)->offset, __VA_ARGS__)

/* conf_check_admin.c */
void conf_check_admin(struct conf_reader *reader);
/* conf_check_route.c */
void conf_check_headers(struct conf_reader *reader, const struct conf_headers *headers);
void conf_check_action(struct conf_reader *reader, const struct conf_route *route);
void conf_check_auth(struct conf_reader *reader, struct conf_route *route);
void conf_check_admission(struct conf_reader *reader, const struct conf_admission *admission);
void conf_check_path(struct conf_reader *reader, const struct conf_route *route);
bool conf_stands_on_the_wire(const char *path);          /* nothing in it needs an escape */
/* conf_check_sticky.c: when all references are resolved */
void conf_check_sticky(struct conf_reader *reader);
/* conf_check_health.c */
void conf_check_health(struct conf_reader *reader, const struct conf_upstream *upstream);
/* conf_check_tls.c */
void conf_check_tls(struct conf_reader *reader);

#endif
