/* The keeper of a program, as the customer that it runs as: takes its output, tries its health, notes how it ended, and
 * tells of an end that nobody asked for. */
#ifndef PAAS_ISOLATE_KEEPER_H
#define PAAS_ISOLATE_KEEPER_H

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "output.h"
#include "program.h"
#include "request.h"

/* The descriptor of the record. */
#define RECORD 4

/* Milliseconds that a hook or a mail may take. */
#ifndef HOOK_MOST
#define HOOK_MOST 60000
#endif
#define CHUNK 65536
#define AT_ONCE 8

/* So many failed checks of a leaf without CPU time weigh as much as one that had time. */
#define STARVED_FOR_ONE 10

/* Periods of cpu.max in which a cgroup wanted to run, and those in which it was kept from it (cgroup-v2.rst, cpu.stat). */
struct periods {
	unsigned long long all, throttled;
};

struct keeper {
	const struct request *request;
	struct output out;
	/* `why`: the program's child says there what keeps it from becoming the program. `cpu`: cpu.stat of the leaf and of
	 * the account. */
	int output, signals, why, cpu[2], members;
	pid_t program, checker;
	/* In tenths: those of a leaf without CPU time count little, but something, for who spins without end has none. */
	unsigned long failures;
	int64_t next_check, check_ends;
	/* Of the leaf and of the account when the check began. */
	struct periods periods[2];
	/* Of the program: its exit status, or the signal that killed it. */
	int status;
	bool killed, asked, unhealthy;
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
			text[i] = '?'; /* a path may hold a new line */
	size += sprintf(text + size, " %" PRId64 ".%03d\n", now / 1000, (int)(now % 1000));
	if (write(RECORD, text, (size_t)size) != size)
		return; /* /run is full: how it ended is not known then */
}

/* A command beside the program. Its output goes where the program's does. -1 where there is no process to be had. */
static pid_t run_beside(const struct keeper *keeper, const char *command, int input, int output)
{
	pid_t child = fork();

	if (!child) {
		tell_failure = NULL;
		run(keeper->request, command, input, output);
	}
	return child;
}

static unsigned long long number_after(const char *text, const char *name)
{
	const char *found = strstr(text, name);

	return found ? strtoull(found + strlen(name), NULL, 10) : 0;
}

/* From the descriptor of a cpu.stat; none where the machine has no such controller. */
static struct periods periods_of(int cpu)
{
	char text[1024];
	ssize_t size = pread(cpu, text, sizeof text - 1, 0);

	text[size > 0 ? size : 0] = '\0';
	return (struct periods){number_after(text, "nr_periods "), number_after(text, "nr_throttled ")};
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
	for (int i = 0; i < 2; i++)
		keeper->periods[i] = periods_of(keeper->cpu[i]);
	keeper->checker = run_beside(keeper, keeper->request->health, null, null);
	close(null);
}

/* Whether the check had too little time to be a sign of anything: leaf or account was kept from running in half of its
 * periods, or the check took far longer than it may, for all of us were frozen. */
static bool is_starved(const struct keeper *keeper)
{
	for (int i = 0; i < 2; i++) {
		const struct periods now = periods_of(keeper->cpu[i]), before = keeper->periods[i];

		if (2 * (now.throttled - before.throttled) > now.all - before.all)
			return true;
	}
	return milliseconds(CLOCK_MONOTONIC) > keeper->check_ends + 2 * (int64_t)keeper->request->health_every;
}

/* Noted once; what follows from it is reconcile's to decide. */
static void count_check(struct keeper *keeper, bool well)
{
	keeper->checker = 0;
	keeper->failures = well ? 0 : keeper->failures + (is_starved(keeper) ? 1 : STARVED_FOR_ONE);
	if (well || keeper->unhealthy || keeper->failures < STARVED_FOR_ONE * keeper->request->health_failures)
		return;
	keeper->unhealthy = true;
	say(&keeper->out, "%lu health checks in a row have failed", keeper->request->health_failures);
	note("unhealthy");
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

/* Waits for a child that is to tell somebody, for so long, then ends it. Where it failed, the customer reads so. */
static void wait_for(struct keeper *keeper, pid_t child, const char *what)
{
	int64_t until = milliseconds(CLOCK_MONOTONIC) + HOOK_MOST;
	bool late = false;
	int status = -1;

	while (child > 0 && !waitpid(child, &status, WNOHANG)) {
		late = milliseconds(CLOCK_MONOTONIC) >= until;
		if (late)
			kill(-child, SIGKILL);
		poll(NULL, 0, 50);
	}
	if (late)
		say(&keeper->out, "%s was ended after %d s", what, HOOK_MOST / 1000);
	else if (status == -1)
		say(&keeper->out, "%s: no process can be had", what);
	else if (WIFSIGNALED(status))
		say(&keeper->out, "%s ended with signal %d", what, WTERMSIG(status));
	else if (WEXITSTATUS(status))
		say(&keeper->out, "%s ended with exit status %d", what, WEXITSTATUS(status));
}

/* Where a hook's own complaints go. */
static int complaints(const struct keeper *keeper, int null)
{
	return keeper->out.log >= 0 ? keeper->out.log : null;
}

/* By sendmail as everybody has it: sendmail(8) of Postfix, Exim, OpenSMTPD, msmtp. */
static void mail(struct keeper *keeper, const char *how)
{
	const struct request *of = keeper->request;
	int ends[2], null = nothing();
	char command[400];
	pid_t child;

	if (pipe2(ends, O_CLOEXEC))
		return;
	snprintf(command, sizeof command, "exec /usr/sbin/sendmail -i -- '%s'", of->mail); /* words.MAIL has no quotes */
	child = run_beside(keeper, command, ends[0], complaints(keeper, null));
	close(ends[0]);
	/* No other program answers it (RFC 3834), and whatever was said can be read. */
	dprintf(ends[1], "Subject: %s: %s\nTo: %s\nAuto-Submitted: auto-generated\nMIME-Version: 1.0\n", of->name, how, of->mail);
	dprintf(ends[1], "Content-Type: text/plain; charset=UTF-8\nContent-Transfer-Encoding: 8bit\n\n");
	dprintf(ends[1], "%s ended with %s.\n\n%.*s\n", of->name, how, (int)keeper->out.tail_size, keeper->out.tail);
	close(ends[1]);
	close(null);
	wait_for(keeper, child, "the mail about it");
}

static void hook(struct keeper *keeper, const char *how)
{
	int null = nothing();

	setenv("RESULT", how, 1);
	setenv("SERVICE", keeper->request->name, 1);
	wait_for(keeper, run_beside(keeper, keeper->request->hook, null, complaints(keeper, null)), "on_failure.run");
	close(null);
}

/* Whoever is to hear of an end that nobody asked for. */
static void tell_others(struct keeper *keeper, const char *how)
{
	if (keeper->request->hook)
		hook(keeper, how);
	if (keeper->request->mail)
		mail(keeper, how);
}

/* The end of the log: what a program has said whose keeper is gone. */
static void recall(struct output *out)
{
	int log = out->request->log ? open(out->request->log, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC) : -1;
	struct stat found;
	ssize_t size;

	if (log < 0)
		return;
	if (!fstat(log, &found) && S_ISREG(found.st_mode)) {
		size = pread(log, out->tail, TAIL_MOST, found.st_size > TAIL_MOST ? found.st_size - TAIL_MOST : 0);
		out->tail_size = size > 0 ? (size_t)size : 0;
	}
	close(log);
}

/* Whether the program has left anybody in the leaf but ourselves. */
static bool has_left_others(const struct keeper *keeper)
{
	char text[4096];
	ssize_t size = pread(keeper->members, text, sizeof text - 1, 0);

	text[size > 0 ? size : 0] = '\0';
	for (char *at = text, *end; *at; at = end + strspn(end, "\n")) {
		pid_t pid = (pid_t)strtol(at, &end, 10);

		if (end == at)
			break;
		/* 0: none of the view's; the program itself is a zombie, and may be told of */
		if (pid != getpid() && pid != keeper->program && pid != keeper->checker)
			return true;
	}
	return false;
}

/* Says how the program ended, to the customer and to the record. */
static void tell_end(struct keeper *keeper)
{
	bool killed = keeper->killed;
	int number = keeper->status;
	char how[64], why[400];
	ssize_t size = read(keeper->why, why, sizeof why - 1);

	if (size > 0) { /* it never became the program */
		why[size] = '\0';
		note("waiting %s", why);
		if (keeper->request->job) /* what is tried each minute tells nobody each minute */
			tell_others(keeper, why);
		return;
	}
	snprintf(how, sizeof how, killed ? "signal %d (%s)" : "exit status %d", number, strsignal(number));
	if (number)
		say(&keeper->out, "ended with %s%s", how, keeper->asked ? ", as it was asked to" : "");
	if (number && keeper->request->last_try && !keeper->asked)
		say(&keeper->out, "too many starts in a short time: given up until it is started or changed");
	if (!killed && !number && has_left_others(keeper)) {
		say(&keeper->out, "the program went to the background, where nobody keeps it; keep it in the foreground");
		note("background");
	}
	note("%s %d", killed ? "signal" : "exit", number);
	if (number && !keeper->asked)
		tell_others(keeper, how);
}

#endif
