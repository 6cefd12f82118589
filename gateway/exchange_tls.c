/* What the client's TLS handshake proved, as the exchange needs it: whom a route lets in by certificate, and what servers are told of it
 * (mission C2, C3). */
#include "gateway/exchange_parts.h"
#include "gateway/tls_tell.h"

#include <string.h>

static bool is_listed(char *const *list, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], text) == 0)
            return true;
    return false;
}

bool exchange_certificate_admitted(const struct exchange *x)
{
    const struct conf_client_certificate *wanted = &x->route->client_certificate;
    const struct tls_peer *peer = x->client.inbound->tls != NULL ? x->client.inbound->tls->peer : NULL;

    if (!x->route->client_certificate_on)
        return true;
    if (peer == NULL)
        return false;
    if (wanted->subjects_n + wanted->fingerprints_n == 0)
        return true;
    return is_listed(wanted->subjects, wanted->subjects_n, peer->subject) ||
           is_listed(wanted->fingerprints, wanted->fingerprints_n, peer->fingerprint);
}

/* Every name that is configured is removed, whoever sent it; those with something to tell are set. */
bool exchange_tell_tls(struct exchange *x)
{
    const struct conf_forwarded *conf = &x->snapshot->conf->forwarded;
    size_t n = conf->tls_fields_n;
    struct field *set = n > 0 ? arena_alloc(&x->arena, n * sizeof(*set)) : NULL;
    char **remove = n > 0 ? arena_alloc(&x->arena, n * sizeof(*remove)) : NULL;

    if (n == 0)
        return true;
    if (set == NULL || remove == NULL)
        return false;
    x->told = (struct rules_changes){ .set = set, .remove = remove, .next = &x->route->headers.request };
    for (size_t i = 0; i < n; i++) {
        struct span value;
        if (!tls_tell_value(x->client.inbound->tls, conf->tls_fields[i].value, &x->arena, &value))
            return false;
        if (value.n > 0)
            set[x->told.set_n++] = (struct field){ conf->tls_fields[i].name, value };
        else
            remove[x->told.remove_n++] = (char *)(uintptr_t)conf->tls_fields[i].name.p;
    }
    return true;
}

/* The log's words outlive the connection's facts. */
bool exchange_note_tls(struct exchange *x)
{
    const struct tls_facts *facts = x->client.inbound->tls;

    if (facts == NULL)
        return true;
    x->tls.version = facts->version;
    x->tls.cipher = facts->cipher;
    if (facts->peer == NULL)
        return true;
    x->tls.client_subject = arena_copy(&x->arena, span_of_text(facts->peer->subject));
    return x->tls.client_subject.p != NULL;
}
