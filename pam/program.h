/* What the program of a service begins with, in the child that becomes it: the customer's ids, environment, directory and
 * resource limits, and nothing of root's, whoever has given the order. */
#ifndef PAAS_ISOLATE_PROGRAM_H
#define PAAS_ISOLATE_PROGRAM_H

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "customer.h"
#include "hygiene.h"
#include "request.h"

#define FILE_MOST (128 << 10)
#define WORDS_MOST 100

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

/* Does what the shell would do with a path and plain words, without the shell. Comes back where COMMAND is anything
 * more, or cannot be executed: the shell then does it, or says why not. */
static void run_plainly(const char *command)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./=:,@%+- ";
	char *words[WORDS_MOST + 1], *rest, *word;
	size_t count = 0;

	if (!strncmp(command, "exec ", 5))
		command += 5;
	if (command[strspn(command, plain)] || !(rest = strdup(command)))
		return;
	while ((word = strsep(&rest, " ")) && count < WORDS_MOST)
		if (*word)
			words[count++] = word;
	words[count] = NULL;
	if (!word && count && strchr(words[0], '/') && !strchr(words[0], '='))
		execv(words[0], words);
}

/* Makes way, as root, for what the request asks for: whoever runs as the customer can set a limit as high as that, then. */
static void allow_limits(const struct request *request)
{
	for (int i = 0; i < request->rlimit_count; i++) {
		unsigned which = (unsigned)request->rlimits[i].which;
		struct rlimit limit;

		if (getrlimit(which, &limit) || limit.rlim_max >= request->rlimits[i].value)
			continue;
		limit.rlim_max = request->rlimits[i].value;
		setrlimit(which, &limit); /* root of a container may raise none: take_limits() tells */
	}
}

static void take_limits(const struct request *request)
{
	for (int i = 0; i < request->rlimit_count; i++) {
		const struct rlimit limit = {request->rlimits[i].value, request->rlimits[i].value};

		if (setrlimit((unsigned)request->rlimits[i].which, &limit))
			fail("resource limit %d: %s", request->rlimits[i].which, strerror(errno));
	}
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
	take_limits(request);
	run_plainly(command);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	fprintf(stderr, PROGRAM ": /bin/sh: %s\n", strerror(errno));
	_exit(NOT_EXECUTABLE);
}

/* The program itself. */
__attribute__((noreturn)) static void run_program(const struct request *request, const struct passwd *user, int nothing,
						  int output)
{
	/* What goes wrong from here on is the customer's to read. */
	dup2(nothing, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	become(user);
	own_keyring();
	run(request, request->command, nothing, output);
}

#endif
