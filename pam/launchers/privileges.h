/* What root does in both launchers before a program runs as a customer, so that nothing of root's
 * is passed on. Each launcher defines launcher_name, with which its messages begin. */
#ifndef PAAS_ISOLATE_PRIVILEGES_H
#define PAAS_ISOLATE_PRIVILEGES_H

#include <pwd.h>

#define PATHS "/usr/local/bin:/usr/bin:/bin"

/* As in env(1) and chroot(1); 125 is a failure of our own. */
enum status { OWN_FAILURE = 125, NOT_EXECUTABLE = 126, NOT_FOUND = 127 };

/* Called by fail() with its message, after standard error, if it is not NULL. */
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
