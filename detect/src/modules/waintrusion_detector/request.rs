//! A request as signatures see it: its fields, and what is in its URL, taken apart as Python's urllib does.
use std::borrow::Cow;

/// Parameters of a URL that are looked at.
const ARGUMENTS_MAX: usize = 256;

/// What a signature can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Field {
    Method,
    Url,
    UrlRaw,
    Host,
    UserAgent,
    Referer,
    MethodAndUrl,
    UrlFilename,
    UrlQueryString,
    UrlArgs,
    UrlArgsNames,
}

/// All of them, by their place in the enumeration, with the names that rules and alerts have.
pub(super) const FIELDS: [(Field, &str); 11] = [
    (Field::Method, "HTTP_METHOD"),
    (Field::Url, "HTTP_URL"),
    (Field::UrlRaw, "HTTP_URL_RAW"),
    (Field::Host, "HTTP_HOST"),
    (Field::UserAgent, "HTTP_USER_AGENT"),
    (Field::Referer, "HTTP_REFERER"),
    (Field::MethodAndUrl, "HTTP_METHOD_AND_URL"),
    (Field::UrlFilename, "HTTP_URL_FILENAME"),
    (Field::UrlQueryString, "HTTP_URL_QUERY_STRING"),
    (Field::UrlArgs, "HTTP_URL_ARGS"),
    (Field::UrlArgsNames, "HTTP_URL_ARGS_NAMES"),
];

impl Field {
    pub(super) fn name(self) -> &'static str {
        FIELDS[self as usize].1
    }

    pub(super) fn from_name(name: &str) -> Option<Field> {
        FIELDS.iter().find(|(_, known)| *known == name).map(|(field, _)| *field)
    }
}

/// See the module. What is no UTF-8 is replaced.
#[derive(Clone, Debug)]
pub(super) struct Request<'r> {
    method: Cow<'r, str>,
    url: Cow<'r, str>,
    host: Cow<'r, str>,
    agent: Cow<'r, str>,
    referer: Cow<'r, str>,
    method_and_url: String,
    filename: String,
    query: String,
    /// Different values, decoded.
    values: Vec<String>,
    /// Different names, decoded.
    names: Vec<String>,
}

impl<'r> Request<'r> {
    pub(super) fn new(
        method: &'r [u8],
        url: &'r [u8],
        host: &'r [u8],
        agent: &'r [u8],
        referer: &'r [u8],
    ) -> Request<'r> {
        let text = String::from_utf8_lossy;
        let (method, url) = (text(method), text(url));
        let method_and_url = [&*method, " ", &*url].concat();
        let (filename, query) = path_and_query(&url);
        let (names, values) = arguments(&query);
        let (host, agent, referer) = (text(host), text(agent), text(referer));
        Request { method, url, host, agent, referer, method_and_url, filename, query, values, names }
    }

    /// The values of a field: one, or those of all arguments.
    pub(super) fn values(&self, field: Field) -> impl Iterator<Item = &str> {
        let (one, many): (&str, &[String]) = match field {
            Field::Method => (&self.method, &[]),
            Field::Url | Field::UrlRaw => (&self.url, &[]),
            Field::Host => (&self.host, &[]),
            Field::UserAgent => (&self.agent, &[]),
            Field::Referer => (&self.referer, &[]),
            Field::MethodAndUrl => (&self.method_and_url, &[]),
            Field::UrlFilename => (&self.filename, &[]),
            Field::UrlQueryString => (&self.query, &[]),
            Field::UrlArgs => ("", &self.values),
            Field::UrlArgsNames => ("", &self.names),
        };
        let has_one = !matches!(field, Field::UrlArgs | Field::UrlArgsNames);
        has_one.then_some(one).into_iter().chain(many.iter().map(String::as_str))
    }
}

/// Path without parameters, and query, of a URL (`urllib.parse.urlparse`).
fn path_and_query(url: &str) -> (String, String) {
    let url = url.trim_start_matches(|c: char| c <= ' ');
    let is_left_out = |byte: u8| matches!(byte, b'\t' | b'\r' | b'\n');
    let url = match url.bytes().any(is_left_out) {
        true => Cow::Owned(url.replace(['\t', '\r', '\n'], "")),
        false => Cow::Borrowed(url),
    };
    let mut rest = &url[..];
    let mut scheme = String::new();
    if let Some((before, behind)) = rest.split_once(':')
        && before.starts_with(|c: char| c.is_ascii_alphabetic())
        && before.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    {
        (scheme, rest) = (before.to_ascii_lowercase(), behind);
    }
    if let Some(behind) = rest.strip_prefix("//") {
        rest = &behind[behind.find(['/', '?', '#']).unwrap_or(behind.len())..];
    }
    rest = rest.split_once('#').map_or(rest, |(before, _)| before);
    let (mut path, query) = rest.split_once('?').unwrap_or((rest, ""));
    if matches!(&scheme[..], "" | "http" | "https" | "ftp" | "sftp" | "rtsp" | "rtspu" | "sip" | "sips" | "mms" | "tel")
    {
        let last = path.rfind('/').unwrap_or(0);
        path = path[last..].find(';').map_or(path, |at| &path[..last + at]);
    }
    (path.to_owned(), query.to_owned())
}

/// Different names and values of a query, in order; parameters without a value are left out (`urllib.parse.parse_qs`).
fn arguments(query: &str) -> (Vec<String>, Vec<String>) {
    let (mut names, mut values) = (Vec::new(), Vec::new());
    let pairs = query.split('&').filter_map(|pair| pair.split_once('=')).filter(|(_, value)| !value.is_empty());
    for (name, value) in pairs.take(ARGUMENTS_MAX) {
        for (text, list) in [(name, &mut names), (value, &mut values)] {
            let text = decode(text);
            if !list.contains(&text) {
                list.push(text);
            }
        }
    }
    (names, values)
}

/// `+` is a blank, `%XX` a byte; bytes that are no UTF-8 are replaced.
fn decode(text: &str) -> String {
    if !text.contains(['+', '%']) {
        return text.to_owned();
    }
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let digit = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                // Two digits of four bits.
                out.push((high << 4 | low) as u8);
                at += 3;
            }
            _ => {
                out.push(if *byte == b'+' { b' ' } else { *byte });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parts(url: &str) -> (String, String) {
        path_and_query(url)
    }

    #[test]
    fn urls_are_taken_apart() {
        let pair = |path: &str, query: &str| (path.to_owned(), query.to_owned());
        assert_eq!(parts("/a.php?x=1#y?z"), pair("/a.php", "x=1"));
        assert_eq!(parts("http://h:1/p/q;s=1?x"), pair("/p/q", "x"));
        assert_eq!(parts("HTTPS://h?x=1"), pair("", "x=1"));
        assert_eq!(parts(" \t/a\r\nb"), pair("/ab", ""));
        assert_eq!(parts("/a;b/c"), pair("/a;b/c", ""));
        assert_eq!(parts("mailto:a;b?c"), pair("a;b", "c"));
        assert_eq!(parts("1x:y?z"), pair("1x:y", "z"));
    }

    #[test]
    fn arguments_are_decoded() {
        let (names, values) = arguments("a=1+union&b=&c&%3Cx%3e=%zz%4&a=2&d=1%20union&&e=%ff%C3%A9=");
        assert_eq!(names, ["a", "<x>", "d", "e"]);
        assert_eq!(values, ["1 union", "%zz%4", "2", "\u{fffd}é="]);
    }

    proptest! {
        #[test]
        fn any_url(url in "[a%+&=?#/;:.\\PC]{0,40}") {
            let (path, query) = path_and_query(&url);
            prop_assert!(path.len() + query.len() <= url.len());
            arguments(&query);
        }
    }
}
