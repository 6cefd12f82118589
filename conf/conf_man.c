/* conf_man: the manual page upgate.yaml(5), from the schema; what is said of each key is what `--reference` says.
 * tests/system/test_manuals.py lets groff read it. */
#include "conf/conf_types.h"

#include <string.h>

/* groff's own signs: a backslash anywhere, a dot or an apostrophe where a line begins. Backquotes make bold. */
static void print_roff(const char *text, FILE *out)
{
    bool bold = false;

    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text != '\0'; text++) {
        if (*text == '`') {
            bold = !bold;
            fputs(bold ? "\\fB" : "\\fR", out);
        } else if (*text == '\\') {
            fputs("\\e", out);
        } else if (*text == '-') {
            fputs("\\-", out);
        } else if (strncmp(text, "…", strlen("…")) == 0) {
            fputs("...", out);
            text += strlen("…") - 1;
        } else {
            putc(*text, out);
        }
    }
}

static void print_values(const struct conf_key *key, FILE *out)
{
    const struct conf_type *type = conf_type(key->type);

    if (key->shape == CONF_LIST)
        fputs("list of ", out);
    if (key->shape == CONF_MAP)
        fputs("NAME: ", out);
    if (key->type == CONF_TYPE_BLOCK) {
        fputs("keys of ", out);
        print_roff(conf_block(key->child)->place, out);
    } else if (key->type == CONF_TYPE_WORD) {
        for (const struct conf_word *word = key->words; word->word != NULL; word++)
            fprintf(out, "%s%s", word == key->words ? "" : " | ", word->word);
    } else {
        print_roff(type->form, out);
    }
    if (key->zero_word != NULL)
        fprintf(out, ", or %s", key->zero_word);
}

static void print_default(const struct conf_key *key, FILE *out)
{
    if (key->max > 0 && key->items_max == 0) {
        fputs("; ", out);
        conf_write_bound(key, key->min, out);
        fputs(" to ", out);
        conf_write_bound(key, key->max, out);
    }
    fputs(key->required ? "; required" : key->fallback != NULL ? "; default: " : key->absent != NULL ? "; without it: " : "", out);
    if (!key->required && (key->fallback != NULL || key->absent != NULL))
        print_roff(key->fallback != NULL ? key->fallback : key->absent, out);
}

static void print_key(const struct conf_key *key, FILE *out)
{
    fputs(".TP\n.B ", out);
    fputs(key->name, out);
    fputs("\n(", out);
    print_values(key, out);
    print_default(key, out);
    fputs(")\n.br\n", out);
    print_roff(key->sentence, out);
    putc('\n', out);
}

static void print_block(enum conf_block_id id, FILE *out)
{
    size_t n;
    const struct conf_key *keys = conf_block_keys(id, &n);

    fputs(".SS \"", out);
    print_roff(id == CONF_IN_FILE ? "The top level" : conf_block(id)->place, out);
    fputs("\"\n", out);
    print_roff(conf_block(id)->sentence, out);
    putc('\n', out);
    for (size_t i = 0; i < n; i++)
        print_key(&keys[i], out);
}

void conf_print_man(FILE *out)
{
    fputs(".TH UPGATE.YAML 5 \"\" Upgate \"File formats\"\n"
          ".SH NAME\n"
          "upgate.yaml \\- the configuration of the gateway upgate\n"
          ".SH DESCRIPTION\n"
          "One YAML document, without anchors, aliases and tags. What is left out has its default. Durations are written as 250ms, 10s, 5m, 1h,\n"
          "7d, sizes as 512B, 64KiB, 1MiB; a switch is on or off.\n"
          ".PP\n"
          ".B upgate \\-t \\-c\n"
          ".I FILE\n"
          "checks a file and shows every mistake with its line;\n"
          ".B upgate \\-T \\-c\n"
          ".I FILE\n"
          "prints it with every default filled in.\n"
          ".SH EXAMPLE\n"
          ".EX\n"
          "listeners: [8080]\n"
          "upstreams:\n"
          "  app: { servers: [127.0.0.1:9000] }\n"
          "routes:\n"
          "  \\- upstream: app\n"
          ".EE\n"
          ".SH KEYS\n",
          out);
    for (enum conf_block_id id = 0; id < CONF_BLOCKS; id++)
        print_block(id, out);
    fputs(".SH FILES\n/etc/upgate/upgate.yaml\n.SH SEE ALSO\n.BR upgate (8),\n.BR upgate\\-fcgi (1)\n", out);
}
