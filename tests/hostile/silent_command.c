/* A process whose command line cannot be read, as where a throttled one keeps its memory locked, but for good.
 *
 * silent_command PAGE UID, where PAGE is the file of silent_fs. A child reads that page in the memory of its parent: the
 * kernel holds the parent's mmap_lock while it waits for the file. A thread of the parent waits for the same lock to
 * write, and so does every reader behind it, as those of /proc/PID/cmdline. It says `ready` just before; SIGKILL ends
 * both. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

static void read_of_parent(const void *page)
{
	char path[64], byte;
	int memory;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(path, sizeof path, "/proc/%d/mem", (int)getppid());
	memory = open(path, O_RDONLY);
	_exit(memory < 0 || pread(memory, &byte, 1, (off_t)(uintptr_t)page) != 1);
}

__attribute__((noreturn)) static void *write_for_ever(void *own)
{
	for (;;)
		mprotect(own, 1, PROT_READ);
}

int main(int argc, char **argv)
{
	uid_t uid = argc == 3 ? (uid_t)atoi(argv[2]) : 0;
	int file = argc == 3 ? open(argv[1], O_RDONLY) : -1;
	void *page, *own;
	pthread_t thread;

	if (file < 0 || setresgid(uid, uid, uid) || setresuid(uid, uid, uid) || prctl(PR_SET_DUMPABLE, 1)) {
		perror("silent_command");
		return 1;
	}
	page = mmap(NULL, 4096, PROT_READ, MAP_SHARED, file, 0);
	own = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED || own == MAP_FAILED)
		return 1;
	if (!fork())
		read_of_parent(page);
	usleep(200000);
	if (write(STDOUT_FILENO, "ready\n", 6) != 6)
		return 1;
	if (pthread_create(&thread, NULL, write_for_ever, own))
		return 1;
	for (;;)
		pause();
}
