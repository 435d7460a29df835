/* The request that starts a service, as linux/services/launch.py writes it: KEY=VALUE texts, each
 * ended by a NUL. Only root writes it, so an unknown key is a bug of ours and ends the launch. */
#ifndef PAAS_ISOLATE_REQUEST_H
#define PAAS_ISOLATE_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/resource.h>

#define REQUEST_MAX_BYTES (512 << 10)
#define RLIMITS_MAX 16

struct request {
	const char *user, *account, *service, *name, *command, *directory, *environment_file, *log,
		*health, *mail, *hook, *view, *views, *ended;
	unsigned long log_max, log_keep, umask, health_every, health_failures;
	bool no_new_privs, last_try, job;
	struct {
		int which;
		rlim_t value;
	} rlimits[RLIMITS_MAX];
	int rlimit_count;
	/* NAME=VALUE texts, each ended by a NUL: `environment` bytes at `variables`. */
	char *variables;
	size_t environment;
};

struct request read_request(void);

#endif
