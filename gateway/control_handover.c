/* A new binary takes over (USR2). Two processes, each with one end of a socket pair, the `word`:
 *
 *   the running one                         the new one
 *   asks the launcher, with the sockets  →  starts as ever, but on these sockets: both accept from here on
 *                                        ←  "ready PID", when its workers accept
 *   tells the service manager, "go"      →  is the gateway now: tells the service manager that it is ready
 *   drains as on TERM
 *
 * What can go wrong, in order: the launcher is gone; the new one ends before it is ready (it said why, on the same standard error), or is not
 * ready within START_MS: it is told "no", and ends. Nothing has changed then. A running one that vanishes is a "go".
 * No queued connection is lost: every listening socket is handed over, however many workers the new one has. */
#include "gateway/control_parts.h"
#include "gateway/launcher.h"
#include "gateway/log.h"
#include "protocol/mem.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define START_MS 60000
#define WORD_BYTES 64
#define READY "ready "
#define GO "go"
#define NO "no"

/* ---- a word is awaited ---- */

static void on_closed(uv_handle_t *handle)
{
    struct control_word *w = handle->data;

    close(w->fd);
    w->fd = -1;
}

static bool is_awaited(const struct control_word *w)
{
    return w->fd >= 0 && !uv_is_closing((const uv_handle_t *)&w->poll);
}

bool control_is_handing_over(const struct control *c)
{
    return is_awaited(&c->successor);
}

static void close_word(struct control_word *w)
{
    if (!is_awaited(w))
        return;
    uv_timer_stop(&w->deadline);
    uv_close((uv_handle_t *)&w->poll, on_closed);
}

static void say(struct control_word *w, const char *text)
{
    if (send(w->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
        log_debug("the other process was not told `%s`: %s", text, strerror(errno));
}

static void on_late(uv_timer_t *timer)
{
    struct control_word *w = timer->data;

    w->heard(w->control, NULL);
}

static void on_word(uv_poll_t *poll, int status, int events)
{
    struct control_word *w = poll->data;
    char text[WORD_BYTES];
    ssize_t n = recv(w->fd, text, sizeof(text) - 1, MSG_DONTWAIT);

    (void)status;
    (void)events;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    text[n > 0 ? n : 0] = 0;
    w->heard(w->control, text);
}

/* Takes the descriptor. heard: the text, "" when the other one has ended, NULL when it is late. */
static void await_word(struct control *c, struct control_word *w, int fd, void (*heard)(struct control *c, const char *text))
{
    w->control = c;
    w->fd = fd;
    w->heard = heard;
    uv_poll_init(&c->loop, &w->poll, fd);
    w->poll.data = w->deadline.data = w;
    uv_poll_start(&w->poll, UV_READABLE, on_word);
    uv_timer_start(&w->deadline, on_late, START_MS, 0);
}

/* ---- the running one ---- */

static bool same_socket(int a, int b)
{
    struct stat x, y;

    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino;
}

/* Each once, though workers may share one. */
static size_t gather(const struct control *c, struct launcher_socket *out)
{
    size_t n = 0;

    for (size_t l = 0; l < c->conf->listeners_n; l++)
        for (size_t i = 0, first = n; i < c->sockets[l].n; i++)
            if (i == 0 || !same_socket(out[first].fd, c->sockets[l].fds[i]))
                out[n++] = (struct launcher_socket){ .fd = c->sockets[l].fds[i], .own = !c->sockets[l].foreign };
    if (control_admin_may_hand_over(c))
        out[n++] = (struct launcher_socket){ .fd = c->admin.socket.fds[0], .own = !c->admin.socket.foreign };
    return n;
}

static int launch(struct control *c, int word)
{
    struct launcher_socket *sockets = mem_alloc((sockets_count(c->sockets, c->conf->listeners_n) + 1) * sizeof(*sockets));
    int error = -ENOMEM;

    if (sockets != NULL)
        error = launcher_launch(c->launcher, sockets, gather(c, sockets), word);
    mem_free(sockets);
    return error;
}

static void hand_over(struct control *c, long pid)
{
    log_info("the new process %ld is ready and has the listening sockets", pid);
    for (size_t i = 0; i < c->conf->listeners_n; i++)
        c->sockets[i].foreign = true;    /* a UNIX path is the new one's to remove */
    notify_tell(&c->notify, "MAINPID=%ld", pid);
    notify_close(&c->notify);            /* what is told from here on, the new one tells */
    say(&c->successor, GO);
    close_word(&c->successor);
    control_admin_hand_over(c);
    control_drain(c, CONTROL_DRAIN_TAKEN_OVER);
}

static void on_successor(struct control *c, const char *text)
{
    if (text != NULL && strncmp(text, READY, strlen(READY)) == 0) {
        hand_over(c, strtol(text + strlen(READY), NULL, 10));
        return;
    }
    log_error("the new process %s: this one goes on as before",
              text == NULL ? "is not ready after a minute, and is told to end" : "ended before it was ready (it said why)");
    control_handover_abandon(c);
}

void control_handover_abandon(struct control *c)
{
    if (!is_awaited(&c->successor))
        return;
    say(&c->successor, NO);
    close_word(&c->successor);
}

void control_upgrade(struct control *c)
{
    int pair[2], error = 0;

    if (c->draining || c->successor.fd >= 0 || c->reload.changes != NULL) {
        log_warn("no new process is started: %s", c->draining ? "the gateway is draining" :
                 c->successor.fd >= 0 ? "one is starting already" : "a reload is under way");
        return;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        log_error("no new process is started: %s", strerror(errno));
        return;
    }
    error = launch(c, pair[1]);
    close(pair[1]);
    if (error != 0) {
        log_error("no new process is started: %s", error == -ESRCH ? "there is no launcher" : strerror(-error));
        close(pair[0]);
        return;
    }
    log_info("a new process is starting");
    await_word(c, &c->successor, pair[0], on_successor);
}

/* ---- the new one ---- */

static void on_predecessor(struct control *c, const char *text)
{
    close_word(&c->predecessor);
    if (text != NULL && strcmp(text, NO) == 0) {
        log_error("the running process did not wait for this one, which ends");
        control_drain(c, CONTROL_DRAIN_TAKEN_OVER);
        return;
    }
    if (text == NULL || strcmp(text, GO) != 0)
        log_warn("the process before %s without a word", text == NULL ? "hangs" : "ended");
    control_notify_ready(c);
}

void control_handover_open(struct control *c)
{
    c->successor.fd = c->predecessor.fd = -1;
    uv_timer_init(&c->loop, &c->successor.deadline);
    uv_timer_init(&c->loop, &c->predecessor.deadline);
}

void control_announce(struct control *c)
{
    char text[WORD_BYTES];

    if (c->inherited.handover < 0) {
        control_notify_ready(c);
        return;
    }
    await_word(c, &c->predecessor, c->inherited.handover, on_predecessor);
    snprintf(text, sizeof(text), READY "%ld", (long)getpid());
    say(&c->predecessor, text);
}

void control_handover_end(struct control *c)
{
    control_handover_abandon(c);
    close_word(&c->predecessor);
    uv_close((uv_handle_t *)&c->successor.deadline, NULL);
    uv_close((uv_handle_t *)&c->predecessor.deadline, NULL);
}
