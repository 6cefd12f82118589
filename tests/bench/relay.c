/* relay: the least that a proxy on epoll can be: connection for connection, bytes for bytes, no HTTP, no limits, no deadlines.
 *
 * It is the measure for everything that does more. One read per event into one scratch buffer, one send; a buffer of its own exists
 * only while the other side does not read, and then nothing more is read.   relay ORIGIN_PORT; prints its own port, ends by a signal. */
#include "tests/bench/net.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

struct half {                            /* one of two connected ends */
    struct peer peer;
    struct half *other;
    uint8_t *left;                       /* read from here, and not yet taken by the other */
    size_t left_at, left_n;
};

static unsigned origin_port;
static struct peer listener;

static void end(struct half *h)
{
    struct half *other = h->other;

    free(h->left);
    h->left = NULL;
    net_close(&h->peer);
    h->other = NULL;
    if (other == NULL)
        return;
    other->other = NULL;
    end(other);
}

static void watch(struct half *h)
{
    uint32_t want = (h->left == NULL ? EPOLLIN : 0u) | (h->other->left != NULL ? EPOLLOUT : 0u);

    net_watch(&h->peer, want);
}

static void keep(struct half *h, size_t from, size_t n)
{
    h->left = net_alloc(n - from);
    h->left_at = 0;
    h->left_n = n - from;
    memcpy(h->left, net_scratch + from, n - from);
    watch(h);
    watch(h->other);
}

static void pass(struct half *h)
{
    ssize_t n = net_read(&h->peer, net_scratch, NET_SCRATCH_BYTES), sent;

    if (n < 0)
        return;
    sent = n > 0 ? net_send(&h->other->peer, net_scratch, (size_t)n) : -1;
    if (sent < 0)
        end(h);
    else if (sent < n)
        keep(h, (size_t)sent, (size_t)n);
}

/* The other end takes more again. */
static void pass_left(struct half *h)
{
    ssize_t sent = net_send(&h->other->peer, h->left + h->left_at, h->left_n);

    if (sent < 0) {
        end(h);
        return;
    }
    h->left_at += (size_t)sent;
    h->left_n -= (size_t)sent;
    if (h->left_n > 0)
        return;
    free(h->left);
    h->left = NULL;
    watch(h);
    watch(h->other);
}

static void on_event(struct peer *p, uint32_t events)
{
    struct half *h = (struct half *)(void *)p;

    if ((events & EPOLLOUT) != 0 && h->other->left != NULL)
        pass_left(h->other);
    if (p->fd >= 0 && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && h->left == NULL)
        pass(h);
    else if (p->fd >= 0 && (events & (EPOLLHUP | EPOLLERR)) != 0)
        end(h);
}

static void on_connected(struct peer *p, uint32_t events)
{
    struct half *h = (struct half *)(void *)p;

    if ((events & EPOLLERR) != 0) {
        end(h);
        return;
    }
    p->event = on_event;
    net_watch(p, EPOLLIN);
    net_watch_fd(&h->other->peer, h->other->peer.fd, EPOLLIN, on_event);
}

static void on_accept(struct peer *p, uint32_t events)
{
    int fd;

    (void)events;
    while ((fd = net_accept(p->fd)) >= 0) {
        struct half *client = net_alloc(sizeof(*client)), *server = net_alloc(sizeof(*server));
        client->other = server;
        server->other = client;
        client->peer.fd = fd;            /* watched when there is somewhere to send to */
        net_watch_fd(&server->peer, net_connect(origin_port), EPOLLOUT, on_connected);
    }
}

int main(int argc, char **argv)
{
    unsigned port;

    if (argc != 2) {
        fprintf(stderr, "relay ORIGIN_PORT\n");
        return 2;
    }
    origin_port = (unsigned)strtoul(argv[1], NULL, 10);
    net_init();
    net_watch_fd(&listener, net_listen(&port), EPOLLIN, on_accept);
    fprintf(stderr, "listening on 127.0.0.1:%u\n", port);
    for (;;)
        net_turn(-1);
}
