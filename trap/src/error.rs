//! What can go wrong with an interface, in the words of the original where users and scripts know them.
//!
//! The original prints two texts for one failure: a precise line (`ERROR: ...`, our [`std::fmt::Display`]) and a short one
//! after `ERROR in TRAP initialization:` (our [`TrapError::summary`]). Codes are those of trap.md section 11.

use std::io;

use thiserror::Error;

/// Failure of an input or output interface. `Display` says what to do; [`TrapError::code`] is libtrap's number.
#[derive(Debug, Error)]
pub enum TrapError {
    /// The interface type does not exist in this direction, or is not built in (code 11).
    #[error("Unknown {direction} interface type '{letter}'.{hint}")]
    UnknownType {
        /// `input` or `output`.
        direction: &'static str,
        /// Type letter of the specifier.
        letter: char,
        /// Empty, or a sentence that begins with a blank.
        hint: &'static str,
    },
    /// A part of the specifier is missing or wrong (code 11).
    #[error("{0}")]
    BadParams(String),
    /// `-i` names more or fewer interfaces than the module has (code 11).
    #[error("Got {got} IFCs via -i, expected {inputs} input and {outputs} output IFCs.")]
    BadCount {
        /// Interfaces given.
        got: usize,
        /// Inputs expected, `variable` when free.
        inputs: String,
        /// Outputs expected, `variable` when free.
        outputs: String,
    },
    /// The first input file cannot be opened (code 11).
    #[error(
        "INPUT FILE IFC[{index}]: unable to open file \"{path}\". Possible reasons: non-existing file, bad permission."
    )]
    InputFile {
        /// Number of the interface among the inputs.
        index: usize,
        /// File as named after expansion.
        path: String,
        /// Cause told by the system.
        source: io::Error,
    },
    /// Reading, writing, binding or creating failed (code 14).
    #[error("{what}: {source}")]
    Io {
        /// The action that failed and on what.
        what: String,
        /// Cause told by the system.
        source: io::Error,
    },
    /// The sender offers another format than the one required (code 24); the connection was closed.
    #[error("TRAP Negotiation failed: {0}")]
    FormatMismatch(String),
    /// The peer or file gave no valid HELLO (code 25); the connection was closed.
    #[error("interface negotiation failed ({0})")]
    NegotiationFailed(String),
    /// A side of a TLS connection has no certificate that the other takes (code 17); the connection was closed.
    #[error("TLS certificate verification failed: {0}")]
    BadCertificate(String),
    /// The peer or file broke the container format (code 14); the connection was closed, the next call reconnects.
    #[error("malformed TRAP stream: {0}; connection closed")]
    Malformed(String),
    /// A format was used that cannot be announced (code 13).
    #[error("{0}")]
    BadFormat(String),
}

impl TrapError {
    /// Error number of libtrap for this failure (trap.md section 11).
    #[must_use]
    pub fn code(&self) -> u8 {
        match self {
            Self::UnknownType { .. } | Self::BadParams(_) | Self::BadCount { .. } | Self::InputFile { .. } => 11,
            Self::BadFormat(_) => 13,
            Self::Io { .. } | Self::Malformed(_) => 14,
            Self::BadCertificate(_) => 17,
            Self::FormatMismatch(_) => 24,
            Self::NegotiationFailed(_) => 25,
        }
    }

    /// The short text that the original prints after `ERROR in TRAP initialization:` (trap.md section 1.1).
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::UnknownType { .. } | Self::BadParams(_) => "Bad parameters passed to interface initializer.".into(),
            Self::BadCount { .. } => "Bad number of IFCs in IFC_SPEC.".into(),
            Self::InputFile { index, .. } => format!("INPUT FILE IFC[{index}]: Unable to open file."),
            Self::Io { .. } => "Input/Output error".into(),
            other => other.to_string(),
        }
    }

    /// What the receive macros of the original print for this failure of `trap_recv` (trap.md section 12.1).
    #[must_use]
    pub fn recv_text(&self) -> String {
        match self {
            Self::FormatMismatch(_) => {
                "trap_recv() error: output and input interfaces data formats or data specifiers mismatch.".into()
            }
            Self::NegotiationFailed(_) => "trap_recv() error: interface negotiation failed (caused by invalid reply \
                                           from a remote module, corrupted file or an unknown error)."
                .into(),
            other => format!("Error: trap_recv() returned {} ({other})", other.code()),
        }
    }

    /// An I/O failure of `what`.
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }
}
