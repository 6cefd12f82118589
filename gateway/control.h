/* control: the main thread's loop: it binds, starts the workers, hears signals, drains, reads the configuration again, and waits for the end. */
#ifndef UPGATE_GATEWAY_CONTROL_H
#define UPGATE_GATEWAY_CONTROL_H

#include "conf/conf.h"

/* argv: the program's, for USR2. Takes the conf, which came from this file (NULL: from the command line). Runs until a signal ends it. The process's exit code: 0, or 1
 * when it could not start (said in the log).
 *   TERM, INT  drain: no more accepting, exchanges finish, tunnels get a Close; a second one ends at once
 *   QUIT       end at once            USR1  reopen the access log
 *   USR2       the installed binary takes over the listening sockets; when it is ready, this process drains
 *   HUP        read the file again; what is wrong with it changes nothing */
int control_run(char *const *argv, struct conf *conf, const char *file, size_t *handles_left_out);      /* handles_left: 0, or there is a bug */

#endif
