/* Room for files. Whoever runs su(1) chooses how many it may open (RLIMIT_NOFILE is inherited, see
 * getrlimit(2)), and so where it comes to a halt. Only root can make room.
 */
#ifndef PAAS_ISOLATE_NOFILE_H
#define PAAS_ISOLATE_NOFILE_H

#include <stdbool.h>
#include <sys/resource.h>

bool nofile_raise(struct rlimit *before);
void nofile_restore(const struct rlimit *before);

#endif
