/* net: sockets on one epoll for the benchmark's own programs: what they play must cost little and never be the bottleneck.
 *
 * A peer is embedded as the first member of a malloc'ed struct; net_close frees it when the turn is over, so that an event of the
 * same turn never meets freed memory. Faults end the program with a sentence: a measurement that went wrong is not one. */
#ifndef UPGATE_TESTS_BENCH_NET_H
#define UPGATE_TESTS_BENCH_NET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define NET_SCRATCH_BYTES 65536
#define NET_DESCRIPTORS 65536            /* for 15,000 tunnels, both their ends and some more */

struct peer {
    int fd;                              /* -1: closed */
    uint32_t watched;
    struct peer *next_closed, *next_again;
    bool again;
    void (*event)(struct peer *p, uint32_t events);
    const struct net_layer *layer;       /* what its bytes go through; NULL: they are in clear */
    void *layer_ctx;
};

/* As net_read and net_send, between those and the socket. */
struct net_layer {
    ssize_t (*read)(struct peer *p, void *to, size_t room);
    ssize_t (*send)(struct peer *p, const void *from, size_t n);
    void (*close)(struct peer *p);       /* the descriptor is closed behind it */
};

extern uint8_t net_scratch[NET_SCRATCH_BYTES];   /* where reads may land that are used up at once */

void net_init(void);
void net_turn(int timeout_ms);                   /* waits for events, calls their peers, frees what was closed */
void net_turn_ns(uint64_t timeout_ns);
int net_listen(unsigned *port_out);              /* on 127.0.0.1, the kernel chooses the port */
int net_accept(int listener);                    /* -1: none is waiting */
void net_set_address(struct in_addr address);    /* … to which net_connect connects; 127.0.0.1 when nothing is said */
int net_connect(unsigned port);                  /* under way; EPOLLOUT tells */
void net_watch(struct peer *p, uint32_t events);
void net_watch_fd(struct peer *p, int fd, uint32_t events, void (*event)(struct peer *p, uint32_t events));
void net_close(struct peer *p);                  /* and frees it at the end of the turn */
void net_reset(struct peer *p);                  /* the same, and what is not yet sent is dropped */
void net_again(struct peer *p);                  /* a layer holds bytes: EPOLLIN in the next turn, if that is watched for then */
ssize_t net_read(struct peer *p, void *to, size_t room);         /* 0 = the end or a failure, -1 = nothing is there */
ssize_t net_send(struct peer *p, const void *from, size_t n);    /* 0 = no room; -1 = failed */
void *net_alloc(size_t n);                       /* zeroed; never NULL */
void net_fail(const char *what) __attribute__((noreturn));
uint64_t net_now_ns(void);

#endif
