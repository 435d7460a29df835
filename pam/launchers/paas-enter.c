/* paas-enter ACCOUNT/SERVICE -- COMMAND [ARGUMENT...]: runs a command as a customer, inside the
 * customer's cgroup.
 *
 * Only root may call it: systemd units, root's cron, panels. It finds the account through the
 * user's door (see pam_paas_isolate.c): the leaf of a service is beside the leaf that a login
 * enters. It also enters the account's view (view.h). It passes on nothing of root's (inherited.h),
 * and above all not root's terminal (terminal.h). See paas-enter(8). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/leaf.h"
#include "../common/view.h"
#include "inherited.h"
#include "privileges.h"
#include "terminal.h"

const char launcher_name[] = "paas-enter";

#define DOORS "/run/paas-isolate/doors"
#define NAME_CHARACTERS "abcdefghijklmnopqrstuvwxyz0123456789_-"
#define KEPT_MAX 32

static const char usage[] =
	"Usage: paas-enter [OPTION...] ACCOUNT/SERVICE -- COMMAND [ARGUMENT...]\n"
	"Run a command as a customer, inside the customer's cgroup. For root alone.\n\n"
	"  -u, --user USER     as this user of the account (default: the one called ACCOUNT)\n"
	"  -k, --keep NAME     keep this variable of the environment; as often as wanted\n"
	"  -r, --keep-rlimits  keep the resource limits of the caller (LimitNOFILE= of a unit)\n"
	"  -n, --no-new-privs  set-uid programs give nothing (PHP's mail() needs them)\n"
	"  -d, --doors DIR     where the doors are (" DOORS ")\n"
	"  -h, --help\n\n"
	"Exit status: the command's; 127 when it is not found, 126 when it cannot be run,\n"
	"125 when the cgroup cannot be entered: then nothing is run.\n";

/* Opens the directory of the account that the door of UID leads to. Exits when that fails. */
static int open_account(const char *doors, uid_t uid, const char *name)
{
	char door[4096], first;
	int login, account;

	if ((size_t)snprintf(door, sizeof door, "%s/%lu", doors, (unsigned long)uid) >= sizeof door)
		fail("%s: the path is too long", doors);
	if (readlink(door, &first, 1) == 1 && first != '/')
		fail("the account of %s is suspended or frozen", name);
	login = open(door, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (login < 0)
		fail("the door of %s does not open (%s: %s); paas-isolate exec tells why", name,
		     door, strerror(errno));
	account = openat(login, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (account < 0)
		fail("the account of %s: %s", name, strerror(errno));
	close(login);
	return account;
}

/* Returns whether NAME is the name of the account's directory, or of a user whose door leads to
 * this account. */
static bool is_account_name(int account, const char *doors, const char *name)
{
	const struct passwd *namesake = getpwnam(name);
	char itself[64], path[4096];
	struct stat one, two;
	ssize_t size;

	snprintf(itself, sizeof itself, "/proc/self/fd/%d", account);
	size = readlink(itself, path, sizeof path - 1);
	if (size > 0) {
		path[size] = '\0';
		if (!strcmp(basename(path), name))
			return true;
	}
	return namesake && namesake->pw_uid && !fstat(account, &one) &&
	       !fstat(open_account(doors, namesake->pw_uid, name), &two) &&
	       one.st_ino == two.st_ino && one.st_dev == two.st_dev;
}

/* Moves this process into the leaf of SERVICE. Exits when that fails, or when the leaf is frozen
 * and we would wait for the thaw. */
static void enter(int account, const char *service)
{
	int leaf = openat(account, service, O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (leaf < 0)
		fail("the account has no service %s (%s)", service, strerror(errno));
	switch (leaf_frozen(leaf, "cgroup.events")) {
	case 0:
		break;
	case 1:
		fail("the service %s is frozen", service);
	default:
		if (errno == EXDEV)
			fail("the door does not lead to a cgroup");
		fail("cgroup.events of the service: %s", strerror(errno));
	}
	if (leaf_enter(leaf, "cgroup.procs"))
		fail("cgroup.procs of the service: %s", strerror(errno));
}

/* Makes sure that 0, 1 and 2 are open, so that no descriptor that is opened later gets one of these
 * numbers. */
static void standard_descriptors(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			fail("/dev/null: %s", strerror(errno));
}

/* Sets the environment of a login; of the caller's only the variables KEPT stay. */
static void clean_environment(const struct passwd *user, char *const *kept, int count)
{
	char *values[KEPT_MAX];

	for (int i = 0; i < count; i++)
		values[i] = getenv(kept[i]) ? duplicate(getenv(kept[i])) : NULL;
	set_user_environment(user);
	for (int i = 0; i < count; i++)
		if (values[i])
			setenv(kept[i], values[i], 1);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{"user", required_argument, NULL, 'u'},
		{"keep", required_argument, NULL, 'k'},
		{"no-new-privs", no_argument, NULL, 'n'},
		{"keep-rlimits", no_argument, NULL, 'r'},
		{"doors", required_argument, NULL, 'd'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	const char *doors = DOORS, *name = NULL;
	char *kept[KEPT_MAX], *service;
	struct passwd user;
	bool no_new_privs = false, keep_rlimits = false;
	int count = 0, option, account;

	/* The + ends options at ACCOUNT/SERVICE: what follows belongs to the command. */
	while ((option = getopt_long(argc, argv, "+u:k:nrd:h", options, NULL)) != -1)
		switch (option) {
		case 'u':
			name = optarg;
			break;
		case 'k':
			if (count == KEPT_MAX)
				fail("at most %d variables can be kept", KEPT_MAX);
			kept[count++] = optarg;
			break;
		case 'n':
			no_new_privs = true;
			break;
		case 'r':
			keep_rlimits = true;
			break;
		case 'd':
			doors = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 0;
		default:
			fputs(usage, stderr);
			return OWN_FAILURE;
		}
	argv += optind;
	service = *argv ? strchr(*argv, '/') : NULL;
	if (!service || !argv[1] || strcmp(argv[1], "--") || !argv[2]) {
		fputs(usage, stderr);
		return OWN_FAILURE;
	}
	*service++ = '\0';
	if (!**argv || (*argv)[strspn(*argv, NAME_CHARACTERS)] || !*service ||
	    service[strspn(service, NAME_CHARACTERS)])
		fail("%s/%s is not ACCOUNT/SERVICE (a-z, 0-9, _ and -)", *argv, service);
	standard_descriptors();
	if (getuid() || geteuid())
		fail("this is for root alone");
	user = user_by_name(name ? name : *argv);
	account = open_account(doors, user.pw_uid, user.pw_name);
	if (name && !is_account_name(account, doors, *argv))
		fail("%s is no user of the account %s", name, *argv);
	init_groups(&user);
	detach_terminal(&user);
	drop_inherited(&user, keep_rlimits);
	enter(account, service);
	if (view_enter(doors, user.pw_uid) == VIEW_BROKEN)
		fail("the view of the account cannot be entered: %s", strerror(errno));
	if (close_range(3, ~0U, 0))
		fail("close_range: %s", strerror(errno));
	clean_environment(&user, kept, count);
	reset_signals();
	drop_privileges(&user);
	join_own_keyring();
	if (chdir(".") && chdir(user.pw_dir) && chdir("/"))
		fail("no directory to be in: %s", strerror(errno));
	if (no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		fail("no_new_privs: %s", strerror(errno));
	execvp(argv[2], argv + 2);
	fprintf(stderr, "paas-enter: %s: %s\n", argv[2], strerror(errno));
	return errno == ENOENT ? NOT_FOUND : NOT_EXECUTABLE;
}
