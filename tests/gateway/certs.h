/* certs: an authority and certificates for tests, made when they are needed, as PEM files in a folder of their own. */
#ifndef UPGATE_TESTS_GATEWAY_CERTS_H
#define UPGATE_TESTS_GATEWAY_CERTS_H

#include "gateway/tls_parts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define CERTS_FILES_MAX 32

struct certs {
    char folder[64];
    char files[CERTS_FILES_MAX][128];
    size_t n;
};

/* What a certificate is to be. Its files are NAME.crt and NAME.key. */
struct certs_wish {
    const char *name;
    const char *issuer;                  /* the name of one that was made before; NULL: its own */
    const char *subject;                 /* "CN=…"; NULL: "CN=" and the name */
    const char *dns[4];
    const char *ip;
    const char *not_before, *not_after;  /* YYYYMMDDhhmmss; NULL: well within today */
    bool authority;
    bool rsa_1024, p384;
};

static inline void certs_begin(struct certs *c)
{
    *c = (struct certs){ .folder = "/tmp/upgate-certs-XXXXXX" };
    assert_non_null(mkdtemp(c->folder));
}

static inline void certs_end(struct certs *c)
{
    for (size_t i = 0; i < c->n; i++)
        unlink(c->files[i]);
    rmdir(c->folder);
}

static inline const char *certs_path(struct certs *c, const char *name, const char *suffix)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s%s", c->folder, name, suffix);
    for (size_t i = 0; i < c->n; i++)
        if (strcmp(c->files[i], path) == 0)
            return c->files[i];
    assert_true(c->n < CERTS_FILES_MAX);
    memcpy(c->files[c->n], path, sizeof(path));
    return c->files[c->n++];
}

static inline const char *certs_write(struct certs *c, const char *name, const char *suffix, const void *bytes, size_t n)
{
    const char *path = certs_path(c, name, suffix);
    FILE *out = fopen(path, "we");

    assert_non_null(out);
    assert_int_equal(fwrite(bytes, 1, n, out), n);
    fclose(out);
    assert_int_equal(chmod(path, 0600), 0);
    return path;
}

static inline void certs_load_key(struct certs *c, const char *name, mbedtls_pk_context *key)
{
    assert_int_equal(mbedtls_pk_parse_keyfile(key, certs_path(c, name, ".key"), NULL, tls_random, NULL), 0);
}

static inline void certs_make_key(struct certs *c, const struct certs_wish *w, mbedtls_pk_context *key)
{
    unsigned char pem[4096];
    mbedtls_ecp_group_id curve = w->p384 ? MBEDTLS_ECP_DP_SECP384R1 : MBEDTLS_ECP_DP_SECP256R1;

    assert_int_equal(mbedtls_pk_setup(key, mbedtls_pk_info_from_type(w->rsa_1024 ? MBEDTLS_PK_RSA : MBEDTLS_PK_ECKEY)), 0);
    if (w->rsa_1024)
        assert_int_equal(mbedtls_rsa_gen_key(mbedtls_pk_rsa(*key), tls_random, NULL, 1024, 65537), 0);
    else
        assert_int_equal(mbedtls_ecp_gen_key(curve, mbedtls_pk_ec(*key), tls_random, NULL), 0);
    assert_int_equal(mbedtls_pk_write_key_pem(key, pem, sizeof(pem)), 0);
    certs_write(c, w->name, ".key", pem, strlen((char *)pem));
}

static inline void certs_set_names(mbedtls_x509write_cert *crt, const struct certs_wish *w)
{
    mbedtls_x509_san_list list[5];
    static const uint8_t loopback[] = { 127, 0, 0, 1 };
    size_t n = 0;

    for (size_t i = 0; i < 4 && w->dns[i] != NULL; i++, n++) {
        list[n] = (mbedtls_x509_san_list){ .node.type = MBEDTLS_X509_SAN_DNS_NAME };
        list[n].node.san.unstructured_name.p = (unsigned char *)(uintptr_t)w->dns[i];
        list[n].node.san.unstructured_name.len = strlen(w->dns[i]);
    }
    if (w->ip != NULL) {
        list[n] = (mbedtls_x509_san_list){ .node.type = MBEDTLS_X509_SAN_IP_ADDRESS };
        list[n].node.san.unstructured_name.p = (unsigned char *)(uintptr_t)loopback;
        list[n++].node.san.unstructured_name.len = sizeof(loopback);
    }
    for (size_t i = 0; i + 1 < n; i++)
        list[i].next = &list[i + 1];
    if (n > 0)
        assert_int_equal(mbedtls_x509write_crt_set_subject_alternative_name(crt, list), 0);
}

static inline void certs_make(struct certs *c, const struct certs_wish *w)
{
    const char *issuer = w->issuer != NULL ? w->issuer : w->name;
    char subject[512], issuer_subject[512];
    unsigned char pem[4096], serial[] = { 0x0a, (unsigned char)(c->n + 1) };
    mbedtls_pk_context key, issuer_key;
    mbedtls_x509write_cert crt;

    mbedtls_pk_init(&key);
    mbedtls_pk_init(&issuer_key);
    mbedtls_x509write_crt_init(&crt);
    certs_make_key(c, w, &key);
    certs_load_key(c, issuer, &issuer_key);
    snprintf(subject, sizeof(subject), "%s%s", w->subject != NULL ? "" : "CN=", w->subject != NULL ? w->subject : w->name);
    snprintf(issuer_subject, sizeof(issuer_subject), "CN=%s", issuer);
    mbedtls_x509write_crt_set_version(&crt, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(&crt, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(&crt, &key);
    mbedtls_x509write_crt_set_issuer_key(&crt, &issuer_key);
    assert_int_equal(mbedtls_x509write_crt_set_serial_raw(&crt, serial, sizeof(serial)), 0);
    assert_int_equal(mbedtls_x509write_crt_set_subject_name(&crt, subject), 0);
    assert_int_equal(mbedtls_x509write_crt_set_issuer_name(&crt, w->issuer != NULL ? issuer_subject : subject), 0);
    assert_int_equal(mbedtls_x509write_crt_set_validity(&crt, w->not_before != NULL ? w->not_before : "20200101000000",
                                                        w->not_after != NULL ? w->not_after : "20991231235959"), 0);
    assert_int_equal(mbedtls_x509write_crt_set_basic_constraints(&crt, w->authority, -1), 0);
    certs_set_names(&crt, w);
    assert_int_equal(mbedtls_x509write_crt_pem(&crt, pem, sizeof(pem), tls_random, NULL), 0);
    certs_write(c, w->name, ".crt", pem, strlen((char *)pem));
    mbedtls_x509write_crt_free(&crt);
    mbedtls_pk_free(&key);
    mbedtls_pk_free(&issuer_key);
}

/* NAME.crt holds the certificate `of` so often that it is longer than `bytes` in DER. */
static inline void certs_append(struct certs *c, const char *name, const char *of, size_t bytes)
{
    static char many[65536];
    char pem[4096];
    FILE *in = fopen(certs_path(c, of, ".crt"), "re");
    size_t n, all = 0;

    assert_non_null(in);
    n = fread(pem, 1, sizeof(pem), in);
    fclose(in);
    for (; all / 4 * 3 <= 2 * bytes; all += n) {
        assert_true(all + n <= sizeof(many));
        memcpy(many + all, pem, n);
    }
    certs_write(c, name, ".crt", many, all);
}

/* An authority `ca`, and certificates by it: `site` for site.example and *.wild.example, `other` for other.example, `alice` of a client. */
static inline void certs_make_usual(struct certs *c)
{
    certs_make(c, &(struct certs_wish){ .name = "ca", .authority = true });
    certs_make(c, &(struct certs_wish){ .name = "site", .issuer = "ca", .dns = { "site.example", "*.wild.example" }, .ip = "127.0.0.1" });
    certs_make(c, &(struct certs_wish){ .name = "other", .issuer = "ca", .dns = { "other.example" } });
    certs_make(c, &(struct certs_wish){ .name = "alice", .issuer = "ca", .subject = "C=DE,O=Exam\\,ple,CN=alice" });
}

#endif
