/* enter DOORS UID TIMES: how long a process takes to enter the view of UID, each time another:
 * microseconds, a line each. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../pam/common/view.h"

int main(int argc, char **argv)
{
	struct timespec begun, ended;

	for (int left = argc == 4 ? atoi(argv[3]) : 0; left > 0; left--) {
		pid_t child = fork();

		if (child == 0) {
			clock_gettime(CLOCK_MONOTONIC, &begun);
			enum view found = view_enter(argv[1], (uid_t)atoi(argv[2]));
			clock_gettime(CLOCK_MONOTONIC, &ended);
			if (found == VIEW_BROKEN)
				_exit(1);
			printf("%.2f\n", (double)(ended.tv_sec - begun.tv_sec) * 1e6 +
						 (double)(ended.tv_nsec - begun.tv_nsec) / 1e3);
			fflush(stdout);
			_exit(0);
		}
		int status;
		if (waitpid(child, &status, 0) != child || status)
			return 1;
	}
	return 0;
}
