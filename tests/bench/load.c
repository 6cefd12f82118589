/* load: clients and origin in one process, so that what has arrived is known where it was sent. `upgate-bench control` takes one command
 * per line:
 *
 *   clients clear|1.2|1.3 [resume]                          how clients connect from now on: in clear text, or with TLS of that version
 *       ok 0
 *   measure KIND PID PORT CONNECTIONS BYTES EACH [DEPTH [binary]]   KIND: echo oneway cycle requests posts downloads visits; EACH: how many
 *       ok COUNT SECONDS CPU_SECONDS                        on each connection; DEPTH: on their way at a time. CPU: of PID, all its threads, by
 *                                                           its own clock, until all COUNT were done
 *   hold PORT CONNECTIONS                                   that many idle tunnels more, each used once
 *       ok CONNECTIONS
 *   stir BYTES [AT_ONCE]                                    one message of that size and its echo, on each of them
 *       ok CONNECTIONS
 *   drop [CONNECTIONS]                                      so many of them end, or all
 *       ok CONNECTIONS                                      that are left
 *   ready PORT CONNECTIONS BYTES                            so many tunnels more, for `pace`; BYTES: the same for all
 *       ok CONNECTIONS
 *   pace RATE SECONDS                                       so many messages a second on those, as an open loop
 *   visit PORT RATE SECONDS                                 so many visits a second, likewise
 *       ok COUNT P50 P99 P999 MOST FAILED                        microseconds, from when it was due until the echo, or the answer, was there
 *
 * A fixed amount of work, measured from its beginning until all of it has arrived: socket buffers hold far more than passes in a moment, so
 * that what arrives in a given time says little about what the proxy did in it.
 *
 * Arguments: CERTIFICATE KEY, for an origin that speaks TLS. The first line of output is "origin PORT http PORT fcgi PORT [secure PORT]": of
 * origin.c, of echo.c, both ways, and of origin.c over TLS. An answer "failed WHY" means that the proxy did not do its part in time. */
#include "tests/bench/echo.h"
#include "tests/bench/tool.h"
#include "tests/bench/secure.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SETTLE_MS 20                     /* the proxy has done with opening */
#define OPEN_DEADLINE_NS ((uint64_t)30 * 1000000000)
#define WORK_DEADLINE_NS ((uint64_t)120 * 1000000000)
#define DRAIN_DEADLINE_NS ((uint64_t)10 * 1000000000)

static const char *const kind_names[LOAD_KINDS] = {
    [LOAD_ECHO] = "echo", [LOAD_ONEWAY] = "oneway", [LOAD_IDLE] = "idle", [LOAD_CYCLE] = "cycle", [LOAD_REQUESTS] = "requests",
    [LOAD_POSTS] = "posts", [LOAD_DOWNLOADS] = "downloads", [LOAD_VISITS] = "visits", [LOAD_PACED] = "paced"
};

static bool secure;                      /* clients of what follows */

struct reading {
    uint64_t at_ns;
    double cpu;
};

static double cpu_seconds(clockid_t clock)
{
    struct timespec t;

    if (clock_gettime(clock, &t) != 0)
        net_fail("the proxy's CPU clock");
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct reading read_now(clockid_t clock)
{
    return (struct reading){ .at_ns = net_now_ns(), .cpu = cpu_seconds(clock) };
}

static void turn_for(uint64_t ms)
{
    uint64_t stop = net_now_ns() + ms * 1000000;

    while (net_now_ns() < stop)
        net_turn(1);
}

static bool wait_open(const struct run *run, uint64_t wanted)
{
    uint64_t stop = net_now_ns() + OPEN_DEADLINE_NS;

    while (net_now_ns() < stop && run_counts.failed == 0) {
        if ((run->kind == LOAD_IDLE ? run_counts.done : run_counts.open) >= wanted)
            return true;
        net_turn(10);
    }
    return false;
}

static bool keeps_connections(enum load_kind kind)
{
    return kind == LOAD_REQUESTS || kind == LOAD_POSTS || kind == LOAD_DOWNLOADS;
}

/* The proxy has let go of all tunnels; what it keeps of requests, for those to come, is its own affair. */
static bool wait_gone(size_t kept)
{
    uint64_t stop = net_now_ns() + DRAIN_DEADLINE_NS;

    while (origin_counts.open > kept && net_now_ns() < stop)
        net_turn(10);
    return origin_counts.open <= kept;
}

static bool wait_done(const struct run *run, uint64_t count, uint64_t sunk_before)
{
    uint64_t stop = net_now_ns() + WORK_DEADLINE_NS;

    while (net_now_ns() < stop && run_counts.failed == 0) {
        if (run->kind == LOAD_ONEWAY ? origin_counts.sunk_bytes - sunk_before == count * messages.frame_bytes : run_counts.done == count)
            return true;
        net_turn(10);
    }
    return false;
}

static const char *measure(const struct run *run, pid_t pid)
{
    size_t kept = keeps_connections(run->kind) ? SIZE_MAX : origin_counts.open;
    uint64_t count = run->connections * run->each, sunk_before = origin_counts.sunk_bytes;
    struct reading before, after;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0)
        return "no such process";
    clients_start(run);
    if (run->kind != LOAD_CYCLE && run->kind != LOAD_VISITS && !wait_open(run, run->connections))
        return "not all connections opened";
    turn_for(SETTLE_MS);
    before = read_now(clock);
    clients_begin();
    if (!wait_done(run, count, sunk_before))
        return "not all of it was done";
    after = read_now(clock);
    clients_stop();
    if (!wait_gone(kept))
        return "the proxy holds connections whose clients are gone";
    printf("ok %" PRIu64 " %.6f %.6f\n", run->kind == LOAD_ECHO ? 2 * count : count,      /* an echo passes the proxy twice */
           (double)(after.at_ns - before.at_ns) / 1e9, after.cpu - before.cpu);
    return NULL;
}

static const char *do_measure(const char *line)
{
    struct run run = { .kind = LOAD_KINDS, .secure = secure };
    char name[16], binary[8] = "";
    int pid;

    if (sscanf(line, "measure %15s %d %u %zu %zu %zu %zu %7s", name, &pid, &run.port, &run.connections, &run.message_bytes, &run.each,
               &run.depth, binary) < 6)
        return "measure KIND PID PORT CONNECTIONS BYTES EACH [DEPTH [binary]]";
    run.binary = strcmp(binary, "binary") == 0;
    for (int i = 0; i < LOAD_KINDS; i++)
        if (strcmp(name, kind_names[i]) == 0)
            run.kind = (enum load_kind)i;
    if (run.kind == LOAD_KINDS || run.message_bytes > LOAD_FRAME_MAX_BYTES || run.each == 0)
        return "no such kind, too many bytes, or nothing to do";
    return measure(&run, pid);
}

static const char *do_hold(const char *line)
{
    struct run run = { .kind = LOAD_IDLE, .message_bytes = 125, .secure = secure };

    if (sscanf(line, "hold %u %zu", &run.port, &run.connections) != 2)
        return "hold PORT CONNECTIONS";
    clients_start(&run);
    if (!wait_open(&run, run_counts.done + run.connections))
        return "not all tunnels opened";
    turn_for(5 * SETTLE_MS);
    printf("ok %zu\n", run_counts.open);
    return NULL;
}

static const char *do_stir(const char *line)
{
    struct run run = { .kind = LOAD_IDLE };
    uint64_t wanted = run_counts.done + run_counts.open;
    size_t bytes, at_once = SIZE_MAX;

    if (sscanf(line, "stir %zu %zu", &bytes, &at_once) < 1 || bytes > LOAD_FRAME_MAX_BYTES)
        return "stir BYTES [AT_ONCE]";
    clients_again(bytes, at_once < run_counts.open ? at_once : run_counts.open);
    if (!wait_open(&run, wanted))
        return "not all echoes came";
    turn_for(5 * SETTLE_MS);
    printf("ok %zu\n", run_counts.open);
    return NULL;
}

static const char *do_clients(const char *line)
{
    char how[8], more[8] = "";

    if (sscanf(line, "clients %7s %7s", how, more) < 1)
        return "clients clear|1.2|1.3 [resume]";
    secure = strcmp(how, "clear") != 0;
    if (secure)
        secure_clients(strcmp(how, "1.2") == 0 ? SECURE_TLS_1_2 : SECURE_TLS_1_3, strcmp(more, "resume") == 0);
    puts("ok 0");
    return NULL;
}

static const char *do_ready(const char *line)
{
    struct run run = { .kind = LOAD_PACED, .secure = secure };
    size_t wanted;

    if (sscanf(line, "ready %u %zu %zu", &run.port, &run.connections, &run.message_bytes) != 3 || run.message_bytes > LOAD_FRAME_MAX_BYTES)
        return "ready PORT CONNECTIONS BYTES";
    wanted = run_counts.open + run.connections;
    clients_start(&run);
    if (!wait_open(&run, wanted))
        return "not all tunnels opened";
    turn_for(5 * SETTLE_MS);
    printf("ok %zu\n", run_counts.open);
    return NULL;
}

static const char *pace(unsigned per_second, double seconds)
{
    const char *why = per_second > 0 ? latency_pace(per_second, seconds) : "a rate of 0";

    if (why == NULL) {
        struct latency l = latency_found();
        printf("ok %zu %.1f %.1f %.1f %.1f %" PRIu64 "\n", l.count, l.p50_us, l.p99_us, l.p999_us, l.most_us, run_counts.failed);
    }
    return why;
}

static const char *do_pace(const char *line)
{
    unsigned per_second;
    double seconds;

    return sscanf(line, "pace %u %lf", &per_second, &seconds) == 2 ? pace(per_second, seconds) : "pace RATE SECONDS";
}

static const char *do_visit(const char *line)
{
    struct run run = { .kind = LOAD_VISITS, .secure = secure };
    unsigned per_second;
    const char *why;
    double seconds;

    if (sscanf(line, "visit %u %u %lf", &run.port, &per_second, &seconds) != 3)
        return "visit PORT RATE SECONDS";
    clients_start(&run);
    why = pace(per_second, seconds);
    clients_stop();
    return why;
}

static const char *do_drop(const char *line)
{
    size_t n = run_counts.open;

    sscanf(line, "drop %zu", &n);
    if (n < run_counts.open)
        clients_forget(n);
    else
        clients_stop();
    if (!wait_gone(run_counts.open))
        return "the proxy holds tunnels whose clients are gone";
    printf("ok %zu\n", run_counts.open);
    return NULL;
}

static const struct {
    const char *name;
    const char *(*obey)(const char *line);       /* prints its answer, or returns why not */
} commands[] = {
    { "clients", do_clients }, { "measure", do_measure }, { "hold", do_hold }, { "stir", do_stir }, { "ready", do_ready }, { "pace", do_pace },
    { "visit", do_visit }, { "drop", do_drop },
};

static const char *obey(const char *line)
{
    size_t n = strcspn(line, " \n");

    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (strlen(commands[i].name) == n && strncmp(line, commands[i].name, n) == 0)
            return commands[i].obey(line);
    return "no such command";
}

int load_control(int n, char **arguments)
{
    char line[256];

    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("origin %u http %u fcgi %u", origin_start(), echo_start(ECHO_HTTP), echo_start(ECHO_FCGI));
    if (n == 2) {
        secure_serve(arguments[0], arguments[1]);
        printf(" secure %u", origin_start_secure());
    }
    puts("");
    while (fgets(line, sizeof(line), stdin) != NULL) {
        const char *why = obey(line);
        if (why != NULL)
            printf("failed %s (%" PRIu64 " failed, %zu open)\n", why, run_counts.failed, run_counts.open);
        if (why != NULL)
            clients_stop();
    }
    return 0;
}
