// What Rust cannot call of DPDK: inline functions, macros and structures that change from release to release. No state here; what each
// function may be given is said at its caller, dpdk.rs. The structures are declared there a second time, field by field.
#include <rte_config.h>
#include <errno.h>
#include <string.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <rte_ring.h>

enum { CACHE = 256, SPARE = 16384 };

struct sonda_frame { const uint8_t *data; uint32_t len, wire_len; uint64_t at; };
// A queue of a port, or a ring if `ring` is not null; where time stamps lie in an mbuf (-1: nowhere) and the flag that says one is there.
struct sonda_input { struct rte_ring *ring; uint16_t port, queue; int32_t stamp_at; uint64_t stamp_flag; };
struct sonda_port {
	// In: 0 leaves `mtu` as it is, and `rss` to us.
	uint32_t mbufs; uint16_t queues, descriptors, mtu, promiscuous; uint64_t rss;
	// Out. `step` is the call that failed.
	const char *step; char driver[40]; uint16_t room, spread;
};

int sonda_eal_start(int argc, char **argv) { return rte_eal_init(argc, argv) < 0 ? -rte_errno : 0; }
void sonda_eal_end(void) { rte_eal_cleanup(); }
const char *sonda_error(int code) { return rte_strerror(code); }
uint16_t sonda_ports(void) { return rte_eth_dev_count_avail(); }
int sonda_port_named(const char *name, uint16_t *port) { return rte_eth_dev_get_port_by_name(name, port); }
int sonda_port_valid(uint16_t port) { return rte_eth_dev_is_valid_port(port); }

static struct rte_mempool *pool(uint16_t port, uint16_t queue)
{
	char name[RTE_MEMPOOL_NAMESIZE];
	snprintf(name, sizeof name, "sonda_%u_%u", port, queue);
	return rte_mempool_lookup(name);
}

// mbufs out of the pool: in the queue's descriptors or with us.
uint32_t sonda_in_use(uint16_t port, uint16_t queue)
{
	struct rte_mempool *mbufs = pool(port, queue);
	return mbufs ? rte_mempool_in_use_count(mbufs) : 0;
}

void sonda_port_close(uint16_t port, uint16_t queues)
{
	rte_eth_dev_stop(port);
	rte_eth_dev_close(port);
	for (uint16_t queue = 0; queue < queues; queue++)
		rte_mempool_free(pool(port, queue));
}

#define TRY(call) do { p->step = #call; int code_ = (call); if (code_ < 0) return code_; } while (0)
#define TRY_IF_KNOWN(call) do { p->step = #call; int code_ = (call); if (code_ < 0 && code_ != -ENOTSUP && code_ != -ENOSYS) return code_; } while (0)

// This key gives both directions of a flow the same hash: Woo and Park, "Scalable TCP session monitoring with symmetric receive-side
// scaling", 2012. DPDK keeps a pointer to it.
static uint8_t key[256];

// All of it; cards take 40 or 52 bytes.
const uint8_t *sonda_hash_key(void)
{
	for (size_t at = 0; at < sizeof key; at++)
		key[at] = at % 2 ? 0x5a : 0x6d;
	return key;
}

int sonda_port_open(uint16_t port, struct sonda_port *p)
{
	struct rte_eth_dev_info dev;
	struct rte_eth_conf conf = {0};
	uint16_t tx = 0, mtu = p->mtu;
	TRY(rte_eth_dev_info_get(port, &dev));
	snprintf(p->driver, sizeof p->driver, "%s", dev.driver_name);
	if (mtu == 0)
		TRY(rte_eth_dev_get_mtu(port, &mtu));
	mtu = RTE_MIN(mtu, dev.max_mtu);
	conf.rxmode.mtu = mtu;
	conf.rxmode.offloads = dev.rx_offload_capa & RTE_ETH_RX_OFFLOAD_TIMESTAMP;
	if (p->queues > 1) {
		// i40e spreads nothing by addresses alone.
		uint64_t by = p->rss ? p->rss : strcmp(dev.driver_name, "net_i40e") == 0 ? UINT64_MAX : RTE_ETH_RSS_IP;
		by &= dev.flow_type_rss_offloads;
		if (by) {
			conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
			conf.rx_adv_conf.rss_conf.rss_hf = by;
			conf.rx_adv_conf.rss_conf.rss_key = dev.hash_key_size ? (uint8_t *)sonda_hash_key() : NULL;
			conf.rx_adv_conf.rss_conf.rss_key_len = dev.hash_key_size;
		}
		// Without a key the device has one of its own, and nobody knows what that does with directions.
		// net_tap takes one and leaves it to the kernel all the same.
		p->spread = by && dev.hash_key_size && strcmp(dev.driver_name, "net_tap") != 0;
	}
	// Some (net_tap) want as many queues out as in.
	if (rte_eth_dev_configure(port, p->queues, 0, &conf) < 0)
		TRY(rte_eth_dev_configure(port, p->queues, tx = p->queues, &conf));
	if (p->mtu)
		TRY_IF_KNOWN(rte_eth_dev_set_mtu(port, mtu));
	TRY(rte_eth_dev_adjust_nb_rx_tx_desc(port, &p->descriptors, NULL));
	// Header, two VLAN tags and checksum around the MTU.
	p->room = RTE_MIN(RTE_MAX(RTE_ALIGN_CEIL(mtu + 26u, 1024u), (uint32_t)RTE_MBUF_DEFAULT_DATAROOM), UINT16_MAX - 127u - RTE_PKTMBUF_HEADROOM);
	int socket = rte_eth_dev_socket_id(port);
	for (uint16_t queue = 0; queue < p->queues; queue++) {
		char name[RTE_MEMPOOL_NAMESIZE];
		snprintf(name, sizeof name, "sonda_%u_%u", port, queue);
		p->step = "rte_pktmbuf_pool_create";
		struct rte_mempool *mbufs = rte_pktmbuf_pool_create(name, p->mbufs, RTE_MIN((uint32_t)CACHE, p->mbufs / 2), 0,
			p->room + RTE_PKTMBUF_HEADROOM, socket);
		if (!mbufs)
			return -rte_errno;
		TRY(rte_eth_rx_queue_setup(port, queue, p->descriptors, socket, NULL, mbufs));
		if (tx)
			TRY(rte_eth_tx_queue_setup(port, queue, 0, socket, NULL));
	}
	TRY(rte_eth_dev_start(port));
	if (p->promiscuous)
		TRY_IF_KNOWN(rte_eth_promiscuous_enable(port));
	// Not all devices can.
	rte_eth_stats_reset(port);
	return 0;
}

// Received well, missed for want of descriptors, refused for want of mbufs, broken.
int sonda_port_stats(uint16_t port, uint64_t *four)
{
	struct rte_eth_stats stats;
	int code = rte_eth_stats_get(port, &stats);
	if (code == 0) {
		four[0] = stats.ipackets;
		four[1] = stats.imissed;
		four[2] = stats.rx_nombuf;
		four[3] = stats.ierrors;
	}
	return code;
}

struct rte_ring *sonda_ring(const char *name) { return rte_ring_lookup(name); }

// Known once a port that has them has started.
void sonda_stamps(struct sonda_input *input)
{
	int at = rte_mbuf_dynfield_lookup(RTE_MBUF_DYNFIELD_TIMESTAMP_NAME, NULL);
	int flag = rte_mbuf_dynflag_lookup(RTE_MBUF_DYNFLAG_RX_TIMESTAMP_NAME, NULL);
	input->stamp_at = at >= 0 && flag >= 0 ? at : -1;
	input->stamp_flag = input->stamp_at >= 0 ? RTE_BIT64(flag) : 0;
}

// Takes at most `max` mbufs; they are the caller's until sonda_free. `spare` has SPARE bytes for each, for those that are in pieces.
uint16_t sonda_receive(const struct sonda_input *in, struct rte_mbuf **held, struct sonda_frame *frames, uint8_t *spare, uint16_t max)
{
	uint16_t count = in->ring ? rte_ring_dequeue_burst(in->ring, (void **)held, max, NULL)
		: rte_eth_rx_burst(in->port, in->queue, held, max);
	for (uint16_t at = 0; in->ring && at < count; at++)
		rte_prefetch0(held[at]);
	for (uint16_t at = 0; at < count; at++, spare += SPARE) {
		struct rte_mbuf *m = held[at];
		struct sonda_frame *frame = &frames[at];
		frame->wire_len = rte_pktmbuf_pkt_len(m);
		frame->len = rte_pktmbuf_data_len(m);
		frame->data = rte_pktmbuf_mtod(m, const uint8_t *);
		if (unlikely(m->nb_segs > 1)) {
			const void *whole = rte_pktmbuf_read(m, 0, RTE_MIN(frame->wire_len, (uint32_t)SPARE), spare);
			// Null if the pieces are shorter than they say: then the first one is what there is.
			if (whole) {
				frame->data = whole;
				frame->len = RTE_MIN(frame->wire_len, (uint32_t)SPARE);
			}
		}
		frame->at = m->ol_flags & in->stamp_flag ? *RTE_MBUF_DYNFIELD(m, in->stamp_at, uint64_t *) : 0;
	}
	return count;
}

void sonda_free(struct rte_mbuf **held, uint16_t count) { rte_pktmbuf_free_bulk(held, count); }

// For tests: a ring as another program would fill it, with a pool of its own. Without places it is one that is there already.
struct rte_ring *sonda_ring_make(const char *name, uint32_t places, uint32_t mbufs, uint16_t room, struct rte_mempool **of)
{
	char pool_name[RTE_MEMPOOL_NAMESIZE];
	snprintf(pool_name, sizeof pool_name, "%s_mbufs", name);
	*of = rte_pktmbuf_pool_create(pool_name, mbufs, 0, 0, room + RTE_PKTMBUF_HEADROOM, SOCKET_ID_ANY);
	if (!*of)
		return NULL;
	return places ? rte_ring_create(name, places, SOCKET_ID_ANY, 0) : rte_ring_lookup(name);
}

uint32_t sonda_ring_in_use(struct rte_mempool *of) { return rte_mempool_in_use_count(of); }

// Sends a frame, in pieces of `piece` bytes; answers whether there was room for it.
int sonda_ring_send(struct rte_ring *ring, struct rte_mempool *of, const uint8_t *bytes, uint32_t len, uint32_t piece)
{
	struct rte_mbuf *first = NULL;
	for (uint32_t at = 0; at < len; at += piece) {
		uint32_t part = RTE_MIN(piece, len - at);
		struct rte_mbuf *m = rte_pktmbuf_alloc(of);
		char *place = m ? rte_pktmbuf_append(m, part) : NULL;
		if (place)
			memcpy(place, bytes + at, part);
		if (!place || (first && rte_pktmbuf_chain(first, m) < 0)) {
			rte_pktmbuf_free(m);
			rte_pktmbuf_free(first);
			return 0;
		}
		first = first ? first : m;
	}
	if (!first || rte_ring_enqueue(ring, first) < 0) {
		rte_pktmbuf_free(first);
		return 0;
	}
	return 1;
}
