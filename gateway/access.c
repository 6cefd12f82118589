#include "gateway/access.h"

#include <string.h>
#include <sys/socket.h>

static bool same_prefix(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    uint8_t rest = (uint8_t)(0xff00u >> (bits % 8));

    if (memcmp(a, b, bits / 8) != 0)
        return false;
    return bits % 8 == 0 || ((a[bits / 8] ^ b[bits / 8]) & rest) == 0;
}

static int family_of(const struct net_address *a)
{
    switch (a->family) {
    case NET_IP4:
        return AF_INET;
    case NET_IP6:
        return AF_INET6;
    case NET_UNIX:
        return AF_UNIX;
    case NET_UNKNOWN:
        break;
    }
    return AF_UNSPEC;
}

bool access_in_networks(const struct conf_network *networks, size_t n, const struct net_address *address)
{
    int family = family_of(address);

    for (size_t i = 0; i < n; i++)
        if (networks[i].family == family &&
            (family == AF_UNIX || same_prefix(address->bytes, networks[i].bytes, networks[i].prefix_bits)))
            return true;
    return false;
}

bool access_admits(const struct conf_admission *admission, const struct net_address *address)
{
    if (access_in_networks(admission->deny, admission->deny_n, address))
        return false;
    return admission->allow_n == 0 || access_in_networks(admission->allow, admission->allow_n, address);
}
