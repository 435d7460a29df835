/* The shim of a program, as the customer that it runs as: takes its output, tries its health, notes
 * how it ended, and tells of an end that nobody asked for. */
#ifndef PAAS_ISOLATE_SHIM_H
#define PAAS_ISOLATE_SHIM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "output.h"
#include "request.h"

/* The descriptor of the record. */
#define RECORD 4

/* Periods of cpu.max in which a cgroup wanted to run, and those in which it was kept from it
 * (cgroup-v2.rst, cpu.stat). */
struct periods {
	unsigned long long all, throttled;
};

struct shim {
	const struct request *request;
	struct output out;
	/* `why`: the program's child says there what keeps it from becoming the program. `cpu`:
	 * cpu.stat of the leaf and of the account. */
	int output, signals, why, cpu[2], members;
	pid_t program, checker;
	/* In tenths: those of a leaf without CPU time count little, but something, for who spins
	 * without end has none. */
	unsigned long failures;
	int64_t next_check, check_ends;
	/* Of the leaf and of the account when the check began. */
	struct periods periods[2];
	/* Of the program: its exit status, or the signal that killed it. */
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
