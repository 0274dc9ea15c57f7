//! What a condition is for a message.
use super::compile;
use super::lexer::Op;
use super::tree::{Comparison, Function, Kind, Node};
use super::value::{Got, Value};
use crate::report::jpath::Path;
use jiff::Timestamp;
use serde_json::Value as Json;

/// The value of a part of a condition.
pub(super) fn eval(node: &Node, message: &Json) -> Got {
    match node {
        Node::Const(value) => Got::One(value.clone()),
        Node::List { items, .. } => Got::Many(items.clone()),
        Node::Path(path, kind) => Got::Many(values(path, *kind, message)),
        Node::Logical(op, operands) => {
            let mut truths = operands.iter().map(|operand| eval(operand, message).is_truthy());
            Got::bool(match op {
                Op::Or => truths.any(|is_true| is_true),
                Op::And => truths.all(|is_true| is_true),
                _ => truths.fold(false, |a, b| a != b),
            })
        }
        Node::Not(inner) => match eval(inner, message) {
            Got::Undefined => Got::Undefined,
            got => Got::bool(!got.is_truthy()),
        },
        Node::Exists(inner) => eval(inner, message),
        Node::Compare(comparison) => compare(comparison, message).map_or(Got::Undefined, Got::bool),
        Node::Math(first, more) => math(first, more, message),
        Node::Function(function, argument) => {
            call(*function, argument.as_ref().map(|argument| eval(argument, message)))
        }
    }
}

/// The values at a path, typed as the path says.
fn values(path: &Path, kind: Kind, message: &Json) -> Vec<Value> {
    path.values(message).into_iter().filter_map(|json| typed(json, kind)).collect()
}

fn typed(json: &Json, kind: Kind) -> Option<Value> {
    Some(match json {
        Json::Null => return None,
        Json::Bool(is_true) => Value::Int((*is_true).into()),
        Json::Number(n) => match n.as_i64() {
            Some(n) => Value::Int(n),
            None => Value::Float(n.as_f64()?),
        },
        Json::String(text) => {
            let read = match kind {
                Kind::Time => Value::time(text),
                Kind::Address => text.parse().ok().map(Value::Range),
                Kind::Span => Value::span(text),
                Kind::Plain => None,
            };
            read.unwrap_or_else(|| Value::Text(text.clone()))
        }
        Json::Array(_) | Json::Object(_) => Value::Object,
    })
}

/// None if a side is missing or empty.
fn compare(comparison: &Comparison, message: &Json) -> Option<bool> {
    let Comparison { op, left, right, patterns } = comparison;
    let left = eval(left, message).values()?;
    if *op == Op::In {
        // A long list is looked at where it stands.
        if let Node::List { items, is_addresses } = right {
            return Some(left.iter().any(|value| is_member(value, items, *is_addresses)));
        }
        let right = eval(right, message).values()?;
        return Some(left.iter().any(|value| is_member(value, &right, false)));
    }
    if let (Op::Like, Some(patterns)) = (op, patterns) {
        return Some(patterns.iter().any(|pattern| left.iter().any(|value| is_match(value, pattern))));
    }
    let right = eval(right, message).values()?;
    if *op == Op::Is {
        return Some(left.len() == right.len() && left.iter().zip(&right).all(|(a, b)| is_equal(a, b)));
    }
    Some(left.iter().any(|a| right.iter().any(|b| holds(*op, a, b))))
}

fn is_member(value: &Value, list: &[Value], is_addresses: bool) -> bool {
    list.iter().any(|item| match (value, item) {
        (Value::Range(value), Value::Range(item)) if is_addresses => item.contains(value),
        _ => is_equal(value, item),
    })
}

fn is_match(value: &Value, pattern: &fancy_regex::Regex) -> bool {
    // An expression that needs more steps than allowed matches nothing.
    matches!(value, Value::Text(text) if pattern.is_match(text).unwrap_or(false))
}

fn is_equal(a: &Value, b: &Value) -> bool {
    a.order(b).is_some_and(|order| order.is_eq())
}

fn holds(op: Op, a: &Value, b: &Value) -> bool {
    let order = a.order(b);
    match op {
        Op::Like => matches!(b, Value::Text(text) if compile::pattern(text).is_ok_and(|pattern| is_match(a, &pattern))),
        Op::Eq => order.is_some_and(|order| order.is_eq()),
        Op::Ne => order.is_none_or(|order| order.is_ne()),
        Op::Gt => order.is_some_and(|order| order.is_gt()),
        Op::Ge => order.is_some_and(|order| order.is_ge()),
        Op::Lt => order.is_some_and(|order| order.is_lt()),
        Op::Le => order.is_some_and(|order| order.is_le()),
        _ => false,
    }
}

/// Element by element, or one with each; worked from the right.
fn math(first: &Node, more: &[(Op, Node)], message: &Json) -> Got {
    let Some(((_, last), before)) = more.split_last() else { return eval(first, message) };
    let mut got = eval(last, message);
    for at in (0..more.len()).rev() {
        let left = if at == 0 { first } else { &before[at - 1].1 };
        got = vector(more[at].0, eval(left, message), got);
    }
    got
}

fn vector(op: Op, left: Got, right: Got) -> Got {
    let (Some(left), Some(right)) = (left.values(), right.values()) else { return Got::Undefined };
    let results: Option<Vec<Value>> = if let [right] = right.as_slice() {
        left.iter().map(|value| calculate(op, value, right)).collect()
    } else if let [left] = left.as_slice() {
        right.iter().map(|value| calculate(op, left, value)).collect()
    } else if left.len() == right.len() {
        left.iter().zip(&right).map(|(a, b)| calculate(op, a, b)).collect()
    } else {
        None
    };
    match results {
        None => Got::Undefined,
        Some(mut results) if results.len() == 1 => results.pop().map_or(Got::Undefined, Got::One),
        Some(results) => Got::Many(results),
    }
}

fn calculate(op: Op, a: &Value, b: &Value) -> Option<Value> {
    let micros = |value: &Value| match value {
        Value::Span(micros) => Some(*micros),
        Value::Int(_) | Value::Float(_) => value.number().map(|secs| (secs * 1e6) as i64),
        _ => None,
    };
    match (op, a, b) {
        (Op::Minus, Value::Time(a), Value::Time(b)) => return a.checked_sub(*b).map(Value::Span),
        (Op::Plus, Value::Time(time), span) | (Op::Plus, span, Value::Time(time)) => {
            return time.checked_add(micros(span)?).map(Value::Time);
        }
        (Op::Minus, Value::Time(time), span) => return time.checked_sub(micros(span)?).map(Value::Time),
        (Op::Plus, Value::Int(a), Value::Int(b)) => return a.checked_add(*b).map(Value::Int),
        (Op::Minus, Value::Int(a), Value::Int(b)) => return a.checked_sub(*b).map(Value::Int),
        (Op::Times, Value::Int(a), Value::Int(b)) => return a.checked_mul(*b).map(Value::Int),
        // The sign of Python's remainder is that of the divisor.
        (Op::Modulo, Value::Int(a), Value::Int(b)) => {
            let rest = a.checked_rem(*b)?;
            return Some(Value::Int(if rest != 0 && (rest < 0) != (*b < 0) { rest + b } else { rest }));
        }
        _ => {}
    }
    let (a, b) = (a.number()?, b.number()?);
    let result = match op {
        Op::Plus => a + b,
        Op::Minus => a - b,
        Op::Times => a * b,
        Op::Divide if b != 0.0 => a / b,
        Op::Modulo if b != 0.0 => a - b * (a / b).floor(),
        _ => return None,
    };
    Some(Value::Float(result))
}

fn call(function: Function, argument: Option<Got>) -> Got {
    let length = |value: &Value| match value {
        Value::Text(text) => Some(Value::Int(text.chars().count() as i64)),
        _ => None,
    };
    match (function, argument) {
        (Function::Time, _) => Got::One(Value::Float(Timestamp::now().as_microsecond() as f64 / 1e6)),
        (Function::UtcNow, _) => Got::One(Value::Time(Timestamp::now().as_microsecond())),
        (Function::Size, Some(Got::Many(values))) => Got::One(Value::Int(values.len() as i64)),
        (Function::Strlen, Some(Got::Many(values))) if !values.is_empty() => {
            values.iter().map(length).collect::<Option<_>>().map_or(Got::Undefined, Got::Many)
        }
        (Function::Size | Function::Strlen, Some(Got::One(value))) => length(&value).map_or(Got::Undefined, Got::One),
        _ => Got::Undefined,
    }
}
