//! The answers of a flow as one text, and where each part of it stands: what comes later about a name goes to its entry.
use record::{List, Text};

/// Parts of an entry behind its name, in their order.
#[derive(Clone, Copy)]
pub(super) enum Part {
    Port = 1,
    Target,
    Host,
    Txt,
}

const PARTS: usize = 5;
/// Names that a flow is kept answers of.
const ENTRIES_MAX: usize = 40;

/// Where the parts end, one after the other; each is followed by a semicolon.
#[derive(Default)]
pub struct Marks(List<u16, { PARTS * ENTRIES_MAX }>);

record::packed!(Marks { 0: List<u16, { PARTS * ENTRIES_MAX }> });

impl Marks {
    /// As many whole entries as `len` bytes hold.
    pub(super) fn whole_entries<'t>(&self, text: &'t [u8], len: usize) -> &'t [u8] {
        let ends = self.0.as_slice().iter().skip(PARTS - 1).step_by(PARTS).map(|end| usize::from(*end) + 1);
        let end = ends.take_while(|end| *end <= len).last().unwrap_or(0);
        text.get(..end).unwrap_or_default()
    }

    fn part(&self, at: usize) -> std::ops::Range<usize> {
        let end = |at: usize| usize::from(self.0.as_slice()[at]);
        let start = if at == 0 { 0 } else { end(at - 1) + 1 };
        start..end(at)
    }
}

/// The entry of one name.
pub(super) struct Entry<'r, const N: usize> {
    text: &'r mut Text<N>,
    marks: &'r mut Marks,
    /// The place of its first mark.
    first: usize,
}

impl<'r, const N: usize> Entry<'r, N> {
    /// `None` if there is no room for one more.
    pub(super) fn find_or_add(text: &'r mut Text<N>, marks: &'r mut Marks, name: &[u8]) -> Option<Self> {
        let names = (0..marks.0.len()).step_by(PARTS);
        if let Some(first) = names.into_iter().find(|at| text.as_bytes().get(marks.part(*at)) == Some(name)) {
            return Some(Entry { text, marks, first });
        }
        const EMPTY: &[u8] = b";-1;;;;";
        if text.room() < name.len() + EMPTY.len() || marks.0.len() == PARTS * ENTRIES_MAX {
            return None;
        }
        let first = marks.0.len();
        text.push(name);
        let end = text.len();
        text.push(EMPTY);
        for at in memchr::memchr_iter(b';', EMPTY) {
            marks.0.push((end + at) as u16);
        }
        Some(Entry { text, marks, first })
    }

    /// Replaces a part; one that does not fit leaves the entry as it is.
    pub(super) fn set(&mut self, part: Part, value: &[u8]) {
        let at = self.first + part as usize;
        let old = self.marks.part(at);
        if self.text.len() - old.len() + value.len() > N {
            return;
        }
        let mut next = Text::<N>::default();
        next.push(&self.text.as_bytes()[..old.start]);
        next.push(value);
        next.push(&self.text.as_bytes()[old.end..]);
        *self.text = next;
        for mark in &mut self.marks.0.as_mut_slice()[at..] {
            *mark = *mark - old.len() as u16 + value.len() as u16;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_grow_and_shrink() {
        let (mut text, mut marks) = (Text::<64>::default(), Marks::default());
        let mut set = |name: &str, part: Part, value: &str| {
            if let Some(mut entry) = Entry::find_or_add(&mut text, &mut marks, name.as_bytes()) {
                entry.set(part, value.as_bytes());
            }
        };
        set("a;b", Part::Host, "X86:LINUX");
        set("c", Part::Port, "22");
        set("a;b", Part::Port, "8080");
        set("a;b", Part::Target, "host");
        set("c", Part::Txt, "k=v");
        set("a;b", Part::Port, "9");
        set("c", Part::Target, &"x".repeat(60));
        assert_eq!(text.as_bytes(), b"a;b;9;host;X86:LINUX;;c;22;;;k=v;");
        assert_eq!(marks.whole_entries(text.as_bytes(), 64), text.as_bytes());
        assert_eq!(marks.whole_entries(text.as_bytes(), 30), b"a;b;9;host;X86:LINUX;;");
        assert_eq!(marks.whole_entries(text.as_bytes(), 5), b"");
    }

    #[test]
    fn entries_are_bounded() {
        let (mut text, mut marks) = (Text::<2000>::default(), Marks::default());
        let fits = (0..100).filter(|n| Entry::find_or_add(&mut text, &mut marks, n.to_string().as_bytes()).is_some());
        assert_eq!(fits.count(), ENTRIES_MAX);
        let (mut text, mut marks) = (Text::<10>::default(), Marks::default());
        assert!(Entry::find_or_add(&mut text, &mut marks, b"abcd").is_none());
        assert!(Entry::find_or_add(&mut text, &mut marks, b"abc").is_some());
    }
}
