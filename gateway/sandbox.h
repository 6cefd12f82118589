/* sandbox: what the gateway can never need, it cannot do: whoever breaks into it finds no other file, no other program and few system calls.
 *
 *   files   (sandbox_files.c, Landlock)   reads the folders of what the configuration names, /etc and the system's libraries; writes the
 *           access log's folder, folders for bodies, and those in which unix sockets of listeners are
 *   calls   (sandbox_calls.c, seccomp)    a list of what is allowed. Anything else fails with EPERM, and the log says once for each call
 *           which it was: a call that somebody misses does not end the gateway's tunnels
 *
 * It holds for the whole process, from before its threads are started, and cannot be undone. A kernel that lacks one of the two is said in the
 * log; the gateway runs without it. tests/gateway/test_sandbox.c, tests/system/test_sandbox.py */
#ifndef UPGATE_GATEWAY_SANDBOX_H
#define UPGATE_GATEWAY_SANDBOX_H

#include "conf/conf.h"

/* Before libuv's first loop. */
void sandbox_prepare(const struct conf *c);
/* file: where the conf came from, which a reload reads again; NULL: from the command line. false: it was to be had, and failed (in the log). */
bool sandbox_enter(const struct conf *c, const char *file);

/* Its parts: 1: in force, 0: this kernel has none, or a negative errno. */
int sandbox_restrict_files(const struct conf *c, const char *file);
int sandbox_restrict_calls(void);

#endif
