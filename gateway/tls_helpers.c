#include "gateway/tls_helpers.h"
#include "protocol/mem.h"

#include <assert.h>
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NICE 10                          /* how much less than a worker a helper gets of a busy CPU */

struct tls_helpers {
    pthread_mutex_t lock;
    pthread_cond_t some;
    struct list waiting;
    bool ending;
    unsigned idle;
    unsigned n, n_max;
    pthread_t threads[];
};

/* ---- homes ---- */

int tls_home_init(struct tls_home *h, void (*wake)(void *ctx), void *ctx)
{
    *h = (struct tls_home){ .wake = wake, .ctx = ctx };
    list_init(&h->done);
    return -pthread_mutex_init(&h->lock, NULL);
}

void tls_home_free(struct tls_home *h)
{
    assert(h->away == 0);
    pthread_mutex_destroy(&h->lock);
}

static void come_home(struct tls_job *job)
{
    struct tls_home *h = job->home;

    pthread_mutex_lock(&h->lock);
    list_append(&h->done, &job->link);
    h->wake(h->ctx);                     /* under the lock: whoever takes the job may free the home behind it */
    pthread_mutex_unlock(&h->lock);
}

static struct tls_job *next_home(struct tls_home *h)
{
    struct tls_job *job = NULL;

    pthread_mutex_lock(&h->lock);
    if (!list_empty(&h->done)) {
        job = LIST_OWNER(h->done.next, struct tls_job, link);
        list_remove(&job->link);
    }
    pthread_mutex_unlock(&h->lock);
    return job;
}

/* One round: what is given meanwhile waits for the next wake. */
void tls_home_collect(struct tls_home *h)
{
    bool own_work = false;
    struct tls_job *job;

    for (size_t n = h->away; n > 0 && !own_work && (job = next_home(h)) != NULL; n--) {
        own_work = !job->begun;
        if (own_work)
            job->run(job);
        h->away--;
        job->finished(job);
    }
    if (own_work && h->away > 0)
        h->wake(h->ctx);
}

/* ---- helpers ---- */

static struct tls_job *next_job(struct tls_helpers *p)
{
    struct tls_job *job = NULL;

    pthread_mutex_lock(&p->lock);
    p->idle++;
    while (list_empty(&p->waiting) && !p->ending)
        pthread_cond_wait(&p->some, &p->lock);
    p->idle--;
    if (!list_empty(&p->waiting)) {
        job = LIST_OWNER(p->waiting.next, struct tls_job, link);
        job->begun = true;
        list_remove(&job->link);
    }
    pthread_mutex_unlock(&p->lock);
    return job;
}

static void *help(void *arg)
{
    struct tls_helpers *p = arg;
    struct tls_job *job;

    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);      /* Linux: of this thread */
    while ((job = next_job(p)) != NULL) {
        job->run(job);
        come_home(job);
    }
    return NULL;
}

/* Signals are the control loop's, but for what the sandbox answers in the thread itself. */
static int start_thread(struct tls_helpers *p, pthread_t *out)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    sigdelset(&all, SIGSYS);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    error = pthread_create(out, NULL, help, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

struct tls_helpers *tls_helpers_new(unsigned threads)
{
    struct tls_helpers *p = mem_zalloc(sizeof(*p) + threads * sizeof(p->threads[0]));

    if (p == NULL)
        return NULL;
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->some, NULL);
    list_init(&p->waiting);
    p->n_max = threads;
    return p;
}

void tls_helpers_free(struct tls_helpers *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    assert(list_empty(&p->waiting));
    p->ending = true;
    pthread_cond_broadcast(&p->some);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < p->n; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->some);
    pthread_mutex_destroy(&p->lock);
    mem_free(p);
}

static bool wait_for_helper(struct tls_helpers *p, struct tls_job *job)
{
    bool some;

    pthread_mutex_lock(&p->lock);
    if (p->idle == 0 && p->n < p->n_max && start_thread(p, &p->threads[p->n]) == 0)
        p->n++;
    some = p->n > 0;
    if (some) {
        list_append(&p->waiting, &job->link);
        pthread_cond_signal(&p->some);
    }
    pthread_mutex_unlock(&p->lock);
    return some;
}

void tls_helpers_give(struct tls_helpers *p, struct tls_home *home, struct tls_job *job)
{
    job->home = home;
    job->begun = false;
    list_init(&job->link);
    home->away++;
    if (p == NULL || !wait_for_helper(p, job))
        come_home(job);
}

bool tls_helpers_withdraw(struct tls_helpers *p, struct tls_job *job)
{
    bool waiting;

    if (p != NULL)
        pthread_mutex_lock(&p->lock);
    pthread_mutex_lock(&job->home->lock);                /* where it is when there is no helper */
    waiting = !job->begun;
    if (waiting)
        list_remove(&job->link);
    pthread_mutex_unlock(&job->home->lock);
    if (p != NULL)
        pthread_mutex_unlock(&p->lock);
    if (waiting)
        job->home->away--;
    return waiting;
}
