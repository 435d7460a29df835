/* A session of its own for a command that root starts, and never root's terminal: whoever holds
 * that can read what root types, change how it works, and where it is the controlling one put words
 * into it (TIOCSTI, see ioctl_tty(2)).
 *
 * Where the caller has no terminal nothing is forked. Where it has one this process stays outside,
 * as root, and passes on signals and the exit status. What is a terminal among the standard
 * descriptors becomes one of the command's own, and bytes are copied between the two, unchanged, as
 * ssh(1) does. The command never holds up its caller: keys are taken and kept while it reads none,
 * and its end ends the copying, whoever holds its terminal still.
 */
#ifndef PAAS_ISOLATE_TERMINAL_H
#define PAAS_ISOLATE_TERMINAL_H

#include <pwd.h>

/* The terminal is gone, or was given back: the command has got SIGHUP. */
enum { HUNG_UP = 129 }; /* 128 + SIGHUP, as a shell has it */

void detach_terminal(const struct passwd *user);

#endif
