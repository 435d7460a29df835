/* What root does before a program runs as a customer, in the launchers alike: nothing of root's is
 * handed on. Each launcher defines launcher_name, which its messages begin with. */
#ifndef PAAS_ISOLATE_PRIVILEGES_H
#define PAAS_ISOLATE_PRIVILEGES_H

#include <pwd.h>

#define PATHS "/usr/local/bin:/usr/bin:/bin"

/* As env(1) and chroot(1) have them: 125 is our own failure. */
enum status { OWN_FAILURE = 125, NOT_EXECUTABLE = 126, NOT_FOUND = 127 };

/* Whom fail() tells besides standard error, where somebody is to hear of it. */
extern const char launcher_name[];

extern void (*on_fail)(const char *text);

__attribute__((format(printf, 1, 2), noreturn)) void fail(const char *format, ...);
char *duplicate(const char *text);
struct passwd user_by_name(const char *name);
void set_user_environment(const struct passwd *user);
void init_groups(const struct passwd *user);
void drop_privileges(const struct passwd *user);
void reset_signals(void);

#endif
