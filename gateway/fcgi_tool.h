/* fcgi_tool: `upgate fcgi`, a request to a FastCGI server from the command line, as curl would make one over HTTP.
 *
 * It speaks through the same protocol/ code as the gateway's backend: what it sends is what the gateway would send, and what
 * it refuses the gateway would refuse. One request on one connection, then the end. Bodies stream both ways. */
#ifndef UPGATE_GATEWAY_FCGI_TOOL_H
#define UPGATE_GATEWAY_FCGI_TOOL_H

/* E(name, exit code, sentence): curl's codes where curl has the case, so that scripts can be kept. */
#define FCGI_TOOL_EXITS(E)                                                                                                     \
    E(GOOD, 0, "the request was answered")                                                                                     \
    E(USAGE, 2, "the command line is not understood")                                                                          \
    E(RESOLVE, 6, "the host's name has no address")                                                                            \
    E(CONNECT, 7, "no connection to the server")                                                                               \
    E(FAULT, 8, "the server broke the FastCGI protocol, or the application the form of a CGI reply")                           \
    E(TRUNCATED, 18, "the connection or the reply ended too early")                                                            \
    E(STATUS, 22, "with --fail: the answer's status is 400 or more")                                                           \
    E(OUTPUT, 23, "what came cannot be written")                                                                               \
    E(BODY, 26, "what is to be sent cannot be read")                                                                           \
    E(MEMORY, 27, "there is not enough memory")                                                                                \
    E(TIMEOUT, 28, "the server was silent, or the whole took longer, than is allowed")                                         \
    E(APPLICATION, 100, "the application ended the request with an exit status that is not 0")                                 \
    E(REFUSED, 101, "the server refused the request: overloaded, no multiplexing, or unknown role")

enum fcgi_tool_exit {
#define FCGI_TOOL_EXIT_ENUM(name, code, sentence) FCGI_TOOL_##name = code,
    FCGI_TOOL_EXITS(FCGI_TOOL_EXIT_ENUM)
#undef FCGI_TOOL_EXIT_ENUM
};

/* argv[0] is how the tool calls itself in messages. The exit code of the process. */
int fcgi_tool_main(int argc, char **argv);

#endif
