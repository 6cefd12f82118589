/* What the FastCGI tool sends as STDIN: text of the command line, files, standard input; read as it is sent, never held whole.
 *
 * Many applications read as many bytes as CONTENT_LENGTH says and nothing without it. So what has no length (a pipe) is first
 * copied into a temporary file without a name, unless the operator wants it sent as it comes. */
#include "gateway/fcgi_tool_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BYTES 65536
#define WRITE_SECONDS 60                 /* for a reader of our output that does not block us */
#define BOUNDARY_BYTES 32                /* hex digits */
#define FORM_TYPE "application/x-www-form-urlencoded"

static enum fcgi_tool_exit no_memory(void)
{
    return fcgi_tool_say(FCGI_TOOL_MEMORY, "there is not enough memory");
}

static enum fcgi_tool_exit unreadable(const char *name)
{
    return fcgi_tool_say(FCGI_TOOL_BODY, "%s cannot be read: %s", name, strerror(errno));
}

void fcgi_tool_body_init(struct fcgi_tool_body *b)
{
    *b = (struct fcgi_tool_body){ .has_length = true };
}

static void add_text(struct fcgi_tool_body *b, struct span text)
{
    b->pieces[b->n++] = (struct fcgi_tool_piece){ .text = text, .fd = -1, .name = "the body" };
    b->length += text.n;
}

/* ---- files ---- */

static ssize_t read_some(int fd, void *to, size_t room)
{
    ssize_t n;

    do
        n = read(fd, to, room);
    while (n < 0 && errno == EINTR);
    return n;
}

static bool wait_writable(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };

    return poll(&p, 1, WRITE_SECONDS * 1000) > 0;
}

bool fcgi_tool_write_all(int fd, struct span bytes)
{
    while (bytes.n > 0) {
        ssize_t n = write(fd, bytes.p, bytes.n);
        if (n < 0 && errno == EAGAIN && !wait_writable(fd))
            return false;
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return false;
        bytes = span_from(bytes, n > 0 ? (size_t)n : 0);
    }
    return true;
}

static int open_nameless(void)
{
    const char *folder = getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp";
    char path[4096];
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

    if (fd >= 0 || (size_t)snprintf(path, sizeof(path), "%s/upgate-fcgi-XXXXXX", folder) >= sizeof(path))
        return fd;
    fd = mkostemp(path, O_CLOEXEC);      /* a file system without nameless files */
    if (fd >= 0)
        unlink(path);
    return fd;
}

/* Reads fd to its end into a file that is ready to be read; its descriptor, or -1 with errno. */
static int copy_whole(int fd, uint64_t *length_out)
{
    uint8_t bytes[COPY_BYTES];
    ssize_t n = 0;
    int copy = open_nameless();

    *length_out = 0;
    while (copy >= 0 && (n = read_some(fd, bytes, sizeof(bytes))) > 0 && fcgi_tool_write_all(copy, span_of(bytes, (size_t)n)))
        *length_out += (uint64_t)n;
    if (copy >= 0 && n == 0 && lseek(copy, 0, SEEK_SET) == 0)
        return copy;
    if (copy >= 0)
        close(copy);
    return -1;
}

/* The descriptor is the body's from now on. */
static enum fcgi_tool_exit add_descriptor(struct fcgi_tool_body *b, int fd, const char *name, bool as_it_comes)
{
    struct fcgi_tool_piece *piece = &b->pieces[b->n++];
    struct stat st;
    uint64_t length;
    int copy;

    *piece = (struct fcgi_tool_piece){ .fd = fd, .left = UINT64_MAX, .name = name };
    if (fstat(fd, &st) != 0)
        return unreadable(name);
    if (as_it_comes) {
        b->has_length = false;
        return FCGI_TOOL_GOOD;
    }
    if (S_ISREG(st.st_mode)) {
        off_t at = lseek(fd, 0, SEEK_CUR);   /* standard input may have been read from */
        piece->left = at >= 0 && at < st.st_size ? (uint64_t)(st.st_size - at) : 0;
        b->length += piece->left;
        return FCGI_TOOL_GOOD;
    }
    copy = copy_whole(fd, &length);
    if (copy < 0)
        return unreadable(name);
    close(fd);
    piece->fd = copy;
    piece->left = length;
    b->length += length;
    return FCGI_TOOL_GOOD;
}

static enum fcgi_tool_exit add_file(struct fcgi_tool_body *b, const char *path, bool as_it_comes)
{
    bool standard = strcmp(path, "-") == 0;
    int fd = standard ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return unreadable(standard ? "standard input" : path);
    return add_descriptor(b, fd, standard ? "standard input" : path, as_it_comes);
}

/* ---- a form: RFC 7578 ---- */

static struct span format(struct arena *a, const char *form, ...) __attribute__((format(printf, 2, 3)));
static struct span format(struct arena *a, const char *form, ...)
{
    va_list args;
    char *p;
    int n;

    va_start(args, form);
    n = vsnprintf(NULL, 0, form, args);
    va_end(args);
    p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (p == NULL)
        return SPAN_EMPTY;
    va_start(args, form);
    vsnprintf(p, (size_t)n + 1, form, args);
    va_end(args);
    return span_of(p, (size_t)n);
}

/* A name within quotes, as browsers write it: the quote and line ends as escapes. */
static const char *quotable(struct arena *a, struct span name)
{
    char *p = arena_alloc(a, 3 * name.n + 1);
    size_t n = 0;

    for (size_t i = 0; p != NULL && i < name.n; i++) {
        uint8_t c = name.p[i];
        if (c == '"' || c == '\r' || c == '\n')
            n += (size_t)snprintf(p + n, 4, "%%%02X", c);
        else
            p[n++] = (char)c;
    }
    if (p != NULL)
        p[n] = '\0';
    return p;
}

static enum fcgi_tool_exit add_form_part(struct arena *a, struct fcgi_tool_body *b, const char *boundary, const char *part)
{
    const char *equals = strchr(part, '=');
    const char *name = quotable(a, span_of(part, (size_t)(equals - part)));
    const char *value = equals + 1, *base = strrchr(value, '/');
    const char *file = value[0] == '@' ? quotable(a, span_of_text(base != NULL ? base + 1 : value + 1)) : "";
    enum fcgi_tool_exit exit = FCGI_TOOL_GOOD;
    struct span head;

    if (name == NULL || file == NULL)
        return no_memory();
    if (value[0] == '@')
        head = format(a, "--%s\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"%s\"\r\n"
                      "Content-Type: application/octet-stream\r\n\r\n", boundary, name, file);
    else
        head = format(a, "--%s\r\nContent-Disposition: form-data; name=\"%s\"\r\n\r\n", boundary, name);
    if (head.p == NULL)
        return no_memory();
    add_text(b, head);
    if (value[0] == '@')
        exit = add_file(b, value + 1, false);
    else
        add_text(b, span_of_text(value));
    add_text(b, SPAN_LITERAL("\r\n"));
    return exit;
}

static enum fcgi_tool_exit open_form(struct arena *a, const struct fcgi_tool_options *o, struct fcgi_tool_body *b)
{
    enum fcgi_tool_exit exit = FCGI_TOOL_GOOD;
    char boundary[BOUNDARY_BYTES + 1];
    uint8_t random[BOUNDARY_BYTES / 2];
    struct span end;

    if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
        return unreadable("the kernel's random numbers");
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(boundary + 2 * i, 3, "%02x", random[i]);
    for (size_t i = 0; i < o->form_n && exit == FCGI_TOOL_GOOD; i++)
        exit = add_form_part(a, b, boundary, o->form[i]);
    if (exit != FCGI_TOOL_GOOD)
        return exit;
    end = format(a, "--%s--\r\n", boundary);
    b->type = format(a, "multipart/form-data; boundary=%s", boundary);
    if (end.p == NULL || b->type.p == NULL)
        return no_memory();
    add_text(b, end);
    return FCGI_TOOL_GOOD;
}

enum fcgi_tool_exit fcgi_tool_body_open(struct arena *a, const struct fcgi_tool_options *o, struct fcgi_tool_body *b)
{
    b->present = o->data != NULL || o->form_n > 0;
    if (o->form_n > 0)
        return open_form(a, o, b);
    if (o->data == NULL)
        return FCGI_TOOL_GOOD;
    b->type = SPAN_LITERAL(FORM_TYPE);
    if (o->data[0] == '@')
        return add_file(b, o->data + 1, o->no_length);
    add_text(b, span_of_text(o->data));
    return FCGI_TOOL_GOOD;
}

/* ---- as it is sent ---- */

int fcgi_tool_body_fd(const struct fcgi_tool_body *b)
{
    return b->at < b->n && !b->has_length ? b->pieces[b->at].fd : -1;
}

/* 0 with FCGI_TOOL_GOOD: this piece is over. */
static enum fcgi_tool_exit read_piece(struct fcgi_tool_piece *piece, uint8_t *to, size_t room, size_t *n_out)
{
    size_t most = piece->fd >= 0 && piece->left < room ? (size_t)piece->left : room;
    ssize_t n;

    if (piece->fd < 0) {
        *n_out = piece->text.n < room ? piece->text.n : room;
        if (*n_out > 0)
            memcpy(to, piece->text.p, *n_out);
        piece->text = span_from(piece->text, *n_out);
        return FCGI_TOOL_GOOD;
    }
    n = most > 0 ? read_some(piece->fd, to, most) : 0;
    if (n < 0)
        return unreadable(piece->name);
    if (n == 0 && most > 0 && piece->left != UINT64_MAX)
        return fcgi_tool_say(FCGI_TOOL_BODY, "%s became shorter while it was sent", piece->name);
    *n_out = (size_t)n;
    if (piece->left != UINT64_MAX)
        piece->left -= (size_t)n;
    return FCGI_TOOL_GOOD;
}

enum fcgi_tool_exit fcgi_tool_body_read(struct fcgi_tool_body *b, void *to, size_t room, size_t *n_out)
{
    enum fcgi_tool_exit exit = FCGI_TOOL_GOOD;

    *n_out = 0;
    while (b->at < b->n && exit == FCGI_TOOL_GOOD) {
        exit = read_piece(&b->pieces[b->at], to, room, n_out);
        if (*n_out > 0)
            break;
        b->at++;
    }
    return exit;
}

void fcgi_tool_body_close(struct fcgi_tool_body *b)
{
    for (size_t i = 0; i < b->n; i++)
        if (b->pieces[i].fd >= 0)
            close(b->pieces[i].fd);
    b->n = b->at = 0;
}
