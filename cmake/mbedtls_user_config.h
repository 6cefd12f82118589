/* The settings by which our mbedTLS differs from its default ones.
 *
 * cmake/dependencies.sh puts this file into the library's own include folder and has mbedtls_config.h include it last, so
 * the library and everyone who includes its headers see the same structures. An installed mbedTLS comes as its
 * distribution configured it: nothing here may be something the gateway could not do without. */
#ifndef UPGATE_MBEDTLS_USER_CONFIG_H
#define UPGATE_MBEDTLS_USER_CONFIG_H

/* TLS 1.2 and 1.3 over streams: no datagrams, and no renegotiation, which nobody sound asks for. */
#undef MBEDTLS_SSL_PROTO_DTLS
#undef MBEDTLS_SSL_DTLS_ANTI_REPLAY
#undef MBEDTLS_SSL_DTLS_HELLO_VERIFY
#undef MBEDTLS_SSL_DTLS_CLIENT_PORT_REUSE
#undef MBEDTLS_SSL_DTLS_CONNECTION_ID
#undef MBEDTLS_SSL_DTLS_CONNECTION_ID_COMPAT
#undef MBEDTLS_SSL_RENEGOTIATION

/* Buffers for records of the full size both ways, as by default: the connections of a loop share them (gateway/tls_rest.c). That needs all to be
 * of one size, so MBEDTLS_SSL_VARIABLE_BUFFER_LENGTH must stay off. */

/* X25519 by the verified implementation that the library carries, for all that gateway/tls_curve.c leads to it: half of a full TLS 1.3
 * handshake. */
#define MBEDTLS_ECDH_VARIANT_EVEREST_ENABLED

/* Workers are threads that share certificates and ticket keys. */
#define MBEDTLS_THREADING_C
#define MBEDTLS_THREADING_PTHREAD

/* The library's allocations are counted with all others. */
#define MBEDTLS_PLATFORM_MEMORY

/* No text for debugging in the program; errors keep their words. */
#undef MBEDTLS_DEBUG_C

#endif
