//! smtp_spam_detector: two inputs, reports as JSON.
#[allow(dead_code, reason = "each suite uses its part")]
mod common;

use common::{Folder, fixtures, input, module};
use serde_json::{Value, json};
use std::fmt::Write;
use std::fs;
use trap::{Event, Format, Place};

const BASIC: &str = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,uint64 LINK_BIT_FIELD,time TIME_FIRST,time TIME_LAST,uint32 PACKETS,\
    uint16 DST_PORT,uint16 SRC_PORT,uint8 DIR_BIT_FIELD,uint8 PROTOCOL,uint8 TCP_FLAGS,uint8 TOS,uint8 TTL";
const MAIL: &str = "ipaddr DST_IP,ipaddr SRC_IP,uint64 BYTES,uint64 LINK_BIT_FIELD,time TIME_FIRST,time TIME_LAST,uint32 PACKETS,\
    uint32 SMTP_2XX_STAT_CODE_COUNT,uint32 SMTP_3XX_STAT_CODE_COUNT,uint32 SMTP_4XX_STAT_CODE_COUNT,uint32 SMTP_5XX_STAT_CODE_COUNT,\
    uint32 SMTP_COMMAND_FLAGS,uint32 SMTP_MAIL_CMD_COUNT,uint32 SMTP_RCPT_CMD_COUNT,uint32 SMTP_STAT_CODE_FLAGS,uint16 DST_PORT,\
    uint16 SRC_PORT,uint8 DIR_BIT_FIELD,uint8 PROTOCOL,uint8 TCP_FLAGS,uint8 TOS,uint8 TTL,string SMTP_DOMAIN,\
    string SMTP_FIRST_RECIPIENT,string SMTP_FIRST_SENDER";

fn at(secs: u64) -> String {
    format!("2023-01-02T10:{:02}:{:02}.000000", 15 + secs / 60, secs % 60)
}

/// Flows to eleven servers, one a second.
fn basic(count: u64, port: u16) -> String {
    let mut csv = format!("{BASIC}\n");
    for n in 0..count {
        let (time, to) = (at(n), n % 11 + 1);
        writeln!(csv, "198.51.100.{to},10.0.0.25,2400,1,{time},{time},12,{port},40000,0,6,27,0,64").unwrap();
    }
    csv
}

/// Runs the detector over both; answers its messages without what varies.
fn reports(basic: &str, mail: &str, args: &[&str]) -> Vec<Value> {
    let folder = Folder::new();
    folder.replay("basic", basic);
    folder.replay("mail", mail);
    let ifcs = format!("{},{},{}", folder.ifc("basic"), folder.ifc("mail"), folder.ifc("out"));
    let log = folder.path("log");
    let code = module("smtp_spam_detector", &[&["-i", &ifcs, "--log", &log], args].concat());
    assert_eq!(code, 0);
    assert!(fs::read_to_string(&log).unwrap().contains("[INFO] Parameters set to probe interval"));
    if fs::metadata(folder.path("out")).unwrap().len() == 0 {
        // Not a message, so no header either.
        return Vec::new();
    }
    let mut messages = input(&folder.ifc("out"), &Place::default());
    messages.require(Format::Json("smtp_alert".into()));
    let mut reports = Vec::new();
    loop {
        match messages.recv().unwrap() {
            Event::Message(text) | Event::FormatChanged { first: text, .. } => {
                let mut report: Value = serde_json::from_slice(text).unwrap();
                let members = report.as_object_mut().unwrap();
                assert!(members.remove("ID").is_some() && members.remove("CreateTime").is_some());
                reports.push(report);
            }
            Event::EndOfStream => return reports,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_host_that_sends_to_many_servers() {
    let none = format!("{MAIL}\n");
    let found = reports(&basic(82, 25), &none, &[]);
    let note = "Tags : {'CONN_CNT'}, FV : ['0.0000', '82.0000', '196800.0000', '0.0000', '0.0000', '972.0000', '11.0000', '0.0000', '4.4067']";
    let expected = json!({
        "Format": "IDEA0", "DetectTime": "2023-01-02T10:16:21Z", "EventTime": "2023-01-02T10:15:00Z", "CeaseTime": "2023-01-02T10:16:21Z",
        "Category": ["Abusive.Spam"], "Note": note, "Confidence": "0.90",
        "Source": [{"Hostname": [], "Email": [], "IP4": "10.0.0.25", "Proto": ["SMTP"]}],
        "ByteCount": 196_800, "FlowCount": 82, "PacketCount": 972, "ConnCount": 11, "Anonymised": false
    });
    assert_eq!(found, [expected]);
    assert!(reports(&basic(81, 25), &none, &[]).is_empty(), "0.9 is not more than 0.9");
    assert!(reports(&basic(82, 80), &none, &[]).is_empty(), "another port");
    assert_eq!(reports(&basic(82, 995), &none, &["--debug", "True"])[0]["Source"][0]["Proto"], json!(["POP3_SECURE"]));
    // Forgotten before they are looked at, as there.
    assert!(reports(&basic(82, 25), &none, &["-c", "60"]).is_empty());
    assert!(reports(&basic(82, 25), &none, &["-t", "1700000000"]).is_empty());
}

#[test]
fn mail_that_is_refused() {
    let mut csv = format!("{MAIL}\n");
    for n in 0..12 {
        let (time, codes) = (at(n), 0x4000_0000_u32 | 0x4_0000);
        let (domain, sender) = (n % 7, n % 2);
        writeln!(
            csv,
            "198.51.100.{n},2001:db8::5,100,1,{time},{time},3,0,0,0,1,0,1,1,{codes},25,40000,0,6,27,0,64,\"d{domain}\",\"r@x\",\"s{sender}@x\""
        )
        .unwrap();
    }
    let found = reports(&format!("{BASIC}\n"), &csv, &[]);
    let source = json!([{
        "Hostname": ["d0", "d1", "d2", "d3", "d4"], "Email": ["s0@x", "s1@x"], "IP6": "2001:db8::5", "Proto": ["SMTP"]
    }]);
    assert_eq!((found.len(), &found[0]["Source"], &found[0]["PacketCount"]), (1, &source, &json!(33)));
    // 5 points by harmonic numbers, and ln 12.
    let score: f64 = (2..=12).map(|n| 5.0 / f64::from(n)).sum::<f64>() + 12_f64.ln();
    assert!(found[0]["Note"].as_str().unwrap().ends_with(&format!("'{score:.4}']")), "{}", found[0]["Note"]);
}

#[test]
fn refusals() {
    let folder = Folder::new();
    let ifcs = format!("{},{},{}", folder.ifc("a"), folder.ifc("b"), folder.ifc("out"));
    for (args, code) in [(&["-t", "x"][..], 2), (&["--nothing"], 2), (&["-L", "/nonexist/log"], 1)] {
        folder.replay("a", &basic(1, 25));
        folder.replay("b", &basic(1, 25));
        assert_eq!(module("smtp_spam_detector", &[&["-i", &ifcs], args].concat()), code, "{args:?}");
    }
}

/// What the original found in the golden scenarios.
#[test]
fn the_original_wrote_the_same() {
    let Some(scenarios) = fixtures("../spec/scenarios") else { return };
    let text = |name: &str| fs::read_to_string(scenarios.join(name)).unwrap();
    for name in ["smtp_spam_pos", "smtp_spam_neg"] {
        let found = reports(&text(&format!("{name}.csv")), &format!("{MAIL}\n"), &["--interval", "300"]);
        let golden = text(&format!("golden/{name}.json"));
        let expected: Vec<Value> = golden
            .lines()
            .map(|line| {
                let mut message: Value = serde_json::from_str(line).unwrap();
                for varies in ["ID", "CreateTime"] {
                    message.as_object_mut().unwrap().remove(varies);
                }
                message
            })
            .collect();
        assert_eq!(found, expected, "{name}");
    }
}
