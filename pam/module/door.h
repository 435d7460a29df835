/* A door is a symbolic link DOORS/UID to the directory of a leaf. DOORS/UID.SERVICE exists where
 * logins through that PAM service enter another leaf. The file DOORS/.complete says that all doors
 * exist: a user without one is no customer. A door whose target is no absolute path
 * (`closed/alice`) belongs to an account that nobody may enter. On failure errno has the reason. */
#ifndef PAAS_ISOLATE_DOOR_H
#define PAAS_ISOLATE_DOOR_H

#include <sys/types.h>

/* The result of an attempt to enter a leaf. FULL: the account has no room for a session's
 * processes. VIEW_FAILED: the account's view cannot be entered. */
enum entry { ENTERED, REFUSED, FULL, NO_DOOR, BROKEN, VIEW_FAILED };

enum entry door_enter_leaf(const char *door);
enum entry door_enter(const char *doors, uid_t uid, const char *service);

#endif
