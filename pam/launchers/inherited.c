#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/securebits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "inherited.h"
#include "privileges.h"
#include "rlimits.h"

/* The kernel's value for its first process (init/init_task.c). */
#define TIMER_SLACK 50000

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		errno = 0; /* an older kernel, or a container: it stays as it is */
	close(fd);
}

/* Replaces the session keyring by an empty one (keyctl(2)). Returns 0 or -1. */
static int new_session_keyring(void)
{
	return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 ? -1 : 0;
}

/* Replaces root's session keyring while the new one still counts as root's: a customer who has used
 * up the quota of keys could get none, and would keep root's. A kernel without keys, or a container
 * that may not use them, has no keyring to pass on. */
static void drop_keyring(void)
{
	if (new_session_keyring() && errno != ENOSYS && errno != EPERM && errno != EACCES)
		fail("no session keyring can be had: %s", strerror(errno));
	syscall(SYS_keyctl, KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_DEFAULT);
}

/* Called as the customer: a session keyring of their own, linked to their user keyring, as
 * pam_keyinit(8) does it. When the customer's quota of keys is used up, the empty one stays. */
void join_own_keyring(void)
{
	if (!new_session_keyring())
		syscall(SYS_keyctl, KEYCTL_LINK, KEY_SPEC_USER_KEYRING, KEY_SPEC_SESSION_KEYRING);
}

/* Allows the processors of the first process: all, unless the administrator reserves some
 * (CPUAffinity= of systemd-system.conf(5)). An equal mask is not set again: a mask that was set
 * does not grow when processors are added. */
static void reset_affinity(void)
{
	unsigned long first[1024],
		ours[1024]; /* the kernel writes one bit for each possible processor */
	long size = syscall(SYS_sched_getaffinity, 1, sizeof first, first);

	if (size > 0 && syscall(SYS_sched_getaffinity, 0, sizeof ours, ours) == size &&
	    memcmp(first, ours, (size_t)size))
		syscall(SYS_sched_setaffinity, 0, (size_t)size, first);
}

/* Clears the secure bits. With them, a set-uid program of the customer's would keep capabilities
 * that it gives up (capabilities(7)). */
static void reset_securebits(void)
{
	int bits = prctl(PR_GET_SECUREBITS);

	if (bits > 0 && prctl(PR_SET_SECUREBITS, 0) && bits & SECBIT_NO_SETUID_FIXUP)
		fail("the caller has locked the secure bit no_setuid_fixup");
}

/* Resets what root's process would pass on: the audit system's login uid; OOM score; scheduling,
 * processors and memory policy; resource limits; umask; timers; keys. */
void drop_inherited(const struct passwd *user, bool keep_rlimits)
{
	const struct sched_param none = {0};
	const struct itimerval never = {0};
	char uid[16];

	snprintf(uid, sizeof uid, "%lu", (unsigned long)user->pw_uid);
	write_file("/proc/self/loginuid", uid); /* it may be immutable (auditctl(8)) */
	write_file("/proc/self/oom_score_adj", "0");
	if (sched_getscheduler(0) != SCHED_OTHER) /* setting it costs our place in the queue */
		sched_setscheduler(0, SCHED_OTHER, &none);
	setpriority(PRIO_PROCESS, 0, 0);
	syscall(SYS_ioprio_set, 1, 0, 0);
	reset_affinity();
	syscall(SYS_set_mempolicy, 0, NULL, 0);
	prctl(PR_SET_TIMERSLACK, TIMER_SLACK);
	prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
	prctl(PR_SET_IO_FLUSHER, 0, 0, 0, 0);
	prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
	personality(PER_LINUX);
	setitimer(ITIMER_REAL, &never, NULL);
	setitimer(ITIMER_VIRTUAL, &never, NULL);
	setitimer(ITIMER_PROF, &never, NULL);
	umask(022);
	if (!keep_rlimits)
		reset_rlimits();
	reset_securebits();
	drop_keyring();
}
