//! `cargo xtask cases FOLDER [NAME]...`: the golden captures as files.
use crate::Outcome;
use std::path::PathBuf;

/// Write golden captures into a folder, or list them
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where to; without it the cases are listed
    folder: Option<PathBuf>,
    /// Which; all if none is named
    names: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Outcome {
    let Some(folder) = &args.folder else {
        benches::cases().iter().for_each(|case| println!("{:<22} {}", case.name, case.about));
        return Ok(());
    };
    std::fs::create_dir_all(folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
    let all = || benches::cases().iter().map(|case| case.name.to_string()).collect();
    let names: Vec<String> = if args.names.is_empty() { all() } else { args.names.clone() };
    for name in names {
        let case =
            benches::cases::case(&name).ok_or(format!("there is no case '{name}'; `cargo xtask cases` lists them"))?;
        let path = folder.join(format!("{name}.pcap"));
        std::fs::write(&path, (case.build)()).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    }
    Ok(())
}
