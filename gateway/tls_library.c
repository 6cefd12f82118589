#include "gateway/tls_parts.h"

#include <assert.h>
#include <errno.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>

#if !defined(MBEDTLS_THREADING_C) || !defined(MBEDTLS_SSL_PROTO_TLS1_3) || !defined(MBEDTLS_SSL_SESSION_TICKETS) || \
    !defined(MBEDTLS_SSL_ALPN) || !defined(MBEDTLS_SSL_SERVER_NAME_INDICATION)
#error "mbedTLS is built without threads, TLS 1.3, tickets, ALPN or SNI: the gateway needs all of them"
#endif

static unsigned begun;

#ifdef MBEDTLS_PLATFORM_MEMORY
static void *counted_calloc(size_t n, size_t bytes)
{
    return bytes != 0 && n > SIZE_MAX / bytes ? NULL : mem_zalloc(n * bytes);
}
#endif

int tls_library_begin(void)
{
    if (begun++ > 0)
        return 0;
#ifdef MBEDTLS_PLATFORM_MEMORY
    mbedtls_platform_set_calloc_free(counted_calloc, mem_free);
#endif
    if (psa_crypto_init() == PSA_SUCCESS)
        return 0;
    tls_library_end();
    return -ENOMEM;
}

void tls_library_end(void)
{
    assert(begun > 0);
    if (--begun == 0)
        mbedtls_psa_crypto_free();
}

void tls_library_hold_secrets(void)
{
    struct rlimit none = { 0, 0 };

    prctl(PR_SET_DUMPABLE, 0);
    setrlimit(RLIMIT_CORE, &none);
}

/* No state that threads would have to share, and nothing to wipe. The kernel's generator does not fail once it is seeded, for which getrandom
 * waits; a request of up to 256 bytes is never cut short. */
int tls_random(void *ctx, unsigned char *out, size_t n)
{
    (void)ctx;
    while (n > 0) {
        size_t step = n < 256 ? n : 256;
        if (getrandom(out, step, 0) != (ssize_t)step) {
            if (errno == EINTR)
                continue;
            return MBEDTLS_ERR_ENTROPY_SOURCE_FAILED;
        }
        out += step;
        n -= step;
    }
    return 0;
}

/* ---- words ---- */

struct alert_word {
    int number;
    const char *words;
};

/* RFC 8446 section 6, RFC 5246 section 7.2. */
static const struct alert_word alerts[] = {
    { 0, "alert received: close_notify" },
    { 10, "alert received: unexpected_message" },
    { 20, "alert received: bad_record_mac" },
    { 22, "alert received: record_overflow" },
    { 40, "alert received: handshake_failure (no version, cipher suite or group in common, or a certificate is missing)" },
    { 42, "alert received: bad_certificate" },
    { 43, "alert received: unsupported_certificate" },
    { 44, "alert received: certificate_revoked" },
    { 45, "alert received: certificate_expired" },
    { 46, "alert received: certificate_unknown" },
    { 47, "alert received: illegal_parameter" },
    { 48, "alert received: unknown_ca (the peer does not trust our certificate's issuer)" },
    { 49, "alert received: access_denied" },
    { 50, "alert received: decode_error" },
    { 51, "alert received: decrypt_error" },
    { 70, "alert received: protocol_version" },
    { 71, "alert received: insufficient_security" },
    { 80, "alert received: internal_error" },
    { 86, "alert received: inappropriate_fallback" },
    { 90, "alert received: user_canceled" },
    { 109, "alert received: missing_extension" },
    { 110, "alert received: unsupported_extension" },
    { 112, "alert received: unrecognized_name" },
    { 113, "alert received: bad_certificate_status_response" },
    { 115, "alert received: unknown_psk_identity" },
    { 116, "alert received: certificate_required" },
    { 120, "alert received: no_application_protocol" },
};

const char *tls_alert_words(int number)
{
    for (size_t i = 0; i < sizeof(alerts) / sizeof(alerts[0]); i++)
        if (alerts[i].number == number)
            return alerts[i].words;
    return "alert received: an unknown one";
}

/* What mbedTLS's codes mean where the gateway meets them, and the alert that the peer gets where the library itself sent none. */
struct error_word {
    int error;
    int alert;
    const char *words;
};

static const struct error_word errors[] = {
    { MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION, 70, "no TLS version in common" },
    { MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE, 40, "no cipher suite, group or signature algorithm in common" },
    { MBEDTLS_ERR_SSL_NO_APPLICATION_PROTOCOL, 120, "no application protocol in common: only http/1.1 is spoken" },
    { MBEDTLS_ERR_SSL_NO_CLIENT_CERTIFICATE, 116, "no certificate was shown, and one is required" },
    { MBEDTLS_ERR_SSL_BAD_CERTIFICATE, 42, "the certificate cannot be read" },
    { MBEDTLS_ERR_X509_CERT_VERIFY_FAILED, 42, "the certificate cannot be trusted" },
    { MBEDTLS_ERR_SSL_UNSUPPORTED_EXTENSION, 110, "an extension that was not asked for" },
    { MBEDTLS_ERR_SSL_UNRECOGNIZED_NAME, 112, "the server does not know the name" },
    { MBEDTLS_ERR_SSL_INVALID_RECORD, 10, "not a TLS record" },
    { MBEDTLS_ERR_SSL_INVALID_MAC, 20, "a record that cannot be decrypted" },
    { MBEDTLS_ERR_SSL_UNEXPECTED_MESSAGE, 10, "a message out of order" },
    { MBEDTLS_ERR_SSL_UNEXPECTED_RECORD, 10, "a record out of order" },
    { MBEDTLS_ERR_SSL_DECODE_ERROR, 50, "a malformed message" },
    { MBEDTLS_ERR_SSL_ILLEGAL_PARAMETER, 47, "a message with a forbidden value" },
    { MBEDTLS_ERR_SSL_BAD_INPUT_DATA, 80, "the library was used in a wrong way" },
    { MBEDTLS_ERR_SSL_BUFFER_TOO_SMALL, 22, "a message that is too large" },
    { MBEDTLS_ERR_SSL_ALLOC_FAILED, 80, "out of memory" },
    { MBEDTLS_ERR_X509_ALLOC_FAILED, 80, "out of memory" },
    { MBEDTLS_ERR_MPI_ALLOC_FAILED, 80, "out of memory" },
    { MBEDTLS_ERR_SSL_COUNTER_WRAPPING, 80, "too many records for one key" },
};

const char *tls_error_words(int error)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (errors[i].error == error)
            return errors[i].words;
    return "the cryptography of the handshake failed";
}

int tls_error_alert(int error)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (errors[i].error == error)
            return errors[i].alert;
    return MBEDTLS_SSL_ALERT_MSG_HANDSHAKE_FAILURE;
}

bool tls_error_is_memory(int error)
{
    return error == MBEDTLS_ERR_SSL_ALLOC_FAILED || error == MBEDTLS_ERR_X509_ALLOC_FAILED || error == MBEDTLS_ERR_MPI_ALLOC_FAILED ||
           error == MBEDTLS_ERR_ASN1_ALLOC_FAILED || error == MBEDTLS_ERR_PK_ALLOC_FAILED || error == MBEDTLS_ERR_ECP_ALLOC_FAILED ||
           error == MBEDTLS_ERR_MD_ALLOC_FAILED || error == MBEDTLS_ERR_CIPHER_ALLOC_FAILED || error == MBEDTLS_ERR_PEM_ALLOC_FAILED;
}

/* The first of these that is set is the one that is told; an untrusted chain often comes with others. */
static const struct error_word verdicts[] = {
    { MBEDTLS_X509_BADCERT_EXPIRED, 45, "the certificate has expired" },
    { MBEDTLS_X509_BADCERT_FUTURE, 42, "the certificate is not valid yet" },
    { MBEDTLS_X509_BADCERT_REVOKED, 44, "the certificate has been revoked" },
    { MBEDTLS_X509_BADCERT_CN_MISMATCH, 42, "the certificate is for another name" },
    { MBEDTLS_X509_BADCERT_NOT_TRUSTED, 48, "the certificate's issuer is not trusted" },
    { MBEDTLS_X509_BADCERT_BAD_KEY, 42, "the certificate's key is too weak" },
    { MBEDTLS_X509_BADCERT_BAD_MD, 42, "the certificate is signed with a weak digest" },
    { MBEDTLS_X509_BADCERT_BAD_PK, 42, "the certificate's kind of key is not accepted" },
    { MBEDTLS_X509_BADCERT_KEY_USAGE, 43, "the certificate is not for this use" },
    { MBEDTLS_X509_BADCERT_EXT_KEY_USAGE, 43, "the certificate is not for this use" },
    { MBEDTLS_X509_BADCERT_NS_CERT_TYPE, 43, "the certificate is not for this use" },
    { MBEDTLS_X509_BADCERT_MISSING, 42, "no certificate was shown" },
};

static const struct error_word *verdict_of(uint32_t flags)
{
    static const struct error_word any = { 0, 42, "the certificate cannot be trusted" };

    for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
        if ((flags & (uint32_t)verdicts[i].error) != 0)
            return &verdicts[i];
    return &any;
}

const char *tls_verdict_words(uint32_t flags)
{
    return verdict_of(flags)->words;
}

int tls_verdict_alert(uint32_t flags)
{
    return verdict_of(flags)->alert;
}
