/* Raising the limit of open files. A user who calls su(1) chooses that limit (RLIMIT_NOFILE is
 * inherited, see getrlimit(2)), and so the place where the module fails. Only root can raise it. */
#ifndef PAAS_ISOLATE_NOFILE_H
#define PAAS_ISOLATE_NOFILE_H

#include <stdbool.h>
#include <sys/resource.h>

bool nofile_raise(struct rlimit *before);
void nofile_restore(const struct rlimit *before);

#endif
