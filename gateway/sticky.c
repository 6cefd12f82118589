#include "gateway/sticky.h"
#include "gateway/tls_seal.h"
#include "protocol/mem.h"
#include "protocol/token.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#define FILE_BYTES_MAX ((size_t)64 * 1024)
#define HEX_DIGITS (2 * TLS_SEAL_KEY_BYTES)

struct sticky {
    const struct conf_sticky *conf;      /* NULL: none */
    const struct sticky_set *set;
    struct tls_seal *seal;
    uint8_t bound[SEALED_BOUND_BYTES];   /* to the upstream and the cookie, by name */
};

struct sticky_set {
    uint64_t (*now_s)(void);             /* NULL: the clock */
    bool any;
    size_t n;
    struct sticky upstreams[];           /* those with the same file have the same seal */
};

struct complaint {
    const struct conf *conf;
    const struct conf_file *about;
    FILE *messages;
};

/* What a file holds, on its way to a seal. */
struct key_file {
    uint8_t text[FILE_BYTES_MAX];
    size_t text_n;
    uint8_t keys[TLS_SEAL_KEYS_MAX * TLS_SEAL_KEY_BYTES];
    size_t keys_n;
};

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

static bool read_text(struct key_file *f, const struct complaint *c)
{
    FILE *in = fopen(c->about->path, "re");
    struct stat st;
    bool good;

    if (in == NULL)
        return complain(c, "cannot be opened: %s", strerror(errno));
    if (fstat(fileno(in), &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < 0 || (uint64_t)st.st_size > sizeof(f->text)) {
        fclose(in);
        return complain(c, "is too large, or no file at all");
    }
    if ((st.st_mode & S_IRWXO) != 0)
        conf_complain(c->conf, c->about, true, c->messages, "%s: everybody on this machine may read the keys, or write them", c->about->path);
    setvbuf(in, NULL, _IONBF, 0);        /* no second copy in stdio's buffer */
    f->text_n = (size_t)st.st_size;
    good = fread(f->text, 1, f->text_n, in) == f->text_n;
    fclose(in);
    return good || complain(c, "cannot be read");
}

static int hex_value(uint8_t c)
{
    uint8_t lower = ascii_lower(c);

    return c >= '0' && c <= '9' ? c - '0' : lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static bool read_hex(struct span line, uint8_t *out)
{
    for (size_t i = 0; i < line.n; i += 2) {
        int high = hex_value(line.p[i]), low = hex_value(line.p[i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool read_key(struct span line, uint8_t out[TLS_SEAL_KEY_BYTES])
{
    uint8_t room[BASE64_BYTES(TLS_SEAL_KEY_BYTES) / 4 * 3];
    bool good;

    if (line.n == HEX_DIGITS)
        return read_hex(line, out);
    good = line.n == BASE64_BYTES(TLS_SEAL_KEY_BYTES) && base64_decode(line, room) == TLS_SEAL_KEY_BYTES;
    if (good)
        memcpy(out, room, TLS_SEAL_KEY_BYTES);
    explicit_bzero(room, sizeof(room));
    return good;
}

static bool is_there(const struct key_file *f, const uint8_t *key)
{
    for (size_t i = 0; i < f->keys_n; i++)
        if (memcmp(f->keys + i * TLS_SEAL_KEY_BYTES, key, TLS_SEAL_KEY_BYTES) == 0)
            return true;
    return false;
}

static bool read_line(struct key_file *f, struct span line, size_t number, const struct complaint *c)
{
    uint8_t *key = f->keys + f->keys_n * TLS_SEAL_KEY_BYTES;

    if (line.n == 0 || line.p[0] == '#')
        return true;
    if (f->keys_n == TLS_SEAL_KEYS_MAX)
        return complain(c, "line %zu: more than %d keys: take the oldest away", number, TLS_SEAL_KEYS_MAX);
    if (!read_key(line, key))
        return complain(c, "line %zu is no key: that is 32 random bytes, in base64 or as 64 hexadecimal digits; `upgate sticky-key` makes one",
                        number);
    if (is_there(f, key))
        return complain(c, "line %zu: this key is there twice", number);
    f->keys_n++;
    return true;
}

static bool read_lines(struct key_file *f, const struct complaint *c)
{
    struct span rest = span_of(f->text, f->text_n);

    for (size_t number = 1; rest.n > 0; number++) {
        size_t end = span_find(rest, '\n');
        struct span line = span_first(rest, end);
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (!read_line(f, token_trim(line), number, c))
            return false;
        rest = span_from(rest, end + 1);
    }
    return f->keys_n > 0 || complain(c, "holds no key: `upgate sticky-key` makes one");
}

static struct tls_seal *load(const struct complaint *c)
{
    struct key_file *f = mem_zalloc(sizeof(*f));
    struct tls_seal *seal = NULL;

    if (f == NULL) {
        complain(c, "out of memory");
        return NULL;
    }
    if (read_text(f, c) && read_lines(f, c) && (seal = tls_seal_new(f->keys, f->keys_n)) == NULL)
        complain(c, "out of memory");
    explicit_bzero(f, sizeof(*f));
    mem_free(f);
    return seal;
}

/* ---- all of a configuration ---- */

static struct tls_seal *find_earlier(const struct sticky_set *s, size_t n, const char *path)
{
    for (size_t i = 0; i < n; i++)
        if (s->upstreams[i].conf != NULL && strcmp(s->upstreams[i].conf->key_file.path, path) == 0)
            return s->upstreams[i].seal;
    return NULL;
}

static bool open_one(struct sticky_set *s, const struct conf *conf, size_t n, FILE *messages)
{
    const struct conf_upstream *upstream = &conf->upstreams[n];
    const struct complaint c = { conf, &upstream->sticky.key_file, messages };
    struct sticky *own = &s->upstreams[n];

    own->set = s;
    own->seal = find_earlier(s, n, upstream->sticky.key_file.path);
    own->conf = &upstream->sticky;
    if (own->seal == NULL)
        own->seal = load(&c);
    s->any |= own->seal != NULL;
    return own->seal != NULL && tls_seal_bind(span_of_text(upstream->name), span_of_text(upstream->sticky.cookie), own->bound);
}

struct sticky_set *sticky_set_new(const struct conf *conf, FILE *messages)
{
    struct sticky_set *s = mem_zalloc(sizeof(*s) + conf->upstreams_n * sizeof(s->upstreams[0]));
    bool good = s != NULL;

    if (s == NULL) {
        fputs("out of memory\n", messages);
        return NULL;
    }
    s->n = conf->upstreams_n;
    for (size_t i = 0; i < s->n; i++)
        if (conf->upstreams[i].sticky_on)
            good = open_one(s, conf, i, messages) && good;
    if (good)
        return s;
    sticky_set_free(s);
    return NULL;
}

void sticky_set_free(struct sticky_set *s)
{
    if (s == NULL)
        return;
    for (size_t i = 0; i < s->n; i++) {
        struct tls_seal *seal = s->upstreams[i].seal;
        for (size_t j = i; seal != NULL && j < s->n; j++)
            if (s->upstreams[j].seal == seal)
                s->upstreams[j].seal = NULL;
        tls_seal_free(seal);
    }
    mem_free(s);
}

bool sticky_set_any(const struct sticky_set *s)
{
    return s != NULL && s->any;
}

void sticky_set_clock(struct sticky_set *s, uint64_t (*now_s)(void))
{
    s->now_s = now_s;
}

const struct sticky *sticky_of(const struct sticky_set *s, size_t upstream)
{
    return s != NULL && s->upstreams[upstream].conf != NULL ? &s->upstreams[upstream] : NULL;
}

/* ---- cookies ---- */

static uint64_t clock_s(const struct sticky *s)
{
    struct timespec now;

    if (s->set->now_s != NULL)
        return s->set->now_s();
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec;
}

const struct conf_sticky *sticky_conf(const struct sticky *s)
{
    return s->conf;
}

enum sealed_verdict sticky_read(const struct sticky *s, struct span value, struct sticky_cookie *out)
{
    uint64_t now_s = clock_s(s);
    struct sealed found;
    enum sealed_verdict verdict = sealed_read(tls_seal_keys(s->seal), s->bound, value, now_s, &found);

    if (verdict == SEALED_GOOD)
        *out = (struct sticky_cookie){ .server = found.server, .ages = now_s > found.issued_s + (found.expires_s - found.issued_s) / 2 };
    return verdict;
}

/* RFC 6265 section 4.1; SameSite as browsers have it. */
static struct span print(const struct conf_sticky *conf, const uint8_t text[SEALED_TEXT_BYTES], bool https, struct arena *a)
{
    static const char *const same_site[] = { [CONF_SAME_SITE_LAX] = "Lax", [CONF_SAME_SITE_STRICT] = "Strict", [CONF_SAME_SITE_NONE] = "None" };
    size_t room = strlen(conf->cookie) + SEALED_TEXT_BYTES + 128;
    char *out = arena_alloc(a, room), age[40] = "";
    bool secure = conf->secure == CONF_SECURE_ON || https;

    if (out == NULL)
        return SPAN_EMPTY;
    if (conf->max_age_ms > 0)
        snprintf(age, sizeof(age), "; Max-Age=%llu", (unsigned long long)conf->max_age_ms / 1000);
    return span_of(out, (size_t)snprintf(out, room, "%s=%.*s; Path=/; HttpOnly; SameSite=%s%s%s", conf->cookie, (int)SEALED_TEXT_BYTES,
                                         (const char *)text, same_site[conf->same_site], secure ? "; Secure" : "", age));
}

bool sticky_write(const struct sticky *s, uint64_t server, bool https, struct arena *a, struct span *out)
{
    uint64_t now_s = clock_s(s), good_s = s->conf->max_age_ms > 0 ? s->conf->max_age_ms / 1000 : STICKY_SESSION_S;
    const struct sealed what = { .server = server, .issued_s = now_s, .expires_s = now_s + good_s };
    uint8_t nonce[SEALED_NONCE_BYTES], text[SEALED_TEXT_BYTES];

    if (getrandom(nonce, sizeof(nonce), 0) != (ssize_t)sizeof(nonce) || !sealed_write(tls_seal_keys(s->seal), nonce, s->bound, &what, text))
        return false;
    *out = print(s->conf, text, https, a);
    return out->p != NULL;
}

int sticky_key_main(FILE *out)
{
    uint8_t key[TLS_SEAL_KEY_BYTES];
    char text[BASE64_BYTES(TLS_SEAL_KEY_BYTES) + 1] = "";

    if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key))
        return 1;
    base64_encode(span_of(key, sizeof(key)), (uint8_t *)text);
    return fprintf(out, "%s\n", text) < 0 || fflush(out) != 0;
}
