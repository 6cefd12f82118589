#include "gateway/version.h"
#include "conf/conf.h"

#include <llhttp.h>
#include <mbedtls/version.h>
#include <uv.h>
#include <wslay/wslay.h>

void version_print(FILE *out)
{
    char mbedtls[18];

    mbedtls_version_get_string(mbedtls);
    fprintf(out, "upgate %s\nlibuv %s\nllhttp %d.%d.%d\nmbedTLS %s\nwslay %s\nlibyaml %s\n", UPGATE_VERSION, uv_version_string(),
            LLHTTP_VERSION_MAJOR, LLHTTP_VERSION_MINOR, LLHTTP_VERSION_PATCH, mbedtls, WSLAY_VERSION, conf_yaml_version());
}
