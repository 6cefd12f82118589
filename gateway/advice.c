#include "gateway/advice.h"
#include "gateway/log.h"

#include <inttypes.h>
#include <sys/resource.h>
#include <unistd.h>

/* How many numbers, of at most two, stand in a file of /proc. */
static int read_numbers(const char *path, uint64_t *first, uint64_t *second)
{
    FILE *file = fopen(path, "re");
    int n = file != NULL ? fscanf(file, "%" SCNu64 " %" SCNu64, first, second) : 0;

    if (file != NULL)
        fclose(file);
    return n;
}

static struct conf_machine this_machine(void)
{
    struct conf_machine m = { .root = geteuid() == 0 };
    struct rlimit limit;
    uint64_t low, high;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max != RLIM_INFINITY)
        m.descriptors = limit.rlim_max;  /* the gateway raises its own limit as far as it may */
    if (read_numbers("/proc/sys/net/core/somaxconn", &low, &high) >= 1)
        m.somaxconn = low;
    if (read_numbers("/proc/sys/net/ipv4/ip_local_port_range", &low, &high) == 2 && high >= low)
        m.ports = high - low + 1;
    return m;
}

static void print(void *ctx, const char *sentence)
{
    fprintf(ctx, "advice: %s\n", sentence);
}

static void log_it(void *ctx, const char *sentence)
{
    (void)ctx;
    log_warn("advice: %s", sentence);
}

void advice_print(const struct conf *c, FILE *out)
{
    struct conf_machine machine = this_machine();

    conf_advise(c, &machine, print, out);
}

void advice_log(const struct conf *c)
{
    struct conf_machine machine = this_machine();

    conf_advise(c, &machine, log_it, NULL);
}
