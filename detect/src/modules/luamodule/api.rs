//! The functions that scripts call. Names, arguments, results and messages are those of the original.
use super::address::{self, Address};
use super::records::{Name, Phase, Records};
use super::values;
use mlua::{Function, Lua, MultiValue, Table, Value};
use std::cell::{Ref, RefCell, RefMut};
use std::rc::Rc;

/// Results of a function, or the text that it raises.
type Answer = Result<MultiValue, String>;

/// A function of this module.
type Call = fn(&Lua, &RefCell<Records>, MultiValue) -> Answer;

const FUNCTIONS: [(&str, Call); 10] = [
    ("ur_get", get),
    ("ur_set", set),
    ("ur_add", add),
    ("ur_del", delete),
    ("ur_type", kind),
    ("ur_id", id),
    ("ur_ip", ip),
    ("ur_ip4", |_, _, args| version(&args, true)),
    ("ur_ip6", |_, _, args| version(&args, false)),
    ("ur_drop", drop_record),
];

/// Makes a function raise the text that it answers in front of its results, with the script's line. mlua itself raises objects, which
/// scripts cannot join to a text.
const RAISING: &str = "local error = error
local function pass(bad, ...)
  if bad then error(bad, 2) end
  return ...
end
return function(raw) return function(...) return pass(raw(...)) end end";

/// Where the function of [`RAISING`] is kept.
const WRAP: &str = "sonda.raising";

/// Defines the functions for scripts.
pub(super) fn register(lua: &Lua, records: &Rc<RefCell<Records>>) -> mlua::Result<()> {
    let wrap: Function = lua.load(RAISING).set_name("=luamodule").eval()?;
    lua.set_named_registry_value(WRAP, wrap)?;
    lua.set_named_registry_value(address::METATABLE, address::metatable(lua)?)?;
    let globals = lua.globals();
    for (name, call) in FUNCTIONS {
        let records = Rc::clone(records);
        globals.raw_set(name, raising(lua, move |lua, args| call(lua, &records, args))?)?;
    }
    // Scripts look for `__tobytes` in an address's metatable.
    let original: Function = globals.raw_get("getmetatable")?;
    let looked_up = move |lua: &Lua, value: Value| match Address::of(&value) {
        Some(_) => lua.named_registry_value::<Value>(address::METATABLE),
        None => original.call::<Value>(value),
    };
    globals.raw_set("getmetatable", lua.create_function(looked_up)?)
}

/// A function that raises texts.
pub(super) fn raising(lua: &Lua, call: impl Fn(&Lua, MultiValue) -> Answer + 'static) -> mlua::Result<Function> {
    let raw = lua.create_function(move |lua, args| {
        Ok(match call(lua, args) {
            Ok(mut results) => {
                results.push_front(Value::Nil);
                results
            }
            Err(text) => MultiValue::from_vec(vec![Value::String(lua.create_string(text)?)]),
        })
    })?;
    lua.named_registry_value::<Function>(WRAP)?.call(raw)
}

/// A finalizer of the script may run, and call, while another call reads.
fn read(records: &RefCell<Records>) -> Result<Ref<'_, Records>, String> {
    records.try_borrow().map_err(|_| "another function is at work".to_owned())
}

fn write(records: &RefCell<Records>) -> Result<RefMut<'_, Records>, String> {
    records.try_borrow_mut().map_err(|_| "another function is at work".to_owned())
}

fn only_in(records: &RefCell<Records>, phase: Phase, function: &str, place: &str) -> Result<(), String> {
    if read(records)?.phase == phase {
        return Ok(());
    }
    Err(format!("'{function}' function may be called only in '{place}' function"))
}

fn incorrect(function: &str) -> String {
    format!("Incorrect argument(s) to '{function}'")
}

fn fault(why: mlua::Error) -> String {
    why.to_string()
}

/// A field by its name or number.
fn name(value: &Value, function: &str) -> Result<Name, String> {
    match value {
        Value::String(text) => Ok(Name::Text(text.to_string_lossy())),
        Value::Integer(number) => Ok(Name::Number(usize::try_from(*number).unwrap_or(usize::MAX))),
        Value::Number(number) => Ok(Name::Number(if *number < 0.0 { usize::MAX } else { *number as usize })),
        _ => Err(incorrect(function)),
    }
}

fn text(value: &Value, function: &str) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.to_string_lossy()),
        _ => Err(incorrect(function)),
    }
}

fn get(lua: &Lua, records: &RefCell<Records>, args: MultiValue) -> Answer {
    only_in(records, Phase::Record, "ur_get", "on_record_recv")?;
    let records = read(records)?;
    let view = records.view().ok_or("there is no record")?;
    if args.is_empty() {
        let table = lua.create_table().map_err(fault)?;
        for (index, field) in records.input().fields().iter().enumerate() {
            let value = values::to_lua(lua, &view, index).map_err(fault)?;
            table.raw_set(field.name.as_str(), value).map_err(fault)?;
        }
        return Ok([Value::Table(table)].into_iter().collect());
    }
    let value = |arg: &Value| match records.index(records.input(), &name(arg, "ur_get")?) {
        Some(index) => values::to_lua(lua, &view, index).map_err(fault),
        None => Ok(Value::Nil),
    };
    args.iter().map(value).collect()
}

fn set(_: &Lua, records: &RefCell<Records>, args: MultiValue) -> Answer {
    only_in(records, Phase::Record, "ur_set", "on_record_recv")?;
    if args.is_empty() || args.len() % 2 == 1 {
        return Err("invalid arguments in 'ur_set' function".into());
    }
    let mut results = MultiValue::new();
    let mut args = args.into_iter();
    while let (Some(field), Some(value)) = (args.next(), args.next()) {
        let field = name(&field, "ur_set")?;
        let place = {
            let records = read(records)?;
            let index = records.index(records.output(), &field);
            index.and_then(|index| Some((index, records.output().fields().get(index)?.kind)))
        };
        // Without a borrow: a table of the script may run functions of its own.
        let wire = match place {
            Some((_, kind)) => values::from_lua(kind, &value)?,
            None => None,
        };
        let is_set = match (place, wire) {
            (Some((index, _)), Some(wire)) => write(records)?.set(index, wire),
            _ => false,
        };
        results.push_back(Value::Boolean(is_set));
    }
    Ok(results)
}

fn add(_: &Lua, records: &RefCell<Records>, args: MultiValue) -> Answer {
    if args.is_empty() {
        return Err("no arguments specified to 'ur_add' function".into());
    }
    only_in(records, Phase::Template, "ur_add", "on_template_recv")?;
    let texts: Result<Vec<_>, _> = args.iter().map(|arg| text(arg, "ur_add")).collect();
    let texts = texts.map_err(|_| "Function 'ur_add' failed on argument parsing")?;
    let is_added = write(records)?.add(&texts.join(","));
    Ok([Value::Boolean(is_added)].into_iter().collect())
}

fn delete(_: &Lua, records: &RefCell<Records>, args: MultiValue) -> Answer {
    only_in(records, Phase::Template, "ur_del", "on_template_recv")?;
    let mut records = write(records)?;
    if args.is_empty() {
        records.delete(None);
        return Ok(MultiValue::new());
    }
    let (mut found, mut results) = (Vec::new(), MultiValue::new());
    for arg in &args {
        let field = match name(arg, "ur_del")? {
            // `TYPE NAME` is found in the original's text of the template, a type alone breaks it.
            Name::Text(text) => match text.split_once(' ') {
                Some((kind, name)) if records.kind(name).is_some_and(|known| known.unirec_name() == kind) => {
                    Name::Text(name.to_owned())
                }
                None if records.output().fields().iter().any(|field| field.kind.unirec_name() == text) => {
                    return Err("Function 'ur_del' failed to set output template".into());
                }
                _ => Name::Text(text),
            },
            number => number,
        };
        let index = records.index(records.output(), &field).filter(|index| !found.contains(index));
        found.extend(index);
        results.push_back(Value::Boolean(index.is_some()));
    }
    records.delete(Some(&found));
    Ok(results)
}

fn kind(lua: &Lua, records: &RefCell<Records>, args: MultiValue) -> Answer {
    let records = read(records)?;
    if args.is_empty() {
        let table: Table = lua.create_table().map_err(fault)?;
        for field in records.output().fields() {
            table.raw_set(field.name.as_str(), field.kind.unirec_name()).map_err(fault)?;
        }
        return Ok([Value::Table(table)].into_iter().collect());
    }
    let value = |arg: &Value| match records.kind(&text(arg, "ur_type")?) {
        Some(kind) => lua.create_string(kind.unirec_name()).map(Value::String).map_err(fault),
        None => Ok(Value::Nil),
    };
    args.iter().map(value).collect()
}

fn id(_: &Lua, records: &RefCell<Records>, args: MultiValue) -> Answer {
    let records = read(records)?;
    if records.phase == Phase::Init {
        return Err("'ur_id' function cannot be called in 'on_init' function".into());
    }
    let number = |arg: &Value| {
        let number = records.number(&text(arg, "ur_id")?);
        Ok(number.map_or(Value::Nil, |number| Value::Number(number as f64)))
    };
    args.iter().map(number).collect()
}

fn ip(lua: &Lua, _: &RefCell<Records>, args: MultiValue) -> Answer {
    let address = |arg: &Value| match arg {
        Value::String(text) => match Address::parse(&text.as_bytes()) {
            Some(address) => address.to_lua(lua).map_err(fault),
            None => Ok(Value::Nil),
        },
        _ => Err(incorrect("ur_ip")),
    };
    args.iter().map(address).collect()
}

fn version(args: &MultiValue, is_v4: bool) -> Answer {
    let is_version = |arg: &Value| match (Address::of(arg), arg) {
        (Some(address), _) => Ok(Value::Boolean(address.is_v4() == is_v4)),
        // As the original's description says.
        (None, Value::String(text)) => {
            let address = Address::parse(&text.as_bytes());
            Ok(Value::Boolean(address.is_some_and(|address| address.is_v4() == is_v4)))
        }
        _ => Err(incorrect(if is_v4 { "ur_ip4" } else { "ur_ip6" })),
    };
    args.iter().map(is_version).collect()
}

fn drop_record(_: &Lua, records: &RefCell<Records>, _: MultiValue) -> Answer {
    if read(records)?.phase != Phase::Record {
        return Err("'ur_drop' function can only be called in 'on_record_recv' function".into());
    }
    write(records)?.drop_record();
    Ok(MultiValue::new())
}
