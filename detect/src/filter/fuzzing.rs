//! Any bytes as a filter.
use super::{DEPTH_MAX, Expr, Program};
use record::unirec::{Template, View};

/// A template with a field of each kind that a filter treats by itself.
pub const SPEC: &str = "ipaddr SRC_IP,ipaddr DST_IP,ipaddr I,macaddr M,time T,uint8 PROTOCOL,uint8 A,int8 B,uint16 SRC_PORT,\
    uint16 DST_PORT,int16 C,uint32 D,int32 E,uint64 F,int64 G,float H,double J,char K,string S,bytes N,uint16* L";

/// A filter up to the first line end, behind it a record: parsing and evaluating end; the normal form is read as the same filter.
pub fn fuzz_filter(input: &[u8]) {
    let end = input.iter().position(|b| *b == b'\n').unwrap_or(input.len());
    let (text, record) = (&input[..end], input.get(end + 1..).unwrap_or(&[]));
    let Ok(Some(expr)) = Expr::parse(text) else { return };
    let Ok(template) = Template::parse(SPEC) else { return };
    let Ok(program) = Program::new(&expr, &template) else { return };
    let mut bytes = record.to_vec();
    bytes.resize(bytes.len().max(template.static_size()), 0);
    let Ok(view) = View::new(&template, &bytes) else { return };
    let accepts = program.accepts(&view);
    // A term in parentheses and denied twice says the same.
    let wrapped = [b"not (not (", text, b"))"].concat();
    if let Ok(Some(expr)) = Expr::parse(&wrapped)
        && let Ok(program) = Program::new(&expr, &template)
    {
        assert_eq!(program.accepts(&view), accepts);
    } else {
        let depth = text.iter().filter(|b| matches!(b, b'(' | b'!' | b'n' | b'N')).count();
        let has_quote = text.iter().any(|b| matches!(b, b'"' | b'\''));
        // A sign at the end stands alone there, and not before a bracket.
        let has_sign = text.last().is_some_and(u8::is_ascii_punctuation);
        assert!(
            depth + 4 >= DEPTH_MAX || has_quote || has_sign || text.len() + 16 > super::TEXT_MAX,
            "brackets change no filter"
        );
    }
}
