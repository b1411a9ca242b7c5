/*
 * The floor: the least that a program can do to accept everything. It takes 64
 * packets with one system call and accepts all of them with one more, and looks
 * at nothing but the last packet's ID. What it costs is the kernel's.
 */
#include "queue.h"

#include <pthread.h>
#include <stdlib.h>

struct worker {
	pthread_t thread;
	struct queue queue;
	struct options options;
	uint64_t done;
};

static void *drain(void *arg)
{
	struct worker *w = arg;
	struct verdict v;

	verdict_init(&v, NFQNL_MSG_VERDICT_BATCH, &w->queue, 0);
	while (more(&w->options, w->done)) {
		int n = queue_receive(&w->queue);

		if (n == 0)
			continue;
		v.header.id = queue_packet(&w->queue, n - 1).id;
		queue_send(&w->queue, &(struct iovec){&v, sizeof(v)}, 1);
		w->done += n;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct options o = parse_options(argc, argv);
	struct worker *workers = calloc(o.queues, sizeof(*workers));
	uint64_t done = 0, calls = 0;

	if (!workers)
		die("calloc");
	for (unsigned i = 0; i < o.queues; i++) {
		workers[i].options = o;
		workers[i].options.count = o.count / o.queues;
		queue_open(&workers[i].queue, &o, o.queue + i);
	}
	await_start(workers[0].queue.fd);
	start();
	for (unsigned i = 0; i < o.queues; i++)
		if (pthread_create(&workers[i].thread, NULL, drain, &workers[i]) != 0)
			die("pthread_create");
	for (unsigned i = 0; i < o.queues; i++) {
		pthread_join(workers[i].thread, NULL);
		done += workers[i].done;
		calls += workers[i].queue.calls;
	}
	report(done, calls);
	return 0;
}
