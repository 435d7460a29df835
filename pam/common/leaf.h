/* A leaf's files, as the PAM module and the launcher open them: never anything but a file of
 * cgroup2, and without ever waiting. What fails says why in errno. */
#ifndef PAAS_ISOLATE_LEAF_H
#define PAAS_ISOLATE_LEAF_H

#include <stdbool.h>

int leaf_open(int at, const char *path, int flags);
int leaf_frozen(int at, const char *path);
bool leaf_number(int at, const char *path, unsigned long *number);
int leaf_write(int at, const char *path, const char *text);
int leaf_enter(int at, const char *path);

#endif
