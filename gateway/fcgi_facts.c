#include "gateway/fcgi_facts.h"
#include "gateway/tls_facts.h"
#include "protocol/rules_fields.h"

#include <assert.h>

#define FACTS_MAX 11                     /* beside the operator's */

struct list_of_facts {
    struct field *fields;
    size_t n;
};

static void add(struct list_of_facts *l, const char *name, struct span value)
{
    l->fields[l->n++] = (struct field){ span_of_text(name), value };
}

static void add_some(struct list_of_facts *l, const char *name, const char *value)
{
    if (value != NULL && value[0] != '\0')
        add(l, name, span_of_text(value));
}

static void add_user(struct list_of_facts *l, const struct rules_changes *changes)
{
    for (; changes != NULL; changes = changes->next) {
        for (size_t i = 0; i < changes->set_n; i++) {
            if (!rules_is_same_name(changes->set[i].name, SPAN_LITERAL("remote-user")))
                continue;
            add(l, "REMOTE_USER", changes->set[i].value);
            return;
        }
    }
}

static void add_certificate(struct list_of_facts *l, const struct tls_peer *peer)
{
    add_some(l, "SSL_CLIENT_VERIFY", peer != NULL ? "SUCCESS" : "NONE");
    if (peer == NULL)
        return;
    add_some(l, "SSL_CLIENT_S_DN", peer->subject);
    add_some(l, "SSL_CLIENT_I_DN", peer->issuer);
    add_some(l, "SSL_CLIENT_M_SERIAL", peer->serial);
    add_some(l, "SSL_CLIENT_V_START", peer->not_before);
    add_some(l, "SSL_CLIENT_V_END", peer->not_after);
    add_some(l, "SSL_CLIENT_FINGERPRINT", peer->fingerprint);
}

const struct field *fcgi_facts(struct arena *a, const struct conf_fastcgi *conf, const struct inbound *inbound,
                               const struct rules_changes *changes, size_t *n_out)
{
    struct list_of_facts l = { .fields = arena_alloc(a, (conf->params_n + FACTS_MAX) * sizeof(*l.fields)) };
    const struct tls_facts *tls = inbound->tls;

    if (l.fields == NULL)
        return NULL;
    for (; l.n < conf->params_n; l.n++)
        l.fields[l.n] = conf->params[l.n];
    add_user(&l, changes);
    if (tls != NULL) {
        add_some(&l, "SSL_PROTOCOL", tls->version);
        add_some(&l, "SSL_CIPHER", tls->cipher);
        add_some(&l, "SSL_TLS_SNI", tls->sni);
        add_certificate(&l, tls->peer);
    }
    assert(l.n <= conf->params_n + FACTS_MAX);
    *n_out = l.n;
    return l.fields;
}
