/* chance: repeatable randomness for tests. The seed is printed; UPGATE_SEED=N in the environment repeats a run. */
#ifndef UPGATE_TESTS_PROTOCOL_CHANCE_H
#define UPGATE_TESTS_PROTOCOL_CHANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

struct chance {
    uint64_t state;
};

/* splitmix64: an odd step and a mix of its bits. */
static inline uint64_t chance_next(struct chance *c)
{
    uint64_t x = c->state += UINT64_C(0x9e3779b97f4a7c15);

    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

/* 0 … n - 1 */
static inline size_t chance_below(struct chance *c, size_t n)
{
    return (size_t)(chance_next(c) % n);
}

static inline bool chance_one_in(struct chance *c, size_t n)
{
    return chance_below(c, n) == 0;
}

/* A number from the environment, or the one given. */
static inline unsigned long long chance_setting(const char *name, unsigned long long otherwise)
{
    const char *text = getenv(name);

    return text != NULL && *text != '\0' ? strtoull(text, NULL, 0) : otherwise;
}

/* How often a random test goes round: UPGATE_DIFFERENTIAL, or the number given; less of it where each round takes ten times as
 * long (the thread sanitizer, which has nothing to find in code without threads). */
static inline unsigned long long chance_rounds(unsigned long long otherwise)
{
#if defined(__SANITIZE_THREAD__)
    otherwise /= 10;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
    otherwise /= 10;
#endif
#endif
    return chance_setting("UPGATE_DIFFERENTIAL", otherwise);
}

static inline struct chance chance_seeded(const char *what)
{
    struct chance c = { chance_setting("UPGATE_SEED", (unsigned long long)time(NULL)) };

    printf("%s: seed %llu\n", what, (unsigned long long)c.state);
    return c;
}

#endif
