/* Gives a command that root starts a session of its own, and never root's terminal: a process with
 * access to that terminal can read what root types and change its settings; if it is the
 * controlling terminal, the process can also insert input (TIOCSTI, see ioctl_tty(2)).
 *
 * When the caller has no terminal, nothing is forked. When it has one, this process stays outside
 * as root, and passes on signals and the exit status. Each standard descriptor that is a terminal
 * is replaced by a new terminal of the command's, and bytes are copied between the two unchanged,
 * as ssh(1) does. The command never blocks its caller: keys are read and stored while it reads
 * none, and when it ends, the copying ends, even if another process still has its terminal open. */
#ifndef PAAS_ISOLATE_TERMINAL_H
#define PAAS_ISOLATE_TERMINAL_H

#include <pwd.h>

/* The exit status when root's terminal is gone or was taken back: the command was sent SIGHUP. */
enum { HUNG_UP = 129 }; /* 128 + SIGHUP, as in a shell */

void detach_terminal(const struct passwd *user);

#endif
