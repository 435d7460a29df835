/* toggler ONE OTHER [COUNT]: as a set-uid helper of OTHER's that ONE runs, becomes one and the other without an end, in
 * so many processes. Ends with its parent. */
#define _GNU_SOURCE
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	uid_t one, other;

	if (argc < 3)
		return 2;
	one = (uid_t)atoi(argv[1]);
	other = (uid_t)atoi(argv[2]);
	(void)!setgroups(0, NULL);
	if (setresuid(one, other, other))
		return 1;
	for (int count = argc > 3 ? atoi(argv[3]) : 1; count > 1; count--)
		if (fork() == 0)
			break;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		if (setreuid(geteuid(), getuid()))
			return 1;
}
