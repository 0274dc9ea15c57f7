//! Rules: a condition, and what is done if it holds and if not (spec/idea.md section 2.2).
use super::{ConfigError, Group, Section, SectionError, replace_words};
use crate::report::action::{Action, Flow, Scene};
use crate::report::condition::{Condition, TEXT_MAX};
use serde_json::Value;

/// A rule.
#[derive(Debug)]
pub struct Rule {
    id: String,
    /// As it is written.
    text: String,
    test: Test,
    /// Indices of actions.
    actions: Vec<usize>,
    else_actions: Vec<usize>,
    counts: Counts,
}

#[derive(Debug)]
enum Test {
    Always,
    Never,
    Condition(Box<Condition>),
}

/// How often a rule held, and how often not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub held: u64,
    pub failed: u64,
}

/// What a rule made of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Further rules follow.
    Done,
    /// No further rules.
    Dropped,
}

impl Rule {
    pub(super) fn read(section: &Section, actions: &[Action], groups: &[Group]) -> Result<Rule, ConfigError> {
        let id = section.need("id")?;
        if !section.has("condition") {
            return Err(SectionError::Missing(section.place().to_owned(), "condition".into()).into());
        }
        let text = section.text("condition")?.unwrap_or_else(|| "None".into());
        let test = test(&text, groups).map_err(|why| ConfigError::Condition(id.clone(), why))?;
        let find = |names: Vec<String>| {
            let places = names.into_iter().map(|name| {
                let place = actions.iter().position(|action| action.id == name);
                place.ok_or_else(|| ConfigError::NoAction(id.clone(), name))
            });
            places.collect::<Result<Vec<_>, _>>()
        };
        let (then, otherwise) = (find(section.texts("actions")?)?, find(section.texts("elseactions")?)?);
        Ok(Rule { id, text, test, actions: then, else_actions: otherwise, counts: Counts::default() })
    }

    /// Runs the actions for a message, which work on a copy.
    pub(super) fn run(&mut self, message: &Value, actions: &mut [Action], scene: &mut Scene<'_>) -> Outcome {
        let holds = match &self.test {
            Test::Always => true,
            Test::Never => false,
            Test::Condition(condition) => condition.holds(message),
        };
        let places = if holds {
            self.counts.held += 1;
            &self.actions
        } else {
            self.counts.failed += 1;
            &self.else_actions
        };
        if places.is_empty() {
            return Outcome::Done;
        }
        let mut copy = message.clone();
        for place in places {
            match actions[*place].run(&mut copy, scene) {
                Flow::GoOn => {}
                Flow::EndRule => return Outcome::Done,
                Flow::Drop => return Outcome::Dropped,
            }
        }
        Outcome::Done
    }

    pub(super) fn show(&self, actions: &[Action]) -> String {
        let names = |places: &[usize]| places.iter().map(|at| actions[*at].id.as_str()).collect::<Vec<_>>().join(", ");
        let Counts { held, failed } = self.counts;
        let mut text =
            format!("ID: '{}'\nCondition: {}\nActions [{held}x]: [{}]", self.id, self.text, names(&self.actions));
        if !self.else_actions.is_empty() {
            text.push_str(&format!("\nElse Actions [{failed}x]: [{}]", names(&self.else_actions)));
        }
        text
    }
}

fn test(text: &str, groups: &[Group]) -> Result<Test, crate::report::condition::ConditionError> {
    match text.trim().to_ascii_lowercase().as_str() {
        "none" | "null" | "true" => return Ok(Test::Always),
        "false" => return Ok(Test::Never),
        _ => {}
    }
    let mut whole = text.to_owned();
    for group in groups {
        whole = replace_words(&whole, &group.id, &group.literal());
        if whole.len() > TEXT_MAX {
            break;
        }
    }
    Ok(Test::Condition(Box::new(Condition::parse(&whole)?)))
}
