/* main: what the operator types. */
#include "conf/conf.h"
#include "gateway/advice.h"
#include "gateway/control.h"
#include "gateway/fcgi_tool.h"
#include "gateway/generation.h"
#include "gateway/log.h"
#include "gateway/privileges.h"
#include "gateway/sticky.h"
#include "gateway/tls_library.h"
#include "gateway/tls_tickets.h"
#include "gateway/version.h"
#include "gateway/weather.h"
#include "protocol/mem.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#ifndef UPGATE_CONF_PATH
#define UPGATE_CONF_PATH "/etc/upgate/upgate.yaml"
#endif
#define ADDRESSES_MAX 64                 /* of --listen, and of --to */

static const char usage[] =
    "upgate -c FILE                        run in the foreground (without -c: " UPGATE_CONF_PATH ")\n"
    "upgate -t -c FILE                     check the configuration: exit 0, or 1 with messages\n"
    "upgate -T -c FILE                     print the effective configuration, every default filled in\n"
    "upgate --listen ADDRESS --to ADDRESS  a gateway from one line; both may be repeated; unix:/path works\n"
    "                                      --to fcgi:ADDRESS: a FastCGI server\n"
    "upgate fcgi [OPTION]… ADDRESS         a request to a FastCGI server: upgate fcgi --help\n"
    "upgate sticky-key                     a key for a `sticky` key file, from the kernel's random numbers\n"
    "upgate --schema | --reference | --man the configuration as JSON Schema, as text, as a manual page\n"
    "upgate -V                             versions\n";

enum action { ACTION_RUN, ACTION_CHECK, ACTION_DUMP };

struct options {
    enum action action;
    const char *file;
    char *listen[ADDRESSES_MAX], *to[ADDRESSES_MAX];
    size_t listen_n, to_n;
};

enum { OPTION_LISTEN = 256, OPTION_TO, OPTION_SCHEMA, OPTION_REFERENCE, OPTION_MAN };

static const struct option long_options[] = {
    { "listen", required_argument, NULL, OPTION_LISTEN },
    { "to", required_argument, NULL, OPTION_TO },
    { "schema", no_argument, NULL, OPTION_SCHEMA },
    { "reference", no_argument, NULL, OPTION_REFERENCE },
    { "man", no_argument, NULL, OPTION_MAN },
    { "version", no_argument, NULL, 'V' },
    { "help", no_argument, NULL, 'h' },
    { NULL, 0, NULL, 0 },
};

static int bad_usage(const char *why)
{
    fprintf(stderr, "upgate: %s\n%s", why, usage);
    return 2;
}

static bool add_address(char **list, size_t *n, char *address)
{
    if (*n >= ADDRESSES_MAX)
        return false;
    list[(*n)++] = address;
    return true;
}

/* -1: go on; otherwise the process's exit code. */
static int take_option(struct options *o, int option)
{
    switch (option) {
    case 'c':
        o->file = optarg;
        return -1;
    case 't':
        o->action = ACTION_CHECK;
        return -1;
    case 'T':
        o->action = ACTION_DUMP;
        return -1;
    case OPTION_LISTEN:
        return add_address(o->listen, &o->listen_n, optarg) ? -1 : bad_usage("too many --listen");
    case OPTION_TO:
        return add_address(o->to, &o->to_n, optarg) ? -1 : bad_usage("too many --to");
    case OPTION_SCHEMA:
        conf_print_schema(stdout);
        return 0;
    case OPTION_REFERENCE:
        conf_print_reference(stdout);
        return 0;
    case OPTION_MAN:
        conf_print_man(stdout);
        return 0;
    case 'V':
        version_print(stdout);
        return 0;
    case 'h':
        fputs(usage, stdout);
        return 0;
    default:
        fputs(usage, stderr);
        return 2;
    }
}

/* NULL: configured from the command line. */
static const char *file_of(const struct options *o)
{
    if (o->listen_n > 0 || o->to_n > 0)
        return NULL;
    return o->file != NULL ? o->file : UPGATE_CONF_PATH;
}

static struct conf *load(const struct options *o)
{
    if (file_of(o) == NULL)
        return conf_from_options(o->listen, o->listen_n, o->to, o->to_n, stderr);
    return conf_load_file(file_of(o), stderr);
}

struct reader {
    const struct conf *conf;
    struct privileges privileges;
};

static void warn_unreadable(void *ctx, const struct conf_file *file)
{
    const struct reader *r = ctx;

    conf_complain(r->conf, file, true, stderr, "%s cannot be read by the user %s: a reload will fail", file->path, r->privileges.user);
}

/* What root can read, the user that it becomes may not. */
static bool check_user(const struct conf *conf)
{
    struct reader r = { .conf = conf };

    if (!privileges_find(conf, &r.privileges))
        return false;
    if (r.privileges.change)
        privileges_each_unreadable(&r.privileges, conf, warn_unreadable, &r);
    return true;
}

/* Takes the conf: what it names is read, as at a start. */
static bool check_files(struct conf *conf)
{
    struct generation *g = generation_new(conf, NULL, 1);
    struct tls_tickets *tickets;
    bool good = g != NULL && tls_library_begin() == 0;

    if (!good) {
        generation_release(&g);
        fputs("upgate: out of memory\n", stderr);
        return false;
    }
    tickets = tls_tickets_new();
    good = tickets != NULL && generation_load(g, tickets, stderr) && check_user(g->conf);
    generation_release(&g);
    tls_tickets_free(tickets);
    tls_library_end();
    return good;
}

/* Takes the conf. */
static int act(const struct options *o, char *const *argv, struct conf *conf, size_t *handles_left)
{
    switch (o->action) {
    case ACTION_CHECK:
        advice_print(conf, stderr);
        if (!check_files(conf))
            return 1;
        printf("%s: good\n", file_of(o) != NULL ? file_of(o) : "command line");
        return 0;
    case ACTION_DUMP:
        conf_dump(conf, stdout);
        conf_free(conf);
        return 0;
    case ACTION_RUN:
        break;
    }
    log_set_level(conf->log.level);
    advice_log(conf);
    return control_run(argv, conf, file_of(o), handles_left);
}

static int set_weather(void)
{
#ifdef UPGATE_WEATHER_ENABLED
    const char *text = getenv("UPGATE_WEATHER");

    if (weather_set(text) != 0)
        return bad_usage("UPGATE_WEATHER is not understood");
    if (text != NULL)
        log_warn("bad weather on purpose: %s", text);
#endif
    return -1;
}

static void check_leaks(size_t handles_left)
{
#ifdef UPGATE_WEATHER_ENABLED            /* debug builds */
    fprintf(stderr, "leak check: %zu blocks, %zu handles\n", mem_live_blocks(), handles_left);
#else
    (void)handles_left;
#endif
}

/* `upgate fcgi …`: as a program of its own. */
static int run_fcgi_tool(int argc, char **argv)
{
    static char name[] = "upgate fcgi";

    argv[1] = name;
    return fcgi_tool_main(argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
    struct options o = { .action = ACTION_RUN };
    struct conf *conf;
    size_t handles_left = 0;
    int option, code;

    if (argc > 1 && strcmp(argv[1], "fcgi") == 0)
        return run_fcgi_tool(argc, argv);
    if (argc == 2 && strcmp(argv[1], "sticky-key") == 0)
        return sticky_key_main(stdout);
    while ((option = getopt_long(argc, argv, "c:tTVh", long_options, NULL)) != -1)
        if ((code = take_option(&o, option)) >= 0)
            return code;
    if (optind < argc)
        return bad_usage("an argument is not an option");
    if (o.file != NULL && (o.listen_n > 0 || o.to_n > 0))
        return bad_usage("-c and --listen/--to exclude each other");
    if ((code = set_weather()) >= 0)
        return code;
    conf = load(&o);
    if (conf == NULL)
        return 1;
    code = act(&o, argv, conf, &handles_left);
    check_leaks(handles_left);
    return code;
}
