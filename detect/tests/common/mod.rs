//! What tests of modules share.
use detect::modules;
use std::path::PathBuf;
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

/// The recorded data: `$SONDA_SHARED`, which must exist if it is set, or `/work/shared` if that exists.
pub(crate) fn fixtures(folder: &str) -> Option<PathBuf> {
    let named = std::env::var_os("SONDA_SHARED");
    let path = PathBuf::from(named.clone().unwrap_or("/work/shared".into())).join("fixtures").join(folder);
    if !path.exists() {
        assert!(named.is_none(), "SONDA_SHARED is set but {} is missing", path.display());
        println!("skipped: no {}", path.display());
        return None;
    }
    Some(path)
}
