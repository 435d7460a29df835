/* storm UID CHILDREN WORD FILE: as UID, forks for ever; so many children at a time, each of which lives for about a
 * millisecond. One that finds WORD in its /proc/self/cgroup at its end adds that line to FILE. Ends with its parent. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void live(const char *word, int to)
{
	struct timespec moment = {.tv_nsec = 200000 + rand() % 2000000};
	char line[4096] = "";
	int from;

	nanosleep(&moment, NULL);
	from = open("/proc/self/cgroup", O_RDONLY);
	if (from < 0 || read(from, line, sizeof line - 1) < 0)
		_exit(1);
	if (strstr(line, word))
		(void)!write(to, line, strlen(line));
	_exit(0);
}

int main(int argc, char **argv)
{
	int most, alive = 0, to;
	uid_t uid;

	if (argc != 5)
		return 2;
	uid = (uid_t)atoi(argv[1]);
	most = atoi(argv[2]);
	to = open(argv[4], O_WRONLY | O_APPEND | O_CREAT, 0666);
	if (to < 0 || setresuid(uid, uid, uid) || prctl(PR_SET_PDEATHSIG, SIGKILL))
		return 1;
	for (;;) {
		pid_t child = alive < most ? fork() : -1;

		srand((unsigned)child);
		if (child == 0)
			live(argv[3], to);
		if (child > 0)
			alive++;
		while (alive > 0 && waitpid(-1, NULL, alive < most ? WNOHANG : 0) > 0)
			alive--;
	}
}
