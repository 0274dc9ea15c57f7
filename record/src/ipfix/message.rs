//! What an encoder hands to a transport, and what the transport answers.

/// A finished message on its way out.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub bytes: &'a [u8],
    pub holds: Holds,
    /// Flow records inside.
    pub records: u32,
    /// Options records inside.
    pub options: u32,
}

/// What is in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Templates, or options that last: each session has to be told them, in this order.
    Templates,
    Flows,
    /// Numbers about the exporter, of this moment: later ones make up for those that are lost.
    Statistics,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Handed to the transport: its records count in the sequence number.
    Sent,
    /// Given up: its records are gone (the caller counts them), templates in it will be sent again.
    Lost,
    /// The transport opened a new session: all templates go first, then this message again with sequence number 0. A second
    /// restart on the same message counts as [`Fate::Lost`].
    Restarted,
}
