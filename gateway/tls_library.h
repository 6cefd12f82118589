/* tls_library: mbedTLS as one process uses it: begun once, ended once, its memory counted with all other, its randomness the kernel's.
 *
 * Only the tls_* files and stream_tls know mbedTLS; what the rest of the gateway sees are their headers, in which none of its types appears. */
#ifndef UPGATE_GATEWAY_TLS_LIBRARY_H
#define UPGATE_GATEWAY_TLS_LIBRARY_H

/* Before anything else of TLS, by one thread; counted, so that tests and main may both call it. 0, or -ENOMEM. */
int tls_library_begin(void);
void tls_library_end(void);

/* This process holds secrets now: no core dump of it is written, and no other process of the user may look into it. */
void tls_library_hold_secrets(void);

#endif
