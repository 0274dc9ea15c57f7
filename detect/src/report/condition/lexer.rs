//! Words of a condition. One expression with all kinds of words in order, as PLY makes of pynspect's: the first that fits is taken, so
//! a name that begins with an operator's word (`index`, `less`) is that operator and a rest.
use regex::Regex;
use std::sync::LazyLock;

/// A word.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Op(Op),
    /// `HH:MM:SS` or `<n>DHH:MM:SS`.
    Span(String),
    Address(String),
    DateTime(String),
    Float(f64),
    Int(i64),
    /// Name of a function; the bracket behind it is part of the word.
    Function(String),
    Path(String),
    Text(String),
    Comma,
    Open,
    Close,
    OpenList,
    CloseList,
}

/// Operators. Symbols for `or`, `xor` and `and` bind more strongly than the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Plus,
    Minus,
    Times,
    Divide,
    Modulo,
    Like,
    In,
    Is,
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
    Or,
    Xor,
    And,
    OrHigh,
    XorHigh,
    AndHigh,
    Not,
    Exists,
}

/// A character that begins no word. The original prints it and goes on; a condition that means something else than it says is worse.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum LexError {
    #[error("Illegal character '{0}' in the condition at byte {1}")]
    Character(char, usize),
    #[error("{0} is too large a number")]
    Number(String),
}

static WORD: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let v4 = r"[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}";
    let v6 = r"[:a-fA-F0-9]+:[:a-fA-F0-9]*";
    let index = r"(?:\[(?:[0-9]+|-[0-9]+|#)\])?";
    let parts = [
        r"(?P<op>-|\+|\*|/|%|like|LIKE|=~|in|IN|~~|is|IS|eq|EQ|==|ne|NE|!=|<>|ge|GE|>=|gt|GT|>|le|LE|<=|lt|LT|<|or|OR|\|\||xor|XOR|\^\^|and|AND|&&|not|NOT|!|exists|EXISTS|\?)".to_owned(),
        r"(?P<span>(?:[0-9]+[D|d])?[0-9]{2}:[0-9]{2}:[0-9]{2})".to_owned(),
        format!(r"(?P<v4>{v4}(?:/[0-9]{{1,2}}|(?:-|\.\.){v4})?)"),
        format!(r"(?P<v6>{v6}(?:/[0-9]{{1,3}}|(?:-|\.\.){v6})?)"),
        r"(?P<time>[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-9]{2}))".to_owned(),
        r"(?P<float>[0-9]+\.[0-9]+)".to_owned(),
        r"(?P<int>[0-9]+)".to_owned(),
        r"(?P<function>[_a-zA-Z][_a-zA-Z0-9]{2,}\()".to_owned(),
        format!(r"(?P<path>[_a-zA-Z][-_a-zA-Z0-9]*{index}(?:\.?[a-zA-Z][-_a-zA-Z0-9]*{index})*)"),
        r#"(?P<text>"[^"]+"|'[^']+')"#.to_owned(),
        r"(?P<blank>[ \t\n]+)".to_owned(),
        r"(?P<sign>[,;()\[\]])".to_owned(),
    ];
    Regex::new(&format!("^(?:{})", parts.join("|"))).ok()
});

/// The words of a text.
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, LexError> {
    let (mut tokens, mut at) = (Vec::new(), 0);
    while let Some(first) = text[at..].chars().next() {
        let found = WORD.as_ref().and_then(|word| word.captures(&text[at..]));
        let found = found.ok_or(LexError::Character(first, at))?;
        let whole = found.get(0).map_or("", |m| m.as_str());
        at += whole.len();
        let is = |name: &str| found.name(name).is_some();
        let text = || whole.to_owned();
        tokens.push(if is("op") {
            Token::Op(operator(whole))
        } else if is("span") {
            Token::Span(text())
        } else if is("v4") || is("v6") {
            Token::Address(text())
        } else if is("time") {
            Token::DateTime(text())
        } else if is("float") {
            Token::Float(whole.parse().map_err(|_| LexError::Number(text()))?)
        } else if is("int") {
            Token::Int(whole.parse().map_err(|_| LexError::Number(text()))?)
        } else if is("function") {
            Token::Function(whole.trim_end_matches('(').to_owned())
        } else if is("path") {
            Token::Path(text())
        } else if is("text") {
            // All quotes go, as in the original: of "it's" the one inside too.
            Token::Text(whole.replace(['"', '\''], ""))
        } else {
            match whole {
                "," | ";" => Token::Comma,
                "(" => Token::Open,
                ")" => Token::Close,
                "[" => Token::OpenList,
                "]" => Token::CloseList,
                _ => continue,
            }
        });
    }
    Ok(tokens)
}

fn operator(word: &str) -> Op {
    match word {
        "+" => Op::Plus,
        "-" => Op::Minus,
        "*" => Op::Times,
        "/" => Op::Divide,
        "%" => Op::Modulo,
        "like" | "LIKE" | "=~" => Op::Like,
        "in" | "IN" | "~~" => Op::In,
        "is" | "IS" => Op::Is,
        "eq" | "EQ" | "==" => Op::Eq,
        "ne" | "NE" | "!=" | "<>" => Op::Ne,
        "gt" | "GT" | ">" => Op::Gt,
        "ge" | "GE" | ">=" => Op::Ge,
        "lt" | "LT" | "<" => Op::Lt,
        "le" | "LE" | "<=" => Op::Le,
        "or" | "OR" => Op::Or,
        "xor" | "XOR" => Op::Xor,
        "and" | "AND" => Op::And,
        "||" => Op::OrHigh,
        "^^" => Op::XorHigh,
        "&&" => Op::AndHigh,
        "not" | "NOT" | "!" => Op::Not,
        _ => Op::Exists,
    }
}
