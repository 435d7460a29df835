/* watch ROOT FIRST LAST: writes down where the processes of customers are, ten times a second until SIGTERM.
 *
 * A line each time that a process is seen for the first time with a uid from FIRST to LAST, or as somebody else or
 * somewhere else than before: seconds since the boot, pid, its real, effective, saved and file system uid, its name
 * and its cgroup. The last line is `looked TIMES SECONDS CPU`. ROOT is /proc. In C, for the processor is emulated.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PIDS (1 << 22) /* the most that pid_max can be */

static volatile sig_atomic_t over;

/* What was written last about a pid: 0 for nothing, 1 for a thread of the kernel, which is never looked at again. */
static unsigned known[PIDS];

static void stop(int number)
{
	(void)number;
	over = 1;
}

static double now(clockid_t which)
{
	struct timespec time;

	clock_gettime(which, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void sleep_until(double when)
{
	const double left = when - now(CLOCK_MONOTONIC);
	const struct timespec rest = {.tv_nsec = (long)(left * 1e9)};

	if (left > 0)
		nanosleep(&rest, NULL);
}

/* The text of a small file below AT. False when it is not there any more. */
static bool text_of(int at, const char *pid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t got;
	int file;

	snprintf(path, sizeof path, "%.16s/%s", pid, name);
	file = openat(at, path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return false;
	got = read(file, text, size - 1);
	close(file);
	text[got > 0 ? got : 0] = '\0';
	return got > 0;
}

/* Some number from 2 on, and another one (all but surely) when anything in TEXT is another. */
static unsigned sum(const char *text)
{
	unsigned value = 5381;

	while (*text)
		value = value * 33 + (unsigned char)*text++;
	return value < 2 ? 2 : value;
}

static void look_at(int proc, const char *name, unsigned long first, unsigned long last)
{
	unsigned long pid = strtoul(name, NULL, 10), uid[4];
	char status[2048], cgroup[512], line[768], called[32], *at;
	bool customer = false;

	if (pid >= PIDS || known[pid] == 1 || !text_of(proc, name, "status", status, sizeof status))
		return;
	if (strstr(status, "\nKthread:\t1")) {
		known[pid] = 1;
		return;
	}
	at = strstr(status, "\nUid:");
	if (!at || strstr(status, "\nState:\tZ") || strstr(status, "\nState:\tX") ||
	    sscanf(at, "\nUid: %lu %lu %lu %lu", uid, uid + 1, uid + 2, uid + 3) != 4 ||
	    sscanf(status, "Name: %31[^\n]", called) != 1)
		return;
	for (int i = 0; i < 4; i++)
		customer |= uid[i] >= first && uid[i] <= last;
	if (!customer || !text_of(proc, name, "cgroup", cgroup, sizeof cgroup))
		return;
	cgroup[strcspn(cgroup, "\n")] = '\0';
	for (at = called; *at; at++)
		*at = *at == ' ' ? '_' : *at;
	snprintf(line, sizeof line, "%s %lu %lu %lu %lu %s %s", name, uid[0], uid[1], uid[2], uid[3], called,
		 cgroup + strcspn(cgroup, "/"));
	if (known[pid] == sum(line))
		return;
	known[pid] = sum(line);
	printf("%.3f %s\n", now(CLOCK_MONOTONIC), line);
}

int main(int argc, char **argv)
{
	const struct sigaction action = {.sa_handler = stop};
	const double begin = now(CLOCK_MONOTONIC);
	double next = begin;
	struct dirent *entry;
	unsigned long times = 0;
	DIR *proc;

	if (argc != 4 || !(proc = opendir(argv[1])))
		return 2;
	sigaction(SIGTERM, &action, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	for (; !over; times++) {
		next = (next > now(CLOCK_MONOTONIC) - 0.1 ? next : now(CLOCK_MONOTONIC)) + 0.1; /* late: no catching up */
		rewinddir(proc);
		while ((entry = readdir(proc)))
			if (*entry->d_name >= '1' && *entry->d_name <= '9')
				look_at(dirfd(proc), entry->d_name, strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10));
		sleep_until(next);
	}
	printf("looked %lu %.3f %.3f\n", times, now(CLOCK_MONOTONIC) - begin, now(CLOCK_PROCESS_CPUTIME_ID));
	return 0;
}
