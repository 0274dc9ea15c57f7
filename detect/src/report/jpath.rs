//! JPaths: where a value of a message is, `Source[1].IP4` (spec/idea.md section 2.3).
//!
//! Indices count from 1, `[#]` is the last, `[*]` or none are all. Reading goes through lists; writing makes what is missing.
use serde_json::{Map, Value};

/// Nodes of a path, at the most.
const NODES_MAX: usize = 64;

/// A path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<Chunk>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Chunk {
    name: String,
    index: Option<Index>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Index {
    /// From 0.
    At(usize),
    Last,
    All,
}

/// Something else stands where the path wants an object or a list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no {1} at \"{0}\" of the message")]
pub struct NoPlace(String, &'static str);

impl Path {
    /// Reads a path; none if it is none.
    pub fn parse(text: &str) -> Option<Path> {
        let chunks: Vec<_> = text.split('.').take(NODES_MAX + 1).map(chunk).collect::<Option<_>>()?;
        (chunks.len() <= NODES_MAX).then_some(Path(chunks))
    }

    /// Its names without indices.
    pub(crate) fn names(&self) -> Box<[&str]> {
        self.0.iter().map(|chunk| chunk.name.as_str()).collect()
    }

    /// All values at the path, those of lists one by one.
    pub fn values<'v>(&self, message: &'v Value) -> Vec<&'v Value> {
        let mut nodes = vec![message];
        for Chunk { name, index } in &self.0 {
            let mut next = Vec::new();
            for found in nodes.into_iter().filter_map(|node| node.get(name.as_str())) {
                match (found, index) {
                    (Value::Array(items), None | Some(Index::All)) => next.extend(items),
                    (Value::Array(items), Some(Index::At(at))) => next.extend(items.get(*at)),
                    (Value::Array(items), Some(Index::Last)) => next.extend(items.last()),
                    (_, Some(_)) => {}
                    (value, None) => next.push(value),
                }
            }
            nodes = next;
        }
        nodes
    }

    /// Puts a value at the path. With an index behind the last of a list, or `[*]`, it is appended.
    ///
    /// # Errors
    /// See [`NoPlace`]; objects and lists on the way may have been made.
    pub fn set(&self, message: &mut Value, value: Value) -> Result<(), NoPlace> {
        let Some((last, way)) = self.0.split_last() else { return Ok(()) };
        let mut node = message;
        for chunk in way {
            let object = object(node, chunk)?;
            node = match chunk.index {
                None => object.entry(chunk.name.as_str()).or_insert_with(|| Value::Object(Map::new())),
                Some(index) => element(list(object, chunk)?, index, || Value::Object(Map::new())),
            };
        }
        let object = object(node, last)?;
        match last.index {
            None => drop(object.insert(last.name.clone(), value)),
            Some(index) => *element(list(object, last)?, index, || Value::Null) = value,
        }
        Ok(())
    }
}

fn chunk(text: &str) -> Option<Chunk> {
    let (name, index) = match text.split_once('[') {
        None => (text, None),
        Some((name, rest)) => {
            let index = match rest.strip_suffix(']')? {
                "#" => Index::Last,
                "*" => Index::All,
                // QUIRK: 0 is the last, as Python counts.
                digits => match digits.parse::<u32>().ok().filter(|_| !digits.starts_with('+'))? {
                    0 => Index::Last,
                    n => Index::At(n as usize - 1),
                },
            };
            (name, Some(index))
        }
    };
    let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    is_name.then(|| Chunk { name: name.to_owned(), index })
}

fn object<'v>(node: &'v mut Value, chunk: &Chunk) -> Result<&'v mut Map<String, Value>, NoPlace> {
    node.as_object_mut().ok_or_else(|| NoPlace(chunk.name.clone(), "object"))
}

fn list<'v>(object: &'v mut Map<String, Value>, chunk: &Chunk) -> Result<&'v mut Vec<Value>, NoPlace> {
    let found = object.entry(chunk.name.as_str()).or_insert_with(|| Value::Array(Vec::new()));
    found.as_array_mut().ok_or_else(|| NoPlace(chunk.name.clone(), "list"))
}

/// The element, a fresh one at the end if there is none.
fn element(list: &mut Vec<Value>, index: Index, fresh: impl FnOnce() -> Value) -> &mut Value {
    let at = match index {
        Index::At(at) => at.min(list.len()),
        Index::Last => list.len().saturating_sub(1),
        Index::All => list.len(),
    };
    if at == list.len() {
        list.push(fresh());
    }
    &mut list[at]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_of_lists_are_flat() {
        let message = json!({"A": [{"B": [1, 2]}, {"B": 3}, 4], "C": {"D": []}});
        let got =
            |path: &str| Path::parse(path).unwrap().values(&message).iter().map(|v| v.to_string()).collect::<String>();
        assert_eq!(
            (got("A.B").as_str(), got("A[1].B[#]").as_str(), got("A[#]").as_str(), got("A[*].B").as_str()),
            ("123", "2", "4", "123")
        );
        assert_eq!((got("A[0]").as_str(), got("A.B[2]").as_str()), ("4", "2"));
        assert_eq!((got("C.D"), got("C.D.E"), got("A[9].B"), got("X")), Default::default());
        for bad in ["", "A.", "A[x]", "A[1", "A-B", "A[-1]", "A[+1]", &"A.".repeat(100)] {
            assert!(Path::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_is_missing_is_made() {
        let mut message = json!({"Source": [{"IP4": []}], "Text": "x"});
        let mut set = |path: &str, value: Value| Path::parse(path).unwrap().set(&mut message, value);
        set("_CESNET.Status.Processed", json!(true)).unwrap();
        set("Source[1].IP4[*]", json!("192.0.2.1")).unwrap();
        set("Source[7].Type[3]", json!("T")).unwrap();
        set("Source[#].Type[#]", json!("U")).unwrap();
        assert!(set("Text.More", json!(1)).is_err() && set("Text[1]", json!(1)).is_err());
        assert_eq!(
            message,
            json!({"Source": [{"IP4": ["192.0.2.1"]}, {"Type": ["U"]}], "Text": "x", "_CESNET": {"Status": {"Processed": true}}})
        );
    }
}
