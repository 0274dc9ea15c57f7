//! Which part of the history is asked for.
use super::LEVELS;
use serde::Deserialize;
use utoipa::ToSchema;

/// What a request says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Seconds since 1970; below 0: so many before the last look. Without it all that there is.
    pub from: Option<i64>,
    /// Seconds of a slot, 2, 20 or 300; without it the shortest that reach back so far.
    pub step: Option<u64>,
}

/// Slots of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Place in [`LEVELS`].
    pub level: usize,
    /// Number of the first slot: seconds since 1970 by the step.
    pub first: u64,
    pub slots: usize,
}

/// Why there is no such range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    #[error("step={asked}: slots have {known} seconds", known = steps())]
    Step { asked: u64 },
}

fn steps() -> String {
    LEVELS.map(|level| level.step.to_string()).join(", ")
}

impl Range {
    /// The range among the slots that were over at `seen`, in milliseconds since 1970.
    ///
    /// # Errors
    /// [`RangeError`].
    pub fn of(asked: Asked, seen: u64) -> Result<Self, RangeError> {
        let now = seen / 1_000;
        let from = asked.from.map(|from| match u64::try_from(from) {
            Ok(since) => since,
            Err(_) => now.saturating_sub(from.unsigned_abs()),
        });
        let level = match (asked.step, from) {
            (Some(step), _) => {
                LEVELS.iter().position(|level| level.step == step).ok_or(RangeError::Step { asked: step })?
            }
            (None, None) => 0,
            (None, Some(from)) => {
                let age = now.saturating_sub(from);
                let reaches = LEVELS.iter().position(|level| level.step * level.slots as u64 >= age);
                reaches.unwrap_or(LEVELS.len() - 1)
            }
        };
        let (step, most) = (LEVELS[level].step, LEVELS[level].slots as u64);
        // The slot of now is not over, and so there are one fewer.
        let end = now / step;
        let first = from.unwrap_or(0).div_ceil(step).clamp(end.saturating_sub(most - 1), end);
        Ok(Self { level, first, slots: (end - first) as usize })
    }

    /// Seconds of a slot.
    #[must_use]
    pub fn step(self) -> u64 {
        LEVELS[self.level].step
    }

    /// Where it begins, seconds since 1970.
    #[must_use]
    pub fn from(self) -> u64 {
        self.first * self.step()
    }
}
