#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "view.h"

#define VIEW_NAME_SIZE 64

/* Closes FD without changing errno. */
static void view_close(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
}

/* Returns whether FD is the handle of a mount namespace that belongs to our own user namespace. A
 * mount namespace that a customer has made belongs to a user namespace of the customer's. */
static bool view_is_trusted(int fd)
{
	struct stat owner, ours;
	struct statfs found;
	bool same = false;
	int user;

	if (fstatfs(fd, &found))
		return false;
	errno = EXDEV;
	if (found.f_type != NSFS_MAGIC || ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNS)
		return false;
	user = ioctl(fd, NS_GET_USERNS);
	if (user < 0)
		return false;
	if (!fstat(user, &owner) && !stat("/proc/self/ns/user", &ours)) {
		same = owner.st_dev == ours.st_dev && owner.st_ino == ours.st_ino;
		errno = EPERM;
	}
	view_close(user);
	return same;
}

/* Opens the handle at PATH if it may be entered. Returns a descriptor or -1. */
static int view_open(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0 || view_is_trusted(fd))
		return fd;
	view_close(fd);
	return -1;
}

/* Enters the mount namespace whose handle is at PATH. Returns 0 or -1. */
static int view_setns(const char *path)
{
	int fd = view_open(path), ended;

	if (fd < 0)
		return -1;
	ended = setns(fd, CLONE_NEWNS);
	view_close(fd);
	return ended;
}

/* Enters the view called NAME from the keeper, the namespace with all handles. 0 or -1. */
static int view_setns_name(const char *name)
{
	char path[VIEW_NAME_SIZE + 1];

	snprintf(path, sizeof path, "/%s", name);
	return view_setns(path);
}

/* Reads the name of UID's view from its door into NAME. Returns VIEW_ENTERED when there is a view,
 * VIEW_NONE, or VIEW_BROKEN. */
static enum view view_name(char name[VIEW_NAME_SIZE], const char *doors, uid_t uid)
{
	char door[PATH_MAX], told[VIEW_NAME_SIZE + 5];
	ssize_t size;

	if ((size_t)snprintf(door, sizeof door, "%s/%lu:view", doors, (unsigned long)uid) >=
	    sizeof door) {
		errno = ENAMETOOLONG;
		return VIEW_BROKEN;
	}
	size = readlink(door, told, sizeof told - 1);
	if (size < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
			       ? VIEW_NONE
			       : VIEW_BROKEN; /* there are no doors */
	told[size] = '\0';
	if (size <= 5 || (size_t)size >= sizeof told - 1 || strncmp(told, "view/", 5) ||
	    told[5] == '.' || strchr(told + 5, '/')) {
		errno = EINVAL;
		return VIEW_BROKEN;
	}
	strcpy(name, told + 5);
	return VIEW_ENTERED;
}

/* setns(2) changes the working directory to the root of the namespace. Goes back to DIRECTORY if
 * the namespace has it. */
static void view_restore_directory(const char *directory)
{
	int saved = errno;

	if (!*directory || chdir(directory))
		(void)!chdir("/");
	errno = saved;
}

/* Enters the view called NAME through the keeper, whose handle is at KEEPER. On failure the process
 * stays in its namespace. */
enum view view_enter_called(const char *keeper, const char *name)
{
	enum view ended = VIEW_ENTERED;
	char here[PATH_MAX];
	int before;

	if (!getcwd(here, sizeof here) || *here != '/')
		*here = '\0';
	before = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (before < 0)
		return VIEW_BROKEN;
	if (view_setns(keeper)) {
		ended = VIEW_BROKEN;
	} else {
		/* Tried again: a changed view may be replacing the old one. */
		if (view_setns_name(name) && view_setns_name(name)) {
			int why = errno;

			ended = VIEW_BROKEN;
			(void)!setns(before, CLONE_NEWNS);
			errno = why;
		}
		view_restore_directory(here);
	}
	view_close(before);
	return ended;
}

/* Enters the view of UID if it has one. On failure the process stays in its namespace. */
enum view view_enter(const char *doors, uid_t uid)
{
	char name[VIEW_NAME_SIZE], keeper[PATH_MAX];
	enum view ended = view_name(name, doors, uid);

	if (ended != VIEW_ENTERED)
		return ended;
	if ((size_t)snprintf(keeper, sizeof keeper, "%s/../views/keeper", doors) >= sizeof keeper) {
		errno = ENAMETOOLONG;
		return VIEW_BROKEN;
	}
	return view_enter_called(keeper, name);
}

/* Leaves a view for the mount namespace of the first process: a process that becomes another
 * customer inside a view must enter the other one from outside. Returns VIEW_NONE when it is in
 * that namespace already, VIEW_ENTERED when it is now. */
enum view view_leave(void)
{
	struct stat first, own;
	char here[PATH_MAX];
	int saved = errno;

	if (stat("/proc/1/ns/mnt", &first) || stat("/proc/self/ns/mnt", &own) ||
	    first.st_ino == own.st_ino) {
		errno = saved;
		return VIEW_NONE;
	}
	if (!getcwd(here, sizeof here) || *here != '/')
		*here = '\0';
	if (view_setns("/proc/1/ns/mnt"))
		return VIEW_BROKEN;
	view_restore_directory(here);
	errno = saved;
	return VIEW_ENTERED;
}
