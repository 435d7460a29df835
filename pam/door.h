/* A door: a symbolic link DOORS/UID to the directory of a leaf, or DOORS/UID.SERVICE where logins through that PAM
 * service enter another one. DOORS/.complete says that all doors are there: who has none then is no customer. A door
 * that leads to no absolute path (`closed/alice`) is one of an account that nobody may enter. What fails says why in
 * errno.
 */
#ifndef PAAS_ISOLATE_DOOR_H
#define PAAS_ISOLATE_DOOR_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "leaf.h"

#define DOOR_SIZE 512

/* What became of an attempt to enter a cgroup; ASTRAY: one was entered, or could be, and the account's view cannot.
 * FULL: the account has no room for a session's processes. */
enum entry { ENTERED, REFUSED, FULL, NO_DOOR, BROKEN, ASTRAY };

/* Processes that a session needs: the application itself, and the shell that it forks. */
#define SESSION_PROCESSES 2

/* What stands where a door may stand. */
enum door { ABSENT, LINK, SHUT, UNREADABLE };

/* FILE of the directory AT, into PATH. False where it is too long. */
static inline bool door_file(char path[DOOR_SIZE], const char *at, const char *file)
{
	int size = snprintf(path, DOOR_SIZE, "%s/%s", at, file);

	if (size >= 0 && size < DOOR_SIZE)
		return true;
	errno = ENAMETOOLONG;
	return false;
}

/* Follows no further than the link itself. UNREADABLE has errno. */
static inline enum door door_look(const char *door)
{
	char first;

	if (readlink(door, &first, 1) != 1)
		return errno == ENOENT ? ABSENT : UNREADABLE;
	return first == '/' ? LINK : SHUT;
}

/* Whether the account of the leaf behind DOOR has so many processes that a session could not fork its shell (pids.max,
 * Documentation/admin-guide/cgroup-v2.rst): sshd would end the connection without a word then. */
static inline bool door_full(const char *door)
{
	char path[DOOR_SIZE];
	unsigned long most, current;

	return door_file(path, door, "../pids.max") && leaf_number(AT_FDCWD, path, &most) &&
	       door_file(path, door, "../pids.current") && leaf_number(AT_FDCWD, path, &current) &&
	       current + SESSION_PROCESSES > most;
}

/* Through DOOR into its leaf: ENTERED, REFUSED where that is frozen, FULL, or BROKEN with errno. */
static inline enum entry door_through(const char *door)
{
	char path[DOOR_SIZE];

	switch (door_file(path, door, "cgroup.events") ? leaf_frozen(AT_FDCWD, path) : -1) {
	case 0:
		if (door_full(door))
			return FULL;
		return !door_file(path, door, "cgroup.procs") || leaf_enter(AT_FDCWD, path) ? BROKEN : ENTERED;
	case 1:
		return REFUSED;
	}
	return BROKEN;
}

/* By the door of UID for SERVICE, else by that for all services. Any but ASTRAY; BROKEN with errno. */
static inline enum entry door_come_in(const char *doors, uid_t uid, const char *service)
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
	switch (door_look(door)) {
	case LINK:
		return door_through(door);
	case SHUT:
		return REFUSED;
	case UNREADABLE:
		return BROKEN;
	case ABSENT:
		break;
	}
	door[own] = '\0';
	ended = door_through(door);
	if (ended != BROKEN)
		return ended;
	int why = errno; /* of the leaf: of the door there may be nothing to say */

	switch (door_look(door)) {
	case SHUT:
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

#endif
