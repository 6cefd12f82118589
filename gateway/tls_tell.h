/* tls_tell: what a client's handshake proved, as values of fields for servers. (FastCGI has its own way: fcgi_facts.) */
#ifndef UPGATE_GATEWAY_TLS_TELL_H
#define UPGATE_GATEWAY_TLS_TELL_H

#include "conf/conf.h"
#include "gateway/tls_facts.h"
#include "protocol/arena.h"

/* The value of one fact, by its word in conf_tls_fact_words; empty: there is nothing to tell. *value lives as long as facts and arena. facts
 * NULL: clear text. False: no memory. */
bool tls_tell_value(const struct tls_facts *facts, struct span fact, struct arena *arena, struct span *value);

#endif
