//! Rules as written: `NAME:FUNCTION(FIELD)[:FILTER]`.
use super::windows::Timing;
use crate::filter::{Expr, FilterError};

/// One value of an output.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Name of the field in the output.
    pub name: String,
    pub function: Function,
    /// The field that is aggregated, in capitals.
    pub field: String,
    pub filter: Option<Filter>,
    pub timing: Timing,
}

/// Which records count.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    pub text: String,
    /// `None` accepts every record.
    pub expr: Option<Expr>,
}

/// What is made of the values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Function {
    Sum,
    Count,
    /// Sum by count.
    Avg,
    /// Sum by seconds of the window.
    Rate,
    /// Distinct values.
    CountUniq,
}

/// Why a rule was refused, in the words of the original as far as it has any.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    #[error("Syntax error at char {0}: Aggregation rule contains NULL token.")]
    NoFilter(usize),
    #[error("Syntax error at char {0}: Aggregation rule contains unexpected colon\nRule: {1}")]
    Colon(usize, String),
    #[error("Error: Rule name cannot be empty.\nRule: {0}")]
    NoName(String),
    #[error("Error: Rule name contains unexpected characters.\n Rule name: {0}")]
    Name(String),
    #[error(
        "Error: Passed NULL pointer to rule_parse_agg_function. Possibly no aggregation function specified.\nRule: {0}"
    )]
    NoFunction(String),
    #[error("Syntax error: Unexpected {0} parenthesis in aggregation function.\n Aggregation function: {1}")]
    Parenthesis(&'static str, String),
    #[error(
        "Syntax error: Unable to parse aggregation function. Perhaps missing parenthesis?\n Aggregation function: {0}"
    )]
    Missing(String),
    #[error("Error: Unknown aggregation function.\n Function name: {0}")]
    Unknown(String),
    #[error("Parsing error: {why}\n[URFilter] Syntax error in filter: {text}.")]
    Filter { text: String, why: FilterError },
}

impl Rule {
    /// Reads a rule. White space is removed, but kept in the filter, which needs it; `\:` is a colon.
    ///
    /// # Errors
    /// See [`RuleError`].
    pub fn parse(text: &str, timing: Timing) -> Result<Rule, RuleError> {
        let tokens = split(text)?;
        let mut tokens = tokens.iter();
        let name = tokens.next().map(|token| compact(token)).unwrap_or_default();
        if name.is_empty() {
            return Err(RuleError::NoName(text.to_owned()));
        }
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) || !name.chars().all(is_name) {
            return Err(RuleError::Name(name));
        }
        let call = tokens.next().ok_or_else(|| RuleError::NoFunction(text.to_owned()))?;
        let (function, field) = Function::parse_call(&compact(call).to_ascii_uppercase())?;
        let filter = tokens.next().map(|token| Filter::parse(token.trim().to_owned())).transpose()?;
        Ok(Rule { name, function, field, filter, timing })
    }
}

/// Up to three tokens between colons, `\:` resolved.
fn split(text: &str) -> Result<Vec<String>, RuleError> {
    let mut tokens = vec![String::new()];
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let token = tokens.last_mut().filter(|_| c != ':');
        match (token, chars.peek()) {
            (Some(token), Some((_, ':'))) if c == '\\' => {
                token.push(':');
                chars.next();
            }
            (Some(token), _) => token.push(c),
            (None, next) => match (tokens.len(), next) {
                (3, _) => return Err(RuleError::Colon(at + 1, text.to_owned())),
                (2, None | Some((_, ':'))) => return Err(RuleError::NoFilter(at + 2)),
                _ => tokens.push(String::new()),
            },
        }
    }
    Ok(tokens)
}

fn compact(token: &str) -> String {
    token.chars().filter(|c| !c.is_ascii_whitespace() && *c != '\x0b').collect()
}

impl Filter {
    fn parse(text: String) -> Result<Filter, RuleError> {
        match Expr::parse(text.as_bytes()) {
            Ok(expr) => Ok(Filter { text, expr }),
            Err(why) => Err(RuleError::Filter { text, why }),
        }
    }
}

impl Function {
    /// Reads `FUNCTION(FIELD)`, in capitals and without blanks. What follows the closing parenthesis is ignored, as in the original.
    fn parse_call(call: &str) -> Result<(Function, String), RuleError> {
        let missing = || RuleError::Missing(call.to_owned());
        let (name, rest) = call.split_once('(').filter(|(name, _)| !name.is_empty()).ok_or_else(missing)?;
        let parenthesis = |which| RuleError::Parenthesis(which, call.to_owned());
        if rest.contains('(') {
            return Err(parenthesis("opening"));
        }
        let (field, tail) = rest.split_once(')').ok_or_else(missing)?;
        if tail.contains(')') || name.contains(')') {
            return Err(parenthesis("closing"));
        }
        let function = match name {
            "SUM" => Function::Sum,
            "COUNT" => Function::Count,
            "AVG" => Function::Avg,
            "RATE" => Function::Rate,
            "COUNT_UNIQ" => Function::CountUniq,
            _ => return Err(RuleError::Unknown(name.to_owned())),
        };
        Ok((function, field.to_owned()))
    }

    /// Whether the result is a whole number, a `uint64`; others are `double`.
    pub fn is_count(self) -> bool {
        matches!(self, Function::Count | Function::CountUniq)
    }
}

/// Any text as a rule: what is read has a name that UniRec takes, and is read the same with blanks around its parts.
pub fn fuzz_rule(input: &[u8]) {
    let Ok(text) = str::from_utf8(input) else { return };
    let Ok(rule) = Rule::parse(text, Timing::default()) else { return };
    assert!(record::unirec::Template::new([(rule.name.as_str(), record::Kind::U64)]).is_ok());
    let filter = rule.filter.as_ref().map_or(String::new(), |f| format!(": {} ", f.text.replace(':', "\\:")));
    let name = match rule.function {
        Function::Sum => "sum",
        Function::Count => "Count",
        Function::Avg => "AVG",
        Function::Rate => "rate",
        Function::CountUniq => "COUNT_uniq",
    };
    let again = format!(" {} : {name} ( {} ) {filter}", rule.name, rule.field.replace(':', "\\:"));
    assert_eq!(Rule::parse(&again, Timing::default()), Ok(rule), "{again}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Result<Rule, RuleError> {
        Rule::parse(text, Timing::default())
    }

    #[test]
    fn parts_of_a_rule() {
        let rule =
            parse("in_1 : count_uniq ( src_ip ) x: DST_IP in [fe80\\:\\:/8, 10.0.0.0/8] and BYTES > 5 ").unwrap();
        assert_eq!((rule.name.as_str(), rule.function, rule.field.as_str()), ("in_1", Function::CountUniq, "SRC_IP"));
        assert_eq!(rule.filter.unwrap().text, "DST_IP in [fe80::/8, 10.0.0.0/8] and BYTES > 5");
        assert_eq!(parse("A:SUM(B)").unwrap().filter, None);
        // As in the original: a filter of blanks is one, and accepts everything.
        assert_eq!(parse("A:SUM(B): ").unwrap().filter, Some(Filter { text: String::new(), expr: None }));
    }

    #[test]
    fn refusals_begin_as_those_of_the_original() {
        for (text, said) in [
            ("A:SUM(B):", "Syntax error at char 10: Aggregation rule contains NULL token."),
            ("A:SUM(B):C == 1:", "Syntax error at char 16: Aggregation rule contains unexpected colon"),
            ("", "Error: Rule name cannot be empty."),
            (":SUM(B)", "Error: Rule name cannot be empty."),
            ("1A:SUM(B)", "Error: Rule name contains unexpected characters.\n Rule name: 1A"),
            ("A-B:SUM(B)", "Error: Rule name contains unexpected characters."),
            ("A", "Error: Passed NULL pointer to rule_parse_agg_function."),
            ("A:", "Syntax error: Unable to parse aggregation function. Perhaps missing parenthesis?"),
            ("A:SUM", "Syntax error: Unable to parse aggregation function."),
            ("A:SUM(B", "Syntax error: Unable to parse aggregation function."),
            ("A:SUM((B)", "Syntax error: Unexpected opening parenthesis in aggregation function."),
            ("A:SUM(B))", "Syntax error: Unexpected closing parenthesis in aggregation function."),
            ("A:MAX(B)", "Error: Unknown aggregation function.\n Function name: MAX"),
            ("A:SUM(B):C ==", "Parsing error: "),
        ] {
            let why = parse(text).unwrap_err().to_string();
            assert!(why.starts_with(said), "{text}: {why}");
        }
    }

    proptest! {
        #[test]
        fn any_text(text in ".{0,60}") {
            fuzz_rule(text.as_bytes());
        }

        #[test]
        fn nearly_valid(text in " ?[A-Z]{0,2}[_0-9 ]?:(SUM|count|AVG|rate|COUNT_UNIQ)\\(?[A-Z: \\\\]{0,4}\\)?(:([A-Z ]{1,3}(==|>) ?[0-9:\\\\]{1,5}( && )?){0,2})?") {
            fuzz_rule(text.as_bytes());
        }
    }
}
