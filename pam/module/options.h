/* The module's arguments in a PAM stack. `paas-isolate pam install` writes them; see
 * pam_paas_isolate(8). */
#ifndef PAAS_ISOLATE_OPTIONS_H
#define PAAS_ISOLATE_OPTIONS_H

#include <security/pam_modules.h>
#include <stdbool.h>
#include <sys/types.h>

struct options {
	const char *doors, *penalty, *exempt;
	unsigned long first_uid, last_uid;
	bool open_on_failure, strangers_to_penalty;
};

struct options options_parse(pam_handle_t *pamh, int argc, const char **argv);
bool options_skip(const struct options *options, uid_t uid);

#endif
