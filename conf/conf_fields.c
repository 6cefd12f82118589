/* conf_fields: names and values of HTTP fields that the operator writes. Whatever is accepted here stands in heads without a further look:
 * no name frames a message or belongs to one connection, and no value ends its line. tests/conf/test_conf_headers.c */
#include "conf/conf_report.h"
#include "conf/conf_types.h"
#include "protocol/rules_fields.h"
#include "protocol/token.h"

#include <string.h>

#define NAME_BYTES_MAX 64
#define VALUE_BYTES_MAX 4096
#define BODY_BYTES_MAX 32768

bool conf_read_field_name(struct conf_value *value, void *field)
{
    const char *zero_word = value->key->zero_word;
    char shown[CONF_SHOWN_BYTES];

    if (zero_word != NULL && span_equal(value->text, span_of_text(zero_word))) {
        *(char **)field = NULL;
        return true;
    }
    if (value->text.n > NAME_BYTES_MAX)
        return conf_refuse(value, "longer than %d bytes", NAME_BYTES_MAX);
    if (!token_is_token(value->text))
        return conf_refuse(value, "`%s` is not a field's name: letters, digits and !#$%%&'*+-.^_`|~ only",
                           conf_show(value->text, shown));
    if (rules_is_machinery(value->text))
        return conf_refuse(value, "%s can't be changed: HTTP itself needs it", conf_show(value->text, shown));
    return conf_keep_text(value, value->text, field);
}

/* What stands behind {host} or {uri} from here on; 0: neither does. */
static size_t placeholder_bytes(struct span s)
{
    if (span_starts_with(s, SPAN_LITERAL("{host}")))
        return sizeof("{host}") - 1;
    return span_starts_with(s, SPAN_LITERAL("{uri}")) ? sizeof("{uri}") - 1 : 0;
}

/* It has to name a place whatever the request says: what begins with {uri} could lead anywhere (//elsewhere). */
bool conf_read_location(struct conf_value *value, void *field)
{
    struct span rest = value->text;
    bool path = span_starts_with(rest, SPAN_LITERAL("/")) && !span_starts_with(rest, SPAN_LITERAL("//")) && !span_equal(rest, SPAN_LITERAL("/{uri}"));
    char shown[CONF_SHOWN_BYTES];

    if (rest.n > VALUE_BYTES_MAX)
        return conf_refuse(value, "longer than %d bytes", VALUE_BYTES_MAX);
    if (!path && !span_starts_with(rest, SPAN_LITERAL("https://")) && !span_starts_with(rest, SPAN_LITERAL("http://")))
        return conf_refuse(value, "`%s` is no place: it begins with https://, http:// or one slash", conf_show(value->text, shown));
    while (rest.n > 0) {
        size_t n = placeholder_bytes(rest);
        if (n == 0 && (*rest.p <= ' ' || *rest.p >= 0x7f || strchr("\"<>\\^`{|}", *rest.p) != NULL))
            return conf_refuse(value, "`%s`: only characters that a URL holds as they are, {host} and {uri} can stand here",
                               conf_show(value->text, shown));
        rest = span_from(rest, n > 0 ? n : 1);
    }
    return conf_keep_text(value, value->text, field);
}

bool conf_read_body(struct conf_value *value, void *field)
{
    struct span rest = value->text;

    if (rest.n > BODY_BYTES_MAX)
        return conf_refuse(value, "longer than %d bytes", BODY_BYTES_MAX);
    while (rest.n > 0) {
        size_t n = 0;
        while (n < rest.n && strchr("\n\r\t", rest.p[n]) == NULL)
            n++;
        if (!conf_is_printable(span_first(rest, n)))
            return conf_refuse(value, "control characters can't stand here");
        rest = span_from(rest, n + 1);
    }
    return conf_keep_text(value, value->text, field);
}

/* RFC 9110 section 5.5: a value has blanks at neither end, and no controls but HTAB, which nobody needs here. */
bool conf_read_field_value(struct conf_value *value, void *field)
{
    struct span trimmed = token_trim(value->text);

    if (value->text.n > VALUE_BYTES_MAX)
        return conf_refuse(value, "longer than %d bytes", VALUE_BYTES_MAX);
    if (!conf_is_printable(value->text))
        return conf_refuse(value, "control characters can't stand here");
    if (trimmed.n != value->text.n)
        return conf_refuse(value, "a field's value has no blanks at its ends");
    return conf_keep_text(value, value->text, field);
}
