use super::*;
use proptest::prelude::*;

fn found(signatures: &Signatures, method: &str, url: &str, host: &str, agent: &str) -> String {
    let request = Request::new(method.as_bytes(), url.as_bytes(), host.as_bytes(), agent.as_bytes(), b"");
    let found = signatures.look(&request, &[false; FIELDS.len()]);
    found.map_or_else(String::new, |found| {
        format!("{} {} {}", found.rule.trim_start_matches("request_"), found.field.name(), found.value)
    })
}

/// What was found to be clean is not looked at again, and what was not is found again.
#[test]
fn requests_that_come_again() {
    let mut all = Signatures::load(&RULES, None).unwrap();
    let good = Request::new(b"GET", b"/a?x=1", b"www.example.com", b"Mozilla/5.0", b"http://www.example.com/");
    let bad_url = Request::new(b"GET", b"/a?x=1;cat+/etc/passwd", b"www.example.com", b"Mozilla/5.0", b"");
    let bad_agent = Request::new(b"GET", b"/a?x=1", b"www.example.com", b"sqlmap/1.0", b"");
    for _ in 0..3 {
        for request in [&good, &bad_url, &bad_agent] {
            let expected = all.look(request, &[false; FIELDS.len()]);
            assert_eq!(expected.is_some(), !std::ptr::eq(request, &good));
            assert_eq!(all.find(request), expected);
        }
    }
}

/// What each rule is for, and what none is for.
#[test]
fn what_is_built_in() {
    let all = Signatures::load(&RULES, None).unwrap();
    assert!(all.len() >= 50, "{}", all.len());
    let url = |url: &str| {
        found(&all, "GET", url, "www.example.com", "Mozilla/5.0 (X11; Linux x86_64; rv:99.0) Gecko/20100101")
    };
    for (asked, rule) in [
        (
            "/item?id=1+union+select+password+from+users",
            "application_attack_sqli HTTP_URL_ARGS 1 union select password from users",
        ),
        ("/a?id=1'+or+'1'='1", "application_attack_sqli HTTP_URL_ARGS 1' or '1'='1"),
        ("/a?id=1;drop+table+users", "application_attack_sqli HTTP_URL_ARGS 1;drop table users"),
        ("/a?id=1+and+sleep(5)", "application_attack_sqli HTTP_URL_ARGS 1 and sleep(5)"),
        ("/a.php?page=../../etc/passwd", "application_attack_rce HTTP_URL_ARGS ../../etc/passwd"),
        ("/a?c=1;cat+/tmp/x", "application_attack_rce HTTP_URL_ARGS 1;cat /tmp/x"),
        ("/w?c=powershell+Get-Process", "application_attack_rce HTTP_URL_ARGS powershell Get-Process"),
        ("/w?c=${jndi:ldap://x/y}", "application_attack_rce HTTP_URL_ARGS ${jndi:ldap://x/y}"),
        (
            "/search?q=%3Cscript%3Ealert(1)%3C/script%3E",
            "application_attack_xss HTTP_URL_ARGS <script>alert(1)</script>",
        ),
        ("/a?q=%3Cimg+src=x+onerror=f%3E", "application_attack_xss HTTP_URL_ARGS <img src=x onerror=f>"),
        ("/x.php?f=phpinfo()", "application_attack_php HTTP_URL_ARGS phpinfo()"),
        ("/x.php?f=php://input", "application_attack_php HTTP_URL_ARGS php://input"),
        ("/x?$_GET[a]=1", "application_attack_php HTTP_URL_ARGS_NAMES $_GET[a]"),
        ("/.htaccess", "application_attack_lfi HTTP_URL_FILENAME /.htaccess"),
        ("/a/.git/config", "application_attack_lfi HTTP_URL_FILENAME /a/.git/config"),
        ("/../../boot.ini", "application_attack_lfi HTTP_URL_RAW /../../boot.ini"),
        ("/a?f=windows/win.ini", "application_attack_lfi HTTP_URL_ARGS windows/win.ini"),
        ("/?u=http://192.0.2.1/shell.txt", "application_attack_rfi HTTP_URL_ARGS http://192.0.2.1/shell.txt"),
        ("/a?b=1%0d%0aSet-Cookie:+x=1", "protocol_attack HTTP_URL_ARGS 1\r\nSet-Cookie: x=1"),
        ("/a%00", "protocol_attack HTTP_URL_RAW /a%00"),
        ("a b", "protocol_enforcement HTTP_METHOD_AND_URL GET a b"),
        ("/nessus_is_probing_you_1", "scanner_detection HTTP_URL_FILENAME /nessus_is_probing_you_1"),
    ] {
        assert_eq!(url(asked), format!("{rule}"), "{asked}");
    }
    for asked in [
        "/",
        "/?sid=1&a=b",
        "/search?q=cat+pictures&lang=en",
        "/a/b.html?from=2023-01-01&to=2023-02-01#x",
        "http://www.example.com/a?url=https%3A%2F%2Fwww.example.org%2Fb",
        "/shop?order=price&select=all&page=2",
        "/a?name=O%27Brien&text=this+and+that+or+more",
        "/a?mail=a.b%40example.com&redirect=/account/settings",
    ] {
        assert_eq!(url(asked), "", "{asked}");
    }
    assert_eq!(found(&all, "PROPFIND", "/", "h", "a"), "method_enforcement HTTP_METHOD PROPFIND");
    assert_eq!(found(&all, "get", "/", "h", "a"), "");
    assert_eq!(found(&all, "GET", "/", "", "a"), "protocol_enforcement HTTP_HOST ");
    assert_eq!(found(&all, "GET", "/", "h", ""), "protocol_enforcement HTTP_USER_AGENT ");
    assert_eq!(found(&all, "GET", "/", "h", "sqlmap/1.4.7"), "scanner_detection HTTP_USER_AGENT sqlmap/1.4.7");
    assert_eq!(found(&all, "GET", "/", "h", "notsqlmap"), "");
}

#[test]
fn files_in_the_original_form() {
    let folder = tempfile::TempDir::new().unwrap();
    for name in ["rules", "data"] {
        std::fs::create_dir(folder.path().join(name)).unwrap();
    }
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("rules/request-application-attack-xss.data", "x(?=y) ** HTTP_URL,HTTP_URL_ARGS\n\n(?i)Zz ** HTTP_HOST\n");
    write("data/lfi-os-files.data", "a.b\n\nC$\n");
    let load = || Signatures::load(&RULES, Some(folder.path()));
    let all = load().unwrap();
    assert_eq!(all.len(), 3);
    assert_eq!(found(&all, "GET", "/?a=xy", "zZ", ""), "application_attack_xss HTTP_URL /?a=xy");
    assert_eq!(found(&all, "GET", "/?a=xz&b=c%24", "zZ", ""), "application_attack_xss HTTP_HOST zZ");
    assert_eq!(found(&all, "GET", "/?a=a-b&b=c%24", "", ""), "application_attack_lfi HTTP_URL_ARGS c$");
    assert_eq!(Signatures::load(&RULES[..2], Some(folder.path())).unwrap().len(), 0);
    for bad in ["x", "( ** HTTP_URL", "x ** NO_FIELD"] {
        write("rules/request-application-attack-xss.data", bad);
        assert!(load().unwrap_err().to_string().contains("line 1"), "{bad}");
    }
}

#[test]
fn expressions_of_python() {
    for (python, text, is_match) in [
        (r"\%u\<a\>", "%u<a>", true),
        (r"[]a]b", "]b", true),
        (r"[^]a]b", "]b", false),
        (r"[[a]b", "[b", true),
        (r"[a[]b", "[b", true),
        (r"a{b}c", "a{b}c", true),
        (r"a{2}c", "aac", true),
        (r"a{2,}c", "aaac", true),
        (r"[a&&b~~]", "&", true),
        (r"\@import\Z", "@import", true),
        (r#"\"\'\`\:\=\!"#, "\"'`:=!", true),
        (r"[\w\-\./]+x", "a-./x", true),
        (r"\x00|%00", "a\0", true),
    ] {
        let Ok(Test::Fast(pattern)) = test(python) else { panic!("{python}") };
        assert_eq!(Regex::new(&pattern).unwrap().is_match(text), is_match, "{python} as {pattern}");
    }
    assert!(matches!(test("(?i)^(?!(?:a|b)$)"), Ok(Test::Not(_))));
    assert!(matches!(test(r"(a)\1"), Ok(Test::Slow(_))));
}

proptest! {
    #[test]
    fn any_rules(input in "([a(?=!)\\[\\]{}\\\\1-3|*+^$]{0,12}( \\*\\* )?(HTTP_URL|HTTP_HOST,HTTP_URL_ARGS)?\n){0,3}") {
        fuzz_signatures(input.as_bytes());
    }
}
