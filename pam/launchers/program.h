/* Starts a service's program, in the child that becomes it: the customer's ids, environment,
 * directory and resource limits, and nothing of root's. */
#ifndef PAAS_ISOLATE_PROGRAM_H
#define PAAS_ISOLATE_PROGRAM_H

#include <pwd.h>

#include "request.h"

void set_environment(const struct request *request, const struct passwd *user);
void raise_hard_limits(const struct request *request);
__attribute__((noreturn)) void exec_command(const struct request *request, const char *command,
					    int input, int output);
__attribute__((noreturn)) void exec_program(const struct request *request,
					    const struct passwd *user, int nothing, int output);

#endif
