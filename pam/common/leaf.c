#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "leaf.h"

/* Opens the file PATH, relative to the directory AT. Returns a descriptor or -1. */
int leaf_open(int at, const char *path, int flags)
{
	/* O_NONBLOCK: the path may be a fifo. O_NOCTTY: or a terminal. */
	return openat(at, path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

/* Closes FD without changing errno. */
static void leaf_close(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
}

/* Returns 1 when the cgroup is frozen whose cgroup.events is PATH, relative to AT: a process that
 * enters it waits until the thaw. Returns 0 when it is not frozen, -1 on failure; errno is EXDEV
 * when PATH is in no cgroup. */
int leaf_frozen(int at, const char *path)
{
	char text[256];
	ssize_t size = -1;
	struct statfs found;
	int fd = leaf_open(at, path, O_RDONLY);

	if (fd < 0)
		return -1;
	if (!fstatfs(fd, &found)) {
		if (found.f_type == CGROUP2_SUPER_MAGIC)
			size = read(fd, text, sizeof text - 1);
		else
			errno = EXDEV;
	}
	leaf_close(fd);
	if (size < 0)
		return -1;
	text[size] = '\0';
	return strstr(text, "frozen 1") != NULL;
}

/* Reads the number in the file PATH, relative to AT, into *NUMBER. Returns false when there is no
 * such file, or it contains `max`. */
bool leaf_number(int at, const char *path, unsigned long *number)
{
	char text[32];
	ssize_t size;
	int fd = leaf_open(at, path, O_RDONLY);

	if (fd < 0)
		return false;
	size = read(fd, text, sizeof text - 1);
	leaf_close(fd);
	if (size <= 0 || text[0] < '0' || text[0] > '9')
		return false;
	text[size] = '\0';
	*number = strtoul(text, NULL, 10);
	return true;
}

/* Moves a process into the cgroup whose cgroup.procs is PATH, relative to AT. TEXT is its pid.
 * Returns 0 or -1. */
int leaf_write(int at, const char *path, const char *text)
{
	int fd = leaf_open(at, path, O_WRONLY);
	ssize_t written;

	if (fd < 0)
		return -1;
	written = write(fd, text, strlen(text));
	leaf_close(fd);
	return written == (ssize_t)strlen(text) ? 0 : -1;
}

/* Moves this process into that cgroup. Returns 0 or -1. */
int leaf_enter(int at, const char *path)
{
	return leaf_write(at, path, "0");
}
