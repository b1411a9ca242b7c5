/*
 * A verdict message for every packet: 64 packets with one system call, and
 * their 64 messages with one more. This is as fast as it goes where verdicts
 * differ. Payloads are sent from where they were received.
 */
#include "checksum.h"
#include "queue.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>

/* Send when this much is there, well below what the send buffer lets through. */
#define FULL (64 << 10)

/* The parts of messages that are to be sent together. */
struct outbox {
	struct queue *queue;
	struct verdict verdicts[BATCH];
	struct mark marks[BATCH];
	struct nlattr payloads[BATCH];
	struct iovec parts[BATCH * 4];
	int messages, used;
	size_t bytes;
};

static void flush(struct outbox *out)
{
	if (out->used > 0)
		queue_send(out->queue, out->parts, out->used);
	out->messages = out->used = 0;
	out->bytes = 0;
}

/* add appends a part to the message v. */
static void add(struct outbox *out, struct verdict *v, void *base, size_t len)
{
	out->parts[out->used++] = (struct iovec){base, len};
	out->bytes += len;
	if (v)
		v->nlh.nlmsg_len += len;
}

static void add_payload(struct outbox *out, struct verdict *v, const struct packet *p)
{
	static uint8_t padding[NLA_ALIGNTO];
	struct nlattr *a = &out->payloads[out->messages];

	*a = (struct nlattr){sizeof(*a) + p->length, NFQA_PAYLOAD};
	add(out, v, a, sizeof(*a));
	add(out, v, p->payload, p->length);
	add(out, v, padding, NLA_ALIGN(p->length) - p->length);
}

/* accept_packet appends the verdict on p, the n-th packet of all. */
static void accept_packet(struct outbox *out, enum work work, struct packet p, uint64_t n)
{
	struct verdict *v = &out->verdicts[out->messages];
	struct mark *m = &out->marks[out->messages];

	verdict_init(v, NFQNL_MSG_VERDICT, out->queue, p.id);
	add(out, NULL, v, sizeof(*v));
	switch (work) {
	case MARK:
		*m = (struct mark){{sizeof(*m), NFQA_MARK}, htonl(n + 1)};
		add(out, v, m, sizeof(*m));
		break;
	case RAW:
	case FINISH:
		p.payload[UDP_DATA] ^= 1;
		if (work == FINISH)
			finish_udp(p.payload, p.length);
		add_payload(out, v, &p);
		break;
	default:
		break;
	}
	out->messages++;
	if (out->bytes >= FULL)
		flush(out);
}

int main(int argc, char **argv)
{
	static struct queue q;
	static struct outbox out = {.queue = &q};
	struct options o = parse_options(argc, argv);
	uint64_t done = 0;

	queue_open(&q, &o, o.queue);
	await_start(q.fd);
	start();
	while (more(&o, done)) {
		int n = queue_receive(&q);

		for (int i = 0; i < n; i++)
			accept_packet(&out, o.work, queue_packet(&q, i), done++);
		flush(&out);
	}
	report(done, q.calls);
	return 0;
}
