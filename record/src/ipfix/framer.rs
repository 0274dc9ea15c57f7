//! Cuts a byte stream (TCP, a file of messages back to back) into messages, the same ones however the stream is chunked.
use super::header::{Cause, Error, message_length};

/// Bytes that tell the length of a message: version and length.
const PREFIX: usize = 4;

/// Holds at most one unfinished message, below 64 KiB.
#[derive(Default)]
pub struct Framer {
    pending: Vec<u8>,
    /// Stream offset of the next message.
    offset: usize,
    failed: Option<Error>,
}

impl Framer {
    pub fn new() -> Framer {
        Framer::default()
    }

    /// Takes the next bytes of the stream and lends out each message that is now whole.
    ///
    /// # Errors
    /// The stream is not IPFIX at `offset` of the stream. Framing is lost for good: later calls give the same error.
    pub fn push(&mut self, mut chunk: &[u8], visit: &mut impl FnMut(&[u8])) -> Result<(), Error> {
        while !chunk.is_empty() && self.failed.is_none() {
            chunk = self.step(chunk, visit);
        }
        self.failed.map_or(Ok(()), Err)
    }

    /// To be called at the end of the stream.
    ///
    /// # Errors
    /// The stream ended inside a message, or failed before.
    pub fn finish(&self) -> Result<(), Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let have = self.pending.len();
        if have == 0 {
            return Ok(());
        }
        let cause = match self.wanted() {
            Ok(said) if have >= PREFIX => Cause::MessageCut { said: said as u16, have },
            _ => Cause::HeaderCut,
        };
        Err(Error::at(self.offset, cause))
    }

    /// Uses some of `chunk`, answers the rest.
    fn step<'c>(&mut self, chunk: &'c [u8], visit: &mut impl FnMut(&[u8])) -> &'c [u8] {
        if self.pending.is_empty() && chunk.len() >= PREFIX {
            match message_length(chunk) {
                Err(cause) => return self.fail(cause),
                Ok(length) => {
                    if let Some((message, rest)) = chunk.split_at_checked(usize::from(length)) {
                        visit(message);
                        self.offset += message.len();
                        return rest;
                    }
                }
            }
        }
        let wanted = match self.wanted() {
            Ok(wanted) => wanted,
            Err(cause) => return self.fail(cause),
        };
        let (now, rest) = chunk.split_at(chunk.len().min(wanted - self.pending.len()));
        self.pending.extend_from_slice(now);
        match self.wanted() {
            Err(cause) => return self.fail(cause),
            Ok(wanted) if wanted == self.pending.len() => {
                visit(&self.pending);
                self.offset += wanted;
                self.pending.clear();
            }
            Ok(_) => {}
        }
        rest
    }

    /// Bytes that `pending` should grow to: the prefix first, then the message.
    fn wanted(&self) -> Result<usize, Cause> {
        if self.pending.len() < PREFIX { Ok(PREFIX) } else { message_length(&self.pending).map(usize::from) }
    }

    fn fail<'c>(&mut self, cause: Cause) -> &'c [u8] {
        self.failed = Some(Error::at(self.offset, cause));
        &[]
    }
}
