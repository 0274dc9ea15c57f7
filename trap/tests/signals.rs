//! SIGINT sets the stop flag and ends a blocked `recv`. Alone in its process, because signals are the process's.

use std::thread;
use std::time::Duration;

use trap::module::{self, Count, ModuleInfo, Options};
use trap::{Event, Place};

const INFO: ModuleInfo = ModuleInfo {
    name: "waiter",
    description: "Waits.",
    inputs: Count::Exactly(1),
    outputs: Count::Exactly(0),
    params: &[],
};

#[test]
fn interrupt_ends_a_blocked_recv() {
    let dir = tempfile::tempdir().expect("tempdir");
    let options = Options { place: Place::with_socket_dir(dir.path()), ..Options::default() };
    let argv = ["waiter", "-i", "u:nobody"].map(String::from);
    let mut module = module::start_with(&INFO, argv, &options).expect("starts");
    let raiser = thread::spawn(|| {
        thread::sleep(Duration::from_millis(100));
        signal_hook::low_level::raise(signal_hook::consts::SIGINT).expect("raise");
    });
    assert_eq!(module.inputs[0].recv().expect("recv"), Event::Terminated);
    assert!(module.stop.is_set());
    raiser.join().expect("raiser");
}
