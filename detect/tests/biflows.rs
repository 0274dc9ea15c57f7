//! ddos_detector and hoststatsnemea say the same of biflows (`-B`) as of the two flows that each of them is.
#[allow(dead_code, reason = "each suite uses its part")]
mod common;

use common::Folder;
use std::fmt::Write;

/// Both directions of a conversation.
struct Talk {
    /// Minutes and seconds after ten.
    time: [u64; 2],
    ends: [String; 2],
    ports: [u16; 2],
    packets: [u32; 2],
    bytes: [u32; 2],
    flags: [u8; 2],
}

impl Talk {
    fn row(&self, from: usize, back: Option<usize>) -> String {
        let (to, [minute, second]) = (1 - from, self.time);
        let time = format!("2023-01-02T10:{minute:02}:{second:02}.000000");
        let Talk { ends, ports, packets, bytes, flags, .. } = self;
        let back = back.map_or_else(String::new, |at| format!(",{},{},{}", bytes[at], packets[at], flags[at]));
        let (bytes, packets, flags) = (bytes[from], packets[from], flags[from]);
        format!(
            "{},{},{bytes},1,{time},{time},{packets},{},{},0,6,{flags}{back}\n",
            ends[to], ends[from], ports[to], ports[from]
        )
    }
}

const FLOWS: &str = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,uint64 LINK_BIT_FIELD,time TIME_FIRST,time TIME_LAST,uint32 PACKETS,\
    uint16 DST_PORT,uint16 SRC_PORT,uint8 DIR_BIT_FIELD,uint8 PROTOCOL,uint8 TCP_FLAGS";
const BACK: &str = ",uint64 BYTES_REV,uint32 PACKETS_REV,uint8 TCP_FLAGS_REV";

/// The folder with the talks as two flows each (`uni`), and as one (`bi`).
fn told(talks: &[Talk]) -> Folder {
    let folder = Folder::new();
    let (mut uni, mut bi) = (format!("{FLOWS}\n"), format!("{FLOWS}{BACK}\n"));
    for talk in talks {
        uni.push_str(&talk.row(0, None));
        if talk.packets[1] > 0 {
            uni.push_str(&talk.row(1, None));
        }
        bi.push_str(&talk.row(0, Some(1)));
    }
    folder.replay("uni", &uni);
    folder.replay("bi", &bi);
    folder
}

/// What a module says, without its header and one column.
fn alerts(folder: &Folder, module: &str, input: &str, args: &[&str], chance: Option<usize>) -> Vec<String> {
    let mut out = String::new();
    write!(out, "{input}{}", args.len()).unwrap();
    assert_eq!(folder.pass(module, input, &out, args), 0);
    let plain = |row: &str| {
        let cells = row.split(',').enumerate().filter(|(at, _)| Some(*at) != chance);
        cells.map(|(_, cell)| cell).collect::<Vec<_>>().join(",")
    };
    folder.log(&out).lines().skip(1).map(plain).collect()
}

#[test]
fn a_flood_that_is_the_answer() {
    let talk = |minute: u64, second: u64, from: u64, bytes| Talk {
        time: [minute, second],
        ends: ["203.0.113.1".into(), format!("10.0.{from}.1")],
        ports: [40_000, 80],
        packets: [1, 1_000],
        bytes: [40, bytes],
        flags: [0x18, 0x18],
    };
    let mut talks = vec![talk(0, 0, 0, 600_000)];
    for minute in [1, 2] {
        talks.extend((0..10).map(|n| talk(minute, n, n, 1_000_000)));
    }
    talks.push(Talk { ends: ["203.0.113.9".into(), "10.0.0.1".into()], packets: [1, 0], ..talk(3, 0, 0, 0) });
    let folder = told(&talks);
    // The number of an event is drawn by chance.
    let uni = alerts(&folder, "ddos_detector", "uni", &[], Some(4));
    assert!(uni.len() == 1 && uni[0].starts_with("203.0.113.1,"), "{uni:?}");
    assert_eq!(alerts(&folder, "ddos_detector", "bi", &["-B"], Some(4)), uni);
    assert!(alerts(&folder, "ddos_detector", "bi", &[], Some(4)).is_empty(), "as the original: one direction");
    assert_eq!(folder.pass("ddos_detector", "uni", "x", &["-B"]), 1, "there is no way back");
}

#[test]
fn a_scan_whose_answers_came_first() {
    let talk = |n: u64| Talk {
        time: [0, n % 60],
        ends: [format!("198.18.{}.{}", n / 250, n % 250 + 1), "203.0.113.66".into()],
        ports: [80, 50_000],
        // Every third is silent: the SYN alone is the flow.
        packets: [1, 1],
        bytes: [40, 44],
        flags: [4, 2],
    };
    let silent = |n: u64| {
        let Talk { ends: [to, from], .. } = talk(n);
        Talk { ends: [from, to], ports: [50_000, 80], packets: [1, 0], flags: [2, 0], bytes: [44, 0], ..talk(n) }
    };
    let talks: Vec<_> = (0..300_u64).map(|n| if n.is_multiple_of(3) { silent(n) } else { talk(n) }).collect();
    let folder = told(&talks);
    let config = folder.write("conf", "rules-generic = 1\nport-flowdir = 1\nrequest-to-response-ratio = 1\n");
    let run = |input: &str, args: &[&str]| {
        alerts(&folder, "hoststatsnemea", input, &[&["-F", "-c", &config], args].concat(), None)
    };
    let uni = run("uni", &[]);
    assert!(uni.len() == 1 && uni[0].contains("203.0.113.66") && uni[0].contains("scan"), "{uni:?}");
    assert_eq!(run("bi", &["-B"]), uni);
    assert!(run("bi", &[]).is_empty(), "as the original: one direction");
    assert_eq!(folder.pass("hoststatsnemea", "uni", "x", &["-F", "-B", "-c", &config]), 1, "there is no way back");
}
