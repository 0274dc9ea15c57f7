//! A look at an output's clients from another thread.

use std::sync::Arc;

use super::hub::Hub;
use super::stats::ClientStats;

/// Leave to look, also after the output was finished.
#[derive(Debug, Clone)]
pub(crate) struct Clients(pub(super) Arc<Hub>);

/// What was seen at one moment.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Clients connected now.
    pub(crate) clients: Vec<ClientStats>,
    /// Messages taken so far, those of the active container included.
    pub(crate) taken: u64,
    /// Automatic and manual flushes.
    pub(crate) autoflushes: u64,
    /// Containers finished.
    pub(crate) containers: u64,
}

impl Clients {
    pub(crate) fn look(&self) -> Seen {
        let state = self.0.lock();
        Seen {
            clients: state.ring.client_stats(),
            taken: state.ring.published() + u64::from(state.active.count()),
            autoflushes: state.autoflushes,
            containers: state.ring.totals().containers,
        }
    }
}
