//! Records of one template as records of another, value by value, without decoding them.
use record::unirec::{RECORD_MAX, Template, TooLarge, View};

/// Bytes of the descriptor of a variable-length field (spec/unirec.md section 2).
const DESCRIPTOR: usize = 4;

/// How each field of a template comes out of records of another one: fields of the same name and type are copied, others are zero
/// and empty, or as the model says.
#[derive(Clone, Debug)]
pub struct Recast {
    /// The fixed part with the values of fields that are not copied.
    fixed: Vec<u8>,
    runs: Vec<Run>,
    /// For each variable-length field, in template order.
    vars: Vec<Var>,
    /// Bytes of a variable-length value; the rest of a longer one is cut.
    var_max: usize,
    /// Both templates are the same: records need no change.
    is_same: bool,
}

/// Adjacent fixed-size fields, adjacent in both templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Run {
    from: usize,
    to: usize,
    len: usize,
}

/// Where a variable-length value comes from.
#[derive(Clone, Debug)]
struct Var {
    /// Place of its descriptor.
    at: usize,
    source: Source,
}

#[derive(Clone, Debug)]
enum Source {
    /// Index of a field of the incoming template.
    Field(usize),
    Model(Vec<u8>),
}

impl Recast {
    /// Fields that `from` lacks are zero and empty.
    pub fn new(from: &Template, to: &Template) -> Recast {
        Recast::build(from, to, None, RECORD_MAX)
    }

    /// Fields that `from` lacks are those of `model`, a record of `to`; values of variable length are cut at `var_max` bytes.
    pub fn with_model(from: &Template, model: &View<'_>, var_max: usize) -> Recast {
        Recast::build(from, model.template(), Some(model), var_max)
    }

    fn build(from: &Template, to: &Template, model: Option<&View<'_>>, var_max: usize) -> Recast {
        let mut fixed = vec![0; to.static_size()];
        let (mut runs, mut vars) = (Vec::<Run>::new(), Vec::new());
        for (index, field) in to.fields().iter().enumerate() {
            let source = from.find(&field.name, field.kind);
            let model = model.and_then(|m| m.raw(index)).unwrap_or(&[]);
            match (field.kind.size(), source) {
                (Some(len), Some(source)) => {
                    let run = Run { from: from.fields()[source].offset, to: field.offset, len };
                    match runs.last_mut() {
                        Some(last) if last.from + last.len == run.from && last.to + last.len == run.to => {
                            last.len += len
                        }
                        _ => runs.push(run),
                    }
                }
                (Some(_), None) => fixed[field.offset..field.offset + model.len()].copy_from_slice(model),
                (None, source) => {
                    let source = source.map_or_else(|| Source::Model(model.to_vec()), Source::Field);
                    vars.push(Var { at: field.offset, source });
                }
            }
        }
        Recast { fixed, runs, vars, var_max, is_same: from == to }
    }

    /// Adds the record in the other template to `out`, which after a failure holds a part of it.
    #[inline]
    pub fn append(&self, view: &View<'_>, out: &mut Vec<u8>) -> Result<(), TooLarge> {
        if self.keeps(view) {
            out.extend_from_slice(view.as_bytes());
            return Ok(());
        }
        self.write(view, out)
    }

    /// True when the record stays as it is.
    #[inline]
    pub fn keeps(&self, view: &View<'_>) -> bool {
        // A value longer than the limit makes the record at least as much longer than its fixed part.
        self.is_same && view.as_bytes().len() <= self.fixed.len() + self.var_max
    }

    fn write(&self, view: &View<'_>, out: &mut Vec<u8>) -> Result<(), TooLarge> {
        let begin = out.len();
        out.extend_from_slice(&self.fixed);
        let bytes = view.as_bytes();
        for run in &self.runs {
            out[begin + run.to..begin + run.to + run.len].copy_from_slice(&bytes[run.from..run.from + run.len]);
        }
        for var in &self.vars {
            let data = match &var.source {
                Source::Field(index) => view.raw(*index).unwrap_or(&[]),
                Source::Model(data) => data,
            };
            let data = &data[..data.len().min(self.var_max)];
            let offset = out.len() - begin - self.fixed.len();
            let needed = out.len() - begin + data.len();
            if needed > RECORD_MAX {
                return Err(TooLarge { needed });
            }
            out.extend_from_slice(data);
            put_descriptor(&mut out[begin..], var.at, offset, data.len());
        }
        Ok(())
    }
}

/// Writes the descriptor of a variable-length field; `offset` and `length` are below 65536, because the whole record is.
pub(crate) fn put_descriptor(record: &mut [u8], at: usize, offset: usize, length: usize) {
    let ([o0, o1], [l0, l1]) = ((offset as u16).to_le_bytes(), (length as u16).to_le_bytes());
    record[at..at + DESCRIPTOR].copy_from_slice(&[o0, o1, l0, l1]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::unirec::Builder;

    fn record(template: &Template, values: &[(&str, &str)]) -> Vec<u8> {
        let (mut builder, mut out) = (Builder::new(template), Vec::new());
        for (name, value) in values {
            builder.set_text(template.index_of(name).unwrap(), value.as_bytes()).unwrap();
        }
        builder.finish(&mut out).unwrap();
        out
    }

    #[test]
    fn shared_fields_are_copied_and_others_keep_the_model() {
        let from = Template::parse("uint32 A,uint16 B,uint8 C,string S,string T").unwrap();
        let to = Template::parse("uint32 A,uint16 B,uint16 C,uint8 D,string S,string U").unwrap();
        let incoming = record(&from, &[("A", "1"), ("B", "2"), ("C", "3"), ("S", "abc"), ("T", "tt")]);
        let model = record(&to, &[("C", "7"), ("D", "8"), ("S", "model"), ("U", "uuu")]);
        let want = record(&to, &[("A", "1"), ("B", "2"), ("C", "7"), ("D", "8"), ("S", "ab"), ("U", "uu")]);
        let (view, model) = (View::new(&from, &incoming).unwrap(), View::new(&to, &model).unwrap());
        // Behind what is there already.
        let mut out = b"there".to_vec();
        Recast::with_model(&from, &model, 2).append(&view, &mut out).unwrap();
        assert_eq!(out, [b"there", &want[..]].concat());
        let want = record(&to, &[("A", "1"), ("B", "2"), ("S", "abc")]);
        out.clear();
        Recast::new(&from, &to).append(&view, &mut out).unwrap();
        assert_eq!(out, want);
    }

    #[test]
    fn a_record_that_needs_no_change_stays() {
        let template = Template::parse("uint8 A,string S").unwrap();
        let incoming = record(&template, &[("S", "abcd")]);
        let view = View::new(&template, &incoming).unwrap();
        let (same, cut) = (Recast::new(&template, &template), Recast::with_model(&template, &view, 3));
        assert!(same.keeps(&view) && !cut.keeps(&view));
        let mut out = Vec::new();
        same.append(&view, &mut out).unwrap();
        assert_eq!(out, incoming);
        out.clear();
        cut.append(&view, &mut out).unwrap();
        assert_eq!(View::new(&template, &out).unwrap().bytes(1), Some(&b"abc"[..]));
    }

    #[test]
    fn values_that_share_bytes_cannot_make_a_record_too_long() {
        let from = Template::parse("string S").unwrap();
        let to = Template::parse("string S,string T").unwrap();
        let long = record(&from, &[("S", &"x".repeat(60_000))]);
        let model = record(&to, &[("T", &"y".repeat(60_000))]);
        let (view, model) = (View::new(&from, &long).unwrap(), View::new(&to, &model).unwrap());
        let recast = Recast::with_model(&from, &model, RECORD_MAX);
        assert!(recast.append(&view, &mut Vec::new()).is_err());
    }
}
