//! What a rule is told, and what of it does not go together.
use super::plan::Plan;
use super::term::Term;
use crate::registry::PluginId;
use record::Field;
use record::ipfix::PackerConfig;

/// What a rule is to do.
#[derive(Clone, Debug)]
pub struct RuleConfig {
    pub name: String,
    pub does: Does,
    /// Each direction of a flow is a flow, from its sender; otherwise a biflow is one flow, from who began.
    pub each_direction: bool,
    /// Ids of its templates: this one, and the next for IPv6.
    pub template: u16,
    /// A live run: ticks tell time where flows do not.
    pub is_live: bool,
}

impl RuleConfig {
    /// Looks whether the words go together.
    ///
    /// # Errors
    /// What does not.
    pub fn check(&self) -> Result<(), RuleError> {
        Plan::names(self).map(drop)
    }

    /// The plugins whose fields it has.
    pub fn plugins(&self) -> impl Iterator<Item = PluginId> + '_ {
        let (some, more) = match &self.does {
            Does::Aggregate { key, values, .. } => (&key[..], &values[..]),
            Does::Send { fields } => (&fields[..], &[][..]),
        };
        some.iter().chain(more).filter_map(Term::plugin)
    }
}

/// What becomes of the flows of a rule.
#[derive(Clone, Debug)]
pub enum Does {
    /// Those with the same key are one record.
    Aggregate {
        key: Vec<Term>,
        values: Vec<Term>,
        /// Seconds after which an aggregate ends, and seconds without a flow.
        active_secs: u64,
        inactive_secs: u64,
        /// Aggregates at a time; past them the one that was quiet longest ends. At most [`ENTRIES_MAX`].
        entries: u32,
    },
    /// Each is a record of these fields.
    Send { fields: Vec<Term> },
}

/// Aggregates of one rule at a time.
pub const ENTRIES_MAX: u32 = 1 << 24;
/// Bytes of the table of one rule.
const TABLE_MAX: usize = 1 << 32;
/// Ids that templates of rules may have.
pub const TEMPLATE_IDS: std::ops::RangeInclusive<u16> = PackerConfig::FIRST_ID_MIN..=PackerConfig::FIRST_ID_MAX;

/// The values of a rule that names none; of one that takes each direction, those without the other.
pub const VALUES: [&str; 7] = ["flows", "packets", "packets_rev", "bytes", "bytes_rev", "time_first", "time_last"];

/// What of a rule does not go together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct RuleError {
    /// The list, and the place of the word in it.
    pub word: Option<(&'static str, usize)>,
    pub why: String,
}

impl RuleError {
    pub(super) fn at(list: &'static str, place: usize, why: String) -> RuleError {
        RuleError { word: Some((list, place)), why }
    }
    pub(super) fn whole(why: &str) -> RuleError {
        RuleError { word: None, why: why.into() }
    }
}

/// A rule that can be used.
pub struct Rule {
    pub(super) config: RuleConfig,
    pub(super) plan: Plan,
}

impl Rule {
    /// # Errors
    /// What does not go together.
    pub fn new(config: RuleConfig) -> Result<Rule, RuleError> {
        let plan = Plan::new(&config)?;
        if let Does::Aggregate { entries, .. } = config.does {
            let bytes = (plan.key_max + plan.cells).saturating_mul(entries as usize);
            if !(1..=ENTRIES_MAX).contains(&entries) || bytes > TABLE_MAX {
                return Err(RuleError::whole(&format!(
                    "a table of {entries} entries would take {bytes} bytes: use 1 to {ENTRIES_MAX} of them, and {TABLE_MAX} bytes at the most"
                )));
            }
        }
        Ok(Rule { config, plan })
    }
}

/// What IPFIX cannot say of the records of a rule.
impl Rule {
    /// A field that it has no element for.
    pub fn without_element(&self) -> Option<&'static str> {
        self.plan.schema.fields.iter().find(|field| field.ipfix.is_none()).map(|field| field.name)
    }

    /// Two fields that would be the same element, as a masked key and its greatest value.
    pub fn same_element(&self) -> Option<(&'static str, &'static str)> {
        let element = |field: &Field| field.ipfix.map(|element| (element.pen, element.id));
        let fields = self.plan.schema.fields;
        fields.iter().enumerate().find_map(|(at, field)| {
            let other =
                fields[..at].iter().find(|other| element(other).is_some() && element(other) == element(field))?;
            Some((other.name, field.name))
        })
    }
}
