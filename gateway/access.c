#include "gateway/access.h"

#include <netinet/in.h>
#include <string.h>

static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    uint8_t rest = (uint8_t)(0xff00u >> (bits % 8));

    if (memcmp(a, b, bits / 8) != 0)
        return false;
    return bits % 8 == 0 || ((a[bits / 8] ^ b[bits / 8]) & rest) == 0;
}

bool access_in_networks(const struct conf_network *networks, size_t n, const struct sockaddr *address)
{
    static const uint8_t mapped[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
    const uint8_t *bytes = NULL;
    int family = address->sa_family;

    if (family == AF_INET) {
        bytes = (const uint8_t *)&((const struct sockaddr_in *)(const void *)address)->sin_addr;
    } else if (family == AF_INET6) {
        bytes = (const uint8_t *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
        if (memcmp(bytes, mapped, sizeof(mapped)) == 0) {
            bytes += sizeof(mapped);
            family = AF_INET;
        }
    }
    for (size_t i = 0; i < n; i++)
        if (networks[i].family == family && (bytes == NULL || same_prefix(bytes, networks[i].bytes, networks[i].prefix_bits)))
            return true;
    return false;
}
