/* Says in which cgroup it is: in its first instruction, and a second later. Static, so that nothing comes before.
 *
 * Called `shell` it is somebody's login shell: between the two it starts /bin/sh with its own arguments, and it ends as
 * that does. Called otherwise it stays for the seconds that its argument says. What it says goes to the file `words`
 * beside it, a line each: pid, real uid, `first` or `later`, cgroup.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void tell(const char *moment)
{
	char cgroup[512] = "", line[640], words[512] = "";
	int own = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC), log;

	if (own < 0 || read(own, cgroup, sizeof cgroup - 1) < 0 ||
	    readlink("/proc/self/exe", words, sizeof words - sizeof "words") < 0)
		exit(99);
	cgroup[strcspn(cgroup, "\n")] = '\0';
	strcpy(strrchr(words, '/') + 1, "words");
	snprintf(line, sizeof line, "%d %d %s %s\n", getpid(), getuid(), moment, cgroup + strcspn(cgroup, "/"));
	log = open(words, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (log < 0 || write(log, line, strlen(line)) < 0)
		exit(99);
	close(own);
	close(log);
}

/* Though signals come meanwhile: a shell's user may press keys. */
static void rest(time_t seconds)
{
	struct timespec left = {.tv_sec = seconds};

	while (nanosleep(&left, &left))
		continue;
}

int main(int argc, char **argv)
{
	const char *name = strrchr(argv[0], '/');
	int status = 0;
	pid_t child;

	tell("first");
	if (strcmp(name ? name + 1 : argv[0], "shell") && strcmp(argv[0], "-shell")) {
		rest(1);
		tell("later");
		rest(argc > 1 ? atoi(argv[1]) : 0);
		return 0;
	}
	child = fork();
	if (child == 0) {
		argv[0] = "sh";
		execv("/bin/sh", argv);
		_exit(127);
	}
	rest(1);
	tell("later");
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 98;
}
