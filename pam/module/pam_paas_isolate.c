/* pam_paas_isolate: moves a session into the customer's cgroup before any program of the customer's
 * runs.
 *
 * It follows the customer's door (door.h) to the leaf, opens the leaf's files and writes one byte.
 * It reads no specification and asks no other process. DOORS/UID:view names the mount namespace
 * that the session enters then (view.h). Its arguments are in options.h. See
 * pam_paas_isolate(8). */
#define _GNU_SOURCE
#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>

#define PAM_SM_SESSION
#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <security/pam_modutil.h>

#include "../common/view.h"
#include "door.h"
#include "nofile.h"
#include "options.h"
#include "services.h"

#define VISIBLE __attribute__((visibility("default")))

/* Returns whether sessions of this PAM service are moved. */
static bool is_placed_service(const char *service)
{
	for (size_t i = 0; i < sizeof services / sizeof *services; i++)
		if (service && !strcmp(service, services[i]))
			return true;
	return false;
}

/* Enters the leaf, and then the view. With BROKEN and VIEW_FAILED errno has the reason. */
static enum entry enter(const struct options *options, uid_t uid, const char *service)
{
	enum entry ended = door_enter(options->doors, uid, service);

	if (ended == BROKEN) { /* inside a view there are no doors */
		enum view left = view_leave();

		if (left == VIEW_BROKEN)
			return VIEW_FAILED;
		if (left == VIEW_ENTERED)
			ended = door_enter(options->doors, uid, service);
	}
	if (ended == ENTERED && view_enter(options->doors, uid) == VIEW_BROKEN)
		return VIEW_FAILED;
	return ended;
}

/* The same, tried again with a higher limit of open files when there were too few descriptors. */
static enum entry enter_with_retry(const struct options *options, uid_t uid, const char *service)
{
	enum entry ended = enter(options, uid, service);
	struct rlimit before;

	if ((ended != BROKEN && ended != VIEW_FAILED) || errno != EMFILE || !nofile_raise(&before))
		return ended;
	ended = enter(options, uid, service);
	nofile_restore(&before);
	return ended;
}

/* Returns the user called NAME, or NULL. The lookup may need more descriptors, too. */
static const struct passwd *lookup_user(pam_handle_t *pamh, const char *name)
{
	const struct passwd *user = pam_modutil_getpwnam(pamh, name);
	struct rlimit before;

	if (user || !nofile_raise(&before))
		return user;
	user = pam_modutil_getpwnam(pamh, name);
	nofile_restore(&before);
	return user;
}

/* Sends WORDS to the user who logs in, unless the application wants no messages. */
static int refuse(pam_handle_t *pamh, int flags, const char *words)
{
	if (!((unsigned)flags & PAM_SILENT))
		pam_error(pamh, "%s", words);
	return PAM_PERM_DENIED;
}

/* For a customer who would get no WHAT: the login is refused, unless on_failure= says otherwise. */
static int apply_on_failure(pam_handle_t *pamh, int flags, const struct options *options,
			    const char *name, const char *what)
{
	if (options->open_on_failure) {
		pam_syslog(pamh, LOG_ALERT, "%s logs in without %s (on_failure=open)", name, what);
		return PAM_IGNORE;
	}
	pam_syslog(pamh, LOG_ERR, "%s refused: there would be no %s", name, what);
	return refuse(
		pamh, flags,
		"Logins are not possible at the moment. Please contact your hosting provider.");
}

/* For a customer whose view cannot be entered, with the reason in errno. The host's namespace is no
 * substitute: it shows what the view hides. */
static int fail_without_view(pam_handle_t *pamh, int flags, const struct options *options,
			     const char *name)
{
	pam_syslog(pamh, LOG_ERR, "the view of %s cannot be entered: %s", name, strerror(errno));
	return apply_on_failure(pamh, flags, options, name, "view");
}

/* For a customer whose leaf cannot be entered: enters the penalty leaf, and the view of USER if the
 * doors can be read, which may name one. When that leaf fails too, on_failure= decides. */
static int fail_without_door(pam_handle_t *pamh, int flags, const struct options *options,
			     const char *name, const struct passwd *user)
{
	struct stat found;

	if (!options->penalty || door_enter_leaf(options->penalty) != ENTERED)
		return apply_on_failure(pamh, flags, options, name, "limits");
	if (user && !stat(options->doors, &found) &&
	    view_enter(options->doors, user->pw_uid) == VIEW_BROKEN)
		return fail_without_view(pamh, flags, options, name);
	pam_syslog(pamh, LOG_WARNING, "%s is in %s until reconcile mends the doors", name,
		   options->penalty);
	return PAM_SUCCESS;
}

/* Returns PAM_SUCCESS: the session is in a cgroup of ours. PAM_IGNORE: it is no customer's.
 * PAM_PERM_DENIED: it is refused, with a message to the user. */
VISIBLE int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	const struct options options = options_parse(pamh, argc, argv);
	const char *service = NULL, *name = NULL;
	const struct passwd *user;

	if (pam_get_item(pamh, PAM_SERVICE, (const void **)&service) != PAM_SUCCESS ||
	    !is_placed_service(service) ||
	    pam_get_item(pamh, PAM_USER, (const void **)&name) != PAM_SUCCESS || !name ||
	    !strcmp(name, "root"))
		return PAM_IGNORE;
	user = lookup_user(pamh, name);
	if (!user) {
		pam_syslog(pamh, LOG_ERR,
			   "%s cannot be looked up: nobody knows whose login this is", name);
		return fail_without_door(pamh, flags, &options, name, NULL);
	}
	if (options_skip(&options, user->pw_uid))
		return PAM_IGNORE;
	switch (enter_with_retry(&options, user->pw_uid, service)) {
	case ENTERED:
		return PAM_SUCCESS;
	case VIEW_FAILED:
		return fail_without_view(pamh, flags, &options, name);
	case NO_DOOR:
		if (options.strangers_to_penalty && options.penalty &&
		    door_enter_leaf(options.penalty) == ENTERED)
			return PAM_SUCCESS;
		return PAM_IGNORE;
	case REFUSED:
		pam_syslog(pamh, LOG_NOTICE, "%s refused: the account is suspended or frozen",
			   name);
		return refuse(pamh, flags,
			      "This account is suspended. Please contact your hosting provider.");
	case FULL:
		pam_syslog(pamh, LOG_NOTICE,
			   "%s refused: the account has as many processes as it may", name);
		return refuse(pamh, flags,
			      "This account has as many processes as it may have. Please end some "
			      "first, or contact "
			      "your hosting provider.");
	case BROKEN:
		break;
	}
	pam_syslog(pamh, LOG_ERR, "the door of %s (uid %lu) for %s does not open: %s", name,
		   (unsigned long)user->pw_uid, service, strerror(errno));
	return fail_without_door(pamh, flags, &options, name, user);
}

/* The processes of a session stay in their cgroup until they end. */
VISIBLE int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh, (void)flags, (void)argc, (void)argv;
	return PAM_IGNORE;
}
