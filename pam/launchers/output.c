#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "output.h"
#include "request.h"

/* Called before privileges are dropped, and before a view is entered, which may not have the
 * socket. Returns a descriptor, or -1 when there is no journal. */
int journal_open(void)
{
	struct sockaddr_un place = {.sun_family = AF_UNIX, .sun_path = JOURNAL};
	int journal = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (journal >= 0 && connect(journal, (struct sockaddr *)&place, sizeof place)) {
		close(journal);
		journal = -1;
	}
	return journal;
}

static void journal_send(const struct output *out, const char *line, size_t size,
			 const char *priority)
{
	const struct request *of = out->request;
	struct iovec parts[] = {
		{.iov_base = (char *)"PRIORITY=", .iov_len = 9},
		{.iov_base = (char *)priority, .iov_len = 1},
		{.iov_base = (char *)"\nSYSLOG_IDENTIFIER=", .iov_len = 19},
		{.iov_base = (char *)of->name, .iov_len = strlen(of->name)},
		{.iov_base = (char *)"\nPAAS_ACCOUNT=", .iov_len = 14},
		{.iov_base = (char *)of->account, .iov_len = strlen(of->account)},
		{.iov_base = (char *)"\nPAAS_SERVICE=", .iov_len = 14},
		{.iov_base = (char *)of->service, .iov_len = strlen(of->service)},
		{.iov_base = (char *)"\nMESSAGE=", .iov_len = 9},
		{.iov_base = (char *)line, .iov_len = size},
		{.iov_base = (char *)"\n", .iov_len = 1},
	};
	struct msghdr message = {.msg_iov = parts, .msg_iovlen = sizeof parts / sizeof *parts};

	if (out->journal >= 0 && size)
		sendmsg(out->journal, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Sends a line of the program's to the journal, unless there were too many. */
static void journal_line(struct output *out)
{
	time_t now = time(NULL);
	char text[80];
	int size;

	if (now - out->lines_since >= JOURNAL_LINES_SECONDS) {
		if (out->left_out) {
			size = sprintf(text,
				       "%u lines are in the log alone: too many for the journal",
				       out->left_out);
			journal_send(out, text, (size_t)size, "5");
		}
		out->lines = out->left_out = 0;
		out->lines_since = now;
	}
	if (++out->lines <= JOURNAL_LINES_MAX)
		journal_send(out, out->line, out->line_size, "6");
	else
		out->left_out++;
	out->line_size = 0;
}

/* Opens the log. Returns -1 when it cannot be opened. */
int log_open(const struct request *request)
{
	char directory[PATH_MAX];
	const char *end = request->log ? strrchr(request->log, '/') : NULL;
	struct stat found;
	int log;

	if (!end || end - request->log >= PATH_MAX)
		return -1;
	memcpy(directory, request->log, (size_t)(end - request->log));
	directory[end - request->log] = '\0';
	mkdir(directory, 0750);
	/* O_NONBLOCK: the path may be a fifo. */
	log = open(request->log,
		   O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
		   0640);
	if (log >= 0 && (fstat(log, &found) || !S_ISREG(found.st_mode))) {
		close(log);
		log = -1;
	}
	return log;
}

/* Renames LOG to LOG.1, LOG.1 to LOG.2 and so on; the oldest is overwritten. */
static void log_rotate(struct output *out)
{
	const struct request *of = out->request;
	char from[PATH_MAX], to[PATH_MAX];

	for (unsigned long i = of->log_keep; i > 0; i--) {
		snprintf(to, sizeof to, "%s.%lu", of->log, i);
		if (i > 1)
			snprintf(from, sizeof from, "%s.%lu", of->log, i - 1);
		else
			snprintf(from, sizeof from, "%s", of->log);
		rename(from, to);
	}
	if (!of->log_keep)
		unlink(of->log);
	close(out->log);
	out->log = log_open(of);
}

/* Returns whether the open log is no longer the file at its path: it was renamed (logrotate(8)) or
 * removed. */
static bool log_was_moved(const struct output *out, const struct stat *now)
{
	struct stat there;

	if (lstat(out->request->log, &there))
		return errno == ENOENT;
	return there.st_dev != now->st_dev || there.st_ino != now->st_ino;
}

static void log_append(struct output *out, const char *text, size_t size)
{
	struct stat now;

	if (out->log >= 0 && !fstat(out->log, &now)) {
		if (log_was_moved(out, &now)) {
			close(out->log);
			out->log = log_open(out->request);
		} else if (out->request->log_max &&
			   (unsigned long)now.st_size >= out->request->log_max)
			log_rotate(out);
	} else if (out->log < 0)
		out->log = log_open(out->request);
	if (out->log >= 0 && write(out->log, text, size) < 0)
		return; /* a full disk or quota: the program goes on */
}

static void tail_append(struct output *out, const char *text, size_t size)
{
	size_t room = TAIL_MAX_BYTES - out->tail_size;

	if (size > TAIL_MAX_BYTES) {
		text += size - TAIL_MAX_BYTES;
		size = TAIL_MAX_BYTES;
	}
	if (size > room) {
		memmove(out->tail, out->tail + (size - room), out->tail_size - (size - room));
		out->tail_size -= size - room;
	}
	memcpy(out->tail + out->tail_size, text, size);
	out->tail_size += size;
}

/* Takes output of the program. */
void output_append(struct output *out, const char *text, size_t size)
{
	log_append(out, text, size);
	tail_append(out, text, size);
	for (size_t i = 0; i < size; i++) {
		if (text[i] != '\n')
			out->line[out->line_size++] = text[i];
		if (text[i] == '\n' || out->line_size == LINE_MAX_BYTES)
			journal_line(out);
	}
}

/* Writes a message of our own to the journal and to the customer's log. */
void output_message(struct output *out, const char *format, ...)
{
	char text[512] = "paas-isolate: ";
	size_t begin = strlen(text), size;
	va_list arguments;

	va_start(arguments, format);
	size = begin + (size_t)vsnprintf(text + begin, sizeof text - begin - 1, format, arguments);
	va_end(arguments);
	if (size > sizeof text - 2)
		size = sizeof text - 2;
	if (out->line_size)
		journal_line(out);
	journal_send(out, text, size, "5");
	text[size++] = '\n';
	log_append(out, text, size);
}
