/* PEM files, from the paths in the configuration to mbedTLS's structures; and the names that a certificate is for.
 *
 * What was read of a key file is wiped. What can go wrong, in order: the file cannot be opened, is larger than any such file, holds no
 * certificate or key (or one with a passphrase), the key is of another certificate. */
#include "gateway/tls_parts.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_BYTES_MAX ((size_t)16 * 1024 * 1024)
#define RSA_BITS_MIN 2048
#define RECORD_ROOM 64                   /* of a Certificate message, around the certificates */

/* ---- files ---- */

struct file_text {
    unsigned char *p;                    /* ends with NUL, as mbedTLS wants PEM */
    size_t n;                            /* … which is counted */
    mode_t mode;
};

static void file_free(struct file_text *f)
{
    if (f->p != NULL)
        mbedtls_platform_zeroize(f->p, f->n);
    mem_free(f->p);
    *f = (struct file_text){ 0 };
}

static bool complain(struct tls_complaint *complaint, const struct conf_file *about, const char *what, const char *why)
{
    conf_complain(complaint->conf, about, false, complaint->messages, "%s: %s%s%s", about->path, what, why != NULL ? ": " : "",
                  why != NULL ? why : "");
    complaint->errors++;
    return false;
}

static void warn(struct tls_complaint *complaint, const struct conf_file *about, const char *what)
{
    conf_complain(complaint->conf, about, true, complaint->messages, "%s: %s", about->path, what);
}

static bool read_open(FILE *in, size_t bytes, struct file_text *out)
{
    out->n = bytes + 1;
    out->p = mem_zalloc(out->n);
    if (out->p == NULL)
        return false;
    setvbuf(in, NULL, _IONBF, 0);        /* no second copy in stdio's buffer */
    return fread(out->p, 1, bytes, in) == bytes;
}

static bool file_read(const struct conf_file *from, struct tls_complaint *complaint, struct file_text *out)
{
    FILE *in = fopen(from->path, "re");
    struct stat st;
    bool good;

    *out = (struct file_text){ 0 };
    if (in == NULL)
        return complain(complaint, from, "cannot be opened", strerror(errno));
    if (fstat(fileno(in), &st) != 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 || (uint64_t)st.st_size > FILE_BYTES_MAX) {
        fclose(in);
        return complain(complaint, from, "is empty, too large, or no file at all", NULL);
    }
    out->mode = st.st_mode;
    good = read_open(in, (size_t)st.st_size, out);
    fclose(in);
    if (good)
        return true;
    file_free(out);
    return complain(complaint, from, "cannot be read", NULL);
}

static const char *words_of(int error, char text[128])
{
    mbedtls_strerror(error, text, 128);
    return text;
}

/* ---- certificates ---- */

static size_t chain_bytes(const mbedtls_x509_crt *chain)
{
    size_t bytes = RECORD_ROOM;

    for (const mbedtls_x509_crt *c = chain; c != NULL; c = c->next)
        bytes += c->raw.len + 8;
    return bytes;
}

static void look_at_leaf(const mbedtls_x509_crt *leaf, const struct conf_file *from, struct tls_complaint *complaint)
{
    if (mbedtls_x509_time_is_past(&leaf->valid_to))
        warn(complaint, from, "the certificate has expired");
    if (mbedtls_x509_time_is_future(&leaf->valid_from))
        warn(complaint, from, "the certificate is not valid yet");
    if (mbedtls_pk_can_do(&leaf->pk, MBEDTLS_PK_RSA) && mbedtls_pk_get_bitlen(&leaf->pk) < RSA_BITS_MIN)
        warn(complaint, from, "the certificate's key is weak: clients will refuse it");
}

static bool load_chain(mbedtls_x509_crt *chain, const struct conf_file *from, struct tls_complaint *complaint)
{
    struct file_text text;
    char words[128];
    int rv;

    if (!file_read(from, complaint, &text))
        return false;
    rv = mbedtls_x509_crt_parse(chain, text.p, text.n);
    file_free(&text);
    if (rv < 0)
        return complain(complaint, from, "holds no certificate", words_of(rv, words));
    if (rv > 0)
        return complain(complaint, from, "holds a certificate that cannot be read", NULL);
    if (chain_bytes(chain) > MBEDTLS_SSL_OUT_CONTENT_LEN)
        return complain(complaint, from, "the chain is too long to be sent: leave the root out", NULL);
    look_at_leaf(chain, from, complaint);
    return true;
}

static bool load_key(struct tls_certificate *c, const struct conf_certificate *from, struct tls_complaint *complaint)
{
    struct file_text text;
    char words[128];
    int rv;

    if (!file_read(&from->key, complaint, &text))
        return false;
    if ((text.mode & S_IRWXO) != 0)
        warn(complaint, &from->key, "everybody on this machine may read the key");
    rv = mbedtls_pk_parse_key(&c->key, text.p, text.n, NULL, 0, tls_random, NULL);
    file_free(&text);
    if (rv == MBEDTLS_ERR_PK_PASSWORD_REQUIRED || rv == MBEDTLS_ERR_PK_PASSWORD_MISMATCH)
        return complain(complaint, &from->key, "the key has a passphrase: the gateway cannot ask for it", NULL);
    if (rv != 0)
        return complain(complaint, &from->key, "holds no private key", words_of(rv, words));
    if (mbedtls_pk_check_pair(&c->chain.pk, &c->key, tls_random, NULL) != 0)
        return complain(complaint, &from->key, "the key does not belong to the certificate", from->certificate.path);
    return true;
}

bool tls_certificate_load(struct tls_certificate *c, const struct conf_certificate *from, struct tls_complaint *complaint)
{
    bool chain;

    mbedtls_x509_crt_init(&c->chain);
    mbedtls_pk_init(&c->key);
    chain = load_chain(&c->chain, &from->certificate, complaint);
    return chain && load_key(c, from, complaint);
}

void tls_certificate_free(struct tls_certificate *c)
{
    mbedtls_x509_crt_free(&c->chain);
    mbedtls_pk_free(&c->key);            /* wipes it */
}

/* A bundle of many may hold one that this library cannot read; a file of which it can read none is of no use. */
bool tls_ca_load(mbedtls_x509_crt *ca, const struct conf_file *from, struct tls_complaint *complaint)
{
    struct file_text text;
    char words[128];
    int rv;

    if (!file_read(from, complaint, &text))
        return false;
    rv = mbedtls_x509_crt_parse(ca, text.p, text.n);
    file_free(&text);
    if (rv < 0)
        return complain(complaint, from, "holds no certificate", words_of(rv, words));
    if (rv > 0)
        warn(complaint, from, "some of the certificates cannot be read, and are not used");
    return true;
}

struct tls_tickets *tls_tickets_load(const struct conf_file *from, struct tls_complaint *complaint)
{
    struct tls_tickets *t = NULL;
    struct file_text text;
    size_t n;

    if (!file_read(from, complaint, &text))
        return NULL;
    n = (text.n - 1) / TLS_TICKETS_KEY_BYTES;
    if ((text.n - 1) % TLS_TICKETS_KEY_BYTES != 0 || n > TLS_TICKETS_KEYS_MAX)
        complain(complaint, from, "is not one to four keys of 32 bytes each", NULL);
    else if ((t = tls_tickets_of_keys(text.p, n)) == NULL)
        complain(complaint, from, "out of memory", NULL);
    if (t != NULL && (text.mode & S_IRWXO) != 0)
        warn(complaint, from, "everybody on this machine may read the keys");
    file_free(&text);
    return t;
}

/* ---- names ---- */

/* RFC 9525 section 6.3: a wildcard is the whole leftmost label, and stands for exactly one. */
static int fits(struct span pattern, struct span name)
{
    size_t dot = span_find(name, '.');

    if (span_equal_nocase(pattern, name))
        return 2;
    if (pattern.n < 3 || pattern.p[0] != '*' || pattern.p[1] != '.' || dot == 0)
        return 0;
    return span_equal_nocase(span_from(pattern, 1), span_from(name, dot)) ? 1 : 0;
}

static int fits_common_name(const mbedtls_x509_crt *leaf, struct span name)
{
    int best = 0;

    for (const mbedtls_x509_name *part = &leaf->subject; part != NULL; part = part->next)
        if (MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &part->oid) == 0) {
            int fit = fits(span_of(part->val.p, part->val.len), name);
            best = fit > best ? fit : best;
        }
    return best;
}

static bool san_is(const mbedtls_x509_sequence *san, int kind)
{
    return san->buf.p != NULL && (san->buf.tag & (MBEDTLS_ASN1_TAG_CLASS_MASK | MBEDTLS_ASN1_TAG_VALUE_MASK)) ==
                                     (MBEDTLS_ASN1_CONTEXT_SPECIFIC | kind);
}

int tls_certificate_fits(const mbedtls_x509_crt *leaf, struct span name)
{
    int best = 0;
    bool named = false;

    for (const mbedtls_x509_sequence *san = &leaf->subject_alt_names; san != NULL; san = san->next)
        if (san_is(san, MBEDTLS_X509_SAN_DNS_NAME)) {
            int fit = fits(span_of(san->buf.p, san->buf.len), name);
            named = true;
            best = fit > best ? fit : best;
        }
    return named ? best : fits_common_name(leaf, name);
}

struct span tls_certificate_name(const mbedtls_x509_crt *leaf)
{
    for (const mbedtls_x509_sequence *san = &leaf->subject_alt_names; san != NULL; san = san->next)
        if (san_is(san, MBEDTLS_X509_SAN_DNS_NAME))
            return span_of(san->buf.p, san->buf.len);
    for (const mbedtls_x509_name *part = &leaf->subject; part != NULL; part = part->next)
        if (MBEDTLS_OID_CMP(MBEDTLS_OID_AT_CN, &part->oid) == 0)
            return span_of(part->val.p, part->val.len);
    return SPAN_EMPTY;
}

bool tls_certificate_fits_ip(const mbedtls_x509_crt *leaf, const char *address)
{
    struct in_addr v4;
    struct in6_addr v6;
    bool is_v4 = inet_pton(AF_INET, address, &v4) == 1;
    struct span own = is_v4 ? span_of(&v4, sizeof(v4)) : span_of(&v6, sizeof(v6));

    if (!is_v4 && inet_pton(AF_INET6, address, &v6) != 1)
        return false;
    for (const mbedtls_x509_sequence *san = &leaf->subject_alt_names; san != NULL; san = san->next)
        if (san_is(san, MBEDTLS_X509_SAN_IP_ADDRESS) && span_equal(span_of(san->buf.p, san->buf.len), own))
            return true;
    return false;
}
