//! idea2idea: messages that are IDEA already, for rules and actions. Any JSON format is taken, so that of smtp_spam_detector too; a message
//! without a node gets one.
use crate::report::{Refused, Reporter, main as report, messages, with};

/// One line for lists of modules.
pub const ABOUT: &str = "Applies rules and actions to messages that are IDEA already.";
const PARAMS: [trap::module::Param; 9] = with([]);
const REPORTER: Reporter = Reporter { name: "idea2idea", module: "idea2idea", about: ABOUT, params: &PARAMS };

/// Runs the reporter; see [`crate::modules::Module::run`].
pub fn main(args: &[String]) -> u8 {
    report(&REPORTER, args, |_| {
        Ok(messages("", |message| match message.is_object() {
            true => Ok(Some(message.clone())),
            false => Err(Refused("it is no object".into())),
        }))
    })
}
