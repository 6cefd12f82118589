/* System calls, by seccomp with libseccomp. Arguments are looked at where the call alone says too little: threads are made, processes are not;
 * a thread is signalled, another process is not; sockets are of the families that the gateway speaks.
 *
 * A sanitizer's runtime needs more (a process that traces this one to look for leaks): such builds allow it. */
#include "gateway/log.h"
#include "gateway/sandbox.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

#define CALLS_MOST 1024                  /* numbers are below */

static const int allowed[] = {
    /* what is open already, and waiting */
    SCMP_SYS(read), SCMP_SYS(readv), SCMP_SYS(pread64), SCMP_SYS(preadv), SCMP_SYS(preadv2), SCMP_SYS(write), SCMP_SYS(writev), SCMP_SYS(pwrite64), SCMP_SYS(pwritev),
    SCMP_SYS(pwritev2), SCMP_SYS(lseek), SCMP_SYS(close), SCMP_SYS(close_range), SCMP_SYS(dup), SCMP_SYS(dup2), SCMP_SYS(dup3),
    SCMP_SYS(fcntl), SCMP_SYS(fcntl64), SCMP_SYS(fstat), SCMP_SYS(fstat64), SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(fsync),
    SCMP_SYS(fdatasync), SCMP_SYS(splice), SCMP_SYS(tee), SCMP_SYS(sendfile), SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select),
    SCMP_SYS(pselect6), SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait),
    SCMP_SYS(epoll_pwait2), SCMP_SYS(eventfd2), SCMP_SYS(pipe), SCMP_SYS(pipe2), SCMP_SYS(timerfd_create), SCMP_SYS(timerfd_settime),
    SCMP_SYS(timerfd_gettime),
    /* files, as far as Landlock lets them */
    SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(newfstatat), SCMP_SYS(statx),
    SCMP_SYS(statfs), SCMP_SYS(fstatfs), SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
    SCMP_SYS(getcwd), SCMP_SYS(getdents64), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(umask),
    /* the network */
    SCMP_SYS(socketpair), SCMP_SYS(bind), SCMP_SYS(listen), SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(connect), SCMP_SYS(shutdown),
    SCMP_SYS(getsockname), SCMP_SYS(getpeername), SCMP_SYS(getsockopt), SCMP_SYS(setsockopt), SCMP_SYS(sendto), SCMP_SYS(sendmsg),
    SCMP_SYS(sendmmsg), SCMP_SYS(recvfrom), SCMP_SYS(recvmsg), SCMP_SYS(recvmmsg),
    /* memory, threads, time, signals, and what the C library asks */
    SCMP_SYS(mmap), SCMP_SYS(mmap2), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(mprotect), SCMP_SYS(madvise), SCMP_SYS(brk),
    SCMP_SYS(membarrier), SCMP_SYS(futex), SCMP_SYS(futex_waitv), SCMP_SYS(set_robust_list), SCMP_SYS(get_robust_list),
    SCMP_SYS(set_tid_address), SCMP_SYS(rseq), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(getpriority),
    SCMP_SYS(setpriority), SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getcpu), SCMP_SYS(getrandom), SCMP_SYS(rt_sigaction), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigreturn), SCMP_SYS(sigreturn), SCMP_SYS(rt_sigpending), SCMP_SYS(rt_sigtimedwait), SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall),
    SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(gettid), SCMP_SYS(getuid), SCMP_SYS(geteuid), SCMP_SYS(getgid), SCMP_SYS(getegid),
    SCMP_SYS(getresuid), SCMP_SYS(getresgid), SCMP_SYS(uname), SCMP_SYS(sysinfo), SCMP_SYS(getrusage), SCMP_SYS(times), SCMP_SYS(getrlimit), SCMP_SYS(ugetrlimit), SCMP_SYS(capget),
    SCMP_SYS(exit), SCMP_SYS(exit_group),
};

/* The C library does without them, if it is told that there are none. */
static const int not_there[] = { SCMP_SYS(clone3), SCMP_SYS(io_uring_setup) };

static const int for_sanitizers[] = {
    SCMP_SYS(clone), SCMP_SYS(ptrace), SCMP_SYS(wait4), SCMP_SYS(prctl), SCMP_SYS(personality), SCMP_SYS(process_vm_readv),
    SCMP_SYS(prlimit64), SCMP_SYS(setrlimit), SCMP_SYS(arch_prctl), SCMP_SYS(kill), SCMP_SYS(tgkill), SCMP_SYS(mincore), SCMP_SYS(msync), SCMP_SYS(getdents),
};

/* ---- what was refused ---- */

static char *names[CALLS_MOST];          /* by number, made before they are needed: a signal handler cannot ask */
static atomic_flag said[CALLS_MOST];

static void make_names(void)
{
    for (int number = 0; number < CALLS_MOST; number++)
        if (names[number] == NULL)
            names[number] = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
}

static void say_refused(int number)
{
    bool known = number >= 0 && number < CALLS_MOST;
    char line[160];
    int n;

    if (known && atomic_flag_test_and_set(&said[number]))
        return;
    n = snprintf(line, sizeof(line), "error sandbox: the system call %d (%s) was refused; told once\n", number,
                 known && names[number] != NULL ? names[number] : "unknown");
    if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0)
        return;                          /* nobody to tell */
}

/* In the thread that made the call, which goes on with EPERM as its result. */
static void on_refused(int signal_number, siginfo_t *info, void *context)
{
    ucontext_t *c = context;
    int error = errno;

    (void)signal_number;
    say_refused(info->si_syscall);
#if defined(__x86_64__)
    c->uc_mcontext.gregs[REG_RAX] = -EPERM;
#elif defined(__aarch64__)
    c->uc_mcontext.regs[0] = (unsigned long long)-EPERM;
#else
    (void)c;
#endif
    errno = error;
}

#if defined(__x86_64__) || defined(__aarch64__)
#define REFUSE SCMP_ACT_TRAP
#else
#define REFUSE SCMP_ACT_ERRNO(EPERM)     /* not said: how a handler gives a result is not known here */
#endif

/* ---- the list ---- */

static int add_list(scmp_filter_ctx f, uint32_t action, const int *calls, size_t n)
{
    int error = 0;

    for (size_t i = 0; error == 0 && i < n; i++)
        error = seccomp_rule_add(f, action, calls[i], 0);
    return error;
}

static int allow_value(scmp_filter_ctx f, int call, unsigned argument, uint64_t value)
{
    return seccomp_rule_add(f, SCMP_ACT_ALLOW, call, 1, SCMP_CMP(argument, SCMP_CMP_EQ, value, 0));
}

static int allow_values(scmp_filter_ctx f, int call, unsigned argument, const uint64_t *values, size_t n)
{
    int error = 0;

    for (size_t i = 0; error == 0 && i < n; i++)
        error = allow_value(f, call, argument, values[i]);
    return error;
}

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static int add_narrow(scmp_filter_ctx f)
{
    static const uint64_t families[] = { AF_UNIX, AF_INET, AF_INET6, AF_NETLINK };
    static const uint64_t ioctls[] = { FIONBIO, FIOCLEX, FIONREAD, SIOCOUTQ, TCGETS, TIOCGWINSZ };
    static const uint64_t prctls[] = { PR_SET_NAME, PR_GET_NAME, PR_GET_DUMPABLE };
    uint64_t own = (uint64_t)getpid();
    int error = allow_values(f, SCMP_SYS(socket), 0, families, COUNT(families));

    if (error == 0)
        error = allow_values(f, SCMP_SYS(ioctl), 1, ioctls, COUNT(ioctls));
    if (error == 0)
        error = allow_values(f, SCMP_SYS(prctl), 0, prctls, COUNT(prctls));
    if (error == 0)
        error = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(prctl), 2, SCMP_A0(SCMP_CMP_EQ, PR_SET_DUMPABLE, 0), SCMP_A1(SCMP_CMP_EQ, 0, 0));
    if (error == 0)
        error = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    if (error == 0)
        error = allow_value(f, SCMP_SYS(tgkill), 0, own);
    if (error == 0)
        error = allow_value(f, SCMP_SYS(prlimit64), 0, 0);
    return error != 0 ? error : add_list(f, SCMP_ACT_ALLOW, (const int[]){ SCMP_SYS(setrlimit) }, 1);
}

static int fill(scmp_filter_ctx f)
{
    int error = seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1);

    if (error == 0)
        seccomp_attr_set(f, SCMP_FLTATR_CTL_OPTIMIZE, 2);        /* a tree: a call is found in eight steps; older libraries have a list */
    if (error == 0)
        error = add_list(f, SCMP_ACT_ALLOW, allowed, COUNT(allowed));
    if (error == 0)
        error = add_list(f, SCMP_ACT_ERRNO(ENOSYS), not_there, COUNT(not_there));
    if (error == 0 && SANITIZED)
        error = add_list(f, SCMP_ACT_ALLOW, for_sanitizers, COUNT(for_sanitizers));
    return error != 0 ? error : add_narrow(f);
}

/* libuv would take up an io_uring in its first loop, which is a second way into the kernel, past this list. */
void sandbox_prepare(const struct conf *c)
{
    scmp_filter_ctx f = c->sandbox ? seccomp_init(SCMP_ACT_ALLOW) : NULL;

    if (f != NULL && seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(io_uring_setup), 0) == 0)
        seccomp_load(f);                 /* where there is no seccomp, sandbox_enter says so */
    seccomp_release(f);
}

int sandbox_restrict_calls(void)
{
    struct sigaction action = { .sa_sigaction = on_refused, .sa_flags = SA_SIGINFO | SA_NODEFER };
    scmp_filter_ctx f = seccomp_init(REFUSE);
    int error;

    if (f == NULL || prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0) {
        seccomp_release(f);
        return 0;
    }
    make_names();
    sigaction(SIGSYS, &action, NULL);
    error = fill(f);
    if (error == 0)
        error = seccomp_load(f);
    seccomp_release(f);
    return error == 0 ? 1 : error == -EOPNOTSUPP || error == -ENOSYS ? 0 : error;
}
