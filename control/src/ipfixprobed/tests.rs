use super::*;

fn near(card: &str) -> Option<Vec<u32>> {
    (card == "0000:d8:00.0").then(|| vec![8, 9, 10, 11])
}

fn words(text: &str) -> Vec<String> {
    convert(text, &near).unwrap_or_else(|why| panic!("{why}")).arguments
}

fn why(text: &str) -> String {
    convert(text, &near).expect_err("refused")
}

const OUTPUT: &str = "output_plugin: { ipfix: { collector: { host: c, port: 4739 }, protocol: { udp: } } }\n";
const INPUT: &str = "input_plugin: { raw: { interface: eth0 } }\n";

#[test]
fn each_key_becomes_its_argument() {
    let text = "\
input_plugin:
  raw:
    interface: eth0, eth1
    blocks_count: 1024
    packets_in_block: 64
storage:
  cache: { size_exponent: 20, line_size_exponent: 5 }
  timeouts: { active: 65, inactive: 300 }
  split_biflow: true
  fragmentation_cache: { enabled: true, size: 1000, timeout: 4 }
process_plugins:
  - http
  - pstats: { includezeroes: true, skipdup: false, nothing: null }
  - rtsp:
  - flowhash: { seed: 7 }
output_plugin:
  ipfix:
    collector: { host: localhost, port: 4740 }
    mtu: 1400
    exporter: { id: 3, dir: 1 }
    protocol: { tcp: { non_blocking: true } }
    compression: { lz4: { enabled: true, buffer_size: 4500 } }
telemetry: { appfs: { enabled: true, mount_point: /run/t } }
general:
  queues_size: { input: 128, output: 1000 }
  cpu_list: [1, 3]
";
    assert_eq!(
        line(&words(text)),
        "ipfixprobe -i 'raw;ifc=eth0;blocks=1024;pkts=64' -i 'raw;ifc=eth1;blocks=1024;pkts=64' \
         -s 'cache;s=20;l=5;a=65;i=300;S;fe=true;fs=1000;ft=4' -p http -p 'pstats;includezeroes' -p rtsp -p 'flowhash;seed=7' \
         -o 'ipfix;host=localhost;port=4740;mtu=1400;id=3;dir=1;non-blocking-tcp;lz4-compression;lz4-buffer-size=4500' \
         --telemetry=/run/t --iqueue=128 --oqueue=1000 --cpus=1,3\n"
    );
}

#[test]
fn inputs_of_all_kinds() {
    let input = |input: &str| {
        let words = words(&format!("input_plugin:\n  {input}\n{OUTPUT}"));
        let at = words.iter().position(|word| word == "-s").expect("the cache");
        words[..at].join(" ")
    };
    assert_eq!(input("pcap_file: { file: /a b.pcap, bpf_filter: null }"), "-i pcap;file=/a b.pcap");
    assert_eq!(input("pcap_file: { file: a, bpf_filter: port 80 }"), "-i pcap;file=a;filter=port 80");
    assert_eq!(input("pcap_live: { interface: lo, snap_length: 200 }"), "-i pcap;ifc=lo;snaplen=200");
    assert_eq!(
        input("ndp: { device: /dev/nfb0, queues: '1,3-4' }"),
        "-i ndp;dev=/dev/nfb0:1 -i ndp;dev=/dev/nfb0:3 -i ndp;dev=/dev/nfb0:4"
    );
    assert_eq!(input("ndp: { device: [a, b], queues: 2 }"), "-i ndp;dev=a,b:2");
    assert_eq!(
        input("dpdk_ring: { ring_name: r0, eal_opts: --x, burst_size: 32 }"),
        "-i dpdk-ring;ring=r0;b=32;eal=--x"
    );
    assert_eq!(
        input("dpdk: { allowed_nics: '0000:d8:00.0,0000:d8:00.1', rx_queues: 2, mtu: 9000, mempool_size: 16384 }"),
        "-i dpdk@8;p=0,1;q=2;m=16384;mtu=9000;eal=-a 0000:d8:00.0 -a 0000:d8:00.1 -i dpdk@9"
    );
    assert_eq!(
        input("dpdk: { allowed_nics: [a], rx_queues: 2, workers_cpu_list: [4, 6], eal_opts: --y, burst_size: 16 }"),
        "-i dpdk@4;p=0;b=16;q=2;eal=-a a --y -i dpdk@6"
    );
}

#[test]
fn what_the_converter_gets_wrong_is_done_as_documented_and_said() {
    let text = "storage: { fragmentation_cache: { enabled: false } }\nsurprise: 1\n";
    let converted = convert(&format!("{INPUT}{OUTPUT}{text}"), &near).expect("taken");
    assert_eq!(converted.arguments[3], "cache;fe=false");
    assert_eq!(converted.warnings.len(), 2, "{:?}", converted.warnings);
    let blocking =
        "output_plugin: { ipfix: { collector: { host: c, port: 1 }, protocol: { tcp: { non_blocking: false } } } }";
    let converted = convert(&format!("{INPUT}{blocking}"), &near).expect("taken");
    assert_eq!(converted.arguments.last().map(String::as_str), Some("ipfix;host=c;port=1;id=1;dir=0"));
    assert_eq!(converted.warnings.len(), 1);
}

#[test]
fn a_wrong_file_is_refused_with_its_line() {
    assert!(why(&format!("{INPUT}storage:\n  cache: {{ size: 3 }}\n{OUTPUT}")).contains("line 3"));
    assert!(why(INPUT).contains("output_plugin"));
    assert!(why(&format!("{INPUT}storage: {{ timeouts: {{ active: 0 }} }}\n{OUTPUT}")).contains("nonzero"));
    let two = why(&format!("input_plugin: {{ raw: {{ interface: a }}, pcap_file: {{ file: b }} }}\n{OUTPUT}"));
    assert!(two.contains("line 1"), "{two}");
    assert!(why(&format!("input_plugin: {{ pcap_file: {{ file: 'a;filter=b' }} }}\n{OUTPUT}")).contains("semicolon"));
    let lz4 = OUTPUT.replace("udp: }", "udp: }, compression: { lz4: { enabled: true } }");
    assert!(why(&format!("{INPUT}{lz4}")).contains("tcp"));
    assert!(why(&format!("{INPUT}output_plugin: {{ unirec: }}\n")).contains("unirec"));
    let dpdk = "input_plugin: { dpdk: { allowed_nics: x, rx_queues: 2, workers_cpu_list: [1] } }\n";
    assert!(why(&format!("{dpdk}{OUTPUT}")).contains("1 processors for 2"));
    assert!(why(&format!("input_plugin: {{ dpdk: {{ allowed_nics: x }} }}\n{OUTPUT}")).contains("workers_cpu_list"));
    assert!(
        why(&format!("input_plugin: {{ ndp: {{ device: a, queues: 0-4294967295 }} }}\n{OUTPUT}"))
            .contains("at the most")
    );
}

#[test]
fn the_shell_form() {
    let text = "\
# two interfaces
IFC='eth0'
export INPUT[0]=\"raw;ifc=${IFC}\"
INPUT[1]=raw\\;ifc=eth1
PROCESS=(http \"pstats;includezeroes\"
  tls) # and so on
CACHE_SIZE=20 ; ACTIVE_TIMEOUT=65
UDP=yes
HOST=\"collector.example\"
LINK=5
EXTRA_ARGS=\"-f 100\"
LOCAL=1
";
    let converted = convert(text, &near).expect("taken");
    assert_eq!(
        line(&converted.arguments),
        "ipfixprobe -i 'raw;ifc=eth0' -i 'raw;ifc=eth1' -s 'cache;size=20;active=65' -p http -p 'pstats;includezeroes' -p tls \
         -o 'ipfix;host=collector.example;port=4739;id=5;dir=0;udp;template=300' -f 100\n"
    );
    // IFC and LOCAL, and that the form is obsolete.
    assert_eq!(converted.warnings.len(), 3, "{:?}", converted.warnings);
}

#[test]
fn the_shell_form_with_dpdk() {
    let port = "USE_DPDK=1\nDPDK_QUEUES_COUNT=2\nDPDK_PORT=0\nDPDK_LCORES='(0-1)@0'\nDPDK_DEVICE=0000:01:00.0\nDPDK_OPTS='m=16384;'\nDPDK_INPUT_WORKER_CPUS=(4 5)\n";
    let inputs = |text: &str| words(text)[..4].join(" ");
    assert_eq!(inputs(port), "-i dpdk@4;p=0;m=16384;q=2;e=--lcores (0-1)@0 -a 0000:01:00.0 -i dpdk@5");
    let ring = "USE_DPDK=1\nDPDK_RING=1\nDPDK_QUEUES_COUNT=2\nDPDK_RING_PATTERN=mring_%02d\nDPDK_RING_STARTIDX=9\nDPDK_EXTRA_EAL=-v\n";
    assert_eq!(inputs(ring), "-i dpdk-ring;r=mring_09;e=-v -i dpdk-ring;r=mring_10");
    assert!(why("USE_DPDK=1\n").contains("DPDK_QUEUES_COUNT"));
    assert!(why("USE_DPDK=1\nDPDK_RING=1\nDPDK_QUEUES_COUNT=1\nDPDK_RING_PATTERN=a%s\n").contains("%02d"));
}

#[test]
fn a_script_that_does_more_is_refused_with_its_line() {
    for (text, line) in [
        ("INPUT[0]=a\nif true; then\n", "line 2"),
        ("INPUT[0]=$(ls)\n", "line 1"),
        ("\n\nINPUT[0]=`ls`\n", "line 3"),
        ("INPUT[x]=1\n", "line 1"),
        ("INPUT[0]=\"abc\n", "line"),
        ("INPUT[0]=${A:-b}\n", "line 1"),
        ("INPUT[0]=1\nP=(a\n", "line"),
        ("INPUT[0]=1\nP=(a;b)\n", "line 2"),
        ("INPUT[0]=a\0b\n", "NUL"),
    ] {
        assert!(why(text).contains(line), "{text}: {}", why(text));
    }
}

#[test]
fn a_name_is_a_file_below_etc_and_a_path_is_itself() {
    assert_eq!(path_of("link0"), Path::new("/etc/ipfixprobe/link0.conf"));
    assert_eq!(path_of("./link0.yaml"), Path::new("./link0.yaml"));
    let missing = start(&["no-such-name".into()]).expect_err("missing").to_string();
    assert!(missing.contains("/etc/ipfixprobe/no-such-name.conf") && missing.contains("Usage"));
    assert!(matches!(start(&[]), Err(StartError::NoName)));
    assert!(matches!(start(&["-x".into()]), Err(StartError::Option(_))));
    assert!(matches!(start(&["--help".into()]), Ok(Start::Print(_))));
    let file = tempfile::NamedTempFile::with_suffix(".conf").expect("a file");
    std::fs::write(&file, format!("{INPUT}{OUTPUT}")).expect("written");
    let path = file.path().display().to_string();
    let run = start(&[path.clone(), "/usr/lib64/ipfixprobe".into()]).expect("taken");
    assert_eq!(
        run,
        Start::Run(
            ["-i", "raw;ifc=eth0", "-s", "cache", "-o", "ipfix;host=c;port=4739;id=1;dir=0;udp;template=600"]
                .map(String::from)
                .to_vec()
        )
    );
    let Start::Print(printed) = start(&["--print".into(), path]).expect("taken") else { panic!("it would run") };
    assert!(printed.starts_with("ipfixprobe -i 'raw;ifc=eth0' -s cache -o "));
}

proptest::proptest! {
    #[test]
    fn any_text_is_taken_or_refused(text in "(USE_DPDK=1\n|INPUT\\[0\\]=)?[A-Z_a-z0-9 =$'\"(){}\\[\\];:,\n-]{0,200}") {
        fuzz(text.as_bytes());
    }
}
