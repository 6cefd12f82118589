/* passthrough: a TLS connection that is passed on undecrypted, to a server that was chosen by the name the client asked for.
 *
 * Owns both streams and itself; ends by itself. The bytes are the two sides' business; what the gateway knows of them is how many
 * there were. tests/gateway/test_passthrough.c */
#ifndef UPGATE_GATEWAY_PASSTHROUGH_H
#define UPGATE_GATEWAY_PASSTHROUGH_H

#include "gateway/inbound.h"
#include "protocol/tls_hello.h"

/* The listener's entry for a name: the name itself, else the longest wildcard above it, else `*`; NULL: there is none. A client that
 * named no server gets `*`. */
const struct conf_passthrough *passthrough_find(const struct conf_listener *listener, struct span name);

struct passthrough_start {
    struct stream *client;               /* taken, whatever comes of it; the hello is still unread */
    const struct inbound *inbound;       /* copied; the connection was counted when it arrived */
    const struct tls_hello *hello;       /* what is known of it */
    const struct conf_passthrough *to;   /* NULL: nowhere. The client is told by an alert why, and there is a record of it … */
    enum end_reason why;                 /* … END_HELLO_FAULT, END_NAME_UNKNOWN */
};
void passthrough_new(struct services *services, const struct passthrough_start *start);

/* While the gateway drains they are left alone: nobody can be told to go. What is still there when the drain's time is over is cut. */
void passthrough_kill_all(struct services *services);

#endif
