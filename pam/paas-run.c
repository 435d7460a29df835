/* paas-run: begins the program of one service inside the leaf of its account, and stays beside it as its keeper: takes
 * its output, tries its health, and notes how it ended. For reconcile alone, which decides what runs at all.
 *
 * Standard input is the request (request.h), descriptor 3 the directory of the leaf, descriptor 4 the record of this run,
 * to which the keeper adds lines: `main PID START KEEPER TIME`, `unhealthy TIME`, `exit STATUS TIME` or `signal NUMBER TIME`.
 * Standard output gets `PID START` when the program has begun. A request that says how it `ended` begins no program: it
 * has those told who are to hear of that, where the keeper could not. The keeper is the customer's, and cannot be traced by
 * them; when it is killed the record is closed, which wakes whoever watches it. See paas-run(8).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROGRAM "paas-run"
#include "customer.h"
#include "keeper.h"
#include "leaf.h"
#include "output.h"
#include "program.h"
#include "request.h"
#include "view.h"

/* The descriptor of the leaf. */
#define LEAF 3

/* Milliseconds: what has not begun by then sits in a frozen leaf. */
#define BEGIN_MOST 10000

/* When a process started, in clock ticks since boot: field 22 of /proc/PID/stat. 0 where that is not told. */
static unsigned long long start_of(pid_t pid)
{
	char path[64], text[1024];
	const char *at;
	unsigned long long start = 0;
	ssize_t size;
	int fd;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	size = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	if (size <= 0)
		return 0;
	text[size] = '\0';
	at = strrchr(text, ')');
	for (int field = 2; at && field < 22; field++)
		at = strchr(at + 1, ' ');
	if (at)
		start = strtoull(at, NULL, 10);
	return start;
}

/* Becomes the customer, for good. */
static void settle(struct keeper *keeper, const struct passwd *user, int null)
{
	dup2(null, STDERR_FILENO);
	close(null);
	become(user);
	own_keyring();
	prctl(PR_SET_DUMPABLE, 0);
	keeper->out.log = open_log(keeper->request);
}

/* In the place of a keeper that was killed together with its program: tells whom it would have told. */
__attribute__((noreturn)) static void be_messenger(struct keeper *keeper, const struct passwd *user, int null)
{
	const char *ended = keeper->request->ended;

	close(LEAF);
	dprintf(STDERR_FILENO, "%d %llu\n", (int)getpid(), start_of(getpid()));
	settle(keeper, user, null);
	recall(&keeper->out);
	say(&keeper->out, "ended with %s", ended);
	tell_others(keeper, ended);
	_exit(0);
}

/* Begins the program, as root; becomes the customer; keeps it. TELL hears of the beginning, or why there is none: from
 * root alone, for a customer stops what is theirs whenever they like, and nobody waits for that. */
__attribute__((noreturn)) static void be_keeper(struct keeper *keeper, const struct passwd *user, int tell)
{
	int null = nothing(), pipes[2];
	unsigned long long start;
	sigset_t heard;

	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(tell, STDERR_FILENO);
	close(tell);
	setsid();
	if (chdir("/"))
		fail("/: %s", strerror(errno));
	drop_inherited(user, false);
	allow_limits(keeper->request);
	take_groups(user);
	if (keeper->request->view && view_enter_called(keeper->request->views, keeper->request->view) != VIEW_ENTERED)
		fail("the view of the account cannot be entered: %s", strerror(errno));
	sigemptyset(&heard);
	sigaddset(&heard, SIGCHLD);
	sigaddset(&heard, SIGTERM);
	sigprocmask(SIG_BLOCK, &heard, NULL);
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	keeper->signals = signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK);
	if (null < 0 || keeper->signals < 0 || pipe2(pipes, O_CLOEXEC))
		fail("%s", strerror(errno));
	/* Theirs, or they could not open /dev/stderr and /proc/self/fd/1 (pipe(7) gives it to its maker). */
	if (fchown(pipes[1], user->pw_uid, user->pw_gid))
		fail("%s", strerror(errno));
	fcntl(pipes[0], F_SETFL, O_NONBLOCK);
	fcntl(RECORD, F_SETFD, FD_CLOEXEC);
	environment_of(keeper->request, user);
	if (keeper->request->ended)
		be_messenger(keeper, user, null);
	keeper->program = fork();
	if (keeper->program < 0)
		fail("no process can be had: %s", strerror(errno));
	if (!keeper->program)
		run_program(keeper->request, user, null, pipes[1]);
	close(pipes[1]);
	close(LEAF);
	keeper->output = pipes[0];
	start = start_of(keeper->program);
	note("main %d %llu %d", (int)keeper->program, start, (int)getpid());
	dprintf(STDERR_FILENO, "%d %llu\n", (int)keeper->program, start);
	settle(keeper, user, null);
	keep(keeper);
	drain(keeper);
	tell_end(keeper);
	_exit(0);
}

/* A child that is in the leaf from its first instruction on, without the wait that a move costs (clone(2),
 * CLONE_INTO_CGROUP); with MOVE by way of cgroup.procs. 0 in the child. */
static pid_t fork_into_leaf(bool move)
{
	struct clone_args how = {.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = LEAF};
	pid_t child = move ? fork() : (pid_t)syscall(SYS_clone3, &how, sizeof how);

	if (!child && move && leaf_enter(LEAF, "cgroup.procs"))
		child = -1;
	if (child < 0 && errno == EAGAIN)
		fail("the leaf is full (pids.max)");
	if (child < 0)
		fail("the leaf cannot be entered: %s", strerror(errno));
	return child;
}

/* What the keeper says when the program has begun, or why it has not, into TEXT: its size; -1 where it was killed before
 * its first instruction. */
static ssize_t begin(struct keeper *keeper, const struct passwd *user, char *text, size_t most, bool move)
{
	struct pollfd answer;
	int ends[2], status = 0;
	ssize_t size = 0, more;
	pid_t child;

	if (pipe2(ends, O_CLOEXEC))
		fail("%s", strerror(errno));
	child = fork_into_leaf(move);
	if (!child) {
		close(ends[0]);
		be_keeper(keeper, user, ends[1]);
	}
	close(ends[1]);
	answer = (struct pollfd){.fd = ends[0], .events = POLLIN};
	do { /* words come in pieces; a line is all that is said */
		if (poll(&answer, 1, BEGIN_MOST) != 1) {
			kill(child, SIGKILL);
			fail("the program has not begun after %d s; is the leaf frozen?", BEGIN_MOST / 1000);
		}
		more = read(ends[0], text + size, most - (size_t)size);
		size += more > 0 ? more : 0;
	} while (more > 0 && text[size - 1] != '\n' && (size_t)size < most);
	close(ends[0]);
	if (size > 0)
		return size;
	waitpid(child, &status, 0);
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
		return -1;
	fail("the keeper has ended and said nothing");
}

int main(void)
{
	struct request request;
	struct keeper keeper = {.request = &request, .out = {.request = &request}};
	struct passwd user;
	char text[512];
	ssize_t size;
	bool begun;

	if (getuid() || geteuid())
		fail("this is for root alone");
	request = read_request();
	user = user_called(request.user);
	keeper.out.journal = open_journal();
	fcntl(LEAF, F_SETFD, FD_CLOEXEC);
	size = begin(&keeper, &user, text, sizeof text, false);
	/* Linux 6.14 and later end whoever is cloned into a cgroup that cgroup.kill has ever been written to: they compare
	 * its count of kills with that of the cgroup which the clone came from (kernel/cgroup/cgroup.c, kill_seq). */
	if (size < 0)
		size = begin(&keeper, &user, text, sizeof text, true);
	if (size < 0)
		fail("the program was killed before it began");
	begun = *text >= '0' && *text <= '9';
	return write(begun ? STDOUT_FILENO : STDERR_FILENO, text, (size_t)size) == size && begun ? 0 : OWN_FAILURE;
}
