/* fcgi_script: which script a path means, and what of the path is left over for it (RFC 3875 section 4.1).
 *
 * Works on bytes: nothing is folded, and a position is never found in one text and used in another. What is decided:
 *
 *   script: NAME    every request is for that one script (a front controller). PATH_INFO is what follows the script's own
 *                   path, where the request's path begins with it, and empty otherwise: the application reads REQUEST_URI. No
 *                   path is refused.
 *   split: SUFFIX   the script is the first segment that ends in the suffix, byte for byte, and is longer; the rest is
 *                   PATH_INFO. A path that ends in a slash and has no such segment means the index script of that folder.
 *                   Others name no script (FAULT_FCGI_SCRIPT): /x.PHP, /x.php.jpg, /x.php%20, /folder.
 *   neither         the application is not a file: SCRIPT_NAME is empty (RFC 3875 section 4.1.13), PATH_INFO is all of it.
 *
 * The path is decoded once and strictly. Refused (FAULT_TARGET): bad escapes, control characters (NUL, CR, LF …) and
 * backslashes, plain or encoded, dot segments (`.` and `..`), and with `split` an encoded slash, as RFC 3875 section 4.1.5
 * allows. Empty segments are dropped in front of the script, where a file system would not see them, and kept in PATH_INFO.
 *
 * Whether the file exists, and whether a symbolic link leads out of the root, can only be asked of the file system: that has
 * to be done before an application sees the name, since some go looking for other files when it is not there.
 * tests/protocol/test_fcgi_script.c */
#ifndef UPGATE_PROTOCOL_FCGI_SCRIPT_H
#define UPGATE_PROTOCOL_FCGI_SCRIPT_H

#include "protocol/arena.h"
#include "protocol/fault.h"

struct fcgi_script_rules {
    struct span root;                    /* a folder, absolute; may be empty when there is neither script nor split */
    struct span script;                  /* below the root, with or without a slash in front; empty: none */
    struct span split;                   /* ".php"; empty: none */
    struct span index;                   /* "index.php"; empty: a folder has none */
};

struct fcgi_script {
    struct span name;                    /* SCRIPT_NAME: begins with a slash, or is empty */
    struct span filename;                /* SCRIPT_FILENAME: root and name; empty when the application is not a file */
    struct span path_info;               /* PATH_INFO: begins with a slash, or is empty */
    struct span path_translated;         /* PATH_TRANSLATED: root and path_info; empty without either */
};

/* `path` is the target's path as received, without the query ("*" for the asterisk form). FAULT_NONE, FAULT_TARGET,
 * FAULT_FCGI_SCRIPT, FAULT_NO_MEMORY. */
enum fault fcgi_script_find(struct arena *a, const struct fcgi_script_rules *rules, struct span path, struct fcgi_script *out);

#endif
