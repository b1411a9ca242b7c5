/* The UDP checksum of IPv4 packets without options, which are all there are here. */
#ifndef CHECKSUM_H
#define CHECKSUM_H

#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#define UDP_HEADER 20 /* where it begins */
#define UDP_CHECKSUM 26
#define UDP_DATA 28

/* add adds with the carry brought around, as one's complement sums do. */
static inline uint64_t add_carry(uint64_t s, uint64_t word)
{
	s += word;
	return s + (s < word);
}

/* sum adds up b, eight bytes at a time; fold makes 16 bits of that. */
static inline uint64_t sum(uint64_t s, const uint8_t *b, uint32_t len)
{
	uint64_t word;

	for (; len >= 8; b += 8, len -= 8) {
		memcpy(&word, b, 8);
		s = add_carry(s, word);
	}
	word = 0;
	memcpy(&word, b, len);
	return add_carry(s, word);
}

static inline uint16_t fold(uint64_t s)
{
	while (s >> 16)
		s = (s >> 16) + (s & 0xffff);
	return s;
}

/* finish_udp computes the checksum of the packet anew. */
static inline void finish_udp(uint8_t *packet, uint32_t len)
{
	const uint32_t udp_len = len - UDP_HEADER;
	uint64_t s = htons(IPPROTO_UDP) + htons(udp_len);
	uint16_t checksum;

	memset(packet + UDP_CHECKSUM, 0, sizeof(checksum));
	s = sum(s, packet + 12, 8); /* both addresses */
	s = sum(s, packet + UDP_HEADER, udp_len);
	checksum = ~fold(s);
	if (checksum == 0)
		checksum = 0xffff; /* 0 means none */
	memcpy(packet + UDP_CHECKSUM, &checksum, sizeof(checksum));
}

#endif
