/*
 * libnetfilter_log's callback API, as its example utils/nfulnl_test.c uses it,
 * with a handler that looks at payload, mark, input device and prefix.
 */
#include "bench.h"

#include <errno.h>
#include <sys/socket.h>

#include <libnetfilter_log/libnetfilter_log.h>

struct program {
	uint64_t done, calls;
	uint64_t seen; /* a sum of what was read, so that reading is not left out */
};

static int on_packet(struct nflog_g_handle *g, struct nfgenmsg *msg, struct nflog_data *data, void *arg)
{
	struct program *p = arg;
	char *payload, *prefix = nflog_get_prefix(data);
	int len = nflog_get_payload(data, &payload);

	(void)g;
	(void)msg;
	p->done++;
	p->seen += nflog_get_nfmark(data) + nflog_get_indev(data);
	if (len > 0)
		p->seen += payload[0];
	if (prefix)
		p->seen += prefix[0];
	return 0;
}

static void run(struct nflog_handle *h, struct program *p, const struct options *o)
{
	static char buf[256 << 10]; /* as long as a datagram can be */

	while (more(o, p->done)) {
		int n = recv(nflog_fd(h), buf, sizeof(buf), 0);

		p->calls++;
		if (n > 0)
			nflog_handle_packet(h, buf, n);
		else if (errno != EAGAIN && errno != EINTR)
			die("recv");
	}
}

/* configure asks for what the Go program's library asks for. */
static void configure(struct nflog_g_handle *g, const struct options *o)
{
	if (nflog_set_mode(g, NFULNL_COPY_PACKET, COPY_RANGE) < 0 || nflog_set_timeout(g, 1) < 0 ||
	    nflog_set_qthresh(g, o->threshold) < 0 || nflog_set_flags(g, NFULNL_CFG_F_SEQ) < 0)
		die("configure the group");
	if (o->bufsiz > 0 && nflog_set_nlbufsiz(g, o->bufsiz) < 0)
		die("configure the group");
}

int main(int argc, char **argv)
{
	struct options o = parse_options(argc, argv);
	struct program p = {0};
	struct nflog_handle *h = nflog_open();
	struct nflog_g_handle *g;

	if (!h)
		die("nflog_open");
	g = nflog_bind_group(h, o.queue);
	if (!g)
		die("nflog_bind_group");
	configure(g, &o);
	nflog_callback_register(g, on_packet, &p);
	set_socket(nflog_fd(h), o.buffer);
	await_start(nflog_fd(h));
	start();
	run(h, &p, &o);
	report(p.done, p.calls);
	nflog_unbind_group(g);
	nflog_close(h);
	return p.seen == 0; /* the harness logs packets with a mark */
}
