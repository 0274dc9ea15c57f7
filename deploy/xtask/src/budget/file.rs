//! benches/budgets.toml: the compiler and machine it holds for, and a number for each program.
use crate::Outcome;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

const HEAD: &str = "\
# Instructions for each packet (encoders: for each flow record), by `cargo xtask budget`, which fails 5 % above. Parsers: what the lane takes
# more with the parser than without, over dialogs of its protocol. Written by `cargo xtask budget --bless`; say why in the commit.
";

pub(crate) struct Budgets {
    pub(crate) compiler: String,
    pub(crate) machine: String,
    pub(crate) counted: BTreeMap<String, f64>,
}

impl Budgets {
    /// Reads what [`write`](Self::write) wrote: `name = value` lines, no other TOML.
    pub(crate) fn read(path: &Path) -> Result<Budgets, String> {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let mut budgets = Budgets { compiler: String::new(), machine: String::new(), counted: BTreeMap::new() };
        for (at, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with(['#', '[']) {
                continue;
            }
            let wrong = || format!("{}:{}: not `name = value`: {line}", path.display(), at + 1);
            let (name, value) = line.split_once(" = ").ok_or_else(wrong)?;
            match name {
                "compiler" => budgets.compiler = value.trim_matches('"').to_owned(),
                "machine" => budgets.machine = value.trim_matches('"').to_owned(),
                _ => {
                    let number = value.parse::<f64>().ok().filter(|n| *n > 0.0).ok_or_else(wrong)?;
                    budgets.counted.insert(name.to_owned(), number);
                }
            }
        }
        Ok(budgets)
    }

    pub(crate) fn write(&self, path: &Path) -> Outcome {
        let mut text =
            format!("{HEAD}compiler = \"{}\"\nmachine = \"{}\"\n\n[instructions]\n", self.compiler, self.machine);
        for (name, counted) in &self.counted {
            writeln!(text, "{name} = {counted:.1}").map_err(|e| e.to_string())?;
        }
        fs::write(path, text).map_err(|e| format!("{}: {e}", path.display()))
    }
}
