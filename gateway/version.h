/* version: ours, and those of the libraries that are linked. */
#ifndef UPGATE_GATEWAY_VERSION_H
#define UPGATE_GATEWAY_VERSION_H

#include <stdio.h>

void version_print(FILE *out);

#endif
