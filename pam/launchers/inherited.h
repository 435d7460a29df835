/* Resets everything that a process inherits from its caller and a customer's program must not get,
 * whoever the caller is. Three steps in this order: drop_inherited() as root, before a view is
 * entered, while /proc is the host's; drop_privileges() of privileges.h; join_own_keyring() as the
 * customer.
 *
 * What a kernel does not have, or a container forbids, stays as it is if it gives the customer no
 * right. */
#ifndef PAAS_ISOLATE_INHERITED_H
#define PAAS_ISOLATE_INHERITED_H

#include <pwd.h>
#include <stdbool.h>

void join_own_keyring(void);
void drop_inherited(const struct passwd *user, bool keep_rlimits);

#endif
