//! Who watches for what: each attack of the generator, the modules on its way, and why they speak.

/// The way from flows to an alert about one attack.
pub(super) struct Watch {
    /// Name of the attack in [`benches::ATTACKS`].
    pub(super) attack: &'static str,
    /// The detector and its options; `{}` is the site's folder.
    pub(super) detector: &'static [&'static str],
    /// The plugin of the probe whose records the detector reads.
    pub(super) plugin: &'static str,
    /// From the detector's alerts to IDEA, maybe by way of an aggregator.
    pub(super) reporters: &'static [&'static str],
    pub(super) why: &'static str,
    /// What the detector reads besides, by name and content; `{}` is the site's folder.
    pub(super) files: &'static [(&'static str, &'static str)],
}

/// The pool that is mined in, as a list of known ones has it, and settings that connect to nobody.
const POOLS: &[(&str, &str)] = &[
    ("pools", "198.51.100.33:3333\n"),
    (
        "miner.xml",
        r#"<configuration><struct name="main struct">
<element name="blacklist_file">{}/pools</element>
<element name="stratum_check">false</element>
<element name="conn_timeout">10</element>
<element name="read_timeout">10</element>
<element name="timeout_active">3600</element>
<element name="timeout_inactive">60</element>
<element name="check_period">60</element>
<element name="score_treshold">9</element>
<element name="suspect_db_size">1048576</element>
<element name="suspect_db_stash_size">4</element>
<element name="blacklist_db_size">131072</element>
<element name="blacklist_db_stash_size">4</element>
<element name="whitelist_db_size">1048576</element>
<element name="whitelist_db_stash_size">4</element>
</struct></configuration>
"#,
    ),
];

pub(super) const WATCHES: &[Watch] = &[
    Watch {
        attack: "port_scan",
        detector: &["vportscan_detector"],
        plugin: "basic",
        reporters: &["vportscan_aggregator", "vportscan2idea"],
        why: "50 ports of one host got a SYN and nothing else",
        files: &[],
    },
    Watch {
        attack: "host_scan",
        detector: &["haddrscan_detector"],
        plugin: "basic",
        reporters: &["haddrscan_aggregator", "haddrscan2idea"],
        why: "one port of 50 hosts got a SYN and nothing else",
        files: &[],
    },
    Watch {
        attack: "ssh_guessing",
        detector: &["brute_force_detector", "-S"],
        plugin: "basic",
        reporters: &["bruteforce2idea"],
        why: "30 connections to port 22 were as short as a password that is refused",
        files: &[],
    },
    Watch {
        attack: "sip_guessing",
        detector: &["sip_bf_detector"],
        plugin: "sip",
        reporters: &["sipbf2idea"],
        why: "50 registrations of a user were refused",
        files: &[],
    },
    Watch {
        attack: "toll_fraud",
        detector: &["voip_fraud_detection", "-e", "disabled"],
        plugin: "sip",
        reporters: &["voipfraud2idea"],
        why: "more than 10 prefixes were tried in front of one number",
        files: &[],
    },
    Watch {
        attack: "dns_tunnel",
        detector: &["dnstunnel_detection"],
        plugin: "dns",
        reporters: &["dnstunnel2idea"],
        why: "long names of many letters below one domain, each asked for once",
        files: &[],
    },
    Watch {
        attack: "web_attack",
        detector: &["waintrusion_detector"],
        plugin: "http",
        reporters: &["waintrusion_detector2idea"],
        why: "a request has the signature of an attack",
        files: &[],
    },
    Watch {
        attack: "flood",
        detector: &["ddos_detector"],
        plugin: "basic",
        reporters: &["ddos_detector2idea"],
        why: "for two minutes a host got 4 times its usual bytes, from 4 times as many networks",
        files: &[],
    },
    Watch {
        attack: "amplification",
        detector: &["amplification_detection"],
        plugin: "basic",
        reporters: &["amplification2idea"],
        why: "300 answers of a name server were more than 10 times as long as what was asked",
        files: &[],
    },
    Watch {
        attack: "mining",
        detector: &["miner_detector", "-u", "{}/miner.xml"],
        plugin: "basic",
        reporters: &["minerdetector2idea"],
        why: "a host speaks with a server that a list of mining pools has",
        files: POOLS,
    },
    Watch {
        attack: "generated_domains",
        detector: &["dga_detector"],
        plugin: "dns",
        reporters: &["dgadetection2idea"],
        why: "12 domains that a host asked for have pairs of letters that names hardly have",
        files: &[],
    },
    Watch {
        attack: "beacon",
        detector: &["beacon_detector"],
        plugin: "basic",
        reporters: &["beacon2idea"],
        why: "16 contacts with one port of a server, as regular as no person is",
        files: &[],
    },
    Watch {
        attack: "exfiltration",
        // Windows of a minute: the capture has no day to learn from.
        detector: &["exfiltration_detector", "-n", "198.51.100.0/24", "-w", "60", "-l", "5", "-b", "2000000"],
        plugin: "basic",
        reporters: &["exfiltration2idea"],
        why: "a host sent 10 times what it usually sends in a minute, and hardly got anything",
        files: &[],
    },
    Watch {
        attack: "new_service",
        detector: &["new_service_detector", "-n", "198.51.100.0/24", "-l", "600"],
        plugin: "basic",
        reporters: &["new_service2idea"],
        why: "after ten minutes of learning a port answered that never did",
        files: &[],
    },
    Watch {
        attack: "reflection",
        detector: &["reflection_detector"],
        plugin: "basic",
        reporters: &["reflection2idea"],
        why: "a megabyte in a minute from port 1900 of more than 10 hosts that were not asked",
        files: &[],
    },
    Watch {
        attack: "ssh_logins",
        detector: &["login_bf_detector"],
        plugin: "ssh",
        reporters: &["loginbf2idea"],
        why: "an SSH server refused 20 logins of a host by the lengths of its answers",
        files: &[],
    },
    Watch {
        attack: "rdp_logins",
        detector: &["login_bf_detector"],
        plugin: "rdp",
        reporters: &["loginbf2idea"],
        why: "20 Remote Desktop connections of a host ended as a refused login does",
        files: &[],
    },
    Watch {
        attack: "smb_logons",
        detector: &["login_bf_detector"],
        plugin: "smb",
        reporters: &["loginbf2idea"],
        why: "a file server refused 20 logons of a host",
        files: &[],
    },
    Watch {
        attack: "kerberos_spray",
        detector: &["login_bf_detector"],
        plugin: "kerberos",
        reporters: &["loginbf2idea"],
        why: "a key distribution centre refused 20 passwords of a host",
        files: &[],
    },
    Watch {
        attack: "doh_tunnel",
        detector: &["doh_tunnel_detector"],
        plugin: "tls",
        reporters: &["dohtunnel2idea"],
        why: "a host said more to a resolver over HTTPS within five minutes than names are",
        files: &[],
    },
];
