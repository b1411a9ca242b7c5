/*
 * libnetfilter_queue's callback API, as its example utils/nfqnl_test.c uses it:
 * one packet, one verdict, one system call for each.
 */
#include "bench.h"
#include "checksum.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/netfilter.h>

struct program {
	enum work work;
	uint64_t done, calls;
};

static int on_packet(struct nfq_q_handle *q, struct nfgenmsg *msg, struct nfq_data *data, void *arg)
{
	struct program *p = arg;
	uint32_t id = ntohl(nfq_get_msg_packet_hdr(data)->packet_id);
	unsigned char *payload;
	int len;

	(void)msg;
	p->done++;
	p->calls++;
	switch (p->work) {
	case MARK:
		return nfq_set_verdict2(q, id, NF_ACCEPT, p->done, 0, NULL);
	case RAW:
	case FINISH:
		len = nfq_get_payload(data, &payload);
		if (len <= UDP_DATA)
			break;
		payload[UDP_DATA] ^= 1;
		if (p->work == FINISH)
			finish_udp(payload, len);
		return nfq_set_verdict(q, id, NF_ACCEPT, len, payload);
	default:
		break;
	}
	return nfq_set_verdict(q, id, NF_ACCEPT, 0, NULL);
}

static void run(struct nfq_handle *h, struct program *p, const struct options *o)
{
	static char buf[SLOT];

	while (more(o, p->done)) {
		int n = recv(nfq_fd(h), buf, sizeof(buf), 0);

		p->calls++;
		if (n > 0)
			nfq_handle_packet(h, buf, n);
		else if (errno != EAGAIN && errno != EINTR)
			die("recv");
	}
}

int main(int argc, char **argv)
{
	struct options o = parse_options(argc, argv);
	struct program p = {.work = o.work};
	struct nfq_handle *h = nfq_open();
	struct nfq_q_handle *q;

	if (!h)
		die("nfq_open");
	q = nfq_create_queue(h, o.queue, on_packet, &p);
	if (!q)
		die("nfq_create_queue");
	if (nfq_set_mode(q, NFQNL_COPY_PACKET, o.copyrange) < 0 || nfq_set_queue_maxlen(q, o.maxlen) < 0 ||
	    nfq_set_queue_flags(q, NFQA_CFG_F_GSO, NFQA_CFG_F_GSO) < 0)
		die("configure the queue");
	set_socket(nfq_fd(h), o.buffer);
	await_start(nfq_fd(h));
	start();
	run(h, &p, &o);
	report(p.done, p.calls);
	nfq_destroy_queue(q);
	nfq_close(h);
	return 0;
}
