//! The XML of the original (section 3.2), with its messages; where the fault stands is told in a second line.
use super::Refused;
use super::include::Expanded;
use crate::model::{
    Config, Direction, Interface, Kind, Limits, MODULES_MAX, Module, Profile, RESTARTS, RESTARTS_MAX, Settings,
};
use roxmltree::{Document, Node, NodeType};
use std::collections::HashSet;
use std::path::Path;

/// Elements, attributes and texts, at the most.
const NODES_MAX: u32 = 1 << 20;
const ROOT: &str = "nemea-supervisor";

/// A message and the byte that it is about.
type Fault = (String, Option<usize>);

/// Reads a document. `shown` is the path that messages name.
///
/// # Errors
/// The first fault, in the words of the original.
pub fn parse(text: &Expanded, shown: &Path) -> Result<Config, Refused> {
    if text.xml.trim().is_empty() {
        return Err(Refused::one("[ERROR] Empty document."));
    }
    let options = roxmltree::ParsingOptions { nodes_limit: NODES_MAX, ..Default::default() };
    let document = Document::parse_with_options(&text.xml, options).map_err(|why| {
        let line = why.pos().row as usize;
        let (file, at) = text.origin(line).unwrap_or((shown, line));
        Refused {
            lines: vec![
                format!("[ERROR] Could not parse generated configuration file with path \"{}\"!", shown.display()),
                format!("[INFO] File: {}", file.display()),
                format!("[INFO] Error message: {why}"),
                format!("[INFO] Line: {at}"),
            ],
        }
    })?;
    root(&document).map_err(|(message, byte)| {
        let mut lines = vec![message];
        if let Some(byte) = byte {
            let place = document.text_pos_at(byte);
            let line = place.row as usize;
            let (file, at) = text.origin(line).unwrap_or((shown, line));
            lines.push(format!("[INFO] At {}:{at}:{}.", file.display(), place.col));
        }
        Refused { lines }
    })
}

fn root(document: &Document<'_>) -> Result<Config, Fault> {
    let root = document.root_element();
    if root.tag_name().name() != ROOT {
        let message = format!("[ERROR] Document of the wrong type, missing root element \"{ROOT}\".");
        return Err((message, Some(root.range().start)));
    }
    let mut restarts = RESTARTS;
    if let Some(node) = Fields::<1>::read_some(root, ["supervisor"])?.optional(0) {
        let [count] = Fields::read(not_empty(node)?, ["module-restarts"])?.0;
        restarts = number(count)?.unwrap_or(RESTARTS);
    }
    let (mut profiles, mut names, mut modules) = (Vec::new(), HashSet::new(), HashSet::new());
    for node in elements(root)?.filter(|node| node.tag_name().name() == "modules") {
        let profile = profile(node, restarts, &mut modules)?;
        if !names.insert(profile.name.clone()) {
            return Err((format!("[ERROR] Duplicated profile name \"{}\"", profile.name), Some(node.range().start)));
        }
        profiles.push(profile);
        if names.len() + modules.len() > MODULES_MAX {
            let message = format!("[ERROR] There are more than {MODULES_MAX} modules and profiles.");
            return Err((message, Some(node.range().start)));
        }
    }
    Ok(Config { settings: Settings::default(), profiles })
}

fn profile(node: Node<'_, '_>, restarts: u8, known: &mut HashSet<String>) -> Result<Profile, Fault> {
    let fields = Fields::<2>::read_some(not_empty(node)?, ["name", "enabled"])?;
    let (name, enabled) = (text(fields.required(0)?)?, flag(fields.required(1)?)?);
    let mut modules = Vec::new();
    for node in elements(node)?.filter(|node| node.tag_name().name() == "module") {
        let module = module(not_empty(node)?, restarts)?;
        if !known.insert(module.name.clone()) {
            return Err((format!("[ERROR] Duplicated module name \"{}\"", module.name), Some(node.range().start)));
        }
        modules.push(module);
    }
    Ok(Profile { name, enabled, modules })
}

fn module(node: Node<'_, '_>, restarts: u8) -> Result<Module, Fault> {
    let fields = Fields::read(node, ["name", "enabled", "path", "params", "module-restarts", "trapinterfaces"])?;
    let [_, _, _, params, count, interfaces] = fields.0;
    Ok(Module {
        name: text(fields.required(0)?)?,
        enabled: flag(fields.required(1)?)?,
        path: text(fields.required(2)?)?,
        params: params.map(content).transpose()?.filter(|params| !params.is_empty()),
        restarts: number(count)?.unwrap_or(restarts),
        interfaces: match interfaces {
            Some(node) => self::interfaces(node)?,
            None => Vec::new(),
        },
        after: Vec::new(),
        // The original's files say nothing of them.
        limits: Limits::default(),
    })
}

fn interfaces(node: Node<'_, '_>) -> Result<Vec<Interface>, Fault> {
    let interface = |node| {
        let [note, kind, direction, params] =
            Fields::read(not_empty(node)?, ["note", "type", "direction", "params"])?.0;
        Ok(Interface {
            note: note.map(text).transpose()?,
            kind: kind.map(|node| one_of(node, "TCP, UNIXSOCKET, FILE, BLACKHOLE, TLS", Kind::of_word)).transpose()?,
            direction: direction.map(|node| one_of(node, "IN, OUT", way)).transpose()?,
            params: params.map(content).transpose()?.filter(|params| !params.is_empty()),
        })
    };
    let all = elements(node)?;
    let mut all = all.collect::<Vec<_>>();
    if let Some(other) = all.iter().find(|node| node.tag_name().name() != "interface") {
        return Err(unexpected(*other, node));
    }
    all.drain(..).map(interface).collect()
}

fn way(word: &str) -> Option<Direction> {
    Direction::ALL.into_iter().find(|(_, known)| *known == word).map(|(way, _)| way)
}

/// The elements of a node by name: none twice.
struct Fields<'a, 'd, const N: usize>([Option<Node<'a, 'd>>; N], [&'static str; N], Node<'a, 'd>);

impl<'a, 'd, const N: usize> Fields<'a, 'd, N> {
    /// Nothing else may be there.
    fn read(node: Node<'a, 'd>, names: [&'static str; N]) -> Result<Self, Fault> {
        if let Some(other) = elements(node)?.find(|child| !names.contains(&child.tag_name().name())) {
            return Err(unexpected(other, node));
        }
        Self::take(node, names)
    }

    /// Beside them the repeated element of this node may be there.
    fn read_some(node: Node<'a, 'd>, names: [&'static str; N]) -> Result<Self, Fault> {
        let repeated = if node.tag_name().name() == ROOT { "modules" } else { "module" };
        let is_known = |name: &str| name == repeated || names.contains(&name);
        if let Some(other) = elements(node)?.find(|child| !is_known(child.tag_name().name())) {
            return Err(unexpected(other, node));
        }
        Self::take(node, names)
    }

    fn take(node: Node<'a, 'd>, names: [&'static str; N]) -> Result<Self, Fault> {
        let mut found = [None; N];
        for child in elements(node)? {
            let Some(at) = names.iter().position(|name| *name == child.tag_name().name()) else { continue };
            if found[at].replace(child).is_some() {
                let (name, of) = (names[at], node.tag_name().name());
                let message = format!("[ERROR] Too much \"{name}\" elements in \"{of}\" element!");
                return Err((message, Some(child.range().start)));
            }
        }
        Ok(Self(found, names, node))
    }

    fn optional(&self, at: usize) -> Option<Node<'a, 'd>> {
        self.0[at]
    }

    fn required(&self, at: usize) -> Result<Node<'a, 'd>, Fault> {
        self.0[at].ok_or_else(|| {
            let message =
                format!("[ERROR] Missing \"{}\" element in \"{}\" element!", self.1[at], self.2.tag_name().name());
            (message, Some(self.2.range().start))
        })
    }
}

/// The elements below a node; comments and texts do not count, anything else is refused.
fn elements<'a, 'd>(node: Node<'a, 'd>) -> Result<impl Iterator<Item = Node<'a, 'd>>, Fault> {
    let other = |child: &Node<'_, '_>| child.node_type() == NodeType::PI;
    match node.children().find(other) {
        Some(other) => Err(unexpected(other, node)),
        None => Ok(node.children().filter(Node::is_element)),
    }
}

fn unexpected(node: Node<'_, '_>, parent: Node<'_, '_>) -> Fault {
    // Numbers of libxml2.
    let kind = if node.is_element() { 1 } else { 7 };
    let name = node.pi().map_or(node.tag_name().name(), |pi| pi.target);
    let of = parent.tag_name().name();
    (format!("[ERROR] Unexpected node (type: {kind}, name: {name}) in \"{of}\" element!"), Some(node.range().start))
}

/// An element that has something in it.
fn not_empty<'a, 'd>(node: Node<'a, 'd>) -> Result<Node<'a, 'd>, Fault> {
    let is_something =
        |child: Node<'_, '_>| child.is_element() || child.text().is_some_and(|text| !text.trim().is_empty());
    if node.children().any(is_something) { Ok(node) } else { Err(empty(node)) }
}

fn empty(node: Node<'_, '_>) -> Fault {
    (format!("[ERROR] Empty value in \"{}\" element!", node.tag_name().name()), Some(node.range().start))
}

/// The text of an element, without outer blanks.
fn content(node: Node<'_, '_>) -> Result<String, Fault> {
    if let Some(other) = elements(node)?.next() {
        return Err(unexpected(other, node));
    }
    let texts: String = node.children().filter(Node::is_text).filter_map(|node| node.text()).collect();
    Ok(texts.trim().to_owned())
}

fn text(node: Node<'_, '_>) -> Result<String, Fault> {
    content(node).and_then(|text| if text.is_empty() { Err(empty(node)) } else { Ok(text) })
}

fn flag(node: Node<'_, '_>) -> Result<bool, Fault> {
    one_of(node, "true, false", |word| word.parse().ok())
}

fn one_of<T>(node: Node<'_, '_>, words: &str, of: impl Fn(&str) -> Option<T>) -> Result<T, Fault> {
    of(&text(node)?).ok_or_else(|| {
        let name = node.tag_name().name();
        (format!("[ERROR] Expected one of {{{words}}} values in \"{name}\" element!"), Some(node.range().start))
    })
}

fn number(node: Option<Node<'_, '_>>) -> Result<Option<u8>, Fault> {
    let Some(node) = node else { return Ok(None) };
    match text(node)?.parse() {
        Ok(count) if count <= RESTARTS_MAX => Ok(Some(count)),
        _ => {
            let message = "[ERROR] Value in \"module-restarts\" element must be positive number in range <0,30>!";
            Err((message.into(), Some(node.range().start)))
        }
    }
}

#[cfg(test)]
mod tests;
