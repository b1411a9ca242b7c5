/*
 * The round-trip time of a UDP datagram between two processes on the loopback
 * device: a child sends back what it gets. The processors are kept awake by
 * processes that run only when nothing else wants to: on a machine that is idle
 * half of the time, waking up a processor is most of what one would measure.
 * All processes are where the scheduler puts them; with "apart" the two ends
 * have a processor each, and what decides on the packets has none.
 *
 *   pingpong PORT ROUNDS [apart]
 */
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define WARMUP 500 /* rounds that are not counted */

#define MAX_CHILDREN 65

static pid_t children[MAX_CHILDREN];
static int started;
static bool apart;

static struct sockaddr_in loopback(int port)
{
	return (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
}

/* pin keeps the process on one processor, if there are that many. */
static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu % sysconf(_SC_NPROCESSORS_ONLN), &set);
	if (sched_setaffinity(0, sizeof(set), &set) != 0)
		die("sched_setaffinity");
}

/* child runs f in a process that ends with this one, or after TIME_LIMIT. */
static void child(void (*f)(int), int arg)
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid > 0) {
		children[started++] = pid;
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	alarm(TIME_LIMIT);
	f(arg);
	_exit(1);
}

/* end_children waits for them, too: the port is free again then. */
static void end_children(void)
{
	for (int i = 0; i < started; i++) {
		kill(children[i], SIGKILL);
		waitpid(children[i], NULL, 0);
	}
}

static void spin(int cpu)
{
	pin(cpu);
	if (sched_setscheduler(0, SCHED_IDLE, &(struct sched_param){0}) != 0)
		die("SCHED_IDLE");
	for (;;)
		__asm__ volatile("" ::: "memory");
}

static void echo(int fd)
{
	struct sockaddr_in from;
	char buf[64];

	if (apart)
		pin(1);
	for (;;) {
		socklen_t size = sizeof(from);
		ssize_t n = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &size);

		if (n >= 0)
			sendto(fd, buf, n, 0, (struct sockaddr *)&from, size);
	}
}

/* measure fills in the time of each round. */
static void measure(int fd, uint64_t *times, int rounds)
{
	char ball[64] = {0};

	for (int i = -WARMUP; i < rounds; i++) {
		uint64_t before = now();

		if (send(fd, ball, sizeof(ball), 0) < 0 || recv(fd, ball, sizeof(ball), 0) < 0)
			die("the datagram did not come back");
		if (i >= 0)
			times[i] = now() - before;
	}
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	const struct timeval patience = {.tv_sec = 20};
	int rounds = argc >= 3 ? atoi(argv[2]) : 0;
	struct sockaddr_in server = loopback(argc >= 3 ? atoi(argv[1]) : 0);
	int far = socket(AF_INET, SOCK_DGRAM, 0), near = socket(AF_INET, SOCK_DGRAM, 0);
	uint64_t *times;

	apart = argc == 4 && strcmp(argv[3], "apart") == 0;
	if (rounds <= 0 || argc > 3 + apart) {
		fprintf(stderr, "usage: pingpong PORT ROUNDS [apart]\n");
		return 2;
	}
	alarm(TIME_LIMIT);
	times = calloc(rounds, sizeof(*times));
	if (!times || bind(far, (struct sockaddr *)&server, sizeof(server)) != 0 ||
	    connect(near, (struct sockaddr *)&server, sizeof(server)) != 0 ||
	    setsockopt(near, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) != 0)
		die("sockets");
	child(echo, far);
	for (int cpu = 0; cpu < sysconf(_SC_NPROCESSORS_ONLN) && started < MAX_CHILDREN; cpu++)
		child(spin, cpu);
	if (apart)
		pin(0);
	measure(near, times, rounds);
	end_children();
	qsort(times, rounds, sizeof(*times), compare);
	printf("{\"packets\":%d,\"p50_ns\":%" PRIu64 ",\"p90_ns\":%" PRIu64 ",\"p99_ns\":%" PRIu64 "}\n", rounds,
	       times[rounds / 2], times[rounds * 9 / 10], times[rounds * 99ll / 100]);
	return 0;
}
