/* Resource limits that a program begins with, whoever has called us: those of the kernel for its
 * first process, but for open files, where it is what systemd gives (systemd.exec(5)), and
 * processes, which pids.max counts (getrlimit(2)). */
#ifndef PAAS_ISOLATE_RLIMITS_H
#define PAAS_ISOLATE_RLIMITS_H

void reset_rlimits(void);

#endif
