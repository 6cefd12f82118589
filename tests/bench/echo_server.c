/* echo_server: the echo by itself, as a tool: `echo_server` prints "http PORT fcgi PORT" and serves until it is ended. */
#include "tests/bench/echo.h"
#include "tests/bench/net.h"

#include <stdio.h>

int main(void)
{
    unsigned http, fcgi;

    net_init();
    http = echo_start(ECHO_HTTP);
    fcgi = echo_start(ECHO_FCGI);
    printf("http %u fcgi %u\n", http, fcgi);
    fflush(stdout);
    for (;;)
        net_turn(-1);
}
