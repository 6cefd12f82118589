/* conf: load, hold, release.
 *
 * A conf lives in one box with the arena that owns everything it points to. Loading gathers its messages and prints them at the
 * end, warnings too; a conf comes out only when there was no error. tests/conf/test_conf.c */
#include "conf/conf.h"
#include "conf/conf_check.h"
#include "conf/conf_yaml.h"
#include "protocol/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#define FILE_BYTES_MAX ((size_t)1024 * 1024)
#define CONF_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define FASTCGI_PREFIX SPAN_LITERAL("fcgi:")
#define COMPLAINT_BYTES 1024

struct box {
    struct arena arena;
    struct conf conf;
};

static struct box *box_of(struct conf *c)
{
    return (struct box *)(void *)((char *)c - offsetof(struct box, conf));
}

static struct conf *box_new(void)
{
    struct box *box = mem_zalloc(sizeof(*box));

    if (box == NULL)
        return NULL;
    arena_init(&box->arena, CONF_BYTES_MAX);
    return &box->conf;
}

void conf_free(struct conf *c)
{
    if (c == NULL)
        return;
    arena_free(&box_of(c)->arena);
    mem_free(box_of(c));
}

static void reader_open(struct conf_reader *reader, struct conf_report *report, const struct conf_source *source)
{
    *reader = (struct conf_reader){ .report = report, .source = source, .conf = box_new() };
    conf_report_init(report);
    arena_init(&reader->scratch, CONF_BYTES_MAX);
    if (reader->conf == NULL)
        report->no_memory = true;
    else
        reader->arena = &box_of(reader->conf)->arena;
}

/* The conf, if all went well, and the messages out. */
static struct conf *reader_close(struct conf_reader *reader, FILE *messages)
{
    struct conf_report *report = reader->report;
    struct conf *c = reader->conf;

    conf_report_print(report, messages);
    if (report->no_memory)
        fprintf(messages, "%s: out of memory\n", reader->source->name);
    if (report->no_memory || report->errors > 0) {
        conf_free(c);
        c = NULL;
    }
    arena_free(&reader->scratch);
    conf_report_free(report);
    return c;
}

static void load_document(struct conf_reader *reader)
{
    yaml_document_t document;

    if (reader->report->no_memory || !conf_yaml_load(reader->report, reader->source, &document))
        return;
    reader->document = &document;
    conf_read_document(reader);
    if (!reader->report->no_memory)
        conf_check(reader);
    reader->document = NULL;
    yaml_document_delete(&document);     /* after the checks: references point into it */
}

/* What messages about the files that are named in it need. */
static void keep_source(struct conf_reader *reader)
{
    struct span name = span_of_text(reader->source->name);
    char *name_copy = arena_alloc(reader->arena, name.n + 1);
    struct span text_copy = arena_copy(reader->arena, reader->source->text);

    if (name_copy == NULL || (text_copy.p == NULL && reader->source->text.n > 0)) {
        reader->report->no_memory = true;
        return;
    }
    memcpy(name_copy, name.p, name.n);
    name_copy[name.n] = '\0';
    reader->conf->source_name = name_copy;
    reader->conf->source_text = text_copy;
}

void conf_complain(const struct conf *c, const struct conf_file *about, bool warning, FILE *messages, const char *format, ...)
{
    struct conf_source source = { .name = c->source_name != NULL ? c->source_name : "upgate", .text = c->source_text };
    size_t offset = about->offset < source.text.n ? about->offset : CONF_NOWHERE;
    struct conf_report report;
    char text[COMPLAINT_BYTES];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    conf_report_init(&report);
    (warning ? conf_warn : conf_error)(&report, &source, offset, "%s", text);
    conf_report_print(&report, messages);
    conf_report_free(&report);
}

struct conf *conf_load_text(const char *name, struct span text, FILE *messages)
{
    struct conf_source source = { .name = name, .text = text };
    struct conf_reader reader;
    struct conf_report report;

    if (span_starts_with(text, SPAN_LITERAL("\xEF\xBB\xBF")))
        source.text = span_from(text, 3);        /* a byte order mark is no part of the first line */
    reader_open(&reader, &report, &source);
    if (text.n > FILE_BYTES_MAX)
        conf_error(&report, &source, CONF_NOWHERE, "larger than %zuMiB", FILE_BYTES_MAX >> 20);
    else
        load_document(&reader);
    if (!report.no_memory && report.errors == 0)
        keep_source(&reader);
    return reader_close(&reader, messages);
}

static struct conf *load_stream(const char *path, FILE *file, FILE *messages)
{
    uint8_t *bytes = mem_alloc(FILE_BYTES_MAX + 1);
    struct conf *c = NULL;
    size_t n;

    if (bytes == NULL) {
        fprintf(messages, "%s: out of memory\n", path);
        return NULL;
    }
    n = fread(bytes, 1, FILE_BYTES_MAX + 1, file);
    if (ferror(file))
        fprintf(messages, "%s: cannot be read: %s\n", path, strerror(errno));
    else
        c = conf_load_text(path, span_of(bytes, n), messages);
    mem_free(bytes);
    return c;
}

struct conf *conf_load_file(const char *path, FILE *messages)
{
    FILE *file = fopen(path, "re");
    struct conf *c;

    if (file == NULL) {
        fprintf(messages, "%s: cannot be opened: %s\n", path, strerror(errno));
        return NULL;
    }
    c = load_stream(path, file, messages);
    fclose(file);
    return c;
}

/* Each argument is a source of its own, so that messages show it. */
static void read_addresses(struct conf_reader *reader, const struct conf_key *list, struct conf_source *sources, size_t n, size_t skip,
                           void *block)
{
    const struct conf_key *address = conf_key_find(list->child, SPAN_LITERAL("address"));
    size_t item_bytes = conf_block(list->child)->size;
    char *items;

    if (n > list->items_max)
        conf_error(reader->report, reader->source, CONF_NOWHERE, "more than %zu times %s", list->items_max, sources[0].name);
    items = n > list->items_max ? NULL : conf_read_room(reader, list, n, block);
    for (size_t i = 0; items != NULL && i < n; i++) {
        reader->source = &sources[i];
        conf_read_defaults(reader, list->child, items + i * item_bytes);
        conf_read_value(reader, address, span_from(sources[i].text, skip), skip, items + i * item_bytes);
    }
}

/* One upstream, and one route that takes everything to it. */
static struct conf_upstream *add_app(struct conf_reader *reader)
{
    const struct conf_key *upstreams = conf_key_find(CONF_IN_FILE, SPAN_LITERAL("upstreams"));
    const struct conf_key *routes = conf_key_find(CONF_IN_FILE, SPAN_LITERAL("routes"));
    struct conf_upstream *app = conf_read_room(reader, upstreams, 1, reader->conf);
    struct conf_route *route = conf_read_room(reader, routes, 1, reader->conf);
    struct span name = arena_copy(reader->arena, span_of("app", sizeof("app")));

    if (app == NULL || route == NULL || name.p == NULL) {
        reader->report->no_memory = true;
        return NULL;
    }
    conf_read_defaults(reader, CONF_IN_UPSTREAM, app);
    conf_read_defaults(reader, CONF_IN_ROUTE, route);
    route->upstream_on = true;
    app->name = (char *)(uintptr_t)name.p;
    return app;
}

/* How many bytes of each address only say which protocol its server speaks. */
static size_t read_protocol(struct conf_reader *reader, struct conf_source *sources, size_t n, struct conf_upstream *app)
{
    bool fastcgi = span_starts_with(sources[0].text, FASTCGI_PREFIX);

    for (size_t i = 1; i < n; i++)
        if (span_starts_with(sources[i].text, FASTCGI_PREFIX) != fastcgi)
            conf_error(reader->report, &sources[i], 0, "one upstream can't have servers that speak FastCGI and others that speak HTTP");
    if (!fastcgi)
        return 0;
    app->protocol = CONF_PROTOCOL_FASTCGI;
    return FASTCGI_PREFIX.n;
}

static void read_options(struct conf_reader *reader, struct conf_source *sources, size_t listen_n, size_t to_n)
{
    const struct conf_source *whole = reader->source;
    struct conf_upstream *app;

    conf_read_defaults(reader, CONF_IN_FILE, reader->conf);
    app = add_app(reader);
    if (app == NULL)
        return;
    read_addresses(reader, conf_key_find(CONF_IN_FILE, SPAN_LITERAL("listeners")), sources, listen_n, 0,
                   reader->conf);
    read_addresses(reader, conf_key_find(CONF_IN_UPSTREAM, SPAN_LITERAL("servers")), sources + listen_n, to_n,
                   read_protocol(reader, sources + listen_n, to_n, app), app);
    reader->source = whole;
    if (!reader->report->no_memory)
        conf_check(reader);
}

static void name_sources(struct conf_source *sources, const char *name, char *const *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sources[i] = (struct conf_source){ .name = name, .text = span_of_text(values[i]), .is_option = true };
}

struct conf *conf_from_options(char *const *listen, size_t listen_n, char *const *to, size_t to_n, FILE *messages)
{
    struct conf_source whole = { .name = "upgate", .is_option = true };
    struct conf_source *sources = mem_alloc((listen_n + to_n) * sizeof(*sources));
    struct conf_reader reader;
    struct conf_report report;
    struct conf *c;

    reader_open(&reader, &report, &whole);
    if (listen_n == 0 || to_n == 0)
        conf_error(&report, &whole, CONF_NOWHERE, "%s ADDRESS is missing", listen_n == 0 ? "--listen" : "--to");
    else if (sources == NULL || report.no_memory)
        report.no_memory = true;
    else {
        name_sources(sources, "--listen", listen, listen_n);
        name_sources(sources + listen_n, "--to", to, to_n);
        read_options(&reader, sources, listen_n, to_n);
    }
    c = reader_close(&reader, messages);
    mem_free(sources);
    return c;
}
