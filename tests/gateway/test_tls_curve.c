/* X25519 through the library: RFC 7748's own values, and the library's generic arithmetic as a second opinion. */
#include "tests/gateway/scripted.h"

#include "gateway/tls_parts.h"

#include <mbedtls/ecp.h>

#define X25519_BYTES 32
#define ROUNDS 50

static mbedtls_ecp_group curve;

static int begin(void **state)
{
    (void)state;
    assert_int_equal(tls_library_begin(), 0);
    mbedtls_ecp_group_init(&curve);
    return mbedtls_ecp_group_load(&curve, MBEDTLS_ECP_DP_CURVE25519);
}

static int end(void **state)
{
    (void)state;
    mbedtls_ecp_group_free(&curve);
    tls_library_end();
    assert_int_equal(mem_live_blocks(), 0);
    return 0;
}

static void from_hex(const char *hex, uint8_t out[X25519_BYTES])
{
    for (size_t i = 0; i < X25519_BYTES; i++)
        assert_int_equal(sscanf(hex + 2 * i, "%2hhx", &out[i]), 1);
}

/* Section 5: what is done to 32 bytes before they are a scalar, or a coordinate. */
static void take(const uint8_t scalar[X25519_BYTES], const uint8_t u[X25519_BYTES], mbedtls_mpi *m, mbedtls_ecp_point *p)
{
    uint8_t k[X25519_BYTES], x[X25519_BYTES];

    memcpy(k, scalar, sizeof(k));
    memcpy(x, u, sizeof(x));
    k[0] &= 248;
    k[31] = (uint8_t)((k[31] & 127) | 64);
    x[31] &= 127;
    assert_int_equal(mbedtls_mpi_read_binary_le(m, k, sizeof(k)), 0);
    assert_int_equal(mbedtls_mpi_read_binary_le(&p->MBEDTLS_PRIVATE(X), x, sizeof(x)), 0);
    assert_int_equal(mbedtls_mpi_lset(&p->MBEDTLS_PRIVATE(Z), 1), 0);
}

enum by { BY_MUL, BY_GENERIC };          /* the second is not led elsewhere */

static int multiply(enum by by, const uint8_t scalar[X25519_BYTES], const uint8_t u[X25519_BYTES], uint8_t out[X25519_BYTES])
{
    mbedtls_ecp_point p, r;
    mbedtls_mpi m;
    int rv;

    mbedtls_ecp_point_init(&p);
    mbedtls_ecp_point_init(&r);
    mbedtls_mpi_init(&m);
    take(scalar, u, &m, &p);
    rv = by == BY_MUL ? mbedtls_ecp_mul(&curve, &r, &m, &p, tls_random, NULL)
                      : mbedtls_ecp_mul_restartable(&curve, &r, &m, &p, tls_random, NULL, NULL);
    if (rv == 0)
        assert_int_equal(mbedtls_mpi_write_binary_le(&r.MBEDTLS_PRIVATE(X), out, X25519_BYTES), 0);
    mbedtls_ecp_point_free(&p);
    mbedtls_ecp_point_free(&r);
    mbedtls_mpi_free(&m);
    return rv;
}

/* RFC 7748 section 5.2. */
static void it_gives_what_the_rfc_gives(void **state)
{
    static const struct {
        const char *scalar, *u, *out;
    } rows[] = {
        { "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
          "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
          "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552" },
        { "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
          "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
          "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957" },
    };
    uint8_t scalar[X25519_BYTES], u[X25519_BYTES], due[X25519_BYTES], out[X25519_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        from_hex(rows[i].scalar, scalar);
        from_hex(rows[i].u, u);
        from_hex(rows[i].out, due);
        assert_int_equal(multiply(BY_MUL, scalar, u, out), 0);
        assert_memory_equal(out, due, X25519_BYTES);
    }
}

static void it_gives_what_the_generic_arithmetic_gives(void **state)
{
    uint8_t scalar[X25519_BYTES], u[X25519_BYTES] = { 9 }, out[X25519_BYTES], due[X25519_BYTES];

    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_equal(tls_random(NULL, scalar, sizeof(scalar)), 0);
        assert_int_equal(multiply(BY_MUL, scalar, u, out), multiply(BY_GENERIC, scalar, u, due));
        assert_memory_equal(out, due, X25519_BYTES);
        memcpy(u, out, sizeof(u));
    }
}

/* The points of small order: RFC 7748 section 6.1 wants them refused. */
static void what_the_library_refuses_stays_refused(void **state)
{
    static const uint8_t zero[X25519_BYTES], one[X25519_BYTES] = { 1 };
    uint8_t scalar[X25519_BYTES] = { 8 }, out[X25519_BYTES];

    (void)state;
    assert_int_not_equal(multiply(BY_GENERIC, scalar, zero, out), 0);
    assert_int_equal(multiply(BY_MUL, scalar, zero, out), multiply(BY_GENERIC, scalar, zero, out));
    assert_int_equal(multiply(BY_MUL, scalar, one, out), multiply(BY_GENERIC, scalar, one, out));
}

/* The linker has to lead the library's own calls here: it does not blind what it multiplies, so that it asks for no random bytes. */
static int no_random(void *ctx, unsigned char *out, size_t n)
{
    (void)ctx;
    (void)out;
    (void)n;
    return MBEDTLS_ERR_ECP_RANDOM_FAILED;
}

static void it_is_led_here(void **state)
{
    mbedtls_ecp_point r;
    mbedtls_mpi m;
    int rv;

    (void)state;
    mbedtls_ecp_point_init(&r);
    mbedtls_mpi_init(&m);
    assert_int_equal(mbedtls_mpi_set_bit(&m, 254, 1), 0);
    rv = mbedtls_ecp_mul(&curve, &r, &m, &curve.G, no_random, NULL);
    mbedtls_ecp_point_free(&r);
    mbedtls_mpi_free(&m);
#ifdef MBEDTLS_ECDH_VARIANT_EVEREST_ENABLED
    assert_int_equal(rv, 0);
#else
    assert_int_equal(rv, MBEDTLS_ERR_ECP_RANDOM_FAILED);
#endif
}

static void other_curves_are_as_before(void **state)
{
    mbedtls_ecp_group p256;
    mbedtls_ecp_point r;
    mbedtls_mpi m;

    (void)state;
    mbedtls_ecp_group_init(&p256);
    mbedtls_ecp_point_init(&r);
    mbedtls_mpi_init(&m);
    assert_int_equal(mbedtls_ecp_group_load(&p256, MBEDTLS_ECP_DP_SECP256R1), 0);
    assert_int_equal(mbedtls_mpi_lset(&m, 1), 0);
    assert_int_equal(mbedtls_ecp_mul(&p256, &r, &m, &p256.G, tls_random, NULL), 0);
    assert_int_equal(mbedtls_ecp_point_cmp(&r, &p256.G), 0);
    mbedtls_mpi_free(&m);
    mbedtls_ecp_point_free(&r);
    mbedtls_ecp_group_free(&p256);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_gives_what_the_rfc_gives),
        cmocka_unit_test(it_gives_what_the_generic_arithmetic_gives),
        cmocka_unit_test(what_the_library_refuses_stays_refused),
        cmocka_unit_test(it_is_led_here),
        cmocka_unit_test(other_curves_are_as_before),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
