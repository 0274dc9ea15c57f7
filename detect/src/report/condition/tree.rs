//! A condition as a tree.
use super::lexer::Op;
use super::value::Value;
use crate::report::jpath::Path;

/// What a value at a path is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Time,
    Address,
    Span,
    Plain,
}

/// A part of a condition. Chains of one operator are one node, so that their length is no depth.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Const(Value),
    /// A list literal; `is_addresses` if it stands opposite to a path of addresses, so that `in` asks for containment.
    List {
        items: Vec<Value>,
        is_addresses: bool,
    },
    Path(Path, Kind),
    /// Any of [`Op::Or`], [`Op::Xor`], [`Op::And`].
    Logical(Op, Vec<Node>),
    Not(Box<Node>),
    Exists(Box<Node>),
    Compare(Box<Comparison>),
    /// First operand, then operators with theirs; worked from the right.
    Math(Box<Node>, Vec<(Op, Node)>),
    Function(Function, Option<Box<Node>>),
}

#[derive(Clone, Debug)]
pub(super) struct Comparison {
    pub(super) op: Op,
    pub(super) left: Node,
    pub(super) right: Node,
    /// The compiled patterns if the right side of `like` is constant.
    pub(super) patterns: Option<Vec<fancy_regex::Regex>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Size,
    Strlen,
    Time,
    UtcNow,
}
