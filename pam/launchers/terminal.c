#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "privileges.h"
#include "terminal.h"

/* Ctrl-], so often within a second, takes the terminal back, as in machinectl(1). */
#define ESCAPE_KEY 0x1d
#define ESCAPE_COUNT 3

/* Milliseconds until the next check whether we may read keys. */
#define RECHECK_MS 200

/* More than the kernel buffers of what a command has written before its end. */
#define DRAIN_MAX_BYTES (256 << 10)

struct terminal {
	/* `out` is one of the standard descriptors that is a terminal. `out`, `master` and `slave`
	 * are -1 when there is none. */
	int out, master, slave, signals;
	/* `keys`: standard input is a terminal. `lines`: the output is a pipe, and its reader may
	 * want the keys as well (less): root's terminal is not changed, and whole lines are passed
	 * on. `raw`: root's terminal is in raw mode; `changed`: it was at least once. */
	bool keys, lines, raw, changed;
	struct termios before;
	pid_t child;
	char typed[64 << 10];
	size_t waiting;
	int escapes;
	struct timespec escaped;
};

static bool has_controlling_terminal(void)
{
	int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

/* When there is no terminal to leave: returns whether this process leads a session or now does. The
 * leader of a process group must join another group first (setsid(2)). */
static bool leads_session(void)
{
	return getsid(0) == getpid() || setsid() >= 0 ||
	       (!setpgid(0, getpgid(getppid())) && setsid() >= 0);
}

static void copy_window_size(const struct terminal *terminal)
{
	struct winsize size;

	if (terminal->out >= 0 && !ioctl(terminal->out, TIOCGWINSZ, &size))
		ioctl(terminal->master, TIOCSWINSZ, &size);
}

static bool is_pipe(int fd)
{
	struct stat found;

	return !fstat(fd, &found) && (S_ISFIFO(found.st_mode) || S_ISSOCK(found.st_mode));
}

static void set_raw(struct terminal *terminal)
{
	struct termios raw;

	if (!terminal->changed && tcgetattr(STDIN_FILENO, &terminal->before))
		return;
	raw = terminal->before;
	cfmakeraw(&raw);
	terminal->raw = !tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	if (terminal->raw && !terminal->changed)
		tcsetattr(terminal->slave, TCSANOW, &terminal->before);
	terminal->changed |= terminal->raw;
}

/* Returns whether our job is in the foreground of the terminal. A terminal that is not our
 * controlling one has no jobs of ours (-1). */
static bool in_foreground(void)
{
	pid_t foreground = tcgetpgrp(STDIN_FILENO);

	return foreground < 0 || foreground == getpgrp();
}

/* Returns whether we may read keys: they are not for another job in the foreground, or for a
 * program beside us. */
static bool may_read(struct terminal *terminal)
{
	struct termios now;

	if (!terminal->keys || terminal->waiting == sizeof terminal->typed)
		return false;
	if (terminal->raw)
		return true;
	if (!in_foreground())
		return false;
	if (terminal->lines)
		return !tcgetattr(STDIN_FILENO, &now) && now.c_lflag & ICANON;
	set_raw(terminal);
	return terminal->raw;
}

/* Opens a new terminal, which belongs to the user. */
static void open_terminal(struct terminal *terminal, const struct passwd *user)
{
	struct termios like;

	terminal->keys = isatty(STDIN_FILENO);
	terminal->lines = terminal->keys && is_pipe(STDOUT_FILENO);
	terminal->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (terminal->master < 0 || unlockpt(terminal->master))
		fail("no terminal can be had: %s", strerror(errno));
	/* Not by a path: /dev/pts may be anything. */
	terminal->slave = ioctl(terminal->master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (terminal->slave < 0 || fchown(terminal->slave, user->pw_uid, user->pw_gid) ||
	    fchmod(terminal->slave, 0600))
		fail("no terminal can be had: %s", strerror(errno));
	copy_window_size(terminal);
	if (tcgetattr(terminal->keys ? STDIN_FILENO : terminal->out, &terminal->before))
		fail("the terminal: %s", strerror(errno));
	like = terminal->before;
	like.c_oflag &= ~(tcflag_t)OPOST; /* root's terminal does this until it is raw */
	like.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	tcsetattr(terminal->slave, TCSANOW, &like);
	may_read(terminal);
}

/* Restores root's terminal. TCSAFLUSH: its answers to the command's last output are not input for
 * root's shell. */
static void restore_terminal(const struct terminal *terminal)
{
	if (terminal->changed && in_foreground())
		tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal->before);
}

/* Exits as the command did; closing the terminal hangs up what is left of it. */
__attribute__((noreturn)) static void exit_like_command(const struct terminal *terminal, int status)
{
	const struct rlimit none = {0, 0};

	restore_terminal(terminal);
	if (WIFSIGNALED(status)) {
		sigset_t all;

		setrlimit(RLIMIT_CORE, &none);
		signal(WTERMSIG(status), SIG_DFL);
		raise(WTERMSIG(status));
		sigfillset(&all);
		sigprocmask(SIG_UNBLOCK, &all, NULL);
		_exit(128 + WTERMSIG(status));
	}
	_exit(WEXITSTATUS(status));
}

__attribute__((noreturn)) static void hang_up(struct terminal *terminal)
{
	close(terminal->master);
	kill(terminal->child, SIGHUP);
	exit_like_command(terminal, HUNG_UP << 8);
}

/* Looks for Ctrl-] in quick succession. */
static void check_escape(struct terminal *terminal, const char *typed, size_t size)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	for (size_t i = 0; i < size; i++) {
		if (typed[i] != ESCAPE_KEY) {
			terminal->escapes = 0;
			continue;
		}
		if (!terminal->escapes || now.tv_sec - terminal->escaped.tv_sec > 1) {
			terminal->escaped = now;
			terminal->escapes = 0;
		}
		if (++terminal->escapes == ESCAPE_COUNT)
			hang_up(terminal);
	}
}

static void read_keys(struct terminal *terminal)
{
	char *typed = terminal->typed + terminal->waiting;
	ssize_t size = read(STDIN_FILENO, typed, sizeof terminal->typed - terminal->waiting);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size < 0 || (!size && terminal->raw))
		hang_up(terminal);
	if (!size) { /* Ctrl-D on a line of its own */
		*typed = (char)terminal->before.c_cc[VEOF];
		size = 1;
	}
	if (terminal->raw)
		check_escape(terminal, typed, (size_t)size);
	terminal->waiting += (size_t)size;
}

static void write_keys(struct terminal *terminal)
{
	ssize_t size = write(terminal->master, terminal->typed, terminal->waiting);

	if (size <= 0)
		return;
	terminal->waiting -= (size_t)size;
	memmove(terminal->typed, terminal->typed + size, terminal->waiting);
}

/* Writes to root's terminal; when that is gone, hangs up the command's. */
static void write_to_caller(struct terminal *terminal, const char *text, size_t size)
{
	while (size) {
		ssize_t written = write(terminal->out, text, size);

		if (written > 0) {
			text += written;
			size -= (size_t)written;
		} else if (errno == EAGAIN) {
			struct pollfd room = {.fd = terminal->out, .events = POLLOUT};

			poll(&room, 1, -1);
		} else if (errno == EIO)
			hang_up(terminal);
		else if (errno != EINTR)
			return; /* opened for reading only */
	}
}

/* Copies one read of the command's output. Returns its size, 0 when there is nothing now, -1 at the
 * end. */
static ssize_t copy_output(struct terminal *terminal)
{
	static char text[16 << 10];
	ssize_t size = read(terminal->master, text, sizeof text);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (size <= 0)
		return -1;
	write_to_caller(terminal, text, (size_t)size);
	return size;
}

/* Copies what the command wrote before its end, and exits. Output of processes that remain is not
 * copied. */
__attribute__((noreturn)) static void finish_output(struct terminal *terminal, int status)
{
	ssize_t size, most = DRAIN_MAX_BYTES;

	while (terminal->master >= 0 && most > 0 && (size = copy_output(terminal)) > 0)
		most -= size;
	exit_like_command(terminal, status);
}

static void handle_signals(struct terminal *terminal)
{
	struct signalfd_siginfo heard;
	int status;

	while (read(terminal->signals, &heard, sizeof heard) == sizeof heard)
		switch (heard.ssi_signo) {
		case SIGCHLD:
			if (waitpid(terminal->child, &status, WNOHANG) == terminal->child)
				finish_output(terminal, status);
			break;
		case SIGWINCH:
			copy_window_size(terminal);
			break;
		case SIGCONT: /* a shell may have set its terminal in between */
			terminal->raw = false;
			break;
		case SIGINT:
		case SIGQUIT: /* a terminal signals all processes of a job */
			if (!kill(-terminal->child, (int)heard.ssi_signo))
				break;
			/* fall through */
		default:
			kill(terminal->child, (int)heard.ssi_signo);
		}
}

/* Copies and passes on signals until the command ends. */
__attribute__((noreturn)) static void relay(struct terminal *terminal)
{
	struct pollfd ready[] = {{.fd = terminal->signals, .events = POLLIN},
				 {.fd = terminal->master},
				 {.fd = terminal->out}};

	for (;;) {
		bool reads = may_read(terminal);

		ready[1].events = POLLIN | (terminal->waiting ? POLLOUT : 0);
		ready[2].fd = terminal->keys ? STDIN_FILENO : terminal->out;
		ready[2].events = reads ? POLLIN : 0;
		if (poll(ready, 3, terminal->keys && !reads ? RECHECK_MS : -1) < 0)
			continue;
		if (ready[0].revents)
			handle_signals(terminal);
		if (ready[1].revents & POLLOUT)
			write_keys(terminal);
		if (ready[1].revents & (POLLIN | POLLHUP | POLLERR) && copy_output(terminal) < 0)
			ready[1].fd = -1; /* its end is reported by SIGCHLD */
		if (ready[2].revents & (POLLHUP | POLLERR | POLLNVAL))
			hang_up(terminal);
		if (ready[2].revents & POLLIN &&
		    may_read(terminal)) /* that may have changed meanwhile */
			read_keys(terminal);
	}
}

/* Opens a signalfd for the signals to pass on, without those that the caller ignores (nohup(1)). */
static int open_signalfd(void)
{
	static const int known[] = {SIGCHLD, SIGWINCH, SIGCONT, SIGINT, SIGQUIT,
				    SIGTERM, SIGHUP,   SIGUSR1, SIGUSR2};
	struct sigaction now;
	sigset_t heard;

	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&heard);
	for (size_t i = 0; i < sizeof known / sizeof *known; i++)
		if (!sigaction(known[i], NULL, &now) && now.sa_handler != SIG_IGN)
			sigaddset(&heard, known[i]);
	sigprocmask(SIG_SETMASK, &heard, NULL);
	return signalfd(-1, &heard, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* Returns in the process that becomes the command, in a session of its own. */
void detach_terminal(const struct passwd *user)
{
	static struct terminal terminal = {.out = -1, .master = -1, .slave = -1};
	static const int preferred[] = {STDIN_FILENO, STDERR_FILENO, STDOUT_FILENO};
	bool is_terminal[3];

	for (int i = 0; i < 3; i++) {
		is_terminal[preferred[i]] = isatty(preferred[i]);
		if (is_terminal[preferred[i]])
			terminal.out = preferred[i];
	}
	if (terminal.out < 0 && !has_controlling_terminal() && leads_session())
		return;
	if (terminal.out >= 0)
		open_terminal(&terminal, user);
	terminal.signals = open_signalfd();
	terminal.child = terminal.signals < 0 ? -1 : fork();
	if (terminal.child < 0) {
		int why = errno;

		restore_terminal(&terminal);
		fail("no process can be had: %s", strerror(why));
	}
	if (terminal.child)
		relay(&terminal);
	setsid();
	if (terminal.slave >= 0 && ioctl(terminal.slave, TIOCSCTTY, 0))
		fail("the terminal: %s", strerror(errno));
	for (int i = 0; i < 3; i++)
		if (is_terminal[i] && dup2(terminal.slave, i) < 0)
			fail("the terminal: %s", strerror(errno));
}
