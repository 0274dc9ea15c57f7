//! Capture files as a source of packets.
use super::decode::{Decoder, Filled, Input, Then};
use super::map::Mapped;
use super::{BURST, CaptureError, CaptureSource, CaptureStats, Frame, Poll};
use std::fs::File;
use std::io;
use std::path::Path;

/// Steps without a frame to lend after which the caller gets a look at its own business: some 4,000 refused frames.
const STEPS_MAX: usize = 64;

/// How a capture is to be read.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Only frames that this expression accepts are lent: pcap-filter(7).
    pub filter: Option<String>,
}

/// Opens the capture file `path`. What is wrong with the file as a whole (missing, not a capture, of an unsupported
/// version or link type) is an error here.
pub fn open(path: impl AsRef<Path>, _options: OpenOptions) -> Result<FileSource, CaptureError> {
    let path = path.as_ref();
    let name = path.display().to_string();
    let file = open_file(path, &name)?;
    let mapped = Mapped::new(&name, file).map_err(|cause| CaptureError::Open { path: name.clone(), cause })?;
    let mut source = Source::new(&name, mapped);
    source.start()?;
    Ok(FileSource { kind: Kind::Mapped(source) })
}

/// A capture file or a stream of the same bytes.
pub struct FileSource {
    kind: Kind,
}

enum Kind {
    Mapped(Source<Mapped>),
}

impl CaptureSource for FileSource {
    #[inline]
    fn burst(&mut self, take: impl FnMut(&[Frame<'_>])) -> Result<Poll, CaptureError> {
        match &mut self.kind {
            Kind::Mapped(source) => source.burst(take),
        }
    }

    fn stats(&self) -> CaptureStats {
        match &self.kind {
            Kind::Mapped(source) => source.stats,
        }
    }

    fn progress(&self) -> Option<(u64, u64)> {
        match &self.kind {
            Kind::Mapped(source) => source.input.progress(),
        }
    }
}

/// An input, and the decoder that reads it.
struct Source<I> {
    input: I,
    decoder: Decoder,
    stats: CaptureStats,
    over: bool,
}

impl<I: Input> Source<I> {
    fn new(path: &str, input: I) -> Self {
        Source { input, decoder: Decoder::new(path), stats: CaptureStats::default(), over: false }
    }

    /// Reads the file header.
    fn start(&mut self) -> Result<(), CaptureError> {
        while !self.decoder.started() {
            let step = self.decoder.start(self.input.window(), self.input.last())?;
            self.input.consume(step.used);
            if let Then::Fill(need) = step.then
                && self.input.fill(need)? == Filled::Idle
            {
                return Ok(());
            }
        }
        Ok(())
    }

    #[inline]
    fn burst(&mut self, take: impl FnMut(&[Frame<'_>])) -> Result<Poll, CaptureError> {
        if self.over {
            return Ok(Poll::End);
        }
        let result = self.advance(take);
        self.over = matches!(result, Ok(Poll::End) | Err(_));
        result
    }

    #[inline]
    fn advance(&mut self, mut take: impl FnMut(&[Frame<'_>])) -> Result<Poll, CaptureError> {
        for _ in 0..STEPS_MAX {
            let mut frames = [Frame::default(); BURST];
            let step = self.decoder.step(self.input.window(), self.input.last(), &mut frames, &mut self.stats)?;
            let lent = step.frames;
            if lent > 0 {
                take(&frames[..lent]);
            }
            self.input.consume(step.used);
            match step.then {
                _ if lent > 0 => return Ok(Poll::More),
                Then::Again => {}
                Then::End => return Ok(Poll::End),
                Then::Fill(need) => {
                    if self.input.fill(need)? == Filled::Idle {
                        return Ok(Poll::Idle);
                    }
                }
            }
        }
        Ok(Poll::More)
    }
}

/// Opens a file for reading, and tells apart what is to be done about it when that fails.
fn open_file(path: &Path, name: &str) -> Result<File, CaptureError> {
    let path_of = || name.to_owned();
    let file = File::open(path).map_err(|cause| match cause.kind() {
        io::ErrorKind::PermissionDenied => CaptureError::Permission { path: path_of() },
        _ => CaptureError::Open { path: path_of(), cause },
    })?;
    let meta = file.metadata().map_err(|cause| CaptureError::Open { path: path_of(), cause })?;
    if meta.is_dir() {
        return Err(CaptureError::Directory { path: path_of() });
    }
    if meta.is_file() && meta.len() == 0 {
        return Err(CaptureError::Empty { path: path_of() });
    }
    Ok(file)
}
