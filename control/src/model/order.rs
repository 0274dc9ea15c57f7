//! Which module starts before which.
use super::Config;
use std::collections::{HashMap, HashSet};
use thiserror::Error;

/// Why there is no order.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum OrderError {
    /// `after` names nothing.
    #[error("module \"{module}\" starts after \"{missing}\", which is no module")]
    Missing { module: String, missing: String },
    /// Each waits for the next, and the last for the first.
    #[error("modules wait for each other: {}", .0.join(" after "))]
    Cycle(Vec<String>),
}

impl OrderError {
    /// The first wait that is wrong: who waits, and for whom.
    #[must_use]
    pub fn wait(&self) -> (&str, &str) {
        match self {
            Self::Missing { module, missing } => (module, missing),
            Self::Cycle(names) => {
                let at = |at: usize| names.get(at).map_or("", String::as_str);
                (at(0), at(1))
            }
        }
    }
}

/// Checks that every `after` names a module and that no module waits for itself.
///
/// # Errors
/// [`OrderError`]: the first that is wrong, in the order of the file.
pub fn check(config: &Config) -> Result<(), OrderError> {
    let after: HashMap<&str, &[String]> =
        config.modules().map(|(_, m)| (m.name.as_str(), m.after.as_slice())).collect();
    for (_, module) in config.modules() {
        if let Some(missing) = module.after.iter().find(|name| !after.contains_key(name.as_str())) {
            return Err(OrderError::Missing { module: module.name.clone(), missing: missing.clone() });
        }
    }
    let mut done: HashSet<&str> = HashSet::new();
    for (_, module) in config.modules() {
        walk(&module.name, &after, &mut done)?;
    }
    Ok(())
}

/// Depth first with a path of its own: a chain of thousands must not end the stack.
fn walk<'a>(
    from: &'a str,
    after: &HashMap<&'a str, &'a [String]>,
    done: &mut HashSet<&'a str>,
) -> Result<(), OrderError> {
    let mut path: Vec<(&str, usize)> = vec![(from, 0)];
    while let Some((name, next)) = path.last_mut() {
        let name = *name;
        let Some(wanted) = (!done.contains(name)).then(|| after.get(name)?.get(*next)).flatten() else {
            done.insert(name);
            path.pop();
            continue;
        };
        *next += 1;
        if let Some(at) = path.iter().position(|(there, _)| there == wanted) {
            let mut names: Vec<String> = path[at..].iter().map(|(name, _)| (*name).to_owned()).collect();
            names.push(wanted.clone());
            return Err(OrderError::Cycle(names));
        }
        path.push((wanted, 0));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Limits, Module, Profile};
    use proptest::prelude::*;

    fn config(after: &[(String, Vec<String>)]) -> Config {
        let modules = after.iter().map(|(name, after)| Module {
            name: name.clone(),
            enabled: true,
            path: "/bin/true".into(),
            params: None,
            restarts: 0,
            interfaces: vec![],
            after: after.clone(),
            limits: Limits::default(),
        });
        let profiles = vec![Profile { name: "p".into(), enabled: true, modules: modules.collect() }];
        Config { profiles, ..Config::default() }
    }

    fn named(after: &[(&str, &[&str])]) -> Config {
        let owned = after.iter().map(|(name, after)| ((*name).into(), after.iter().map(|a| (*a).into()).collect()));
        config(&owned.collect::<Vec<_>>())
    }

    #[test]
    fn cycles_are_named() {
        assert_eq!(check(&named(&[("a", &["b"]), ("b", &["c"]), ("c", &[])])), Ok(()));
        let why = check(&named(&[("x", &["a"]), ("a", &["b"]), ("b", &["a"])])).unwrap_err();
        assert_eq!(why.to_string(), "modules wait for each other: a after b after a");
        assert_eq!(why.wait(), ("a", "b"));
        let why = check(&named(&[("a", &["a"])])).unwrap_err();
        assert_eq!(why.to_string(), "modules wait for each other: a after a");
        let why = check(&named(&[("a", &["z"])])).unwrap_err();
        assert_eq!(why.to_string(), "module \"a\" starts after \"z\", which is no module");
    }

    proptest! {
        /// The judge takes away what waits for nothing until nothing is left, or nothing more can be taken.
        #[test]
        fn a_cycle_is_found_exactly_when_there_is_one(edges in prop::collection::vec((0usize..7, 0usize..7), 0..12)) {
            let after: Vec<(String, Vec<String>)> = (0..7)
                .map(|at| (at.to_string(), edges.iter().filter(|e| e.0 == at).map(|e| e.1.to_string()).collect()))
                .collect();
            let mut left = after.clone();
            loop {
                let names: Vec<String> = left.iter().map(|(name, _)| name.clone()).collect();
                let before = left.len();
                left.retain(|(_, after)| after.iter().any(|name| names.contains(name)));
                if left.len() == before { break }
            }
            prop_assert_eq!(check(&config(&after)).is_ok(), left.is_empty());
        }
    }
}
