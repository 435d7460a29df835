#define _GNU_SOURCE
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

#include "inherited.h"
#include "privileges.h"
#include "program.h"
#include "request.h"

#define FILE_MAX_BYTES (128 << 10)
#define WORDS_MAX 100

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

/* Returns the quote that ends the value that begins at TEXT, after the opening quote: only blanks
 * may follow it on its line. NULL when there is none. */
static char *quote_end(char *text, char quote)
{
	for (char *at = text; (at = strchr(at, quote)); at++) {
		char *behind = at + 1 + strspn(at + 1, " \t\r");

		if (!*behind || *behind == '\n')
			return at;
	}
	return NULL;
}

/* Reads NAME=VALUE lines. A value may be between quotes, and then have several lines. Empty lines
 * and comments are skipped. Any other line is reported with its number. */
static void parse_environment(char *text, const char *path)
{
	char *next;

	if (!strncmp(text, "\xef\xbb\xbf", 3)) /* a byte order mark */
		text += 3;
	for (unsigned line = 1; *text; text = next, line++) {
		char *end = text + strcspn(text, "\n"), *name = text + strspn(text, " \t"), *value,
		     *quote = NULL;

		next = *end ? end + 1 : end;
		if (!strncmp(name, "export ", 7))
			name += 7;
		value = memchr(name, '=', (size_t)(end - name));
		if (!value || !is_name(name, (size_t)(value - name))) {
			if (*name != '#' && name + strspn(name, " \t\r") < end)
				fprintf(stderr, "paas-run: %s:%u: is no NAME=VALUE, and left out\n",
					path, line);
			continue;
		}
		*value++ = '\0';
		if (*value == '"' || *value == '\'') {
			quote = quote_end(value + 1, *value);
			if (!quote)
				fprintf(stderr,
					"paas-run: %s:%u: no line ends with the quote: "
					"taken as it is\n",
					path, line);
		}
		if (quote) {
			for (value++; end < quote; end += 1 + strcspn(end + 1, "\n"))
				line++;
			next = *end ? end + 1 : end;
			end = quote;
		} else
			while (end > value && strchr(" \t\r", end[-1]))
				end--;
		*end = '\0';
		setenv(name, value, 1);
	}
}

/* Reads the file as the customer. A missing file is reported, and the program starts without it. */
static void read_environment_file(const char *path)
{
	char *text = calloc(1, FILE_MAX_BYTES + 1);
	int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat found;

	if (fd < 0 || fstat(fd, &found))
		fprintf(stderr, "paas-run: %s: %s\n", path, strerror(errno));
	else if (!S_ISREG(found.st_mode))
		fprintf(stderr, "paas-run: %s: is no regular file\n", path);
	else if (!text || read(fd, text, FILE_MAX_BYTES) < 0)
		fprintf(stderr, "paas-run: %s: %s\n", path, strerror(errno));
	else {
		if (found.st_size > FILE_MAX_BYTES)
			fprintf(stderr, "paas-run: %s: only the first %d bytes are read\n", path,
				FILE_MAX_BYTES);
		parse_environment(text, path);
	}
	free(text);
	if (fd >= 0)
		close(fd);
}

void set_environment(const struct request *request, const struct passwd *user)
{
	set_user_environment(user);
	for (size_t at = 0; at < request->environment; at += strlen(request->variables + at) + 1)
		putenv(request->variables + at);
}

/* Executes a path with plain words without the shell, as the shell would. Returns when COMMAND is
 * anything else or cannot be executed: then the shell executes it, or says why it cannot. */
static void exec_plain_words(const char *command)
{
	static const char plain[] =
		"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./=:,@%+- ";
	char *words[WORDS_MAX + 1], *rest, *word;
	size_t count = 0;

	if (!strncmp(command, "exec ", 5))
		command += 5;
	if (command[strspn(command, plain)] || !(rest = strdup(command)))
		return;
	while ((word = strsep(&rest, " ")) && count < WORDS_MAX)
		if (*word)
			words[count++] = word;
	words[count] = NULL;
	if (!word && count && strchr(words[0], '/') && !strchr(words[0], '='))
		execv(words[0], words);
}

/* Raises hard limits, as root, to what the request asks for, so that the customer's process can set
 * its limits to that. */
void raise_hard_limits(const struct request *request)
{
	for (int i = 0; i < request->rlimit_count; i++) {
		unsigned which = (unsigned)request->rlimits[i].which;
		struct rlimit limit;

		if (getrlimit(which, &limit) || limit.rlim_max >= request->rlimits[i].value)
			continue;
		limit.rlim_max = request->rlimits[i].value;
		setrlimit(which, &limit); /* where it fails, set_rlimits() reports it */
	}
}

static void set_rlimits(const struct request *request)
{
	for (int i = 0; i < request->rlimit_count; i++) {
		const struct rlimit limit = {request->rlimits[i].value, request->rlimits[i].value};

		if (setrlimit((unsigned)request->rlimits[i].which, &limit))
			fail("resource limit %d: %s", request->rlimits[i].which, strerror(errno));
	}
}

/* Exits with the directory as the customer has written it, and the reason. */
__attribute__((noreturn)) static void fail_for_directory(const char *directory)
{
	const char *home = getenv("HOME"), *tilde = "";
	size_t size = home ? strlen(home) : 0;
	int error = errno;

	if (size > 1 && !strncmp(directory, home, size) &&
	    (directory[size] == '/' || !directory[size])) {
		directory += size;
		tilde = "~";
	}
	if (error == ENOENT)
		fail("%s%s is not there", tilde, directory);
	fail("%s%s: %s", tilde, directory, strerror(error));
}

/* Runs a command in a child of the shim, which is the customer by now. */
void exec_command(const struct request *request, const char *command, int input, int output)
{
	setsid();
	reset_signals();
	dup2(input, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	umask((mode_t)request->umask);
	if (chdir(request->directory))
		fail_for_directory(request->directory);
	if (request->environment_file)
		read_environment_file(request->environment_file);
	if (request->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		fail("no_new_privs: %s", strerror(errno));
	set_rlimits(request);
	exec_plain_words(command);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	fprintf(stderr, "paas-run: /bin/sh: %s\n", strerror(errno));
	_exit(NOT_EXECUTABLE);
}

/* Becomes the customer and runs the program. */
void exec_program(const struct request *request, const struct passwd *user, int nothing, int output)
{
	/* From here on the customer reads the messages. */
	dup2(nothing, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	drop_privileges(user);
	join_own_keyring();
	exec_command(request, request->command, nothing, output);
}
