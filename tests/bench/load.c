/* load: clients and origin in one process, so that what has arrived is known where it was sent. Takes one command per line:
 *
 *   measure KIND PID PORT CONNECTIONS BYTES EACH            KIND: echo oneway cycle requests posts; EACH: how many on each connection
 *       ok COUNT SECONDS CPU_SECONDS                        CPU: of PID, all its threads, by its own clock, until all COUNT were done
 *   hold PORT CONNECTIONS                                   that many idle tunnels more, each used once
 *       ok CONNECTIONS
 *   drop                                                    all of them end
 *       ok 0
 *
 * A fixed amount of work, measured from its beginning until all of it has arrived: socket buffers hold far more than passes in a moment, so
 * that what arrives in a given time says little about what the proxy did in it.
 *
 * The first line of output is "origin PORT http PORT fcgi PORT": of origin.c, and of echo.c, both ways. An answer "failed WHY" means that the proxy did not do its part in time. */
#include "tests/bench/echo.h"
#include "tests/bench/load.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define SETTLE_MS 20                     /* the proxy has done with opening */
#define OPEN_DEADLINE_NS ((uint64_t)30 * 1000000000)
#define WORK_DEADLINE_NS ((uint64_t)120 * 1000000000)
#define DRAIN_DEADLINE_NS ((uint64_t)10 * 1000000000)

static const char *const kind_names[LOAD_KINDS] = {
    [LOAD_ECHO] = "echo", [LOAD_ONEWAY] = "oneway", [LOAD_IDLE] = "idle", [LOAD_CYCLE] = "cycle", [LOAD_REQUESTS] = "requests",
    [LOAD_POSTS] = "posts"
};

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
        if (run->kind == LOAD_ONEWAY ? origin_counts.sunk_bytes - sunk_before == count * run_frame_bytes : run_counts.done == count)
            return true;
        net_turn(10);
    }
    return false;
}

static const char *measure(const struct run *run, pid_t pid)
{
    size_t kept = run->kind == LOAD_REQUESTS || run->kind == LOAD_POSTS ? SIZE_MAX : origin_counts.open;
    uint64_t count = run->connections * run->each, sunk_before = origin_counts.sunk_bytes;
    struct reading before, after;
    clockid_t clock;

    if (clock_getcpuclockid(pid, &clock) != 0)
        return "no such process";
    clients_start(run);
    if (run->kind != LOAD_CYCLE && !wait_open(run, run->connections))
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
    struct run run = { .kind = LOAD_KINDS };
    char name[16];
    int pid;

    if (sscanf(line, "measure %15s %d %u %zu %zu %zu", name, &pid, &run.port, &run.connections, &run.message_bytes, &run.each) != 6)
        return "measure KIND PID PORT CONNECTIONS BYTES EACH";
    for (int i = 0; i < LOAD_KINDS; i++)
        if (strcmp(name, kind_names[i]) == 0)
            run.kind = (enum load_kind)i;
    if (run.kind == LOAD_KINDS || run.message_bytes > LOAD_FRAME_MAX_BYTES || run.each == 0)
        return "no such kind, too many bytes, or nothing to do";
    return measure(&run, pid);
}

static const char *do_hold(const char *line)
{
    struct run run = { .kind = LOAD_IDLE, .message_bytes = 125 };

    if (sscanf(line, "hold %u %zu", &run.port, &run.connections) != 2)
        return "hold PORT CONNECTIONS";
    clients_start(&run);
    if (!wait_open(&run, run_counts.done + run.connections))
        return "not all tunnels opened";
    turn_for(5 * SETTLE_MS);
    printf("ok %zu\n", run_counts.open);
    return NULL;
}

static const char *do_drop(void)
{
    clients_stop();
    if (!wait_gone(0))
        return "the proxy holds tunnels whose clients are gone";
    puts("ok 0");
    return NULL;
}

static const char *obey(const char *line)
{
    if (strncmp(line, "measure ", 8) == 0)
        return do_measure(line);
    if (strncmp(line, "hold ", 5) == 0)
        return do_hold(line);
    return strcmp(line, "drop\n") == 0 ? do_drop() : "no such command";
}

static void all_descriptors(void)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

int main(void)
{
    char line[256];

    all_descriptors();
    net_init();
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("origin %u http %u fcgi %u\n", origin_start(), echo_start(ECHO_HTTP), echo_start(ECHO_FCGI));
    while (fgets(line, sizeof(line), stdin) != NULL) {
        const char *why = obey(line);
        if (why != NULL)
            printf("failed %s (%" PRIu64 " failed, %zu open)\n", why, run_counts.failed, run_counts.open);
        if (why != NULL)
            clients_stop();
    }
    return 0;
}
