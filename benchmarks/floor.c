/* The floor: carries out a list of system calls on a cgroup tree, and tells how long the loop took.
 *
 * usage: floor TREE OPERATIONS
 *
 * OPERATIONS holds one a line, tab-separated, paths absolute or relative to TREE ("." is TREE
 * itself):
 *
 *     mkdir  PATH        rmdir  PATH        stat  PATH        list  PATH
 *     read   PATH SIZE   open, read, close
 *     write  PATH TEXT   open, write, close; \n in TEXT is a newline
 *     processes          list /proc, stat every process
 *
 * What fails, fails as it would in the program that was recorded: it is counted, and the loop goes
 * on. Prints one line: nanoseconds that passed, nanoseconds of CPU time, system calls, failures.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum verb { MKDIR, RMDIR, STAT, LIST, READ, WRITE, PROCESSES, VERBS };

static const char *const names[VERBS] = {"mkdir", "rmdir", "stat",     "list",
					 "read",  "write", "processes"};

struct operation {
	enum verb verb;
	const char *path, *text;
	size_t size;
};

static long calls, failures;
static char buffer[1 << 16];

static long count(long result)
{
	calls++;
	failures += result < 0;
	return result;
}

static void read_one(int tree, const struct operation *op)
{
	int fd = (int)count(openat(tree, op->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW));

	if (fd < 0)
		return;
	count(read(fd, buffer, op->size));
	count(close(fd));
}

static void write_one(int tree, const struct operation *op)
{
	int fd = (int)count(openat(tree, op->path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW));

	if (fd < 0)
		return;
	count(write(fd, op->text, op->size));
	count(close(fd));
}

/* Lists a directory, and with `look` stats what in it is named by a number. */
static void list(int at, const char *path, int look)
{
	int fd = (int)count(openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct stat found;
	ssize_t size;

	if (fd < 0)
		return;
	while ((size = count(getdents64(fd, buffer, sizeof buffer))) > 0) {
		for (ssize_t here = 0; here < size;) {
			const struct dirent64 *entry = (const void *)(buffer + here);

			if (look && isdigit((unsigned char)entry->d_name[0]))
				count(fstatat(fd, entry->d_name, &found, 0));
			here += entry->d_reclen;
		}
	}
	count(close(fd));
}

static void carry_out(int tree, const struct operation *op)
{
	struct stat found;

	switch (op->verb) {
	case MKDIR:
		count(mkdirat(tree, op->path, 0777));
		break;
	case RMDIR:
		count(unlinkat(tree, op->path, AT_REMOVEDIR));
		break;
	case STAT:
		count(fstatat(tree, op->path, &found, AT_SYMLINK_NOFOLLOW));
		break;
	case LIST:
		list(tree, op->path, 0);
		break;
	case READ:
		read_one(tree, op);
		break;
	case WRITE:
		write_one(tree, op);
		break;
	case PROCESSES:
		list(AT_FDCWD, "/proc", 1);
		break;
	case VERBS:
		break;
	}
}

/* "\n" of the list becomes a newline, in place. */
static size_t unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++, from++) {
		*to = *from;
		if (from[0] == '\\' && from[1] == 'n') {
			*to = '\n';
			from++;
		}
	}
	return (size_t)(to - text);
}

static struct operation parse(char *line)
{
	char *verb = strsep(&line, "\t"), *path = strsep(&line, "\t");
	struct operation op = {.verb = MKDIR, .path = path, .text = line};

	while (op.verb < VERBS && strcmp(verb, names[op.verb]) != 0)
		op.verb++;
	if (op.verb == VERBS || (op.verb != PROCESSES && !path) ||
	    (op.verb >= READ && op.verb <= WRITE && !line))
		errx(1, "no such operation: %s", verb);
	if (op.verb == READ)
		op.size = strtoul(line, NULL, 10);
	if (op.verb == READ && op.size > sizeof buffer)
		errx(1, "%s: more than fits", path);
	if (op.verb == WRITE)
		op.size = unescape(line);
	return op;
}

static char *slurp(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t room = 0;

	/* No list has a NUL in it, so this reads to its end. */
	if (!file || getdelim(&text, &room, '\0', file) < 0)
		err(1, "%s", path);
	fclose(file);
	return text;
}

static struct operation *load(const char *path, size_t *number)
{
	struct operation *ops = NULL;
	size_t room = 0;
	char *text = slurp(path), *line;

	for (*number = 0; (line = strsep(&text, "\n"));) {
		if (!*line)
			continue;
		if (*number == room &&
		    !(ops = reallocarray(ops, room = room ? 2 * room : 4096, sizeof *ops)))
			err(1, "memory");
		ops[(*number)++] = parse(line);
	}
	return ops;
}

static long long now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int argc, char **argv)
{
	struct operation *ops;
	long long passed, used;
	size_t number;
	int tree;

	if (argc != 3)
		errx(2, "usage: floor TREE OPERATIONS");
	ops = load(argv[2], &number);
	tree = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (tree < 0)
		err(1, "%s", argv[1]);
	passed = now(CLOCK_MONOTONIC);
	used = now(CLOCK_PROCESS_CPUTIME_ID);
	for (size_t i = 0; i < number; i++)
		carry_out(tree, &ops[i]);
	printf("%lld %lld %ld %ld\n", now(CLOCK_MONOTONIC) - passed,
	       now(CLOCK_PROCESS_CPUTIME_ID) - used, calls, failures);
	return 0;
}
