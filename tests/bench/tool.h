/* tool: what upgate-bench can be asked to do. */
#ifndef UPGATE_TESTS_BENCH_TOOL_H
#define UPGATE_TESTS_BENCH_TOOL_H

#include "tests/bench/load.h"

/* load.c: commands from standard input, as the measuring scripts give them; none or two arguments, the certificate and key of an origin over TLS */
int load_control(int n, char **arguments);

#endif
