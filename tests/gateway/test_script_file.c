/* Is a script a file below its root: files, folders, links that stay and links that leave. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "gateway/script_file.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64];

static const char *below(const char *name)
{
    static char path[4][256];
    static size_t next;
    char *p = path[next++ % 4];

    snprintf(p, sizeof(path[0]), "%s%s", root, name);
    return p;
}

static void make_file(const char *name)
{
    int fd = open(below(name), O_CREAT | O_WRONLY, 0600);

    assert_true(fd >= 0);
    close(fd);
}

static int make(void **state)
{
    (void)state;
    snprintf(root, sizeof(root), "/tmp/upgate-script-XXXXXX");           /* a folder of its own */
    assert_non_null(mkdtemp(root));
    assert_int_equal(mkdir(below("/www"), 0700), 0);
    assert_int_equal(mkdir(below("/www/sub"), 0700), 0);
    assert_int_equal(mkdir(below("/www/folder.php"), 0700), 0);
    make_file("/out.php");
    make_file("/www/a.php");
    make_file("/www/sub/b.php");
    assert_int_equal(symlink("sub/b.php", below("/www/stays.php")), 0);
    assert_int_equal(symlink("../a.php", below("/www/sub/up.php")), 0);
    assert_int_equal(symlink("../out.php", below("/www/leaves.php")), 0);
    assert_int_equal(symlink(below("/out.php"), below("/www/absolute.php")), 0);
    assert_int_equal(symlink("..", below("/www/away")), 0);
    assert_int_equal(symlink("loop.php", below("/www/loop.php")), 0);
    assert_int_equal(symlink("nowhere.php", below("/www/dangling.php")), 0);
    assert_int_equal(symlink("www", below("/current")), 0);
    return 0;
}

static int unmake(void **state)
{
    static const char *const names[] = { "/www/stays.php", "/www/sub/up.php", "/www/leaves.php", "/www/absolute.php", "/www/away",
                                         "/www/loop.php", "/www/dangling.php", "/current", "/www/a.php", "/www/sub/b.php", "/out.php" };
    static const char *const folders[] = { "/www/sub", "/www/folder.php", "/www", "" };

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlink(below(names[i]));
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        assert_int_equal(rmdir(below(folders[i])), 0);
    return 0;
}

static void files_and_links(void **state)
{
    static const struct {
        const char *name;
        int inside, anywhere;
    } rows[] = {
        { "/a.php", 0, 0 },
        { "/sub/b.php", 0, 0 },
        { "/stays.php", 0, 0 },
        { "/sub/up.php", 0, 0 },
        { "/leaves.php", -EXDEV, 0 },
        { "/absolute.php", -EXDEV, 0 },
        { "/away/out.php", -EXDEV, 0 },
        { "/away/www/a.php", -EXDEV, 0 },                /* it comes back, and was outside all the same */
        { "/folder.php", -EISDIR, -EISDIR },
        { "/nix.php", -ENOENT, -ENOENT },
        { "/dangling.php", -ENOENT, -ENOENT },
        { "/loop.php", -ELOOP, -ELOOP },
        { "/a.php/b.php", -ENOTDIR, -ENOTDIR },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (int linked = 0; linked < 2; linked++) {     /* a root that is a link itself is the operator's choice */
            const char *www = below(linked ? "/current" : "/www");
            struct span name = span_of_text(rows[i].name);
            int inside = script_file_check(www, name, CONF_SYMLINKS_INSIDE);
            if (inside != rows[i].inside)
                fail_msg("%s: %s", rows[i].name, strerror(-inside));
            assert_int_equal(script_file_check(www, name, CONF_SYMLINKS_ANYWHERE), rows[i].anywhere);
            assert_int_equal(script_file_check(www, name, CONF_SYMLINKS_UNCHECKED), 0);
        }
    }
    assert_int_equal(script_file_check(below("/none"), SPAN_LITERAL("/a.php"), CONF_SYMLINKS_INSIDE), -ENOENT);
}

static void long_names(void **state)
{
    char name[9000];

    (void)state;
    for (size_t n = 200; n < sizeof(name); n += 977) {
        memset(name, 'x', n);
        for (size_t i = 0; i < n; i += 100)
            name[i] = '/';
        assert_true(script_file_check(root, span_of(name, n), CONF_SYMLINKS_INSIDE) < 0);
        assert_true(script_file_check(root, span_of(name, n), CONF_SYMLINKS_ANYWHERE) < 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(files_and_links), cmocka_unit_test(long_names) };

    return cmocka_run_group_tests(tests, make, unmake);
}
