/* So many processes that change their own memory without end, each of which holds its mmap_lock to do so.
 *
 * hammer NUMBER. Under cpu.max they are throttled while they hold it. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <signal.h>
#include <unistd.h>

#define SIZE (1 << 24)

int main(int argc, char **argv)
{
	int number = argc == 2 ? atoi(argv[1]) : 1;
	char *own;

	while (--number > 0 && fork())
		;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	own = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (own == MAP_FAILED)
		return 1;
	for (;;) {
		mprotect(own, SIZE, PROT_READ);
		mprotect(own, SIZE, PROT_READ | PROT_WRITE);
	}
}
