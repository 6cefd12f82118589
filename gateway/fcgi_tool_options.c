/* The command line of the FastCGI tool, and where it asks to go. */
#include "conf/conf_types.h"
#include "gateway/fcgi_tool_parts.h"
#include "protocol/token.h"

#include <getopt.h>
#include <stdarg.h>
#include <string.h>

#define PROGRAM "upgate fcgi"
#define TIMEOUT_MS 60000

static const char help[] =
    "upgate fcgi [OPTION]… fcgi://HOST:PORT/path?query | unix:/run/app.sock:/path?query\n"
    "Makes a request to a FastCGI server and prints the answer's body.\n"
    "\n"
    "What is asked:\n"
    "  -X, --request METHOD     GET; POST with a body\n"
    "  -H, --header 'N: value'  a field of the client, HTTP_N to the application; 'N:' takes a default away, 'N;' sends an empty one\n"
    "  -I, --head               method HEAD, and show the head\n"
    "What is sent:\n"
    "  -d, --data DATA          @FILE: a file's bytes, @-: standard input's\n"
    "  -F, --form NAME=VALUE    as multipart/form-data; NAME=@FILE uploads a file\n"
    "      --no-length          send @- as it comes, without CONTENT_LENGTH; otherwise what has no length is read to its end first\n"
    "What the server is told:\n"
    "      --root DIR           DOCUMENT_ROOT, an absolute path; scripts are below it\n"
    "      --script NAME        the script for every path: SCRIPT_FILENAME is DIR/NAME\n"
    "      --split SUFFIX       without --script: the path's first segment that ends so is the script (.php with --root)\n"
    "      --index NAME         the script of a folder (index and the suffix)\n"
    "      --param NAME=VALUE   a parameter, in place of one of that name\n"
    "What is shown:\n"
    "  -i, --include            the head, as HTTP would have it, in front of the body\n"
    "  -v, --verbose            every record, both ways, and the parameters\n"
    "  -o, --output FILE        write there instead of to standard output\n"
    "  -f, --fail               exit with 22 when the status is 400 or more\n"
    "      --get-values         make no request: ask what the server can do (FCGI_GET_VALUES)\n"
    "How long:\n"
    "      --timeout TIME       that nothing moves, connecting included (60s)\n"
    "  -m, --max-time TIME      for all of it (no limit)\n"
    "  -h, --help\n"
    "\n"
    "What the application writes to its error stream goes to standard error. Exit codes:\n";

enum { OPTION_GET_VALUES = 256, OPTION_ROOT, OPTION_SCRIPT, OPTION_SPLIT, OPTION_INDEX, OPTION_PARAM, OPTION_TIMEOUT,
       OPTION_NO_LENGTH };

static const struct option long_options[] = {
    { "request", required_argument, NULL, 'X' },
    { "header", required_argument, NULL, 'H' },
    { "head", no_argument, NULL, 'I' },
    { "data", required_argument, NULL, 'd' },
    { "form", required_argument, NULL, 'F' },
    { "no-length", no_argument, NULL, OPTION_NO_LENGTH },
    { "root", required_argument, NULL, OPTION_ROOT },
    { "script", required_argument, NULL, OPTION_SCRIPT },
    { "split", required_argument, NULL, OPTION_SPLIT },
    { "index", required_argument, NULL, OPTION_INDEX },
    { "param", required_argument, NULL, OPTION_PARAM },
    { "include", no_argument, NULL, 'i' },
    { "verbose", no_argument, NULL, 'v' },
    { "output", required_argument, NULL, 'o' },
    { "fail", no_argument, NULL, 'f' },
    { "get-values", no_argument, NULL, OPTION_GET_VALUES },
    { "timeout", required_argument, NULL, OPTION_TIMEOUT },
    { "max-time", required_argument, NULL, 'm' },
    { "help", no_argument, NULL, 'h' },
    { NULL, 0, NULL, 0 },
};

void fcgi_tool_print_help(void)
{
    fputs(help, stdout);
#define PRINT(name, code, sentence) printf("  %3d  %s\n", code, sentence);
    FCGI_TOOL_EXITS(PRINT)
#undef PRINT
}

enum fcgi_tool_exit fcgi_tool_say(enum fcgi_tool_exit exit, const char *format, ...)
{
    va_list args;

    fputs(PROGRAM ": ", stderr);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    return exit;
}

static enum fcgi_tool_exit bad_usage(const char *what)
{
    return fcgi_tool_say(FCGI_TOOL_USAGE, "%s (--help tells more)", what);
}

/* ---- values ---- */

/* A value as the configuration's reader of its type reads it, so that both speak of times and addresses in one way. */
static enum fcgi_tool_exit read_value(struct arena *a, enum conf_type_id type, struct span text, const char *name, void *field,
                                      size_t size)
{
    const struct conf_key key = { .type = type, .size = size, .min = 1, .max = 30ULL * 24 * 3600 * 1000 };
    struct conf_value value = { .key = &key, .text = text, .arena = a };

    if (conf_type(type)->read(&value, field))
        return FCGI_TOOL_GOOD;
    if (value.no_memory)
        return fcgi_tool_say(FCGI_TOOL_MEMORY, "there is not enough memory");
    return fcgi_tool_say(FCGI_TOOL_USAGE, "%s %s", name, value.why);
}

static enum fcgi_tool_exit read_time(struct arena *a, const char *name, uint64_t *ms_out)
{
    return read_value(a, CONF_TYPE_DURATION, span_of_text(optarg), name, ms_out, sizeof(*ms_out));
}

/* 'Name: value', 'Name:' or 'Name;'. A field to be taken away has no value, not even an empty one. */
static enum fcgi_tool_exit read_field(struct fcgi_tool_options *o)
{
    struct span text = span_of_text(optarg);
    size_t colon = span_find(text, ':');
    struct field field = { span_first(text, colon), token_trim(span_from(text, colon + 1)) };

    if (colon == text.n && text.n > 0 && text.p[text.n - 1] == ';')
        field = (struct field){ span_first(text, text.n - 1), span_of_text("") };
    else if (field.value.n == 0)
        field.value = SPAN_EMPTY;
    if (!token_is_token(field.name) || !token_is_field_value(field.value) || (colon == text.n && field.value.p == NULL))
        return bad_usage("-H needs 'Name: value'");
    if (o->fields_n == FCGI_TOOL_FIELDS_MAX)
        return bad_usage("too many -H");
    o->fields[o->fields_n++] = field;
    return FCGI_TOOL_GOOD;
}

static enum fcgi_tool_exit read_param(struct fcgi_tool_options *o)
{
    struct span text = span_of_text(optarg);
    size_t equals = span_find(text, '=');

    if (equals == 0 || equals == text.n)
        return bad_usage("--param needs NAME=VALUE");
    if (o->params_n == FCGI_TOOL_PARAMS_MAX)
        return bad_usage("too many --param");
    o->params[o->params_n++] = (struct field){ span_first(text, equals), span_from(text, equals + 1) };
    return FCGI_TOOL_GOOD;
}

static enum fcgi_tool_exit read_method(struct fcgi_tool_options *o)
{
    o->method = span_of_text(optarg);
    return token_is_token(o->method) ? FCGI_TOOL_GOOD : bad_usage("-X needs a method: letters, digits and some signs");
}

static enum fcgi_tool_exit read_data(struct fcgi_tool_options *o)
{
    if (o->data != NULL)
        return bad_usage("-d can be given once");
    o->data = optarg;
    return FCGI_TOOL_GOOD;
}

static enum fcgi_tool_exit read_form(struct fcgi_tool_options *o)
{
    if (strchr(optarg, '=') == NULL || optarg[0] == '=')
        return bad_usage("-F needs NAME=VALUE or NAME=@FILE");
    if (o->form_n == FCGI_TOOL_FORM_MAX)
        return bad_usage("too many -F");
    o->form[o->form_n++] = optarg;
    return FCGI_TOOL_GOOD;
}

static enum fcgi_tool_exit read_text(struct span *out)
{
    *out = span_of_text(optarg);
    return out->n > 0 ? FCGI_TOOL_GOOD : bad_usage("an option's value is empty");
}

static enum fcgi_tool_exit set(bool *flag)
{
    *flag = true;
    return FCGI_TOOL_GOOD;
}

static enum fcgi_tool_exit set_head(struct fcgi_tool_options *o)
{
    if (o->method.n == 0)
        o->method = SPAN_LITERAL("HEAD");
    return set(&o->show_head);
}

static enum fcgi_tool_exit take_option(struct arena *a, struct fcgi_tool_options *o, int option)
{
    switch (option) {
    case 'X': return read_method(o);
    case 'H': return read_field(o);
    case 'I': return set_head(o);
    case 'd': return read_data(o);
    case 'F': return read_form(o);
    case OPTION_NO_LENGTH: return set(&o->no_length);
    case OPTION_ROOT: return read_text(&o->script.root);
    case OPTION_SCRIPT: return read_text(&o->script.script);
    case OPTION_SPLIT: return read_text(&o->script.split);
    case OPTION_INDEX: return read_text(&o->script.index);
    case OPTION_PARAM: return read_param(o);
    case 'i': return set(&o->show_head);
    case 'v': return set(&o->verbose);
    case 'o': o->output = optarg; return FCGI_TOOL_GOOD;
    case 'f': return set(&o->fail);
    case OPTION_GET_VALUES: return set(&o->get_values);
    case OPTION_TIMEOUT: return read_time(a, "--timeout", &o->timeout_ms);
    case 'm': return read_time(a, "--max-time", &o->total_ms);
    case 'h': return set(&o->help);
    default: return FCGI_TOOL_USAGE;         /* getopt has said why */
    }
}

/* ---- the address ---- */

static bool take_prefix(struct span *text, struct span prefix)
{
    if (!span_starts_with(*text, prefix))
        return false;
    *text = span_from(*text, prefix.n);
    return true;
}

/* Where the server's address ends and the target begins: behind a socket's path stands a colon, behind a port a slash, or the
 * query at once. */
static size_t address_bytes(struct span text)
{
    size_t i = 0;

    if (!span_starts_with(text, SPAN_LITERAL("unix:"))) {
        while (i < text.n && text.p[i] != '/' && text.p[i] != '?' && text.p[i] != '#')
            i++;
        return i;
    }
    for (i = strlen("unix:"); i < text.n; i++)
        if (text.p[i] == ':' && (i + 1 == text.n || text.p[i + 1] == '/' || text.p[i + 1] == '?'))
            break;
    return i;
}

/* With a slash in front; without a fragment, which is never sent. */
static bool take_target(struct arena *a, struct span text, struct span *out)
{
    uint8_t *p;

    text = span_first(text, span_find(text, '#'));
    *out = text;
    if (text.n > 0 && text.p[0] == '/')
        return true;
    p = arena_alloc(a, text.n + 1);
    if (p == NULL)
        return false;
    p[0] = '/';
    if (text.n > 0)
        memcpy(p + 1, text.p, text.n);
    *out = span_of(p, text.n + 1);
    return true;
}

static enum fcgi_tool_exit read_address(struct arena *a, const char *argument, struct fcgi_tool_options *o)
{
    struct span text = span_of_text(argument);
    bool local;
    size_t n;

    if (!take_prefix(&text, SPAN_LITERAL("fcgi://")))
        take_prefix(&text, SPAN_LITERAL("fcgi:"));
    local = span_starts_with(text, SPAN_LITERAL("unix:"));
    n = address_bytes(text);
    if (!take_target(a, span_from(text, local ? n + 1 : n), &o->target))
        return fcgi_tool_say(FCGI_TOOL_MEMORY, "there is not enough memory");
    return read_value(a, CONF_TYPE_SERVER_ADDRESS, span_first(text, n), "the address", &o->to, sizeof(o->to));
}

/* ---- all of them ---- */

static enum fcgi_tool_exit settle(struct arena *a, struct fcgi_tool_options *o)
{
    struct fcgi_script_rules *s = &o->script;
    char *index;

    if (o->data != NULL && o->form_n > 0)
        return bad_usage("-d and -F exclude each other");
    if (o->no_length && (o->data == NULL || strcmp(o->data, "@-") != 0))
        return bad_usage("--no-length goes with -d @-");
    if (s->root.n == 0 && (s->script.n > 0 || s->split.n > 0))
        return bad_usage("--script and --split need --root");
    if (s->root.n > 0 && s->root.p[0] != '/')
        return bad_usage("--root needs an absolute path");
    if (o->method.n == 0)
        o->method = o->data != NULL || o->form_n > 0 ? SPAN_LITERAL("POST") : SPAN_LITERAL("GET");
    if (s->root.n > 0 && s->script.n == 0 && s->split.n == 0)
        s->split = SPAN_LITERAL(".php");
    if (s->split.n == 0 || s->index.n > 0)
        return FCGI_TOOL_GOOD;
    index = arena_alloc(a, strlen("index") + s->split.n);
    if (index == NULL)
        return fcgi_tool_say(FCGI_TOOL_MEMORY, "there is not enough memory");
    memcpy(index, "index", strlen("index"));
    memcpy(index + strlen("index"), s->split.p, s->split.n);
    s->index = span_of(index, strlen("index") + s->split.n);
    return FCGI_TOOL_GOOD;
}

enum fcgi_tool_exit fcgi_tool_read_options(struct arena *a, int argc, char **argv, struct fcgi_tool_options *out)
{
    enum fcgi_tool_exit exit = FCGI_TOOL_GOOD;
    int option;

    *out = (struct fcgi_tool_options){ .timeout_ms = TIMEOUT_MS };
    while (exit == FCGI_TOOL_GOOD && (option = getopt_long(argc, argv, "X:H:Id:F:ivo:fm:h", long_options, NULL)) != -1)
        exit = take_option(a, out, option);
    if (exit != FCGI_TOOL_GOOD || out->help)
        return exit;
    if (optind + 1 != argc)
        return bad_usage(optind == argc ? "where to? fcgi://HOST:PORT/path or unix:/run/app.sock:/path" : "more than one address");
    exit = read_address(a, argv[optind], out);
    return exit == FCGI_TOOL_GOOD ? settle(a, out) : exit;
}
