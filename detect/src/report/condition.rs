//! Conditions of rules: the language of pynspect 0.22 over IDEA messages (spec/idea.md section 2.3).
//!
//! ```text
//! Category == 'Recon.Scanning' and (Source.IP4 in [192.0.2.0/24, "10.0.0.1-10.0.0.9"] or FlowCount * 2 > 1000)
//! ```
//!
//! Contract: a condition that was read can be asked of any message and answers in bounded time; what the original ends with an
//! exception (text less than number, a bad address in a message) is not so here: undefined, which is false.
mod compile;
mod eval;
mod lexer;
mod parser;
mod tree;
mod value;

pub use lexer::LexError;
pub use parser::ParseError;
pub use value::AddressRange;

use serde_json::Value;
use tree::Node;

/// Bytes of a condition with its address groups written out, at the most.
pub const TEXT_MAX: usize = 16 * 1024 * 1024;

/// Why a condition is refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ConditionError {
    #[error("the condition is longer than {TEXT_MAX} bytes")]
    TooLong,
    #[error(transparent)]
    Lex(#[from] LexError),
    #[error(transparent)]
    Parse(#[from] ParseError),
    #[error("\"{0}\" is no address, prefix or range, but is compared with {1}")]
    Address(String, String),
    #[error("\"{0}\" is no time, but is compared with {1}")]
    Time(String, String),
    #[error("\"{0}\" is no regular expression: {1}")]
    Pattern(String, String),
    #[error("there is no function {0}: they are size, strlen, time, utcnow")]
    Function(String),
    #[error("function {0} takes {1} argument")]
    Arguments(String, &'static str),
    #[error("\"{0}\" is no path such as Source[1].IP4")]
    Path(String),
}

/// A condition that was read.
#[derive(Clone, Debug)]
pub struct Condition(Node);

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// See [`ConditionError`].
    pub fn parse(text: &str) -> Result<Condition, ConditionError> {
        if text.len() > TEXT_MAX {
            return Err(ConditionError::TooLong);
        }
        let tokens = lexer::tokens(text)?;
        let tree = parser::parse(&tokens)?;
        Ok(Condition(compile::compile(tree)?))
    }

    /// Whether it is true for a message.
    pub fn holds(&self, message: &Value) -> bool {
        eval::eval(&self.0, message).is_truthy()
    }
}

/// Any condition, asked of a message: an answer, and always the same.
pub fn fuzz_condition(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let Ok(condition) = Condition::parse(&text) else { return };
    let message = serde_json::json!({
        "ConnCount": 2, "Category": ["Recon.Scanning", "Test"], "DetectTime": "2023-01-02T10:15:00Z",
        "Source": [{"IP4": ["192.0.2.1", "198.51.100.0/24"], "Port": [80, 443]}, {"IP6": ["2001:db8::1"]}],
    });
    if !text.contains("time") && !text.contains("utcnow") {
        assert_eq!(condition.holds(&message), condition.holds(&message));
    }
    condition.holds(&Value::Null);
}

#[cfg(test)]
#[path = "condition/condition_tests.rs"]
mod tests;
