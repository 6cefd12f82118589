/* generation: one configuration in force, as all threads share it: immutable, counted, freed by whoever lets go of it last.
 *
 * What is made of a configuration before the workers see it, and is the same for all of them, hangs here, too. A worker's own view of a
 * generation, with everything that changes, is a snapshot. */
#ifndef UPGATE_GATEWAY_GENERATION_H
#define UPGATE_GATEWAY_GENERATION_H

#include "gateway/names.h"
#include "gateway/passwords.h"
#include "gateway/server_set.h"
#include "gateway/sticky.h"
#include "gateway/tally.h"
#include "gateway/tls_ctx.h"
#include "protocol/ws_scan.h"

#define GENERATION_SCANS 4               /* directions, each with and without permessage-deflate */

struct generation {
    _Atomic size_t holders;
    struct conf *conf;
    struct server_set **sets;            /* held; in the order of conf->upstreams */
    struct tls_set *tls;                 /* certificates and keys */
    struct passwords_set *passwords;
    struct sticky_set *sticky;
    struct tally **routes, **upstreams;  /* held; what is counted for each, in the order of the conf. Routes that are called the same share one */
    struct ws_scan_rules (*scan_rules)[GENERATION_SCANS];        /* of the tunnels of each route: generation_scan_rules */
    unsigned workers;
    unsigned number;                     /* 1 is what the gateway started with; each reload that succeeds is the next */
};

/* Takes the conf, whatever comes of it. It follows `before`, if there is one: upstreams of the same name whose servers are spoken to in the same
 * way have the same set. NULL: no memory. The caller holds it. */
struct generation *generation_new(struct conf *conf, const struct generation *before, unsigned workers);
/* Before anybody else sees it: reads what files the conf names: certificates, keys, passwords, keys of cookies. False: something is wrong with them;
 * `messages` have it, in the form of conf_load_file. tickets: keys that listeners without a file of their own share; they outlive every generation. */
bool generation_load(struct generation *g, struct tls_tickets *tickets, FILE *messages);
bool generation_has_secrets(const struct generation *g); /* loaded: there are keys in memory */
/* It comes into force, or names stand for something else: its sets, which it may share with the one before, get the members and places that it
 * wants. names NULL: each is one server. Cannot fail: without memory such a set keeps its members, which is said in the log. */
void generation_enforce(struct generation *g, const struct names *names, uint64_t now_ms);
/* Its parts, for a generation of somebody else's making: false: no memory. close is what undoes it, whether or not it went well. */
bool generation_open_parts(struct generation *g, const struct generation *before);
void generation_close_parts(struct generation *g);
struct generation *generation_hold(struct generation *g);
void generation_release(struct generation **g);          /* NULL-safe, *g becomes NULL; in any thread */

/* By what a tunnel of this route scans what comes from one side; as long as the generation. */
const struct ws_scan_rules *generation_scan_rules(const struct generation *g, const struct conf_route *route, bool from_client, bool deflate);

/* What people call a route: its host and path, "=" before a path that is the whole one, "/" where there is neither. */
#define GENERATION_ROUTE_NAME 256        /* longer ones are cut */
const char *generation_route_name(const struct conf_route *route, char out[GENERATION_ROUTE_NAME]);

/* The listener of `now` that is the same as this one of `before`: it has the same address, and (of several with a port that the kernel
 * chooses) the same place among them. NULL: there is none any more. */
const struct conf_listener *generation_same_listener(const struct conf *now, const struct conf *before, const struct conf_listener *listener);

#endif
