/* fcgi_facts: what the gateway knows of a request beside its head, as parameters for a FastCGI application (mission C2).
 *
 *   the operator's `params`       first, so that they stand in place of all others
 *   REMOTE_USER                   the Remote-User that forward authentication, or the operator, sets; nothing that a client sends
 *   SSL_PROTOCOL, SSL_CIPHER      of the client's connection, where it is TLS; SSL_TLS_SNI where it named a server
 *   SSL_CLIENT_VERIFY             SUCCESS, or NONE when it showed no certificate; and of a certificate that was verified:
 *   SSL_CLIENT_S_DN, _I_DN, _M_SERIAL, _V_START, _V_END, _FINGERPRINT (SHA-256)
 *
 * The names are those of Apache's mod_ssl, where it has them. tests/gateway/test_fcgi_facts.c */
#ifndef UPGATE_GATEWAY_FCGI_FACTS_H
#define UPGATE_GATEWAY_FCGI_FACTS_H

#include "gateway/inbound.h"
#include "protocol/arena.h"
#include "protocol/rules.h"

/* The list, in the arena; *n_out. NULL: no memory. */
const struct field *fcgi_facts(struct arena *a, const struct conf_fastcgi *conf, const struct inbound *inbound,
                               const struct rules_changes *changes, size_t *n_out);

#endif
