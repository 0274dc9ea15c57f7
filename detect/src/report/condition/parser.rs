//! The grammar: from weakest to strongest `or`, `xor`, `and`, `||`, `^^`, `&&`, `not`, `exists`, comparisons, arithmetic. All binary operators
//! associate to the right, all five arithmetic ones have one level, so `10 - 3 - 2` is 9.
use super::lexer::{Op, Token};
use super::tree::{Comparison, Function, Node};
use super::value::Value;
use super::{ConditionError, TEXT_MAX, compile};
use crate::report::jpath::Path;

/// Brackets inside each other and comparisons in a row, at the most.
const DEPTH_MAX: usize = 64;

/// Why words are no condition.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ParseError {
    #[error("Syntax error: the condition ends where {0} is expected")]
    End(&'static str),
    #[error("Syntax error at word {at} of the condition ({word}): {expected} is expected")]
    Unexpected { at: usize, word: String, expected: &'static str },
    #[error("brackets are nested more than {DEPTH_MAX} deep")]
    Depth,
}

/// Reads words that are one condition.
pub(super) fn parse(tokens: &[Token]) -> Result<Node, ConditionError> {
    debug_assert!(tokens.len() <= TEXT_MAX);
    let mut parser = Parser { tokens, at: 0 };
    let tree = parser.logical(0, 0)?;
    match tokens.get(parser.at) {
        None => Ok(tree),
        Some(_) => Err(parser.fail("an operator or the end").into()),
    }
}

/// Levels of the logical operators, the weakest first, each with what it means.
const LOGICAL: [(Op, Op); 6] = [
    (Op::Or, Op::Or),
    (Op::Xor, Op::Xor),
    (Op::And, Op::And),
    (Op::OrHigh, Op::Or),
    (Op::XorHigh, Op::Xor),
    (Op::AndHigh, Op::And),
];

struct Parser<'t> {
    tokens: &'t [Token],
    at: usize,
}

impl Parser<'_> {
    fn fail(&self, expected: &'static str) -> ParseError {
        match self.tokens.get(self.at) {
            None => ParseError::End(expected),
            Some(token) => ParseError::Unexpected { at: self.at + 1, word: format!("{token:?}"), expected },
        }
    }

    fn op(&mut self, is_wanted: impl Fn(Op) -> bool) -> Option<Op> {
        match self.tokens.get(self.at) {
            Some(Token::Op(op)) if is_wanted(*op) => {
                self.at += 1;
                Some(*op)
            }
            _ => None,
        }
    }

    fn is_next(&mut self, token: &Token) -> bool {
        let is_it = self.tokens.get(self.at) == Some(token);
        self.at += usize::from(is_it);
        is_it
    }

    fn logical(&mut self, level: usize, depth: usize) -> Result<Node, ConditionError> {
        let Some((op, meaning)) = LOGICAL.get(level) else { return self.not(depth) };
        let first = self.logical(level + 1, depth)?;
        let mut operands = vec![first];
        while self.op(|next| next == *op).is_some() {
            operands.push(self.logical(level + 1, depth)?);
        }
        Ok(match operands.pop() {
            Some(only) if operands.is_empty() => only,
            Some(last) => {
                operands.push(last);
                Node::Logical(*meaning, operands)
            }
            // There is always the first one.
            None => Node::Const(Value::Int(0)),
        })
    }

    fn not(&mut self, depth: usize) -> Result<Node, ConditionError> {
        match self.op(|op| op == Op::Not) {
            Some(_) => Ok(Node::Not(Box::new(self.exists(depth)?))),
            None => self.exists(depth),
        }
    }

    fn exists(&mut self, depth: usize) -> Result<Node, ConditionError> {
        match self.op(|op| op == Op::Exists) {
            Some(_) => Ok(Node::Exists(Box::new(self.comparison(depth)?))),
            None => self.comparison(depth),
        }
    }

    fn comparison(&mut self, depth: usize) -> Result<Node, ConditionError> {
        if depth > DEPTH_MAX {
            return Err(ParseError::Depth.into());
        }
        let left = self.math(depth)?;
        let is_comparison =
            |op| matches!(op, Op::Like | Op::In | Op::Is | Op::Eq | Op::Ne | Op::Gt | Op::Ge | Op::Lt | Op::Le);
        let Some(op) = self.op(is_comparison) else { return Ok(left) };
        let right = self.comparison(depth + 1)?;
        Ok(Node::Compare(Box::new(Comparison { op, left, right, patterns: None })))
    }

    fn math(&mut self, depth: usize) -> Result<Node, ConditionError> {
        let first = self.atom(depth)?;
        let mut more = Vec::new();
        while let Some(op) = self.op(|op| matches!(op, Op::Plus | Op::Minus | Op::Times | Op::Divide | Op::Modulo)) {
            more.push((op, self.atom(depth)?));
        }
        Ok(if more.is_empty() { first } else { Node::Math(Box::new(first), more) })
    }

    fn atom(&mut self, depth: usize) -> Result<Node, ConditionError> {
        const EXPECTED: &str = "a value, a path or a bracket";
        let Some(token) = self.tokens.get(self.at) else { return Err(self.fail(EXPECTED).into()) };
        let node = match token {
            Token::Path(text) => {
                let path = Path::parse(text).ok_or_else(|| ConditionError::Path(text.clone()))?;
                let kind = compile::kind(&path);
                Node::Path(path, kind)
            }
            Token::Address(text) => {
                let range = text.parse().map_err(|_| ConditionError::Address(text.clone(), "something".into()))?;
                Node::Const(Value::Range(range))
            }
            Token::Function(name) => {
                self.at += 1;
                return self.function(&name.clone(), depth);
            }
            Token::OpenList => {
                self.at += 1;
                return self.list();
            }
            Token::Open => {
                self.at += 1;
                let inner = self.logical(0, depth + 1)?;
                return if self.is_next(&Token::Close) {
                    Ok(inner)
                } else {
                    Err(self.fail("a closing bracket").into())
                };
            }
            _ => Node::Const(constant(token)?.ok_or_else(|| self.fail(EXPECTED))?),
        };
        self.at += 1;
        Ok(node)
    }

    fn function(&mut self, name: &str, depth: usize) -> Result<Node, ConditionError> {
        let argument = if self.is_next(&Token::Close) {
            None
        } else {
            let argument = self.logical(0, depth + 1)?;
            if !self.is_next(&Token::Close) {
                return Err(self.fail("a closing bracket").into());
            }
            Some(Box::new(argument))
        };
        let function = match name {
            "size" => Function::Size,
            "strlen" => Function::Strlen,
            "time" => Function::Time,
            "utcnow" => Function::UtcNow,
            _ => return Err(ConditionError::Function(name.to_owned())),
        };
        let needs_one = matches!(function, Function::Size | Function::Strlen);
        if needs_one != argument.is_some() {
            return Err(ConditionError::Arguments(name.to_owned(), if needs_one { "one" } else { "no" }));
        }
        Ok(Node::Function(function, argument))
    }

    fn list(&mut self) -> Result<Node, ConditionError> {
        const EXPECTED: &str = "a value of the list";
        let mut items = Vec::new();
        loop {
            let token = self.tokens.get(self.at).ok_or_else(|| self.fail(EXPECTED))?;
            items.push(match token {
                // Neither is looked up or read inside of a list: QUIRK of the original.
                Token::Path(text) | Token::Address(text) => Value::Text(text.clone()),
                _ => constant(token)?.ok_or_else(|| self.fail(EXPECTED))?,
            });
            self.at += 1;
            if self.is_next(&Token::CloseList) {
                return Ok(Node::List { items, is_addresses: false });
            }
            if !self.is_next(&Token::Comma) {
                return Err(self.fail("a comma or the end of the list").into());
            }
        }
    }
}

/// The value that a word is, if it is one.
fn constant(token: &Token) -> Result<Option<Value>, ConditionError> {
    let wrong = |text: &str| ConditionError::Time(text.to_owned(), "something".into());
    Ok(Some(match token {
        Token::Int(n) => Value::Int(*n),
        Token::Float(n) => Value::Float(*n),
        Token::Text(text) => Value::Text(text.clone()),
        Token::DateTime(text) => Value::time(text).ok_or_else(|| wrong(text))?,
        Token::Span(text) => Value::span(text).ok_or_else(|| wrong(text))?,
        _ => return Ok(None),
    }))
}
