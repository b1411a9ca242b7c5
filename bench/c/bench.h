/*
 * What all programs of the comparison share: the command line, the handshake
 * with the harness, and the report. The Go programs do the same, see
 * ../internal/subject.
 *
 *   program: opens its sockets, prints "ready RECEIVEBUFFER"
 *   harness: fills the queue, writes a line
 *   program: works, prints what it measured as one line of JSON
 */
#ifndef BENCH_H
#define BENCH_H

#include <signal.h>
#include <stdint.h>

/* A 60,000-packet drain takes well under a second; nothing here outlives this. */
#define TIME_LIMIT 60

/* How many datagrams one recvmmsg takes, and how many verdicts go out together. */
#define BATCH 64

/* Copy range, as the kernel caps it, and the room for the other attributes. */
#define COPY_RANGE 65531
#define SLOT (COPY_RANGE + 8192)

/* The distance of two slots: their beginnings shall not share cache lines. */
#define STRIDE (((SLOT + 63) & ~63) + 320)

enum work {
	ACCEPT, /* nothing but the verdict */
	MARK,   /* a different mark on every packet */
	RAW,    /* a byte of the payload changed, checksums left as they are */
	FINISH, /* the same, with the UDP checksum computed */
	READ,   /* for logs: payload, mark, input device and prefix are looked at */
};

/* What is decided first, of many packets that wait. */
enum order { OLDEST, NEWEST };

struct options {
	uint16_t queue;     /* the first queue, or the group */
	unsigned queues;    /* how many, each with a thread */
	uint64_t count;     /* packets to stop at, 0: at SIGTERM */
	uint64_t sample;    /* of those, how many to decide, 0: all */
	enum work work;
	enum order order;
	int buffer;         /* receive buffer to ask for, in bytes */
	uint32_t maxlen;    /* of the queue */
	uint32_t copyrange; /* bytes of a packet to ask for */
	uint32_t threshold; /* of the log group */
	uint32_t bufsiz;    /* of the log group, 0: the kernel's default */
};

/* Set by SIGTERM. */
extern volatile sig_atomic_t stopping;

/* parse_options reads the command line, and limits the life of the program. */
struct options parse_options(int argc, char **argv);

/* more says whether to go on after n packets. */
static inline int more(const struct options *o, uint64_t n)
{
	return !stopping && (o->count == 0 || n < o->count);
}

/* await_start says that the sockets are open and waits for the harness. */
void await_start(int fd);

/*
 * set_socket gives every program's socket the same options: a receive buffer,
 * no latch after a loss, and a timeout, so that SIGTERM is always noticed.
 */
void set_socket(int fd, int buffer);

/* start and report enclose what is measured; calls are system calls. */
void start(void);
void report(uint64_t packets, uint64_t calls);

/* now returns nanoseconds. */
uint64_t now(void);

/* die reports errno and ends the program. */
void die(const char *what) __attribute__((noreturn));

#endif
