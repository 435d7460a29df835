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

/* Returns whether TEXT is a whole number that is a valid uid, and puts it into *NUMBER. */
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

/* Reads the module's arguments. An unknown one is logged and ignored: logins must go on. */
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

/* Returns whether UID is in LIST, numbers separated by commas. */
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

/* Returns whether these options say that UID is no customer, so that the module ignores the
 * session. */
bool options_skip(const struct options *options, uid_t uid)
{
	return uid == 0 || uid < options->first_uid || uid > options->last_uid ||
	       options_list_has(options->exempt, uid);
}
