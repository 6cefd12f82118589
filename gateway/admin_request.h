/* admin_request: a request to the admin endpoint, checked and taken apart.
 *
 * What can be wrong, in this order: the target is none that a server reads (400), there is no Host or more than one (400), the request came
 * through a proxy that calls itself as this gateway does, so that a route may lead here (403), its Host is a name that is not ours: a page of
 * somebody else's may have pointed that name at this address (403, DNS rebinding; not for /metrics and the health checks, which change nothing
 * and which monitoring asks by whatever name it knows), a browser says that another site's page sent it (403, for what changes something), the
 * query is malformed (400). tests/gateway/test_admin_request.c */
#ifndef UPGATE_GATEWAY_ADMIN_REQUEST_H
#define UPGATE_GATEWAY_ADMIN_REQUEST_H

#include "conf/conf.h"
#include "protocol/http1_parse.h"

#define ADMIN_PARAMETERS_MAX 8

enum admin_method { ADMIN_GET, ADMIN_POST, ADMIN_DELETE, ADMIN_OTHER };

struct admin_parameter {
    struct span name, value;             /* decoded */
};

struct admin_request {
    enum admin_method method;            /* HEAD is a GET */
    bool head;
    bool open_metrics;                   /* that form is asked for */
    struct span path;                    /* normalised */
    struct admin_parameter parameters[ADMIN_PARAMETERS_MAX];
    size_t parameters_n;
};

struct admin_verdict {
    unsigned status;                     /* 0: good */
    const char *sentence;                /* static, no full stop */
};

/* What is decoded stands in the arena. via: what this gateway calls itself towards servers. */
struct admin_verdict admin_request_read(struct arena *a, const struct http1_head *head, const struct conf_admin *conf, const char *via,
                                        struct admin_request *out);
/* The value of a parameter; p NULL: it was not given. */
struct span admin_request_value(const struct admin_request *r, const char *name);

#endif
