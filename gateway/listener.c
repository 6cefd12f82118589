/* A listener's life: it accepts; at the connection limit, or without descriptors, it pauses. Taken out of the configuration it is retired: it
 * hears nobody new, accepts for LAST_MS who had come before, and closes. */
#include "gateway/listener.h"
#include "gateway/entry.h"
#include "gateway/log.h"
#include "protocol/mem.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPTS_PER_TURN 64
#define ACCEPTS_AT_LAST 8192             /* what a backlog can hold, and some more */
#define PAUSE_MS 50                      /* at the connection limit, or out of descriptors: tried again after this */
#define LAST_MS 500                      /* for handshakes that were under way */

struct listener {
    struct list link;                    /* where the worker keeps it */
    struct services *services;
    struct stream_uv_loop *loop;
    struct listener_gate *gate;
    struct snapshot *snapshot;           /* held */
    const struct conf_listener *conf;    /* in the snapshot's conf */
    struct watch watch;
    struct timer pause;
    struct timer last;                   /* retired: closed when it strikes */
    struct sockaddr_storage local;       /* what everybody who comes has come to; AF_UNSPEC: each is asked */
    int fd;
    unsigned burst;                      /* accepts in one turn, at most … */
    uint64_t turn;                       /* … of the poller, the last in which somebody waited */
    bool paused;
};

static void pause_accepting(struct listener *l)
{
    l->paused = true;
    poller_rest_listening(&l->loop->poller, l->fd, true);
    timer_start(l->services->timers, &l->pause, PAUSE_MS);
}

void listener_resume(struct listener *l)
{
    if (!l->paused)
        return;
    l->paused = false;
    timer_clear(l->services->timers, &l->pause);
    poller_rest_listening(&l->loop->poller, l->fd, false);
}

static void on_pause_over(struct timer *t, uint64_t now_ms)
{
    (void)now_ms;
    listener_resume(LIST_OWNER(t, struct listener, pause));
}

static void local_address(int fd, struct sockaddr_storage *out)
{
    socklen_t n = sizeof(*out);

    *out = (struct sockaddr_storage){ 0 };
    getsockname(fd, (struct sockaddr *)out, &n);
}

/* Whether it stands for all addresses of this machine, or (a socket that was passed in) for those of others, too. */
static bool has_many_addresses(int fd, const struct sockaddr_storage *bound)
{
    const struct sockaddr_in *v4 = (const void *)bound;
    const struct sockaddr_in6 *v6 = (const void *)bound;
    int transparent = 0;
    socklen_t n = sizeof(transparent);

    if (bound->ss_family == AF_UNIX)
        return false;
    if (getsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &transparent, &n) != 0 || transparent != 0)
        return true;
    return bound->ss_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&v6->sin6_addr) : v4->sin_addr.s_addr == htonl(INADDR_ANY);
}

static void note_local_address(struct listener *l)
{
    local_address(l->fd, &l->local);
    if (has_many_addresses(l->fd, &l->local))
        l->local.ss_family = AF_UNSPEC;
}

static void enter(struct listener *l, struct stream *s, int fd, const struct sockaddr_storage *peer)
{
    struct sockaddr_storage asked;
    const struct sockaddr_storage *local = &l->local;
    struct inbound inbound;

    if (local->ss_family == AF_UNSPEC) {
        local_address(fd, &asked);
        local = &asked;
    }
    inbound_init(&inbound, l->snapshot, l->conf, (const struct sockaddr *)peer, (const struct sockaddr *)local);
    entry_new(l->services, s, &inbound);
}

/* One connection in; false: none is there, or none may come now. */
static bool accept_one(struct listener *l)
{
    struct sockaddr_storage peer;
    socklen_t n = sizeof(peer);
    struct stream *s;
    int fd, error;

    if (atomic_fetch_add_explicit(&l->gate->open, 1, memory_order_relaxed) >= l->gate->limit) {
        atomic_fetch_sub_explicit(&l->gate->open, 1, memory_order_relaxed);
        pause_accepting(l);
        return false;
    }
    fd = accept4(l->fd, (struct sockaddr *)&peer, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        error = errno;
        atomic_fetch_sub_explicit(&l->gate->open, 1, memory_order_relaxed);
        if (error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM) {
            log_error("cannot accept on %s: %s", l->conf->address.text, uv_strerror(-error));
            pause_accepting(l);
        }
        return error == ECONNABORTED || error == EINTR;
    }
    if (l->conf->address.kind == CONF_ADDRESS_UNIX)
        peer.ss_family = AF_UNIX;
    s = stream_uv_new(l->loop, fd, &error);
    if (s == NULL)
        atomic_fetch_sub_explicit(&l->gate->open, 1, memory_order_relaxed);
    else
        enter(l, s, fd, &peer);
    return true;
}

/* Who comes alone is accepted alone: looking for another one costs a system call. When somebody waits turn after turn, each turn takes twice
 * as many as the one before. */
static void on_acceptable(struct watch *w, unsigned news)
{
    struct listener *l = LIST_OWNER(w, struct listener, watch);
    uint64_t turn = l->loop->poller.turns;

    (void)news;
    l->burst = turn != l->turn + 1 ? 1 : l->burst * 2 < ACCEPTS_PER_TURN ? l->burst * 2 : ACCEPTS_PER_TURN;
    l->turn = turn;
    for (unsigned i = 0; i < l->burst; i++)
        if (!accept_one(l))
            return;
}

/* ---- beginning, going over, ending ---- */

static void end(struct listener *l)
{
    timer_clear(l->services->timers, &l->pause);
    timer_clear(l->services->timers, &l->last);
    list_remove(&l->link);
    snapshot_release(&l->snapshot);
    poller_forget_listening(&l->loop->poller, l->fd);
    close(l->fd);
    l->loop->open--;
    mem_free(l);
}

static void on_last(struct timer *t, uint64_t now_ms)
{
    (void)now_ms;
    end(LIST_OWNER(t, struct listener, last));
}

struct listener *listener_new(struct services *services, struct stream_uv_loop *loop, struct listener_gate *gate,
                              const struct conf_listener *conf, int fd)
{
    struct listener *l = mem_zalloc(sizeof(*l));

    if (l != NULL)
        l->watch.news = on_acceptable;
    if (l == NULL || poller_add_listening(&loop->poller, &l->watch, fd) != 0) {
        mem_free(l);
        close(fd);
        return NULL;
    }
    list_init(&l->link);
    l->services = services;
    l->loop = loop;
    l->gate = gate;
    l->snapshot = snapshot_hold(services->snapshot);
    l->conf = conf;
    l->fd = fd;
    note_local_address(l);
    l->burst = 1;
    timer_init(&l->pause, on_pause_over);
    timer_init(&l->last, on_last);
    loop->open++;
    return l;
}

struct list *listener_link(struct listener *l)
{
    return &l->link;
}

struct listener *listener_of(struct list *link)
{
    return LIST_OWNER(link, struct listener, link);
}

/* Whoever wants to connect from now on is not heard, as if the packet was lost; handshakes that are under way are completed and accepted.
 * A filter of the socket's own: byte 13 of the TCP header has the flags, and a packet with SYN but not ACK is dropped. */
static void refuse_new_handshakes(int fd)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, 0xffffffff),
    };
    struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));     /* where that fails, only what is queued is saved */
}

static void retire(struct listener *l)
{
    if (timer_is_set(&l->last))
        return;
    if (l->conf->address.kind == CONF_ADDRESS_IP)
        refuse_new_handshakes(l->fd);
    timer_start(l->services->timers, &l->last, LAST_MS);
}

void listener_renew(struct listener *l)
{
    struct snapshot *before = l->snapshot, *now = l->services->snapshot;
    const struct conf_listener *conf = generation_same_listener(now->conf, before->conf, l->conf);

    if (conf == NULL || timer_is_set(&l->last)) {
        retire(l);
        return;
    }
    l->snapshot = snapshot_hold(now);
    l->conf = conf;
    snapshot_release(&before);
}

void listener_close(struct listener *l, bool empty)
{
    for (int i = 0; empty && i < ACCEPTS_AT_LAST && accept_one(l); i++)
        continue;
    end(l);
}
