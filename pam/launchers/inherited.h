/* What a process inherits from its caller and a customer's program must not: taken back in one
 * place, whoever has called us and whatever is started. In the order in which it can be done:
 * drop_inherited() as root, before a view is entered
 * (/proc is the host's then); drop_privileges() of privileges.h; join_own_keyring() as the
 * customer.
 *
 * What a kernel lacks, or a container forbids, stays as the caller has it where it gives a customer
 * no right.
 */
#ifndef PAAS_ISOLATE_INHERITED_H
#define PAAS_ISOLATE_INHERITED_H

#include <pwd.h>
#include <stdbool.h>

void join_own_keyring(void);
void drop_inherited(const struct passwd *user, bool keep_rlimits);

#endif
