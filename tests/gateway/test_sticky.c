/* Key files: what is read, what is refused and in which words. Cookies under real keys: what any gateway reads, and what none does. */
#include "tests/gateway/hashes.h"

#include "gateway/sticky.h"
#include "gateway/tls_library.h"
#include "gateway/tls_seal.h"
#include "protocol/mem.h"

#define KEY_A "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_A_HEX "000102030405060708090a0B0C0D0E0F101112131415161718191a1b1c1d1e1f"
#define KEY_B "/////////////////////////////////////////v4="

static char *path, *said;
static uint64_t now_s = 1700000000;

static uint64_t test_clock(void)
{
    return now_s;
}

static int begin(void **state)
{
    (void)state;
    assert_int_equal(tls_library_begin(), 0);
    path = temporary_file();
    return 0;
}

static int end(void **state)
{
    (void)state;
    remove_file(path);
    free(said);
    said = NULL;
    tls_library_end();
    return 0;
}

static struct conf *conf_for(const char *keys)
{
    char text[1000];
    struct conf *c;

    snprintf(text, sizeof(text),
             "listeners: [ 8080 ]\nupstreams:\n  a: { servers: [ 1 ], sticky: { key_file: %s%s } }\n  b: { servers: [ 2 ] }\n"
             "  c: { servers: [ 3 ], sticky: { key_file: %s, cookie: other } }\n"
             "routes: [ { upstream: a, match: { path: /a } }, { upstream: c, match: { path: /c } }, { upstream: b } ]\n", path, keys, path);
    c = conf_load_text("f.yaml", span_of_text(text), stderr);
    assert_non_null(c);
    return c;
}

static struct sticky_set *load_again(const struct conf *c)
{
    size_t n;
    FILE *messages;
    struct sticky_set *s;

    free(said);
    messages = open_memstream(&said, &n);
    s = sticky_set_new(c, messages);
    fclose(messages);
    if (s != NULL)
        sticky_set_clock(s, test_clock);
    return s;
}

static struct sticky_set *load(const struct conf *c, const char *text)
{
    write_file(path, text);
    return load_again(c);
}

/* The value of the cookie alone, in static memory. */
static struct span issue(const struct sticky_set *s, size_t upstream, uint64_t server)
{
    static uint8_t text[SEALED_TEXT_BYTES];
    struct arena arena;
    struct span field;
    size_t equals;

    arena_init(&arena, 4096);
    assert_true(sticky_write(sticky_of(s, upstream), server, false, &arena, &field));
    equals = span_find(field, '=');
    memcpy(text, field.p + equals + 1, sizeof(text));
    assert_int_equal(field.p[equals + 1 + sizeof(text)], ';');
    arena_free(&arena);
    return span_of(text, sizeof(text));
}

static void key_files(void **state)
{
    static const char *const good[] = { KEY_A, KEY_A "\n", "# a comment\n\n  " KEY_A_HEX " \r\n" KEY_B };
    static const struct {
        const char *text, *message;
    } bad[] = {
        { "", "holds no key: `upgate sticky-key` makes one" },
        { "# nothing\n", "holds no key" },
        { "secret\n", "line 1 is no key: that is 32 random bytes, in base64 or as 64 hexadecimal digits; `upgate sticky-key` makes one" },
        { KEY_B "\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\n", "line 2 is no key" },
        { KEY_B "\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=\n", "line 2 is no key" },
        { "000102030405060708090a0B0C0D0E0F101112131415161718191a1b1c1d1e1g", "line 1 is no key" },
        { "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==", "line 1 is no key" },
        { KEY_A "\n\n" KEY_A_HEX "\n", "line 3: this key is there twice" },
    };
    struct conf *c = conf_for("");

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        struct sticky_set *s = load(c, good[i]);
        assert_non_null(s);
        assert_true(sticky_set_any(s));
        assert_string_equal(said, "");
        assert_non_null(sticky_of(s, 0));
        assert_null(sticky_of(s, 1));
        sticky_set_free(s);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char due[400];
        assert_null(load(c, bad[i].text));
        snprintf(due, sizeof(due), "f.yaml:3:44: %s: %s", path, bad[i].message);
        if (strncmp(said, due, strlen(due)) != 0)
            fail_msg("is: %s\ndue: %s", said, due);
    }
    conf_free(c);
}

static void more_of_files(void **state)
{
    struct conf *c = conf_for("");
    char many[17 * 70] = "";
    struct sticky_set *s;

    (void)state;
    for (unsigned i = 0; i < 17; i++)
        snprintf(many + strlen(many), sizeof(many) - strlen(many), "%02x%s\n", i, &KEY_A_HEX[2]);
    assert_null(load(c, many));
    assert_non_null(strstr(said, "line 17: more than 16 keys"));
    chmod(path, 0644);
    s = load(c, KEY_A "\n");
    assert_non_null(s);
    assert_non_null(strstr(said, "warning: "));
    assert_non_null(strstr(said, "everybody on this machine may read the keys"));
    sticky_set_free(s);
    unlink(path);
    mkdir(path, 0700);
    assert_null(load_again(c));
    assert_non_null(strstr(said, "is too large, or no file at all"));
    rmdir(path);
    assert_null(load_again(c));
    assert_non_null(strstr(said, "cannot be opened: No such file"));
    conf_free(c);
}

static void attributes(void **state)
{
    static const struct {
        const char *keys, *tail;
        bool https;
    } rows[] = {
        { "", "; Path=/; HttpOnly; SameSite=Lax", false },
        { "", "; Path=/; HttpOnly; SameSite=Lax; Secure", true },
        { ", secure: on, same_site: none", "; Path=/; HttpOnly; SameSite=None; Secure", false },
        { ", same_site: strict, max_age: 2h", "; Path=/; HttpOnly; SameSite=Strict; Max-Age=7200", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct conf *c = conf_for(rows[i].keys);
        struct sticky_set *s = load(c, KEY_A);
        struct arena arena;
        struct span field;
        arena_init(&arena, 4096);
        assert_true(sticky_write(sticky_of(s, 0), 1, rows[i].https, &arena, &field));
        assert_true(span_starts_with(field, SPAN_LITERAL("upgate=")));
        assert_true(span_equal(span_from(field, 7 + SEALED_TEXT_BYTES), span_of_text(rows[i].tail)));
        arena_free(&arena);
        sticky_set_free(s);
        conf_free(c);
    }
}

/* Another process with the same file, or with the same key among others, reads it; it expires; it is renewed from half its time on. */
static void there_and_back(void **state)
{
    struct conf *c = conf_for(", max_age: 100s");
    struct sticky_set *one = load(c, KEY_A), *two = load(c, KEY_B "\n" KEY_A_HEX "\n"), *other = load(c, KEY_B);
    struct sticky_cookie found = { 0 };
    struct span value = issue(one, 0, UINT64_C(0xfeedfacecafebeef));
    uint8_t first[SEALED_TEXT_BYTES];

    (void)state;
    memcpy(first, value.p, sizeof(first));
    assert_int_equal(sticky_read(sticky_of(two, 0), value, &found), SEALED_GOOD);
    assert_true(found.server == UINT64_C(0xfeedfacecafebeef));
    assert_false(found.ages);
    assert_int_equal(sticky_read(sticky_of(one, 2), value, &found), SEALED_FORGED);      /* another upstream */
    assert_int_equal(sticky_read(sticky_of(other, 0), value, &found), SEALED_FOREIGN);
    now_s += 51;
    assert_int_equal(sticky_read(sticky_of(two, 0), value, &found), SEALED_GOOD);
    assert_true(found.ages);
    now_s += 49;
    assert_int_equal(sticky_read(sticky_of(two, 0), value, &found), SEALED_EXPIRED);
    value = issue(one, 0, UINT64_C(0xfeedfacecafebeef));
    assert_memory_not_equal(first, value.p, sizeof(first));
    value = issue(two, 2, 1);                    /* sealed with B, which is first there */
    assert_int_equal(sticky_read(sticky_of(other, 2), value, &found), SEALED_GOOD);
    assert_int_equal(sticky_read(sticky_of(one, 2), value, &found), SEALED_FOREIGN);
    sticky_set_free(one);
    sticky_set_free(two);
    sticky_set_free(other);
    conf_free(c);
}

/* Every bit that is authenticated, changed. */
static void no_bit_may_change(void **state)
{
    struct conf *c = conf_for("");
    struct sticky_set *s = load(c, KEY_A);
    uint8_t value[SEALED_BYTES], text[SEALED_TEXT_BYTES];
    struct sticky_cookie found;

    (void)state;
    assert_int_equal(base64url_decode(issue(s, 0, 42), value), SEALED_BYTES);
    for (size_t bit = 0; bit < 8 * SEALED_BYTES; bit++) {
        enum sealed_verdict due = bit < 8 ? SEALED_MALFORMED : bit < 8 * 5 ? SEALED_FOREIGN : SEALED_FORGED;
        value[bit / 8] ^= (uint8_t)(1 << bit % 8);
        base64url_encode(span_of(value, sizeof(value)), text);
        assert_int_equal(sticky_read(sticky_of(s, 0), span_of(text, sizeof(text)), &found), due);
        value[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    base64url_encode(span_of(value, sizeof(value)), text);
    assert_int_equal(sticky_read(sticky_of(s, 0), span_of(text, sizeof(text)), &found), SEALED_GOOD);
    sticky_set_free(s);
    conf_free(c);
}

/* A value that was made once by another implementation (Python's cryptography, by what the headers say): what was written is read for ever. */
static void a_value_of_old(void **state)
{
    static const char text[] = "AZjwlrdkZWZnaGlqa2xtbm9wcXJzdHV2d3h5entIEEUzcyl8_sSPLzE5u9rzSsJPeY0xfBUSaUlf0it-b1eHq48oyxuL";
    struct conf *c = conf_for("");
    struct sticky_set *s = load(c, KEY_A);
    struct sticky_cookie found = { 0 };

    (void)state;
    now_s = 1700000000;
    assert_int_equal(sticky_read(sticky_of(s, 0), span_of_text(text), &found), SEALED_GOOD);
    assert_true(found.server == UINT64_C(0x0102030405060708));
    sticky_set_free(s);
    conf_free(c);
}

static void names_are_not_run_together(void **state)
{
    uint8_t a[SEALED_BOUND_BYTES], b[SEALED_BOUND_BYTES];

    (void)state;
    assert_true(tls_seal_bind(SPAN_LITERAL("ab"), SPAN_LITERAL("c"), a));
    assert_true(tls_seal_bind(SPAN_LITERAL("a"), SPAN_LITERAL("bc"), b));
    assert_memory_not_equal(a, b, sizeof(a));
}

static void a_key_is_made(void **state)
{
    char *text = NULL;
    size_t n;
    FILE *out = open_memstream(&text, &n);
    struct conf *c = conf_for("");
    struct sticky_set *s;

    (void)state;
    assert_int_equal(sticky_key_main(out), 0);
    assert_int_equal(sticky_key_main(out), 0);
    fclose(out);
    s = load(c, text);                           /* two, and not the same */
    assert_non_null(s);
    sticky_set_free(s);
    free(text);
    conf_free(c);
}

static void every_allocation_fails(void **state)
{
    struct conf *c = conf_for("");
    size_t before;
    bool failed = true;

    (void)state;
    write_file(path, KEY_A "\n" KEY_B "\n");
    before = mem_live_blocks();
    for (size_t n = 1; failed; n++) {
        struct sticky_set *s;
        mem_fail_nth(n);
        s = load_again(c);
        failed = s == NULL;
        mem_fail_nth(0);
        if (failed)
            assert_non_null(strstr(said, "out of memory"));
        sticky_set_free(s);
        assert_int_equal(mem_live_blocks(), before);
        assert_true(n < 100);
    }
    conf_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_files),      cmocka_unit_test(more_of_files),     cmocka_unit_test(attributes),
        cmocka_unit_test(there_and_back), cmocka_unit_test(no_bit_may_change), cmocka_unit_test(a_value_of_old),
        cmocka_unit_test(a_key_is_made),  cmocka_unit_test(names_are_not_run_together), cmocka_unit_test(every_allocation_fails),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
