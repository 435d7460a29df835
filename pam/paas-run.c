/* paas-run: begins the program of one service inside the leaf of its account, and stays beside it as its keeper: takes
 * its output, tries its health, and notes how it ended. For reconcile alone, which decides what runs at all.
 *
 * Standard input is the request (request.h), descriptor 3 the directory of the leaf, descriptor 4 the record of this run,
 * to which the keeper adds lines: `main PID START KEEPER TIME`, `unhealthy TIME`, `exit STATUS TIME` or `signal NUMBER TIME`.
 * Standard output gets `PID START` when the program has begun. The keeper is the customer's, and cannot be traced by
 * them; when it is killed the record is closed, which wakes whoever watches it. See paas-run(8).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/keyctl.h>
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
#include "leaf.h"
#include "limits.h"
#include "output.h"
#include "request.h"
#include "view.h"

enum { LEAF = 3, RECORD = 4 };

/* Milliseconds: what has not begun by then sits in a frozen leaf. And what a hook or a mail may take. */
#define BEGIN_MOST 10000
#define HOOK_MOST 60000
#define CHUNK 65536
#define AT_ONCE 8
#define FILE_MOST (128 << 10)

struct keeper {
	const struct request *request;
	struct output out;
	int output, signals;
	pid_t program, checker;
	unsigned long failures;
	int64_t next_check, check_ends;
	/* Of the program: its exit status, or the signal that killed it. */
	int status;
	bool killed, asked;
};

static int64_t milliseconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Adds a line to the record, with the time at its end. */
__attribute__((format(printf, 1, 2))) static void note(const char *format, ...)
{
	int64_t now = milliseconds(CLOCK_REALTIME);
	char text[160];
	va_list arguments;
	int size;

	va_start(arguments, format);
	size = vsnprintf(text, sizeof text - 32, format, arguments);
	va_end(arguments);
	size += sprintf(text + size, " %" PRId64 ".%03d\n", now / 1000, (int)(now % 1000));
	if (write(RECORD, text, (size_t)size) != size)
		return; /* /run is full: how it ended is not known then */
}

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

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		errno = 0; /* an older kernel, a container: then it is as it was */
	close(fd);
}

/* What a child inherits and a customer must not: who root is to the audit system, its place among those that are killed
 * last, its share of the processor. */
static void shed(const struct passwd *user)
{
	const struct sched_param none = {0};
	char uid[16];

	snprintf(uid, sizeof uid, "%u", user->pw_uid);
	write_file("/proc/self/loginuid", uid);
	write_file("/proc/self/oom_score_adj", "0");
	sched_setscheduler(0, SCHED_OTHER, &none);
	setpriority(PRIO_PROCESS, 0, 0);
	syscall(SYS_ioprio_set, 1, 0, 0);
	prctl(PR_SET_TIMERSLACK, 0);
}

/* A session keyring of the customer's own in the place of root's (keyctl(2)). */
static void own_keys(void)
{
	syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
}

static bool is_name(const char *text, size_t size)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";

	if (!size || !strchr(first, *text))
		return false;
	for (size_t i = 0; i < size; i++)
		if (!strchr(first, text[i]) && (text[i] < '0' || text[i] > '9'))
			return false;
	return true;
}

/* One line of an environment file: NAME=VALUE, the value as it is or between quotes; a comment; nothing. */
static void take_line(char *line)
{
	char *value, quote;
	size_t size;

	line += strspn(line, " \t");
	if (!strncmp(line, "export ", 7))
		line += 7;
	value = strchr(line, '=');
	if (!value || !is_name(line, (size_t)(value - line)))
		return;
	*value++ = '\0';
	size = strlen(value);
	while (size && strchr(" \t\r", value[size - 1]))
		value[--size] = '\0';
	quote = *value;
	if (size > 1 && (quote == '"' || quote == '\'') && value[size - 1] == quote) {
		value[size - 1] = '\0';
		value++;
	}
	setenv(line, value, 1);
}

/* Read as the customer. A file that is not there is told, and the program begins without. */
static void environment_from(const char *path)
{
	char *text = calloc(1, FILE_MOST + 1), *line;
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat found;

	if (fd < 0 || fstat(fd, &found))
		fprintf(stderr, PROGRAM ": %s: %s\n", path, strerror(errno));
	else if (!S_ISREG(found.st_mode))
		fprintf(stderr, PROGRAM ": %s: is no regular file\n", path);
	else if (!text || read(fd, text, FILE_MOST) < 0)
		fprintf(stderr, PROGRAM ": %s: %s\n", path, strerror(errno));
	else
		for (char *rest = text; (line = strsep(&rest, "\n"));)
			take_line(line);
	free(text);
	if (fd >= 0)
		close(fd);
}

static void environment_of(const struct request *request, const struct passwd *user)
{
	user_environment(user);
	for (size_t at = 0; at < request->environment; at += strlen(request->variables + at) + 1)
		putenv(request->variables + at);
}

/* In a child of the keeper, which is the customer already or becomes it here. */
__attribute__((noreturn)) static void run(const struct request *request, const char *command, int input, int output)
{
	setsid();
	usual_signals();
	dup2(input, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	umask((mode_t)request->umask);
	if (chdir(request->directory)) {
		fprintf(stderr, PROGRAM ": %s: %s\n", request->directory, strerror(errno));
		_exit(OWN_FAILURE);
	}
	if (request->environment_file)
		environment_from(request->environment_file);
	if (request->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		_exit(OWN_FAILURE);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	fprintf(stderr, PROGRAM ": /bin/sh: %s\n", strerror(errno));
	_exit(NOT_EXECUTABLE);
}

/* The program itself: resource limits are root's to give, so they come before the customer. */
__attribute__((noreturn)) static void run_program(const struct keeper *keeper, const struct passwd *user, int nothing,
						  int output)
{
	const struct request *request = keeper->request;

	usual_limits();
	for (int i = 0; i < request->rlimit_count; i++) {
		const struct rlimit limit = {request->rlimits[i].value, request->rlimits[i].value};

		if (setrlimit((unsigned)request->rlimits[i].which, &limit))
			fail("resource limit %d: %s", request->rlimits[i].which, strerror(errno));
	}
	become(user);
	own_keys();
	run(request, request->command, nothing, output);
}

/* A command beside the program. Its output goes where the program's does. -1 where there is no process to be had. */
static pid_t run_beside(const struct keeper *keeper, const char *command, int input, int output)
{
	pid_t child = fork();

	if (!child)
		run(keeper->request, command, input, output);
	return child;
}

static int nothing(void)
{
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static void begin_check(struct keeper *keeper, int64_t now)
{
	int null = nothing();

	keeper->next_check = now + (int64_t)keeper->request->health_every;
	keeper->check_ends = keeper->next_check;
	keeper->checker = run_beside(keeper, keeper->request->health, null, null);
	close(null);
}

/* Noted once; what follows from it is reconcile's to decide. */
static void count_check(struct keeper *keeper, bool well)
{
	keeper->checker = 0;
	keeper->failures = well ? 0 : keeper->failures + 1;
	if (keeper->failures == keeper->request->health_failures) {
		say(&keeper->out, "%lu health checks in a row have failed", keeper->failures);
		note("unhealthy");
	}
}

static void drain(struct keeper *keeper)
{
	static char text[CHUNK];
	ssize_t size;

	/* A program that never stops to speak must not hold the rest up. */
	for (int i = 0; i < AT_ONCE && (size = read(keeper->output, text, sizeof text)) > 0; i++) {
		take_output(&keeper->out, text, (size_t)size);
		if (size < (ssize_t)sizeof text)
			return;
	}
}

/* Whether the program has ended. It stays a zombie until its end is noted: who finds neither it nor a note knows that
 * nobody saw it end. */
static bool reap(struct keeper *keeper)
{
	struct signalfd_siginfo told;
	siginfo_t found = {.si_pid = 0};
	int status;

	while (read(keeper->signals, &told, sizeof told) == sizeof told)
		if (told.ssi_signo == SIGTERM)
			keeper->asked = true;
	if (keeper->checker > 0 && waitpid(keeper->checker, &status, WNOHANG) == keeper->checker)
		count_check(keeper, WIFEXITED(status) && !WEXITSTATUS(status));
	if (waitid(P_PID, (id_t)keeper->program, &found, WEXITED | WNOHANG | WNOWAIT) || !found.si_pid)
		return false;
	keeper->killed = found.si_code != CLD_EXITED;
	keeper->status = found.si_status;
	return true;
}

static void keep(struct keeper *keeper)
{
	struct pollfd ready[] = {{.fd = keeper->output, .events = POLLIN}, {.fd = keeper->signals, .events = POLLIN}};
	bool checked = keeper->request->health && keeper->request->health_every;

	keeper->next_check = milliseconds(CLOCK_MONOTONIC) + (int64_t)keeper->request->health_every;
	for (;;) {
		int64_t now = milliseconds(CLOCK_MONOTONIC), until = keeper->checker ? keeper->check_ends : keeper->next_check;

		if (checked && now >= until) {
			if (keeper->checker) /* it hangs: that is no sign of health; reaped as killed, it counts */
				kill(-keeper->checker, SIGKILL);
			else
				begin_check(keeper, now);
			until = now + 1000;
		}
		poll(ready, 2, checked ? (int)(until - now > 0 ? until - now : 0) : -1);
		drain(keeper);
		if (reap(keeper))
			return;
		if (ready[0].revents & POLLHUP)
			ready[0].fd = -1; /* the program has closed its output, and goes on */
	}
}

/* Waits for a child for so long, then ends it. */
static void wait_for(pid_t child)
{
	int64_t until = milliseconds(CLOCK_MONOTONIC) + HOOK_MOST;

	while (child > 0 && !waitpid(child, NULL, WNOHANG)) {
		if (milliseconds(CLOCK_MONOTONIC) >= until)
			kill(-child, SIGKILL);
		poll(NULL, 0, 50);
	}
}

static void mail(struct keeper *keeper, const char *how)
{
	const struct request *of = keeper->request;
	int ends[2], null = nothing();
	char command[400];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC))
		return;
	snprintf(command, sizeof command, "exec /usr/sbin/sendmail -i -- '%s'", of->mail); /* words.MAIL has no quotes */
	child = run_beside(keeper, command, ends[0], null);
	close(ends[0]);
	dprintf(ends[1], "Subject: %s: %s\nTo: %s\n\n%s ended with %s.\n\n%.*s\n", of->name, how, of->mail, of->name, how,
		(int)keeper->out.tail_size, keeper->out.tail);
	close(ends[1]);
	close(null);
	wait_for(child);
}

static void hook(const struct keeper *keeper, const char *how)
{
	int null = nothing();

	setenv("RESULT", how, 1);
	setenv("SERVICE", keeper->request->name, 1);
	wait_for(run_beside(keeper, keeper->request->hook, null, null));
	close(null);
}

/* Says how the program ended, to the customer and to the record. */
static void tell_end(struct keeper *keeper)
{
	bool killed = keeper->killed;
	int number = keeper->status;
	char how[64];

	snprintf(how, sizeof how, killed ? "signal %d (%s)" : "exit status %d", number, strsignal(number));
	if (number)
		say(&keeper->out, "ended with %s%s", how, keeper->asked ? ", as it was asked to" : "");
	if (number && keeper->request->last_try && !keeper->asked)
		say(&keeper->out, "too many starts in a short time: given up until it is started or changed");
	note("%s %d", killed ? "signal" : "exit", number);
	if (number && !keeper->asked) {
		if (keeper->request->hook)
			hook(keeper, how);
		if (keeper->request->mail)
			mail(keeper, how);
	}
}

/* Begins the program, as root; becomes the customer; keeps it. TELL hears of the beginning. */
__attribute__((noreturn)) static void be_keeper(struct keeper *keeper, const struct passwd *user, int tell)
{
	int null = nothing(), pipes[2], begun[2];
	unsigned long long start;
	sigset_t heard;
	char none;

	setsid();
	if (chdir("/"))
		fail("/: %s", strerror(errno));
	shed(user);
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
	if (null < 0 || keeper->signals < 0 || pipe2(pipes, O_CLOEXEC) || pipe2(begun, O_CLOEXEC))
		fail("%s", strerror(errno));
	/* Theirs, or they could not open /dev/stderr and /proc/self/fd/1 (pipe(7) gives it to its maker). */
	if (fchown(pipes[1], user->pw_uid, user->pw_gid))
		fail("%s", strerror(errno));
	fcntl(pipes[0], F_SETFL, O_NONBLOCK);
	fcntl(RECORD, F_SETFD, FD_CLOEXEC);
	environment_of(keeper->request, user);
	take_groups(user);
	keeper->program = fork();
	if (keeper->program < 0)
		fail("no process can be had: %s", strerror(errno));
	if (!keeper->program)
		run_program(keeper, user, null, pipes[1]);
	close(pipes[1]);
	close(begun[1]);
	close(LEAF);
	keeper->output = pipes[0];
	start = start_of(keeper->program);
	note("main %d %llu %d", (int)keeper->program, start, (int)getpid());
	become(user);
	own_keys();
	prctl(PR_SET_DUMPABLE, 0);
	umask(022);
	keeper->out.log = open_log(keeper->request);
	while (read(begun[0], &none, 1) < 0 && errno == EINTR)
		; /* until the program is another than this one, or has ended */
	close(begun[0]);
	dprintf(tell, "%d %llu\n", (int)keeper->program, start);
	close(tell);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	dup2(null, STDERR_FILENO);
	close(null);
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

/* What the keeper says when the program has begun, into TEXT: its size, 0 where it has said on the standard error that
 * is ours too why not; -1 where it was killed before its first instruction. */
static ssize_t begin(struct keeper *keeper, const struct passwd *user, char *text, size_t most, bool move)
{
	struct pollfd answer;
	int ends[2], status = 0;
	ssize_t size;
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
	if (poll(&answer, 1, BEGIN_MOST) != 1) {
		kill(child, SIGKILL);
		fail("the program has not begun after %d s; is the leaf frozen?", BEGIN_MOST / 1000);
	}
	size = read(ends[0], text, most);
	close(ends[0]);
	if (size > 0)
		return size;
	waitpid(child, &status, 0);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? -1 : 0;
}

int main(void)
{
	struct request request;
	struct keeper keeper = {.request = &request, .out = {.request = &request}};
	struct passwd user;
	char text[64];
	ssize_t size;

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
	return size && write(STDOUT_FILENO, text, (size_t)size) == size ? 0 : OWN_FAILURE;
}
