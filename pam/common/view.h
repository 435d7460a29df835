/* The view of an account: the mount namespace that its sessions and services share, as the PAM
 * module and the launchers enter it. Its handle lies in the keeper, another namespace, whose handle
 * lies beside the doors. Only root makes either, and none is entered of which that is not so. What
 * fails says why in errno. See mount_namespaces(7), ioctl_ns(2).
 */
#ifndef PAAS_ISOLATE_VIEW_H
#define PAAS_ISOLATE_VIEW_H

#include <sys/types.h>

/* VIEW_NONE: the host's is this user's, too. */
enum view { VIEW_NONE, VIEW_ENTERED, VIEW_BROKEN };

enum view view_enter_called(const char *keeper, const char *name);
enum view view_enter(const char *doors, uid_t uid);
enum view view_leave(void);

#endif
