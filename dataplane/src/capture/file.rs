//! Capture files and streams as a source of packets.
use super::decode::{Decoder, Filled, Input, Then};
use super::filter::Filter;
use super::map::Mapped;
use super::stream::Stream;
use super::unpack::is_packed;
use super::{BURST, CaptureError, CaptureSource, CaptureStats, Frame, Poll};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Steps without a frame to lend after which the caller gets a look at its own business: some 4,000 refused frames.
const STEPS_MAX: usize = 64;

/// How a capture is to be read.
#[derive(Clone, Debug, Default)]
pub struct OpenOptions {
    /// Only frames that this expression accepts are lent: pcap-filter(7).
    pub filter: Option<String>,
    /// Never map the file into memory, read it. For files that others may cut while they are read, and for network file systems,
    /// where a failure would end the process by SIGBUS.
    pub stream: bool,
}

/// Opens the capture `path`, or standard input for `-`: pcap or pcapng, as it is or packed by gzip or zstd.
///
/// What is wrong with a file as a whole (missing, not a capture, unsupported version or link type, filter that does not compile for it)
/// is an error here. Pipes are not waited for, so with them it is an error of the first burst. While a pipe is silent, a burst
/// takes a tenth of a second and then, or at a signal, answers [`Poll::Idle`]: look at the stop flag and ask again, without a pause.
pub fn open(path: impl AsRef<Path>, options: OpenOptions) -> Result<FileSource, CaptureError> {
    let path = path.as_ref();
    let opened = if path == Path::new("-") { of_stdin() } else { of_path(path) };
    let Opened { name, file, regular } = opened?;
    let failed = |cause| CaptureError::Open { path: name.clone(), cause };
    let mut head = [0; 4];
    let head_len = if regular { file.read_at(&mut head, 0).map_err(failed)? } else { 0 };
    let mappable = regular && !options.stream && path != Path::new("-") && is_packed(&head[..head_len]).is_none();
    let filter = options.filter;
    // A file that cannot be mapped, whatever the reason, may still be readable.
    let mapped = if mappable { file.try_clone().and_then(|file| Mapped::new(&name, file)).ok() } else { None };
    let mut kind = match mapped {
        Some(mapped) => Kind::Mapped(Source::new(&name, mapped, filter)),
        None => Kind::Stream(Source::new(&name, Stream::of_file(&name, file).map_err(failed)?, filter)),
    };
    if regular {
        match &mut kind {
            Kind::Mapped(source) => source.start()?,
            Kind::Stream(source) => source.start()?,
        }
    }
    Ok(FileSource { kind })
}

/// A capture from any reader; `name` is for messages. Where it answers `WouldBlock` or `Interrupted`, the burst is [`Poll::Idle`].
pub fn open_reader(name: &str, reader: impl Read + Send + 'static, options: OpenOptions) -> FileSource {
    FileSource { kind: Kind::Stream(Source::new(name, Stream::new(name, reader, None), options.filter)) }
}

/// A capture file or a stream of the same bytes.
pub struct FileSource {
    kind: Kind,
}

enum Kind {
    Mapped(Source<Mapped>),
    Stream(Source<Stream>),
}

impl CaptureSource for FileSource {
    #[inline]
    fn burst(&mut self, take: impl FnMut(&[Frame<'_>])) -> Result<Poll, CaptureError> {
        match &mut self.kind {
            Kind::Mapped(source) => source.burst(take),
            Kind::Stream(source) => source.burst(take),
        }
    }

    fn limit(&mut self, frames: usize) {
        match &mut self.kind {
            Kind::Mapped(source) => source.limit(frames),
            Kind::Stream(source) => source.limit(frames),
        }
    }

    fn stats(&self) -> CaptureStats {
        match &self.kind {
            Kind::Mapped(source) => source.stats,
            Kind::Stream(source) => source.stats,
        }
    }

    #[inline]
    fn ahead(&self) -> usize {
        match &self.kind {
            Kind::Mapped(source) => source.decoder.ahead(),
            Kind::Stream(source) => source.decoder.ahead(),
        }
    }

    /// Of the file as it lies on the disk, also when it is packed.
    fn progress(&self) -> Option<(u64, u64)> {
        match &self.kind {
            Kind::Mapped(source) => source.input.progress(),
            Kind::Stream(source) => source.input.progress(),
        }
    }
}

/// An input, the decoder that reads it, and the filter behind that.
pub(super) struct Source<I> {
    input: I,
    decoder: Decoder,
    filter: Option<Filter>,
    stats: CaptureStats,
    over: bool,
    /// Frames lent at a time.
    limit: usize,
}

impl<I: Input> Source<I> {
    pub(super) fn new(path: &str, input: I, filter: Option<String>) -> Self {
        let (decoder, filter) = (Decoder::new(path, I::IN_CACHE), filter.map(Filter::new));
        Source { input, decoder, filter, stats: CaptureStats::default(), over: false, limit: BURST }
    }

    pub(super) fn limit(&mut self, frames: usize) {
        self.limit = frames.clamp(1, BURST);
    }

    /// Reads the file header, and compiles the filter if that tells the link type.
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
        if let (Some(filter), Some(link)) = (&mut self.filter, self.decoder.link()) {
            filter.program(link)?;
        }
        Ok(())
    }

    #[inline]
    pub(super) fn burst(&mut self, take: impl FnMut(&[Frame<'_>])) -> Result<Poll, CaptureError> {
        if self.over {
            return Ok(Poll::End);
        }
        let result = self.advance(take);
        self.over = matches!(result, Ok(Poll::End) | Err(_));
        result
    }

    pub(super) fn stats(&self) -> CaptureStats {
        self.stats
    }

    #[inline]
    fn advance(&mut self, mut take: impl FnMut(&[Frame<'_>])) -> Result<Poll, CaptureError> {
        for _ in 0..STEPS_MAX {
            let mut frames = [Frame::default(); BURST];
            let step = self.decoder.step(
                self.input.window(),
                self.input.last(),
                &mut frames[..self.limit],
                &mut self.stats,
            )?;
            let (lent, result) = match &mut self.filter {
                None => (step.frames, Ok(())),
                Some(filter) => accept(filter, &mut frames[..step.frames], &mut self.stats),
            };
            if lent > 0 {
                take(&frames[..lent]);
            }
            result?;
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

/// Sorts out what the filter refuses. Frames behind an error of the filter were not taken: they leave the counters.
fn accept(
    filter: &mut Filter,
    frames: &mut [Frame<'_>],
    stats: &mut CaptureStats,
) -> (usize, Result<(), CaptureError>) {
    let (kept, seen, result) = filter.keep(frames);
    stats.filtered += (seen - kept) as u64;
    for frame in &frames[seen..] {
        stats.packets -= 1;
        stats.bytes -= u64::from(frame.wire_len);
    }
    (kept, result)
}

struct Opened {
    name: String,
    file: File,
    regular: bool,
}

fn of_stdin() -> Result<Opened, CaptureError> {
    let name = "standard input".to_owned();
    let owned = io::stdin().as_fd().try_clone_to_owned();
    let file = File::from(owned.map_err(|cause| CaptureError::Open { path: name.clone(), cause })?);
    Ok(Opened { name, file, regular: false })
}

/// Opens a file for reading, and tells apart what is to be done about it when that fails.
fn of_path(path: &Path) -> Result<Opened, CaptureError> {
    let name = path.display().to_string();
    let failed = |cause: io::Error| match cause.kind() {
        io::ErrorKind::PermissionDenied => CaptureError::Permission { path: name.clone() },
        _ => CaptureError::Open { path: name.clone(), cause },
    };
    let file = sys::open_at_once(path).map_err(failed)?;
    let meta = file.metadata().map_err(failed)?;
    if meta.is_dir() {
        return Err(CaptureError::Directory { path: name });
    }
    if meta.is_file() && meta.len() == 0 {
        return Err(CaptureError::Empty { path: name });
    }
    Ok(Opened { name, file, regular: meta.is_file() })
}
