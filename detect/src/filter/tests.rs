use super::*;
use proptest::prelude::*;
use record::unirec::{Builder, Template, View};

fn flow() -> Template {
    Template::parse(fuzzing::SPEC).unwrap()
}

const VALUES: &[(&str, &str)] = &[
    ("SRC_IP", "10.0.0.5"),
    ("DST_IP", "2001:db8::1"),
    ("I", "fe80:12:0:34::56"),
    ("T", "2020-06-01T12:00:00.5"),
    ("PROTOCOL", "6"),
    ("A", "200"),
    ("B", "-5"),
    ("SRC_PORT", "443"),
    ("DST_PORT", "53000"),
    ("C", "-300"),
    ("D", "4000000000"),
    ("E", "-70000"),
    ("F", "1234567890123"),
    ("G", "-9000000000"),
    ("H", "2.7"),
    ("J", "3.14"),
    ("K", "x"),
    ("S", "www.example.com"),
    ("N", "00ff6162"),
];

fn accepts(filter: &str) -> bool {
    let template = flow();
    let (mut builder, mut record) = (Builder::new(&template), Vec::new());
    for (name, value) in VALUES {
        builder.set_text(template.index_of(name).unwrap(), value.as_bytes()).unwrap();
    }
    builder.finish(&mut record).unwrap();
    let expr = Expr::parse(filter.as_bytes()).unwrap_or_else(|why| panic!("{filter}: {why}")).unwrap();
    let program = Program::new(&expr, &template).unwrap_or_else(|why| panic!("{filter}: {why}"));
    program.accepts(&View::new(&template, &record).unwrap())
}

fn normal(filter: &str) -> String {
    let expr = Expr::parse(filter.as_bytes()).unwrap().unwrap();
    String::from_utf8(Program::new(&expr, &flow()).unwrap().text).unwrap()
}

fn fails(filter: &str) -> bool {
    match Expr::parse(filter.as_bytes()) {
        Err(_) => true,
        Ok(expr) => Program::new(&expr.unwrap(), &flow()).is_err(),
    }
}

#[test]
fn precedence_is_from_the_left_and_not_binds_tighter() {
    assert!(accepts("true or false and true"));
    assert!(!accepts("true || true && false"));
    assert!(accepts("true || (true && false)"));
    assert!(accepts("NOT false AND true"));
    assert!(!accepts("not true or false"));
    assert!(accepts("!(not not false)"));
    assert!(accepts("!false"));
}

#[test]
fn numbers_of_all_widths() {
    for yes in [
        "A == 200",
        "A > 199",
        "A <= 200",
        "A =< 200",
        "A => 200",
        "A <> 1",
        "A > -1",
        "A != -200",
        "B == -5",
        "B < 3",
        "B > -6",
        "C = -300",
        "C < -299",
        "D == 4000000000",
        "D > 3999999999",
        "E <= -70000",
        "F == 1234567890123",
        "G < 0",
        "G == -9000000000",
        "SRC_PORT < -1",
        "A == 0310",
        "A in [1, 200]",
        "C in [-300, 5]",
        "A < [200]",
        "SRC_PORT in [443]",
        "F < 99999999999999999999",
        "B in [-5]",
    ] {
        assert!(accepts(yes), "{yes}");
    }
    for no in
        ["A in 200", "A == 201", "A < -1", "SRC_PORT > -1", "A in [1,2,\n3]", "S == 5", "T == 5", "NOPE == 1", "B > 3"]
    {
        assert!(!accepts(no), "{no}");
    }
}

#[test]
fn addresses_prefixes_and_hosts() {
    for yes in [
        "SRC_IP == 10.0.0.5",
        "SRC_IP = \"10.0.0.5\"",
        "SRC_IP == 10.0.0.0/8",
        "SRC_IP == 10.9.9.9/8",
        "SRC_IP != 11.0.0.0/8",
        "SRC_IP < 10.0.0.6",
        "SRC_IP >= 10.0.0.5",
        "DST_IP == 2001:db8::/32",
        "DST_IP == \"2001:db8::1\"",
        "SRC_IP != 2001:db8::/32",
        "SRC_IP < 2001:db8::/32",
        "SRC_IP > 2001:db8::/32",
        "host == 10.0.0.5",
        "host == 2001:db8::1",
        "host in [10.0.0.0/8, 192.168.0.0/16]",
        "host in [1.1.1.1,2001:db8::1]",
        "I in [192.168.0.0/16, 10.0.0.0/24, fe80::/8, fd00:ff00::/16]",
        "SRC_IP in [10.0.0.0/8, 10.1.0.0/16]",
        "SRC_IP == 0.0.0.0/0",
        "DST_IP == ::/0",
        "host != 1.2.3.4",
        "host < 11.0.0.0",
        "host == 10.0.0.0/8",
    ] {
        assert!(accepts(yes), "{yes}");
    }
    for no in [
        "SRC_IP == 2001:db8::/32",
        "SRC_IP >= ::/0",
        "SRC_IP in [10.0.0.4, 10.0.0.6]",
        "A == 10.0.0.5",
        "SRC_IP in 10.0.0.5",
        "host != 10.0.0.5",
        "host == 1.0.0.0/8",
        "SRC_IP in [::/0]",
        // The destination is not looked at when the source has the other version.
        "host == 2001:db8::/32",
    ] {
        assert!(!accepts(no), "{no}");
    }
}

#[test]
fn ports_protocols_times_floats_and_texts() {
    for yes in [
        "port == 443",
        "port == 53000",
        "port != 443",
        "port < 1024",
        "port in [1, 53000]",
        "PROTOCOL == TCP",
        "PROTOCOL == \"tcp\"",
        "PROTOCOL != UDP",
        "NOT PROTOCOL == UDP",
        "PROTOCOL <= 6",
        "T >= 2020-06-01T12:00:00",
        "T == 2020-06-01T12:00:00.500",
        "T < \"2020-6-2T00:00:00\"",
        "T in [2020-06-01T12:00:00.500, 2021-01-01T00:00:00]",
        "H == 2.7",
        "J == 3.14",
        "J > 3.1",
        "J in [1.5, 2.7, 3.14]",
        "J != 3.0",
        "K == \"x\"",
        "K != 'y'",
        "K == \"xy\" or true",
        "S == 'www.example.com'",
        "S != \"\"",
        "S =~ \"^www\\.\"",
        "S ~= 'exa(m|n)ple'",
        "S =~ \"[[:alpha:].]{15}\"",
        "N != \"x\"",
    ] {
        assert!(accepts(yes), "{yes}");
    }
    for no in [
        "port > 60000",
        "PROTOCOL == \"nope\"",
        "PROTOCOL == ICMP",
        "NOT PROTOCOL == TCP",
        "S =~ \"com.\"",
        "S == \"www\"",
        "S =~ \"(\"",
        "K == \"xy\"",
        "J < 3.14",
        "H in [2.6]",
        "D == 1.5",
        "N =~ \"ab\"",
        "A == \"x\"",
    ] {
        assert!(!accepts(no), "{no}");
    }
}

#[test]
fn what_is_refused() {
    for bad in [
        "A",
        "A ==",
        "A == 1 B == 2",
        "A == 1 and",
        "(A == 1",
        "A == 1)",
        "NOT",
        "PROTOCOL in [6, 17]",
        "S < \"x\"",
        "A == true",
        "host == 5",
        "port == -1",
        "T in [20204-09_01:02:21, 2020-04-09T01:02:22]",
        "SRC_IP in [127, 127.0.0.1]",
        "SRC_IP in [10.0.0.0/8, 10.0.0.1]",
        "S in [1]",
        "A == [1, 2]",
        "PROTOCOL < TCP",
        "SRC_PORT in [ 80, 443]",
        "A =~ 5",
        "SRC_IP == 10.0.0.0/33",
        "T in [1]",
    ] {
        assert!(fails(bad), "{bad}");
    }
    assert_eq!(Expr::parse(&b"(".repeat(DEPTH_MAX + 2)), Err(FilterError::TooDeep));
    assert_eq!(Expr::parse(&b"!".repeat(TEXT_MAX)), Err(FilterError::TooDeep));
    assert_eq!(Expr::parse(&vec![b' '; TEXT_MAX + 1]), Err(FilterError::TooLong(TEXT_MAX + 1)));
    assert_eq!(Expr::parse(b" \t\n"), Ok(None));
}

#[test]
fn what_means_nothing_is_skipped_and_told() {
    let expr = Expr::parse(b"A == 200;").unwrap().unwrap();
    assert_eq!(expr.echoed, b";");
    assert_eq!(Expr::parse(b"A == [5 ]").unwrap().unwrap().echoed, b"[]");
}

#[test]
fn normal_forms_are_those_of_the_original() {
    for (filter, want) in [
        ("A = 1 or B <> -2 AND true", "A == 1 || B != -2 && TRUE"),
        ("!(PROTOCOL == 6) AND NOT DST_PORT == 53", "! ( ( PROTOCOL == 6 ) ) && ! ( DST_PORT == 53 )"),
        ("SRC_IP == 192.168.1.0/16", "SRC_IP == 192.168.0.0/16 (255.255.0.0)"),
        ("host == fe80::/10", "host == fe80::/10 (ffc0::)"),
        (
            "port in [25, 22] and host in [192.168.0.0/16, 10.0.0.0/8]",
            "port IN [22, 25, ] && host IN [10.0.0.0/255.0.0.0, 192.168.0.0/255.255.0.0, ]",
        ),
        ("T < \"2020-06-01T12:00:00.500\"", "T < 2020-06-01T12:00:00.500"),
        ("PROTOCOL == \"ipv6-icmp\" or not PROTOCOL = TCP", "PROTOCOL == 58 || ! ( PROTOCOL == TCP )"),
        ("S =~ \"a\\.b\" or J > 1.5", "S =~ \"a\\.b\" || J > 1.500000"),
        ("C in [3,-1]", "C IN [-1, 3, ]"),
    ] {
        assert_eq!(normal(filter), want);
    }
    let expr = Expr::parse(b"NO_SUCH_FIELD == 1").unwrap().unwrap();
    let program = Program::new(&expr, &flow()).unwrap();
    let warning =
        "Warning: NO_SUCH_FIELD is not present in input format. Corresponding rule will always evaluate false.";
    assert_eq!(program.warnings(), [warning]);
}

#[test]
fn posix_expressions() {
    let is_match = |regex: &str, text: &[u8]| posix::compile(regex.as_bytes()).unwrap().is_match(text);
    assert!(is_match("^a[\\]b$", b"a\\b") && !is_match("a[\\w]b", b"axb"));
    assert!(is_match("[]a]{2}", b"]a") && is_match("[^]a-c]", b"d") && !is_match("^[^]a-c]$", b"b"));
    assert!(is_match("a.c", b"a\nc") && is_match("^a+?$", b"") && is_match("x{,2}$", b"xx"));
    assert!(posix::compile(b"\xc3[\x80-\x90]").unwrap().is_match("\u{c3}".as_bytes()) && is_match("[&~[]", b"["));
    assert!(is_match("a{b", b"a{b") && is_match("\\<ab\\>", b"x ab.") && is_match("[a\\-z]", b"q"));
    for bad in ["(a", "[a", "a\\", "(a)\\1", "[[:nope", "[[:]", "[[:]a]", "(a{999}){999}"] {
        assert!(posix::compile(bad.as_bytes()).is_err(), "{bad}");
    }
}

/// The evaluator against the rule of the specification: operands from the left, each comparison in 128 bits.
fn model(terms: &[(bool, bool, i64)], value: i64) -> bool {
    terms.iter().enumerate().fold(false, |so_far, (at, (and, not, limit))| {
        let term = (value < *limit) != *not;
        if at == 0 {
            term
        } else if *and {
            so_far && term
        } else {
            so_far || term
        }
    })
}

proptest! {
    #[test]
    fn chains_agree_with_a_model(terms in prop::collection::vec((any::<bool>(), any::<bool>(), -400i64..400), 1..8), value in -400i64..400) {
        let mut text = String::new();
        for (at, (and, not, limit)) in terms.iter().enumerate() {
            if at > 0 { text.push_str(if *and { " && " } else { " or " }); }
            if *not { text.push_str("! "); }
            text.push_str(&format!("C < {limit}"));
        }
        let template = Template::parse("int16 C").unwrap();
        let program = Program::new(&Expr::parse(text.as_bytes()).unwrap().unwrap(), &template).unwrap();
        let record = (value as i16).to_le_bytes();
        prop_assert_eq!(program.accepts(&View::new(&template, &record).unwrap()), model(&terms, value), "{}", text);
    }

    #[test]
    fn any_bytes(data in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzzing::fuzz_filter(&data);
    }

    #[test]
    fn nearly_valid(text in "((SRC_IP|host|port|PROTOCOL|S|N|K|T|H|C|\\(|\\)|not|and|or|\\|\\||true) ?(==|!=|<|=<|in|=~)? ?(5|-7|1\\.5|10\\.0\\.0\\.0/8|::1|\"a.[b]*\"|TCP|\\[1, 2\\]|2020-1-1T00:00:00)? ){0,6}") {
        fuzzing::fuzz_filter(text.as_bytes());
    }
}

#[test]
fn fields_that_are_asked_for() {
    let fields = |text: &str| {
        let expr = Expr::parse(text.as_bytes()).unwrap().unwrap();
        expr.fields().join(" ")
    };
    assert_eq!(fields("A == 1 && !(B > 2 || not (C in [1, 2])) || true"), "A B C");
    assert_eq!(fields("host == 1.2.3.4 || port == 3 || PROTOCOL == TCP"), "SRC_IP DST_IP SRC_PORT DST_PORT PROTOCOL");
}
