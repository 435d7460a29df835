/* paas-run: starts the program of one service. It puts a shim into the service's leaf, which starts
 * the program and supervises it: it takes the program's output, runs its health checks, and records
 * how it ended. Only reconcile calls it, and decides which programs run.
 *
 * Standard input is the request (request.h), descriptor 3 the leaf's directory, descriptor 4 the
 * record of this run. Lines are added to the record: `keeper PID START TIME` by paas-run before it
 * ends; by the shim `main PID START KEEPER TIME`, `unhealthy TIME`, `exit STATUS TIME` or `signal
 * NUMBER TIME`; `waiting WHY TIME` when the program could not be started, for example for lack of
 * its directory; `failed WHY TIME` when no more processes were possible in the leaf.
 *
 * paas-run itself never enters the leaf: there it could wait for CPU time that the account does not
 * have. A request with `ended` starts no program: it sends the notification of that end, when the
 * shim could not. The shim runs as the customer, who cannot trace it. When it is killed, the record
 * is closed, which wakes the processes that watch it. See paas-run(8). */
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

/* Exit status when no more processes are possible in the leaf: the customer's own doing, which
 * counts as a failed start. */
#define LEAF_FULL 1

/* Milliseconds in which a child reports that it runs, or is found to be killed; one without CPU
 * time does neither. */
#define READY_TIMEOUT_MS 20

/* The bit of a signal in the sets of /proc/PID/stat; and the bit of an ending process (PF_EXITING,
 * linux/sched.h) in its flags there. */
#define SIGNAL_BIT(number) (1UL << ((number) - 1))
#define ENDING 4UL

/* Returns when a process started, in clock ticks since boot: field 22 of /proc/PID/stat. 0 when
 * that cannot be read. *KILLED, unless NULL, is whether SIGKILL is pending (field 31) or the
 * process is ending (flags, field 9). */
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

/* Becomes the customer for good. */
static void become_customer(struct shim *shim, const struct passwd *user, int null)
{
	dup2(null, STDERR_FILENO);
	close(null);
	drop_privileges(user);
	join_own_keyring();
	prctl(PR_SET_DUMPABLE, 0);
	shim->out.log = log_open(shim->request);
}

/* Sends the notification in place of a shim that was killed together with its program. */
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

/* The end of paas-run's pipe on which its shim reports that it runs; -1 when no process waits for
 * that. */
static int ready_pipe = -1;

static void report_ready(void)
{
	if (ready_pipe >= 0 && write(ready_pipe, "", 1) < 0)
		errno = 0; /* no process waits any more */
	close(ready_pipe);
	ready_pipe = -1;
}

static void record_failure(const char *why)
{
	report_ready();
	record_line("failed %s", why);
}

/* The end of the shim's pipe on which the program's child reports why it cannot execute the
 * program. */
static int exec_error_pipe;

static void report_exec_error(const char *why)
{
	if (write(exec_error_pipe, why, strlen(why)) < 0)
		errno = 0; /* the exit status alone says then that it failed */
}

/* Prepares as root, outside the leaf, what the shim needs: inside it might take long. */
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

/* Runs in the leaf: starts the program as root, becomes the customer, supervises it. */
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
	/* The pipe is the customer's, or the program could not open /dev/stderr and
	 * /proc/self/fd/1: a pipe belongs to the user who made it (pipe(7)). */
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
	report_ready(); /* not earlier: the end of paas-run would take CPU time from the start of
			   the program */
	become_customer(shim, user, null);
	supervise(shim);
	read_output(shim);
	record_end(shim);
	_exit(0);
}

/* Exits after the leaf could not be entered. */
__attribute__((noreturn)) static void exit_leaf_error(int error)
{
	if (error == EAGAIN) {
		fprintf(stderr, "paas-run: the leaf is full (pids.max)\n");
		exit(LEAF_FULL);
	}
	fail("the leaf cannot be entered: %s", strerror(error));
}

/* Returns whether the kernel kills CHILD at its birth. CHILD writes a byte to the other end of PIPE
 * when it runs. Linux 6.14 and later kill a process that is cloned into a cgroup to which
 * cgroup.kill has ever been written: they compare its count of kills with that of the cgroup in
 * which clone was called (kernel/cgroup/cgroup.c, kill_seq). */
static bool is_killed_after_clone(pid_t child, int pipe)
{
	struct pollfd word = {.fd = pipe, .events = POLLIN};
	bool killed = false;

	for (int i = 0; i < READY_TIMEOUT_MS && !killed; i++) {
		if (poll(&word, 1, 1) == 1 && word.revents & POLLIN)
			return false;
		start_time(child, &killed); /* works for a zombie, too */
	}
	return killed;
}

/* Starts a shim that is in the leaf from its first instruction on, without the wait that moving it
 * would take (clone(2), CLONE_INTO_CGROUP). Returns 0 when the kernel kills it at once. */
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

/* Starts a shim that is moved into the leaf before it does anything. */
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
	if (!request.ended) /* a process that only notifies is not the shim of a run */
		record_line("keeper %d %llu", (int)child, start);
	dprintf(STDOUT_FILENO, "%d %llu\n", (int)child, start);
	return 0;
}
