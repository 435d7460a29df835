#define _GNU_SOURCE
#include <errno.h>
#include <sys/resource.h>

#include "privileges.h"
#include "rlimits.h"

void reset_rlimits(void)
{
	static const struct {
		int which;
		struct rlimit limit;
	} usual[] = {
		{RLIMIT_AS, {RLIM_INFINITY, RLIM_INFINITY}},
		{RLIMIT_CORE, {0, RLIM_INFINITY}},
		{RLIMIT_CPU, {RLIM_INFINITY, RLIM_INFINITY}},
		{RLIMIT_DATA, {RLIM_INFINITY, RLIM_INFINITY}},
		{RLIMIT_FSIZE, {RLIM_INFINITY, RLIM_INFINITY}},
		{RLIMIT_LOCKS, {RLIM_INFINITY, RLIM_INFINITY}},
		{RLIMIT_MEMLOCK, {8 << 20, 8 << 20}},
		{RLIMIT_MSGQUEUE, {819200, 819200}},
		{RLIMIT_NICE, {0, 0}},
		{RLIMIT_NOFILE, {1024, 524288}},
		{RLIMIT_NPROC, {RLIM_INFINITY, RLIM_INFINITY}},
		{RLIMIT_RSS, {RLIM_INFINITY, RLIM_INFINITY}},
		{RLIMIT_RTPRIO, {0, 0}},
		{RLIMIT_RTTIME, {RLIM_INFINITY, RLIM_INFINITY}},
		{RLIMIT_STACK, {8 << 20, RLIM_INFINITY}},
	};

	for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
		struct rlimit limit = usual[i].limit, now;

		if (!setrlimit((unsigned)usual[i].which, &limit) || errno != EPERM)
			continue;
		/* Root of a container may raise no hard limit: then the limit is as high as root's
		 * own. */
		if (!getrlimit((unsigned)usual[i].which, &now)) {
			limit.rlim_max = now.rlim_max;
			if (limit.rlim_cur > limit.rlim_max)
				limit.rlim_cur = limit.rlim_max;
			setrlimit((unsigned)usual[i].which, &limit);
		}
	}
}
