//! Setting up how a card spreads packets over its queues, and putting it back at the end.
use super::errors::backend;
use crate::capture::CaptureError;
use crate::capture::live::LiveError;
use std::io;
use std::str::FromStr;
use sys::rss::{Channels, Rss};

/// What is changed of a card: `symmetric`, `queues=N` or both with a comma.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RssConfig {
    /// A key by which both directions of a flow come on one queue.
    pub symmetric: bool,
    /// So many queues that receive.
    pub queues: Option<u32>,
}

impl FromStr for RssConfig {
    type Err = String;

    fn from_str(text: &str) -> Result<RssConfig, String> {
        let mut config = RssConfig::default();
        for word in text.split(',') {
            match word.split_once('=') {
                None if word == "symmetric" => config.symmetric = true,
                Some(("queues", number)) => {
                    let queues = number.parse().ok().filter(|n| (1..=ebpf::QUEUES_MAX).contains(n));
                    let range = || format!("'{number}' is no number of queues, use 1 to {}", ebpf::QUEUES_MAX);
                    config.queues = Some(queues.ok_or_else(range)?);
                }
                _ => return Err(format!("there is no '{word}'; known: symmetric, queues=N")),
            }
        }
        Ok(config)
    }
}

/// What a card was before it was changed. Dropping it puts that back.
pub(super) struct Changed {
    name: Box<str>,
    channels: Option<Channels>,
    hash: Option<Rss>,
}

impl Changed {
    pub(super) fn nothing(name: &str) -> Changed {
        Changed { name: name.into(), channels: None, hash: None }
    }

    /// Changes the card; if a step fails, those before are taken back.
    pub(super) fn apply(name: &str, config: &RssConfig) -> Result<Changed, CaptureError> {
        let mut changed = Changed::nothing(name);
        // The queues first: with their number drivers lay out the hash anew.
        if let Some(queues) = config.queues {
            changed.queues(queues)?;
        }
        if config.symmetric {
            changed.symmetric()?;
        }
        Ok(changed)
    }

    fn queues(&mut self, queues: u32) -> Result<(), CaptureError> {
        let name = &*self.name;
        let before = Channels::of(name).map_err(|e| refused(name, "the number of its queues", e))?;
        let most = || {
            format!(
                "its driver cannot have {queues} receive queues (`ethtool -l {name}`): use --rss queues=N with less"
            )
        };
        let wanted = before.with_receiving(queues).ok_or_else(|| backend(name, most()))?;
        if wanted != before {
            wanted.set(name).map_err(|e| refused(name, "the number of its queues", e))?;
            self.channels = Some(before);
        }
        Ok(())
    }

    fn symmetric(&mut self) -> Result<(), CaptureError> {
        let name = &*self.name;
        let before = Rss::of(name).map_err(|e| refused(name, "the hash of its queues", e))?;
        if before.is_symmetric() {
            return Ok(());
        }
        if before.key.is_empty() {
            return Err(refused(name, "the hash of its queues", io::Error::from_raw_os_error(libc::EOPNOTSUPP)));
        }
        before.set_key(name, &before.symmetric_key()).map_err(|e| refused(name, "the hash of its queues", e))?;
        self.hash = Some(before);
        Ok(())
    }

    fn restore(&mut self) -> io::Result<()> {
        let hash = self.hash.take().map_or(Ok(()), |hash| hash.set_key(&self.name, &hash.key));
        let channels = self.channels.take().map_or(Ok(()), |channels| channels.set(&self.name));
        hash.and(channels)
    }
}

impl Drop for Changed {
    fn drop(&mut self) {
        match self.restore() {
            Ok(()) => {}
            // It took its set-up along.
            Err(e) if e.raw_os_error() == Some(libc::ENODEV) => {}
            Err(e) => eprintln!("{}: its queues and their hash could not be put back as they were: {e}", self.name),
        }
    }
}

fn refused(name: &str, what: &'static str, cause: io::Error) -> CaptureError {
    match cause.raw_os_error() {
        Some(libc::EPERM | libc::EACCES) => LiveError::Permission {
            name: name.into(),
            what: "setting up its queues (--rss)",
            capability: "cap_net_admin",
        }
        .into(),
        Some(libc::EOPNOTSUPP) => {
            let instead = "leave --rss out; --af-xdp spread=flows keeps flows together without it";
            backend(name, format!("its driver does not let {what} be set: {instead}"))
        }
        _ => backend(name, format!("its driver refuses to change {what}: {cause}")),
    }
}

/// For the operator: whether the two directions of a flow can come on different queues, and so to different lanes.
pub(super) fn directions(name: &str) -> &'static str {
    match Rss::of(name) {
        Ok(hash) if hash.is_symmetric() => ", both directions of a flow on one queue by the card's symmetric hash",
        Ok(_) => {
            "; the card's hash may part the two directions of a flow: use --rss symmetric, or --af-xdp spread=flows"
        }
        Err(_) => {
            "; the driver does not say whether both directions of a flow come on one queue: --af-xdp spread=flows makes sure"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted_is_said_in_words() {
        let parsed = |text: &str| text.parse::<RssConfig>();
        assert_eq!(parsed("symmetric"), Ok(RssConfig { symmetric: true, queues: None }));
        assert_eq!(parsed("queues=4,symmetric"), Ok(RssConfig { symmetric: true, queues: Some(4) }));
        assert!(parsed("queues=0").unwrap_err().contains("use 1 to 128"));
        assert!(parsed("symetric").unwrap_err().contains("known: symmetric, queues=N"));
    }
}
