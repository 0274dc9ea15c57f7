//! Who watches for what: each attack of the generator, the modules on its way, and why they speak.

/// The way from flows to an alert about one attack.
pub(super) struct Watch {
    /// Name of the attack in [`benches::ATTACKS`].
    pub(super) attack: &'static str,
    /// The detector and its options.
    pub(super) detector: &'static [&'static str],
    /// The plugin of the probe without which the detector is blind; empty if none.
    pub(super) plugin: &'static str,
    /// From the detector's alerts to IDEA, maybe by way of an aggregator.
    pub(super) reporters: &'static [&'static str],
    pub(super) why: &'static str,
}

pub(super) const WATCHES: &[Watch] = &[
    Watch {
        attack: "port_scan",
        detector: &["vportscan_detector"],
        plugin: "",
        reporters: &["vportscan_aggregator", "vportscan2idea"],
        why: "50 ports of one host got a SYN and nothing else",
    },
    Watch {
        attack: "host_scan",
        detector: &["haddrscan_detector"],
        plugin: "",
        reporters: &["haddrscan_aggregator", "haddrscan2idea"],
        why: "one port of 50 hosts got a SYN and nothing else",
    },
    Watch {
        attack: "ssh_guessing",
        detector: &["brute_force_detector", "-S"],
        plugin: "",
        reporters: &["bruteforce2idea"],
        why: "30 connections to port 22 were as short as a password that is refused",
    },
    Watch {
        attack: "sip_guessing",
        detector: &["sip_bf_detector"],
        plugin: "sip",
        reporters: &["sipbf2idea"],
        why: "50 registrations of a user were refused",
    },
    Watch {
        attack: "toll_fraud",
        detector: &["voip_fraud_detection", "-e", "disabled"],
        plugin: "sip",
        reporters: &["voipfraud2idea"],
        why: "more than 10 prefixes were tried in front of one number",
    },
    Watch {
        attack: "dns_tunnel",
        detector: &["dnstunnel_detection"],
        plugin: "dns",
        reporters: &["dnstunnel2idea"],
        why: "long names of many letters below one domain, each asked for once",
    },
    Watch {
        attack: "web_attack",
        detector: &["waintrusion_detector"],
        plugin: "http",
        reporters: &["waintrusion_detector2idea"],
        why: "a request has the signature of an attack",
    },
    Watch {
        attack: "flood",
        detector: &["ddos_detector"],
        plugin: "",
        reporters: &["ddos_detector2idea"],
        why: "for two minutes a host got 4 times its usual bytes, from 4 times as many networks",
    },
    Watch {
        attack: "amplification",
        detector: &["amplification_detection"],
        plugin: "",
        reporters: &["amplification2idea"],
        why: "300 answers of a name server were more than 10 times as long as what was asked",
    },
    Watch {
        attack: "ssh_logins",
        detector: &["login_bf_detector"],
        plugin: "ssh",
        reporters: &["loginbf2idea"],
        why: "an SSH server refused 20 logins of a host by the lengths of its answers",
    },
    Watch {
        attack: "rdp_logins",
        detector: &["login_bf_detector"],
        plugin: "rdp",
        reporters: &["loginbf2idea"],
        why: "20 Remote Desktop connections of a host ended as a refused login does",
    },
    Watch {
        attack: "smb_logons",
        detector: &["login_bf_detector"],
        plugin: "smb",
        reporters: &["loginbf2idea"],
        why: "a file server refused 20 logons of a host",
    },
    Watch {
        attack: "kerberos_spray",
        detector: &["login_bf_detector"],
        plugin: "kerberos",
        reporters: &["loginbf2idea"],
        why: "a key distribution centre refused 20 passwords of a host",
    },
    Watch {
        attack: "doh_tunnel",
        detector: &["doh_tunnel_detector"],
        plugin: "tls",
        reporters: &["dohtunnel2idea"],
        why: "a host said more to a resolver over HTTPS within five minutes than names are",
    },
];
