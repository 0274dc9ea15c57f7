// SPDX-License-Identifier: BSD-3-Clause
// The card's time of a packet, written before its first byte, where the lane finds it (Documentation/networking/xdp-rx-metadata.rst).

// Stands for the kernel's function bpf_xdp_metadata_rx_timestamp, whose number each kernel has its own of: the loader (ebpf/src/timed.rs)
// puts it in place of this one, which no helper has.
static int (*card_time)(const struct xdp_md *ctx, __u64 *nanoseconds) = (void *)0x7ffe0001;

// The same in dataplane/sys/src/xsk/stamp.rs.
#define STAMP_MARK 0x736f6e6461706b74ULL

struct stamp {
	// Nanoseconds, 0 if the card has none.
	__u64 time;
	// `time` ^ STAMP_MARK: where it is not, no stamp was written.
	__u64 mark;
};

INLINE void stamp(struct xdp_md *ctx)
{
	__u64 time = 0;
	if (card_time(ctx, &time))
		time = 0;
	if (bpf_xdp_adjust_meta(ctx, -(int)sizeof(struct stamp)))
		return;
	struct stamp *stamp = (void *)(long)ctx->data_meta;
	if ((void *)(stamp + 1) > (void *)(long)ctx->data)
		return;
	stamp->time = time;
	stamp->mark = time ^ STAMP_MARK;
}
