//! The shared captures: counted as capinfos counts them, and the same frames in every format that editcap, gzip and zstd make of them.
use dataplane::capture::fuzzing::Told;
use dataplane::capture::{CaptureError, CaptureSource, OpenOptions, open};
use pcap_parser::{Block, PcapBlockOwned};
use record::Time;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The captures; none (and a line that says so) where the shared directory is not there and nobody asked for it.
fn captures() -> Vec<PathBuf> {
    let asked = std::env::var_os("SONDA_SHARED");
    let dir = PathBuf::from(asked.clone().unwrap_or("/work/shared".into())).join("fixtures/pcap");
    if asked.is_none() && !dir.exists() {
        println!("skipped: no {}; set SONDA_SHARED to run this test", dir.display());
        return Vec::new();
    }
    let entries = std::fs::read_dir(&dir).unwrap_or_else(|cause| panic!("{}: {cause}", dir.display()));
    let mut captures: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    captures.retain(|path| path.extension().is_some_and(|ext| ext == "pcap"));
    captures.sort();
    assert!(!captures.is_empty(), "no captures in {}", dir.display());
    captures
}

/// Whether `tool` can be run. It is a fault if not, unless SONDA_SKIP_TOOLS=1.
fn has(tool: &str, package: &str) -> bool {
    let found = Command::new(tool).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    let skip = std::env::var("SONDA_SKIP_TOOLS").is_ok_and(|value| value == "1");
    assert!(found || skip, "{tool} is missing: install the Debian package {package}, or set SONDA_SKIP_TOOLS=1");
    if !found {
        println!("skipped: no {tool} (package {package})");
    }
    found
}

fn output(command: &mut Command) -> Vec<u8> {
    let out = command.output().unwrap();
    assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
    out.stdout
}

fn told(path: &Path, stream: bool) -> Told {
    let mut source = open(path, OpenOptions { filter: None, stream }).unwrap();
    let (_, total) = source.progress().unwrap();
    let told = Told::by(&mut source);
    assert_eq!(told.error, None, "{}", path.display());
    let size = std::fs::metadata(path).unwrap().len();
    assert_eq!((source.progress(), total), (Some((size, size)), size), "{}", path.display());
    told
}

#[test]
fn packets_and_bytes_are_those_of_capinfos() {
    let captures = captures();
    if captures.is_empty() || !has("capinfos", "wireshark-common") {
        return;
    }
    for path in captures {
        let line = output(Command::new("capinfos").args(["-M", "-T", "-r", "-c", "-d"]).arg(&path));
        let line = String::from_utf8(line).unwrap();
        let numbers: Vec<u64> = line.trim().split('\t').skip(1).map(|field| field.parse().unwrap()).collect();
        for stream in [false, true] {
            let stats = told(&path, stream).stats;
            assert_eq!([stats.packets, stats.bytes], numbers[..], "{} stream={stream}", path.display());
            assert_eq!((stats.unknown_link, stats.filtered, stats.drops.total()), (0, 0, 0));
        }
    }
}

#[test]
fn every_format_has_the_same_frames() {
    let captures = captures();
    let tools = [("editcap", "wireshark-common"), ("gzip", "gzip"), ("zstd", "zstd")];
    if captures.is_empty() || !tools.iter().all(|(tool, package)| has(tool, package)) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for path in captures {
        let exact = told(&path, false);
        for format in ["pcap", "pcapng", "nsecpcap"] {
            let mut expected = exact.clone();
            if format == "pcap" {
                expected.frames.iter_mut().for_each(|frame| frame.2 = Time::from_micros(frame.2.micros()));
            }
            let made = dir.path().join("made");
            output(Command::new("editcap").args(["-F", format]).arg(&path).arg(&made));
            if format == "pcapng" {
                let theirs = frames_by_pcap_parser(&std::fs::read(&made).unwrap());
                let ours: Vec<_> = expected.frames.iter().map(|frame| (frame.0.clone(), frame.1)).collect();
                assert!(ours == theirs, "{}: pcap-parser differs", path.display());
            }
            for (tool, ext) in [("", ""), ("gzip", ".gz"), ("zstd", ".zst")] {
                let packed = dir.path().join(format!("made{ext}"));
                if !tool.is_empty() {
                    std::fs::write(&packed, output(Command::new(tool).arg("-c").arg(&made))).unwrap();
                }
                for stream in [false, true] {
                    // Not assert_eq: it would print all bytes of all frames.
                    assert!(told(&packed, stream) == expected, "{} {format}{ext} stream={stream}", path.display());
                }
            }
        }
        let modified = dir.path().join("modified");
        output(Command::new("editcap").args(["-F", "modpcap"]).arg(&path).arg(&modified));
        assert!(matches!(open(&modified, OpenOptions::default()), Err(CaptureError::Modified { .. })));
    }
}

#[test]
fn filters_refuse_what_tcpdump_refuses() {
    let captures = captures();
    if captures.is_empty() || !has("tcpdump", "tcpdump") {
        return;
    }
    for path in captures {
        for expression in ["udp", "tcp port 80 or tcp port 443", "ip6", "vlan", "greater 500", "not ip"] {
            let options = OpenOptions { filter: Some(expression.to_owned()), stream: false };
            let source = open(&path, options);
            let mut tcpdump = Command::new("tcpdump");
            let out = tcpdump.args(["--nano", "-w", "-", "-r"]).arg(&path).arg(expression).output().unwrap();
            if !out.status.success() {
                // Some link types have no VLANs: the same words must come from here.
                let said = String::from_utf8(out.stderr).unwrap();
                let cause = said.lines().last().unwrap().trim_start_matches("tcpdump: ");
                // With pcapng it comes with the first frame of that link type.
                let error = source.and_then(|mut source| source.burst(|_| unreachable!())).unwrap_err();
                assert!(matches!(&error, CaptureError::Filter { cause: ours, .. } if ours == cause), "{error}: {said}");
                continue;
            }
            let expected = Told::by_memory(&out.stdout);
            let told = Told::by(&mut source.unwrap());
            assert!(told.frames == expected.frames, "{} {expression}", path.display());
            assert_eq!(told.stats.packets, told.frames.len() as u64 + told.stats.filtered);
        }
    }
}

fn frames_by_pcap_parser(file: &[u8]) -> Vec<(Vec<u8>, u32)> {
    let blocks = pcap_parser::PcapNGSlice::from_slice(file).unwrap();
    let frame = |block| match block {
        PcapBlockOwned::NG(Block::EnhancedPacket(packet)) => {
            Some((packet.data[..packet.caplen as usize].to_vec(), packet.origlen))
        }
        _ => None,
    };
    blocks.filter_map(|block| frame(block.unwrap())).collect()
}
