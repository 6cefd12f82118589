#include "gateway/weather.h"

#ifdef UPGATE_WEATHER_ENABLED

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static size_t read_most, send_most;              /* 0: no limit */
static unsigned block_percent;
static _Atomic uint64_t dice;

static unsigned roll(unsigned sides)
{
    uint64_t x = atomic_fetch_add_explicit(&dice, 0x9e3779b97f4a7c15u, memory_order_relaxed);

    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return (unsigned)((x ^ (x >> 31)) % sides);
}

static int set_one(const char *part)
{
    unsigned long long value;
    int n = 0;

    if (sscanf(part, "read<=%llu%n", &value, &n) == 1)
        read_most = (size_t)value;
    else if (sscanf(part, "send<=%llu%n", &value, &n) == 1)
        send_most = (size_t)value;
    else if (sscanf(part, "block=%llu%%%n", &value, &n) == 1 && n > 0 && value < 100)
        block_percent = (unsigned)value;
    else if (sscanf(part, "seed=%llu%n", &value, &n) == 1)
        atomic_store(&dice, value);
    else
        return -1;
    return part[n] == ',' || part[n] == '\0' ? 0 : -1;
}

int weather_set(const char *text)
{
    read_most = send_most = 0;
    block_percent = 0;
    while (text != NULL && *text != '\0') {
        if (set_one(text) != 0)
            return -1;
        text = strchr(text, ',');
        if (text != NULL)
            text++;
    }
    return 0;
}

static size_t some(size_t n, size_t most)
{
    if (block_percent > 0 && roll(100) < block_percent)
        return 0;
    return most > 0 && n > most ? 1 + roll((unsigned)most) : n;
}

size_t weather_read(size_t room)
{
    return some(room, read_most);
}

size_t weather_send(size_t n)
{
    return some(n, send_most);
}

#else

typedef int weather_is_off;              /* ISO C wants a declaration */

#endif
