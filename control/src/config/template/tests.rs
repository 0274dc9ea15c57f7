//! Templates that are taken, and what is said of others.
use super::*;
use crate::config::include::expand_with;
use proptest::prelude::*;

fn parsed(text: &str) -> Result<Config, Vec<String>> {
    let path = Path::new("t.xml");
    let expanded = expand_with(path, text, &mut |_| Ok(vec![])).expect("small");
    parse(&expanded, path).map_err(|refused| refused.lines)
}

/// What is said of a module with this in it.
fn said_of(module: &str) -> Vec<String> {
    parsed(&format!(
        "<nemea-supervisor>\n<modules><name>P</name><enabled>true</enabled>\n<module>{module}</module></modules></nemea-supervisor>"
    ))
    .expect_err("refused")
}

/// As the shipped example is built (section 3.2, config_example.xml).
#[test]
fn everything_that_a_template_may_say() {
    let text = r#"<?xml version="1.0"?>
<!-- comment -->
<nemea-supervisor xmlns="urn:cesnet:tmc:nemea:1.0">
  <supervisor><module-restarts>5</module-restarts></supervisor>
  <modules>
    <name>Data sources</name> text
    <enabled>true</enabled>
    <module>
      <name>flow_meter</name><enabled>false</enabled><path>/usr/bin/nemea/flow_meter</path>
      <params>-I eth0 -t "1:2"</params><module-restarts>0</module-restarts>
      <trapinterfaces><interface><note>all flows &amp; more</note><type>UNIXSOCKET</type><direction>OUT</direction>
        <params>flow_data_source</params></interface>
        <interface><type>BLACKHOLE</type><direction>OUT</direction><params/></interface></trapinterfaces>
    </module>
    <module module_pid="7"><name>bare</name><enabled>true</enabled><path>/bin/true</path><params></params><trapinterfaces/></module>
  </modules>
  <modules><name>Detectors</name><enabled>false</enabled></modules>
</nemea-supervisor>"#;
    let config = parsed(text).expect("taken");
    let names: Vec<(&str, bool, usize)> =
        config.profiles.iter().map(|profile| (profile.name.as_str(), profile.enabled, profile.modules.len())).collect();
    assert_eq!(names, [("Data sources", true, 2), ("Detectors", false, 0)]);
    let modules: Vec<&Module> = config.modules().map(|(_, module)| module).collect();
    assert_eq!((modules[0].restarts, modules[1].restarts), (0, 5));
    assert_eq!((modules[0].params.as_deref(), modules[1].params.as_deref()), (Some("-I eth0 -t \"1:2\""), None));
    let first = &modules[0].interfaces[0];
    assert_eq!(
        (first.note.as_deref(), first.kind, first.direction),
        (Some("all flows & more"), Some(Kind::Unix), Some(Direction::Out))
    );
    assert_eq!(crate::model::command::ifc_spec(modules[0]).expect("whole"), "u:flow_data_source,b:");
    assert!(!modules[0].enabled && modules[1].enabled && modules[1].interfaces.is_empty());
}

/// Modules as they are shipped (section 13), in a folder that the default template includes.
#[test]
fn shipped_modules_get_the_command_lines_of_the_original() {
    let module = |name: &str, enabled: bool, params: &str, interfaces: &[(&str, &str, &str)]| {
        let interfaces: String = interfaces
            .iter()
            .map(|(kind, way, params)| {
                format!(
                    "<interface><type>{kind}</type><direction>{way}</direction><params>{params}</params></interface>"
                )
            })
            .collect();
        format!(
            "<module>\n<name>{name}</name><enabled>{enabled}</enabled><path>/usr/bin/nemea/{name}</path>\n<params>{params}</params>\n\
             <trapinterfaces>\n{interfaces}\n</trapinterfaces>\n</module>\n"
        )
    };
    let sup = [
        module("flow_meter", false, "-I eth0", &[("UNIXSOCKET", "OUT", "flow_data_source")]),
        module(
            "dnstunnel_detection",
            true,
            "",
            &[
                ("UNIXSOCKET", "IN", "dns_data_source"),
                ("TCP", "OUT", "12004"),
                ("UNIXSOCKET", "OUT", "dnstunnel_sdmoutput:timeout=NO_WAIT"),
            ],
        ),
        module("logger", true, "-t -T -a /data/dnstunnel/detected.log", &[("TCP", "IN", "localhost,12004")]),
    ];
    let template = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<nemea-supervisor xmlns=\"urn:cesnet:tmc:nemea:1.0\">\n  \
        <!-- include /usr/share/nemea-supervisor/warning.sup -->\n  <modules>\n    <name>Detectors</name>\n    <enabled>true</enabled>\n    \
        <!-- include /etc/nemea/detectors -->\n  </modules>\n</nemea-supervisor>\n";
    let path = Path::new("/etc/nemea/t.xml");
    let expanded = expand_with(path, template, &mut |included| {
        let is_folder = included == Path::new("/etc/nemea/detectors");
        let texts = if is_folder { sup.to_vec() } else { vec!["<!-- generated, do not edit -->\n".to_owned()] };
        Ok(texts.into_iter().map(|text| (included.to_owned(), text)).collect())
    });
    let config = parse(&expanded.expect("small"), path).expect("taken");
    let lines: Vec<String> = config
        .modules()
        .map(|(_, module)| {
            format!("{} {}", module.name, crate::model::command::arguments(module).expect("whole").join(" "))
        })
        .collect();
    assert_eq!(
        lines,
        [
            "flow_meter -I eth0 -i u:flow_data_source",
            "dnstunnel_detection -i u:dns_data_source,t:12004,u:dnstunnel_sdmoutput:timeout=NO_WAIT",
            "logger -t -T -a /data/dnstunnel/detected.log -i t:localhost:12004",
        ]
    );
}

#[test]
fn faults_in_the_words_of_the_original() {
    assert_eq!(parsed(" \n").unwrap_err(), ["[ERROR] Empty document."]);
    assert_eq!(
        parsed("<x/>").unwrap_err()[0],
        "[ERROR] Document of the wrong type, missing root element \"nemea-supervisor\"."
    );
    let ok = "<name>a</name><enabled>true</enabled><path>/a</path>";
    let cases = [
        ("<enabled>true</enabled><path>/a</path>", "[ERROR] Missing \"name\" element in \"module\" element!"),
        ("", "[ERROR] Empty value in \"module\" element!"),
        ("<name>a</name>", "[ERROR] Missing \"enabled\" element in \"module\" element!"),
        ("<name/><enabled>true</enabled><path>/a</path>", "[ERROR] Empty value in \"name\" element!"),
        (
            "<name>a</name><enabled>yes</enabled><path>/a</path>",
            "[ERROR] Expected one of {true, false} values in \"enabled\" element!",
        ),
        (&format!("{ok}<path>/b</path>"), "[ERROR] Too much \"path\" elements in \"module\" element!"),
        (&format!("{ok}<pth>/b</pth>"), "[ERROR] Unexpected node (type: 1, name: pth) in \"module\" element!"),
        (
            &format!("{ok}<module-restarts>31</module-restarts>"),
            "[ERROR] Value in \"module-restarts\" element must be positive number in range <0,30>!",
        ),
        (
            &format!("{ok}<trapinterfaces><interface/></trapinterfaces>"),
            "[ERROR] Empty value in \"interface\" element!",
        ),
        (
            &format!("{ok}<trapinterfaces><interface><type>SERVICE</type></interface></trapinterfaces>"),
            "[ERROR] Expected one of {TCP, UNIXSOCKET, FILE, BLACKHOLE, TLS} values in \"type\" element!",
        ),
        (&format!("{ok}</module><module>{ok}"), "[ERROR] Duplicated module name \"a\""),
    ];
    for (module, message) in cases {
        let said = said_of(module);
        assert_eq!(said[0], message, "{module}");
        assert!(said[1].starts_with("[INFO] At t.xml:3:"), "{said:?}");
    }
    let profile = "<modules><name>P</name><enabled>true</enabled></modules>";
    let said = parsed(&format!("<nemea-supervisor>{profile}\n{profile}</nemea-supervisor>")).unwrap_err();
    assert_eq!(said, ["[ERROR] Duplicated profile name \"P\"", "[INFO] At t.xml:2:1."]);
    let said = parsed("<nemea-supervisor>\n<modules>\n</nemea-supervisor>").unwrap_err();
    assert_eq!(said[0], "[ERROR] Could not parse generated configuration file with path \"t.xml\"!");
    assert_eq!(said[3], "[INFO] Line: 3");
}

proptest! {
    #[test]
    fn any_template(text in "(</?(nemea-supervisor|modules|module|name|enabled|path|params|trapinterfaces|interface|type|direction)>|true|IN|TCP|[a-z0-9 ]{0,4}|\n){0,40}") {
        crate::fuzzing::fuzz_template(text.as_bytes());
        crate::fuzzing::fuzz_template(format!("<nemea-supervisor>{text}</nemea-supervisor>").as_bytes());
    }
}
