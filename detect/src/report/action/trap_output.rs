//! `trap: {}`: the message as JSON to the output.
use super::{Act, Flow, Scene, Setup};
use crate::report::config::Section;
use crate::report::idea;
use serde_json::Value;
use trap::Sent;

struct Trap;

pub(super) fn read(_section: &Section, setup: &mut Setup<'_>) -> Result<Box<dyn Act>, String> {
    // The original fails when the first message comes.
    if setup.has_trap || setup.is_inert {
        Ok(Box::new(Trap))
    } else {
        Err("Cannot use trap action if --trap argument was not provided.".into())
    }
}

impl Act for Trap {
    fn run(&mut self, message: &mut Value, scene: &mut Scene<'_>) -> Result<Flow, String> {
        let output = scene.output.as_mut().ok_or("there is no output")?;
        match output.send(idea::dump(message).as_bytes()) {
            Sent::Sent => Ok(Flow::GoOn),
            Sent::Dropped(why) => Err(format!("the output did not take the message ({why:?})")),
        }
    }
}
