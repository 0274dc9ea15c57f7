// SPDX-License-Identifier: BSD-3-Clause
// What Sonda does before the kernel's stack: to which socket a packet goes, which are dropped early, counted only, or left to the stack.
//
// Contract: each packet ends with exactly one of `enum ended`, counted for its socket and processor together with `SEEN`, so that
// seen = redirected + passed + sum of dropped (RELIABILITY.md, I2) whatever is changed meanwhile. What the packet is gets read once
// (`read`), as dataplane/src/packet/decode.rs reads it; dataplane/tests/xdp_program.rs holds the two against each other.
// Rules stand twice, for generation 0 and 1; `policies` of the generation that `turn` names is in force, so a change is one store.
// The numbers and structs here are those of ebpf/src/maps.rs.
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define QUEUES_MAX 128
#define ROWS_MAX 1024
#define TAGS_MAX 4
#define EXTENSIONS_MAX 6
#define RULES_MAX 16384
#define FLOWS_MAX 65536

// How a packet can end; the first two are sums over packets.
enum ended {
	SEEN,
	SEEN_BYTES,
	REDIRECTED,
	PASSED_BY_RULE,
	PASSED_NO_SOCKET,
	DROPPED_VLAN,
	DROPPED_PROTOCOL,
	DROPPED_ADDRESS,
	DROPPED_PORT,
	DROPPED_OTHER,
	SAMPLED,
	OFFLOADED,
	// Not an end: packets that sampling has looked at.
	SAMPLING_TURN,
	ENDS = 16,
};

// What a rule says; the strongest of all that name a packet holds.
enum verdict { NONE, KEEP, PASS, DROP };

struct policy {
	// Which kinds of rules there are, one bit each: see `enum kind`.
	__u32 kinds;
	// For packets that no rule names.
	__u32 other;
	// One of so many packets or flows goes to user space; 0 and 1: all.
	__u32 sample_every;
	__u32 sample_by_flow;
	// Of an offloaded flow, one packet of so many goes to user space instead of being counted; 0: none.
	__u32 offload_every;
	__u32 offload;
};

enum kind { VLANS = 1, PROTOCOLS = 2, ADDRESSES = 4, PORTS = 8 };

// Both directions of a conversation have the same: the lower endpoint stands first, compared as the flow key compares them.
struct tuple {
	__u8 a[16];
	__u8 b[16];
	__u16 a_port;
	__u16 b_port;
	__u16 vlan;
	__u8 protocol;
	__u8 version;
};

// What user space must add to the flow. [0] counts the packets whose source is `a`.
struct tally {
	__u64 packets[2];
	__u64 bytes[2];
	__u64 wire_bytes[2];
	// CLOCK_MONOTONIC
	__u64 last[2];
	__u64 turns;
	__u32 flags[2];
};

struct packet {
	struct tuple tuple;
	__u32 ip_len;
	__u32 wire_len;
	__u8 src[16];
	__u8 dst[16];
	__u16 src_port;
	__u16 dst_port;
	__u8 reversed;
	__u8 has_ip;
	// TCP, UDP or SCTP with its ports in this packet.
	__u8 has_ports;
	// A TCP or UDP packet that is whole: the flow that user space would count it to is `tuple`.
	__u8 is_plain;
	__u8 tcp_flags;
	__u8 fragment;
	__u8 unused[2];
};

// A row for each socket: the first one of a queue has the queue's number, the others stand behind (steer.h).
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, ROWS_MAX);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

struct counts {
	__u64 of[ENDS];
};
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, ROWS_MAX);
	__type(key, __u32);
	__type(value, struct counts);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} turn SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct policy);
} policies SEC(".maps");

struct v4_prefix {
	__u32 len;
	__u8 generation;
	__u8 address[4];
} __attribute__((packed));
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, RULES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct v4_prefix);
	__type(value, __u32);
} prefixes4 SEC(".maps");

struct v6_prefix {
	__u32 len;
	__u8 generation;
	__u8 address[16];
} __attribute__((packed));
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, RULES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct v6_prefix);
	__type(value, __u32);
} prefixes6 SEC(".maps");

// The next three: one verdict for each number, generation 1 behind generation 0.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * 65536);
	__type(key, __u32);
	__type(value, __u8);
} ports SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * 256);
	__type(key, __u32);
	__type(value, __u8);
} protocols SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2 * 4096);
	__type(key, __u32);
	__type(value, __u8);
} vlans SEC(".maps");

// An offloaded flow has a slot in `tallies`, which user space gives out and takes back: it takes the flow from `flows`, waits until no
// program can still hold the slot, and only then reads it. Counters that lay in `flows` itself could be counted on after they were read.
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FLOWS_MAX);
	__type(key, struct tuple);
	__type(value, __u32);
} flows SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FLOWS_MAX);
	__type(key, __u32);
	__type(value, struct tally);
} tallies SEC(".maps");

// What `peek` read last; for tests.
struct peeked {
	struct packet packet;
	__u64 hash;
	__u64 spread;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct peeked);
} peeks SEC(".maps");

#define INLINE static __attribute__((always_inline)) inline

INLINE __u16 be16(const __u8 *p) { return (__u16)p[0] << 8 | p[1]; }
INLINE __u32 be32(const __u8 *p) { return (__u32)be16(p) << 16 | be16(p + 2); }
INLINE __u64 be64(const __u8 *p) { return (__u64)be32(p) << 32 | be32(p + 4); }

enum fragment { WHOLE, FIRST, LATER };

enum { TCP = 6, UDP = 17, SCTP = 132 };

// Ports and flags at `at`; `promised` bytes stand behind the IP header by its own length.
INLINE void read_transport(struct packet *p, const __u8 *at, const __u8 *end, __u32 promised)
{
	__u8 protocol = p->tuple.protocol;
	if (p->fragment == LATER || (protocol != TCP && protocol != UDP && protocol != SCTP))
		return;
	if (at + 8 > end || promised < 4)
		return;
	p->src_port = be16(at);
	p->dst_port = be16(at + 2);
	p->has_ports = 1;
	if (protocol == UDP) {
		p->is_plain = p->fragment == WHOLE && promised >= 8;
	} else if (protocol == TCP) {
		if (at + 20 > end)
			return;
		__u32 len = (at[12] >> 4) * 4;
		p->tcp_flags = at[13];
		p->is_plain = p->fragment == WHOLE && len >= 20 && len <= promised && at + len <= end;
	}
}

// The lower endpoint first, as FlowKey::v4 and FlowKey::v6 of dataplane/src/flow/key.rs order them.
INLINE void order(struct packet *p)
{
	__u64 src_high = be64(p->src), dst_high = be64(p->dst);
	__u64 src_low = be64(p->src + 8), dst_low = be64(p->dst + 8);
	__u16 src_port = p->src_port, dst_port = p->dst_port;
	if (p->fragment != WHOLE)
		src_port = dst_port = 0;
	p->reversed = src_high != dst_high ? src_high > dst_high : src_low != dst_low ? src_low > dst_low : src_port > dst_port;
	if (p->reversed) {
		__builtin_memcpy(p->tuple.a, p->dst, 16);
		__builtin_memcpy(p->tuple.b, p->src, 16);
		p->tuple.a_port = dst_port;
		p->tuple.b_port = src_port;
	} else {
		__builtin_memcpy(p->tuple.a, p->src, 16);
		__builtin_memcpy(p->tuple.b, p->dst, 16);
		p->tuple.a_port = src_port;
		p->tuple.b_port = dst_port;
	}
}

INLINE void read_v4(struct packet *p, const __u8 *at, const __u8 *end)
{
	if (at + 20 > end)
		return;
	__u32 header = (at[0] & 0x0f) * 4;
	__u32 len = be16(at + 2);
	if (at[0] >> 4 != 4 || header < 20)
		return;
	__u16 flags = be16(at + 6);
	p->has_ip = 1;
	p->tuple.version = 4;
	p->tuple.protocol = at[9];
	p->ip_len = len;
	p->fragment = flags & 0x1fff ? LATER : flags & 0x2000 ? FIRST : WHOLE;
	__builtin_memcpy(p->src, at + 12, 4);
	__builtin_memcpy(p->dst, at + 16, 4);
	if (len >= header)
		read_transport(p, at + header, end, len - header);
	order(p);
}

INLINE void read_v6(struct packet *p, const __u8 *at, const __u8 *end)
{
	const __u8 *l3 = at;
	if (at + 40 > end || at[0] >> 4 != 6)
		return;
	__u8 next = at[6];
	__u32 left = be16(at + 4);
	p->has_ip = 1;
	p->tuple.version = 6;
	p->ip_len = left ? left + 40 : 0;
	__builtin_memcpy(p->src, at + 8, 16);
	__builtin_memcpy(p->dst, at + 24, 16);
	at += 40;
	// RFC 8200, 4. A chain that is longer, or cut, stays without ports: user space sees it all the same.
	int is_over = 0;
#pragma unroll
	for (int i = 0; i < EXTENSIONS_MAX; i++) {
		if (is_over || (next != 0 && next != 60 && next != 43 && next != 44 && next != 51)) {
			is_over = 1;
			continue;
		}
		if (at + 8 > end) {
			is_over = 1;
			continue;
		}
		__u32 len = next == 44 ? 8 : next == 51 ? (at[1] + 2) * 4 : (at[1] + 1) * 8;
		if (next == 44) {
			__u16 offset = be16(at + 2);
			p->fragment = offset & 0xfff8 ? LATER : offset & 1 ? FIRST : WHOLE;
		}
		next = at[0];
		at += len;
		left = left > len ? left - len : 0;
		if (p->fragment == LATER)
			is_over = 1;
	}
	(void)l3;
	p->tuple.protocol = next;
	read_transport(p, at, end, left);
	order(p);
}

// What the packet is, as far as its outermost IP header tells.
INLINE void read(struct xdp_md *ctx, struct packet *p)
{
	const __u8 *at = (void *)(long)ctx->data;
	const __u8 *end = (void *)(long)ctx->data_end;
	p->wire_len = bpf_xdp_get_buff_len(ctx);
	if (at + 14 > end)
		return;
	__u16 type = be16(at + 12);
	at += 14;
#pragma unroll
	for (int i = 0; i < TAGS_MAX; i++) {
		if (type != 0x8100 && type != 0x88a8 && type != 0x9100)
			break;
		if (at + 4 > end)
			return;
		if (i == 0)
			p->tuple.vlan = be16(at) & 0xfff;
		type = be16(at + 2);
		at += 4;
	}
	if (type == 0x0800)
		read_v4(p, at, end);
	else if (type == 0x86dd)
		read_v6(p, at, end);
}

// Equal for both directions of a flow.
INLINE __u64 hash_of(const struct tuple *t)
{
	const __u64 *words = (const __u64 *)t;
	__u64 hash = 0;
#pragma unroll
	for (int i = 0; i < 5; i++) {
		hash = (hash ^ words[i]) * 0x9e3779b97f4a7c15ULL;
		hash ^= hash >> 32;
	}
	return hash;
}

#include "steer.h"

INLINE __u32 by_number(void *map, __u32 at)
{
	__u8 *verdict = bpf_map_lookup_elem(map, &at);
	return verdict ? *verdict : NONE;
}

INLINE __u32 by_address(const struct packet *p, __u32 generation, const __u8 *address)
{
	__u32 *verdict;
	if (p->tuple.version == 4) {
		struct v4_prefix key = { .len = 8 + 32, .generation = generation };
		__builtin_memcpy(key.address, address, 4);
		verdict = bpf_map_lookup_elem(&prefixes4, &key);
	} else {
		struct v6_prefix key = { .len = 8 + 128, .generation = generation };
		__builtin_memcpy(key.address, address, 16);
		verdict = bpf_map_lookup_elem(&prefixes6, &key);
	}
	return verdict ? *verdict : NONE;
}

INLINE __u32 stronger(__u32 a, __u32 b) { return a > b ? a : b; }

// How the rules end the packet, or SEEN if it goes on.
INLINE enum ended by_rules(const struct packet *p, const struct policy *policy, __u32 generation)
{
	__u32 strongest = NONE;
	if (policy->kinds & VLANS) {
		strongest = by_number(&vlans, generation << 12 | (p->tuple.vlan & 0xfff));
		if (strongest == DROP)
			return DROPPED_VLAN;
	}
	if (p->has_ip) {
		if (policy->kinds & PROTOCOLS) {
			__u32 verdict = by_number(&protocols, generation << 8 | p->tuple.protocol);
			if (verdict == DROP)
				return DROPPED_PROTOCOL;
			strongest = stronger(strongest, verdict);
		}
		if (policy->kinds & ADDRESSES) {
			__u32 verdict = stronger(by_address(p, generation, p->src), by_address(p, generation, p->dst));
			if (verdict == DROP)
				return DROPPED_ADDRESS;
			strongest = stronger(strongest, verdict);
		}
		if (policy->kinds & PORTS && p->has_ports) {
			__u32 verdict = stronger(by_number(&ports, generation << 16 | p->src_port),
						 by_number(&ports, generation << 16 | p->dst_port));
			if (verdict == DROP)
				return DROPPED_PORT;
			strongest = stronger(strongest, verdict);
		}
	}
	if (strongest == NONE) {
		if (policy->other == DROP)
			return DROPPED_OTHER;
		strongest = policy->other;
	}
	return strongest == PASS ? PASSED_BY_RULE : SEEN;
}

// OFFLOADED if the packet was counted in a slot, REDIRECTED if it is one of an offloaded flow that user space shall see, else SEEN.
INLINE enum ended by_offload(const struct packet *p, const struct policy *policy)
{
	if (!policy->offload || !p->is_plain)
		return SEEN;
	__u32 *slot = bpf_map_lookup_elem(&flows, &p->tuple);
	if (!slot)
		return SEEN;
	// Begin and end of a connection are for user space: FIN, SYN, RST.
	if (p->tcp_flags & 0x07)
		return REDIRECTED;
	struct tally *tally = bpf_map_lookup_elem(&tallies, slot);
	if (!tally)
		return SEEN;
	if (policy->offload_every) {
		__u64 turn = __sync_fetch_and_add(&tally->turns, 1);
		if (turn % policy->offload_every == 0)
			return REDIRECTED;
	}
	if (p->reversed) {
		__sync_fetch_and_add(&tally->packets[1], 1);
		__sync_fetch_and_add(&tally->bytes[1], p->ip_len);
		__sync_fetch_and_add(&tally->wire_bytes[1], p->wire_len);
		__sync_fetch_and_or(&tally->flags[1], p->tcp_flags);
		tally->last[1] = bpf_ktime_get_ns();
	} else {
		__sync_fetch_and_add(&tally->packets[0], 1);
		__sync_fetch_and_add(&tally->bytes[0], p->ip_len);
		__sync_fetch_and_add(&tally->wire_bytes[0], p->wire_len);
		__sync_fetch_and_or(&tally->flags[0], p->tcp_flags);
		tally->last[0] = bpf_ktime_get_ns();
	}
	return OFFLOADED;
}

// Whether sampling leaves the packet out. By flow: what has no flow is kept.
INLINE int is_left_out(const struct packet *p, const struct policy *policy, struct counts *counts)
{
	if (policy->sample_every < 2)
		return 0;
	if (!policy->sample_by_flow)
		return counts->of[SAMPLING_TURN]++ % policy->sample_every != 0;
	return p->has_ip && (hash_of(&p->tuple) >> 32) % policy->sample_every != 0;
}

INLINE enum ended judge(const struct packet *p, struct counts *counts)
{
	__u32 zero = 0;
	__u32 *now = bpf_map_lookup_elem(&turn, &zero);
	if (!now)
		return SEEN;
	__u32 generation = *now & 1;
	struct policy *policy = bpf_map_lookup_elem(&policies, &generation);
	if (!policy)
		return SEEN;
	enum ended ended = by_rules(p, policy, generation);
	if (ended != SEEN)
		return ended;
	ended = by_offload(p, policy);
	if (ended != SEEN)
		return ended;
	return is_left_out(p, policy, counts) ? SAMPLED : SEEN;
}

SEC("xdp.frags")
int sonda(struct xdp_md *ctx)
{
	struct packet p = {};
	read(ctx, &p);
	__u32 row = row_of(ctx, &p);
	struct counts *counts = bpf_map_lookup_elem(&counters, &row);
	if (!counts)
		return XDP_PASS;
	enum ended ended = judge(&p, counts);
	int action = XDP_DROP;
	if (ended == SEEN || ended == REDIRECTED) {
		// A queue without a socket is none of ours.
		action = bpf_redirect_map(&sockets, row, XDP_PASS);
		ended = action == XDP_REDIRECT ? REDIRECTED : PASSED_NO_SOCKET;
	} else if (ended == PASSED_BY_RULE) {
		action = XDP_PASS;
	}
	counts->of[SEEN] += 1;
	counts->of[SEEN_BYTES] += p.wire_len;
	if (ended < ENDS)
		counts->of[ended] += 1;
	return action;
}

// For tests: what `read` makes of a packet.
SEC("xdp.frags")
int peek(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct peeked *peeked = bpf_map_lookup_elem(&peeks, &zero);
	if (!peeked)
		return XDP_ABORTED;
	struct packet p = {};
	read(ctx, &p);
	peeked->packet = p;
	peeked->hash = hash_of(&p.tuple);
	peeked->spread = hash_of_addresses(ctx, &p);
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
