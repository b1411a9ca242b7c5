#include "bench.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <linux/netlink.h>

volatile sig_atomic_t stopping;

static uint64_t start_time;
static struct rusage start_usage;

static const char *const works[] = {"accept", "mark", "raw", "finish", "read", NULL};
static const char *const orders[] = {"oldest", "newest", NULL};

void die(const char *what)
{
	perror(what);
	exit(1);
}

static void stop(int sig)
{
	(void)sig;
	stopping = 1;
}

/* index_of returns where word is in the list. */
static int index_of(const char *const *list, const char *word)
{
	for (int i = 0; list[i]; i++)
		if (strcmp(list[i], word) == 0)
			return i;
	fprintf(stderr, "unknown word: %s\n", word);
	exit(2);
}

struct options parse_options(int argc, char **argv)
{
	static const struct option known[] = {
		{"queue", 1, NULL, 'q'},   {"queues", 1, NULL, 'n'}, {"count", 1, NULL, 'c'},
		{"sample", 1, NULL, 's'},  {"work", 1, NULL, 'w'},   {"order", 1, NULL, 'o'},
		{"buffer", 1, NULL, 'b'},  {"maxlen", 1, NULL, 'm'}, {"threshold", 1, NULL, 't'},
		{"bufsiz", 1, NULL, 'z'},  {"copyrange", 1, NULL, 'r'}, {NULL, 0, NULL, 0},
	};
	struct options o = {.queues = 1, .buffer = 8 << 20, .maxlen = 65536, .copyrange = COPY_RANGE, .threshold = 1};
	int c;

	while ((c = getopt_long_only(argc, argv, "", known, NULL)) != -1) {
		switch (c) {
		case 'q': o.queue = atoi(optarg); break;
		case 'n': o.queues = atoi(optarg); break;
		case 'c': o.count = strtoull(optarg, NULL, 10); break;
		case 's': o.sample = strtoull(optarg, NULL, 10); break;
		case 'w': o.work = index_of(works, optarg); break;
		case 'o': o.order = index_of(orders, optarg); break;
		case 'b': o.buffer = atoi(optarg); break;
		case 'm': o.maxlen = strtoul(optarg, NULL, 10); break;
		case 'r': o.copyrange = strtoul(optarg, NULL, 10); break;
		case 't': o.threshold = strtoul(optarg, NULL, 10); break;
		case 'z': o.bufsiz = strtoul(optarg, NULL, 10); break;
		default: exit(2);
		}
	}
	alarm(TIME_LIMIT);
	sigaction(SIGTERM, &(struct sigaction){.sa_handler = stop}, NULL);
	return o;
}

void set_socket(int fd, int buffer)
{
	const struct timeval patience = {.tv_usec = 100000};
	const int on = 1;

	/* Without privilege over the host only the sysctl's maximum is to be had. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof(buffer)) != 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof(buffer)) != 0)
		die("SO_RCVBUF");
	if (setsockopt(fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, &on, sizeof(on)) != 0)
		die("NETLINK_NO_ENOBUFS");
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0)
		die("SO_RCVTIMEO");
}

void await_start(int fd)
{
	int granted;
	socklen_t size = sizeof(granted);
	char line[8];

	if (getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &granted, &size) != 0)
		die("getsockopt SO_RCVBUF");
	printf("ready %d\n", granted);
	fflush(stdout);
	if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
		exit(0); /* the harness has given up */
}

uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static uint64_t nanoseconds(struct timeval t)
{
	return t.tv_sec * 1000000000ull + t.tv_usec * 1000ull;
}

/*
 * peak_memory returns kilobytes. The ru_maxrss of a process counts what its
 * parent had before exec, too; this does not.
 */
static long peak_memory(void)
{
	FILE *f = fopen("/proc/self/status", "r");
	char line[256];
	long kb = 0;

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "VmHWM: %ld", &kb) == 1)
			break;
	fclose(f);
	return kb;
}

void start(void)
{
	getrusage(RUSAGE_SELF, &start_usage);
	start_time = now();
}

void report(uint64_t packets, uint64_t calls)
{
	uint64_t wall = now() - start_time;
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	printf("{\"packets\":%" PRIu64 ",\"wall_ns\":%" PRIu64 ",\"user_ns\":%" PRIu64 ",\"sys_ns\":%" PRIu64
	       ",\"rss_kb\":%ld,\"calls\":%" PRIu64 "}\n",
	       packets, wall, nanoseconds(u.ru_utime) - nanoseconds(start_usage.ru_utime),
	       nanoseconds(u.ru_stime) - nanoseconds(start_usage.ru_stime), peak_memory(), calls);
}
