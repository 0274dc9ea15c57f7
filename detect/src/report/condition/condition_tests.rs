//! Conditions over one message: each row is what the original answers (spec/idea.md section 2.3), with the rows that differ named.
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn message() -> Value {
    json!({
        "ID": "4390fc3f-c753-4a3e-bc83-1b44f24baf75", "ConnCount": 2, "FlowCount": 20, "Confidence": 0.5, "Description": "Scan of 7 ports",
        "Category": ["Recon.Scanning", "Test"], "DetectTime": "2023-01-02T10:15:00Z", "EventTime": "2023-01-02T12:00:00.5+02:00",
        "Source": [{"IP4": ["192.168.0.2", "10.0.0.0/24"], "Port": [80, 443]}, {"IP4": ["198.51.100.7"], "IP6": ["2001:db8::7"], "Type": []}],
        "Target": [{"Imprecise": true, "IP4": []}], "Node": [{"SW": ["Nemea", "detector1"], "AggrWin": "00:05:00"}],
    })
}

#[track_caller]
fn holds(text: &str) -> bool {
    Condition::parse(text).unwrap_or_else(|why| panic!("{text}: {why}")).holds(&message())
}

#[track_caller]
fn all(expected: bool, texts: &[&str]) {
    let wrong: Vec<_> = texts.iter().filter(|text| holds(text) != expected).collect();
    assert!(wrong.is_empty(), "not {expected}: {wrong:?}");
}

#[test]
fn comparisons() {
    all(
        true,
        &[
            "ConnCount == 2",
            "ConnCount eq 2.0",
            "ConnCount NE 3",
            "ConnCount <> 3",
            "FlowCount >= 20",
            "FlowCount gt ConnCount",
            "Category == 'Recon.Scanning'",
            "Category != 'Recon.Scanning'",
            "Category[1] == 'Recon.Scanning'",
            "Category[#] == \"Test\"",
            "Node.SW == 'detector1' and Category == 'Recon.Scanning'",
            "Node.SW in ['detector1', 'detector2']",
            "Node.SW in [detector1; x]",
            "Source.Port in [443]",
            "443 in Source.Port",
            "Description like '[0-9] ports$'",
            "Description =~ 'Scan(?= of)'",
            "Description like Description",
            "Source[1].Port is [80, 443]",
            "Target.Imprecise == 1",
            "ID like \"^4390\"",
            "Confidence < 1",
            "exists Source.IP6",
            "? ID",
            "exists ConnCount and not exists Nothing == 1 or ConnCount",
            "size(Source.IP4) == 3",
            "size(Nothing) == 0",
            "strlen(Category) == 4",
            "strlen('abc') == 3",
            "time() > 1600000000",
            "Node.AggrWin == 00:05:00",
            "Node.AggrWin == 300",
        ],
    );
    all(
        false,
        &[
            "ConnCount == 3",
            "ConnCount > 2",
            "Category[1] == 'Test'",
            "Category[9] == 'Test'",
            "Source.Port is [80]",
            "Source.Port in ['443']",
            "Description like 'scan'",
            "Description < 7",
            "ConnCount like '2'",
            "exists Nothing",
            "exists Target.IP4",
            "Description in [Description]",
            "strlen(Nothing) == 0",
            "strlen(ConnCount) == 1",
        ],
    );
}

#[test]
fn addresses() {
    all(
        true,
        &[
            "Source.IP4 in [192.168.0.0/24]",
            "Source.IP4 in [ \"192.168.0.0/24\" ]",
            "Source.IP4 in ['192.168.0.1-192.168.0.3']",
            "Source.IP4 in [198.51.100.0..198.51.100.9, 203.0.113.1]",
            "Source.IP4 == 192.168.0.2",
            "192.168.0.2 in Source.IP4",
            "192.168.0.2 in Source.IP4 and \"Recon.Scanning\" in Category",
            "Source.IP4 == 10.0.0.0/24",
            "Source[2].IP6 in [2001:db8::/32]",
            "Source.IP6 == 2001:db8::7",
            "Source.IP4 == '198.51.100.7'",
            "Source.IP4 in [10.0.0.0/8]",
            "Source.IP4 != 192.168.0.2",
            "Source.IP4 in ['192.168.0.0/24', '2001:db8::/32']",
        ],
    );
    all(
        false,
        &[
            // A host does not equal its prefix, a prefix is in no part of it, and nothing is in a list of what is missing.
            "Source.IP4 == 192.168.0.0/24",
            "Source.IP4 in [10.0.0.0/25]",
            "Source.IP4 in [203.0.113.0/24]",
            "Target.IP4 in [0.0.0.0/0]",
            "10.0.0.1 in Source.IP4",
            "Source.IP6 in [192.168.0.0/16]",
            "Source.IP4 is [192.168.0.2]",
        ],
    );
}

#[test]
fn times() {
    all(
        true,
        &[
            "DetectTime == 2023-01-02T10:15:00Z",
            "DetectTime == '2023-01-02T11:15:00+01:00'",
            "DetectTime == 1672654500",
            "DetectTime > EventTime",
            "DetectTime - EventTime > 00:14:59",
            "DetectTime < utcnow()",
            "DetectTime + 1D00:00:00 > 2023-01-03T10:14:59Z",
            "DetectTime < (utcnow() - 3600)",
            "utcnow() > '2023-01-02T10:15:00Z'",
            "EventTime in [2023-01-02T10:00:00.5Z]",
        ],
    );
    all(false, &["DetectTime > utcnow()", "DetectTime == 2023-01-02T10:15:01Z", "CeaseTime < utcnow()"]);
}

#[test]
fn arithmetic_goes_from_the_right() {
    all(
        true,
        &[
            "10 - 3 - 2 == 9",
            "2 * 3 + 4 == 14",
            "(10 - 3) - 2 == 5",
            "7 % 4 == 3",
            "1 / 2 == 0.5",
            "ConnCount + 1 == 3",
            "Source.Port + 1 == 444",
            "Source.Port - Source.Port == 0",
            "FlowCount / 0 == 1 or 1",
            "strlen(Category) + ConnCount * 2 == 8",
        ],
    );
    all(
        false,
        &[
            "10 - 3 - 2 == 5",
            "Source.Port + Source.IP4 == 1",
            "FlowCount / 0 == 1",
            "Nothing + 1 == 1",
            "ConnCount % 0 == 0",
        ],
    );
}

#[test]
fn logic_and_its_levels() {
    all(
        true,
        &[
            "1 or 0 and 0",
            "1 xor 0",
            "not 0",
            "! (ConnCount == 3)",
            "not ConnCount == 3",
            "1 or 1 xor 1",
            "0 and 0 || 1 or 1",
            "1 && 0 or 1",
            "1 ^^ 0 && 1",
            "exists ConnCount == 2",
            "not exists ConnCount == 3",
        ],
    );
    all(
        false,
        &[
            // Undefined stays undefined.
            "not (Missing == 1)",
            "not exists (Missing == 1)",
            "Missing",
            "1 and 0 || 0",
            "1 xor 1",
            "1 xor 1 xor 1 xor 1",
            "0 or (1 and 0)",
            "1 ^^ 1",
            "0 && 1 || 0",
        ],
    );
    assert!(holds(&vec!["ConnCount == 3"; 5_000].join(" or ").replacen('3', "2", 1)), "a long chain is no deep tree");
}

#[test]
fn words_that_begin_with_an_operator_are_that_operator() {
    for text in ["index == 1", "orange", "less(1)", "ConnCount == len"] {
        assert!(Condition::parse(text).is_err(), "{text}");
    }
    // `not` and a path: the original reads it so too.
    assert!(!holds("notConnCount"));
}

#[test]
fn what_is_refused() {
    for text in [
        "",
        "(",
        "a ==",
        "ConnCount 2",
        "== 2",
        "[1, 2",
        "[]",
        "[(1)]",
        "'unclosed",
        "''",
        "-5 == 1",
        "ConnCount == 1)",
        "f(1",
        "foo(1)",
        "size()",
        "time(1)",
        "Source.IP4 == 'x'",
        "Source.IP4 in ['10.0.0.0/33']",
        "300.1.1.1 == 1",
        "DetectTime == 'soon'",
        "ID like '('",
        "A..B == 1",
        "Source[x] == 1",
        "a-b == 1",
        "99999999999999999999 == 1",
        "2023-99-02T10:15:00Z == 1",
        "a @ b",
        "not not 1",
        "exists not 1",
    ] {
        assert!(Condition::parse(text).is_err(), "{text}");
    }
    let deep = |n: usize| format!("{}1{}", "(".repeat(n), ")".repeat(n));
    assert!(holds(&deep(60)) && Condition::parse(&deep(20_000)).is_err());
    assert!(Condition::parse(&vec!["1"; 20_000].join(" == ")).is_err());
}

#[test]
fn ranges() {
    let range = |text: &str| text.parse::<AddressRange>();
    assert!(range("10.1.2.3/8").unwrap().contains(&range("10.0.0.0-10.255.255.255").unwrap()));
    assert_eq!(range("10.0.0.9..10.0.0.1"), range("10.0.0.1-10.0.0.9"));
    assert!(
        range("::/0").unwrap().contains(&range("ffff::1").unwrap())
            && !range("::/0").unwrap().contains(&range("1.2.3.4").unwrap())
    );
    assert_eq!(range("1.2.3.4/32"), range("1.2.3.4"));
    for bad in ["", "x", "1.2.3.4/33", "::/129", "1.2.3.4-::1", "1.2.3.4/", "1.2.3", "1.2.3.4-"] {
        assert!(range(bad).is_err(), "{bad}");
    }
}

/// Pieces of conditions, and of what looks like them.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "ConnCount",
        "Source.IP4",
        "Source[1].Port",
        "Category",
        "DetectTime",
        "192.0.2.1",
        "192.0.2.0/24",
        "2001:db8::1",
        "'Test'",
        "\"(a*)*b\"",
        "2",
        "0.5",
        "00:05:00",
        "2023-01-02T10:15:00Z",
        "[1, 'x', 192.0.2.0/8]",
        "(",
        ")",
        "size(",
        "strlen(",
        "utcnow()",
        "==",
        "!=",
        "in",
        "is",
        "like",
        "<",
        ">=",
        "and",
        "or",
        "xor",
        "&&",
        "||",
        "^^",
        "not",
        "exists",
        "+",
        "-",
        "*",
        "/",
        "%",
        "[",
        "]",
        ",",
        ";",
        "orange",
        "@",
    ]);
    prop::collection::vec(piece, 0..14).prop_map(|pieces| pieces.join(" "))
}

proptest! {
    #[test]
    fn any_pieces(text in pieces()) {
        fuzz_condition(text.as_bytes());
    }

    #[test]
    fn any_text(text in "[ -~\u{e9}]{0,40}") {
        fuzz_condition(text.as_bytes());
    }
}
