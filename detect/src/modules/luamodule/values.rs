//! Values of records as values of Lua, and back.
//!
//! Numbers are floats, as in the original, so that they print and compute as there; integers that no float is equal to stay integers.
use super::address::Address;
use mlua::{Lua, Value};
use record::unirec::{Builder, RECORD_MAX, Template, View, time};
use record::{Item, Kind, Time};
use std::sync::LazyLock;

/// A record of one MAC address, by which UniRec reads texts.
static MAC: LazyLock<Template> = LazyLock::new(|| Template::new([("A", Kind::Mac)]).unwrap_or_default());

/// The value of a field.
pub(super) fn to_lua(lua: &Lua, view: &View<'_>, index: usize) -> mlua::Result<Value> {
    let (Some(field), Some(raw)) = (view.template().fields().get(index), view.raw(index)) else {
        return Ok(Value::Nil);
    };
    match field.kind {
        Kind::Text | Kind::Bytes | Kind::Char => lua.create_string(raw).map(Value::String),
        Kind::List(item) => {
            let values = raw.chunks_exact(item.size()).map(|raw| scalar_to_lua(lua, item.scalar(), raw));
            let values: Vec<_> = values.collect::<mlua::Result<_>>()?;
            lua.create_sequence_from(values).map(Value::Table)
        }
        kind => scalar_to_lua(lua, kind, raw),
    }
}

fn scalar_to_lua(lua: &Lua, kind: Kind, raw: &[u8]) -> mlua::Result<Value> {
    let mut wide = [0; 8];
    let size = raw.len().min(8);
    wide[..size].copy_from_slice(&raw[..size]);
    let unsigned = u64::from_le_bytes(wide);
    Ok(match kind {
        Kind::U8 | Kind::U16 | Kind::U32 | Kind::U64 => number(unsigned.into()),
        Kind::I8 | Kind::I16 | Kind::I32 | Kind::I64 => {
            let unused = 64 - 8 * size as u32;
            number(((unsigned << unused) as i64 >> unused).into())
        }
        Kind::F32 => Value::Number(f32::from_bits(unsigned as u32).into()),
        Kind::F64 => Value::Number(f64::from_bits(unsigned)),
        Kind::Time => {
            let time = time::from_fixed(unsigned);
            Value::Number(time.secs() as f64 + f64::from(time.subsec_nanos() / 1_000) / 1e6)
        }
        Kind::Ip => match Address::from_wire(raw) {
            Some(address) => address.to_lua(lua)?,
            None => Value::Nil,
        },
        Kind::Mac => {
            let text: Vec<_> = raw.iter().map(|b| format!("{b:02x}")).collect();
            Value::String(lua.create_string(text.join(":"))?)
        }
        Kind::Char | Kind::Text | Kind::Bytes | Kind::List(_) => Value::Nil,
    })
}

fn number(number: i128) -> Value {
    let float = number as f64;
    match i64::try_from(number) {
        Ok(integer) if float as i128 != number => Value::Integer(integer),
        _ => Value::Number(float),
    }
}

/// Wire form of a value in a field of a kind; `Ok(None)` if it has none there.
///
/// # Errors
/// The text to raise in the script.
pub(super) fn from_lua(kind: Kind, value: &Value) -> Result<Option<Vec<u8>>, String> {
    match (kind, value) {
        (Kind::Text | Kind::Bytes, Value::String(text)) => Ok(Some(text.as_bytes().to_vec())),
        (Kind::Text | Kind::Bytes, _) => Ok(None),
        (Kind::List(item), Value::Table(table)) => list_from_lua(item, table),
        (Kind::List(_), _) => Err("Expected table".into()),
        (kind, value) => Ok(scalar_from_lua(kind, value)),
    }
}

fn list_from_lua(item: Item, table: &mlua::Table) -> Result<Option<Vec<u8>>, String> {
    let length = table.len().map_err(|why| why.to_string())?;
    let Some(length) = usize::try_from(length).ok().filter(|length| *length <= RECORD_MAX / item.size()) else {
        return Ok(None);
    };
    let mut wire = Vec::with_capacity(length * item.size());
    for at in 1..=length {
        let value: Value = table.get(at).map_err(|why| why.to_string())?;
        match scalar_from_lua(item.scalar(), &value) {
            Some(bytes) => wire.extend_from_slice(&bytes),
            None => return Ok(None),
        }
    }
    Ok(Some(wire))
}

fn scalar_from_lua(kind: Kind, value: &Value) -> Option<Vec<u8>> {
    let size = kind.size()?;
    match (kind, value) {
        (Kind::Ip, value) => Address::of(value).map(|address| address.0.to_vec()),
        (Kind::Mac, Value::String(text)) => {
            let (mut builder, mut wire) = (Builder::new(&MAC), Vec::new());
            builder.set_text(0, &text.as_bytes()).ok()?;
            builder.finish(&mut wire).ok()?;
            Some(wire)
        }
        (Kind::Char, Value::String(text)) => text.as_bytes().first().map(|byte| vec![*byte]),
        (Kind::F32, value) => Some((float(value)? as f32).to_le_bytes().to_vec()),
        (Kind::F64, value) => Some(float(value)?.to_le_bytes().to_vec()),
        (Kind::Time, value) => Some(time::to_fixed(moment(float(value)?)).to_le_bytes().to_vec()),
        (Kind::Mac | Kind::Char, _) => None,
        (_, Value::Integer(integer)) => Some(integer.to_le_bytes()[..size].to_vec()),
        (_, Value::Number(float)) => Some(whole(*float).to_le_bytes()[..size].to_vec()),
        _ => None,
    }
}

fn float(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(integer) => Some(*integer as f64),
        Value::Number(float) => Some(*float),
        _ => None,
    }
}

/// Cut to a whole number; the field keeps its lowest bits. What no 64 bits hold is 2^63, whose lowest bits are 0, as the processors of the
/// original do it.
fn whole(float: f64) -> u64 {
    const BEYOND: u64 = 1 << 63;
    match float.trunc() {
        below if (-(BEYOND as f64)..0.0).contains(&below) => below as i64 as u64,
        above if (0.0..2.0 * BEYOND as f64).contains(&above) => above as u64,
        _ => BEYOND,
    }
}

/// Seconds since 1970, to the nearest microsecond. (The original loses the fraction.)
fn moment(seconds: f64) -> Time {
    let micros = ((seconds - seconds.floor()) * 1e6).round() as u64;
    // Not a number and what lies before 1970 is 1970.
    Time::from_micros((seconds.floor() as u64).saturating_mul(1_000_000).saturating_add(if seconds > 0.0 {
        micros
    } else {
        0
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_wrap_as_in_c() {
        let wire = |kind, float| from_lua(kind, &Value::Number(float)).unwrap().unwrap();
        assert_eq!(wire(Kind::U8, 300.9), [44]);
        assert_eq!(wire(Kind::I16, -2.5), (-2i16).to_le_bytes());
        assert_eq!(wire(Kind::U32, -1.0), u32::MAX.to_le_bytes());
        assert_eq!(wire(Kind::U32, f64::NAN), [0; 4]);
        assert_eq!(wire(Kind::U32, f64::INFINITY), [0; 4]);
        assert_eq!(wire(Kind::U64, 1e19), 10_000_000_000_000_000_000u64.to_le_bytes());
        assert_eq!(from_lua(Kind::I64, &Value::Integer(-7)), Ok(Some((-7i64).to_le_bytes().to_vec())));
        assert_eq!(from_lua(Kind::U8, &Value::Boolean(true)), Ok(None));
        assert_eq!(from_lua(Kind::List(Item::U8), &Value::Nil), Err("Expected table".into()));
    }

    #[test]
    fn times_keep_microseconds() {
        assert_eq!(moment(1_565_886_990.012_345), Time::from_micros(1_565_886_990_012_345));
        assert_eq!((moment(-5.5), moment(f64::NAN)), (Time(0), Time(0)));
        assert_eq!(time::to_fixed(moment(1e30)), u64::MAX);
    }

    #[test]
    fn large_integers_are_exact() {
        assert_eq!(number(5), Value::Number(5.0));
        assert_eq!(number((1 << 53) + 1), Value::Integer((1 << 53) + 1));
        assert_eq!(number(u64::MAX.into()), Value::Number(u64::MAX as f64));
    }
}
