#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <sys/resource.h>

#include "nofile.h"

/* More descriptors than a process usually has open, and fewer than fs.nr_open allows. */
#define NOFILE_RAISED 65536

/* Raises the limit of open files until nofile_restore(); *BEFORE is the limit before. Without
 * CAP_SYS_RESOURCE it is raised to the hard limit only. Returns false when it cannot be raised. */
bool nofile_raise(struct rlimit *before)
{
	struct rlimit more = {NOFILE_RAISED, NOFILE_RAISED};

	if (getrlimit(RLIMIT_NOFILE, before) || before->rlim_cur >= NOFILE_RAISED)
		return false;
	if (before->rlim_max > NOFILE_RAISED)
		more.rlim_max = before->rlim_max;
	if (!setrlimit(RLIMIT_NOFILE, &more))
		return true;
	more.rlim_cur = more.rlim_max = before->rlim_max;
	return before->rlim_cur < before->rlim_max && !setrlimit(RLIMIT_NOFILE, &more);
}

void nofile_restore(const struct rlimit *before)
{
	int saved = errno;

	(void)setrlimit(RLIMIT_NOFILE, before);
	errno = saved;
}
