// SPDX-License-Identifier: BSD-3-Clause
// Which of a queue's sockets a packet goes to, by the two outer IP addresses alone: a fragment has no ports and must follow its first one,
// and both directions have the same addresses. It is the rule by which fanout groups (af_packet/spread.rs) and readers of a file
// (lane/share.rs) spread packets. Behind VLAN tags, PPPoE and MPLS labels the addresses are found; all else goes to the first socket.
// Rust's half is ebpf/src/steer.rs.

#define LABELS_MAX 4

// The sockets of a queue: the first one's row is the queue's number, the others' rows begin at `more`.
struct spread {
	__u32 count;
	__u32 more;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, QUEUES_MAX);
	__type(key, __u32);
	__type(value, struct spread);
} spreads SEC(".maps");

// Behind PPPoE and MPLS, where `read` does not look: addresses into `words`, as those of `struct packet` lie. Answers whether there are any.
INLINE int find_addresses(struct xdp_md *ctx, __u64 words[4])
{
	const __u8 *at = (void *)(long)ctx->data;
	const __u8 *end = (void *)(long)ctx->data_end;
	if (at + 14 > end)
		return 0;
	__u16 type = be16(at + 12);
	at += 14;
#pragma unroll
	for (int i = 0; i < TAGS_MAX; i++) {
		if (type != 0x8100 && type != 0x88a8 && type != 0x9100)
			break;
		if (at + 4 > end)
			return 0;
		type = be16(at + 2);
		at += 4;
	}
	if (type == 0x8864) {
		if (at + 8 > end)
			return 0;
		__u16 protocol = be16(at + 6);
		at += 8;
		type = protocol == 0x0281 ? 0x8847 : protocol == 0x0021 || protocol == 0x0057 ? 0x0800 : 0;
	}
	if (type == 0x8847 || type == 0x8848) {
		int is_last = 0;
#pragma unroll
		for (int i = 0; i < LABELS_MAX; i++) {
			if (!is_last && at + 4 <= end) {
				is_last = at[2] & 1;
				at += 4;
			}
		}
		type = is_last ? 0x0800 : 0;
	}
	if (type != 0x0800 || at + 20 > end)
		return 0;
	if (at[0] >> 4 == 4) {
		__builtin_memcpy(&words[0], at + 12, 4);
		__builtin_memcpy(&words[2], at + 16, 4);
		return 1;
	}
	if (at[0] >> 4 != 6 || at + 40 > end)
		return 0;
	__builtin_memcpy(words, at + 8, 32);
	return 1;
}

// The same for both directions, because sums are; 0 if there are no addresses.
INLINE __u64 hash_of_addresses(struct xdp_md *ctx, const struct packet *p)
{
	__u64 words[4] = {};
	if (p->has_ip) {
		__builtin_memcpy(&words[0], p->src, 16);
		__builtin_memcpy(&words[2], p->dst, 16);
	} else if (!find_addresses(ctx, words)) {
		return 0;
	}
	__u64 hash = (words[0] + words[2]) * 0x9e3779b97f4a7c15ULL;
	hash = ((hash ^ hash >> 32) + words[1] + words[3]) * 0x9e3779b97f4a7c15ULL;
	return hash ^ hash >> 32;
}

// The row of a packet's socket and counters. Queues beyond those that can have a socket share the last row, which has none.
INLINE __u32 row_of(struct xdp_md *ctx, const struct packet *p)
{
	__u32 queue = ctx->rx_queue_index;
	struct spread *spread = bpf_map_lookup_elem(&spreads, &queue);
	if (!spread)
		return ROWS_MAX - 1;
	__u32 count = spread->count;
	if (count < 2)
		return queue;
	__u32 turn = (hash_of_addresses(ctx, p) >> 32) * count >> 32;
	return turn ? spread->more + turn - 1 : queue;
}
