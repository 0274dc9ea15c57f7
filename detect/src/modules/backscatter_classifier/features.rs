//! What the models look at in an event of the module backscatter.

/// Protocols that there is a model of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Tcp,
    Icmp,
}

/// An event, as numbers. Names of columns are those of UniRec.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sample {
    pub(super) flow_count: f64,
    pub(super) max_fpm: f64,
    pub(super) subnets: f64,
    pub(super) dst_ips: f64,
    pub(super) dst_ports: f64,
    pub(super) src_ports: f64,
    pub(super) ppf_avg: f64,
    pub(super) ppf_std: f64,
    pub(super) bytes_avg: f64,
    pub(super) bytes_std: f64,
    /// Seconds, at least one.
    pub(super) duration: f64,
}

/// All features: columns of an event, then what is made of them.
pub(super) const NAMES: [&str; 15] = [
    "MAX_FPM",
    "FLOW_COUNT",
    "UNIQUE_DST_24_SUBNETS",
    "UNIQUE_DST_IPS",
    "UNIQUE_DST_PORTS",
    "UNIQUE_SRC_PORTS",
    "PPF_AVG",
    "PPF_STD",
    "BYTES_AVG",
    "BYTES_STD",
    "UNIQUE_DST_24_SUBNETS/FLOW_COUNT",
    "UNIQUE_DST_IPS/FLOW_COUNT",
    "UNIQUE_DST_PORTS/FLOW_COUNT",
    "UNIQUE_SRC_PORTS/FLOW_COUNT",
    "RATE",
];

/// Those of TCP, in the order of the original's models.
const TCP: [&str; 12] = [
    "MAX_FPM",
    "FLOW_COUNT",
    "UNIQUE_DST_24_SUBNETS",
    "UNIQUE_DST_IPS",
    "UNIQUE_DST_PORTS",
    "UNIQUE_SRC_PORTS",
    "PPF_AVG",
    "UNIQUE_DST_24_SUBNETS/FLOW_COUNT",
    "UNIQUE_DST_IPS/FLOW_COUNT",
    "UNIQUE_DST_PORTS/FLOW_COUNT",
    "UNIQUE_SRC_PORTS/FLOW_COUNT",
    "RATE",
];

/// Those of ICMP.
const ICMP: [&str; 9] = [
    "BYTES_AVG",
    "BYTES_STD",
    "MAX_FPM",
    "UNIQUE_DST_24_SUBNETS",
    "PPF_AVG",
    "PPF_STD",
    "UNIQUE_DST_24_SUBNETS/FLOW_COUNT",
    "UNIQUE_DST_IPS/FLOW_COUNT",
    "RATE",
];

impl Kind {
    pub(super) const ALL: [Kind; 2] = [Kind::Tcp, Kind::Icmp];

    pub(super) fn of(protocol: u8) -> Option<Kind> {
        match protocol {
            6 => Some(Kind::Tcp),
            1 => Some(Kind::Icmp),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        ["tcp", "icmp"][self as usize]
    }

    /// What its model looks at.
    pub(super) fn features(self) -> &'static [&'static str] {
        match self {
            Kind::Tcp => &TCP,
            Kind::Icmp => &ICMP,
        }
    }
}

impl Sample {
    /// A feature by its name.
    pub(super) fn value(&self, name: &str) -> Option<f64> {
        let column = match name.split_once('/') {
            Some((column, "FLOW_COUNT")) => return Some(self.value(column)? / self.flow_count.max(1.0)),
            _ => name,
        };
        Some(match column {
            "MAX_FPM" => self.max_fpm,
            "FLOW_COUNT" => self.flow_count,
            "UNIQUE_DST_24_SUBNETS" => self.subnets,
            "UNIQUE_DST_IPS" => self.dst_ips,
            "UNIQUE_DST_PORTS" => self.dst_ports,
            "UNIQUE_SRC_PORTS" => self.src_ports,
            "PPF_AVG" => self.ppf_avg,
            "PPF_STD" => self.ppf_std,
            "BYTES_AVG" => self.bytes_avg,
            "BYTES_STD" => self.bytes_std,
            "RATE" => self.flow_count / self.duration.max(1.0),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_feature_has_a_value() {
        let sample = Sample { flow_count: 40.0, subnets: 10.0, duration: 20.0, ..Sample::default() };
        assert!(NAMES.iter().all(|name| sample.value(name).is_some()));
        assert!(Kind::ALL.iter().flat_map(|kind| kind.features()).all(|name| NAMES.contains(name)));
        assert_eq!(sample.value("UNIQUE_DST_24_SUBNETS/FLOW_COUNT"), Some(0.25));
        assert_eq!((sample.value("RATE"), sample.value("SPEED")), (Some(2.0), None));
        assert_eq!((Kind::of(6), Kind::of(17)), (Some(Kind::Tcp), None));
    }
}
