/* sshd UID [direct]: stands for sshd. Listens, and makes a process for one connection, which makes one of UID's and does
 * not wait for its end; with `direct` the one that listens makes it itself. Tells the pids on one line: of who listens,
 * of the connection's (0) and of the user's. Ends with its parent. */
#define _GNU_SOURCE
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

static pid_t user(uid_t uid)
{
	pid_t child = fork();

	if (child != 0)
		return child;
	(void)!setgroups(0, NULL);
	if (setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
		_exit(1);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uid_t uid;

	if (argc < 2 || listener < 0 || listen(listener, 1))
		return 1;
	uid = (uid_t)atoi(argv[1]);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (argc > 2) {
		printf("%d 0 %d\n", getpid(), user(uid));
	} else if (fork() == 0) {
		close(listener);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		printf("%d %d ", getppid(), getpid());
		fflush(stdout);
		printf("%d\n", user(uid));
	}
	fflush(stdout);
	for (;;)
		pause();
}
