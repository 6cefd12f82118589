/* advice: the facts of this machine that conf_advise wants to know. */
#ifndef UPGATE_GATEWAY_ADVICE_H
#define UPGATE_GATEWAY_ADVICE_H

#include "conf/conf_advice.h"

void advice_print(const struct conf *c, FILE *out);      /* at -t: a line each */
void advice_log(const struct conf *c);                   /* at the start: a warning each */

#endif
