/* network_packets SECONDS PORT UID SIDE SIDE ACT...: what each act takes on two sides that
 * alternate each millisecond, so that other load meets both. A SIDE is six words: network
 * namespace, cgroup.procs and address of its server, and those of its client, with the address to
 * connect to. For each act a line: its nanoseconds on the first side, and the ratio second to first
 * of adjacent milliseconds; medians. Each side is one process that has both ends. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FEW = 8, BULK = 32 << 10, MAX_PAIRS = 100000 };
static const double SLICE = 1e6;

struct address {
	struct sockaddr_storage in;
	socklen_t size;
};

struct side {
	struct address server, target;
	int listener, client, accepted, udp_server, udp_client;
};

static char buffer[BULK];

static int checked(int result, const char *what)
{
	if (result < 0)
		err(1, "%s", what);
	return result;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static struct address address(const char *text, in_port_t port)
{
	struct address made = {.size = sizeof(struct sockaddr_in)};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&made.in;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&made.in;

	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		return made;
	}
	made.size = sizeof *v6;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1)
		errx(1, "%s: no address", text);
	return made;
}

/* A socket belongs to the namespace, cgroup and user of the process that makes it. */
static void become(const char *netns, const char *procs, uid_t uid)
{
	checked(setresuid(0, 0, 0), "setresuid");
	int fd = checked(open(netns, O_RDONLY | O_CLOEXEC), netns);
	checked(setns(fd, CLONE_NEWNET), netns);
	close(fd);
	fd = checked(open(procs, O_WRONLY | O_CLOEXEC), procs);
	checked((int)write(fd, "0", 1), procs);
	close(fd);
	checked(setresuid(uid, uid, 0), "setresuid");
}

static int bound(const struct address *to, int type)
{
	int fd = checked(socket(to->in.ss_family, type, 0), "socket");

	checked(bind(fd, (const struct sockaddr *)&to->in, to->size), "bind");
	return fd;
}

static int connected(const struct address *to, int type)
{
	int fd = checked(socket(to->in.ss_family, type, 0), "socket");

	checked(connect(fd, (const struct sockaddr *)&to->in, to->size), "connect");
	return fd;
}

static void put(int fd, int size)
{
	if (send(fd, buffer, (size_t)size, 0) != size)
		err(1, "send");
}

static void get(int fd, int size)
{
	for (int left = size, got; left > 0; left -= got)
		if ((got = (int)recv(fd, buffer, (size_t)left, 0)) <= 0)
			err(1, "recv");
}

static void exchange(int client, int server)
{
	put(client, 100);
	get(server, 100);
	put(server, 1000);
	get(client, 1000);
}

static void open_side(struct side *side, char **words, in_port_t port, uid_t uid)
{
	int on = 1;

	side->server = address(words[2], port);
	side->target = address(words[5], port);
	become(words[0], words[1], uid);
	side->listener = bound(&side->server, SOCK_STREAM);
	checked(listen(side->listener, 64), "listen");
	side->udp_server = bound(&side->server, SOCK_DGRAM);
	become(words[3], words[4], uid);
	side->client = connected(&side->target, SOCK_STREAM);
	side->accepted = checked(accept(side->listener, NULL, NULL), "accept");
	setsockopt(side->client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(side->accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	side->udp_client = connected(&side->target, SOCK_DGRAM);
}

static void bind_own(struct side *side)
{
	struct address own = side->server;

	((struct sockaddr_in6 *)&own.in)->sin6_port = 0; /* where sin_port is too */
	close(bound(&own, SOCK_STREAM));
}

static void bind_localhost(struct side *side)
{
	struct address localhost =
		address(side->server.in.ss_family == AF_INET ? "127.0.0.1" : "::1", 0);

	close(bound(&localhost, SOCK_STREAM));
}

static void connect_and_close(struct side *side)
{
	int client = connected(&side->target, SOCK_STREAM);
	int server = checked(accept(side->listener, NULL, NULL), "accept");

	close(client);
	close(server);
}

static void one_request(struct side *side)
{
	int client = connected(&side->target, SOCK_STREAM);
	int server = checked(accept(side->listener, NULL, NULL), "accept");

	exchange(client, server);
	close(client);
	close(server);
}

static void request(struct side *side)
{
	exchange(side->client, side->accepted);
}

static void bulk(struct side *side)
{
	put(side->client, BULK);
	get(side->accepted, BULK);
}

static void datagrams(struct side *side)
{
	struct address from = {.size = sizeof from.in};
	struct sockaddr *peer = (struct sockaddr *)&from.in;

	put(side->udp_client, 100);
	checked((int)recvfrom(side->udp_server, buffer, BULK, 0, peer, &from.size), "recvfrom");
	checked((int)sendto(side->udp_server, buffer, 1000, 0, peer, from.size), "sendto");
	get(side->udp_client, 1000);
}

typedef void act(struct side *);
static const struct {
	const char *name;
	act *act;
} ACTS[] = {
	{"bind", bind_own},     {"localhost", bind_localhost}, {"connect", connect_and_close},
	{"short", one_request}, {"requests", request},         {"bulk", bulk},
	{"udp", datagrams},
};

static act *named(const char *name)
{
	for (size_t i = 0; i < sizeof ACTS / sizeof *ACTS; i++)
		if (!strcmp(ACTS[i].name, name))
			return ACTS[i].act;
	errx(1, "%s: no such act", name);
}

static double slice(act *act, struct side *side)
{
	double begin, took;
	int did = 0;

	for (int i = 0; i < FEW; i++)
		act(side);
	begin = now();
	do {
		for (int i = 0; i < FEW; i++)
			act(side);
		did += FEW;
	} while ((took = now() - begin) < SLICE);
	return took / did;
}

/* Answers each act that is asked for with what it took, until nobody asks. */
static void serve(int asked, struct side *side)
{
	double took;
	act *act;

	while (read(asked, &act, sizeof act) == sizeof act) {
		took = slice(act, side);
		if (write(asked, &took, sizeof took) != sizeof took)
			exit(1);
	}
	exit(0);
}

static int begin(char **words, in_port_t port, uid_t uid)
{
	struct side side;
	int ends[2];

	checked(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), "socketpair");
	if (checked(fork(), "fork") == 0) {
		close(ends[0]);
		open_side(&side, words, port, uid);
		serve(ends[1], &side);
	}
	close(ends[1]);
	return ends[0];
}

static double ask(int side, act *act)
{
	double took;

	if (write(side, &act, sizeof act) != sizeof act ||
	    read(side, &took, sizeof took) != sizeof took)
		errx(1, "a side has ended");
	return took;
}

static int by_size(const void *a, const void *b)
{
	double first = *(const double *)a, second = *(const double *)b;

	return (first > second) - (first < second);
}

static double median(double *of, size_t count)
{
	qsort(of, count, sizeof *of, by_size);
	return of[count / 2];
}

int main(int argc, char **argv)
{
	static double first[MAX_PAIRS], ratio[MAX_PAIRS];
	cpu_set_t one;

	if (argc < 17)
		errx(2, "SECONDS PORT UID SIDE SIDE ACT...");
	CPU_ZERO(&one);
	CPU_SET((size_t)sched_getcpu(), &one);
	checked(sched_setaffinity(0, sizeof one, &one), "sched_setaffinity");
	in_port_t port = (in_port_t)atoi(argv[2]);
	uid_t uid = (uid_t)atoi(argv[3]);
	int sides[] = {begin(argv + 4, port, uid), begin(argv + 10, port, uid)};

	for (char **name = argv + 16; *name; name++) {
		double end = now() + atof(argv[1]) * 1e9;
		act *act = named(*name);
		size_t pairs = 0;

		do {
			first[pairs] = ask(sides[0], act);
			ratio[pairs] = ask(sides[1], act) / first[pairs];
		} while (++pairs < MAX_PAIRS && now() < end);
		double took = median(first, pairs);
		printf("%s %.1f %.4f\n", *name, took, median(ratio, pairs));
	}
	return 0;
}
