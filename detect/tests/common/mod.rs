//! What tests of modules share.
use detect::modules;
use tempfile::TempDir;
use trap::{Input, InputDefaults, Output, OutputDefaults, Place, Spec};

/// Runs a module with these arguments; answers its exit code.
pub(crate) fn module(name: &str, args: &[&str]) -> u8 {
    let args: Vec<_> = args.iter().map(|a| (*a).to_owned()).collect();
    (modules::find(name).unwrap().run)(&args)
}

/// An input that a test reads itself.
pub(crate) fn input(spec: &str, place: &Place) -> Input {
    Input::open_at(&Spec::parse(spec).unwrap()[0], &InputDefaults::default(), place).unwrap()
}

/// An output that a test writes itself.
pub(crate) fn output(spec: &str, place: &Place) -> Output {
    Output::open_at(&Spec::parse(spec).unwrap()[0], OutputDefaults::default(), place).unwrap()
}

pub(crate) fn path(folder: &TempDir, name: &str) -> String {
    folder.path().join(name).to_str().unwrap().to_owned()
}
