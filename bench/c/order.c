/*
 * What a verdict costs while many packets wait. It takes all packets and lets
 * them wait, then decides on some of them, the oldest or the newest first, 64
 * with one system call. Kernels before 7.0 look for a packet from the oldest on.
 */
#include "queue.h"

#include <stdlib.h>

/* collect takes count packets and notes their IDs. */
static uint32_t *collect(struct queue *q, uint64_t count)
{
	uint32_t *ids = calloc(count + BATCH, sizeof(*ids));
	uint64_t n = 0;

	if (!ids)
		die("calloc");
	while (n < count && !stopping) {
		int got = queue_receive(q);

		for (int i = 0; i < got; i++)
			ids[n++] = queue_packet(q, i).id;
	}
	return ids;
}

/* decide accepts packets number from to to-1 in the order asked for. */
static void decide(struct queue *q, const struct options *o, const uint32_t *ids, uint64_t from, uint64_t to)
{
	static struct verdict verdicts[BATCH];

	while (from < to) {
		int n = 0;

		for (; n < BATCH && from < to; n++, from++)
			verdict_init(&verdicts[n], NFQNL_MSG_VERDICT, q,
				     ids[o->order == OLDEST ? from : o->count - 1 - from]);
		queue_send(q, &(struct iovec){verdicts, n * sizeof(*verdicts)}, 1);
	}
}

int main(int argc, char **argv)
{
	static struct queue q;
	struct options o = parse_options(argc, argv);
	uint32_t *ids;

	if (o.count < BATCH + o.sample)
		o.count = BATCH + o.sample;
	queue_open(&q, &o, o.queue);
	await_start(q.fd);
	ids = collect(&q, o.count);
	decide(&q, &o, ids, 0, BATCH); /* warm */
	q.calls = 0;
	start();
	decide(&q, &o, ids, BATCH, BATCH + o.sample);
	report(o.sample, q.calls);
	return 0;
}
