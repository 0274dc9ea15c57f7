//! Lists of values in one text, as SSDP and DNS-SD export them: each value is there once, and ends with a semicolon.
use record::Text;

/// Appends a value that is not there yet and fits whole; answers whether it is there now.
pub(super) fn add_distinct<const N: usize>(into: &mut Text<N>, value: &[u8]) -> bool {
    if contains(into.as_bytes(), value) {
        return true;
    }
    if value.is_empty() || into.room() <= value.len() {
        return false;
    }
    into.push(value);
    into.push(b";");
    true
}

/// A value may have semicolons of its own, so it is looked for behind each.
fn contains(list: &[u8], value: &[u8]) -> bool {
    let ends = |rest: &[u8]| rest.strip_prefix(value).is_some_and(|behind| behind.first() == Some(&b';'));
    let starts = memchr::memchr_iter(b';', list).map(|at| at + 1);
    std::iter::once(0).chain(starts).any(|at| ends(&list[at..]))
}

/// As many of the whole values as fit.
pub(super) fn copy_whole<const N: usize>(list: &[u8], into: &mut Text<N>) {
    let fits = &list[..list.len().min(N)];
    let end = if fits.len() == list.len() { fits.len() } else { memchr::memrchr(b';', fits).map_or(0, |at| at + 1) };
    into.set(&fits[..end]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_value_once_and_whole() {
        let mut list = Text::<12>::default();
        for (value, taken) in
            [("ab", true), ("a", true), ("b", true), ("ab", true), ("c;a", true), ("xyz", false), ("", false)]
        {
            assert_eq!(add_distinct(&mut list, value.as_bytes()), taken, "{value}");
        }
        assert_eq!(list.as_bytes(), b"ab;a;b;c;a;");
        let mut cut = Text::<8>::default();
        copy_whole(list.as_bytes(), &mut cut);
        assert_eq!(cut.as_bytes(), b"ab;a;b;");
        copy_whole(b"abc;", &mut cut);
        assert_eq!(cut.as_bytes(), b"abc;");
        copy_whole(b"123456789", &mut cut);
        assert!(cut.is_empty());
    }
}
