/*
 * A queue without a library: a socket, buffers for recvmmsg, and the few
 * structures that a verdict is made of.
 */
#ifndef QUEUE_H
#define QUEUE_H

#include "bench.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_queue.h>
#include <linux/netlink.h>

struct queue {
	int fd;
	uint16_t number;
	uint64_t calls;
	char *room;
	struct mmsghdr msgs[BATCH];
	struct iovec slots[BATCH];
};

/* A packet, as far as deciding on it needs it. */
struct packet {
	uint32_t id;       /* in network byte order, as it is sent back */
	uint8_t *payload;
	uint32_t length;
};

/* A verdict message; a mark and a payload may follow. */
struct verdict {
	struct nlmsghdr nlh;
	struct nfgenmsg nfg;
	struct nlattr attr;
	struct nfqnl_msg_verdict_hdr header;
};

struct mark {
	struct nlattr attr;
	uint32_t value;
};

/* queue_open binds to a queue and sets it up with one message. */
void queue_open(struct queue *q, const struct options *o, uint16_t number);

/* queue_receive waits for packets and returns how many datagrams came. */
int queue_receive(struct queue *q);

/* queue_packet finds the packet in slot i. */
struct packet queue_packet(struct queue *q, int i);

/* queue_send sends messages to the kernel. */
void queue_send(struct queue *q, struct iovec *parts, size_t n);

/* verdict_init fills in a message of type NFQNL_MSG_VERDICT or _VERDICT_BATCH. */
void verdict_init(struct verdict *v, int type, const struct queue *q, uint32_t id);

#endif
