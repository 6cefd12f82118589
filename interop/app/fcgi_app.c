/* fcgi_app: the demo's FastCGI application, on libfcgi. It serves site.h, as http_app does over HTTP.
 *
 * In order: the page's files are read, the socket is bound and listened on, "ready ADDRESS" is printed, and THREADS threads accept
 * from it. libfcgi has one thread serve one connection for as long as that is kept, requests or not: the gateway must not keep more
 * connections than there are threads.
 * SIGTERM or SIGINT: the socket is closed, replies under way are finished (for END_SECONDS at most), exit code 0.
 * What can go wrong: an address that cannot be read or bound, or no page (a sentence on standard error, exit 2). */
#include "interop/app/site.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcgiapp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define THREADS 64
#define BACKLOG 1024
#define END_SECONDS 5
#define ARENA_BYTES (512 * 1024)
#define READ_BYTES 16384
#define PROGRAM "demo_fcgi_app"

static int listener;

/* How many requests are being served: the end waits until none is. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t finished = PTHREAD_COND_INITIALIZER;
static unsigned busy;

static void count_busy(int by)
{
    pthread_mutex_lock(&lock);
    busy = by > 0 ? busy + 1 : busy - 1;
    if (busy == 0)
        pthread_cond_signal(&finished);
    pthread_mutex_unlock(&lock);
}

/* ---- the request ---- */

static struct span param(const FCGX_Request *r, const char *name)
{
    return span_of_text(FCGX_GetParam(name, r->envp));
}

/* The parameters stand where the fields of an HTTP request would: /headers shows them. */
static bool take_params(const FCGX_Request *r, struct arena *a, struct http1_head *head)
{
    enum fault fault = FAULT_NONE;

    *head = (struct http1_head){ .method = param(r, "REQUEST_METHOD"), .target = param(r, "REQUEST_URI"), .version_minor = 1 };
    if (span_equal(param(r, "SERVER_PROTOCOL"), SPAN_LITERAL("HTTP/1.0")))
        head->version_minor = 0;
    head->body = param(r, "CONTENT_LENGTH").n > 0 ? HTTP1_BODY_LENGTH : HTTP1_BODY_NONE;
    headers_init(&head->fields, a, 0);
    for (char **p = r->envp; *p != NULL && fault == FAULT_NONE; p++) {
        struct span pair = span_of_text(*p);
        size_t equals = span_find(pair, '=');
        fault = headers_add(&head->fields, span_first(pair, equals), span_from(pair, equals + 1));
    }
    return fault == FAULT_NONE;
}

static void take_body(FCGX_Request *r, struct http_request *request)
{
    char bytes[READ_BYTES];
    int n;

    while ((n = FCGX_GetStr(bytes, sizeof(bytes), r->in)) > 0)
        http_request_count(request, span_of(bytes, (size_t)n));
}

/* ---- the reply ---- */

/* The library's own formatting knows no 64-bit numbers. */
static void write_head(FCGX_Request *r, const struct http_reply *reply)
{
    char length[24];

    snprintf(length, sizeof(length), "%llu", (unsigned long long)reply->length);
    FCGX_FPrintF(r->out, "Status: %d\r\nContent-Type: %s\r\nCache-Control: no-store\r\n", (int)reply->status, reply->type);
    if (reply->allow != NULL)
        FCGX_FPrintF(r->out, "Allow: %s\r\n", reply->allow);
    if (reply->framing == HTTP1_BODY_LENGTH)
        FCGX_FPrintF(r->out, "Content-Length: %s\r\n", length);
    FCGX_PutS("\r\n", r->out);
}

static void pause_ms(uint64_t ms)
{
    struct timespec t = { .tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000 };

    nanosleep(&t, NULL);
}

/* Framing is the gateway's: pieces are written as they are. Ends early when nobody reads any more. */
static void write_pieces(FCGX_Request *r, struct http_reply *reply)
{
    uint8_t room[HTTP_REPLY_ROOM_BYTES];
    uint64_t wait_ms;
    size_t n;

    do {
        wait_ms = 0;
        n = reply->next(reply, room, sizeof(room), &wait_ms);
        if (n > 0 && FCGX_PutStr((char *)room, (int)n, r->out) < 0)
            return;
        if (wait_ms > 0 && FCGX_FFlush(r->out) == 0)
            pause_ms(wait_ms);
    } while (n > 0);
}

static void answer(FCGX_Request *r)
{
    struct http_reply reply = { .status = 200, .type = "text/plain; charset=utf-8" };
    struct http_request request = { .body_bytes = 0 };
    struct headers trailers = { .n = 0 };
    struct http1_head head;
    struct arena arena;

    arena_init(&arena, ARENA_BYTES);
    request.arena = &arena;
    request.trailers = &trailers;
    if (take_params(r, &arena, &head)) {
        http_request_begin(&request, &head);
        take_body(r, &request);
        site_answer(&request, &reply);
        http_reply_settle(&reply, 1);
        write_head(r, &reply);
        if (!span_equal(head.method, SPAN_LITERAL("HEAD")))
            write_pieces(r, &reply);
    } else {
        FCGX_PutS("Status: 503\r\nContent-Type: text/plain\r\n\r\n", r->out);
    }
    arena_free(&arena);
}

/* No lock around accepting, as the library's example has it: a kept connection's next request is awaited in there, too. */
static void *serve(void *unused)
{
    FCGX_Request request;

    (void)unused;
    FCGX_InitRequest(&request, listener, 0);
    while (FCGX_Accept_r(&request) == 0) {
        count_busy(1);
        answer(&request);
        FCGX_Finish_r(&request);
        count_busy(-1);
    }
    return NULL;
}

/* ---- the process ---- */

static int listen_unix(const char *path)
{
    struct sockaddr_un a = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    if (strlen(path) >= sizeof(a.sun_path))
        return -1;
    memcpy(a.sun_path, path, strlen(path) + 1);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(fd, BACKLOG) != 0)
        return -1;
    printf("ready unix:%s\n", path);
    return fd;
}

/* "127.0.0.1:0" */
static int listen_tcp(const char *text)
{
    struct sockaddr_in a = { .sin_family = AF_INET };
    const char *colon = strrchr(text, ':');
    char host[64] = "";
    socklen_t n = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    if (colon == NULL || (size_t)(colon - text) >= sizeof(host))
        return -1;
    memcpy(host, text, (size_t)(colon - text));
    a.sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
    if (inet_pton(AF_INET, host, &a.sin_addr) != 1 || fd < 0 || bind(fd, (struct sockaddr *)&a, n) != 0 ||
        listen(fd, BACKLOG) != 0 || getsockname(fd, (struct sockaddr *)&a, &n) != 0)
        return -1;
    printf("ready %s:%d\n", host, ntohs(a.sin_port));
    return fd;
}

static int listen_at(const char *address)
{
    errno = EINVAL;                      /* unless the system finds something else */
    listener = strncmp(address, "unix:", 5) == 0 ? listen_unix(address + 5) : listen_tcp(address);
    fflush(stdout);
    if (listener >= 0)
        return 0;
    fprintf(stderr, PROGRAM ": cannot listen on %s: %s\n", address, strerror(errno));
    return -1;
}

static int usage(void)
{
    fputs("usage: " PROGRAM " [--listen 127.0.0.1:PORT | --listen unix:/path] [--root FOLDER (of the page)]\n"
          "  port 0 (the default) lets the kernel choose; the first line on standard output says where\n", stderr);
    return 2;
}

static void wait_until_idle(void)
{
    struct timespec end;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += END_SECONDS;
    pthread_mutex_lock(&lock);
    while (busy > 0 && pthread_cond_timedwait(&finished, &lock, &end) == 0)
        continue;
    pthread_mutex_unlock(&lock);
}

int main(int argc, char **argv)
{
    const char *address = "127.0.0.1:0", *root = NULL;
    pthread_t thread;
    sigset_t ends;
    int number;

    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc || (strcmp(argv[i], "--listen") != 0 && strcmp(argv[i], "--root") != 0))
            return usage();
        *(argv[i][2] == 'l' ? &address : &root) = argv[i + 1];
    }
    if ((root != NULL && !site_read(root)) || FCGX_Init() != 0)
        return 2;
    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);         /* of all threads: they are waited for below */
    if (listen_at(address) != 0)
        return 2;
    for (size_t i = 0; i < THREADS; i++)
        if (pthread_create(&thread, NULL, serve, NULL) != 0)
            return 2;
    sigwait(&ends, &number);
    shutdown(listener, SHUT_RDWR);
    wait_until_idle();
    _exit(0);                            /* threads may still read from kept connections */
}
