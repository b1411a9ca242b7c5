# samples.awk puts the samples of a profile into the rows of docs/performance.md, by the
# system call in their call chain:
#
#	perf record -e cpu-clock -F 4000 -g -a -o perf.data -- go -C bench run . \
#		-only 'router, TCP stream$' -programs '^(libnetfilter_queue|nfpacket)$' -rounds 5 -json results.json
#	perf script -i perf.data -F comm,ip,sym | awk -f bench/tried/samples.awk
#
# A sample is 250 µs of a processor, and results.json has the packets.
BEGIN { RS = ""; FS = "\n" } # a sample is a paragraph; its first line is the program
{
	program = $1
	gsub(/ /, "", program)
	if (program != "libqueue" && program != "queue") { # web, exe: client and server; swapper: idle
		samples[program "\tall"]++
		next
	}
	if (/__sys_sendto|___sys_sendmsg/)
		row = "send, and the way of the packet that is part of it"
	else if (/__sys_recvmmsg|__sys_recvfrom|___sys_recvmsg/)
		row = /_copy_to_iter|__skb_datagram_iter/ ? "receive: the copy" : "receive: the rest, with the wait"
	else if (/do_epoll|ep_poll|do_futex|nanosleep/)
		row = "other threads: epoll, futex, the monitor"
	else if (/entry_SYSCALL|do_syscall|asm_/)
		row = "the ways into the kernel and out of it, interrupts, other calls"
	else
		row = "the program's own code"
	samples[program "\t" row]++
	samples[program "\tall"]++
}
END { for (i in samples) print i "\t" samples[i] | "sort" }
