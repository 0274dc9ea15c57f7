//! sni_dataset_saver over files: which flows pass, unchanged, and the statistics.
#[allow(dead_code, reason = "each suite uses its part")]
mod common;

use common::{module, wait_for};
use detect::modules::sni_dataset_saver;
use std::fs;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use trap::{Input, InputDefaults, Output, OutputDefaults, Place, Spec};

struct Ground {
    folder: TempDir,
}

impl Ground {
    fn new(rows: &[(&str, u32)]) -> Ground {
        let ground = Ground { folder: TempDir::new().unwrap() };
        let mut csv = String::from("time TIME_FIRST,time TIME_LAST,uint32 N,string TLS_SNI\n");
        for (n, (name, at)) in rows.iter().enumerate() {
            let time = format!("2020-01-01T00:{:02}:{:02}", at / 60, at % 60);
            csv += &format!("{time},{time},{n},{name}\n");
        }
        fs::write(ground.path("csv"), csv).unwrap();
        fs::write(ground.path("list"), "Tag,Merged Domains\nweb,\"*.web.example\"\nmail,mail.example\n").unwrap();
        assert_eq!(module("logreplay", &["-i", &format!("f:{}", ground.path("in")), "-f", &ground.path("csv")]), 0);
        ground
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    fn logged(&self, name: &str) -> Vec<String> {
        assert_eq!(module("logger", &["-i", &format!("f:{}", self.path(name)), "-t", "-w", &self.path("rows")]), 0);
        fs::read_to_string(self.path("rows")).unwrap().lines().map(String::from).collect()
    }
}

#[test]
fn flows_of_listed_names_are_sampled() {
    let mut rows: Vec<_> = (0..20).map(|n| ("a.web.example", n)).collect();
    rows.extend([("mail.example", 30), ("x.mail.example", 31), ("other", 32), ("b.web.example", 400)]);
    let ground = Ground::new(&rows);
    let ifc = format!("f:{},f:{},f:{}", ground.path("in"), ground.path("out"), ground.path("stats"));
    assert_eq!(module("sni_dataset_saver", &["-i", &ifc, "-f", &ground.path("list")]), 0);
    let logged = ground.logged("out");
    assert_eq!(logged[0], "time TIME_FIRST,time TIME_LAST,uint32 N,string TLS_SNI");
    let numbers =
        |rows: &[String]| rows[1..].iter().map(|row| row.split(',').nth(2).unwrap().to_owned()).collect::<Vec<_>>();
    // The first of each tag, the tenth and twentieth of web, and the one after a pause.
    assert_eq!(numbers(&logged), ["0", "9", "19", "20", "23"]);
    // Counts of an earlier run move the rhythm.
    fs::write(ground.path("old"), "a,b,\"{\"\"web\"\":5}\"\n").unwrap();
    assert_eq!(
        module("sni_dataset_saver", &["-i", &ifc, "-f", &ground.path("list"), "-s", &ground.path("old"), "-t", "1000"]),
        0
    );
    assert_eq!(numbers(&ground.logged("out")), ["0", "4", "14", "20"]);
    for args in [&[][..], &["-f", "/nonexist/x"], &["-f", &ground.path("csv")]] {
        assert_eq!(module("sni_dataset_saver", &[&["-i", &ifc], args].concat()), 1, "{args:?}");
    }
}

#[test]
fn statistics_come_at_full_five_minutes() {
    let ground = Ground::new(&[("a.web.example", 1), ("mail.example", 2), ("c.web.example", 3)]);
    let folder = TempDir::new().unwrap();
    let place = Place::with_socket_dir(folder.path());
    let input = |spec: &str| Input::open_at(&Spec::parse(spec).unwrap()[0], &InputDefaults::default(), &place).unwrap();
    let output =
        |spec: &str| Output::open_at(&Spec::parse(spec).unwrap()[0], OutputDefaults::default(), &place).unwrap();
    let settings = sni_dataset_saver::Settings { domains: ground.path("list").into(), timeout_secs: 300, stats: None };
    let domains = sni_dataset_saver::load_domains(&settings.domains).unwrap();
    let stop = place.stop.clone();
    // A sender that never comes keeps the module waiting; the clock stands half a second before a full five minutes.
    let mut silent = input("u:nobody");
    let (flows, stats) = (output("b:"), output(&format!("f:{}", ground.path("stats"))));
    let clock = || SystemTime::UNIX_EPOCH + Duration::from_millis(1_577_837_099_500);
    let running =
        std::thread::spawn(move || sni_dataset_saver::run(&mut silent, flows, stats, &settings, domains, clock));
    wait_for("statistics", || fs::read(ground.path("stats")).unwrap().windows(6).any(|part| part == b"\"mail\""));
    stop.request();
    running.join().unwrap().unwrap();
    let rows = ground.logged("stats");
    assert_eq!(rows[0], "time TIME_FIRST,time TIME_LAST,string TLS_SNI_STATS");
    assert_eq!(rows[1], "2019-12-31T23:59:00.000000,2020-01-01T00:04:00.000000,\"{\"\"mail\"\":0,\"\"web\"\":0}\"");
}
