/* conf_tls: values that only TLS has: files, the names of servers, facts of a handshake, certificates' subjects and fingerprints.
 * tests/conf/test_conf_tls.c */
#include "conf/conf_report.h"
#include "conf/conf_types.h"

#define FILE_PATH_BYTES_MAX 4095
#define SUBJECT_BYTES_MAX 512
#define FINGERPRINT_DIGITS 64

/* The path is the first member of a struct conf_file; where it was written is entered by conf_check. */
bool conf_read_named_file(struct conf_value *value, void *field)
{
    struct conf_file *file = field;
    char shown[CONF_SHOWN_BYTES];

    if (value->text.n > FILE_PATH_BYTES_MAX)
        return conf_refuse(value, "longer than %d bytes", FILE_PATH_BYTES_MAX);
    if (!conf_is_printable(value->text))
        return conf_refuse(value, "control characters can't stand here");
    if (value->text.p[0] != '/')
        return conf_refuse(value, "`%s` is not an absolute path", conf_show(value->text, shown));
    return conf_keep_text(value, value->text, &file->path);
}

const char *const conf_tls_fact_words[CONF_TLS_FACTS] = {
#define CONF_TLS_FACT_WORD(name, word, words) [CONF_TLS_FACT_##name] = word,
    CONF_TLS_FACT_TABLE(CONF_TLS_FACT_WORD)
#undef CONF_TLS_FACT_WORD
};

bool conf_read_tls_fact(struct conf_value *value, void *field)
{
    struct conf_nearest nearest = { .word = value->text };
    char shown[CONF_SHOWN_BYTES], hint[CONF_SHOWN_BYTES];

    for (size_t i = 0; i < CONF_TLS_FACTS; i++) {
        if (span_equal(span_of_text(conf_tls_fact_words[i]), value->text))
            return conf_keep_text(value, value->text, field);
        conf_nearest_try(&nearest, conf_tls_fact_words[i]);
    }
    return conf_refuse(value, "`%s` is nothing that a TLS handshake proves%s", conf_show(value->text, shown), conf_nearest_hint(&nearest, hint));
}

/* Compared byte for byte, so it has to be what the gateway would write. */
bool conf_read_subject(struct conf_value *value, void *field)
{
    char shown[CONF_SHOWN_BYTES];
    struct span text = value->text;
    size_t equals = span_find(text, '=');

    if (text.n >= SUBJECT_BYTES_MAX)
        return conf_refuse(value, "longer than %d bytes", SUBJECT_BYTES_MAX - 1);
    if (equals == 0 || equals == text.n || text.p[0] == '/' || text.p[0] == ' ')
        return conf_refuse(value, "`%s` is not a subject: it looks like CN=alice,O=Example,C=DE", conf_show(text, shown));
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < 0x20 || text.p[i] >= 0x7f)
            return conf_refuse(value, "`%s`: write what is not ASCII as \\XX, as RFC 4514 does", conf_show(text, shown));
        else if (text.p[i] == ' ' && i > 1 && text.p[i - 1] == ',' && text.p[i - 2] != '\\')
            return conf_refuse(value, "`%s`: no blanks behind the commas", conf_show(text, shown));
    return conf_keep_text(value, text, field);
}

bool conf_read_fingerprint(struct conf_value *value, void *field)
{
    char digits[FINGERPRINT_DIGITS], shown[CONF_SHOWN_BYTES];
    size_t n = 0;

    for (size_t i = 0; i < value->text.n; i++) {
        uint8_t c = ascii_lower(value->text.p[i]);
        bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (c == ':')
            continue;
        if (!digit || n == FINGERPRINT_DIGITS)
            n = FINGERPRINT_DIGITS + 1;
        if (n > FINGERPRINT_DIGITS)
            break;
        digits[n++] = (char)c;
    }
    if (n != FINGERPRINT_DIGITS)
        return conf_refuse(value, "`%s` is not a SHA-256 fingerprint: 64 hexadecimal digits", conf_show(value->text, shown));
    return conf_keep_text(value, span_of(digits, n), field);
}

/* A name that certificates are for and that can be asked for: no pattern, no address. */
bool conf_read_server_name(struct conf_value *value, void *field)
{
    char shown[CONF_SHOWN_BYTES];

    if (!conf_is_host_name(value->text))
        return conf_refuse(value, "`%s` is not a host name", conf_show(value->text, shown));
    return conf_read_host(value, field);
}
