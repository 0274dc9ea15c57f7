//! IP addresses as objects of a script: `tostring`, `/ BITS` and `__tobytes`.
use super::api::raising;
use mlua::{Lua, MultiValue, Table, UserData, UserDataFields, Value};
use record::Kind;
use record::unirec::{Builder, Template, View};
use std::sync::LazyLock;

/// An address in UniRec's wire form (spec/unirec.md section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address(pub(super) [u8; 16]);

/// A record of one address, by which UniRec reads and writes its texts.
static ONE: LazyLock<Template> = LazyLock::new(|| Template::new([("A", Kind::Ip)]).unwrap_or_default());

impl Address {
    /// Reads a text, or the 4 or 16 bytes of an address in network order.
    pub(super) fn parse(text: &[u8]) -> Option<Address> {
        // The original's texts end at a NUL.
        let visible = text.split(|b| *b == 0).next().unwrap_or(&[]);
        let (mut builder, mut wire) = (Builder::new(&ONE), Vec::new());
        if !visible.is_empty() && builder.set_text(0, visible).is_ok() && builder.finish(&mut wire).is_ok() {
            return Address::from_wire(&wire);
        }
        match *text {
            [a, b, c, d] => Some(Address([0, 0, 0, 0, 0, 0, 0, 0, a, b, c, d, 255, 255, 255, 255])),
            _ => Address::from_wire(text),
        }
    }

    pub(super) fn from_wire(bytes: &[u8]) -> Option<Address> {
        bytes.try_into().ok().map(Address)
    }

    pub(super) fn is_v4(self) -> bool {
        self.0[..8] == [0; 8] && self.0[12..] == [255; 4]
    }

    /// The bytes of the address alone.
    fn octets(&self) -> &[u8] {
        if self.is_v4() { &self.0[8..12] } else { &self.0 }
    }

    /// The address with only its first bits.
    fn masked(mut self, bits: i64) -> Result<Address, String> {
        let (version, size) = if self.is_v4() { (4, 4) } else { (6, 16) };
        let most = size as i64 * 8;
        if !(0..=most).contains(&bits) {
            return Err(format!("Invalid mask '{bits}' for IPv{version} address"));
        }
        let from = if version == 4 { 8 } else { 0 };
        for (at, byte) in self.0[from..from + size].iter_mut().enumerate() {
            let kept = (bits - at as i64 * 8).clamp(0, 8) as u32;
            *byte &= !(255u16 >> kept) as u8;
        }
        Ok(self)
    }

    fn text(self) -> String {
        View::new(&ONE, &self.0).ok().and_then(|view| view.ip(0)).map_or_else(String::new, |ip| ip.to_string())
    }

    /// The address that a value is; `None` for other values.
    pub(super) fn of(value: &Value) -> Option<Address> {
        match value {
            Value::UserData(object) => object.borrow::<Address>().ok().map(|address| *address),
            _ => None,
        }
    }

    pub(super) fn to_lua(self, lua: &Lua) -> mlua::Result<Value> {
        lua.create_userdata(self).map(Value::UserData)
    }
}

/// Operations of addresses, by the names that a metatable has for them. Scripts look for them there, and mlua keeps its own to itself.
pub(super) fn metatable(lua: &Lua) -> mlua::Result<Table> {
    let table = lua.create_table()?;
    table.raw_set("__div", raising(lua, |lua, args| divide(lua, &args))?)?;
    table.raw_set("__eq", raising(lua, |_, args| Ok(one(Value::Boolean(equals(&args)))))?)?;
    let shown = |lua: &Lua, args: MultiValue| Ok(one(string(lua, only(&args)?.text())?));
    table.raw_set("__tostring", raising(lua, shown)?)?;
    let bytes = |lua: &Lua, args: MultiValue| Ok(one(string(lua, only(&args)?.octets())?));
    table.raw_set("__tobytes", raising(lua, bytes)?)?;
    Ok(table)
}

fn one(value: Value) -> MultiValue {
    [value].into_iter().collect()
}

fn string(lua: &Lua, text: impl AsRef<[u8]>) -> Result<Value, String> {
    lua.create_string(text).map(Value::String).map_err(|why| why.to_string())
}

/// The only argument.
fn only(args: &MultiValue) -> Result<Address, String> {
    let only = args.front().filter(|_| args.len() == 1).and_then(Address::of);
    only.ok_or_else(|| "Expected IP address userdata".to_owned())
}

/// `ADDRESS / BITS`.
fn divide(lua: &Lua, args: &MultiValue) -> Result<MultiValue, String> {
    let (Some(left), Some(right)) = (args.front(), args.get(1)) else {
        return Err("Invalid arguments to IP mask operation".into());
    };
    let address = Address::of(left);
    let address = address.ok_or("Invalid arguments to IP mask operation, expected IP userdata as first operand")?;
    let bits = match right {
        Value::Integer(bits) => *bits,
        Value::Number(bits) => *bits as i64,
        _ => return Err("Invalid arguments to IP mask operation, expected number as second operand".into()),
    };
    let masked = address.masked(bits)?.to_lua(lua).map_err(|why| why.to_string())?;
    Ok(one(masked))
}

/// Texts and addresses are equal when their texts are.
fn equals(args: &MultiValue) -> bool {
    let text = |at: usize| match args.get(at) {
        Some(Value::String(text)) => Some(text.as_bytes().to_vec()),
        Some(other) => Address::of(other).map(|address| address.text().into_bytes()),
        None => None,
    };
    text(0).is_some() && text(0) == text(1)
}

impl UserData for Address {
    fn add_fields<F: UserDataFields<Self>>(fields: &mut F) {
        for name in ["__div", "__eq", "__tostring"] {
            fields.add_meta_field_with(name, move |lua| {
                lua.named_registry_value::<Table>(METATABLE)?.raw_get::<Value>(name)
            });
        }
    }
}

/// Where the table of [`metatable`] is kept.
pub(super) const METATABLE: &str = "sonda.address";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_masks() {
        let text = |text: &[u8]| Address::parse(text).map(Address::text);
        assert_eq!(text(b"192.168.5.200").unwrap(), "192.168.5.200");
        assert_eq!(text(b"0000:0000::1").unwrap(), "::1");
        assert_eq!(text(b"\xc0\xa8\0\x01").unwrap(), "192.168.0.1");
        assert_eq!(
            text(&[0, 17, 34, 51, 68, 85, 102, 119, 136, 153, 170, 187, 204, 221, 238, 255]).unwrap(),
            "11:2233:4455:6677:8899:aabb:ccdd:eeff"
        );
        for wrong in [&b""[..], b"1.2.3", b"\n\0\0\0\x01", b"hosts"] {
            assert_eq!(text(wrong), None);
        }
        let masked = |text: &str, bits| Address::parse(text.as_bytes()).unwrap().masked(bits).map(Address::text);
        for (address, bits, want) in [
            ("10.20.30.40", 24, "10.20.30.0"),
            ("10.20.30.40", 0, "0.0.0.0"),
            ("10.20.30.40", 31, "10.20.30.40"),
            ("2001:db8:85a3:1234:5678:8a2e:370:7334", 24, "2001:d00::"),
            ("2001:db8:85a3:1234:5678:8a2e:370:7334", 0, "::"),
            ("::1", 128, "::1"),
        ] {
            assert_eq!(masked(address, bits).unwrap(), want);
        }
        assert_eq!(masked("10.0.0.1", 33).unwrap_err(), "Invalid mask '33' for IPv4 address");
        assert_eq!(masked("::1", -1).unwrap_err(), "Invalid mask '-1' for IPv6 address");
    }
}
