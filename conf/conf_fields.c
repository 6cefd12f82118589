/* conf_fields: names and values of HTTP fields that the operator writes. Whatever is accepted here stands in heads without a further look:
 * no name frames a message or belongs to one connection, and no value ends its line. tests/conf/test_conf_headers.c */
#include "conf/conf_report.h"
#include "conf/conf_types.h"
#include "protocol/rules_fields.h"
#include "protocol/token.h"

#define NAME_BYTES_MAX 64
#define VALUE_BYTES_MAX 4096

bool conf_read_field_name(struct conf_value *value, void *field)
{
    char shown[CONF_SHOWN_BYTES];

    if (value->text.n > NAME_BYTES_MAX)
        return conf_refuse(value, "longer than %d bytes", NAME_BYTES_MAX);
    if (!token_is_token(value->text))
        return conf_refuse(value, "`%s` is not a field's name: letters, digits and !#$%%&'*+-.^_`|~ only",
                           conf_show(value->text, shown));
    if (rules_is_machinery(value->text))
        return conf_refuse(value, "%s can't be changed: HTTP itself needs it", conf_show(value->text, shown));
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
