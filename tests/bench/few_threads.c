/* few_threads: preloaded into a program, lets it have one thread beside its first and no more: how upgate is when it can get no helper. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>

typedef int create(pthread_t *out, const pthread_attr_t *attributes, void *(*run)(void *), void *ctx);

int pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*run)(void *), void *ctx)
{
    static atomic_int had;
    create *real = (create *)dlsym(RTLD_NEXT, "pthread_create");

    return atomic_fetch_add(&had, 1) < 1 ? real(out, attributes, run, ctx) : EAGAIN;
}
