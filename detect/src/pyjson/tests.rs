use super::*;
use proptest::prelude::*;

fn again(text: &str) -> String {
    let mut out = String::new();
    match parse(text.as_bytes()) {
        Ok(value) => value.dump(&mut out),
        Err(why) => out = why.to_string(),
    }
    out
}

/// Each right side was printed by `json.dumps(json.loads(left))` of Python 3.
#[test]
fn spelled_as_python_does() {
    for (text, dumped) in [
        (r#"{"a":1,"b":[1.0,2e3,-0,-0.0],"a":null}"#, r#"{"a": null, "b": [1.0, 2000.0, 0, -0.0]}"#),
        ("1e16", "1e+16"),
        ("123456789012345680.0", "1.2345678901234568e+17"),
        ("1e15", "1000000000000000.0"),
        ("0.0001", "0.0001"),
        ("0.00001", "1e-05"),
        ("1.5e300", "1.5e+300"),
        ("1e400", "Infinity"),
        ("[NaN,-Infinity]", "[NaN, -Infinity]"),
        ("123456789012345678901234567890", "123456789012345678901234567890"),
        ("\"\u{e9}\u{1F600}\u{7f}/\"", r#""\u00e9\ud83d\ude00\u007f/""#),
        (r#""\ud83d\ude00\ud83d x \u0041\/""#, r#""\ud83d\ude00\ud83d x A/""#),
        (" {} ", "{}"),
        ("[ ]", "[]"),
        ("", "Expecting value: line 1 column 1 (char 0)"),
        ("{\"a\": 1,\n}", "Expecting property name enclosed in double quotes: line 2 column 1 (char 9)"),
        ("[1 2]", "Expecting ',' delimiter: line 1 column 4 (char 3)"),
        ("{\"a\" 1}", "Expecting ':' delimiter: line 1 column 6 (char 5)"),
        ("\"é", "Unterminated string starting at: line 1 column 1 (char 0)"),
        ("\"\\x\"", "Invalid \\escape: line 1 column 2 (char 1)"),
        ("\"\\u12\"", "Invalid \\uXXXX escape: line 1 column 3 (char 2)"),
        ("\"\t\"", "Invalid control character at: line 1 column 2 (char 1)"),
        ("01", "Extra data: line 1 column 2 (char 1)"),
        ("1.", "Extra data: line 1 column 2 (char 1)"),
    ] {
        assert_eq!(again(text), dumped, "{text}");
    }
    assert!(again(&"[".repeat(100_000)).contains("Nested too deeply"));
    assert!(parse(b"\"\xff\"").unwrap_err().to_string().contains("0xff in position 1"));
}

#[test]
fn indented() {
    let value = parse(br#"{"a":[1,[]],"b":{}}"#).unwrap();
    let mut out = String::new();
    value.dump_indented(&mut out, Some(2));
    assert_eq!(out, "{\n  \"a\": [\n    1,\n    []\n  ],\n  \"b\": {}\n}");
    out.clear();
    value.dump_indented(&mut out, Some(-1));
    assert_eq!(out, "{\n\"a\": [\n1,\n[]\n],\n\"b\": {}\n}");
}

proptest! {
    #[test]
    fn any_bytes(input in proptest::collection::vec(any::<u8>(), 0..64)) {
        fuzz_pyjson(&input);
    }

    #[test]
    fn almost_json(input in "[\\[\\]{}\",:0-9.eE+\\-a-fu\\\\ \u{e9}\u{1F600}]{0,40}") {
        fuzz_pyjson(input.as_bytes());
    }

    #[test]
    fn floats_read_back(v in any::<f64>()) {
        prop_assume!(v.is_finite());
        prop_assert_eq!(float(v).parse::<f64>().unwrap().to_bits(), v.to_bits());
    }
}
