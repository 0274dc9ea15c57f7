// SPDX-License-Identifier: BSD-3-Clause
// Traffic for measurements: run by BPF_PROG_TEST_RUN with live frames, it sends the frame it is given to an interface, each time as one of
// FLOWS flows, in turn.
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

const volatile __u32 INTERFACE = 0;
const volatile __u32 FLOWS = 1;

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} turns SEC(".maps");

SEC("xdp")
int generate(struct xdp_md *ctx)
{
	__u8 *at = (void *)(long)ctx->data;
	__u32 zero = 0, *turn = bpf_map_lookup_elem(&turns, &zero);
	// Ethernet, IPv4 without options, UDP without checksum.
	if (!turn || at + 42 > (__u8 *)(long)ctx->data_end)
		return XDP_DROP;
	// Neighbours in time are no neighbours in number.
	__u32 flow = (*turn)++ * 2654435761u % FLOWS;
	at[26] = 10;
	at[27] = flow >> 16;
	at[28] = flow >> 8;
	at[29] = flow;
	return bpf_redirect(INTERFACE, 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
