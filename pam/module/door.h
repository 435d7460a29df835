/* A door: a symbolic link DOORS/UID to the directory of a leaf, or DOORS/UID.SERVICE where logins
 * through that PAM service enter another one. DOORS/.complete says that all doors are there: who
 * has none then is no customer. A door that leads to no absolute path (`closed/alice`) is one of an
 * account that nobody may enter. What fails says why in errno.
 */
#ifndef PAAS_ISOLATE_DOOR_H
#define PAAS_ISOLATE_DOOR_H

#include <sys/types.h>

/* What became of an attempt to enter a cgroup; VIEW_FAILED: one was entered, or could be, and the
 * account's view cannot. FULL: the account has no room for a session's processes. */
enum entry { ENTERED, REFUSED, FULL, NO_DOOR, BROKEN, VIEW_FAILED };

enum entry door_enter_leaf(const char *door);
enum entry door_enter(const char *doors, uid_t uid, const char *service);

#endif
