//! Seeds that are written down: small languages, and step lists for the models.
use super::Seeds;
use benches::Rng;
use trap::container::Builder;
use trap::{Format, hello};

/// What a module tells of its interfaces.
pub(super) const ANSWER: &str = r#"{"in_cnt": 1, "out_cnt": 1, "in": [{"ifc_state": 1, "buffers": 5, "ifc_id": "x", "ifc_type": 117, "messages": 7, "delay_total": 0, "delay_last": 3}], "out": [{"client_stats_arr": [{"id": "extended_input_interface_info", "sent_containers": "0", "sent_messages": "0", "skipped_messages": "0", "skipped_percentage": 0.0}, {"id": 5, "sent_containers": "4", "sent_messages": "3", "skipped_messages": "0", "skipped_percentage": 0.5}], "num_clients": 1, "buffers": 0, "ifc_id": "y", "sent-messages": 7, "ifc_type": 117, "autoflushes": 0, "dropped-messages": 0}]}"#;

const SPECIFIERS: &[&str] = &[
    "u:flows,t:127.0.0.1:8000,f:/data/%Y/flows.trapcap:w:time=5:size=10,b:",
    "t:7600:max_clients=9:buffer=off:timeout=HALF_WAIT:autoflush=500000",
    "u:x:buffer_count=3:buffer_size=1024",
    "T:host:7:key.pem:cert.pem:ca.pem",
    "f:~/out:a",
    "f:$HOME/\"two words\"'three'`no`\\ four",
    "g:",
    "s:service",
];
const TIMES: &[&str] = &[
    "2020-09-13T12:26:40.000001Z",
    "2020-09-13T12:26:40",
    "1969-12-31T23:59:59.999Z",
    "2038-01-19T03:14:08.5",
    "0000-00-00T00:00:00",
];
const TEMPLATES: &[&str] = &["uint8 A", "uint8 B,string C", "time T,ipaddr SRC_IP,uint16* PORTS", ""];
/// Terms of every kind, for the template of the target.
const FILTERS: &[&str] = &[
    "SRC_PORT in [53, 123] && !(A < 100) or host == 10.0.0.0/8",
    "T >= 2020-1-2T03:04:05.678 and I != \"2001:db8::/32\"",
    "S =~ '^(a|[[:alpha:]\\]{2,3})$' || PROTOCOL == \"ipv6-icmp\"",
    "J > -1.5 AND K = 'x' or NOT port <> 7; # true",
    "I in [::1, fe80::1/10] and C in [-3, 010] and H == [1.5]",
];
/// Outputs of unirecfilter: files and templates.
const ENTRIES: &[&str] =
    &["# two\nuint8 A=7,string B=\"x, y;\":A == 1;\n:;", "uint16* L=1 2 3,time T=2020-01-01T00:00:00,ipaddr I=::1"];
/// Configurations of biflow_aggregator, whose section is `a`.
const CONFIGS: &[&str] = &[
    "<aggregator><id name='a'><field><name>A</name><type>SUM</type><reverse_name>B</reverse_name></field></id></aggregator>",
    "<?xml version='1.0'?><aggregator><id name='b'/><id name='a'><!-- x --><field><name>S</name><type>SORTED_MERGE</type><sort_key>K</sort_key><sort_type>ASCENDING</sort_type><size>9</size><delimiter>&#59;</delimiter></field></id></aggregator>",
];
const STRINGS: &[&[u8]] = &[b"plain", b"\xff\x00\xc3\x28\"\\\n", "\u{e9}\u{1f600}".as_bytes()];
/// What the parsers of modules read.
const MODULE_INPUTS: &[(&str, &[&[u8]])] = &[
    (
        "anonymizer_text",
        &[
            b"SIP/2.0/UDP 10.0.0.1:5060;rport",
            b"sip:[2001:db8::1]:5060",
            b"fe80::1%eth0",
            b"1:2:3:4:5:6:7:8",
            b"999.1.1.1",
        ],
    ),
    (
        "rule",
        &[
            b"SRC_IP/24/64\nDST_PORT:service\ntls.sni\n\nflows\nbytes\nmax(TCP_FLAGS)",
            b"sourceIPv4Address/8\nsourceIPv6Address/9\niana:protocolIdentifier\n\noctetDeltaCount@reverse\nfirst(DNS_NAME)",
            b"SRC_PORT:class\nDST_PORT\n\nsum(PACKETS)\nlast(http.host)\nor(TCP_FLAGS_REV)\nmin(TIME_FIRST)",
        ],
    ),
    (
        "osquery_answer",
        &[
            b"[\n\n]\n",
            br#"[{"local_address":"10.0.0.1","local_port":"40000","program":"curl","protocol":"6","remote_address":"10.0.0.2","remote_port":"443","user":"root"},{"local_address":"::ffff:10.0.0.1","local_port":"5","program":"\u00e9\ud800","protocol":"17","remote_address":"fe80::1","remote_port":"53","fd":-1}]"#,
            br#"[{"arch":"x86_64","build":"","hostname":"box","kernel":"6.1.0-18-amd64","major":"12","minor":"5","name":"Debian GNU/Linux","platform":"debian","platform_like":"debian"}]"#,
            br#"[{"name":[[{"x":null}]]},"#,
        ],
    ),
    // Two blocks with their checksums; the second one cut.
    (
        "spool_segment",
        &[
            b"SONDAsp1\0\0\0\0\0\0\0\x07\0\0\0\x05\0\0\0\0\xb0\xfb\xa6\x14ipfix\0\0\0\x03\0\0\0\x02\xa1\x8a-\xf0two",
            b"SONDAsp1\0\0\0\0\0\0\0\x07\0\0\0\x05\0\0\0\0\xb0\xfb\xa6\x14ipfix\0\0\0\x03\0\0\0\x02\xa1\x8a-\xf0t",
        ],
    ),
    // Two blocks of liblz4, the second one cut.
    (
        "ipfix_lz4",
        &[
            b"LZ4c\0\0#(\0#\0\x14\xafipfix and \x0a\0\x01Pflows\0(\0\x14_flows#\0\x06\xa0more flows",
            b"LZ4c\0\0#(\0#\0\x14\xafipfix and \x0a\0\x01Pflows\0(\0\x14_flows#\0\x06\xa0more fl",
        ],
    ),
    ("mux_message", &[b"\x02\0\0\0\x02uint16 A\0", b"\x01\0\x01\0\x02\x09\0\0\0\x02\0hi!", b"\xff\xff\0\0\0"]),
    (
        "alert_store",
        &[
            br#"{"ID": "x", "DetectTime": "2026-11-22T01:02:03.5Z", "Category": ["A.B"], "Node": [{"Name": "n"}], "Source": [{"IP4": ["10.0.0.0/8", "1.2.3.4-1.2.3.9"]}], "Target": {"IP6": "::1"}}"#,
            b"2001:db8::1..2001:db8::2",
            b"192.0.2.0/24",
            b"2026-11-22T14:00",
            b"2026-11-22T14:00:00+02:00",
            b"30m",
        ],
    ),
    (
        "nfdump_file",
        &[
            b"\0\x01\0\0\0\x0c\0\0\0\x03\0\0\0\x0b\0\x0c\0\0\0\0\0\0\0\0\0",
            b"\x01\x01\0\0\0\x13\0\0\0\x03\0\0\0\x1d\x0b\0\x0c\0\0\0\0\0\0\0\0\0\x11\0\0",
            b"\x03\x01\0\0\0\x0d\0\0\0\x03\0\0\0\xc0\x0b\0\x0c\0\0\0\0\0\0\0\0\0",
        ],
    ),
    (
        "nfdump_filter",
        &[
            b"in src mac 0:1:2:3:4:5 or mpls label3 > 0x10 and not mpls eos 4",
            b"src as in [1 2] and (prev as 7 or next ip 10.0.0.1) or port in pblock",
            b"asa event denied nosyn or xnet ::/3 and fwdstat drop and tun proto gre",
            b"proto tcp and (src net 192.0.2.0/24 or not dst port in [80 443])",
            b"bytes > 10k and flags SA # comment",
            b"src and dst ip 2001:db8::1",
        ],
    ),
    (
        "prefix_config",
        &[br#"[{"id": 1, "ip_prefix": "192.0.2.0/24"}, {"id": 2, "ip_prefix": "2001:db8::/32", "x": []}]"#, b"[]"],
    ),
];
/// Step lists differ from any other bytes only in what they do, so a few random ones are as good as any.
const MODELS: &[&str] = &[
    "ipfix_encode",
    "record_json",
    "fragments",
    "flow_table",
    "flow_cache",
    "flow_timeouts",
    "flow_offload",
    "tcp_quality",
];

/// Configurations and small languages of modules.
const MODULES: &[(&str, &str)] = &[
    (
        "new_service_state",
        "sonda new_service_detector 1\nlearning-from 1700000000\n192.0.2.80 443 6\n2001:db8::53 53 17\n192.0.2.80 443 6\n",
    ),
    ("new_service_state", "sonda new_service_detector 1\nlearning-from x\n"),
    ("networks", r##"147.32.0.0/15, 10.0.0.1 2001:db8::/32"##),
    ("networks", "# all\n0.0.0.0/0"),
    ("networks", r##"1.2.3.4/33"##),
    (
        "backscatter_model",
        r##"{"format": "backscatter-trees-1", "tcp": {"features": ["RATE"], "mean": [2.0], "scale": [4.0], "init": -1.0, "rate": 0.5, "trees": [{"feature": [0, -2, -2], "threshold": [1.0, -2, -2], "left": [1, -1, -1], "right": [2, -1, -1], "value": [0, -1.5, 2.0]}]}}"##,
    ),
    (
        "backscatter_training",
        "PROTOCOL,POSIX_START,POSIX_END,FLOW_COUNT,MAX_FPM,UNIQUE_DST_24_SUBNETS,UNIQUE_DST_IPS,UNIQUE_DST_PORTS,UNIQUE_SRC_PORTS,PPF_AVG,PPF_STD,BYTES_AVG,BYTES_STD,LABEL\n6,100,160,50,9,1,2,3,4,1.5,0.5,40,0,1\n",
    ),
    (
        "blacklist_addresses",
        "192.0.2.0/24,8\n198.51.100.5,9;1:80,443;4:25\n203.0.113.9,999,one-id,two-id\n0.0.0.0/1,1\n192.0.2.0/24,1;1:80\n",
    ),
    ("blacklist_addresses", "2001:0db8::/32,16\n2001:db8:0:8000::/49,1\n::/0,2;2:1\n::1,x\n10.0.0.0/33,1\n"),
    (
        "blacklist_catalog",
        "<configuration><struct name=\"general\"><element name=\"download_interval\">10</element></struct><struct name=\"blacklist_array\"><array type=\"IP\"><struct><element name=\"id\">64</element></struct></array></struct></configuration>",
    ),
    ("blacklist_catalog", "<c><struct name=\"blacklist_array\"><array type=\"URL/DNS\"><struct/></array></struct></c>"),
    ("blacklist_names", "bad.example.com\\32\nevil.example.org/malware/a.exe\\9\n"),
    ("blacklist_names", "a\\b\\1\n\\1\nx\\-1\nx\n"),
    (
        "blacklist_fingerprints",
        "# ja3,reason\nb386946a5a44d1ddcc843bc75336dfce,2017-07-14 18:08:15,\"a, b\"\n.evil.example\n*.x,y\n",
    ),
    ("doh_resolvers", "9.9.9.9\n2001:db8::1\n.dns.example\n# x\n"),
    ("bl_downloader_lists", "# x\n10.0.0.0/8 ; SBL1\n2001:db8::/32\nhttps://www.b\u{fc}cher.example/x/\n1,a.example\n"),
    (
        "bl_downloader_lists",
        "[{\"ip\": \"10.0.0.1\", \"prefix\": 8, \"ports\": [80, \"443\"]}, {\"ip\": \"::1\", \"ports\": \"1,2\"}]",
    ),
    (
        "bloom_config",
        r##"[{"id":1,"bloom_fp_error_rate":0.01,"bloom_entries":20000,"api_url":"http://localhost:8081/1"}]"##,
    ),
    ("bloom_config", r##"[]"##),
    (
        "brute_force_config",
        "# lower\nGENERAL_CHECK_FOR_REPORT_TIMEOUT = 30\nSSH_LIST_SIZE=50\nRDP_BRUTEFORCE_OUT_MAX_BYTES = 70000\nnonsense\nX=1\n",
    ),
    (
        "brute_force_config",
        "GENERAL_ATTACK_MIN_RATIO_TO_KEEP_TRACKING_HOST = 20.5\nGENERAL_IGNORE_FIRST_SEND=1\nTELNET_BRUTEFORCE_INC_MIN_PACKETS=9\n",
    ),
    (
        "brute_force_whitelist",
        "# comment\nsrc 203.0.113.6/32\ndst 192.0.2.40/32/3389 # why\n203.0.113.10/31/20-23,80\n",
    ),
    ("brute_force_whitelist", "2001:db8::/32\n0.0.0.0/0/9\n10.0.0.0/33\n10.0.0.0/8/5-,7\ndst\n"),
    (
        "configurator",
        "<configuration><struct name=\"main struct\"><element name=\"blacklist_file\"> a.blist </element></struct></configuration>",
    ),
    ("configurator", "<configuration><struct><element/></struct></configuration>"),
    ("debug_edit", "7\n+3\n1.5\n10.0.0.1\nnow-5\ntext\n00ff\n00:01:02:03:04:05\n1 2\nx"),
    ("debug_edit", "!+1\n!-2\n!+0.5\n!+1.1.1.1\n!now\n!+a\n\n\n\n\n!\n+999\n-1"),
    ("device_rules", "# labels\n1:HTTP\n@10.0.0.0/8:INSIDE\n"),
    ("device_rules", "10.0.0.1 a,b\n192.0.2.0/24 c\n"),
    (
        "device_svm",
        "svm_type c_svc\nkernel_type rbf\ngamma 0.5\nrho 0\nlabel 1 -1\nnr_sv 1 1\nSV\n1 1:1 3:0.5\n-1 2:1\n",
    ),
    (
        "device_svm",
        "svm_type c_svc\nkernel_type polynomial\nrho 0 0 0\nlabel 5 6 7\nnr_sv 1 1 0\nSV\n1 1 1:1\n-1 1 2:1\n",
    ),
    (
        "hoststats_config",
        "# comment\nrules-generic = 1\nrules-ssh=true\ntable-size = 70000\ntimeout-active = 60s\nsyn-scan-threshold = 2.5\nno line\n",
    ),
    (
        "waintrusion_signatures",
        "(?i)^(?!(?:get|post)$) ** HTTP_METHOD\n[^]a\\<]{2,}(?=x)\\1 ** HTTP_URL,HTTP_URL_ARGS\n",
    ),
    ("dnstunnel_whitelist", "example.com\n192.0.2.1; 2001:db8::1\nx.org\n"),
    ("dnstunnel_packet", "1672654500.25;10.0.0.1,192.0.2.53;;0;80;www.example.com\n"),
    (
        "dnstunnel_packet",
        "1672654500.5;;2001:db8::1,2001:db8::2;1;512;a.example.com;192.0.2.1;text;c.name;mx.name;ns.name",
    ),
    (
        "email_config",
        "unirec=string A\nserver=x\n\nFrom: a@b.c\nTo: \"$A, x\" <d@e.f>,g@h.i\nSubject: $A\n at $_DATETIME_\n\n$A.\n",
    ),
    (
        "email_config",
        "unirec=uint8 B # c\nserver=x\nport=1\nstarttls=1\nlogin=u:p\nca=/y\n\n\nFrom: N <a@b.c>\nBcc: d@e.f (x)\nContent-Type: text/html\n\n.\n$B\u{e9}",
    ),
    ("http_body", "3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
    ("http_body", "abcdef"),
    ("http_client", r##"https://user.example:8081/a/b?c#d"##),
    ("http_client", r##"http://[::1]:80"##),
    ("http_client", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 307 Moved\r\nLocation: /x\r\n\r\n"),
    (
        "json_maps",
        r##"{"match":[{"src":"A","dest":"N","mapping":{"6":"tcp"}}],"regex":[{"src":"B","dest":"A","mapping":{"No.e":[1]}}],"timify":["A"]}"##,
    ),
    ("json_maps", r##"{"timify":["Z"]}"##),
    ("link_config", "#number,name\n1,nix2,LINK_BIT_FIELD,99a0A9\n-2,geant,LINK_BIT_FIELD,008000\n"),
    ("link_config", "\n 5,,x"),
    ("miner_answer", "{\"id\": 1, \"result\": {\"job\": {\"blob\": \"00\", \"job_id\": \"1\", \"target\": \"ff\"}}}\n"),
    ("miner_answer", "{\"jsonrpc\": \"2.0\", \"result\": true}, mining.notify"),
    ("miner_pools", "198.51.100.33:3333\n198.51.100.34\n[2001:db8::1]:5\n"),
    ("miner_pools", "::1\n[::1]\nx:1\n1.2.3.4:65536\n"),
    ("pyjson", r##"{"a":[1,-0.0,1e400,NaN],"b":"\ud83d\ude00\ud83d","a":null}"##),
    ("pyjson", r##"[[[[""##),
    ("pyjson", "\"\\u00e9\u{e9}\""),
    (
        "report_condition",
        "Source.IP4 in ['192.0.2.0/24', 10.0.0.1-10.0.0.9] and not (ConnCount * 2 > 5 || exists Category)",
    ),
    (
        "report_condition",
        "DetectTime + 1D00:00:00 > 2023-01-02T10:15:00.5Z xor strlen(Category[#]) == 4 or ID like '^a(?=b)'",
    ),
    (
        "report_config",
        "namespace: n\ncustom_actions: [{id: m, mark: {path: _T.Seen, value: 1}}]\naddressgroups: [{id: g, list: [192.0.2.0/24]}]\nrules:\n - {id: 1, condition: Source.IP4 in g, actions: [m], elseactions: [drop]}\n - {id: 2, condition: Null}\n",
    ),
    ("report_config", "rules: [{id: &a 1, condition: *a}]"),
    (
        "report_validate",
        r##"{"Format": "IDEA0", "ID": "x", "DetectTime": "2023-01-02T10:15:00Z", "Category": ["A.B"], "Source": [{"IP4": ["192.0.2.1-192.0.2.9"], "Port": ["1-2"]}], "Node": [{"AggrWin": "1D00:05:00"}]}"##,
    ),
    ("report_validate", r##"{"Confidence": 2, "Target": [7]}"##),
    ("resolver_dns", "\u{0}0"),
    ("resolver_dns", "\u{3}www\u{10}\u{0}\u{0}\u{1}\u{0}\u{1}\u{0}\u{0}\u{0}\u{7}\u{0}\u{4}abcd"),
    ("scalar_rule", "in_1 : count_uniq ( src_ip ): DST_IP in [fe80\\:\\:/8] and BYTES > 5"),
    ("scalar_rule", "A:SUM(B):"),
    ("sni_domains", "Tag,Merged Domains\nweb,\"a.example, *.b.example\"\n\"x \"\"y\"\"\",*.example\n"),
    ("sni_domains", "Tag,Merged Domains,{}\n,,\n"),
];

pub(crate) fn add(seeds: &mut Seeds) {
    for (target, text) in MODULES {
        seeds.add(target, text, text.as_bytes());
    }
    for text in SPECIFIERS {
        seeds.add("trap_spec", text, text.as_bytes());
        seeds.add("trap_expand", text, text.as_bytes());
    }
    let page = record::page::fuzzing::sample();
    seeds.add("page", "whole", &page);
    seeds.add("page", "cut", &page[..page.len() / 2]);
    seeds.add("page", "laid over", &[3, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
    for text in TIMES {
        seeds.add("unirec_time", text, text.as_bytes());
    }
    for (target, texts) in [("filter", FILTERS), ("filter_entries", ENTRIES), ("biflow_config", CONFIGS)] {
        texts.iter().for_each(|text| seeds.add(target, text, text.as_bytes()));
    }
    for text in STRINGS {
        seeds.add("record_json", text.escape_ascii(), text);
    }
    for one in TEMPLATES {
        for other in TEMPLATES {
            let both = format!("{one}\n{other}");
            seeds.add("trap_negotiate", &both, both.as_bytes());
        }
        seeds.add("unirec_spec", one, one.as_bytes());
        let format = Format::UniRec((*one).to_owned());
        seeds.add("trap_hello", one, &hello::encode(&format));
    }
    for format in [Format::Raw, Format::Json("flows".into())] {
        seeds.add("trap_hello", format!("{format:?}"), &hello::encode(&format));
    }
    for text in ["{\"in_cnt\": 0, \"out_cnt\": 0, \"in\": [], \"out\": []}", ANSWER] {
        seeds.add("trap_stats", text.len(), text.as_bytes());
    }
    seeds.add("trap_service", "one", &[10, 0, 0, 0, 0, 0, 0, 0]);
    seeds.add("trap_service", "set behind get", &[10, 1, 2, 3, 0xff, 0xff, 0xff, 0xff, 11, 0, 0, 0, 0, 0, 0, 0]);
    wire(seeds);
    for (target, texts) in MODULE_INPUTS {
        for text in *texts {
            seeds.add(target, text.escape_ascii(), text);
        }
    }
    let mut rng = Rng::new(1);
    for target in MODELS {
        for steps in [6, 60, 600] {
            let data: Vec<u8> = (0..steps).map(|_| rng.draw() as u8 >> rng.below(8)).collect();
            seeds.add(target, steps, &data);
        }
    }
}

/// A connection as a client sees it: HELLO, then two containers.
fn wire(seeds: &mut Seeds) {
    let mut bytes = hello::encode(&Format::UniRec("uint16 A,string S".into()));
    for messages in [&[&b"\x00\x01\x00\x00\x00\x00"[..], b"second"][..], &[b""]] {
        let mut container = Builder::wire(1_000);
        for message in messages {
            assert!(container.push(message), "a few bytes fit into a thousand");
        }
        let sealed = container.seal(7);
        seeds.add("trap_header", messages.len(), &sealed[..14]);
        bytes.extend_from_slice(sealed);
        seeds.add("trap_wire_stream", messages.len(), &bytes);
    }
}
