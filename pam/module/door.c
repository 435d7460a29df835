#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../common/leaf.h"
#include "door.h"

#define DOOR_SIZE 512

/* Processes that a session needs: the application itself, and the shell that it forks. */
#define SESSION_PROCESSES 2

/* What is at the path of a door. */
enum door { ABSENT, LINK, CLOSED, UNREADABLE };

/* Writes AT/FILE into PATH. Returns false when it is too long. */
static bool door_path(char path[DOOR_SIZE], const char *at, const char *file)
{
	int size = snprintf(path, DOOR_SIZE, "%s/%s", at, file);

	if (size >= 0 && size < DOOR_SIZE)
		return true;
	errno = ENAMETOOLONG;
	return false;
}

/* Does not follow the link. On UNREADABLE errno has the reason. */
static enum door door_type(const char *door)
{
	char first;

	if (readlink(door, &first, 1) != 1)
		return errno == ENOENT ? ABSENT : UNREADABLE;
	return first == '/' ? LINK : CLOSED;
}

/* Returns whether the account has so many processes that a session could not fork its shell
 * (cgroup-v2.rst, pids.max). sshd would then close the connection without a message. */
static bool door_is_full(const char *door)
{
	char path[DOOR_SIZE];
	unsigned long most, current;

	return door_path(path, door, "../pids.max") && leaf_number(AT_FDCWD, path, &most) &&
	       door_path(path, door, "../pids.current") && leaf_number(AT_FDCWD, path, &current) &&
	       current + SESSION_PROCESSES > most;
}

/* Enters the leaf that DOOR points to. Returns ENTERED, REFUSED when the leaf is frozen, FULL, or
 * BROKEN with errno. */
enum entry door_enter_leaf(const char *door)
{
	char path[DOOR_SIZE];

	switch (door_path(path, door, "cgroup.events") ? leaf_frozen(AT_FDCWD, path) : -1) {
	case 0:
		if (door_is_full(door))
			return FULL;
		return !door_path(path, door, "cgroup.procs") || leaf_enter(AT_FDCWD, path)
			       ? BROKEN
			       : ENTERED;
	case 1:
		return REFUSED;
	}
	return BROKEN;
}

/* Enters a leaf through the door of UID for SERVICE, or, when there is none, through the door of
 * UID. Returns any value but VIEW_FAILED; with BROKEN errno has the reason. */
enum entry door_enter(const char *doors, uid_t uid, const char *service)
{
	char door[DOOR_SIZE];
	size_t own = (size_t)snprintf(door, sizeof door, "%s/%lu", doors, (unsigned long)uid);
	enum entry ended;
	struct stat found;

	if (own >= sizeof door || own + strlen(service) + 2 > sizeof door) {
		errno = ENAMETOOLONG;
		return BROKEN;
	}
	sprintf(door + own, ".%s", service);
	switch (door_type(door)) {
	case LINK:
		return door_enter_leaf(door);
	case CLOSED:
		return REFUSED;
	case UNREADABLE:
		return BROKEN;
	case ABSENT:
		break;
	}
	door[own] = '\0';
	ended = door_enter_leaf(door);
	if (ended != BROKEN)
		return ended;
	int why = errno; /* of the leaf; reading the door may succeed */

	switch (door_type(door)) {
	case CLOSED:
		return REFUSED;
	case ABSENT:
		sprintf(door, "%s/.complete", doors);
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
