use super::*;
use crate::spec::Spec;

fn input(text: &str) -> Result<InputParams, TrapError> {
    Spec::parse(text).expect("valid types")[0].as_input()
}

fn output(text: &str) -> Result<OutputParams, TrapError> {
    Spec::parse(text).expect("valid types")[0].as_output()
}

#[test]
fn timeouts() {
    let of = |value: &str| input(&format!("u:x:timeout={value}")).expect("valid").timeout;
    assert_eq!(of("WAIT"), Some(Timeout::Wait));
    assert_eq!(of("-1"), Some(Timeout::Wait));
    assert_eq!(of("NO_WAIT"), Some(Timeout::NoWait));
    assert_eq!(of("0"), Some(Timeout::NoWait));
    assert_eq!(of("500000"), Some(Timeout::Micros(500_000)));
    assert_eq!(of("0x10"), Some(Timeout::Micros(16)));
    assert_eq!(of("010"), Some(Timeout::Micros(8)));
    assert_eq!(input("u:x").expect("valid").timeout, None);
    for bad in ["HALF_WAIT", "-2", "-7", "WAITxyz", "5s", "", "0x", "+-3"] {
        assert_eq!(of(bad), None, "{bad}");
        assert_eq!(input(&format!("u:x:timeout={bad}")).expect("valid").complaints.len(), 1, "{bad}");
    }
    for half in ["HALF_WAIT", "-2"] {
        assert_eq!(output(&format!("u:timeout={half}:x")).expect("valid").timeout, Some(Timeout::HalfWait));
    }
}

#[test]
fn setters_stand_anywhere() {
    let parsed =
        output("t:buffer=off:4321:autoflush=0x10:max_clients=3:timeout=NO_WAIT:buffer_count=7").expect("valid");
    let limits = RingLimits { clients_max: 3, buffer_count: 7, buffer_size: 100_000 };
    assert_eq!(parsed.end, OutputEnd::Tcp("4321".into(), limits));
    assert_eq!((parsed.buffer, parsed.autoflush), (Some(false), Some(Autoflush::Micros(16))));
    assert_eq!(parsed.timeout, Some(Timeout::NoWait));
    assert!(parsed.complaints.is_empty());
    assert_eq!(output("u:x:autoflush=off").expect("valid").autoflush, Some(Autoflush::Off));
}

#[test]
fn bad_options_leave_defaults() {
    for bad in ["max_clients=65", "max_clients=x", "buffer_count=0", "buffer_size=16", "5", "buffer=maybe"] {
        let parsed = output(&format!("u:x:{bad}")).expect("valid");
        assert_eq!(parsed.end, OutputEnd::Unix("x".into(), RingLimits::default()), "{bad}");
        assert_eq!(parsed.complaints.len(), 1, "{bad}");
    }
    assert_eq!(output("t:1:5").expect("valid").complaints, ["Unknown parameter \"5\"."]);
}

#[test]
fn addresses() {
    assert_eq!(input("t:99999").expect("valid").end, InputEnd::Tcp { host: "localhost".into(), port: "99999".into() });
    assert_eq!(input("t:h:http").expect("valid").end, InputEnd::Tcp { host: "h".into(), port: "http".into() });
    assert_eq!(input("u:name").expect("valid").end, InputEnd::Unix("name".into()));
    assert_eq!(input("u:ignored:name").expect("valid").end, InputEnd::Unix("name".into()));
    let with_option = input("u:name:buffer=off").expect("valid");
    assert_eq!((with_option.end, with_option.complaints.len()), (InputEnd::Unix("name".into()), 1));
    for missing in ["u", "u:", "t", "t:", "u:timeout=WAIT"] {
        let error = input(missing).expect_err(missing);
        assert_eq!(error.to_string(), "Missing 'destination address' for TCPIP IFC.");
        assert_eq!(error.summary(), "Bad parameters passed to interface initializer.");
    }
    assert!(output("u").is_err() && output("t:").is_err() && output("f").is_err() && input("f:").is_err());
}

#[test]
fn files() {
    assert_eq!(input("f:a:w").expect("valid").end, InputEnd::File("a:w".into()));
    assert_eq!(input("f:timeout=5:a").expect("valid").end, InputEnd::File("a".into()));
    let end = |text: &str| output(text).expect("valid").end;
    let file = |append, minutes, megabytes| OutputEnd::File { path: "x".into(), append, minutes, megabytes };
    assert_eq!(end("f:x"), file(false, None, None));
    assert_eq!(end("f:x:buffer=off:timeout=WAIT"), file(false, None, None));
    assert_eq!(end("f:x:size=2:a:time=5"), file(true, Some(5), Some(2)));
    assert_eq!(end("f:x:time=0:whatever"), file(false, None, None));
    let stdout = OutputEnd::File { path: "/dev/stdout".into(), append: false, minutes: None, megabytes: None };
    assert_eq!(end("f:/dev/stdout:a:time=5:size=1"), stdout);
}

#[test]
fn tls_addresses() {
    let files = || TlsFiles { key: "k".into(), certificate: "c".into(), authority: "a".into() };
    let tls = |host: &str, port: &str| InputEnd::Tls { host: host.into(), port: port.into(), files: files() };
    assert_eq!(input("T:h:1:k:c:a").expect("valid").end, tls("h", "1"));
    assert_eq!(input("T:1:k:timeout=5:c:a").expect("valid").end, tls("localhost", "1"));
    assert_eq!(input("T:h:1:k:c:a:x").expect("valid").complaints, ["Unknown parameter \"x\"."]);
    let limits = RingLimits { clients_max: 2, ..RingLimits::default() };
    assert_eq!(output("T:1:k:c:a:max_clients=2").expect("valid").end, OutputEnd::Tls("1".into(), files(), limits));
    let missing = input("T:1:k").expect_err("incomplete");
    assert_eq!(missing.to_string(), "Missing 'certificate file', 'CA file' for TLS IFC.");
    assert_eq!(missing.code(), 11);
    assert!(output("T:1::c:a").expect_err("incomplete").to_string().starts_with("Missing 'private key file' for"));
}

#[test]
fn unknown_types_say_so() {
    assert_eq!(input("b").expect_err("no input").to_string(), "Unknown input interface type 'b'.");
    assert_eq!(input("g:3:a:bcd").expect("valid").end, InputEnd::Generator(b"a:b".to_vec()));
    for bad in ["g", "g:", "g:2:a", "g:0:", "g:256:x", "g:x:x"] {
        assert!(input(bad).expect_err(bad).to_string().contains("g:N:BYTES"), "{bad}");
    }
    assert_eq!(output("g:1:x").expect_err("no output").to_string(), "Unknown output interface type 'g'.");
    assert!(output("s").is_err() && output("T:1").is_err());
}
