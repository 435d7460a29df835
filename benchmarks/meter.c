/* Reads the files of one sample of all accounts and their leaves: what metering
 * would cost in C.
 *
 * usage: meter USERS ROUNDS FILE...
 *
 * USERS is the directory of accounts. Each directory is opened once in each
 * round, and each file in it opened, read and closed; a file that is not there
 * is passed over. Prints the nanoseconds of CPU time of the fastest round and
 * the number of directories. */

#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static char **files;
static char buffer[8192];
static long directories;

static long long used(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void read_files(int directory)
{
	for (char **file = files; *file; file++) {
		int fd = openat(directory, *file, O_RDONLY | O_CLOEXEC);

		if (fd < 0 && errno == ENOENT)
			continue;
		if (fd < 0 || read(fd, buffer, sizeof buffer) < 0)
			err(1, "%s", *file);
		close(fd);
	}
}

static void sample(int above, const char *name, int depth)
{
	int directory = openat(above, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;
	DIR *listed;

	if (directory < 0 || !(listed = fdopendir(directory)))
		err(1, "%s", name);
	if (depth) {
		read_files(directory);
		directories++;
	}
	while (depth < 2 && (entry = readdir(listed)))
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			sample(directory, entry->d_name, depth + 1);
	closedir(listed);
}

int main(int argc, char **argv)
{
	long long best = 0;

	if (argc < 4)
		errx(2, "usage: meter USERS ROUNDS FILE...");
	files = argv + 3;
	for (int rounds = atoi(argv[2]); rounds > 0; rounds--) {
		long long begin = used(), took;

		directories = 0;
		sample(AT_FDCWD, argv[1], 0);
		took = used() - begin;
		if (!best || took < best)
			best = took;
	}
	printf("%lld %ld\n", best, directories);
	return 0;
}
