//! From an expression to a program: names become places, literals become ranges of the field's type.
//!
//! A term whose field is missing or of the wrong type is constantly false and warned of, in the words of the original.
use super::elements::{floats, numbers, prefixes, times};
use super::program::{Chain, FloatTest, Load, NetTest, Number, Operand, Outcomes, Program, Range, Test};
use super::sets::{Addresses, Numbers, to_unirec};
use super::{Chain as Source, Cmp, Expr, FilterError, Literal, Operand as SourceOperand, Subject, Term};
use super::{posix, protocols, show};
use record::Kind;
use record::unirec::Template;
use std::net::IpAddr;
use std::ops::Sub;

impl Program {
    /// Resolves an expression for records of `template`.
    ///
    /// # Errors
    /// A list with an element that is no value of its field's type: the original calls that a syntax error, too.
    pub fn new(expr: &Expr, template: &Template) -> Result<Program, FilterError> {
        let mut compiler = Compiler { template, warnings: Vec::new(), text: Vec::new() };
        let chain = compiler.chain(&expr.chain, false)?;
        Ok(Program { chain, text: compiler.text, warnings: compiler.warnings })
    }
}

struct Compiler<'t> {
    template: &'t Template,
    warnings: Vec<String>,
    /// The normal form so far.
    text: Vec<u8>,
}

/// A field that a term can use.
#[derive(Clone, Copy)]
struct Found {
    index: usize,
    at: usize,
    kind: Kind,
}

const NEVER: Operand = Operand::Const(false);

impl Compiler<'_> {
    fn chain(&mut self, source: &Source, negated: bool) -> Result<Chain, FilterError> {
        let first = self.operand(&source.first, negated)?;
        let mut rest = Vec::with_capacity(source.rest.len());
        for (join, operand) in &source.rest {
            show::join(&mut self.text, *join);
            rest.push((*join, self.operand(operand, negated)?));
        }
        Ok(Chain { first, rest })
    }

    fn operand(&mut self, source: &SourceOperand, negated: bool) -> Result<Operand, FilterError> {
        match source {
            SourceOperand::Bool(value) => {
                self.text.extend_from_slice(if *value { b"TRUE" } else { b"FALSE" });
                Ok(Operand::Const(*value))
            }
            SourceOperand::Bracket(inner) => {
                self.text.extend_from_slice(b"( ");
                let inner = self.chain(inner, negated)?;
                self.text.extend_from_slice(b" )");
                Ok(Operand::Bracket(Box::new(inner)))
            }
            SourceOperand::Not(inner) => {
                self.text.extend_from_slice(b"! ( ");
                let inner = self.operand(inner, true)?;
                self.text.extend_from_slice(b" )");
                Ok(Operand::Not(Box::new(inner)))
            }
            SourceOperand::Term(term) => self.term(term, negated),
        }
    }

    fn term(&mut self, term: &Term, negated: bool) -> Result<Operand, FilterError> {
        let subject = match &term.subject {
            Subject::Field(name) => name,
            Subject::Host => "host",
            Subject::Port => "port",
            Subject::Protocol => "PROTOCOL",
        };
        if let Literal::Array(elements) = &term.literal {
            return self.array(term, subject, elements);
        }
        // The original resolves names of protocols last, and not behind NOT, which shows in the printed form only.
        let resolved = match &term.literal {
            Literal::Name(name) => Some(self.protocol(name.as_bytes())),
            Literal::Text(text) if term.subject == Subject::Protocol => Some(self.protocol(text)),
            _ => None,
        };
        let shown = resolved.as_ref().filter(|_| !negated).unwrap_or(&term.literal);
        show::comparison(&mut self.text, subject, term.cmp, shown);
        let test = match resolved.as_ref().unwrap_or(&term.literal) {
            Literal::Number { value, .. } if term.subject == Subject::Port => self.port(term.cmp, *value),
            Literal::Number { value, .. } => self.number(subject, term.cmp, *value),
            Literal::Float(value) => self.float(subject, term.cmp, *value),
            Literal::Time(text) => self.time(subject, term.cmp, text),
            Literal::Ip(address) => self.address(&term.subject, term.cmp, *address, None),
            Literal::Net { address, bits } => self.address(&term.subject, term.cmp, *address, Some(*bits)),
            Literal::Text(text) => self.text(subject, term.cmp, text),
            Literal::Name(_) | Literal::Array(_) => None,
        };
        Ok(test.map_or(NEVER, Operand::Test))
    }

    /// Number of a protocol; an unknown name is 0, as in the original.
    fn protocol(&mut self, name: &[u8]) -> Literal {
        let number = protocols::number(name).unwrap_or_else(|| {
            let name = String::from_utf8_lossy(name);
            self.warnings.push(format!("Error: Protocol {name} is not known, revisit /etc/protocols."));
            0
        });
        Literal::Number { value: number.into(), is_signed: false }
    }

    fn number(&mut self, field: &str, cmp: Cmp, value: i64) -> Option<Test> {
        let found = self.find(field)?;
        let Some(at) = integer_at(found) else {
            let why = if found.kind == Kind::Time {
                format!(
                    "Error: {field} is ur_time_t, date&time is expected in comparison (Format: YYYY-mm-ddTHH:MM:SS.sss, where .sss \
                     is optional)."
                )
            } else {
                format!("Error: Type of {field} is not integer.")
            };
            return self.never(&why);
        };
        // QUIRK: compared in 64 bits, signed for uint8 and the signed types, unsigned for the others (spec section 4.3).
        let range = match at.load {
            Load::U8 => match u64::try_from(value) {
                Ok(value) => range(cmp, value, u64::MAX)?,
                // Below every value of the field: compare as if with less than zero.
                Err(_) => below_all(cmp)?,
            },
            load => range(cmp, ordered(load, value), u64::MAX)?,
        };
        Some(Test::Number { at, range })
    }

    fn port(&mut self, cmp: Cmp, value: i64) -> Option<Test> {
        if value > i64::from(u16::MAX) {
            let why = "port is only 16b field but a value bigger than 65535 was given. This can work badly.";
            self.warnings.push(format!("Warning: {why}"));
        }
        let mut port = |name: &str| {
            let found = self.find(name)?;
            if found.kind != Kind::U16 {
                return self.never(&format!("Error: Type of {name} is not integer."));
            }
            Some(Number { at: found.at, load: Load::U16 })
        };
        let (src, dst) = (port("SRC_PORT"), port("DST_PORT"));
        Some(Test::Either { src: src?, dst: dst?, range: range(cmp, value as u64, u64::MAX)? })
    }

    fn float(&mut self, field: &str, cmp: Cmp, value: f64) -> Option<Test> {
        let found = self.find(field)?;
        let Some(at) = float_at(found) else {
            return self.never(&format!("Warning: Type of {field} is not float."));
        };
        Some(Test::Float { at, compare: FloatTest { value, outcomes: outcomes(cmp)? } })
    }

    fn time(&mut self, field: &str, cmp: Cmp, text: &[u8]) -> Option<Test> {
        let found = self.find(field);
        if found.is_some_and(|f| f.kind != Kind::Time) {
            self.never::<()>(&format!("Warning: Type of {field} is not UR_TIME."));
        }
        let Some(fixed) = show::fixed_time(text) else {
            let text = String::from_utf8_lossy(text);
            self.warnings.push(format!(
                "Error: {text} could not be loaded. Expected format: YYYY-mm-ddTHH:MM:SS.sss, where .sss is optional. Eg. \
                 2018-06-27T19:44:41.123."
            ));
            return None;
        };
        let found = found.filter(|f| f.kind == Kind::Time)?;
        Some(Test::Number { at: Number { at: found.at, load: Load::U64 }, range: range(cmp, fixed, u64::MAX)? })
    }

    fn address(&mut self, subject: &Subject, cmp: Cmp, address: IpAddr, bits: Option<u8>) -> Option<Test> {
        let first = match subject {
            Subject::Field(name) => self.ip(name, name),
            _ => self.ip("SRC_IP", "host"),
        };
        let also = match subject {
            Subject::Field(_) => None,
            _ => Some(self.ip("DST_IP", "host")),
        };
        let (first, also) = (first?, also.map_or(Some(None), |found| found.map(Some))?);
        let outcomes = outcomes(cmp)?;
        let Some(bits) = bits else {
            let value = to_unirec(address);
            return match also {
                None => Some(Test::Address { at: first, range: range(cmp, value, u128::MAX)? }),
                also => Some(Test::Net(NetTest { at: first, also, version: None, mask: u128::MAX, value, outcomes })),
            };
        };
        let (mask, otherwise) = (mask(address, bits), matches!(cmp, Cmp::Ne | Cmp::Lt | Cmp::Gt));
        let version = Some((address.is_ipv4(), otherwise));
        Some(Test::Net(NetTest { at: first, also, version, mask, value: to_unirec(address) & mask, outcomes }))
    }

    fn text(&mut self, field: &str, cmp: Cmp, text: &[u8]) -> Option<Test> {
        let regex = match cmp {
            Cmp::Regex => match posix::compile(text) {
                Ok(regex) => Some(regex),
                Err(why) => {
                    self.warnings.push(format!("Regexp error: {why}"));
                    return None;
                }
            },
            _ => None,
        };
        let found = self.find(field)?;
        if !matches!(found.kind, Kind::Text | Kind::Bytes | Kind::Char) {
            return self.never(&format!("Warning: Type of {field} is not string."));
        }
        let negate = cmp == Cmp::Ne;
        Some(match (regex, found.kind, text) {
            (Some(regex), ..) => Test::Regex { field: found.index, regex },
            (None, Kind::Char, [byte]) => Test::Char { at: found.at, byte: *byte, negate },
            // A literal that is not one character equals no char; no value of one byte equals it either.
            (None, ..) => Test::Text { field: found.index, text: text.to_vec(), negate },
        })
    }

    /// Any operator is taken for IN, as in the original.
    fn array(&mut self, term: &Term, subject: &str, elements: &[Vec<u8>]) -> Result<Operand, FilterError> {
        let (first, second) = match &term.subject {
            Subject::Host => ("SRC_IP", Some("DST_IP")),
            Subject::Port => ("SRC_PORT", Some("DST_PORT")),
            _ => (subject, None),
        };
        let found = self.present(first, subject);
        let also = second.and_then(|name| self.present(name, subject));
        let Some(found) = found else {
            show::array(&mut self.text, subject, &[]);
            return Ok(NEVER);
        };
        // The second field only counts if it can be compared with the same list.
        let also = also.filter(|also| also.kind == found.kind);
        let list_kind = || FilterError::ListKind { field: subject.to_owned(), kind: found.kind.unirec_name() };
        let test = if let Some(at) = integer_at(found) {
            let mut values = numbers(subject, elements, at.load)?;
            values.sort_unstable_by_key(|v| ordered(at.load, *v));
            let is_signed = at.load.is_signed();
            let shown: Vec<_> =
                values.iter().map(|v| if is_signed { v.to_string() } else { (*v as u64).to_string() }).collect();
            show::array(&mut self.text, subject, &shown);
            let values = Numbers::new(values.iter().map(|v| ordered(at.load, *v)).collect());
            Test::NumberIn { at, also: also.and_then(integer_at), values }
        } else if let Some(at) = float_at(found) {
            let mut values = floats(subject, elements)?;
            values.sort_unstable_by(f64::total_cmp);
            let shown: Vec<_> = values.iter().map(|v| format!("{v:.6}")).collect();
            show::array(&mut self.text, subject, &shown);
            Test::FloatIn { at, values }
        } else if found.kind == Kind::Time {
            let mut values = times(subject, elements)?;
            values.sort_unstable();
            let shown: Vec<_> = values.iter().map(|fixed| show::millis(*fixed)).collect();
            show::array(&mut self.text, subject, &shown);
            Test::NumberIn { at: Number { at: found.at, load: Load::U64 }, also: None, values: Numbers::new(values) }
        } else if found.kind == Kind::Ip {
            let mut prefixes = prefixes(subject, elements)?;
            prefixes.sort_by_key(|(address, bits)| (address.is_ipv6(), to_unirec(*address) & mask(*address, *bits)));
            let shown: Vec<_> = prefixes.iter().map(|(address, bits)| show::network(*address, *bits)).collect();
            show::array(&mut self.text, subject, &shown);
            Test::AddressIn { at: found.at, also: also.map(|f| f.at), set: Addresses::new(prefixes) }
        } else {
            return Err(list_kind());
        };
        Ok(Operand::Test(test))
    }

    fn ip(&mut self, name: &str, shown: &str) -> Option<usize> {
        let found = self.present(name, shown)?;
        if found.kind != Kind::Ip {
            return self.never(&format!("Warning: Type of {shown} is not IP address."));
        }
        Some(found.at)
    }

    fn find(&mut self, name: &str) -> Option<Found> {
        self.present(name, name)
    }

    /// A field of the template; messages name it as the user did.
    fn present(&mut self, name: &str, shown: &str) -> Option<Found> {
        match self.template.index_of(name) {
            Some(index) => {
                let field = &self.template.fields()[index];
                Some(Found { index, at: field.offset, kind: field.kind })
            }
            None => self.never(&format!("Warning: {shown} is not present in input format.")),
        }
    }

    fn never<T>(&mut self, why: &str) -> Option<T> {
        self.warnings.push(format!("{why} Corresponding rule will always evaluate false."));
        None
    }
}

fn integer_at(found: Found) -> Option<Number> {
    let load = match found.kind {
        Kind::U8 => Load::U8,
        Kind::U16 => Load::U16,
        Kind::U32 => Load::U32,
        Kind::U64 => Load::U64,
        Kind::I8 => Load::I8,
        Kind::I16 => Load::I16,
        Kind::I32 => Load::I32,
        Kind::I64 => Load::I64,
        _ => return None,
    };
    Some(Number { at: found.at, load })
}

fn float_at(found: Found) -> Option<Number> {
    let load = match found.kind {
        Kind::F32 => Load::F32,
        Kind::F64 => Load::F64,
        _ => return None,
    };
    Some(Number { at: found.at, load })
}

/// A literal in the order in which [`Number`] reads the field.
fn ordered(load: Load, value: i64) -> u64 {
    if load.is_signed() { value as u64 ^ 1 << 63 } else { value as u64 }
}

/// The values for which a comparison holds, of numbers from 0 to `max`; `None` for operators that never do.
fn range<T: Copy + Default + Sub<Output = T>>(cmp: Cmp, value: T, max: T) -> Option<Range<T>> {
    let (below, above) = (|negate| Range { first: T::default(), span: value, negate }, max - value);
    Some(match cmp {
        Cmp::Eq => Range { first: value, span: T::default(), negate: false },
        Cmp::Ne => Range { first: value, span: T::default(), negate: true },
        Cmp::Le => below(false),
        Cmp::Gt => below(true),
        Cmp::Ge => Range { first: value, span: above, negate: false },
        Cmp::Lt => Range { first: value, span: above, negate: true },
        Cmp::In | Cmp::Regex => return None,
    })
}

/// A comparison with a number below every value: all or nothing.
fn below_all(cmp: Cmp) -> Option<Range<u64>> {
    let outcome = outcomes(cmp)?.greater;
    Some(Range { first: 0, span: u64::MAX, negate: !outcome })
}

fn outcomes(cmp: Cmp) -> Option<Outcomes> {
    let (less, equal, greater) = match cmp {
        Cmp::Eq => (false, true, false),
        Cmp::Ne => (true, false, true),
        Cmp::Lt => (true, false, false),
        Cmp::Le => (true, true, false),
        Cmp::Gt => (false, false, true),
        Cmp::Ge => (false, true, true),
        Cmp::In | Cmp::Regex => return None,
    };
    Some(Outcomes { less, equal, greater })
}

/// Mask of a prefix in UniRec form.
fn mask(address: IpAddr, bits: u8) -> u128 {
    match address {
        IpAddr::V4(_) => {
            let hosts = u32::MAX.checked_shr(bits.into()).unwrap_or(0);
            u128::from(!hosts) << 32 | u128::from(u32::MAX)
        }
        IpAddr::V6(_) => !u128::MAX.checked_shr(bits.into()).unwrap_or(0),
    }
}
