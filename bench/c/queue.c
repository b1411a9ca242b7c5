#include "queue.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <libmnl/libmnl.h>
#include <linux/netfilter.h>

/* configure asks for everything at once and waits for the kernel's answer. */
static void configure(struct queue *q, const struct options *o)
{
	const struct nfqnl_msg_config_cmd bind = {.command = NFQNL_CFG_CMD_BIND};
	const struct nfqnl_msg_config_params params = {
		.copy_range = htonl(o->copyrange),
		.copy_mode = NFQNL_COPY_PACKET,
	};
	char buf[MNL_SOCKET_BUFFER_SIZE];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *nfg;
	ssize_t n;

	nlh->nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_CONFIG;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->version = NFNETLINK_V0;
	nfg->res_id = htons(q->number);
	mnl_attr_put(nlh, NFQA_CFG_CMD, sizeof(bind), &bind);
	mnl_attr_put(nlh, NFQA_CFG_PARAMS, sizeof(params), &params);
	mnl_attr_put_u32(nlh, NFQA_CFG_QUEUE_MAXLEN, htonl(o->maxlen));
	mnl_attr_put_u32(nlh, NFQA_CFG_FLAGS, htonl(NFQA_CFG_F_GSO));
	mnl_attr_put_u32(nlh, NFQA_CFG_MASK, htonl(NFQA_CFG_F_GSO));
	if (send(q->fd, nlh, nlh->nlmsg_len, 0) < 0)
		die("configure the queue");
	n = recv(q->fd, buf, sizeof(buf), 0);
	if (n < 0 || mnl_cb_run(buf, n, 0, 0, NULL, NULL) < 0)
		die("configure the queue");
}

void queue_open(struct queue *q, const struct options *o, uint16_t number)
{
	const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

	memset(q, 0, sizeof(*q));
	q->number = number;
	q->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	if (q->fd < 0 || connect(q->fd, (const struct sockaddr *)&kernel, sizeof(kernel)) != 0)
		die("netlink socket");
	set_socket(q->fd, o->buffer);
	configure(q, o);

	/* Pages that no packet needs are never touched. */
	q->room = mmap(NULL, BATCH * (size_t)STRIDE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (q->room == MAP_FAILED)
		die("mmap");
	for (int i = 0; i < BATCH; i++) {
		q->slots[i] = (struct iovec){q->room + i * (size_t)STRIDE, SLOT};
		q->msgs[i].msg_hdr = (struct msghdr){.msg_iov = &q->slots[i], .msg_iovlen = 1};
	}
}

int queue_receive(struct queue *q)
{
	int n = recvmmsg(q->fd, q->msgs, BATCH, MSG_WAITFORONE, NULL);

	q->calls++;
	if (n >= 0)
		return n;
	if (errno != EAGAIN && errno != EINTR)
		die("recvmmsg");
	return 0;
}

struct packet queue_packet(struct queue *q, int i)
{
	struct nlmsghdr *nlh = q->slots[i].iov_base;
	struct packet p = {0};
	struct nlattr *a;

	if (nlh->nlmsg_type != (NFNL_SUBSYS_QUEUE << 8 | NFQNL_MSG_PACKET)) {
		errno = EPROTO;
		die("expected a packet");
	}
	mnl_attr_for_each(a, nlh, sizeof(struct nfgenmsg)) {
		switch (mnl_attr_get_type(a)) {
		case NFQA_PACKET_HDR:
			p.id = ((struct nfqnl_msg_packet_hdr *)mnl_attr_get_payload(a))->packet_id;
			break;
		case NFQA_PAYLOAD:
			p.payload = mnl_attr_get_payload(a);
			p.length = mnl_attr_get_payload_len(a);
			break;
		}
	}
	return p;
}

void queue_send(struct queue *q, struct iovec *parts, size_t n)
{
	const struct msghdr m = {.msg_iov = parts, .msg_iovlen = n};

	if (sendmsg(q->fd, &m, 0) < 0)
		die("send verdicts");
	q->calls++;
}

void verdict_init(struct verdict *v, int type, const struct queue *q, uint32_t id)
{
	*v = (struct verdict){
		.nlh = {.nlmsg_len = sizeof(*v), .nlmsg_type = NFNL_SUBSYS_QUEUE << 8 | type, .nlmsg_flags = NLM_F_REQUEST},
		.nfg = {.version = NFNETLINK_V0, .res_id = htons(q->number)},
		.attr = {.nla_len = sizeof(v->attr) + sizeof(v->header), .nla_type = NFQA_VERDICT_HDR},
		.header = {.verdict = htonl(NF_ACCEPT), .id = id},
	};
}
