/* conf_advice: what works, but not for long, not for many, or not for the operator alone. The configuration beside facts of the machine,
 * which are handed in; each piece of advice is a sentence that says what to do. Pure. tests/conf/test_conf_advice.c */
#ifndef UPGATE_CONF_CONF_ADVICE_H
#define UPGATE_CONF_CONF_ADVICE_H

#include "conf/conf.h"

struct conf_machine {                    /* 0: not known */
    bool root;                           /* the process is root's */
    uint64_t descriptors;                /* files that the process may have open */
    uint64_t somaxconn;                  /* connections that wait to be accepted, at each listening socket */
    uint64_t ports;                      /* local ports for connections to one server's address */
};

typedef void conf_advice_say(void *ctx, const char *sentence);
void conf_advise(const struct conf *c, const struct conf_machine *machine, conf_advice_say *say, void *ctx);

#endif
