/* Room for files. Whoever runs su(1) chooses how many it may open (RLIMIT_NOFILE is inherited, see getrlimit(2)), and so
 * where it comes to a halt. Only root can make room.
 */
#ifndef PAAS_ISOLATE_ROOM_H
#define PAAS_ISOLATE_ROOM_H

#include <errno.h>
#include <stdbool.h>
#include <sys/resource.h>

/* More than anybody has open, and less than fs.nr_open allows. */
#define ROOM_FILES 65536

/* Makes room, until it is given back; what was allowed before is in *BEFORE. Without CAP_SYS_RESOURCE no more than what
 * the hard limit leaves. False where there is none to be had. */
static inline bool room_make(struct rlimit *before)
{
	struct rlimit more = {ROOM_FILES, ROOM_FILES};

	if (getrlimit(RLIMIT_NOFILE, before) || before->rlim_cur >= ROOM_FILES)
		return false;
	if (before->rlim_max > ROOM_FILES)
		more.rlim_max = before->rlim_max;
	if (!setrlimit(RLIMIT_NOFILE, &more))
		return true;
	more.rlim_cur = more.rlim_max = before->rlim_max;
	return before->rlim_cur < before->rlim_max && !setrlimit(RLIMIT_NOFILE, &more);
}

static inline void room_give_back(const struct rlimit *before)
{
	int saved = errno;

	(void)setrlimit(RLIMIT_NOFILE, before);
	errno = saved;
}

#endif
