//! What the counters of a page are, each declared here once: its name on the page, its name as a metric, and what it says.
//! The probe writes them in this order; `top`, the metrics and their documentation read them by name.

/// How a number behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows while the process lives.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// A counter with a name of its own.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// On the page.
    pub name: &'static str,
    /// For Prometheus: with unit, counters with `_total`.
    pub metric: &'static str,
    pub kind: Kind,
    /// A sentence for people, without its full stop.
    pub help: &'static str,
}

/// Counters that differ by what a registry of the writer names: on the page `PREFIX.WORD`, or `PREFIX.WORD.WORD`; as a metric one name with
/// a label for each word. All of them only grow.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    pub prefix: &'static str,
    pub metric: &'static str,
    /// One for each word behind the prefix.
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

impl Family {
    /// The words behind the prefix, if the column is of this family. The last word may hold dots.
    pub fn words<'n>(&self, name: &'n str) -> Option<Vec<&'n str>> {
        let rest = name.strip_prefix(self.prefix)?.strip_prefix('.')?;
        let words: Vec<&str> = rest.splitn(self.labels.len(), '.').collect();
        (words.len() == self.labels.len()).then_some(words)
    }
}

/// Books of a lane or an output that must balance whenever a cell is read: what came = what became of it.
#[derive(Clone, Copy, Debug)]
pub struct Identity {
    /// A word for labels.
    pub ledger: &'static str,
    pub came: &'static [&'static str],
    /// Columns, and prefixes of families, that add up to what came.
    pub became: &'static [&'static str],
}

const fn counter(name: &'static str, metric: &'static str, help: &'static str) -> Column {
    Column { name, metric, kind: Kind::Counter, help }
}

const fn gauge(name: &'static str, metric: &'static str, help: &'static str) -> Column {
    Column { name, metric, kind: Kind::Gauge, help }
}

/// The column by which a lane promises to publish ten times a second, so that one that does not is stuck.
pub const BEATS: &str = "beats";

/// The counters of a lane before those of [`LANE_FAMILIES`].
pub const LANE: [Column; 23] = [
    gauge("ended", "sonda_lane_ended", "1 when the lane has read all of its input, 0 while it works"),
    gauge(
        BEATS,
        "sonda_lane_beats",
        "1 while the lane publishes ten times a second whatever comes: it reads an interface, waits for no output and is not ending",
    ),
    counter("captured.packets", "sonda_captured_packets_total", "Packets that the input handed to the lane"),
    counter("captured.bytes", "sonda_captured_bytes_total", "Captured bytes of these packets"),
    counter(
        "captured.offered",
        "sonda_offered_packets_total",
        "Packets that the kernel or the card received for the lane, lost ones included",
    ),
    counter(
        "captured.offloaded",
        "sonda_offloaded_packets_total",
        "Packets that were counted into their flow by the XDP program and went no further",
    ),
    counter("captured.passed", "sonda_passed_packets_total", "Packets that a rule left to the stack of this machine"),
    counter("packets.taken", "sonda_taken_packets_total", "Packets that the lane took from its input"),
    counter("packets.decoded", "sonda_decoded_packets_total", "Packets that were decoded down to their flow"),
    counter("bytes.decoded", "sonda_decoded_bytes_total", "Bytes on the wire of the decoded packets"),
    gauge("flows.live", "sonda_live_flows", "Flows in the flow cache"),
    counter("flows.opened", "sonda_flows_opened_total", "Flows that began with a packet"),
    counter("flows.continued", "sonda_flows_continued_total", "Flows that go on behind a record that was cut"),
    counter("flows.packets", "sonda_flow_packets_total", "Packets that were counted into flows"),
    counter("flows.bytes", "sonda_flow_bytes_total", "IP bytes that were counted into flows"),
    counter("exported.packets", "sonda_ended_flow_packets_total", "Packets in flows that have ended"),
    counter("exported.bytes", "sonda_ended_flow_bytes_total", "IP bytes in flows that have ended"),
    gauge("offload.flows", "sonda_offloaded_flows", "Flows whose packets the XDP program counts now"),
    counter("offload.lent", "sonda_offload_flows_total", "Flows that were given to the XDP program to count"),
    counter(
        "offload.packets",
        "sonda_offload_credited_packets_total",
        "Packets that came back from the XDP program to flows",
    ),
    counter(
        "offload.bytes",
        "sonda_offload_credited_bytes_total",
        "IP bytes that came back from the XDP program to flows",
    ),
    counter(
        "inside.packets",
        "sonda_inside_packets_total",
        "Packets inside of tunnels that were counted into a flow besides their outside (--tunnels both)",
    ),
    counter(
        "inside.dropped",
        "sonda_inside_dropped_packets_total",
        "Packets inside of tunnels that could not be counted besides their outside: truncated, malformed, copies",
    ),
];

/// Flows by flowEndReason (RFC 5102 section 5.11.3).
pub const ENDED: Family = Family {
    prefix: "flows.ended",
    metric: "sonda_flows_ended_total",
    labels: &["reason"],
    help: "Flow records by flowEndReason",
};
/// Losses before a lane.
pub const CAPTURE_DROPPED: Family = Family {
    prefix: "capture.dropped",
    metric: "sonda_capture_dropped_packets_total",
    labels: &["reason"],
    help: "Packets that did not reach the lane, by reason (docs/drops.md)",
};
/// Losses before the flow cache.
pub const PACKETS_DROPPED: Family = Family {
    prefix: "packets.dropped",
    metric: "sonda_dropped_packets_total",
    labels: &["reason"],
    help: "Packets that did not reach the flow cache, by reason (docs/drops.md)",
};
/// Records with fields of a process plugin.
pub const RECORDS: Family = Family {
    prefix: "records",
    metric: "sonda_plugin_records_total",
    labels: &["plugin"],
    help: "Flow records that hold fields of a process plugin",
};
/// Services that flows asked for.
pub const SERVICES: Family = Family {
    prefix: "services",
    metric: "sonda_ended_flow_service_bytes_total",
    labels: &["protocol", "port"],
    help: "IP bytes in flows that have ended, by destination port: those of well-known services by themselves, the others together",
};
/// What plugins count beside their records.
pub const NOTES: Family = Family {
    prefix: "notes",
    metric: "sonda_plugin_flows_total",
    labels: &["plugin", "outcome"],
    help: "Flows by what became of a process plugin's question about them (osquery)",
};
/// What a lane did not give to an output; the number of the output becomes its name.
pub const REFUSED: Family = Family {
    prefix: "refused",
    metric: "sonda_refused_records_total",
    labels: &["output", "reason"],
    help: "Records that the lane could not give to an output, by reason (docs/drops.md)",
};
/// All families of a lane, in the order of the page.
pub const LANE_FAMILIES: [Family; 7] = [ENDED, CAPTURE_DROPPED, PACKETS_DROPPED, RECORDS, SERVICES, NOTES, REFUSED];

/// The counters of an output before those of [`OUTPUT_FAMILIES`].
pub const OUTPUT: [Column; 2] = [
    counter("taken", "sonda_output_records_total", "Records that came to the output"),
    counter("sent", "sonda_output_sent_records_total", "Records that the output sent or wrote"),
];

/// Losses of an output.
pub const OUTPUT_DROPPED: Family = Family {
    prefix: "dropped",
    metric: "sonda_output_dropped_records_total",
    labels: &["reason"],
    help: "Records that did not leave through the output, by reason (docs/drops.md)",
};
/// What a rule did with the flows that came to it.
pub const RULE_FLOWS: Family = Family {
    prefix: "rule.flows",
    metric: "sonda_rule_flows_total",
    labels: &["fate"],
    help: "Flows that came to a rule: taken, refused by its filter, of an address family that it has no fields of",
};
/// Aggregates of a rule.
pub const RULE_ENDED: Family = Family {
    prefix: "rule.ended",
    metric: "sonda_rule_aggregates_total",
    labels: &["end"],
    help: "Aggregates of a rule that ended, by what ended them; evicted ones made room for others",
};
pub const OUTPUT_FAMILIES: [Family; 3] = [OUTPUT_DROPPED, RULE_FLOWS, RULE_ENDED];

/// The books of a lane; a cell is whole, so they balance at any time (RELIABILITY I4, I8).
pub const LANE_IDENTITIES: [Identity; 2] = [
    Identity { ledger: "packets", came: &["packets.taken"], became: &["packets.decoded", "packets.dropped"] },
    Identity { ledger: "flows", came: &["flows.opened", "flows.continued"], became: &["flows.live", "flows.ended"] },
];

/// The books of an output. What is between is in hand; at the end there is nothing.
pub const OUTPUT_IDENTITY: Identity = Identity { ledger: "records", came: &["taken"], became: &["sent", "dropped"] };

/// The sum of columns, and of all columns of families, that `names` name.
pub fn sum<'c>(columns: impl Iterator<Item = (&'c str, u64)>, names: &[&str]) -> u64 {
    let is_named = |column: &str| {
        names.iter().any(|name| column.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
    };
    columns.filter(|(column, _)| is_named(column)).fold(0, |sum, (_, n)| sum.wrapping_add(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_distinct_and_well_formed() {
        let columns = LANE.iter().chain(&OUTPUT);
        let metrics: Vec<(&str, &str, Kind)> = columns.clone().map(|c| (c.name, c.metric, c.kind)).collect();
        let families = LANE_FAMILIES.iter().chain(&OUTPUT_FAMILIES);
        let families = families.map(|f| (f.prefix, f.metric, Kind::Counter));
        let all: Vec<(&str, &str, Kind)> = metrics.into_iter().chain(families).collect();
        for (at, (name, metric, kind)) in all.iter().enumerate() {
            assert!(
                metric.starts_with("sonda_") && metric.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{metric}"
            );
            assert_eq!(metric.ends_with("_total"), *kind == Kind::Counter, "{metric}");
            assert!(
                all.iter().skip(at + 1).all(|(other, taken, _)| other != name && taken != metric),
                "{name} {metric}"
            );
        }
        assert!(columns.map(|c| c.help).all(|help| !help.is_empty() && !help.ends_with('.')));
    }

    #[test]
    fn words_of_families() {
        assert_eq!(ENDED.words("flows.ended.idle"), Some(vec!["idle"]));
        assert_eq!(REFUSED.words("refused.0.queue_full"), Some(vec!["0", "queue_full"]));
        assert_eq!(REFUSED.words("refused.0"), None);
        assert_eq!(ENDED.words("flows.endedx"), None);
    }

    #[test]
    fn sums_are_of_columns_and_families() {
        let columns =
            [("packets.decoded", 3), ("packets.dropped.a", 1), ("packets.dropped.b", 2), ("packets.droppedx", 9)];
        assert_eq!(sum(columns.into_iter(), &["packets.decoded", "packets.dropped"]), 6);
    }
}
