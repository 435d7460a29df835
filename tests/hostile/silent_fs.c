/* A file system of a customer's that never answers, as fusermount(1) would mount it for them.
 *
 * silent_fs DIRECTORY SOURCE UID allow_other|alone nothing|page|sshd
 *
 * With `nothing` it answers no request at all. With `page` its root and one file, `page`, can be looked up and opened,
 * and whoever reads that file waits for ever. With `sshd` the file is a program of that name (sleep(1), really) that can
 * be begun, within a second; whoever asks for its attributes later waits for ever. It says `ready` when it is mounted. The kernel aborts what waits for it
 * when this program ends. */
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static int device;
static unsigned owner;
static const char *file;
static char program[1 << 20];
static size_t program_size;

static void answer(__u64 unique, const void *body, size_t size, int error)
{
	struct fuse_out_header head = {.len = (__u32)(sizeof head + size), .error = error, .unique = unique};
	struct iovec parts[] = {{&head, sizeof head}, {(void *)(unsigned long)body, size}};

	if (writev(device, parts, size ? 2 : 1) < 0)
		perror("answer");
}

static struct fuse_attr attributes(__u64 inode)
{
	return (struct fuse_attr){.ino = inode,
				  .size = program_size ? program_size : 4096,
				  .blocks = 8,
				  .mode = inode == FUSE_ROOT_ID ? S_IFDIR | 0755 : S_IFREG | 0755,
				  .nlink = 1,
				  .uid = owner,
				  .gid = owner,
				  .blksize = 4096};
}

static void answer_for_file(const struct fuse_in_header *in, const void *body)
{
	const struct fuse_read_in *wanted = body;
	const char *name = body;
	struct fuse_entry_out entry = {
		.nodeid = 2, .entry_valid = 1000, .attr_valid = program_size ? 1 : 1000, .attr = attributes(2)};
	struct fuse_attr_out attr = {.attr_valid = 1000, .attr = attributes(in->nodeid)};
	struct fuse_open_out opened = {.fh = 1};

	if (in->opcode == FUSE_LOOKUP && !strcmp(name, file))
		answer(in->unique, &entry, sizeof entry, 0);
	else if (in->opcode == FUSE_LOOKUP)
		answer(in->unique, NULL, 0, -2);
	else if (in->opcode == FUSE_GETATTR && (!program_size || in->nodeid == FUSE_ROOT_ID))
		answer(in->unique, &attr, sizeof attr, 0);
	else if (in->opcode == FUSE_OPEN)
		answer(in->unique, &opened, sizeof opened, 0);
	else if (in->opcode == FUSE_READ && program_size) {
		size_t from = wanted->offset < program_size ? wanted->offset : program_size;
		size_t size = program_size - from < wanted->size ? program_size - from : wanted->size;

		answer(in->unique, program + from, size, 0);
	} else if (in->opcode == FUSE_FLUSH || in->opcode == FUSE_RELEASE)
		answer(in->unique, NULL, 0, 0);
}

static int load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size = fd < 0 ? -1 : read(fd, program, sizeof program);

	program_size = size > 0 ? (size_t)size : 0;
	return program_size > 0;
}

int main(int argc, char **argv)
{
	static char request[1 << 17];
	const struct fuse_in_header *in = (void *)request;
	struct fuse_init_out init = {.major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION, .max_write = 4096};
	char options[128];

	if (argc != 6)
		return 2;
	owner = (unsigned)atoi(argv[3]);
	file = argv[5];
	if (!strcmp(file, "sshd") && !load("/bin/sleep"))
		return 1;
	device = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=%u,group_id=%u%s", device, owner, owner,
		 strcmp(argv[4], "allow_other") ? "" : ",allow_other");
	if (device < 0 || mount(argv[2], argv[1], "fuse.silent", MS_NOSUID | MS_NODEV, options)) {
		perror("silent_fs");
		return 1;
	}
	while (read(device, request, sizeof request) >= 0) {
		if (in->opcode == FUSE_INIT) {
			answer(in->unique, &init, sizeof init, 0);
			puts("ready");
			fflush(stdout);
		} else if (strcmp(argv[5], "nothing")) {
			answer_for_file(in, request + sizeof *in);
		}
	}
	return 0;
}
