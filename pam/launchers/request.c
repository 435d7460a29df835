#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "privileges.h"
#include "request.h"

/* Reads all of standard input. */
static char *read_stdin(size_t *size)
{
	char *text = malloc(REQUEST_MAX_BYTES);
	ssize_t more = 1;

	if (!text)
		fail("out of memory");
	for (*size = 0; more > 0 && *size < REQUEST_MAX_BYTES; *size += (size_t)more) {
		more = read(STDIN_FILENO, text + *size, REQUEST_MAX_BYTES - *size);
		if (more < 0)
			fail("the request cannot be read: %s", strerror(errno));
	}
	if (!*size || *size == REQUEST_MAX_BYTES || text[*size - 1])
		fail("the request is not whole");
	return text;
}

static void parse_rlimit(struct request *request, const char *value)
{
	char *end;
	long which = strtol(value, &end, 10), limit = *end == ':' ? strtol(end + 1, NULL, 10) : 0;

	if (*end != ':' || request->rlimit_count == RLIMITS_MAX)
		fail("no resource limit: %s", value);
	request->rlimits[request->rlimit_count].which = (int)which;
	request->rlimits[request->rlimit_count++].value = limit < 0 ? RLIM_INFINITY : (rlim_t)limit;
}

/* Adds a variable. It is copied to VARIABLES, which has room for the whole request. */
static void parse_variable(struct request *request, const char *value)
{
	size_t size = strlen(value) + 1;

	memmove(request->variables + request->environment, value, size);
	request->environment += size;
}

struct request read_request(void)
{
	struct request request = {.variables = NULL, .umask = 022};
	size_t size, length;
	char *text = read_stdin(&size);
	const struct {
		const char *key;
		const char **text;
		unsigned long *number;
	} known[] = {
		{"user", &request.user, NULL},
		{"account", &request.account, NULL},
		{"service", &request.service, NULL},
		{"name", &request.name, NULL},
		{"command", &request.command, NULL},
		{"directory", &request.directory, NULL},
		{"environment_file", &request.environment_file, NULL},
		{"log", &request.log, NULL},
		{"view", &request.view, NULL},
		{"views", &request.views, NULL},
		{"health", &request.health, NULL},
		{"mail", &request.mail, NULL},
		{"hook", &request.hook, NULL},
		{"ended", &request.ended, NULL},
		{"log_max", NULL, &request.log_max},
		{"log_keep", NULL, &request.log_keep},
		{"health_every", NULL, &request.health_every},
		{"health_failures", NULL, &request.health_failures},
	};

	request.variables = malloc(size);
	if (!request.variables)
		fail("out of memory");
	for (char *at = text; at < text + size; at += length) {
		char *value = strchr(at, '=');
		size_t i = 0;

		length = strlen(at) + 1;
		if (!value)
			fail("no request: %s", at);
		*value++ = '\0';
		for (; i < sizeof known / sizeof *known && strcmp(at, known[i].key); i++)
			;
		if (i < sizeof known / sizeof *known) {
			if (known[i].text)
				*known[i].text = value;
			else
				*known[i].number = strtoul(value, NULL, 10);
		} else if (!strcmp(at, "umask"))
			request.umask = strtoul(value, NULL, 8);
		else if (!strcmp(at, "no_new_privs"))
			request.no_new_privs = *value == '1';
		else if (!strcmp(at, "last_try"))
			request.last_try = *value == '1';
		else if (!strcmp(at, "job"))
			request.job = *value == '1';
		else if (!strcmp(at, "rlimit"))
			parse_rlimit(&request, value);
		else if (!strcmp(at, "variable"))
			parse_variable(&request, value);
		else
			fail("nothing is known of %s", at);
	}
	if (!request.user || !request.account || !request.service || !request.name ||
	    !request.command || !request.directory)
		fail("the request is not whole");
	return request;
}
