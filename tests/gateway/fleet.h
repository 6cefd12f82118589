/* fleet: a set of servers for tests: addresses 10.0.0.1:80, 10.0.0.2:80 … with weights of the test's choice. */
#ifndef UPGATE_TESTS_GATEWAY_FLEET_H
#define UPGATE_TESTS_GATEWAY_FLEET_H

#include "gateway/server_set.h"

#include <stdio.h>
#include <string.h>

#define FLEET_MAX 128

struct fleet_conf {
    struct conf_server servers[FLEET_MAX];
    struct server_wish wishes[FLEET_MAX];
    char hosts[FLEET_MAX][48], texts[FLEET_MAX][64];
    size_t n;
};

/* weights NULL: each 1. */
static inline void fleet_conf(struct fleet_conf *f, size_t n, const unsigned *weights)
{
    memset(f, 0, sizeof(*f));
    f->n = n;
    for (size_t i = 0; i < n; i++) {
        struct conf_address *a = &f->servers[i].address;
        snprintf(f->hosts[i], sizeof(f->hosts[i]), "10.0.%zu.%zu", i / 200, 1 + i % 200);
        snprintf(f->texts[i], sizeof(f->texts[i]), "%s:80", f->hosts[i]);
        *a = (struct conf_address){ .kind = CONF_ADDRESS_IP, .host = f->hosts[i], .port = 80, .text = f->texts[i] };
        f->servers[i].weight = weights != NULL ? weights[i] : 1;
        f->wishes[i] = (struct server_wish){ .conf = &f->servers[i], .address = a };
    }
}

#endif
