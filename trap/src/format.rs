//! The data format of an interface and the comparison that both sides' negotiation rests on (trap.md section 4).

use std::collections::HashSet;

/// What messages look like. The text is the template specifier, e.g. `ipaddr SRC_IP,uint64 BYTES`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Format {
    /// Not known yet: outputs refuse clients politely, inputs match nothing.
    #[default]
    Unknown,
    /// Bytes without a template.
    Raw,
    /// UniRec records of this template. As a requirement, the empty text accepts any template.
    UniRec(String),
    /// JSON texts; the specifier is free text and may be empty.
    Json(String),
}

impl Format {
    /// Number on the wire: 0 unknown, 1 raw, 2 UniRec, 3 JSON (trap.md section 4.1).
    #[must_use]
    pub fn type_byte(&self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Raw => 1,
            Self::UniRec(_) => 2,
            Self::Json(_) => 3,
        }
    }

    /// Template specifier; empty for raw and unknown.
    #[must_use]
    pub fn spec(&self) -> &str {
        match self {
            Self::UniRec(spec) | Self::Json(spec) => spec,
            Self::Unknown | Self::Raw => "",
        }
    }

    fn name(&self) -> &'static str {
        ["UNKNOWN", "RAW", "UNIREC", "JSON"][usize::from(self.type_byte())]
    }
}

/// Outcome of a negotiation (trap.md section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Go on with the template that the receiver already has.
    Same,
    /// Go on; the receiver must take the offered template before the first message.
    Changed,
    /// Nothing can be received; the text names the first reason.
    Mismatch(String),
}

/// Decides whether a receiver that requires `required` can read what the sender `offered`. `previous` is the last format
/// that this input accepted, if any.
#[must_use]
pub fn negotiate(required: &Format, offered: &Format, previous: Option<&Format>) -> Verdict {
    let is_new = previous.is_some_and(|old| old != offered);
    let same_or_new = if is_new { Verdict::Changed } else { Verdict::Same };
    match (required, offered) {
        (Format::Raw, Format::Raw) => Verdict::Same,
        (Format::UniRec(_), Format::UniRec(spec)) if spec.is_empty() => {
            Verdict::Mismatch("sender offers a UNIREC template without fields.".into())
        }
        (Format::UniRec(wanted), Format::UniRec(spec)) => match first_missing(wanted, spec) {
            Some(field) => Verdict::Mismatch(format!(
                "required field `{field}` not offered by sender.\nReceived specifier: {spec}"
            )),
            // The original tests by length of text, not by set; equal sets have equal length.
            None if spec.len() > wanted.len() => Verdict::Changed,
            None => same_or_new,
        },
        (Format::Json(wanted), Format::Json(spec)) => {
            if wanted.is_empty() || wanted == spec {
                same_or_new
            } else {
                Verdict::Mismatch(format!("required JSON specifier `{wanted}` differs.\nReceived specifier: {spec}"))
            }
        }
        _ => Verdict::Mismatch(format!("required format is {}, sender offers {}.", required.name(), offered.name())),
    }
}

/// First item of `wanted` that `offered` lacks. Items are compared as text, so type and name must both be equal and extra
/// blanks make them differ; order is free (trap.md section 4.3).
fn first_missing<'a>(wanted: &'a str, offered: &str) -> Option<&'a str> {
    let offered: HashSet<&str> = offered.split(',').collect();
    wanted.split(',').filter(|item| !item.is_empty()).find(|item| !offered.contains(item))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unirec(spec: &str) -> Format {
        Format::UniRec(spec.into())
    }

    #[test]
    fn unirec_subset_equal_and_missing() {
        let offered = unirec("ipaddr A,uint16 B");
        assert_eq!(negotiate(&unirec(""), &offered, None), Verdict::Changed);
        assert_eq!(negotiate(&unirec("uint16 B"), &offered, None), Verdict::Changed);
        assert_eq!(negotiate(&unirec("uint16 B,ipaddr A"), &offered, None), Verdict::Same);
        assert_eq!(negotiate(&unirec("uint16 B,ipaddr A"), &offered, Some(&offered)), Verdict::Same);
        let other = unirec("uint16 B,ipaddr A");
        assert_eq!(negotiate(&other, &offered, Some(&other)), Verdict::Changed);
        for wrong in ["uint32 B", "uint16 C", "uint16  B"] {
            let Verdict::Mismatch(text) = negotiate(&unirec(wrong), &offered, None) else { panic!("{wrong} matched") };
            assert_eq!(
                text,
                format!("required field `{wrong}` not offered by sender.\nReceived specifier: ipaddr A,uint16 B")
            );
        }
    }

    #[test]
    fn json_raw_and_unknown() {
        let json = |s: &str| Format::Json(s.into());
        assert_eq!(negotiate(&json(""), &json("x"), None), Verdict::Same);
        assert_eq!(negotiate(&json(""), &json("x"), Some(&json("y"))), Verdict::Changed);
        assert_eq!(negotiate(&json("x"), &json("x"), None), Verdict::Same);
        assert!(matches!(negotiate(&json("x"), &json(""), None), Verdict::Mismatch(_)));
        assert!(matches!(negotiate(&json("zzz"), &unirec("uint8 A"), None), Verdict::Mismatch(_)));
        assert_eq!(negotiate(&Format::Raw, &Format::Raw, Some(&json("x"))), Verdict::Same);
        assert!(matches!(negotiate(&Format::Unknown, &Format::Raw, None), Verdict::Mismatch(_)));
        assert!(matches!(negotiate(&unirec(""), &unirec(""), None), Verdict::Mismatch(_)));
    }
}
