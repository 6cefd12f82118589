/* hashes: password files for tests, with hashes that take as little time as their kind allows. Include it first. */
#ifndef UPGATE_TESTS_GATEWAY_HASHES_H
#define UPGATE_TESTS_GATEWAY_HASHES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <crypt.h>
#include <sys/stat.h>
#include <unistd.h>

/* Static memory, several at a time. */
static inline const char *hash_of_password(const char *kind, unsigned long cost, const char *password)
{
    static char texts[8][CRYPT_OUTPUT_SIZE];
    static size_t next;
    char *text = texts[next++ % 8], salt[CRYPT_GENSALT_OUTPUT_SIZE];
    struct crypt_data *work = calloc(1, sizeof(*work));
    const char *found;

    assert_non_null(work);
    assert_non_null(crypt_gensalt_rn(kind, cost, "0123456789abcdef", 16, salt, sizeof(salt)));
    found = crypt_rn(password, salt, work, sizeof(*work));
    assert_non_null(found);
    snprintf(text, CRYPT_OUTPUT_SIZE, "%s", found);
    free(work);
    return text;
}

static inline const char *cheap_hash(const char *password)
{
    return hash_of_password("$2y$", 4, password);
}

static inline void write_file(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

static inline char *temporary_file(void)
{
    char *path = strdup("/tmp/upgate-passwords-XXXXXX");
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    close(fd);
    return path;
}

static inline void remove_file(char *path)
{
    unlink(path);
    free(path);
}

#endif
