/* The resource limits that a program starts with, whatever the caller's are: the kernel's for its
 * first process, except open files, as systemd sets them (systemd.exec(5)), and processes, which
 * pids.max limits (getrlimit(2)). */
#ifndef PAAS_ISOLATE_RLIMITS_H
#define PAAS_ISOLATE_RLIMITS_H

void reset_rlimits(void);

#endif
