/* Access to the files of a leaf for the PAM module and the launchers. Only files of cgroup2 are
 * read, and no open waits. On failure errno has the reason. */
#ifndef PAAS_ISOLATE_LEAF_H
#define PAAS_ISOLATE_LEAF_H

#include <stdbool.h>

int leaf_open(int at, const char *path, int flags);
int leaf_frozen(int at, const char *path);
bool leaf_number(int at, const char *path, unsigned long *number);
int leaf_write(int at, const char *path, const char *text);
int leaf_enter(int at, const char *path);

#endif
