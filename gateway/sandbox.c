#include "gateway/sandbox.h"
#include "gateway/log.h"

#include <string.h>

static bool say(const char *what, const char *name, int result)
{
    if (result == 0)
        log_warn("sandbox: this kernel has no %s: %s are not restricted", name, what);
    if (result < 0)
        log_error("sandbox: %s: %s; `sandbox: off` starts without it", name, strerror(-result));
    return result >= 0;
}

bool sandbox_enter(const struct conf *c, const char *file)
{
    int files, calls;

    if (!c->sandbox) {
        log_warn("sandbox: off: neither files nor system calls are restricted");
        return true;
    }
    files = sandbox_restrict_files(c, file);
    calls = files < 0 ? 0 : sandbox_restrict_calls();
    if (!say("files", "Landlock", files) || !say("system calls", "seccomp", calls))
        return false;
    if (files > 0 && calls > 0)
        log_info("sandbox: on");
    return true;
}
