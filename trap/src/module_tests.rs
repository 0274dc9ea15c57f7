use super::*;

const LOGGER: ModuleInfo = ModuleInfo {
    name: "logger",
    description: "Logs.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(0),
    params: &[],
};

fn line(words: &str) -> Result<CommandLine, Exit> {
    parse(words.split(' ').map(str::to_owned))
}

fn args(words: &str) -> String {
    line(words).expect("valid").args.join(" ")
}

fn failure(words: &str, info: &ModuleInfo) -> Vec<String> {
    start(info, words.split(' ').map(str::to_owned)).expect_err("must fail").lines()
}

#[test]
fn takes_its_options_only() {
    let parsed = line("m -x 1 -i u:a -vv -v rest").expect("valid");
    assert_eq!(
        parsed,
        CommandLine {
            ifc_spec: "u:a".into(),
            verbosity: Some(1),
            args: ["m", "-x", "1", "-v", "rest"].map(String::from).into()
        }
    );
    assert_eq!(args("m -i a -i b"), "m -i b");
    // The value of -i is taken before -v is looked for, so it may be anything.
    assert_eq!(line("m -i -v").expect("valid").ifc_spec, "-v");
    assert_eq!(line("m -i -v").expect("valid").verbosity, None);
    assert_eq!(args("m -vvvv -i u:a"), "m -vvvv");
}

#[test]
fn help_is_found_anywhere() {
    let section = |words: &str| match line(words) {
        Err(Exit::Help(section)) => Some(section),
        _ => None,
    };
    assert_eq!(section("m -h"), Some(HelpSection::Module));
    assert_eq!(section("m -i u:a --help trap"), Some(HelpSection::Interfaces));
    assert_eq!(section("m -h 1"), Some(HelpSection::Interfaces));
    assert_eq!(section("m -h 2"), Some(HelpSection::Module));
    assert_eq!(section("m -w -h"), Some(HelpSection::Module));
    assert_eq!(section("m -hx -i u:a"), None);
}

#[test]
fn missing_specifier() {
    for words in ["logger", "logger -i", "logger -iu:a", "logger x -i"] {
        assert_eq!(
            failure(words, &LOGGER),
            ["ERROR in parsing of parameters for TRAP: Interface specifier (option -i) not found."]
        );
    }
}

#[test]
fn texts_of_the_original() {
    assert_eq!(failure("logger -i x:foo", &LOGGER)[0], "ERROR: Unsupported IFC type 'x'.");
    assert_eq!(
        failure("logger -i u:a,u:b", &LOGGER),
        [
            "ERROR: Got 2 IFCs via -i, expected 1 input and 0 output IFCs.",
            "ERROR in TRAP initialization: Bad number of IFCs in IFC_SPEC."
        ]
    );
    assert_eq!(
        failure("logger -i u", &LOGGER),
        [
            "ERROR: Missing 'destination address' for TCPIP IFC.",
            "ERROR: Initialization of UNIX input interface no. 0 failed.",
            "ERROR in TRAP initialization: Bad parameters passed to interface initializer."
        ]
    );
    assert_eq!(
        failure("logger -i f:/nonexist", &LOGGER),
        [
            "ERROR: INPUT FILE IFC[0]: unable to open file \"/nonexist\". Possible reasons: non-existing file, bad \
             permission.",
            "ERROR: Initialization of FILE input interface no. 0 failed.",
            "ERROR in TRAP initialization: INPUT FILE IFC[0]: Unable to open file."
        ]
    );
    let repeater = ModuleInfo { outputs: Count::Exactly(1), ..LOGGER };
    assert_eq!(failure("r -i b,b", &repeater)[0], "ERROR: Unknown input interface type 'b'.");
}

#[test]
fn variable_counts_take_the_rest() {
    let info = |inputs, outputs| ModuleInfo { inputs, outputs, ..LOGGER };
    assert_eq!(split(&info(Count::Variable, Count::Exactly(1)), 3).expect("valid"), 2);
    assert_eq!(split(&info(Count::Exactly(2), Count::Variable), 2).expect("valid"), 2);
    assert!(split(&info(Count::Exactly(2), Count::Variable), 1).is_err());
    assert!(split(&info(Count::Variable, Count::Exactly(1)), 0).is_err());
    assert!(split(&info(Count::Variable, Count::Variable), 2).is_err());
}

#[test]
fn interfaces_are_opened_in_order() {
    let dir = tempfile::tempdir().expect("tempdir");
    let info = ModuleInfo { inputs: Count::Exactly(1), outputs: Count::Variable, ..LOGGER };
    let options = Options { place: Place::with_socket_dir(dir.path()), ..Options::default() };
    let argv = ["m", "-i", "u:in,u:out,b", "-n", "5"].map(String::from);
    let module = start_with(&info, argv, &options).expect("starts");
    assert_eq!(module.args, ["m", "-n", "5"]);
    assert_eq!(module.inputs.iter().map(Input::id).collect::<Vec<_>>(), ["in"]);
    assert_eq!(module.outputs.iter().map(Output::id).collect::<Vec<_>>(), ["out", "none"]);
    assert!(options.place.socket_path("out").exists());
}
