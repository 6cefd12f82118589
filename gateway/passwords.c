#include "gateway/passwords.h"
#include "protocol/mem.h"
#include "protocol/token.h"

#include <crypt.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_BYTES_MAX ((size_t)4 * 1024 * 1024)
#define NAME_BYTES_MAX 255

struct user {
    struct span name;                    /* in the text */
    const char *hash;
};

struct passwords {
    char *text;                          /* the file; lines and their parts end with NUL */
    size_t bytes;
    struct user *users;                  /* sorted by name */
    size_t n;
};

struct passwords_set {
    size_t n;
    struct passwords *files[];           /* by route; the same one for the same path */
};

struct complaint {
    const struct conf *conf;
    const struct conf_file *about;
    FILE *messages;
};

/* ---- looking up ---- */

static int compare_names(struct span a, struct span b)
{
    int order = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);

    return order != 0 ? order : a.n < b.n ? -1 : a.n > b.n;
}

static int by_name(const void *a, const void *b)
{
    return compare_names(((const struct user *)a)->name, ((const struct user *)b)->name);
}

const char *passwords_find(const struct passwords *p, struct span user)
{
    const struct user wanted = { .name = user };
    const struct user *found = user.n > 0 ? bsearch(&wanted, p->users, p->n, sizeof(*p->users), by_name) : NULL;

    return found != NULL ? found->hash : NULL;
}

const char *passwords_any(const struct passwords *p)
{
    return p->users[0].hash;
}

/* Every byte is looked at, whatever the first ones say. */
static bool same(const char *a, const char *b)
{
    size_t n = strlen(a);
    unsigned char differ = 0;

    if (strlen(b) != n)
        return false;
    for (size_t i = 0; i < n; i++)
        differ |= (unsigned char)(a[i] ^ b[i]);
    return differ == 0;
}

bool password_is(const char *hash, const char *password)
{
    struct crypt_data *work = mem_zalloc(sizeof(*work));
    const char *found;
    bool good;

    if (work == NULL)
        return false;
    found = crypt_rn(password, hash, work, (int)sizeof(*work));
    good = found != NULL && found[0] != '*' && same(found, hash);
    explicit_bzero(work, sizeof(*work));
    mem_free(work);
    return good;
}

/* ---- reading ---- */

__attribute__((format(printf, 2, 3))) static bool complain(const struct complaint *c, const char *format, ...)
{
    char text[300];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    conf_complain(c->conf, c->about, false, c->messages, "%s: %s", c->about->path, text);
    return false;
}

static bool read_text(struct passwords *p, FILE *in, const struct complaint *c)
{
    struct stat st;

    if (fstat(fileno(in), &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size > FILE_BYTES_MAX)
        return complain(c, "is too large, or no file at all");
    if ((st.st_mode & S_IRWXO) != 0)
        conf_complain(c->conf, c->about, true, c->messages, "%s: everybody on this machine may read the hashes", c->about->path);
    p->bytes = (size_t)st.st_size + 1;
    p->text = mem_zalloc(p->bytes);
    if (p->text == NULL)
        return complain(c, "out of memory");
    setvbuf(in, NULL, _IONBF, 0);        /* no second copy in stdio's buffer */
    if (fread(p->text, 1, p->bytes - 1, in) != p->bytes - 1)
        return complain(c, "cannot be read");
    return memchr(p->text, '\0', p->bytes - 1) == NULL || complain(c, "holds a NUL");
}

/* A hash that was cut short would be nobody's: each kind's last part has its length. */
static bool is_strong(const char *hash)
{
    static const struct {
        const char *kind;
        size_t n;
    } kinds[] = { { "$2a$", 53 }, { "$2b$", 53 }, { "$2y$", 53 }, { "$y$", 43 }, { "$gy$", 43 }, { "$7$", 43 }, { "$6$", 86 }, { "$5$", 43 } };

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strncmp(hash, kinds[i].kind, strlen(kinds[i].kind)) == 0)
            return strlen(hash) < PASSWORDS_HASH_BYTES && strlen(strrchr(hash, '$') + 1) == kinds[i].n &&
                   crypt_checksalt(hash) != CRYPT_SALT_INVALID;
    return false;
}

/* A name goes into fields and parameters: no controls. RFC 7617 section 2: no colon. */
static bool read_line(struct passwords *p, char *line, size_t number, const struct complaint *c)
{
    char *colon = strchr(line, ':');
    struct span name;

    if (colon == NULL || colon == line || colon - line > NAME_BYTES_MAX)
        return complain(c, "line %zu is not name:hash", number);
    *colon = '\0';
    name = span_of_text(line);
    if (!token_is_field_value(name) || token_trim(name).n != name.n)
        return complain(c, "line %zu: no name can have blanks at its ends, or control characters", number);
    if (!is_strong(colon + 1))
        return complain(c, "line %zu: the hash of `%s` is weak, cut, or of an unknown kind: make it with htpasswd -B, or mkpasswd", number,
                        line);
    p->users[p->n++] = (struct user){ name, colon + 1 };
    return true;
}

static size_t count_lines(const char *text)
{
    size_t n = 1;

    for (; *text != '\0'; text++)
        n += *text == '\n';
    return n;
}

static bool read_lines(struct passwords *p, const struct complaint *c)
{
    char *line = p->text, *end;

    for (size_t number = 1; line != NULL; number++, line = end != NULL ? end + 1 : NULL) {
        end = strchr(line, '\n');
        if (end != NULL)
            *end = '\0';
        if (end != NULL && end > line && end[-1] == '\r')
            end[-1] = '\0';
        if (*line != '\0' && *line != '#' && !read_line(p, line, number, c))
            return false;
    }
    return true;
}

static bool read_users(struct passwords *p, const struct complaint *c)
{
    p->users = mem_zalloc(count_lines(p->text) * sizeof(*p->users));
    if (p->users == NULL)
        return complain(c, "out of memory");
    if (!read_lines(p, c))
        return false;
    if (p->n == 0)
        return complain(c, "holds nobody");
    qsort(p->users, p->n, sizeof(*p->users), by_name);
    for (size_t i = 1; i < p->n; i++)
        if (by_name(&p->users[i - 1], &p->users[i]) == 0)
            return complain(c, "`%.*s` is there twice", SPAN_FORMAT(p->users[i].name));
    return true;
}

static void passwords_free(struct passwords *p)
{
    if (p == NULL)
        return;
    if (p->text != NULL)
        explicit_bzero(p->text, p->bytes);
    mem_free(p->text);
    mem_free(p->users);
    mem_free(p);
}

static struct passwords *passwords_load(const struct conf *conf, const struct conf_file *from, FILE *messages)
{
    const struct complaint c = { conf, from, messages };
    struct passwords *p = mem_zalloc(sizeof(*p));
    FILE *in;
    bool good;

    if (p == NULL) {
        complain(&c, "out of memory");
        return NULL;
    }
    in = fopen(from->path, "re");
    if (in == NULL) {
        complain(&c, "cannot be opened: %s", strerror(errno));
        passwords_free(p);
        return NULL;
    }
    good = read_text(p, in, &c) && read_users(p, &c);
    fclose(in);
    if (good)
        return p;
    passwords_free(p);
    return NULL;
}

/* ---- all of a configuration ---- */

/* The first of the routes before the nth that has the same file, or n. */
static size_t find_earlier(const struct conf *conf, size_t n)
{
    const char *path = conf->routes[n].auth.basic.file.path;
    size_t i = 0;

    while (i < n && (!conf->routes[i].auth.basic_on || strcmp(conf->routes[i].auth.basic.file.path, path) != 0))
        i++;
    return i;
}

struct passwords_set *passwords_set_new(const struct conf *conf, FILE *messages)
{
    struct passwords_set *s = mem_zalloc(sizeof(*s) + conf->routes_n * sizeof(s->files[0]));
    bool good = s != NULL;

    if (s != NULL)
        s->n = conf->routes_n;
    for (size_t i = 0; s != NULL && i < s->n; i++) {
        const struct conf_auth *auth = &conf->routes[i].auth;
        size_t earlier = auth->basic_on ? find_earlier(conf, i) : 0;
        if (!auth->basic_on)
            continue;
        s->files[i] = earlier < i ? s->files[earlier] : passwords_load(conf, &auth->basic.file, messages);
        good = good && s->files[i] != NULL;
    }
    if (good)
        return s;
    passwords_set_free(s);
    return NULL;
}

void passwords_set_free(struct passwords_set *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n; i++) {
        struct passwords *p = s->files[i];
        for (size_t j = i; p != NULL && j < s->n; j++)
            if (s->files[j] == p)
                s->files[j] = NULL;
        passwords_free(p);
    }
    mem_free(s);
}

const struct passwords *passwords_of(const struct passwords_set *s, const struct conf *conf, const struct conf_route *route)
{
    return s->files[route - conf->routes];
}
