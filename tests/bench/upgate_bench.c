/* upgate-bench: load for WebSocket and HTTP servers, and a server to put behind a proxy; by hand, and as the instrument of `run`.
 *
 * What can go wrong, in order: it is called wrongly (2), a connection or a handshake fails, an answer is not what was sent, not all is
 * done in time (1). README.md has it as a manual. */
#include "tests/bench/echo.h"
#include "tests/bench/tool.h"

#include <arpa/inet.h>
#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define OPEN_SECONDS 30
#define STALL_SECONDS 30                 /* so long nothing may be done at all */

enum { EXIT_USAGE = 2 };

static const char usage[] =
    "upgate-bench WHAT [OPTIONS] ADDRESS:PORT[/PATH]    load for a WebSocket or HTTP server\n"
    "upgate-bench serve                                 servers: GET, GET /bytes/N, WebSocket echo; POST echo; FastCGI\n"
    "upgate-bench control [CERTIFICATE KEY]             commands from standard input (load.c)\n"
    "\n"
    "WHAT  echo      a message, its echo, the next one; each echo is compared\n"
    "      paced     messages at -r per second, whatever became of those before; latency from when each was due\n"
    "      cycle     connect, upgrade, a message and its echo, the closing handshake; again\n"
    "      hold      tunnels that are used once and then idle, for -t seconds\n"
    "      get       GET upon GET on kept connections; the answer has to be that of `serve`\n"
    "      download  GET of -s bytes; the answer has to be that of `serve`\n"
    "      post      POST of -s bytes, which have to come back (the second server of `serve` does that)\n"
    "\n"
    "  -c N      connections (64)                  -n N      messages, cycles or requests on each connection (1000)\n"
    "  -s BYTES  payload of a message (125)        -d N      echo: messages on their way at a time (1)\n"
    "  -b        binary messages and not text      -r RATE   paced: messages in a second, over all connections (1000)\n"
    "  -H HOST   the Host field (ADDRESS:PORT)     -P PID    tells the CPU time of this process, too\n"
    "  -t SEC    hold: how long (10)               -j        one line of JSON\n"
    "\n"
    "ADDRESS is numeric, IPv4. Ends with 0: all was done and was right; 1: something failed, or nothing went on for 30 s; 2: called wrongly.\n";

struct options {
    struct run run;
    unsigned hold_seconds, rate;
    int pid;
    bool json;
};

struct outcome {
    uint64_t count;
    double seconds, cpu;                 /* cpu < 0: not asked for */
    struct latency latency;
};

static const struct {
    const char *word;
    enum load_kind kind;
} words[] = {
    { "echo", LOAD_ECHO }, { "paced", LOAD_PACED }, { "cycle", LOAD_CYCLE }, { "hold", LOAD_IDLE }, { "get", LOAD_REQUESTS },
    { "download", LOAD_DOWNLOADS }, { "post", LOAD_POSTS },
};

/* ---- how it is called ---- */

static int complain(const char *what, const char *of)
{
    fprintf(stderr, "upgate-bench: %s%s%s\n(upgate-bench --help)\n", what, of != NULL ? ": " : "", of != NULL ? of : "");
    return EXIT_USAGE;
}

static bool read_number(const char *text, size_t least, size_t most, size_t *out)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);

    if (text[0] < '0' || text[0] > '9' || *end != '\0' || value < least || value > most)
        return false;
    *out = (size_t)value;
    return true;
}

/* ADDRESS:PORT[/PATH] */
static bool read_target(char *text, struct run *run)
{
    static char host[256];
    char *path = strchr(text, '/'), *colon;
    struct in_addr address;
    size_t port;

    if (path != NULL && strlen(path) < 700)
        run->path = strdup(path);
    if (path != NULL)
        *path = '\0';
    colon = strrchr(text, ':');
    if (colon == NULL || !read_number(colon + 1, 1, 65535, &port) || (path != NULL && run->path == NULL))
        return false;
    snprintf(host, sizeof(host), "%s", text);
    if (run->host == NULL)
        run->host = host;
    *colon = '\0';
    if (inet_pton(AF_INET, text, &address) != 1)
        return false;
    net_set_address(address);
    run->port = (unsigned)port;
    return true;
}

static bool read_option(int letter, const char *value, struct options *o)
{
    size_t n = 0;
    bool good = true;

    switch (letter) {
    case 'c':
        return read_number(value, 1, 1000000, &o->run.connections);
    case 'n':
        return read_number(value, 1, SIZE_MAX / 1000000, &o->run.each);
    case 's':
        return read_number(value, 0, LOAD_FRAME_MAX_BYTES, &o->run.message_bytes);
    case 'd':
        return read_number(value, 1, 1024, &o->run.depth);
    case 'r':
        good = read_number(value, 1, 10000000, &n);
        o->rate = (unsigned)n;
        return good;
    case 't':
        good = read_number(value, 0, 1000000, &n);
        o->hold_seconds = (unsigned)n;
        return good;
    case 'P':
        good = read_number(value, 1, INT32_MAX, &n);
        o->pid = (int)n;
        return good;
    case 'H':
        o->run.host = value;
        return strlen(value) < 200;
    case 'b':
        o->run.binary = true;
        return true;
    case 'j':
        o->json = true;
        return true;
    default:
        return false;
    }
}

/* 0, or how the program ends. */
static int read_options(int argc, char **argv, struct options *o)
{
    int letter;

    *o = (struct options){ .run = { .kind = LOAD_KINDS, .connections = 64, .message_bytes = 125, .each = 1000, .depth = 1 },
                           .hold_seconds = 10, .rate = 1000 };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcmp(words[i].word, argv[1]) == 0)
            o->run.kind = words[i].kind;
    if (o->run.kind == LOAD_KINDS)
        return complain("no such work", argv[1]);
    while ((letter = getopt(argc - 1, argv + 1, "c:n:s:d:r:t:P:H:bj")) != -1)
        if (!read_option(letter, optarg, o))
            return complain("an option has no good value", NULL);
    if (optind != argc - 2 || !read_target(argv[argc - 1], &o->run))
        return complain("wanted, and nothing behind it: ADDRESS:PORT[/PATH]", NULL);
    return 0;
}

/* ---- doing it ---- */

static double cpu_of(int pid)
{
    struct timespec t;
    clockid_t clock;

    if (pid == 0 || clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &t) != 0)
        return -1;
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Until the counter has come so far; false: something failed, or nothing went on. */
static bool turn_until(const uint64_t *counter, uint64_t due, unsigned stall_seconds)
{
    uint64_t seen = *counter, stop_ns = net_now_ns() + (uint64_t)stall_seconds * 1000000000;

    while (*counter < due && run_counts.failed == 0) {
        net_turn(100);
        if (*counter != seen)
            stop_ns = net_now_ns() + (uint64_t)stall_seconds * 1000000000;
        else if (net_now_ns() > stop_ns)
            return false;
        seen = *counter;
    }
    return *counter >= due;
}

static bool wait_open(const struct run *run)
{
    uint64_t stop_ns = net_now_ns() + (uint64_t)OPEN_SECONDS * 1000000000;

    if (run->kind == LOAD_IDLE)
        return turn_until(&run_counts.done, run->connections, OPEN_SECONDS);
    while (run_counts.open < run->connections && run_counts.failed == 0 && net_now_ns() < stop_ns)
        net_turn(10);
    return run_counts.open >= run->connections;
}

static void hold(unsigned seconds)
{
    uint64_t stop_ns = net_now_ns() + (uint64_t)seconds * 1000000000;

    while (net_now_ns() < stop_ns && run_counts.failed == 0)
        net_turn(100);
}

static bool work(const struct options *o, struct outcome *out)
{
    const struct run *run = &o->run;
    uint64_t total = run->connections * run->each, begun_ns;
    double cpu;
    bool good;

    clients_start(run);
    if (run->kind != LOAD_CYCLE && !wait_open(run))
        return false;
    cpu = cpu_of(o->pid);
    begun_ns = net_now_ns();
    if (run->kind == LOAD_PACED) {
        good = latency_pace(o->rate, (double)total / o->rate) == NULL && run_counts.failed == 0;
        out->latency = latency_found();
    } else if (run->kind == LOAD_IDLE) {
        hold(o->hold_seconds);
        good = run_counts.failed == 0;
    } else {
        clients_begin();
        good = turn_until(&run_counts.done, total, STALL_SECONDS);
    }
    out->count = run_counts.done;
    out->seconds = (double)(net_now_ns() - begun_ns) / 1e9;
    out->cpu = cpu < 0 ? -1 : cpu_of(o->pid) - cpu;
    return good;
}

static void tell(const struct options *o, const struct outcome *r, bool good)
{
    double rate = r->seconds > 0 ? (double)r->count / r->seconds : 0, cpu_us = r->count > 0 ? r->cpu * 1e6 / (double)r->count : 0;
    const struct latency *p = &r->latency;

    if (o->json) {
        printf("{\"good\": %s, \"done\": %" PRIu64 ", \"failed\": %" PRIu64 ", \"seconds\": %.6f, \"per_second\": %.1f", good ? "true" : "false",
               r->count, run_counts.failed, r->seconds, rate);
        if (r->cpu >= 0)
            printf(", \"cpu_us\": %.3f", cpu_us);
        if (o->run.kind == LOAD_PACED)
            printf(", \"latency_us\": {\"p50\": %.1f, \"p99\": %.1f, \"p99.9\": %.1f, \"most\": %.1f}", p->p50_us, p->p99_us, p->p999_us, p->most_us);
        puts("}");
        return;
    }
    printf("%s: %" PRIu64 " done, %" PRIu64 " failed, %.3f s, %.0f per second\n", good ? "good" : "NOT all was done", r->count, run_counts.failed,
           r->seconds, rate);
    if (r->cpu >= 0)
        printf("CPU of process %d: %.3f us each\n", o->pid, cpu_us);
    if (o->run.kind == LOAD_PACED && good)
        printf("latency from when it was due: p50 %.1f us, p99 %.1f us, p99.9 %.1f us, most %.1f us\n", p->p50_us, p->p99_us, p->p999_us, p->most_us);
}

static void serve(void)
{
    printf("listening on 127.0.0.1:%u\n", origin_start());
    printf("bodies come back at 127.0.0.1:%u, over FastCGI at 127.0.0.1:%u\n", echo_start(ECHO_HTTP), echo_start(ECHO_FCGI));
    fflush(stdout);
    for (;;)
        net_turn(-1);
}

static void all_descriptors(void)
{
    struct rlimit limit, more;

    getrlimit(RLIMIT_NOFILE, &limit);
    more = (struct rlimit){ .rlim_cur = NET_DESCRIPTORS, .rlim_max = NET_DESCRIPTORS };
    if (limit.rlim_max < NET_DESCRIPTORS && setrlimit(RLIMIT_NOFILE, &more) == 0)
        return;                          /* root may */
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
    struct options options;
    struct outcome outcome = { .cpu = -1 };
    int error;
    bool good;

    if (argc < 2)
        return complain("what is to be done?", NULL);
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        fputs(usage, stdout);
        return 0;
    }
    all_descriptors();
    signal(SIGPIPE, SIG_IGN);            /* OpenSSL writes as if to a file */
    net_init();
    if ((argc == 2 || argc == 4) && strcmp(argv[1], "control") == 0)
        return load_control(argc - 2, argv + 2);
    if (argc == 2 && strcmp(argv[1], "serve") == 0)
        serve();
    error = read_options(argc, argv, &options);
    if (error != 0)
        return error;
    good = work(&options, &outcome);
    tell(&options, &outcome, good);
    return good ? 0 : 1;
}
