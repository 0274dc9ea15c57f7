//! Starts osqueryi for the process plugin that asks it, when a run may still start programs.
use crate::run::Work;
use dataplane::lane::LaneConfig;
use dataplane::registry::PluginId;
use dataplane::stat::osquery::{Clerk, Settings, keeper, program};
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Name of the tool that keeps osqueryi, which people do not call.
pub(crate) const KEEPER: &str = "osquery-keeper";

/// Opens what the plugin needs, if it is on: lanes get who to ask, and `beside` gets the thread that asks. Comes before inputs are opened, or they
/// would fill while osqueryi starts; nothing that it starts inherits them then.
///
/// # Errors
/// There is no osqueryi, or no process can be started; an option is wrong. The message says what to do.
pub(crate) fn open(lane: &mut LaneConfig, beside: &mut Vec<(&'static str, Work)>) -> Result<(), String> {
    let Some((id, options)) = lane.plugins.iter().find(|(id, _)| *id == PluginId::osquery) else { return Ok(()) };
    let settings =
        Settings::read(options.iter().map(String::as_str)).map_err(|why| format!("plugin {}: {why}", id.name()))?;
    let program = program().map_err(|why| why.to_string())?;
    let keeper = || {
        let mut command = Command::new("/proc/self/exe");
        command.arg0("sonda").arg(KEEPER).arg(&program);
        command
    };
    let (clerk, desk) = Clerk::start(settings, keeper, |text| eprintln!("{text}")).map_err(|why| why.to_string())?;
    lane.aides.osquery = Some(desk);
    beside.push(("osquery", Box::new(|| clerk.run())));
    Ok(())
}

/// The process that keeps osqueryi: its argument is the program.
pub(crate) fn keep(args: &[OsString]) -> u8 {
    match args {
        [program] => keeper::keep(program),
        _ => {
            eprintln!("{KEEPER}: this starts osqueryi for a probe; see `sonda ipfixprobe -h osquery`");
            1
        }
    }
}
