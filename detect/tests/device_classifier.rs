//! device_classifier over files: labels on standard output and as JSON, filter, periods, training.
#[allow(dead_code, reason = "each suite uses its part")]
mod common;

use common::module;
use detect::modules::device_classifier;
use std::fs;
use tempfile::TempDir;
use trap::{Input, InputDefaults, Place, Spec};

/// A folder with models: SERVER has who never begins (feature 1 below one half), CLIENT the others.
fn ground() -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name);
    fs::write(path("models.list"), "0:SERVER\n1:CLIENT\n2:MISSING\n@127.0.0.0/8:LOOPBACK\n").unwrap();
    let model = |weight, rho| {
        format!(
            "svm_type c_svc\nkernel_type linear\nnr_class 2\ntotal_sv 1\nrho {rho}\nlabel 1 -1\nnr_sv 1 0\nSV\n{weight} 1:1\n"
        )
    };
    fs::write(path("0"), model(-1, -0.5)).unwrap();
    fs::write(path("1"), model(1, 0.5)).unwrap();
    let mut csv = String::from(
        "ipaddr SRC_IP,ipaddr DST_IP,uint64 BYTES,time TIME_FIRST,time TIME_LAST,uint32 PACKETS,uint16 SRC_PORT,uint16 DST_PORT,uint8 PROTOCOL\n",
    );
    for (src, dst, minute) in
        [("10.0.0.9", "10.0.0.1", 0), ("127.0.0.1", "10.0.0.1", 1), ("10.0.0.9", "10.0.0.2", 9), ("::1", "::2", 10)]
    {
        csv += &format!("{src},{dst},100,2020-01-01T00:{minute:02}:00,2020-01-01T00:{minute:02}:01,3,40000,443,6\n");
    }
    fs::write(path("csv"), csv).unwrap();
    let trap = format!("f:{}", path("trap").display());
    assert_eq!(module("logreplay", &["-i", &trap, "-f", path("csv").to_str().unwrap()]), 0);
    (folder, trap)
}

fn shown(folder: &TempDir, trap: &str, change: impl FnOnce(&mut device_classifier::Settings)) -> String {
    let mut settings = device_classifier::Settings { folder: Some(folder.path().into()), ..Default::default() };
    change(&mut settings);
    let labels = device_classifier::labels(&settings).unwrap();
    let mut input =
        Input::open_at(&Spec::parse(trap).unwrap()[0], &InputDefaults::default(), &Place::default()).unwrap();
    let mut out = Vec::new();
    device_classifier::run(&mut input, &settings, labels, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn devices_get_their_labels() {
    let (folder, trap) = ground();
    let json = folder.path().join("json");
    let all = "ip_address\tlabels\n10.0.0.1\tSERVER\n10.0.0.2\tSERVER\n10.0.0.9\tCLIENT\n127.0.0.1\tLOOPBACK\n";
    assert_eq!(shown(&folder, &trap, |settings| settings.json = Some(json.clone())), all);
    let text = fs::read_to_string(&json).unwrap();
    assert!(
        text.starts_with("[[{\n\t\"ip\" : \"10.0.0.1\",\n\t\"labels\" : [\"SERVER\"]\n},\n{\n\t\"ip\" : \"10.0.0.2\""),
        "{text}"
    );
    assert!(text.ends_with("\"labels\" : [\"CLIENT\"]\n}]]\n"), "{text}");
    let busy = "ip_address\tlabels\n10.0.0.1\tSERVER\n10.0.0.9\tCLIENT\n";
    assert_eq!(shown(&folder, &trap, |settings| settings.peers = 1), busy);
    let filter = folder.path().join("filter");
    fs::write(&filter, "10.0.0.0/30\n").unwrap();
    let few = "ip_address\tlabels\n10.0.0.1\tSERVER\n10.0.0.2\tSERVER\n";
    assert_eq!(shown(&folder, &trap, |settings| settings.filter = Some(filter)), few);
    // Every five minutes of flow time, nothing at the end; the second time begins anew.
    assert_eq!(shown(&folder, &trap, |settings| settings.minutes = 5), all);
    assert_eq!(shown(&folder, &trap, |settings| (settings.minutes, settings.json) = (60, Some(json.clone()))), "");
    assert_eq!(fs::read_to_string(&json).unwrap(), "[]\n");
}

#[test]
fn training_collects_features_and_new_labels() {
    let (folder, trap) = ground();
    let rules = folder.path().join("rules");
    fs::write(&rules, "10.0.0.9 CLIENT,PRINTER\n10.0.0.1 SERVER\n").unwrap();
    let out = shown(&folder, &trap, |settings| settings.train = Some(rules));
    assert_eq!(out, "ip_address\tlabels\n10.0.0.1\t[TRAINING...]\n10.0.0.9\t[TRAINING...]\n");
    let lines = fs::read_to_string(folder.path().join("db.svm")).unwrap();
    assert_eq!(
        lines,
        "0 1:0 2:0 3:0 4:0 5:0.029991 6:0 7:0 8:0 9:0.00999967 10:0 11:1 455:0.995055\n\
         1,3 1:1 2:1 3:0.029991 4:0 5:0 6:0 7:0.00999967 8:0 9:0 10:0 11:1 40012:0.995055\n"
    );
    assert!(fs::read_to_string(folder.path().join("models.list")).unwrap().ends_with("LOOPBACK\n3:PRINTER\n"));
}

#[test]
fn exit_codes() {
    let (folder, trap) = ground();
    let own = folder.path().to_str().unwrap();
    assert_eq!(module("device_classifier", &["-i", &trap, "-d", own, "-l"]), 0);
    assert_eq!(module("device_classifier", &["-i", &trap, "-d", own]), 0);
    assert_eq!(module("device_classifier", &["-i", &trap, "-d", "/nonexist"]), 1);
    assert_eq!(module("device_classifier", &["-i", &trap, "-d", own, "-f", "/nonexist"]), 1);
    assert_eq!(module("device_classifier", &["-i", &trap, "-x"]), 2);
}
