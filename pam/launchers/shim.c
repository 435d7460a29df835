#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "output.h"
#include "privileges.h"
#include "program.h"
#include "request.h"
#include "shim.h"

/* Milliseconds that a hook or a mail may take. */
#ifndef HOOK_TIMEOUT_MS
#define HOOK_TIMEOUT_MS 60000
#endif
#define CHUNK 65536
#define READS_PER_POLL 8

/* So many failed checks of a throttled leaf count as much as one of a leaf that had CPU time. */
#define THROTTLED_PER_FAILURE 10

static int64_t milliseconds(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Adds a line to the record, with the time at its end. */
void record_line(const char *format, ...)
{
	int64_t now = milliseconds(CLOCK_REALTIME);
	char text[512];
	va_list arguments;
	int size;

	va_start(arguments, format);
	size = vsnprintf(text, sizeof text - 32, format, arguments);
	va_end(arguments);
	if (size > (int)sizeof text - 33)
		size = sizeof text - 33;
	for (int i = 0; i < size; i++)
		if ((unsigned char)text[i] < ' ')
			text[i] = '?'; /* a path may contain a newline */
	size += sprintf(text + size, " %" PRId64 ".%03d\n", now / 1000, (int)(now % 1000));
	if (write(RECORD, text, (size_t)size) != size)
		return; /* /run is full: how the program ended stays unknown */
}

/* Starts a command beside the program, for the same customer. Returns -1 when no process is
 * possible. */
static pid_t run_command(const struct shim *shim, const char *command, int input, int output)
{
	pid_t child = fork();

	if (!child) {
		on_fail = NULL;
		exec_command(shim->request, command, input, output);
	}
	return child;
}

static unsigned long long number_field(const char *text, const char *name)
{
	const char *found = strstr(text, name);

	return found ? strtoull(found + strlen(name), NULL, 10) : 0;
}

/* Reads the periods from a cpu.stat; zeros when the machine has no cpu controller. */
static struct periods read_periods(int cpu)
{
	char text[1024];
	ssize_t size = pread(cpu, text, sizeof text - 1, 0);

	text[size > 0 ? size : 0] = '\0';
	return (struct periods){number_field(text, "nr_periods "),
				number_field(text, "nr_throttled ")};
}

int open_null(void)
{
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static void start_check(struct shim *shim, int64_t now)
{
	int null = open_null();

	shim->next_check = now + (int64_t)shim->request->health_every;
	shim->check_ends = shim->next_check;
	for (int i = 0; i < 2; i++)
		shim->periods[i] = read_periods(shim->cpu[i]);
	shim->checker = run_command(shim, shim->request->health, null, null);
	close(null);
}

/* Returns whether the check had too little CPU time to mean anything: leaf or account was throttled
 * in more than half of its periods, or the check took far longer than it may, because the cgroup
 * was frozen. */
static bool is_throttled(const struct shim *shim)
{
	for (int i = 0; i < 2; i++) {
		const struct periods now = read_periods(shim->cpu[i]), before = shim->periods[i];

		if (2 * (now.throttled - before.throttled) > now.all - before.all)
			return true;
	}
	return milliseconds(CLOCK_MONOTONIC) >
	       shim->check_ends + 2 * (int64_t)shim->request->health_every;
}

/* The record gets one line; reconcile decides what follows from it. */
static void finish_check(struct shim *shim, bool well)
{
	shim->checker = 0;
	shim->failures =
		well ? 0 : shim->failures + (is_throttled(shim) ? 1 : THROTTLED_PER_FAILURE);
	if (well || shim->unhealthy ||
	    shim->failures < THROTTLED_PER_FAILURE * shim->request->health_failures)
		return;
	shim->unhealthy = true;
	output_message(&shim->out, "%lu health checks in a row have failed",
		       shim->request->health_failures);
	record_line("unhealthy");
}

void read_output(struct shim *shim)
{
	static char text[CHUNK];
	ssize_t size;

	/* A program that writes without end must not keep the shim from its other work. */
	for (int i = 0; i < READS_PER_POLL && (size = read(shim->output, text, sizeof text)) > 0;
	     i++) {
		output_append(&shim->out, text, (size_t)size);
		if (size < (ssize_t)sizeof text)
			return;
	}
}

/* Returns whether the program has ended. It stays a zombie until its end is recorded: when there is
 * neither a zombie nor a record, no process saw how it ended. */
static bool reap(struct shim *shim)
{
	struct signalfd_siginfo told;
	siginfo_t found = {.si_pid = 0};
	int status;

	while (read(shim->signals, &told, sizeof told) == sizeof told)
		if (told.ssi_signo == SIGTERM)
			shim->asked = true;
	if (shim->checker > 0 && waitpid(shim->checker, &status, WNOHANG) == shim->checker)
		finish_check(shim, WIFEXITED(status) && !WEXITSTATUS(status));
	if (waitid(P_PID, (id_t)shim->program, &found, WEXITED | WNOHANG | WNOWAIT) ||
	    !found.si_pid)
		return false;
	shim->killed = found.si_code != CLD_EXITED;
	shim->status = found.si_status;
	return true;
}

void supervise(struct shim *shim)
{
	struct pollfd ready[] = {{.fd = shim->output, .events = POLLIN},
				 {.fd = shim->signals, .events = POLLIN}};
	bool checked = shim->request->health && shim->request->health_every;

	shim->next_check = milliseconds(CLOCK_MONOTONIC) + (int64_t)shim->request->health_every;
	for (;;) {
		int64_t now = milliseconds(CLOCK_MONOTONIC),
			until = shim->checker ? shim->check_ends : shim->next_check;

		if (checked && now >= until) {
			if (shim->checker) /* it hangs: it is killed, and counts as failed */
				kill(-shim->checker, SIGKILL);
			else
				start_check(shim, now);
			until = now + 1000;
		}
		poll(ready, 2, checked ? (int)(until - now > 0 ? until - now : 0) : -1);
		read_output(shim);
		if (reap(shim))
			return;
		if (ready[0].revents & POLLHUP)
			ready[0].fd = -1; /* the program has closed its output, and goes on */
	}
}

/* Waits for a child that notifies, and kills it at the timeout. The customer's log says so when it
 * failed. */
static void wait_with_timeout(struct shim *shim, pid_t child, const char *what)
{
	int64_t until = milliseconds(CLOCK_MONOTONIC) + HOOK_TIMEOUT_MS;
	bool late = false;
	int status = -1;

	while (child > 0 && !waitpid(child, &status, WNOHANG)) {
		late = milliseconds(CLOCK_MONOTONIC) >= until;
		if (late)
			kill(-child, SIGKILL);
		poll(NULL, 0, 50);
	}
	if (late)
		output_message(&shim->out, "%s was ended after %d s", what, HOOK_TIMEOUT_MS / 1000);
	else if (status == -1)
		output_message(&shim->out, "%s: no process can be had", what);
	else if (WIFSIGNALED(status))
		output_message(&shim->out, "%s ended with signal %d", what, WTERMSIG(status));
	else if (WEXITSTATUS(status))
		output_message(&shim->out, "%s ended with exit status %d", what,
			       WEXITSTATUS(status));
}

/* Where the messages of a hook go. */
static int hook_output(const struct shim *shim, int null)
{
	return shim->out.log >= 0 ? shim->out.log : null;
}

/* Sends a mail through sendmail(8), which Postfix, Exim, OpenSMTPD and msmtp provide. */
static void send_mail(struct shim *shim, const char *how)
{
	const struct request *of = shim->request;
	int ends[2], null = open_null();
	char command[400];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC))
		return;
	snprintf(command, sizeof command, "exec /usr/sbin/sendmail -i -- '%s'",
		 of->mail); /* it has no quotes: spec/scalars.py, MAIL */
	child = run_command(shim, command, ends[0], hook_output(shim, null));
	close(ends[0]);
	/* RFC 3834: no program answers it. 8bit: the output may have any characters. */
	dprintf(ends[1],
		"Subject: %s: %s\nTo: %s\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\n",
		of->name, how, of->mail);
	dprintf(ends[1],
		"Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n\n");
	dprintf(ends[1], "%s ended with %s.\n\n%.*s\n", of->name, how, (int)shim->out.tail_size,
		shim->out.tail);
	close(ends[1]);
	close(null);
	wait_with_timeout(shim, child, "the mail about it");
}

static void run_hook(struct shim *shim, const char *how)
{
	int null = open_null();

	setenv("RESULT", how, 1);
	setenv("SERVICE", shim->request->name, 1);
	wait_with_timeout(shim,
			  run_command(shim, shim->request->hook, null, hook_output(shim, null)),
			  "on_failure.run");
	close(null);
}

/* Notifies of an end that was not asked for. */
void notify_failure(struct shim *shim, const char *how)
{
	if (shim->request->hook)
		run_hook(shim, how);
	if (shim->request->mail)
		send_mail(shim, how);
}

/* Loads the end of the log, when the shim that had the program's output is gone. */
void load_log_tail(struct output *out)
{
	int log = out->request->log ? open(out->request->log, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
								      O_NOCTTY | O_CLOEXEC)
				    : -1;
	struct stat found;
	ssize_t size;

	if (log < 0)
		return;
	if (!fstat(log, &found) && S_ISREG(found.st_mode)) {
		size = pread(log, out->tail, TAIL_MAX_BYTES,
			     found.st_size > TAIL_MAX_BYTES ? found.st_size - TAIL_MAX_BYTES : 0);
		out->tail_size = size > 0 ? (size_t)size : 0;
	}
	close(log);
}

/* Returns whether the leaf has a process besides ours. */
static bool has_background_processes(const struct shim *shim)
{
	char text[4096];
	ssize_t size = pread(shim->members, text, sizeof text - 1, 0);

	text[size > 0 ? size : 0] = '\0';
	for (char *at = text, *end; *at; at = end + strspn(end, "\n")) {
		pid_t pid = (pid_t)strtol(at, &end, 10);

		if (end == at)
			break;
		/* 0 is a process outside the view; the program itself is a zombie, and may be
		 * listed */
		if (pid != getpid() && pid != shim->program && pid != shim->checker)
			return true;
	}
	return false;
}

/* Writes how the program ended to the customer's log and to the record. */
void record_end(struct shim *shim)
{
	bool killed = shim->killed;
	int number = shim->status;
	char how[64], why[400];
	ssize_t size = read(shim->why, why, sizeof why - 1);

	if (size > 0) { /* the program was never executed */
		why[size] = '\0';
		record_line("waiting %s", why);
		if (shim->request->job) /* a service is tried again each minute, and would notify
					   each minute */
			notify_failure(shim, why);
		return;
	}
	snprintf(how, sizeof how, killed ? "signal %d (%s)" : "exit status %d", number,
		 strsignal(number));
	if (number)
		output_message(&shim->out, "ended with %s%s", how,
			       shim->asked ? ", as it was asked to" : "");
	if (number && shim->request->last_try && !shim->asked)
		output_message(
			&shim->out,
			"too many starts in a short time: given up until it is started or changed");
	if (!killed && !number && has_background_processes(shim)) {
		output_message(&shim->out,
			       "the program went to the background, where nobody keeps it; "
			       "keep it in the foreground");
		record_line("background");
	}
	record_line("%s %d", killed ? "signal" : "exit", number);
	if (number && !shim->asked)
		notify_failure(shim, how);
}
