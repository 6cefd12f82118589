#include "gateway/launcher.h"
#include "gateway/inherited.h"
#include "gateway/log.h"
#include "protocol/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* A message is its kind and, for each socket that comes with it, a byte. */
enum { MESSAGE_SOCKETS = 's', MESSAGE_RUN = 'r', SOCKET_OWN = 'o', SOCKET_FOREIGN = 'f' };
#define SOCKETS_PER_MESSAGE 128          /* the kernel's bound is 253 */
#define SOCKETS_MOST 4096
#define FIRST_FD 3
#define SEND_SECONDS 5

union rights {
    struct cmsghdr align;
    char space[CMSG_SPACE(SOCKETS_PER_MESSAGE * sizeof(int))];
};

/* ---- the launcher's process ---- */

static struct {                          /* one process, one of these: it has no threads */
    int fd;
    char program[PATH_MAX];
    char *const *argv;
    struct launcher_socket sockets[SOCKETS_MOST];
    size_t n;
} me;

static void say(const char *what)
{
    dprintf(STDERR_FILENO, "error %s: %s\n", what, strerror(errno));
}

static void set_number(const char *variable, long value)
{
    char text[24];

    snprintf(text, sizeof(text), "%ld", value);
    setenv(variable, text, 1);
}

static bool set_environment(int word)
{
    size_t room = me.n * sizeof(HANDOVER_FOREIGN ":") + 1;
    char *names = mem_zalloc(room), *at = names;

    if (names == NULL)
        return false;
    for (size_t i = 0; i < me.n; i++)
        at += snprintf(at, room - (size_t)(at - names), "%s%s", i > 0 ? ":" : "", me.sockets[i].own ? HANDOVER_OWN : HANDOVER_FOREIGN);
    set_number("LISTEN_FDS", (long)me.n);
    set_number("LISTEN_PID", (long)getpid());
    set_number(HANDOVER_VARIABLE, word);
    setenv("LISTEN_FDNAMES", names, 1);
    if (getenv("WATCHDOG_PID") != NULL)
        set_number("WATCHDOG_PID", (long)getpid());
    mem_free(names);
    return true;
}

/* To FIRST_FD and behind; first all out of the way of each other. */
static bool place_descriptors(int word)
{
    int beyond = FIRST_FD + (int)me.n + 1;

    for (size_t i = 0; i < me.n; i++)
        if ((me.sockets[i].fd = fcntl(me.sockets[i].fd, F_DUPFD_CLOEXEC, beyond)) < 0)
            return false;
    if ((word = fcntl(word, F_DUPFD_CLOEXEC, beyond)) < 0)
        return false;
    for (size_t i = 0; i < me.n; i++)
        if (dup2(me.sockets[i].fd, FIRST_FD + (int)i) < 0)
            return false;
    return dup2(word, FIRST_FD + (int)me.n) >= 0;
}

static void run_program(int word)
{
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    if (!place_descriptors(word) || !set_environment(FIRST_FD + (int)me.n))
        say("the new process has no memory or no descriptors");
    else if (execv(me.program, me.argv) != 0)
        say(me.program);
    _exit(127);
}

static void drop_sockets(void)
{
    for (size_t i = 0; i < me.n; i++)
        close(me.sockets[i].fd);
    me.n = 0;
}

static void take_sockets(const char *kinds, const int *fds, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (me.n < SOCKETS_MOST)
            me.sockets[me.n++] = (struct launcher_socket){ .fd = fds[i], .own = kinds[i] == SOCKET_OWN };
        else
            close(fds[i]);
    }
}

static void obey(const char *text, const int *fds, size_t n)
{
    if (text[0] == MESSAGE_SOCKETS) {
        take_sockets(text + 1, fds, n);
        return;
    }
    if (text[0] == MESSAGE_RUN && n == 1 && fork() == 0)
        run_program(fds[0]);
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
    drop_sockets();
}

/* false: the gateway has ended. */
static bool hear(void)
{
    char text[1 + SOCKETS_PER_MESSAGE] = { 0 };
    int fds[SOCKETS_PER_MESSAGE];
    union rights rights = { 0 };
    struct iovec part = { .iov_base = text, .iov_len = sizeof(text) };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = sizeof(rights) };
    struct cmsghdr *c;
    size_t n = 0;
    ssize_t got = recvmsg(me.fd, &m, MSG_CMSG_CLOEXEC);

    if (got <= 0)
        return got < 0 && errno == EINTR;
    c = CMSG_FIRSTHDR(&m);
    if (c != NULL && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(fds, CMSG_DATA(c), n * sizeof(int));
    }
    obey(text, fds, n);
    return true;
}

static void raise_descriptors(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max && limit.rlim_cur < SOCKETS_MOST * 4) {
        limit.rlim_cur = limit.rlim_max < SOCKETS_MOST * 4 ? limit.rlim_max : SOCKETS_MOST * 4;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* Signals are the gateway's business, also those that a terminal sends to both. */
static void run_launcher(int fd)
{
    static const int ignored[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE, SIGCHLD };

    me.fd = fcntl(fd, F_DUPFD_CLOEXEC, FIRST_FD);
    dup2(me.fd, FIRST_FD);
    fcntl(me.fd = FIRST_FD, F_SETFD, FD_CLOEXEC);
    close_range(FIRST_FD + 1, UINT_MAX, 0);
    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
        signal(ignored[i], SIG_IGN);
    prctl(PR_SET_NAME, "upgate-launcher");
    raise_descriptors();
    while (hear())
        continue;
    _exit(0);
}

/* ---- the gateway's end ---- */

static bool find_program(char *const *argv)
{
    ssize_t n = readlink("/proc/self/exe", me.program, sizeof(me.program) - 1);

    if (n > 0)
        me.program[n] = 0;
    else if (realpath(argv[0], me.program) == NULL)
        return false;
    me.argv = argv;
    return true;
}

int launcher_start(char *const *argv)
{
    struct timeval patience = { .tv_sec = SEND_SECONDS };
    int pair[2];
    pid_t child;

    if (!find_program(argv) || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) != 0) {
        log_warn("a new binary will not be able to take over: %s", strerror(errno));
        return -1;
    }
    child = fork();
    if (child == 0)
        run_launcher(pair[1]);
    close(pair[1]);
    if (child > 0) {
        setsockopt(pair[0], SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        return pair[0];
    }
    log_warn("a new binary will not be able to take over: %s", strerror(errno));
    close(pair[0]);
    return -1;
}

static int send_message(int launcher, char kind, const struct launcher_socket *sockets, size_t n)
{
    char text[1 + SOCKETS_PER_MESSAGE] = { kind };
    union rights rights = { 0 };
    struct iovec part = { .iov_base = text, .iov_len = 1 + n };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &rights, .msg_controllen = CMSG_SPACE(n * sizeof(int)) };
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);

    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(n * sizeof(int));
    for (size_t i = 0; i < n; i++) {
        memcpy(CMSG_DATA(c) + i * sizeof(int), &sockets[i].fd, sizeof(int));
        text[1 + i] = sockets[i].own ? SOCKET_OWN : SOCKET_FOREIGN;
    }
    return sendmsg(launcher, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int launcher_launch(int launcher, const struct launcher_socket *sockets, size_t n, int word)
{
    struct launcher_socket last = { .fd = word };
    int error = launcher < 0 ? -ESRCH : n > SOCKETS_MOST ? -E2BIG : 0;

    for (size_t at = 0; error == 0 && at < n; at += SOCKETS_PER_MESSAGE)
        error = send_message(launcher, MESSAGE_SOCKETS, sockets + at, n - at < SOCKETS_PER_MESSAGE ? n - at : SOCKETS_PER_MESSAGE);
    return error != 0 ? error : send_message(launcher, MESSAGE_RUN, &last, 1);
}
