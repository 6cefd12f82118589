#include "gateway/tls_tell.h"
#include "protocol/base64.h"

static const char *verdict(const struct tls_facts *facts)
{
    return facts->peer != NULL ? "SUCCESS" : "NONE";
}

/* RFC 9440 section 2.1: a byte sequence of structured fields (RFC 8941 section 3.3.5). */
static bool byte_sequence(const struct tls_peer *peer, struct arena *arena, struct span *value)
{
    size_t n = BASE64_BYTES(peer->der_n);
    uint8_t *text = arena_alloc(arena, n + 2);

    if (text == NULL)
        return false;
    text[0] = text[n + 1] = ':';
    base64_encode(span_of(peer->der, peer->der_n), text + 1);
    *value = span_of(text, n + 2);
    return true;
}

static const char *word_of(const struct tls_facts *facts, enum conf_tls_fact fact)
{
    const struct tls_peer *peer = facts->peer;

    switch (fact) {
    case CONF_TLS_FACT_VERSION:
        return facts->version;
    case CONF_TLS_FACT_CIPHER:
        return facts->cipher;
    case CONF_TLS_FACT_SERVER_NAME:
        return facts->sni;
    case CONF_TLS_FACT_CLIENT_VERIFY:
        return verdict(facts);
    case CONF_TLS_FACT_CLIENT_SUBJECT:
        return peer != NULL ? peer->subject : NULL;
    case CONF_TLS_FACT_CLIENT_ISSUER:
        return peer != NULL ? peer->issuer : NULL;
    case CONF_TLS_FACT_CLIENT_SERIAL:
        return peer != NULL ? peer->serial : NULL;
    case CONF_TLS_FACT_CLIENT_FINGERPRINT:
        return peer != NULL ? peer->fingerprint : NULL;
    case CONF_TLS_FACT_CLIENT_CERTIFICATE:
    case CONF_TLS_FACTS:
        break;
    }
    return NULL;
}

bool tls_tell_value(const struct tls_facts *facts, struct span fact, struct arena *arena, struct span *value)
{
    int which = 0;

    *value = SPAN_EMPTY;
    while (which < CONF_TLS_FACTS && !span_equal(span_of_text(conf_tls_fact_words[which]), fact))
        which++;
    if (facts == NULL)
        return true;
    if (which == CONF_TLS_FACT_CLIENT_CERTIFICATE)
        return facts->peer == NULL || byte_sequence(facts->peer, arena, value);
    *value = span_of_text(word_of(facts, (enum conf_tls_fact)which));
    return true;
}
