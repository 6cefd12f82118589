/* rules_fields: which fields a gateway treats apart, each kind in one table.
 *
 * Names are compared without case, and every byte that is neither letter nor digit counts as "-": CGI, WSGI and their kin
 * fold names so, and `X_Real.IP` becomes the variable that X-Real-IP becomes. tests/protocol/test_rules.c */
#ifndef UPGATE_PROTOCOL_RULES_FIELDS_H
#define UPGATE_PROTOCOL_RULES_FIELDS_H

#include "protocol/headers.h"

struct rules_changes;

/* `more` is what the operator adds to the table of trusted facts. */

/* As these tables compare names. */
bool rules_folds_to_same(const uint8_t *a, const uint8_t *b, size_t n);
static inline bool rules_is_same_name(struct span a, struct span b)
{
    return a.n == b.n && rules_folds_to_same(a.p, b.p, a.n);
}
/* Frames, routes, ends at this hop, or shakes hands: nobody but the gateway may set or remove it. */
bool rules_is_machinery(struct span name);
/* Whether the operator sets or removes a field of that name. NULL: no. */
bool rules_is_changed(const struct rules_changes *changes, struct span name);
/* RFC 9110 section 7.6.1 and its kin: they end at each hop. */
bool rules_is_hop_by_hop(struct span name);
/* Says who the client is, or how it came in: believed from a trusted peer only (mission C3). */
bool rules_is_trusted_fact(struct span name, const struct span *more, size_t more_n);
/* Not spelled as, but folded onto a field that frames, routes, ends at this hop or tells a trusted fact. */
bool rules_is_disguised(struct span name, const struct span *more, size_t more_n);
/* Whether the head's Connection lists anything but "close" and what ends at each hop anyway: mostly it does not. */
bool rules_nominates(const struct headers *head);
/* Listed in the head's Connection, and not one of the fields that cannot be nominated away. */
bool rules_is_nominated(const struct headers *head, struct span name, const struct span *more, size_t more_n);
/* RFC 9110 section 6.5.1: has a meaning that would come too late in a trailer section, or would get round a check of the head. */
bool rules_is_barred_from_trailers(struct span name);

#endif
