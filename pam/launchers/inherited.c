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

/* The kernel's own for its first process (init/init_task.c). */
#define TIMER_SLACK 50000

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		errno = 0; /* an older kernel, a container: then it is as it was */
	close(fd);
}

/* An empty session keyring in the place of the one there is (keyctl(2)). 0 or -1. */
static int new_session_keyring(void)
{
	return syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 ? -1 : 0;
}

/* Root's session keyring goes before the customer is who pays for a new one: they may have used up
 * their quota of keys, and would keep root's. A kernel without keys, or a container that is denied
 * them, has none to give away. */
static void drop_keyring(void)
{
	if (new_session_keyring() && errno != ENOSYS && errno != EPERM && errno != EACCES)
		fail("no session keyring can be had: %s", strerror(errno));
	syscall(SYS_keyctl, KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_DEFAULT);
}

/* As the customer: a session keyring of their own, from which their user keyring is found, as
 * pam_keyinit(8) has it. Where their quota of keys is used up the empty one stays. */
void join_own_keyring(void)
{
	if (!new_session_keyring())
		syscall(SYS_keyctl, KEYCTL_LINK, KEY_SPEC_USER_KEYRING, KEY_SPEC_SESSION_KEYRING);
}

/* The processors of the first process: all, unless the administrator keeps some apart (CPUAffinity=
 * of systemd-system.conf(5)). Nothing is set that is so already: what is set would not grow with
 * the machine. */
static void reset_affinity(void)
{
	unsigned long first[1024],
		ours[1024]; /* the kernel writes no more than it has processors */
	long size = syscall(SYS_sched_getaffinity, 1, sizeof first, first);

	if (size > 0 && syscall(SYS_sched_getaffinity, 0, sizeof ours, ours) == size &&
	    memcmp(first, ours, (size_t)size))
		syscall(SYS_sched_setaffinity, 0, (size_t)size, first);
}

/* Of a set-uid program of theirs the customer would keep what it gives up (capabilities(7), secure
 * bits). */
static void reset_securebits(void)
{
	int bits = prctl(PR_GET_SECUREBITS);

	if (bits > 0 && prctl(PR_SET_SECUREBITS, 0) && bits & SECBIT_NO_SETUID_FIXUP)
		fail("the caller has locked the secure bit no_setuid_fixup");
}

/* Who root is to the audit system; its place among those that are killed last; its share of the
 * processor and of memory; its resource limits, its umask, its timers, its keys. */
void drop_inherited(const struct passwd *user, bool keep_rlimits)
{
	const struct sched_param none = {0};
	const struct itimerval never = {0};
	char uid[16];

	snprintf(uid, sizeof uid, "%lu", (unsigned long)user->pw_uid);
	write_file("/proc/self/loginuid", uid); /* it may be immutable (auditctl(8)) */
	write_file("/proc/self/oom_score_adj", "0");
	if (sched_getscheduler(0) != SCHED_OTHER) /* to set it again costs a place in the queue */
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
