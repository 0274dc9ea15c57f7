//! What a condition's constants mean, which depends on what they are compared with.
use super::ConditionError;
use super::lexer::Op;
use super::tree::{Comparison, Function, Kind, Node};
use super::value::Value;
use crate::report::jpath::Path;

/// Steps of a regular expression that has to try ways, at the most.
const STEPS_MAX: usize = 100_000;

/// Top-level members that are times.
const TIMES: [&str; 6] = ["CreateTime", "DetectTime", "EventTime", "CeaseTime", "WinStartTime", "WinEndTime"];

/// Kind of a path whatever its indices are.
pub(super) fn kind(path: &Path) -> Kind {
    match *path.names() {
        [name] if TIMES.contains(&name) => Kind::Time,
        ["Source" | "Target", "IP4" | "IP6"] => Kind::Address,
        ["Node", "AggrWin"] => Kind::Span,
        _ => Kind::Plain,
    }
}

/// Gives constants their types, everywhere in a tree.
pub(super) fn compile(node: Node) -> Result<Node, ConditionError> {
    Ok(match node {
        Node::Logical(op, operands) => Node::Logical(op, operands.into_iter().map(compile).collect::<Result<_, _>>()?),
        Node::Not(inner) => Node::Not(Box::new(compile(*inner)?)),
        Node::Exists(inner) => Node::Exists(Box::new(compile(*inner)?)),
        Node::Function(function, Some(argument)) => Node::Function(function, Some(Box::new(compile(*argument)?))),
        Node::Math(first, more) => {
            let more = more.into_iter().map(|(op, node)| Ok((op, compile(node)?)));
            Node::Math(Box::new(compile(*first)?), more.collect::<Result<_, ConditionError>>()?)
        }
        Node::Compare(comparison) => Node::Compare(Box::new(compare(*comparison)?)),
        Node::Const(_) | Node::List { .. } | Node::Path(..) | Node::Function(_, None) => node,
    })
}

fn compare(comparison: Comparison) -> Result<Comparison, ConditionError> {
    let Comparison { op, left, right, .. } = comparison;
    let (left, right) = (compile(left)?, compile(right)?);
    let (kind_left, kind_right) = (what(&left), what(&right));
    let left = convert(left, kind_right)?;
    let right = convert(right, kind_left)?;
    let patterns = if op == Op::Like { patterns(&right)? } else { None };
    Ok(Comparison { op, left, right, patterns })
}

/// Kind of a side, and its name for messages.
fn what(node: &Node) -> Option<(Kind, String)> {
    match node {
        Node::Path(path, kind) => Some((*kind, path.names().join("."))),
        Node::Function(Function::UtcNow, _) => Some((Kind::Time, "utcnow()".into())),
        _ => None,
    }
}

/// A constant, or a list of them, as what stands opposite.
fn convert(node: Node, opposite: Option<(Kind, String)>) -> Result<Node, ConditionError> {
    let Some((kind, name)) = opposite.filter(|(kind, _)| matches!(kind, Kind::Time | Kind::Address)) else {
        return Ok(node);
    };
    let read = |value: Value| match (kind, value) {
        (Kind::Address, Value::Text(text)) => match text.parse() {
            Ok(range) => Ok(Value::Range(range)),
            Err(_) => Err(ConditionError::Address(text, name.clone())),
        },
        (Kind::Time, Value::Int(secs)) => Ok(Value::Time(secs.saturating_mul(1_000_000))),
        (Kind::Time, Value::Float(secs)) => Ok(Value::Time((secs * 1e6) as i64)),
        (Kind::Time, Value::Text(text)) => {
            let unix = || text.trim().parse::<f64>().ok().map(|secs| Value::Time((secs * 1e6) as i64));
            let read = unix().or_else(|| Value::time(&text)).or_else(|| Value::span(&text));
            read.ok_or_else(|| ConditionError::Time(text.clone(), name.clone()))
        }
        (_, value) => Ok(value),
    };
    Ok(match node {
        Node::Const(value) => Node::Const(read(value)?),
        Node::List { items, .. } => Node::List {
            items: items.into_iter().map(read).collect::<Result<_, _>>()?,
            is_addresses: kind == Kind::Address,
        },
        other => other,
    })
}

/// The regular expressions of the right side of `like`, if it is constant.
fn patterns(node: &Node) -> Result<Option<Vec<fancy_regex::Regex>>, ConditionError> {
    let values = match node {
        Node::Const(value) => std::slice::from_ref(value),
        Node::List { items, .. } => items,
        _ => return Ok(None),
    };
    let texts = values.iter().filter_map(|value| if let Value::Text(text) = value { Some(text) } else { None });
    texts
        .map(|text| pattern(text).map_err(|why| ConditionError::Pattern(text.clone(), why)))
        .collect::<Result<_, _>>()
        .map(Some)
}

/// A regular expression with bounded work.
pub(super) fn pattern(text: &str) -> Result<fancy_regex::Regex, String> {
    let built = fancy_regex::RegexBuilder::new(text).backtrack_limit(STEPS_MAX).delegate_size_limit(1 << 20).build();
    built.map_err(|why| why.to_string())
}
