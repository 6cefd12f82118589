/* version: ours, and those of the libraries that are linked. */
#ifndef UPGATE_GATEWAY_VERSION_H
#define UPGATE_GATEWAY_VERSION_H

#include <stdio.h>

#define UPGATE_VERSION "0.1.0"

void version_print(FILE *out);

#endif
