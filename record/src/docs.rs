//! The field reference and the list of drop reasons as Markdown, made from the declarations, so that they cannot be out of date.
use crate::element::Element;
use crate::kind::Kind;
use crate::ledger::Reason;
use crate::schema::{Field, Schema};
use std::fmt::Write;

/// One section for each record type: its meaning, and a table of its fields.
pub fn fields(schemas: &[&Schema]) -> String {
    let mut out = String::new();
    for schema in schemas {
        section(&mut out, schema.name, schema.doc);
        out.push_str("| field | type | IPFIX | UniRec | meaning |\n|---|---|---|---|---|\n");
        for field in schema.fields {
            row(&mut out, &[&code(field.name), &kind(field), &ipfix(field), &unirec(field), field.doc]);
        }
        out.push('\n');
    }
    out
}

/// One section for a stage: why something left it early, with the metric label.
pub fn reasons<R: Reason>(doc: &str) -> String {
    let mut out = String::new();
    section(&mut out, R::STAGE, doc);
    out.push_str("| reason | meaning |\n|---|---|\n");
    for reason in R::ALL {
        row(&mut out, &[&code(reason.label()), reason.doc()]);
    }
    out.push('\n');
    out
}

fn section(out: &mut String, name: &str, doc: &str) {
    // Writing into a String cannot fail.
    let _ = write!(out, "## {name}\n\n{}\n\n", paragraph(doc));
}

fn row(out: &mut String, cells: &[&str]) {
    for cell in cells {
        let _ = write!(out, "| {} ", paragraph(cell).replace('|', "\\|"));
    }
    out.push_str("|\n");
}

/// Doc comments come as lines with a leading space.
fn paragraph(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn code(name: &str) -> String {
    format!("`{name}`")
}

fn kind(field: &Field) -> String {
    let name = match field.kind {
        Kind::Text => "text".to_owned(),
        Kind::List(item) => format!("list of {}", item.scalar().unirec_name()),
        kind => kind.unirec_name().to_owned(),
    };
    match field.kind {
        Kind::Text | Kind::Bytes => format!("{name}, at most {} bytes", field.bound),
        Kind::List(_) => format!("{name}, at most {}", field.bound),
        _ => name,
    }
}

fn ipfix(field: &Field) -> String {
    let list = if matches!(field.kind, Kind::List(_)) { "basicList of " } else { "" };
    let one = |e: &Element| format!("{list}{}:{} ({}:{})", e.scope(), e.name, e.pen, e.id);
    let both: Vec<String> = field.ipfix.iter().chain(&field.ipfix_v6).map(one).collect();
    both.join(", ")
}

fn unirec(field: &Field) -> String {
    field.unirec.map_or(String::new(), |name| format!("{} `{name}`", field.kind.unirec_name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::{cesnet, iana};
    use crate::{List, Record, Text, reasons, record};
    use std::net::IpAddr;

    record! {
        /// What a flow
        /// looked like.
        struct Sample = "sample" {
            /// Source | first sender.
            src: IpAddr, ipfix iana::sourceIPv4Address | iana::sourceIPv6Address, unirec "SRC_IP";
            /// Name asked for.
            name: Text<255>, ipfix cesnet::DNSName;
            /// Sizes.
            sizes: List<u16, 30>, ipfix cesnet::packetLength, unirec "PPI_PKT_LENGTHS";
        }
    }
    reasons! {
        /// Why.
        enum Why = "packets" {
            /// Too short
            /// for a header.
            Short = "short",
        }
    }

    #[test]
    fn tables() {
        assert_eq!(
            fields(&[Sample::SCHEMA]),
            "## sample\n\nWhat a flow looked like.\n\n\
             | field | type | IPFIX | UniRec | meaning |\n|---|---|---|---|---|\n\
             | `src` | ipaddr | iana:sourceIPv4Address (0:8), iana:sourceIPv6Address (0:27) | ipaddr `SRC_IP` | Source \\| first sender. |\n\
             | `name` | text, at most 255 bytes | cesnet:DNSName (8057:2) |  | Name asked for. |\n\
             | `sizes` | list of uint16, at most 30 | basicList of cesnet:packetLength (8057:1013) | uint16* `PPI_PKT_LENGTHS` | Sizes. |\n\n"
        );
        assert_eq!(
            reasons::<Why>("Where packets end."),
            "## packets\n\nWhere packets end.\n\n| reason | meaning |\n|---|---|\n| `short` | Too short for a header. |\n\n"
        );
        assert_eq!(Why::Short.index(), 0);
    }
}
