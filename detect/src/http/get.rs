//! A file from a server, if it is another one than is known (RFC 9110 section 13.1, RFC 9112 section 7.1).
use super::{HttpError, REDIRECTS_MAX, Stream, Url, connect, read_head};
use crate::client::{Limits, Trust};
use std::io::{self, Read};
use trap::Stop;

/// What a server said of a file, for asking whether it changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Version {
    /// `ETag`.
    pub tag: Option<String>,
    /// `Last-Modified`.
    pub modified: Option<String>,
}

/// What a server has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// The file that is known already.
    Same,
    File(Vec<u8>, Version),
}

/// Gets a file of at most `size_max` bytes. The limits count for each server that redirects lead to.
///
/// # Errors
/// See [`HttpError`]; any status but 200 and 304 is one.
pub fn get(
    url: &str,
    known: &Version,
    terms: (Limits, &Trust),
    size_max: usize,
    stop: &Stop,
) -> Result<Fetched, HttpError> {
    let headers = [("If-None-Match", known.tag.as_deref()), ("If-Modified-Since", known.modified.as_deref())];
    fetch(url, &headers, REDIRECTS_MAX, terms, size_max, stop)
}

/// Gets what a server has for who knows a key. Redirects are not followed: the key is for this server.
///
/// # Errors
/// See [`HttpError`]; any status but 200 is one.
pub fn get_with_key(url: &str, key: &str, limits: Limits, size_max: usize, stop: &Stop) -> Result<Vec<u8>, HttpError> {
    match fetch(url, &[("Authorization", Some(key))], 0, (limits, &Trust::System), size_max, stop)? {
        Fetched::File(body, _) => Ok(body),
        Fetched::Same => Err(HttpError::Status(304)),
    }
}

fn fetch(
    url: &str,
    headers: &[(&str, Option<&str>)],
    redirects_max: usize,
    (limits, trust): (Limits, &Trust),
    size_max: usize,
    stop: &Stop,
) -> Result<Fetched, HttpError> {
    let mut url = Url::parse(url)?;
    for _ in 0..=redirects_max {
        let mut stream = connect(&url, limits, trust, stop)?;
        stream.write_all(request(&url, headers).as_bytes())?;
        stream.flush()?;
        let (head, begun) = read_head(&mut *stream)?;
        match (head.status, head.value("location")) {
            (200, _) => {
                let is_chunked =
                    head.value("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
                let length = head.value("content-length").and_then(|length| length.parse().ok());
                let body = Body { begun, at: 0, stream }.read(is_chunked, length, size_max)?;
                let value = |name| head.value(name).map(str::to_owned);
                return Ok(Fetched::File(body, Version { tag: value("etag"), modified: value("last-modified") }));
            }
            (304, _) => return Ok(Fetched::Same),
            (301..=303 | 307 | 308, Some(location)) if redirects_max > 0 => url = url.join(location)?,
            (status, _) => return Err(HttpError::Status(status)),
        }
    }
    Err(HttpError::Redirects)
}

fn request(url: &Url, headers: &[(&str, Option<&str>)]) -> String {
    let mut head = format!(
        "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: sonda\r\nAccept: */*\r\nAccept-Encoding: identity\r\nConnection: close\r\n",
        url.path,
        url.authority()
    );
    for (name, value) in headers {
        // What a server or a user said goes out as one line.
        if let Some(value) = value.filter(|value| !value.contains(char::is_control)) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    head + "\r\n"
}

/// What comes behind the head.
struct Body {
    /// What came with the head, and how much of it was read.
    begun: Vec<u8>,
    at: usize,
    stream: Box<dyn Stream>,
}

impl Body {
    fn read(mut self, is_chunked: bool, length: Option<usize>, size_max: usize) -> Result<Vec<u8>, HttpError> {
        let mut body = Vec::new();
        if is_chunked {
            loop {
                let size = self.chunk_size()?;
                if size == 0 {
                    return Ok(body);
                }
                if size > size_max - body.len() {
                    return Err(HttpError::TooLong(size_max));
                }
                self.exactly(size, &mut body)?;
                let mut end = Vec::new();
                self.exactly(2, &mut end)?;
                if end != b"\r\n" {
                    return Err(HttpError::Answer);
                }
            }
        }
        match length {
            Some(length) if length > size_max => return Err(HttpError::TooLong(size_max)),
            Some(length) => self.exactly(length, &mut body)?,
            None => {
                // A byte more than allowed tells a body that is too long.
                self.by_ref().take(size_max as u64 + 1).read_to_end(&mut body)?;
                if body.len() > size_max {
                    return Err(HttpError::TooLong(size_max));
                }
            }
        }
        Ok(body)
    }

    /// Appends so many bytes.
    fn exactly(&mut self, count: usize, body: &mut Vec<u8>) -> Result<(), HttpError> {
        // Memory is taken as bytes come: the number is the server's word only.
        let got = self.by_ref().take(count as u64).read_to_end(body)?;
        if got == count { Ok(()) } else { Err(HttpError::Answer) }
    }

    /// The size line of a chunk; what follows a semicolon means nothing.
    fn chunk_size(&mut self) -> Result<usize, HttpError> {
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            if line.len() > 256 {
                return Err(HttpError::Answer);
            }
            self.exactly(1, &mut line)?;
        }
        let text = String::from_utf8_lossy(&line);
        let digits = text.split(';').next().unwrap_or_default().trim();
        let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        usize::from_str_radix(digits, 16).ok().filter(|_| is_hex).ok_or(HttpError::Answer)
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut rest = &self.begun[self.at..];
        if rest.is_empty() {
            return self.stream.read(buffer);
        }
        let count = rest.read(buffer)?;
        self.at += count;
        Ok(count)
    }
}

/// Any bytes as a body, in each of the three ways to say where it ends.
pub fn fuzz_body(input: &[u8]) {
    const MAX: usize = 64;
    for (is_chunked, length) in [(true, None), (false, Some(input.len() / 2)), (false, None)] {
        let (begun, rest) = input.split_at(input.len() / 3);
        let stream: Box<dyn Stream> = Box::new(io::Cursor::new(rest.to_vec()));
        let body = Body { begun: begun.to_vec(), at: 0, stream };
        match body.read(is_chunked, length, MAX) {
            Ok(body) => assert!(body.len() <= MAX && (is_chunked || input.starts_with(&body))),
            Err(HttpError::TooLong(max)) => assert_eq!(max, MAX),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(begun: &str, rest: &str, is_chunked: bool, length: Option<usize>) -> Result<Vec<u8>, HttpError> {
        let stream: Box<dyn Stream> = Box::new(io::Cursor::new(rest.as_bytes().to_vec()));
        Body { begun: begun.into(), at: 0, stream }.read(is_chunked, length, 10)
    }

    #[test]
    fn bodies_and_their_ends() {
        assert_eq!(
            read("3;x=y\r\nab", "c\r\nA\r\n", true, None).unwrap_err().to_string(),
            HttpError::TooLong(10).to_string()
        );
        assert_eq!(read("3;x=y\r\nab", "c\r\n2\r\nde\r\n0\r\n\r\n", true, None).unwrap(), b"abcde");
        assert_eq!(read("ab", "cdef", false, Some(4)).unwrap(), b"abcd");
        assert_eq!(read("ab", "cdef", false, None).unwrap(), b"abcdef");
        for (rest, is_chunked, length) in [
            ("x\r\n", true, None),
            ("3\r\nabc", true, None),
            ("-1\r\n", true, None),
            ("abc", false, Some(4)),
            ("\r\n", true, None),
        ] {
            assert!(matches!(read("", rest, is_chunked, length), Err(HttpError::Answer)), "{rest}");
        }
        assert!(matches!(read("", "0123456789x", false, None), Err(HttpError::TooLong(10))));
        assert!(matches!(read("", "", false, Some(11)), Err(HttpError::TooLong(10))));
    }

    proptest! {
        #[test]
        fn any_text(text in "([0-9a-f]{1,2}\r\n[a-z]{0,9}\r\n){0,4}(0\r\n\r\n)?") {
            fuzz_body(text.as_bytes());
        }
    }
}
