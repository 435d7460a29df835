/* pam_paas_isolate: puts a session into the cgroup of its customer, before anything of the customer's runs.
 *
 * A door is a symbolic link to the directory of a leaf: DOORS/UID, and DOORS/UID.SERVICE where logins through that PAM
 * service enter another one. DOORS/.complete says that all doors are there: who has none then is no customer. A door
 * that leads to no absolute path (`closed/alice`) is one of an account that nobody may enter. The module opens the
 * leaf's files through the door and writes one byte: it knows no specification, asks nobody. DOORS/UID:view says which
 * mount namespace the session enters then (view.h). See pam_paas_isolate(8).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#define PAM_SM_SESSION
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <security/pam_modutil.h>

#include "leaf.h"
#include "room.h"
#include "view.h"

#define VISIBLE __attribute__((visibility("default")))
#define PATH_SIZE 512

/* Services whose sessions run what a customer wants. Not daemons such as dovecot, whose workers open sessions for
 * many users and stay where they were put. */
static const char *const services[] = {
	"sshd", "login", "su", "su-l", "sudo", "sudo-i", "runuser", "runuser-l", "cron", "crond", "atd",
	"vsftpd", "proftpd", "pure-ftpd", "systemd-user", "remote", "rsh", "screen", "tmux", "cockpit", "xrdp-sesman",
};

struct options {
	const char *doors, *penalty, *exempt;
	unsigned long first_uid, last_uid;
	bool open_on_failure, strangers_to_penalty;
};

/* What became of an attempt to enter a cgroup; ASTRAY: one was entered, or could be, and the account's view cannot. */
enum entry { ENTERED, REFUSED, NO_DOOR, BROKEN, ASTRAY };

/* What stands where a door may stand. */
enum door { ABSENT, LINK, SHUT, UNREADABLE };

/* True when TEXT is a whole number that fits, which is put into *NUMBER. */
static bool parse_uid(const char *text, unsigned long *number)
{
	char *end;

	errno = 0;
	unsigned long found = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || found >= (uid_t)-1)
		return false;
	*number = found;
	return true;
}

/* Options on the PAM line; what is unknown is logged and passed over, for a login must not end over it. */
static struct options parse_options(pam_handle_t *pamh, int argc, const char **argv)
{
	struct options options = {.doors = "/run/paas-isolate/doors", .first_uid = 1000, .last_uid = 59999};

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
		else if (!(!strncmp(word, "first_uid=", 10) && parse_uid(value, &options.first_uid)) &&
			 !(!strncmp(word, "last_uid=", 9) && parse_uid(value, &options.last_uid)))
			pam_syslog(pamh, LOG_WARNING, "option passed over: %s", word);
	}
	return options;
}

/* True when UID stands in LIST: numbers with commas between. */
static bool listed(const char *list, uid_t uid)
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

/* True for the services in the list. */
static bool ours(const char *service)
{
	for (size_t i = 0; i < sizeof services / sizeof *services; i++)
		if (service && !strcmp(service, services[i]))
			return true;
	return false;
}

/* FILE of the directory AT, into PATH. False with errno where it is too long. */
static bool file_of(char path[PATH_SIZE], const char *at, const char *file)
{
	int size = snprintf(path, PATH_SIZE, "%s/%s", at, file);

	if (size >= 0 && size < PATH_SIZE)
		return true;
	errno = ENAMETOOLONG;
	return false;
}

/* Follows no further than the link itself. UNREADABLE has errno. */
static enum door look_at(const char *door)
{
	char first;

	if (readlink(door, &first, 1) != 1)
		return errno == ENOENT ? ABSENT : UNREADABLE;
	return first == '/' ? LINK : SHUT;
}

/* Through DOOR into its leaf. BROKEN with errno. */
static enum entry through(const char *door)
{
	char path[PATH_SIZE];

	switch (file_of(path, door, "cgroup.events") ? leaf_frozen(AT_FDCWD, path) : -1) {
	case 0:
		return !file_of(path, door, "cgroup.procs") || leaf_enter(AT_FDCWD, path) ? BROKEN : ENTERED;
	case 1:
		return REFUSED;
	}
	return BROKEN;
}

/* By the door of UID for SERVICE, else by that for all services. BROKEN with errno. */
static enum entry come_in(const struct options *options, uid_t uid, const char *service)
{
	char door[PATH_SIZE];
	size_t own = (size_t)snprintf(door, sizeof door, "%s/%lu", options->doors, (unsigned long)uid);
	enum entry ended;
	struct stat found;

	if (own >= sizeof door || own + strlen(service) + 2 > sizeof door) {
		errno = ENAMETOOLONG;
		return BROKEN;
	}
	sprintf(door + own, ".%s", service);
	switch (look_at(door)) {
	case LINK:
		return through(door);
	case SHUT:
		return REFUSED;
	case UNREADABLE:
		return BROKEN;
	case ABSENT:
		break;
	}
	door[own] = '\0';
	ended = through(door);
	if (ended != BROKEN)
		return ended;
	int why = errno; /* of the leaf: of the door there may be nothing to say */

	switch (look_at(door)) {
	case SHUT:
		return REFUSED;
	case ABSENT:
		sprintf(door, "%s/.complete", options->doors);
		if (!stat(door, &found))
			return NO_DOOR;
		break;
	case LINK:
		errno = why;
		break;
	case UNREADABLE:
		break;
	}
	return BROKEN;
}

/* Into the leaf, and then the view. BROKEN and ASTRAY with errno. */
static enum entry enter(const struct options *options, uid_t uid, const char *service)
{
	enum entry ended = come_in(options, uid, service);

	if (ended == BROKEN) { /* a view has no doors in it */
		enum view left = view_leave();

		if (left == VIEW_BROKEN)
			return ASTRAY;
		if (left == VIEW_ENTERED)
			ended = come_in(options, uid, service);
	}
	if (ended == ENTERED && view_enter(options->doors, uid) == VIEW_BROKEN)
		return ASTRAY;
	return ended;
}

/* The same, once more where there were too few descriptors. */
static enum entry enter_in_any_case(const struct options *options, uid_t uid, const char *service)
{
	enum entry ended = enter(options, uid, service);
	struct rlimit before;

	if ((ended != BROKEN && ended != ASTRAY) || errno != EMFILE || !room_make(&before))
		return ended;
	ended = enter(options, uid, service);
	room_give_back(&before);
	return ended;
}

/* The user of that name, or NULL; a lookup may need descriptors as well. */
static const struct passwd *look_up(pam_handle_t *pamh, const char *name)
{
	const struct passwd *user = pam_modutil_getpwnam(pamh, name);
	struct rlimit before;

	if (user || !room_make(&before))
		return user;
	user = pam_modutil_getpwnam(pamh, name);
	room_give_back(&before);
	return user;
}

/* Says it to whoever logs in, where that is wanted. */
static int refuse(pam_handle_t *pamh, int flags, const char *words)
{
	if (!((unsigned)flags & PAM_SILENT))
		pam_error(pamh, "%s", words);
	return PAM_PERM_DENIED;
}

/* For a customer who would lack WHAT: refused, unless on_failure= says otherwise. */
static int lacking(pam_handle_t *pamh, int flags, const struct options *options, const char *name, const char *what)
{
	if (options->open_on_failure) {
		pam_syslog(pamh, LOG_ALERT, "%s logs in without %s (on_failure=open)", name, what);
		return PAM_IGNORE;
	}
	pam_syslog(pamh, LOG_ERR, "%s refused: there would be no %s", name, what);
	return refuse(pamh, flags, "Logins are not possible at the moment. Please contact your hosting provider.");
}

/* For a customer whose view cannot be had, with errno: nothing stands for it, for the host's shows what it hides. */
static int without_view(pam_handle_t *pamh, int flags, const struct options *options, const char *name)
{
	pam_syslog(pamh, LOG_ERR, "the view of %s cannot be entered: %s", name, strerror(errno));
	return lacking(pamh, flags, options, name, "view");
}

/* For a customer whose leaf cannot be had: the penalty leaf, in the view of USER if doors can be read that may name one;
 * when the leaf fails too, what on_failure= says. */
static int without_door(pam_handle_t *pamh, int flags, const struct options *options, const char *name,
			const struct passwd *user)
{
	struct stat found;

	if (!options->penalty || through(options->penalty) != ENTERED)
		return lacking(pamh, flags, options, name, "limits");
	if (user && !stat(options->doors, &found) && view_enter(options->doors, user->pw_uid) == VIEW_BROKEN)
		return without_view(pamh, flags, options, name);
	pam_syslog(pamh, LOG_WARNING, "%s is in %s until reconcile mends the doors", name, options->penalty);
	return PAM_SUCCESS;
}

/* PAM_SUCCESS: the session is in a cgroup of ours. PAM_IGNORE: it is none of our business.
 * PAM_PERM_DENIED: refused, in words. */
VISIBLE int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	const struct options options = parse_options(pamh, argc, argv);
	const char *service = NULL, *name = NULL;
	const struct passwd *user;

	if (pam_get_item(pamh, PAM_SERVICE, (const void **)&service) != PAM_SUCCESS || !ours(service) ||
	    pam_get_item(pamh, PAM_USER, (const void **)&name) != PAM_SUCCESS || !name || !strcmp(name, "root"))
		return PAM_IGNORE;
	user = look_up(pamh, name);
	if (!user) {
		pam_syslog(pamh, LOG_ERR, "%s cannot be looked up: nobody knows whose login this is", name);
		return without_door(pamh, flags, &options, name, NULL);
	}
	if (user->pw_uid == 0 || user->pw_uid < options.first_uid || user->pw_uid > options.last_uid ||
	    listed(options.exempt, user->pw_uid))
		return PAM_IGNORE;
	switch (enter_in_any_case(&options, user->pw_uid, service)) {
	case ENTERED:
		return PAM_SUCCESS;
	case ASTRAY:
		return without_view(pamh, flags, &options, name);
	case NO_DOOR:
		return options.strangers_to_penalty && options.penalty && through(options.penalty) == ENTERED ? PAM_SUCCESS
													      : PAM_IGNORE;
	case REFUSED:
		pam_syslog(pamh, LOG_NOTICE, "%s refused: the account is suspended or frozen", name);
		return refuse(pamh, flags, "This account is suspended. Please contact your hosting provider.");
	case BROKEN:
		break;
	}
	pam_syslog(pamh, LOG_ERR, "the door of %s (uid %lu) for %s does not open: %s", name,
		   (unsigned long)user->pw_uid, service, strerror(errno));
	return without_door(pamh, flags, &options, name, user);
}

/* A session's processes stay where they are until they end. */
VISIBLE int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh, (void)flags, (void)argc, (void)argv;
	return PAM_IGNORE;
}
