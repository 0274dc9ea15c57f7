//! A thread that panics must not leave the test waiting for what it will never do.

use std::io::Write;
use std::sync::Once;

/// From now on a panic in a thread that a test spawned ends the process, with its message; a test's own thread has a name and fails as ever.
#[allow(
    clippy::disallowed_methods,
    reason = "a test that failed has nothing to flush, and its other threads may never end"
)]
pub(crate) fn end_the_process() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            usual(panic);
            if std::thread::current().name().is_none() {
                // Directly: what the usual hook printed may have been kept for a report that will not come.
                let _nobody_hears = writeln!(std::io::stderr(), "a thread of a test panicked: {panic}");
                std::process::exit(101);
            }
        }));
    });
}
