/* The shim supervises a program, as the same customer: it takes the program's output, runs its
 * health checks, records how it ended, and sends a notification when it was not asked to end. */
#ifndef PAAS_ISOLATE_SHIM_H
#define PAAS_ISOLATE_SHIM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "output.h"
#include "request.h"

/* The descriptor of the run's record. */
#define RECORD 4

/* Periods of cpu.max in which a cgroup wanted to run, and those of them in which it was throttled
 * (cgroup-v2.rst, cpu.stat: nr_periods, nr_throttled). */
struct periods {
	unsigned long long all, throttled;
};

struct shim {
	const struct request *request;
	struct output out;
	/* `why`: a pipe on which the program's child writes why it could not execute the program.
	 * `cpu`: cpu.stat of the leaf and of the account. `members`: cgroup.procs of the leaf. */
	int output, signals, why, cpu[2], members;
	pid_t program, checker;
	/* Failed health checks, in tenths. One of a throttled leaf counts one tenth, and not
	 * nothing: a program in an endless loop is always throttled. */
	unsigned long failures;
	int64_t next_check, check_ends;
	/* Of the leaf and of the account when the current check began. */
	struct periods periods[2];
	/* The program's exit status, or the signal that killed it. */
	int status;
	bool killed, asked, unhealthy;
};

__attribute__((format(printf, 1, 2))) void record_line(const char *format, ...);
int open_null(void);
void read_output(struct shim *shim);
void supervise(struct shim *shim);
void notify_failure(struct shim *shim, const char *how);
void load_log_tail(struct output *out);
void record_end(struct shim *shim);

#endif
