//! Reloads: what is said of them, and how many that come close together become one (fault row 18).
use super::{Reply, Runner};
use crate::config::Refused;
use crate::config::why_not;
use crate::core::Applied;
use crate::core::plan::Verdict;
use serde_json::json;
use std::time::Duration;
use tokio::sync::oneshot;

/// Time between two reloads, at least; all that are asked for in between are one.
const PAUSE: Duration = Duration::from_millis(250);

/// Who waits for a reload.
#[derive(Debug, Default)]
pub(super) struct Pending {
    waiting: Vec<oneshot::Sender<Reply>>,
    not_before: Duration,
}

impl Pending {
    pub(super) fn push(&mut self, reply: oneshot::Sender<Reply>) {
        self.waiting.push(reply);
    }
}

impl Runner {
    /// Reloads once for all who wait.
    pub(super) fn reload_if_due(&mut self) {
        let now = self.now();
        if self.reloads.waiting.is_empty() || now < self.reloads.not_before {
            return;
        }
        self.reloads.not_before = now + PAUSE;
        let waiting = std::mem::take(&mut self.reloads.waiting);
        let reply = match self.load() {
            Ok((_, text)) => Reply { is_done: true, text },
            Err(refused) => Reply { is_done: false, text: failure(&refused) },
        };
        self.advance();
        for one in waiting {
            // Clients of the original do not wait.
            let _unread = one.send(reply.clone());
        }
    }

    /// What a reload would do, as JSON.
    pub(super) fn plan(&self) -> Reply {
        let (steps, refused) = match self.options.source.read() {
            Ok(config) => {
                let steps = self.core.plan(&config, why_not);
                let refused = self.options.source.judge(&steps);
                let refused = refused.or_else(|| self.gate.prepare(&config.settings).err());
                (steps, refused)
            }
            Err(refused) => (vec![], Some(refused)),
        };
        let refuses = steps.iter().filter(|step| step.action == Verdict::Refuse).count();
        let errors = refused.map(|refused| refused.lines).unwrap_or_default();
        let text =
            json!({"applies": errors.is_empty(), "refused": refuses, "errors": errors, "steps": steps}).to_string();
        Reply { is_done: errors.is_empty(), text }
    }
}

/// What is said of a configuration that was taken.
pub(super) fn success(applied: &Applied) -> String {
    let mut text = String::from(
        "- - -\n[RELOAD] Validating the configuration file...\n[RELOAD] Validation of the configuration file successfully finished.\n\
         [RELOAD] Processing new configuration...\n",
    );
    for line in &applied.lines {
        text += line;
        text.push('\n');
    }
    text + &format!("{applied}[RELOAD] Processing of the new configuration successfully finished.\n- - -\n")
}

/// What is said of one that was not.
pub(super) fn failure(refused: &Refused) -> String {
    format!(
        "- - -\n[RELOAD] Validating the configuration file...\n{refused}[RELOAD] Validation of the configuration file failed.\n- - -\n"
    )
}
