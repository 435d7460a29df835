/* The view of an account: the mount namespace that its sessions and services share. The PAM module
 * and the launchers enter it. Its handle is in the keeper, a namespace of its own, whose handle is
 * beside the doors. Only root can make either, and each is checked for that before it is entered.
 * On failure errno has the reason. See mount_namespaces(7), ioctl_ns(2). */
#ifndef PAAS_ISOLATE_VIEW_H
#define PAAS_ISOLATE_VIEW_H

#include <sys/types.h>

/* VIEW_NONE: this user has no view, and stays in the host's mount namespace. */
enum view { VIEW_NONE, VIEW_ENTERED, VIEW_BROKEN };

enum view view_enter_called(const char *keeper, const char *name);
enum view view_enter(const char *doors, uid_t uid);
enum view view_leave(void);

#endif
