/* script_file: is a script that a path names a file below its root, as far as this machine can see?
 *
 * Asked before an application hears of it, since some go looking for other files when the one that was named is not there. What is seen
 * here may have changed when the application opens it: who can write below the root can do worse than that.
 *
 * It blocks for as long as the file system takes to look up one name, as a file server's `open` would. tests/gateway/test_script_file.c */
#ifndef UPGATE_GATEWAY_SCRIPT_FILE_H
#define UPGATE_GATEWAY_SCRIPT_FILE_H

#include "conf/conf.h"
#include "protocol/span.h"

/* `name` begins with a slash and is added to `root`. 0: it is a file. Else negative errno: -ENOENT, -ENOTDIR and their like; -EXDEV: a
 * link leads out of the root; -EISDIR: it is there, and is no file. */
int script_file_check(const char *root, struct span name, enum conf_symlinks symlinks);

#endif
