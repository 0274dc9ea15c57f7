//! Whether a label looks as if a program had made it: by pairs of letters that names of people's choosing hardly have.

/// Shorter labels say nothing: abbreviations look like noise.
const LENGTH_MIN: usize = 8;
/// Share of pairs that are rare from which a label looks generated.
const RARE_SHARE: f64 = 0.5;

/// For each letter those that usually follow it: pairs that are at least one in a thousand of all pairs of letters in the registered
/// labels of the home pages of Debian 12's packages (4239 labels, 27306 pairs; `Homepage:` of `dists/bookworm/main/binary-amd64/Packages`),
/// which are names in many languages that people gave to what they made. 249 pairs of 676.
const USUAL: [&[u8]; 26] = [
    b"bcdgiklmnprstuvy",
    b"aeilorsu",
    b"aehiklorstu",
    b"abefiorsu",
    b"abcdefgiklmnoprstuvwxy",
    b"aefilort",
    b"aeilnoru",
    b"aeiotu",
    b"abcdefgklmnoprstvx",
    b"aes",
    b"aeios",
    b"adeilostuy",
    b"abeilmopsu",
    b"acdefgiklnostu",
    b"bcdfgijklmnoprstuvwx",
    b"aehiloprstuy",
    b"u",
    b"abcdegiklmnorstuy",
    b"acehiklmopstuwy",
    b"acehiloprstuwy",
    b"abcdegilmnprstx",
    b"aei",
    b"aeio",
    b"",
    b"npst",
    b"e",
];

/// The same as bits: bit n of a letter is set if the letter n usually follows it.
const USUAL_BITS: [u32; 26] = {
    let mut bits = [0; 26];
    let mut letter = 0;
    while letter < 26 {
        let mut at = 0;
        while at < USUAL[letter].len() {
            bits[letter] |= 1 << (USUAL[letter][at] - b'a');
            at += 1;
        }
        letter += 1;
    }
    bits
};

/// Whether at least half of the pairs in a label of small letters are rare. A pair of digits counts as none, a digit beside a letter as rare, a
/// hyphen ends a word. Names in other scripts (`xn--`, RFC 3490) are coded, not generated.
pub(super) fn looks_generated(label: &[u8]) -> bool {
    label.len() >= LENGTH_MIN && !label.starts_with(b"xn--") && rare_share(label) >= RARE_SHARE
}

fn rare_share(label: &[u8]) -> f64 {
    let (mut rare, mut pairs) = (0_u32, 0_u32);
    for (first, second) in label.iter().zip(&label[1..]) {
        if [first, second].contains(&&b'-') || first.is_ascii_digit() && second.is_ascii_digit() {
            continue;
        }
        pairs += 1;
        let is_usual = first.is_ascii_lowercase()
            && second.is_ascii_lowercase()
            && USUAL_BITS[usize::from(first - b'a')] & (1 << (second - b'a')) != 0;
        rare += u32::from(!is_usual);
    }
    if pairs == 0 { 0.0 } else { f64::from(rare) / f64::from(pairs) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_people_and_of_programs() {
        for name in [
            "wikipedia",
            "openstreetmap",
            "stackoverflow",
            "kubernetes",
            "tagesschau",
            "ceskatelevize",
            "universidad-complutense",
            "googleusercontent",
            "cloudfront",
            "akamaiedge",
            "xn--bcher-kva",
            "2020202020",
            "qxz",
        ] {
            assert!(!looks_generated(name.as_bytes()), "{name}");
        }
        for name in ["xjpakmdcfuqe", "qvzkhwjtrbx", "k8d2m1x9q7w3", "bgwhzdvklpq", "f5a0c3e9b1d7"] {
            assert!(looks_generated(name.as_bytes()), "{name}");
        }
    }

    #[test]
    fn most_random_labels_are_told() {
        let mut state = 7_u64;
        let mut letter = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            b'a' + ((state >> 40) % 26) as u8
        };
        let labels = (0..2_000).map(|_| (0..12).map(|_| letter()).collect::<Vec<u8>>());
        let found = labels.filter(|label| looks_generated(label)).count();
        assert!((1_400..1_800).contains(&found), "{found} of 2000");
    }
}
