#define _GNU_SOURCE
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "privileges.h"

void (*on_fail)(const char *text);

void fail(const char *format, ...)
{
	char text[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof text, format, arguments);
	va_end(arguments);
	fprintf(stderr, "%s: %s\n", launcher_name, text);
	if (on_fail)
		on_fail(text);
	exit(OWN_FAILURE);
}

/* Copies a text: getpwnam(3) reuses the memory of its result. */
char *duplicate(const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		fail("out of memory");
	return copy;
}

/* Looks up a user by name. Exits when there is none, and for root. */
struct passwd user_by_name(const char *name)
{
	const struct passwd *found = getpwnam(name);
	struct passwd user;

	if (!found)
		fail("no user is called %s; name one of the account's users: --user", name);
	if (!found->pw_uid)
		fail("%s is root, and no customer", name);
	user = *found;
	user.pw_name = duplicate(found->pw_name);
	user.pw_dir = duplicate(found->pw_dir);
	user.pw_shell = duplicate(found->pw_shell);
	return user;
}

/* Sets the environment of a login, with nothing of root's in it. */
void set_user_environment(const struct passwd *user)
{
	clearenv();
	setenv("PATH", PATHS, 1);
	setenv("HOME", user->pw_dir, 1);
	setenv("SHELL", *user->pw_shell ? user->pw_shell : "/bin/sh", 1);
	setenv("USER", user->pw_name, 1);
	setenv("LOGNAME", user->pw_name, 1);
}

/* Takes the groups of the user, as root and before a view is entered: it loads the modules that
 * nsswitch.conf(5) names, and may take milliseconds. Children that are forked later have the groups
 * too. */
void init_groups(const struct passwd *user)
{
	if (initgroups(user->pw_name, user->pw_gid))
		fail("cannot take the groups of %s: %s", user->pw_name, strerror(errno));
}

/* Becomes the user for good and drops all capabilities; init_groups() comes first. Root's process
 * may have been told to keep them when its uid changes, and to pass them on (capabilities(7),
 * secure bits, the ambient set). */
void drop_privileges(const struct passwd *user)
{
	const struct __user_cap_header_struct of = {.version = _LINUX_CAPABILITY_VERSION_3};
	const struct __user_cap_data_struct none[2] = {0};
	uid_t uid = user->pw_uid;
	gid_t gid = user->pw_gid;

	if (setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		fail("cannot become %s: %s", user->pw_name, strerror(errno));
	if (syscall(SYS_capset, &of, none))
		fail("cannot give up root's capabilities: %s", strerror(errno));
}

/* Resets signals to what a program expects: none blocked, none ignored. */
void reset_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
}
