//! scalar_agg over a file: rules, filters, several outputs, what is printed.
#[allow(dead_code, reason = "each suite uses its part")]
mod common;

use common::{module, path};
use std::fs;
use tempfile::TempDir;

const FLOWS: &str = "\
ipaddr SRC_IP,uint64 BYTES,time TIME_FIRST,time TIME_LAST,uint16 DST_PORT,double LOAD,string NAME
10.0.0.1,600,2020-01-01T00:00:10.000000,2020-01-01T00:00:40.000000,53,1.5,a
10.0.0.2,300,2020-01-01T00:00:50.000000,2020-01-01T00:01:20.000000,80,-1,b
10.0.0.1,100,2020-01-01T00:01:30.000000,2020-01-01T00:01:30.000000,53,0.25,a
10.0.0.3,0,2020-01-01T00:01:31.000000,2020-01-01T00:01:31.000000,53,0,
10.0.0.9,5,2020-01-01T00:10:00.000000,2020-01-01T00:10:00.000000,53,0,c
";

fn run(rules: &[&str], outputs: usize) -> (u8, Vec<String>) {
    run_over(FLOWS, rules, outputs)
}

/// Runs the module over the flows; answers its exit code and what it wrote to each output, as logger prints it.
fn run_over(flows: &str, rules: &[&str], outputs: usize) -> (u8, Vec<String>) {
    let folder = TempDir::new().unwrap();
    let (csv, flows_at) = (path(&folder, "in.csv"), format!("f:{}", path(&folder, "in.trap")));
    fs::write(&csv, flows).unwrap();
    assert_eq!(module("logreplay", &["-i", &flows_at, "-f", &csv]), 0);
    let names: Vec<_> = (0..outputs).map(|n| path(&folder, &format!("{n}.trap"))).collect();
    let interfaces = names.iter().fold(flows_at, |all, name| format!("{all},f:{name}:w"));
    let code = module("scalar_agg", &[&["-i", &interfaces], rules].concat());
    let rows = names.iter().map(|name| {
        let text = path(&folder, "out.csv");
        module("logger", &["-i", &format!("f:{name}"), "-t", "-w", &text]);
        fs::read_to_string(text).unwrap_or_default()
    });
    (code, rows.collect())
}

#[test]
fn values_of_each_window() {
    let rules = [
        "-d",
        "60",
        "-r",
        "ALL:SUM(BYTES)",
        "-r",
        "FLOWS : COUNT(BYTES)",
        "-r",
        "MEAN:avg(BYTES)",
        "-r",
        "SPEED:RATE(BYTES)",
        "-r",
        "HOSTS:COUNT_UNIQ(SRC_IP)",
        "-r",
        "DNS:SUM(BYTES): DST_PORT == 53 and BYTES > 0",
        "-r",
        "LOADS:SUM(LOAD)",
        "-r",
        "NAMES:COUNT_UNIQ(NAME):NAME != \"b\"",
    ];
    let (code, rows) = run(&rules, 1);
    assert_eq!(code, 0);
    // The last flow moves the ring of three minutes on to 00:11; what is left in it is not sent.
    let want = "\
double ALL,double DNS,uint64 FLOWS,uint64 HOSTS,double LOADS,double MEAN,uint64 NAMES,double SPEED,time TIME
700.000000,600.000000,2,2,1.166667,350.000000,1,11.666667,2020-01-01T00:00:00.000000
300.000000,100.000000,3,3,-0.416667,100.000000,2,5.000000,2020-01-01T00:01:00.000000
";
    let head: String = rows[0].lines().take(3).map(|line| format!("{line}\n")).collect();
    assert_eq!(head, want);
    let rest: Vec<_> = rows[0].lines().skip(3).collect();
    assert_eq!(rest.len(), 5, "{rest:?}");
    assert!(
        rest.iter().all(|line| line.starts_with("0.000000,0.000000,0,0,0.000000,0.000000,0,0.000000,2020-01-01T00:0"))
    );
}

#[test]
fn each_output_has_its_rules() {
    let (code, rows) =
        run(&["-d", "60", "-r", "A:SUM(BYTES)", "-R", "-r", "B:COUNT(LOAD):DST_PORT==80", "-r", "B:COUNT(LOAD)"], 2);
    assert_eq!(code, 0);
    assert!(rows[0].starts_with("double A,time TIME\n700.000000,2020-01-01T00:00:00.000000\n"));
    // Rules of one name share a field, which has the last one's value.
    assert!(rows[1].starts_with("uint64 B,time TIME\n2,2020-01-01T00:00:00.000000\n"), "{}", rows[1]);
}

#[test]
fn a_gap_starts_a_ring_anew() {
    let flows = FLOWS.replace("00:10:00", "05:10:00");
    let (code, rows) = run_over(&flows, &["-d", "60", "-r", "A:SUM(BYTES)"], 1);
    // Nothing ended behind the ring: the flow after the gap emptied it, and a file without records stays empty.
    assert_eq!((code, rows[0].as_str()), (0, ""));
}

#[test]
fn refusals() {
    for rules in [
        // Fields that no flow has, or of the wrong type.
        &["-r", "A:SUM(NONE)"][..],
        &["-r", "A:SUM(SRC_IP)"],
        &["-r", "A:COUNT(NAME)"],
        // A field cannot be time and double, nor double and uint64.
        &["-r", "TIME:SUM(BYTES)"],
        &["-r", "A:SUM(BYTES)", "-r", "A:COUNT(BYTES)"],
        &["-r", "A:SUM(BYTES)", "-R"],
        &["-r", "A:SUM(BYTES):DST_PORT =="],
        &["-t", "0"],
    ] {
        assert_eq!(run(rules, 1).0, 1, "{rules:?}");
    }
    // A rule that no flow comes to needs no field.
    assert_eq!(run(&["-r", "A:SUM(NONE):false"], 1).0, 0);
}
