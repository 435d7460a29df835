#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <syslog.h>

#include <security/pam_ext.h>
#include <security/pam_modules.h>

#include "options.h"

/* True when TEXT is a whole number that fits, which is put into *NUMBER. */
static bool options_uid(const char *text, unsigned long *number)
{
	char *end;

	errno = 0;
	unsigned long found = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || found >= (uid_t)-1)
		return false;
	*number = found;
	return true;
}

/* What stands on the line; what is unknown is logged and passed over, for a login must not end over
 * it. */
struct options options_parse(pam_handle_t *pamh, int argc, const char **argv)
{
	struct options options = {
		.doors = "/run/paas-isolate/doors", .first_uid = 1000, .last_uid = 59999};

	for (int i = 0; i < argc; i++) {
		const char *word = argv[i], *value = strchr(word, '=');

		value = value ? value + 1 : "";
		if (!strncmp(word, "doors=/", 7))
			options.doors = value;
		else if (!strncmp(word, "penalty=/", 9))
			options.penalty = value;
		else if (!strncmp(word, "exempt=", 7))
			options.exempt = value;
		else if (!strcmp(word, "on_failure=open"))
			options.open_on_failure = true;
		else if (!strcmp(word, "on_failure=refuse"))
			options.open_on_failure = false;
		else if (!strcmp(word, "without_account=penalty"))
			options.strangers_to_penalty = true;
		else if (!(!strncmp(word, "first_uid=", 10) &&
			   options_uid(value, &options.first_uid)) &&
			 !(!strncmp(word, "last_uid=", 9) && options_uid(value, &options.last_uid)))
			pam_syslog(pamh, LOG_WARNING, "option passed over: %s", word);
	}
	return options;
}

/* True when UID stands in LIST: numbers with commas between. */
static bool options_list_has(const char *list, uid_t uid)
{
	while (list && *list) {
		char *end;
		unsigned long number = strtoul(list, &end, 10);

		if (end != list && number == uid && (*end == ',' || !*end))
			return true;
		list = strchr(list, ',');
		list = list ? list + 1 : NULL;
	}
	return false;
}

/* True for who is no customer by these options, and so none of the module's business. */
bool options_skip(const struct options *options, uid_t uid)
{
	return uid == 0 || uid < options->first_uid || uid > options->last_uid ||
	       options_list_has(options->exempt, uid);
}
