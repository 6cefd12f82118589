/* conf_yaml: see the header. Two passes: the first looks at the events and refuses what the second, which builds the document,
 * should never see: aliases could make a small file an endless walk. tests/conf/test_conf_messages.c */
#include "conf/conf_yaml.h"
#include "conf/conf.h"

#include <string.h>

#define DEPTH_MAX 16

struct pass {
    struct conf_report *report;
    const struct conf_source *source;
    yaml_parser_t parser;
    size_t depth;
    size_t documents;
    bool content;
};

const char *conf_yaml_version(void)
{
    return yaml_get_version_string();
}

static bool parser_open(yaml_parser_t *parser, struct span text)
{
    if (!yaml_parser_initialize(parser))
        return false;
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(parser, text.n > 0 ? text.p : (const uint8_t *)"", text.n);
    return true;
}

static size_t mark_offset(const struct pass *pass, yaml_mark_t mark)
{
    struct conf_cursor cursor = { 0, 0 };

    return conf_cursor_seek(&cursor, pass->source, mark.index);
}

static const char *syntax_hint(const yaml_parser_t *parser, struct span rest)
{
    if (rest.n > 0 && rest.p[0] == '\t')
        return "; indent with spaces, not tabs";
    if (parser->context != NULL && strstr(parser->context, "scanning an alias") != NULL)
        return "; a value that begins with `*` needs quotes";
    if (rest.n > 0 && strchr("@`%", rest.p[0]) != NULL)
        return "; a value that begins with this character needs quotes";
    if (span_starts_with(rest, SPAN_LITERAL(":")) && parser->problem != NULL &&
        strstr(parser->problem, "expected node content") != NULL)
        return "; an address that begins with `[` or `:` needs quotes";
    return "";
}

static void report_syntax(struct pass *pass)
{
    const yaml_parser_t *parser = &pass->parser;
    size_t at = mark_offset(pass, parser->problem_mark);
    size_t context_at = mark_offset(pass, parser->context_mark);
    const char *hint = syntax_hint(parser, span_from(pass->source->text, at));
    const char *problem = parser->problem != NULL ? parser->problem : "unknown problem";

    if (parser->context == NULL)
        conf_error(pass->report, pass->source, at, "not valid YAML: %s%s", problem, hint);
    else if (conf_source_line(pass->source, context_at) == conf_source_line(pass->source, at))
        conf_error(pass->report, pass->source, at, "not valid YAML: %s (%s)%s", problem, parser->context, hint);
    else
        conf_error(pass->report, pass->source, at, "not valid YAML: %s (%s that begins in line %zu)%s", problem, parser->context,
                   conf_source_line(pass->source, context_at), hint);
}

static bool refuse_parse(struct pass *pass)
{
    const yaml_parser_t *parser = &pass->parser;

    if (parser->error == YAML_MEMORY_ERROR)
        pass->report->no_memory = true;
    else if (parser->error == YAML_READER_ERROR)
        conf_error(pass->report, pass->source, parser->problem_offset, "not UTF-8 text: %s",
                   parser->problem != NULL ? parser->problem : "cannot be read");
    else
        report_syntax(pass);
    return false;
}

static bool refuse_event(struct pass *pass, const yaml_event_t *event, const char *why)
{
    conf_error(pass->report, pass->source, mark_offset(pass, event->start_mark), "%s", why);
    return false;
}

static bool check_node(struct pass *pass, const yaml_event_t *event, const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor != NULL)
        return refuse_event(pass, event, "anchors and aliases can't be used: write the value out");
    if (tag != NULL)
        return refuse_event(pass, event, "tags can't be used: what a value is follows from its key");
    return true;
}

static bool open_collection(struct pass *pass, const yaml_event_t *event)
{
    if (++pass->depth > DEPTH_MAX)
        return refuse_event(pass, event, "nested too deep");
    if (event->type == YAML_MAPPING_START_EVENT)
        return check_node(pass, event, event->data.mapping_start.anchor, event->data.mapping_start.tag);
    return check_node(pass, event, event->data.sequence_start.anchor, event->data.sequence_start.tag);
}

static bool check_event(struct pass *pass, const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return ++pass->documents == 1 || refuse_event(pass, event, "a second document begins here: a file holds one");
    case YAML_ALIAS_EVENT:
        return refuse_event(pass, event,
                            "anchors and aliases can't be used: write the value out (a value that begins with `*` needs quotes)");
    case YAML_SCALAR_EVENT:
        return check_node(pass, event, event->data.scalar.anchor, event->data.scalar.tag);
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT:
        return open_collection(pass, event);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        pass->depth--;
        return true;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return true;
    }
    return true;
}

static bool check_events(struct pass *pass)
{
    bool good = true, more = true;

    while (good && more) {
        yaml_event_t event;
        if (!yaml_parser_parse(&pass->parser, &event))
            return refuse_parse(pass);
        more = event.type != YAML_STREAM_END_EVENT;
        good = check_event(pass, &event);
        yaml_event_delete(&event);
    }
    return good;
}

static bool first_pass(struct pass *pass)
{
    bool good;

    if (!parser_open(&pass->parser, pass->source->text)) {
        pass->report->no_memory = true;
        return false;
    }
    good = check_events(pass);
    yaml_parser_delete(&pass->parser);
    if (good && pass->documents == 0)
        conf_error(pass->report, pass->source, CONF_NOWHERE, "empty: `listeners`, `upstreams` and `routes` are needed");
    return good && pass->documents > 0;
}

bool conf_yaml_load(struct conf_report *report, const struct conf_source *source, yaml_document_t *document)
{
    struct pass pass = { .report = report, .source = source };
    bool loaded;

    if (!first_pass(&pass))
        return false;
    if (!parser_open(&pass.parser, source->text)) {
        report->no_memory = true;
        return false;
    }
    loaded = yaml_parser_load(&pass.parser, document) && yaml_document_get_root_node(document) != NULL;
    yaml_parser_delete(&pass.parser);
    if (!loaded)
        report->no_memory = true;        /* whatever else could be wrong, the first pass has seen */
    return loaded;
}
