//! Seeds that are written down: small languages, and step lists for the models.
use super::Seeds;
use benches::Rng;
use trap::container::Builder;
use trap::{Format, hello};

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
const STRINGS: &[&[u8]] = &[b"plain", b"\xff\x00\xc3\x28\"\\\n", "\u{e9}\u{1f600}".as_bytes()];
/// Step lists differ from any other bytes only in what they do, so a few random ones are as good as any.
const MODELS: &[&str] = &["ipfix_encode", "record_json", "fragments", "flow_table", "flow_cache", "flow_offload"];

/// Configurations and small languages of modules.
const MODULES: &[(&str, &str)] = &[
    ("backscatter_networks", r##"147.32.0.0/15, 10.0.0.1"##),
    ("backscatter_networks", "# all\n0.0.0.0/0"),
    ("backscatter_networks", r##"1.2.3.4/33"##),
    (
        "bloom_config",
        r##"[{"id":1,"bloom_fp_error_rate":0.01,"bloom_entries":20000,"api_url":"http://localhost:8081/1"}]"##,
    ),
    ("bloom_config", r##"[]"##),
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
    ("pyjson", r##"{"a":[1,-0.0,1e400,NaN],"b":"\ud83d\ude00\ud83d","a":null}"##),
    ("pyjson", r##"[[[[""##),
    ("pyjson", "\"\\u00e9\u{e9}\""),
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
    wire(seeds);
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
