/* knobs DIRECTORY UID N: writes without an end, as UID, to the knobs of a cgroup that is UID's own, as systemd delegates
 * one, and of N below it. Says `ready`; what it has made goes when DIRECTORY is taken away. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const knobs[] = {"cgroup.max.depth", "cgroup.max.descendants", "cgroup.freeze"};

int main(int argc, char **argv)
{
	struct rlimit many;
	static int open_knobs[4096];
	int count = 0;
	uid_t uid;

	if (argc != 4 || getrlimit(RLIMIT_NOFILE, &many))
		return 2;
	many.rlim_cur = many.rlim_max;
	setrlimit(RLIMIT_NOFILE, &many);
	uid = (uid_t)atoi(argv[2]);
	if (setgroups(0, NULL) || setresgid(uid, uid, uid) || setresuid(uid, uid, uid))
		return 1;
	for (int i = 0; i <= atoi(argv[3]); i++) {
		char path[512];
		int size = i ? snprintf(path, 400, "%s/%d", argv[1], i) : snprintf(path, 400, "%s", argv[1]);

		if (i && mkdir(path, 0755))
			perror(path);
		for (int k = 0; k < 3; k++) {
			sprintf(path + size, "/%s", knobs[k]);
			open_knobs[count] = open(path, O_WRONLY);
			if (open_knobs[count++] < 0) {
				perror(path);
				return 1;
			}
		}
	}
	puts("ready");
	fflush(stdout);
	for (int i = 0;; i = (i + 1) % count)
		if (pwrite(open_knobs[i], i % 3 == 2 ? "0" : "max", i % 3 == 2 ? 1 : 3, 0) < 0)
			return 1;
}
