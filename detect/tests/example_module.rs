//! The example module brings its own tests, which a crate made by `sonda new-module` has too; here they run with all others.

#[path = "../examples/example_module.rs"]
#[allow(dead_code, reason = "its main is not used here")]
mod example_module;
