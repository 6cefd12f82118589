/* echo: the application behind the proxies of the FastCGI benchmark, the same over HTTP/1.1 and over FastCGI.
 *
 * A request with a body gets that body back, one without gets LOAD_BODY; connections are kept where the other side wants it. As
 * little as can be done is done, so that it is not the limit; its peers are well-behaved proxies. */
#ifndef UPGATE_TESTS_BENCH_ECHO_H
#define UPGATE_TESTS_BENCH_ECHO_H

enum echo_protocol { ECHO_HTTP, ECHO_FCGI, ECHO_PROTOCOLS };

unsigned echo_start(enum echo_protocol protocol);     /* the port */

#endif
