/* no_leader UID [COUNT]: as UID, end the first thread while another runs: /proc/PID/stat says Z for good. With COUNT
 * the other thread begins so many more of its kind, one after another, each by a child of its own. */
#define _GNU_SOURCE
#include <grp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static char **arguments;

static void *stay(void *count)
{
	int more = *(int *)count;
	char text[16] = {(char)('0' + more - 1), 0};

	if (more > 0 && fork() == 0) {
		execl("/proc/self/exe", arguments[0], arguments[1], text, NULL);
		_exit(1);
	}
	for (;;)
		sleep(1000);
}

int main(int argc, char **argv)
{
	static int count;
	pthread_t other;
	uid_t uid;

	if (argc < 2)
		return 2;
	arguments = argv;
	uid = (uid_t)atoi(argv[1]);
	count = argc > 2 ? atoi(argv[2]) : 0;
	(void)!setgroups(0, NULL);
	if (setresgid(uid, uid, uid) || setresuid(uid, uid, uid) || pthread_create(&other, NULL, stay, &count))
		return 1;
	syscall(SYS_exit, 0);
	return 0;
}
