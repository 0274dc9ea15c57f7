//! F25: a capture of any bytes through a whole lane with every plugin.
use super::books;
use crate::capture::fuzzing::in_memory;
use crate::packet::fuzzing::FACES;
use crate::registry::PluginId;

/// All identities hold, and records are the same when the same bytes come again: nothing is left over from flow to flow.
pub(super) fn fuzz_lane(data: &[u8]) {
    for face in FACES {
        for split in [false, true] {
            let config = books::config(PluginId::ALL, face, split);
            let records = books::run(&config, &mut in_memory(data));
            assert_eq!(records, books::run(&config, &mut in_memory(data)));
        }
    }
}
