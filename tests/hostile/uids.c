/* uids: sleep with the uids that we were begun with, as a set-uid program that never drops them.
 * uids REAL EFFECTIVE SAVED FILES: take these first. */
#define _GNU_SOURCE
#include <grp.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct held[2];
	uid_t uids[4];

	for (int i = 0; argc == 5 && i < 4; i++)
		uids[i] = (uid_t)atoi(argv[i + 1]);
	if (argc == 5) {
		(void)!setgroups(0, NULL);
		if (prctl(PR_SET_KEEPCAPS, 1) || setresuid(uids[0], uids[1], uids[2]))
			return 1;
		if (syscall(SYS_capget, &head, held))
			return 1;
		held[0].effective = held[0].permitted;
		if (syscall(SYS_capset, &head, held))
			return 1;
		setfsuid(uids[3]);
	}
	for (;;)
		pause();
}
