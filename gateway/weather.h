/* weather: bad days on demand. Debug builds (UPGATE_WEATHER_ENABLED) read UPGATE_WEATHER from the environment, for example
 * "read<=1,send<=7,block=30%,seed=42", and then shorten reads and writes and refuse some of them, repeatably by the seed. Other
 * builds have no trace of it. */
#ifndef UPGATE_GATEWAY_WEATHER_H
#define UPGATE_GATEWAY_WEATHER_H

#include <stddef.h>

#ifdef UPGATE_WEATHER_ENABLED
int weather_set(const char *text);               /* 0, or -1 when the text is not understood; NULL: sun. Not thread-safe: before the workers */
size_t weather_read(size_t room);                /* how much of room may be read now; 0 = as if nothing had come */
size_t weather_send(size_t n);                   /* how much of n may be sent now; 0 = as if the peer did not read */
#else
static inline size_t weather_read(size_t room)
{
    return room;
}
static inline size_t weather_send(size_t n)
{
    return n;
}
#endif

#endif
