/* conf_names: text with rules: names, tokens, host patterns, paths. What is refused is refused with the form that would be right,
 * where there is one. tests/conf/test_conf_types.c */
#include "conf/conf_report.h"
#include "conf/conf_types.h"
#include "protocol/target.h"
#include "protocol/token.h"
#include "protocol/utf8.h"

#include <arpa/inet.h>
#include <string.h>

#define LABEL_BYTES_MAX 128
#define TEXT_BYTES_MAX 4096
#define FILE_BYTES_MAX 1024
#define NAME_BYTES_MAX 64
#define TOKEN_BYTES_MAX 64
#define HOST_LABEL_BYTES_MAX 63
#define PATH_BYTES_MAX 4096
#define FILE_PATH_BYTES_MAX 4095

static bool is_alphanumeric(uint8_t c)
{
    return (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || (c >= '0' && c <= '9');
}

bool conf_is_printable(struct span text)
{
    static const char *const refused[] = { "\u2028", "\u2029", "\ufeff", "\xef\xbf\xbe", "\xef\xbf\xbf" };

    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < 0x20 || text.p[i] == 0x7F || (text.p[i] == 0xC2 && i + 1 < text.n && text.p[i + 1] < 0xA0))
            return false;
        for (size_t j = 0; text.p[i] >= 0xE2 && j < sizeof(refused) / sizeof(refused[0]); j++)
            if (span_starts_with(span_from(text, i), span_of_text(refused[j])))
                return false;
    }
    return utf8_valid(text.p, text.n);
}

static bool refuse_long(struct conf_value *value, size_t bytes_max)
{
    return conf_refuse(value, "longer than %zu bytes", bytes_max);
}

static bool refuse_control(struct conf_value *value)
{
    return conf_refuse(value, "control characters can't stand here");
}

void conf_write_string(const struct conf *c, const struct conf_key *key, const void *field, FILE *out)
{
    (void)c;
    if (*(char *const *)field == NULL)
        fputs(key->zero_word, out);
    else
        conf_write_text(*(char *const *)field, out);
}

static bool read_printable(struct conf_value *value, size_t bytes_max, void *field)
{
    if (value->text.n > bytes_max)
        return refuse_long(value, bytes_max);
    if (!conf_is_printable(value->text))
        return refuse_control(value);
    return conf_keep_text(value, value->text, field);
}

bool conf_read_label(struct conf_value *value, void *field)
{
    return read_printable(value, LABEL_BYTES_MAX, field);
}

bool conf_read_text(struct conf_value *value, void *field)
{
    return read_printable(value, TEXT_BYTES_MAX, field);
}

/* No segment is empty, `.` or `..`: such a path means one place, whoever reads it. */
static bool is_normal(struct span path)
{
    while (path.n > 0) {
        struct span segment = span_first(path, span_find(path, '/'));
        if (segment.n == 0 || span_equal(segment, SPAN_LITERAL(".")) || span_equal(segment, SPAN_LITERAL("..")))
            return false;
        if (segment.n + 1 == path.n)
            return false;                /* a slash at the end */
        path = span_from(path, segment.n + 1);
    }
    return true;
}

bool conf_read_folder(struct conf_value *value, void *field)
{
    char shown[CONF_SHOWN_BYTES];

    if (value->text.p[0] != '/')
        return conf_refuse(value, "`%s` is not an absolute path", conf_show(value->text, shown));
    if (!is_normal(span_from(value->text, 1)))
        return conf_refuse(value, "`%s`: a folder is written without empty, `.` and `..` segments and without a slash at the end",
                           conf_show(value->text, shown));
    return read_printable(value, FILE_BYTES_MAX, field);
}

bool conf_read_file(struct conf_value *value, void *field)
{
    char shown[CONF_SHOWN_BYTES];

    if (!is_normal(value->text))
        return conf_refuse(value, "`%s`: a file below the root is written without a slash in front and without empty, `.` and `..` "
                                  "segments", conf_show(value->text, shown));
    return read_printable(value, FILE_BYTES_MAX, field);
}

bool conf_read_file_name(struct conf_value *value, void *field)
{
    char shown[CONF_SHOWN_BYTES];

    if (span_find(value->text, '/') < value->text.n || !is_normal(value->text))
        return conf_refuse(value, "`%s` is not a file's name, or the end of one", conf_show(value->text, shown));
    return read_printable(value, HOST_LABEL_BYTES_MAX, field);
}

bool conf_read_name(struct conf_value *value, void *field)
{
    struct span name = value->text;
    char shown[CONF_SHOWN_BYTES];
    bool good = name.n > 0 && is_alphanumeric(name.p[0]);

    if (name.n > NAME_BYTES_MAX)
        return refuse_long(value, NAME_BYTES_MAX);
    for (size_t i = 0; i < name.n; i++)
        good = good && (is_alphanumeric(name.p[i]) || name.p[i] == '.' || name.p[i] == '_' || name.p[i] == '-');
    if (!good)
        return conf_refuse(value, "`%s` can't be a name: letters, digits, `.`, `_` and `-`, beginning with a letter or digit",
                           conf_show(name, shown));
    return conf_keep_text(value, name, field);
}

bool conf_read_token(struct conf_value *value, void *field)
{
    char shown[CONF_SHOWN_BYTES];

    if (value->text.n > TOKEN_BYTES_MAX)
        return refuse_long(value, TOKEN_BYTES_MAX);
    if (!token_is_token(value->text))
        return conf_refuse(value, "`%s` is not a token: letters, digits and !#$%%&'*+-.^_`|~ only",
                           conf_show(value->text, shown));
    return conf_keep_text(value, value->text, field);
}

static const char *const hash_words[] = { [CONF_HASH_CLIENT] = "client", [CONF_HASH_PATH] = "path",
                                          [CONF_HASH_HEADER] = "header:", [CONF_HASH_COOKIE] = "cookie:" };

bool conf_read_hash(struct conf_value *value, void *field)
{
    struct conf_hash hash = { .name = NULL };
    char shown[CONF_SHOWN_BYTES];

    for (int kind = CONF_HASH_CLIENT; kind <= CONF_HASH_COOKIE; kind++) {
        struct span word = span_of_text(hash_words[kind]), name = span_from(value->text, word.n);
        bool named = kind >= CONF_HASH_HEADER;
        if (!span_starts_with(value->text, word) || (named ? !token_is_token(name) || name.n > TOKEN_BYTES_MAX : name.n > 0))
            continue;
        hash.kind = (enum conf_hash_kind)kind;
        if (named && !conf_keep_text(value, name, &hash.name))
            return false;
        *(struct conf_hash *)field = hash;
        return true;
    }
    return conf_refuse(value, "`%s` is none of client, path, header:NAME and cookie:NAME", conf_show(value->text, shown));
}

void conf_write_hash(const struct conf *c, const struct conf_key *key, const void *field, FILE *out)
{
    const struct conf_hash *hash = field;

    (void)c;
    (void)key;
    fputs(hash_words[hash->kind], out);
    if (hash->name == NULL)
        return;
    fputs(hash->name, out);
}

/* RFC 6454 section 6.2, as browsers write it: they leave out a port that is the scheme's own, and so must the operator. */
static bool is_origin(struct span text)
{
    struct span rest;
    size_t colon = span_find(text, ':');

    if (span_equal(text, SPAN_LITERAL("null")))
        return true;
    if (colon == 0 || !span_starts_with(span_from(text, colon), SPAN_LITERAL("://")))
        return false;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= ' ' || text.p[i] >= 0x7f || (text.p[i] >= 'A' && text.p[i] <= 'Z'))
            return false;
    rest = span_from(text, colon + 3);
    return rest.n > 0 && span_find(rest, '/') == rest.n && span_find(rest, '@') == rest.n;
}

bool conf_read_origin(struct conf_value *value, void *field)
{
    char shown[CONF_SHOWN_BYTES];
    struct span text = value->text;

    if (text.n > LABEL_BYTES_MAX)
        return refuse_long(value, LABEL_BYTES_MAX);
    if (!is_origin(text))
        return conf_refuse(value,
                           "`%s` is not an origin: scheme://host or scheme://host:port in lower case, without a path; or null",
                           conf_show(text, shown));
    if ((span_starts_with(text, SPAN_LITERAL("https://")) && span_ends_with(text, SPAN_LITERAL(":443"))) ||
        (span_starts_with(text, SPAN_LITERAL("http://")) && span_ends_with(text, SPAN_LITERAL(":80"))))
        return conf_refuse(value, "`%s` can't match: browsers leave the scheme's own port out of an origin",
                           conf_show(text, shown));
    return conf_keep_text(value, text, field);
}

bool conf_read_log_target(struct conf_value *value, void *field)
{
    char shown[CONF_SHOWN_BYTES];

    if (value->text.n > FILE_PATH_BYTES_MAX)
        return refuse_long(value, FILE_PATH_BYTES_MAX);
    if (!conf_is_printable(value->text))
        return refuse_control(value);
    if (!span_equal(value->text, SPAN_LITERAL("stdout")) && value->text.p[0] != '/')
        return conf_refuse(value, "`%s` is neither `stdout` nor an absolute path", conf_show(value->text, shown));
    return conf_keep_text(value, value->text, field);
}

bool conf_is_host_name(struct span host)
{
    size_t label_bytes = 0;

    for (size_t i = 0; i < host.n; i++) {
        bool dot = host.p[i] == '.';
        if (dot ? label_bytes == 0 : !is_alphanumeric(host.p[i]) && host.p[i] != '-' && host.p[i] != '_')
            return false;
        label_bytes = dot ? 0 : label_bytes + 1;
        if (label_bytes > HOST_LABEL_BYTES_MAX)
            return false;
    }
    return host.n <= CONF_HOST_BYTES_MAX && label_bytes > 0;
}

static bool read_ipv6_host(struct conf_value *value, char **field)
{
    char text[INET6_ADDRSTRLEN], host[INET6_ADDRSTRLEN + 2], shown[CONF_SHOWN_BYTES];
    struct in6_addr address;
    size_t n = value->text.n < 2 ? 0 : value->text.n - 2;

    if (n < sizeof(text) && n > 0 && value->text.p[n + 1] == ']') {
        memcpy(text, value->text.p + 1, n);
        text[n] = '\0';
        if (inet_pton(AF_INET6, text, &address) == 1) {
            inet_ntop(AF_INET6, &address, text, sizeof(text));
            snprintf(host, sizeof(host), "[%s]", text);
            return conf_keep_text(value, span_of_text(host), field);
        }
    }
    return conf_refuse(value, "`%s` is not an IPv6 address in brackets, without a port", conf_show(value->text, shown));
}

static bool refuse_host(struct conf_value *value)
{
    char shown[CONF_SHOWN_BYTES];
    size_t colon = span_find(value->text, ':');

    conf_show(value->text, shown);
    if (span_equal(value->text, SPAN_LITERAL("*")))
        return conf_refuse(value, "leave `%s` out to match any host", value->key->name);
    if (span_find(value->text, '*') < value->text.n)
        return conf_refuse(value, "`%s`: `*.` can only stand once, in front of a name", shown);
    if (colon < value->text.n && conf_is_host_name(span_first(value->text, colon)))
        return conf_refuse(value, "`%s`: a host is matched without its port; use `listener` to tell ports apart", shown);
    return conf_refuse(value, "`%s` is not a host name", shown);
}

bool conf_read_host(struct conf_value *value, void *field)
{
    struct span host = value->text;
    char **kept = field;
    size_t prefix = span_starts_with(host, SPAN_LITERAL("*.")) ? 2 : 0;

    if (host.n > 0 && host.p[0] == '[')
        return read_ipv6_host(value, kept);
    if (host.n > prefix + 1 && host.p[host.n - 1] == '.')
        host.n--;                        /* a name's final dot */
    if (!conf_is_host_name(span_from(host, prefix)))
        return refuse_host(value);
    if (!conf_keep_text(value, host, kept))
        return false;
    for (char *c = *kept; *c != '\0'; c++)
        *c = (char)ascii_lower((uint8_t)*c);
    return true;
}

/* RFC 6066 section 3: a server name is a host name, and never an address. */
bool conf_read_server_names(struct conf_value *value, void *field)
{
    char shown[CONF_SHOWN_BYTES];

    if (span_equal(value->text, SPAN_LITERAL("*")))
        return conf_keep_text(value, value->text, field);
    if (value->text.n > 0 && value->text.p[0] == '[')
        return conf_refuse(value, "`%s`: TLS clients ask for names, not for addresses", conf_show(value->text, shown));
    return conf_read_host(value, field);
}

/* The path as a request would send it: what a target can't hold becomes %XX. `out` has room for three times the bytes. */
static struct span encode_path(struct span path, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < path.n; i++) {
        if (path.p[i] <= 0x20 || path.p[i] >= 0x7F)
            n += (size_t)snprintf(out + n, 4, "%%%02X", (unsigned)path.p[i]);
        else
            out[n++] = (char)path.p[i];
    }
    return span_of(out, n);
}

/* Requests are matched by their target's normal form, so a path that isn't in it would never match: see protocol/target.c. */
static bool read_normal_path(struct conf_value *value, char **field)
{
    char encoded[3 * PATH_BYTES_MAX + 1], shown[CONF_SHOWN_BYTES], normal[CONF_SHOWN_BYTES];
    struct target target;
    enum fault fault = target_parse(value->arena, SPAN_LITERAL("GET"), encode_path(value->text, encoded), &target);

    if (fault == FAULT_NO_MEMORY)
        return conf_refuse_no_memory(value);
    conf_show(value->text, shown);
    if (fault != FAULT_NONE)
        return conf_refuse(value, "`%s`: a request for such a path is refused, so it would never match", shown);
    if (!span_equal(target.route_path, value->text))
        return conf_refuse(value, "`%s`: paths are matched in their normal form: write `%s`", shown,
                           conf_show(target.route_path, normal));
    return conf_keep_text(value, value->text, field);
}

bool conf_read_path(struct conf_value *value, void *field)
{
    struct span path = value->text;
    char shown[CONF_SHOWN_BYTES];

    if (path.n > PATH_BYTES_MAX)
        return refuse_long(value, PATH_BYTES_MAX);
    if (!conf_is_printable(path))
        return refuse_control(value);
    conf_show(path, shown);
    if (path.n == 0 || path.p[0] != '/')
        return conf_refuse(value, "`%s`: a path begins with `/`", shown);
    if (span_find(path, '?') < path.n || span_find(path, '#') < path.n)
        return conf_refuse(value, "`%s`: a path ends before `?` or `#`", shown);
    return read_normal_path(value, field);
}
