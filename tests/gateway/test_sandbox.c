/* The sandbox, in a process of its own for each test: made from a configuration as the gateway makes it, then tried from inside. */
#include "tests/gateway/scripted.h"

#include "gateway/privileges.h"
#include "gateway/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/upgate-sandbox-XXXXXX";
static char path[256];

static const char *in_folder(const char *name)
{
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name)
{
    FILE *out = fopen(in_folder(name), "w");

    assert_non_null(out);
    fputs("text\n", out);
    fclose(out);
}

/* Of the folders below `folder`, the conf names conf/, keys/ and log/; not other/. */
static int make_files(void **state)
{
    static const char *const folders[] = { "conf", "keys", "log", "sock", "other", "spool" };

    (void)state;
    if (mkdtemp(folder) == NULL || chmod(folder, 0755) != 0)
        return -1;
    for (size_t i = 0; i < COUNT_OF(folders); i++)
        if (mkdir(in_folder(folders[i]), 0777) != 0 || chmod(in_folder(folders[i]), 0777) != 0)
            return -1;
    write_file("conf/upgate.yaml");
    write_file("keys/site.key");
    write_file("keys/next.key");
    write_file("other/secret");
    return 0;
}

static int remove_files(void **state)
{
    char command[300];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    return system(command);
}

static struct conf *load(const char *more)
{
    char text[2048];
    struct conf *c;

    snprintf(text, sizeof(text),
             "%s\n"
             "log: { access: { to: %s/log/access.log } }\n"
             "listeners: [ { address: 127.0.0.1:0, tls: { certificates: [ { certificate: %s/keys/site.crt, key: %s/keys/site.key } ] } },\n"
             "             'unix:%s/sock/front.sock' ]\n"
             "upstreams: { app: { protocol: fastcgi, servers: [ 127.0.0.1:9 ], fastcgi: { body_folder: %s/spool } } }\n"
             "routes: [ { upstream: app } ]\n", more, folder, folder, folder, folder, folder);
    c = conf_load_text("test", span_of_text(text), stderr);
    assert_non_null(c);
    return c;
}

/* What `inside` returns, in a process with the sandbox; 0 is good, and 99 is a kernel without one. */
static int run(int (*inside)(void), const char *more)
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        struct conf *c = load(more);
        char file[256];
        int files, calls;
        snprintf(file, sizeof(file), "%s/conf/upgate.yaml", folder);
        files = sandbox_restrict_files(c, file);
        calls = sandbox_restrict_calls();
        if (files <= 0 || calls <= 0)
            _exit(files == 0 || calls == 0 ? 99 : 98);
        _exit(inside());
    }
    assert_int_equal(child, waitpid(child, &status, 0));
    if (!WIFEXITED(status))
        fail_msg("ended by signal %d", WTERMSIG(status));
    return WEXITSTATUS(status);
}

static void good(int (*inside)(void))
{
    int code = run(inside, "");

    if (code == 99)
        skip();
    if (code != 0)
        fail_msg("it was line %d", code);
}

/* The exit code of a failed one is its line within the test's first 98 lines of itself. */
#define NEED(base, condition) do { if (!(condition)) { dprintf(2, "line %d: %s (errno %d)\n", __LINE__, #condition, errno); return __LINE__ - (base); } } while (0)

static int opens(const char *name, int flags)
{
    int fd = open(name, flags | O_CLOEXEC, 0600);

    if (fd >= 0)
        close(fd);
    return fd >= 0 ? 0 : -errno;
}

static int files_inside(void)
{
    enum { BASE = __LINE__ };

    NEED(BASE, opens(in_folder("conf/upgate.yaml"), O_RDONLY) == 0);
    NEED(BASE, opens(in_folder("keys/site.key"), O_RDONLY) == 0);
    NEED(BASE, opens(in_folder("keys/next.key"), O_RDONLY) == 0);           /* under which a reload may find another one */
    NEED(BASE, opens(in_folder("log/access.log"), O_WRONLY | O_APPEND | O_CREAT) == 0);
    NEED(BASE, opens(in_folder("log/access.log.1"), O_WRONLY | O_APPEND | O_CREAT) == 0);
    NEED(BASE, opens(in_folder("spool"), O_TMPFILE | O_RDWR) == 0);
    NEED(BASE, opens("/etc/hosts", O_RDONLY) == 0);
    NEED(BASE, opens("/dev/null", O_RDWR) == 0);
    return 0;
}

static void test_reads_and_writes_what_is_configured(void **state)
{
    (void)state;
    good(files_inside);
}

static int others_inside(void)
{
    enum { BASE = __LINE__ };

    NEED(BASE, opens(in_folder("other/secret"), O_RDONLY) == -EACCES);
    NEED(BASE, opens(in_folder("other/new"), O_WRONLY | O_CREAT) == -EACCES);
    NEED(BASE, opens(in_folder("keys/site.key"), O_WRONLY) == -EACCES);
    NEED(BASE, opens(in_folder("keys/new"), O_WRONLY | O_CREAT) == -EACCES);
    NEED(BASE, opens(in_folder("conf/upgate.yaml"), O_RDWR) == -EACCES);
    NEED(BASE, opens("/", O_RDONLY | O_DIRECTORY) == -EACCES);
    NEED(BASE, opens("/var", O_RDONLY | O_DIRECTORY) == -EACCES);
    NEED(BASE, opens("/proc/1/status", O_RDONLY) == -EACCES);
    NEED(BASE, opens("/etc/hosts", O_WRONLY) == -EACCES);
    NEED(BASE, unlink(in_folder("keys/site.key")) == -1 && errno == EACCES);
    return 0;
}

static void test_no_other_file(void **state)
{
    (void)state;
    good(others_inside);
}

static void *thread_body(void *arg)
{
    *(int *)arg = opens(in_folder("other/secret"), O_RDONLY);
    return NULL;
}

/* The calls that a gateway lives by. */
static int life_inside(void)
{
    enum { BASE = __LINE__ };
    struct addrinfo *found = NULL;
    pthread_t thread;
    int in_thread = 0, s, pair[2];
    char byte;

    NEED(BASE, pthread_create(&thread, NULL, thread_body, &in_thread) == 0 && pthread_join(thread, NULL) == 0);
    NEED(BASE, in_thread == -EACCES);
    NEED(BASE, getaddrinfo("localhost", "80", NULL, &found) == 0);
    freeaddrinfo(found);
    NEED(BASE, getrandom(&byte, 1, 0) == 1);
    NEED(BASE, (s = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)) >= 0 && close(s) == 0);
    NEED(BASE, socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
    NEED(BASE, raise(0) == 0);
    return 0;
}

static void test_what_the_gateway_does_it_may_do(void **state)
{
    (void)state;
    good(life_inside);
}

static int refused(long result)
{
    return result == -1 && (errno == EPERM || errno == ENOSYS);
}

static int calls_inside(void)
{
    enum { BASE = __LINE__ };
    char *const nothing[] = { NULL };

    NEED(BASE, refused(execve("/bin/true", nothing, nothing)));
    NEED(BASE, refused(syscall(SYS_execveat, AT_FDCWD, "/bin/true", nothing, nothing, 0)));
    NEED(BASE, refused(syscall(SYS_setuid, 0)));
    NEED(BASE, refused(syscall(SYS_capset, NULL, NULL)));
    NEED(BASE, refused(syscall(SYS_mount, "/tmp", "/mnt", NULL, 4096, NULL)));
    NEED(BASE, refused(syscall(SYS_unshare, 0x10000000)));
    NEED(BASE, refused(syscall(SYS_bpf, 0, NULL, 0)));
    NEED(BASE, refused(syscall(SYS_keyctl, 0, 0, 0, 0, 0)));
    NEED(BASE, refused(syscall(SYS_io_uring_setup, 1, NULL)));
    NEED(BASE, refused(syscall(SYS_chmod, in_folder("keys/site.key"), 0777)));
    NEED(BASE, refused(socket(AF_PACKET, SOCK_RAW, 0)));
    NEED(BASE, refused(kill(getppid(), SIGTERM)) || errno == EPERM);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    NEED(BASE, refused(fork()));
    NEED(BASE, refused(syscall(SYS_ptrace, 16, getppid(), 0, 0)));
#endif
    return 0;
}

static void test_no_program_no_process_no_privilege(void **state)
{
    (void)state;
    good(calls_inside);
}

/* Once for each call, by number and name, and the process goes on. */
static void test_what_was_refused_is_told(void **state)
{
    char seen[1024] = { 0 };
    int pipes[2], code;
    int before = dup(STDERR_FILENO);

    (void)state;
    assert_int_equal(0, pipe2(pipes, O_CLOEXEC));
    dup2(pipes[1], STDERR_FILENO);
    code = run(calls_inside, "");
    dup2(before, STDERR_FILENO);
    close(before);
    close(pipes[1]);
    if (code == 99)
        skip();
    assert_int_equal(0, code);
    assert_true(read(pipes[0], seen, sizeof(seen) - 1) > 0);
    close(pipes[0]);
    assert_non_null(strstr(seen, "(execve) was refused"));
    assert_non_null(strstr(seen, "(setuid) was refused"));
    assert_null(strstr(strstr(seen, "(mount) was refused") + 1, "(mount)"));
}

/* ---- root is given up ---- */

static int without_root(void)
{
    enum { BASE = __LINE__ };
    const struct passwd *nobody = getpwnam("nobody");
    struct conf *c = load("user: nobody");
    struct privileges p;
    gid_t groups[64];
    char line[128], none[128] = "";
    FILE *status;

    NEED(BASE, privileges_find(c, &p) && p.change && p.uid == nobody->pw_uid && p.gid == nobody->pw_gid);
    NEED(BASE, privileges_drop(&p));
    NEED(BASE, getuid() == nobody->pw_uid && geteuid() == nobody->pw_uid && getgid() == nobody->pw_gid && getegid() == nobody->pw_gid);
    NEED(BASE, getgroups(64, groups) == 1 && groups[0] == nobody->pw_gid);
    NEED(BASE, setuid(0) != 0 && seteuid(0) != 0 && setgid(0) != 0);
    NEED(BASE, prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
    NEED(BASE, (status = fopen("/proc/self/status", "r")) != NULL);
    while (fgets(line, sizeof(line), status) != NULL)
        if (strncmp(line, "Cap", 3) == 0 && strspn(line + 7, " \t0\n") != strlen(line + 7))
            snprintf(none, sizeof(none), "%s", line);
    fclose(status);
    NEED(BASE, none[0] == 0);
    conf_free(c);
    return 0;
}

static int in_process(int (*body)(void))
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0)
        _exit(body());
    assert_int_equal(child, waitpid(child, &status, 0));
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void test_root_is_given_up_for_good(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_int_equal(0, in_process(without_root));
}

static void count_file(void *ctx, const struct conf_file *file)
{
    (void)file;
    ++*(int *)ctx;
}

static void test_what_the_user_could_not_read_is_found(void **state)
{
    struct privileges p;
    struct conf *c;
    int n = 0;

    (void)state;
    if (geteuid() != 0)
        skip();
    c = load("user: nobody");
    assert_true(privileges_find(c, &p));
    assert_int_equal(0, chmod(in_folder("keys/site.key"), 0600));
    privileges_each_unreadable(&p, c, count_file, &n);
    assert_int_equal(1, n);
    assert_int_equal(0, chmod(in_folder("keys/site.key"), 0644));
    n = 0;
    privileges_each_unreadable(&p, c, count_file, &n);
    assert_int_equal(0, n);
    assert_int_equal(0, geteuid());
    conf_free(c);
}

static void test_nobody_of_that_name(void **state)
{
    struct privileges p;
    struct conf *c;

    (void)state;
    if (geteuid() != 0)
        skip();
    c = load("user: no-such-user");
    assert_false(privileges_find(c, &p));
    conf_free(c);
    c = load("user: nobody\ngroup: no-such-group");
    assert_false(privileges_find(c, &p));
    conf_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_and_writes_what_is_configured),
        cmocka_unit_test(test_no_other_file),
        cmocka_unit_test(test_what_the_gateway_does_it_may_do),
        cmocka_unit_test(test_no_program_no_process_no_privilege),
        cmocka_unit_test(test_what_was_refused_is_told),
        cmocka_unit_test(test_root_is_given_up_for_good),
        cmocka_unit_test(test_what_the_user_could_not_read_is_found),
        cmocka_unit_test(test_nobody_of_that_name),
    };

    return cmocka_run_group_tests(tests, make_files, remove_files);
}
