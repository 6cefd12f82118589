/* tls_curve: X25519 for all of mbedTLS by the implementation that it carries beside its own (Everest), which is eight times as fast.
 *
 * Of itself the library uses that where a secret is agreed on, and its own generic arithmetic where TLS 1.3 makes the public key for it: more than
 * half of a full handshake, and two thirds of a resumed one. The linker (--wrap, CMakeLists.txt) sends the library's calls of mbedtls_ecp_mul to
 * here. Other curves, and a library without Everest, go where they went before. tests/gateway/test_tls_curve.c */
#include "gateway/tls_parts.h"

#include <mbedtls/ecp.h>

#define X25519_BYTES 32

typedef int tls_random_function(void *ctx, unsigned char *out, size_t n);

int __real_mbedtls_ecp_mul(mbedtls_ecp_group *grp, mbedtls_ecp_point *r, const mbedtls_mpi *m, const mbedtls_ecp_point *p,
                           tls_random_function *rng, void *rng_ctx);
int __wrap_mbedtls_ecp_mul(mbedtls_ecp_group *grp, mbedtls_ecp_point *r, const mbedtls_mpi *m, const mbedtls_ecp_point *p,
                           tls_random_function *rng, void *rng_ctx);

#ifdef MBEDTLS_ECDH_VARIANT_EVEREST_ENABLED
#include <everest/x25519.h>

/* r = m * p, as the library has it: the u coordinate alone, Z = 1. m has been checked to be a scalar of RFC 7748 section 5, already clamped. */
static int multiply(mbedtls_ecp_point *r, const mbedtls_mpi *m, const mbedtls_ecp_point *p)
{
    uint8_t out[X25519_BYTES];
    mbedtls_x25519_context x;
    size_t n;
    int rv;

    mbedtls_x25519_init(&x);
    rv = mbedtls_mpi_write_binary_le(m, x.our_secret, X25519_BYTES);
    if (rv == 0)
        rv = mbedtls_mpi_write_binary_le(&p->MBEDTLS_PRIVATE(X), x.peer_point, X25519_BYTES);
    if (rv == 0)
        rv = mbedtls_x25519_calc_secret(&x, &n, out, sizeof(out), NULL, NULL);
    if (rv == 0)
        rv = mbedtls_mpi_read_binary_le(&r->MBEDTLS_PRIVATE(X), out, sizeof(out));
    if (rv == 0)
        rv = mbedtls_mpi_lset(&r->MBEDTLS_PRIVATE(Z), 1);
    mbedtls_mpi_free(&r->MBEDTLS_PRIVATE(Y));
    mbedtls_x25519_free(&x);
    mbedtls_platform_zeroize(out, sizeof(out));
    return rv;
}

int __wrap_mbedtls_ecp_mul(mbedtls_ecp_group *grp, mbedtls_ecp_point *r, const mbedtls_mpi *m, const mbedtls_ecp_point *p,
                           tls_random_function *rng, void *rng_ctx)
{
    int rv;

    if (grp->id != MBEDTLS_ECP_DP_CURVE25519)
        return __real_mbedtls_ecp_mul(grp, r, m, p, rng, rng_ctx);
    rv = mbedtls_ecp_check_privkey(grp, m);
    if (rv == 0)
        rv = mbedtls_ecp_check_pubkey(grp, p);
    return rv != 0 ? rv : multiply(r, m, p);
}

#else

int __wrap_mbedtls_ecp_mul(mbedtls_ecp_group *grp, mbedtls_ecp_point *r, const mbedtls_mpi *m, const mbedtls_ecp_point *p,
                           tls_random_function *rng, void *rng_ctx)
{
    return __real_mbedtls_ecp_mul(grp, r, m, p, rng, rng_ctx);
}

#endif
