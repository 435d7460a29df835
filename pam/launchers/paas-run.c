/* paas-run: puts a shim into the leaf of an account, which begins the program of one service there
 * and stays beside it: takes its output, tries its health, and notes how it ended. For reconcile
 * alone, which decides what runs at all.
 *
 * Standard input is the request (request.h), descriptor 3 the directory of the leaf, descriptor 4
 * the record of this run, to which lines are added: `keeper PID START TIME` before paas-run ends,
 * and by the shim `main PID START KEEPER TIME`, `unhealthy TIME`, `exit STATUS TIME` or `signal
 * NUMBER TIME`; `waiting WHY TIME` where the program could not be begun for want of its directory
 * and the like, `failed WHY TIME` where the leaf had no process left. paas-run itself is never in
 * the leaf: it waits for nothing there, however little of the processor the account has left. A
 * request that says how it `ended` begins no program: it has those told who are to hear of that,
 * where the shim could not. The shim is the customer's, and cannot be traced by them; when it is
 * killed the record is closed, which wakes whoever watches it. See paas-run(8).
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

#include "../common/leaf.h"
#include "../common/view.h"
#include "inherited.h"
#include "output.h"
#include "privileges.h"
#include "program.h"
#include "request.h"
#include "shim.h"

const char launcher_name[] = "paas-run";

/* The descriptor of the leaf. */
#define LEAF 3

/* Exit status where the leaf cannot have another process: what is the customer's own fault counts
 * as a failed start. */
#define LEAF_FULL 1

/* Milliseconds in which a child says that it runs, or is seen to be killed; one without CPU time
 * does neither. */
#define READY_TIMEOUT_MS 20

/* The bit of a signal in the sets of /proc/PID/stat, and of a process that is ending (PF_EXITING,
 * linux/sched.h) in its flags there. */
#define SIGNAL_BIT(number) (1UL << ((number) - 1))
#define ENDING 4UL

/* When a process started, in clock ticks since boot: field 22 of /proc/PID/stat. 0 where that is
 * not told. KILLED, where it is asked for, says whether it has SIGKILL before it (field 31) or is
 * ending (the flags, field 9). */
static unsigned long long start_time(pid_t pid, bool *killed)
{
	unsigned long flags = 0, pending = 0;
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
	for (int field = 3; at && field <= 31; field++) {
		at = strchr(at + 1, ' ');
		if (at && field == 9)
			flags = strtoul(at, NULL, 10);
		else if (at && field == 22)
			start = strtoull(at, NULL, 10);
		else if (at && field == 31)
			pending = strtoul(at, NULL, 10);
	}
	if (killed)
		*killed = flags & ENDING || pending & SIGNAL_BIT(SIGKILL);
	return start;
}

/* Becomes the customer, for good. */
static void become_customer(struct shim *shim, const struct passwd *user, int null)
{
	dup2(null, STDERR_FILENO);
	close(null);
	drop_privileges(user);
	join_own_keyring();
	prctl(PR_SET_DUMPABLE, 0);
	shim->out.log = log_open(shim->request);
}

/* In the place of a shim that was killed together with its program: tells whom it would have told.
 */
__attribute__((noreturn)) static void run_notifier(struct shim *shim, const struct passwd *user,
						   int null)
{
	const char *ended = shim->request->ended;

	become_customer(shim, user, null);
	load_log_tail(&shim->out);
	output_message(&shim->out, "ended with %s", ended);
	notify_failure(shim, ended);
	_exit(0);
}

/* The end of paas-run's pipe at which its shim says that it runs; -1 where nobody waits for that.
 */
static int ready_pipe = -1;

static void report_ready(void)
{
	if (ready_pipe >= 0 && write(ready_pipe, "", 1) < 0)
		errno = 0; /* nobody waits any more */
	close(ready_pipe);
	ready_pipe = -1;
}

static void record_failure(const char *why)
{
	report_ready();
	record_line("failed %s", why);
}

/* The end of the shim's pipe at which the program's child says why it cannot become the program. */
static int exec_error_pipe;

static void report_exec_error(const char *why)
{
	if (write(exec_error_pipe, why, strlen(why)) < 0)
		errno = 0; /* then it ends with our own failure, and that is all */
}

/* What the shim needs is made ready by root, outside the leaf: there it might last. */
static void prepare(struct shim *shim, const struct passwd *user)
{
	static const char *const files[] = {"cpu.stat", "../cpu.stat"};
	const struct request *request = shim->request;

	shim->out.journal = journal_open();
	for (int i = 0; i < 2; i++)
		shim->cpu[i] = leaf_open(LEAF, files[i], O_RDONLY);
	shim->members = leaf_open(LEAF, "cgroup.procs", O_RDONLY);
	if (chdir("/"))
		fail("/: %s", strerror(errno));
	init_groups(user);
	drop_inherited(user, false);
	raise_hard_limits(request);
	if (request->view && view_enter_called(request->views, request->view) != VIEW_ENTERED)
		fail("the view of the account cannot be entered: %s", strerror(errno));
	set_environment(request, user);
}

/* In the leaf: begins the program, as root; becomes the customer; keeps the program. */
__attribute__((noreturn)) static void run_shim(struct shim *shim, const struct passwd *user)
{
	int null = open_null(), pipes[2], whys[2];
	sigset_t heard;

	on_fail = record_failure;
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	close(LEAF);
	setsid();
	sigemptyset(&heard);
	sigaddset(&heard, SIGCHLD);
	sigaddset(&heard, SIGTERM);
	sigprocmask(SIG_BLOCK, &heard, NULL);
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	shim->signals = signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK);
	if (null < 0 || shim->signals < 0 || pipe2(pipes, O_CLOEXEC) || pipe2(whys, O_CLOEXEC))
		fail("%s", strerror(errno));
	/* Theirs, or they could not open /dev/stderr and /proc/self/fd/1 (pipe(7) gives it to its
	 * maker). */
	if (fchown(pipes[1], user->pw_uid, user->pw_gid))
		fail("%s", strerror(errno));
	fcntl(pipes[0], F_SETFL, O_NONBLOCK);
	fcntl(whys[0], F_SETFL, O_NONBLOCK);
	if (shim->request->ended) {
		report_ready();
		run_notifier(shim, user, null);
	}
	shim->program = fork();
	if (shim->program < 0)
		fail("no process can be had: %s", strerror(errno));
	if (!shim->program) {
		exec_error_pipe = whys[1];
		on_fail = report_exec_error;
		exec_program(shim->request, user, null, pipes[1]);
	}
	close(pipes[1]);
	close(whys[1]);
	shim->output = pipes[0];
	shim->why = whys[0];
	record_line("main %d %llu %d", (int)shim->program, start_time(shim->program, NULL),
		    (int)getpid());
	on_fail = NULL;
	report_ready(); /* not sooner: paas-run's own end would take the processor from the
			   program's beginning */
	become_customer(shim, user, null);
	supervise(shim);
	read_output(shim);
	record_end(shim);
	_exit(0);
}

/* Ends where the leaf takes nobody. */
__attribute__((noreturn)) static void exit_leaf_error(int error)
{
	if (error == EAGAIN) {
		fprintf(stderr, "paas-run: the leaf is full (pids.max)\n");
		exit(LEAF_FULL);
	}
	fail("the leaf cannot be entered: %s", strerror(error));
}

/* Whether the kernel ends CHILD, which says a word at the other end of PIPE when it has begun, at
 * its birth: Linux 6.14 and later do so to whoever is cloned into a cgroup that cgroup.kill has
 * ever been written to, for they compare its count of kills with that of the cgroup which the clone
 * came from (kernel/cgroup/cgroup.c, kill_seq). */
static bool is_killed_after_clone(pid_t child, int pipe)
{
	struct pollfd word = {.fd = pipe, .events = POLLIN};
	bool killed = false;

	for (int i = 0; i < READY_TIMEOUT_MS && !killed; i++) {
		if (poll(&word, 1, 1) == 1 && word.revents & POLLIN)
			return false;
		start_time(child, &killed); /* of a zombie, too */
	}
	return killed;
}

/* A shim that is in the leaf from its first instruction on, without the wait that a move costs
 * (clone(2), CLONE_INTO_CGROUP). 0 where the kernel ends it at once. */
static pid_t clone_shim(struct shim *shim, const struct passwd *user)
{
	struct clone_args how = {
		.flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = LEAF};
	int ends[2];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC))
		fail("%s", strerror(errno));
	child = (pid_t)syscall(SYS_clone3, &how, sizeof how);
	if (child < 0)
		exit_leaf_error(errno);
	if (!child) {
		close(ends[0]);
		ready_pipe = ends[1];
		run_shim(shim, user);
	}
	close(ends[1]);
	if (is_killed_after_clone(child, ends[0]))
		child = 0;
	close(ends[0]);
	return child;
}

/* A shim that is moved into the leaf before it does anything of its own. */
static pid_t move_shim(struct shim *shim, const struct passwd *user)
{
	int gate[2];
	char text[16];
	pid_t child;

	if (pipe2(gate, O_CLOEXEC))
		fail("%s", strerror(errno));
	child = fork();
	if (child < 0)
		fail("no process can be had: %s", strerror(errno));
	if (!child) {
		close(gate[1]);
		if (read(gate[0], text, 1) != 1)
			_exit(OWN_FAILURE);
		close(gate[0]);
		run_shim(shim, user);
	}
	snprintf(text, sizeof text, "%d", (int)child);
	if (leaf_write(LEAF, "cgroup.procs", text)) {
		int error = errno;

		kill(child, SIGKILL);
		exit_leaf_error(error);
	}
	close(gate[0]);
	if (write(gate[1], "", 1) != 1)
		fail("%s", strerror(errno));
	close(gate[1]);
	return child;
}

int main(void)
{
	struct request request;
	struct shim shim = {.request = &request, .out = {.request = &request}};
	struct passwd user;
	unsigned long long start;
	pid_t child;

	if (getuid() || geteuid())
		fail("this is for root alone");
	request = read_request();
	user = user_by_name(request.user);
	fcntl(LEAF, F_SETFD, FD_CLOEXEC);
	fcntl(RECORD, F_SETFD, FD_CLOEXEC);
	if (leaf_frozen(LEAF, "cgroup.events") == 1)
		fail("the leaf is frozen");
	prepare(&shim, &user);
	child = clone_shim(&shim, &user);
	if (!child)
		child = move_shim(&shim, &user);
	start = start_time(child, NULL);
	if (!request.ended) /* whoever tells of an end is no shim of a run */
		record_line("keeper %d %llu", (int)child, start);
	dprintf(STDOUT_FILENO, "%d %llu\n", (int)child, start);
	return 0;
}
