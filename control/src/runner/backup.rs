//! The backup file of the original, written when the supervisor leaves and modules go on (section 7), for tools that look into it.
//!
//! Ours does not read it: the state file says more. Differences: it lies beside the socket and not in `/tmp`, where anybody could write
//! it; it keeps restarts.
use crate::config::replace;
use crate::model::{Interface, Module};
use crate::snapshot::Snapshot;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};

/// The name that the original gives the backup of a template: the sum of its path's bytes, each times its place from 1.
#[must_use]
pub fn number(template: &Path) -> u64 {
    let bytes = template.as_os_str().as_encoded_bytes();
    bytes.iter().enumerate().map(|(at, byte)| (at as u64 + 1) * u64::from(*byte)).sum()
}

/// Writes `N_sup_backup_file.xml` and `N_sup_backup_file.xml_info` to `folder`; answers the path of the first.
///
/// # Errors
/// Those of the disk.
pub fn write(folder: &Path, snapshot: &Snapshot) -> io::Result<PathBuf> {
    let path = folder.join(format!("{}_sup_backup_file.xml", number(&snapshot.about.template)));
    replace(&path, xml(snapshot).as_bytes(), 0o600)?;
    let mut info = path.clone().into_os_string();
    info.push("_info");
    replace(Path::new(&info), described(snapshot).as_bytes(), 0o600)?;
    Ok(path)
}

fn described(snapshot: &Snapshot) -> String {
    let about = &snapshot.about;
    format!(
        "Supervisor package version: {}\nStarted: {}\nWritten: {}\nNumber of modules in configuration: {}\n\
         Number of running modules: {}\nLogs directory path: {}\nConfiguration file path: {}\n",
        env!("CARGO_PKG_VERSION"),
        about.started,
        crate::time::ctime(),
        snapshot.modules.len(),
        snapshot.running(),
        about.logs.display(),
        about.template.display()
    )
}

/// The content of the backup.
#[must_use]
pub fn xml(snapshot: &Snapshot) -> String {
    let about = &snapshot.about;
    let socket = escaped(&about.socket.display().to_string());
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<nemea-supervisor xmlns=\"urn:cesnet:tmc:nemea:1.0\" lock=\"0\" daemon=\"{}\" \
         socket_path=\"{socket}\">\n",
        about.is_daemon
    );
    for profile in &snapshot.profiles {
        let (name, enabled) = (escaped(&profile.name), profile.enabled);
        let _never = writeln!(text, "<modules>\n  <name>{name}</name>\n  <enabled>{enabled}</enabled>");
        for (_, view) in snapshot.of_profile(&profile.name) {
            let pid = view.pid.map_or(String::new(), |pid| format!(" module_pid=\"{pid}\""));
            let _never = writeln!(text, "  <module{pid}>");
            module(&mut text, &view.spec, view.enabled);
            text += "  </module>\n";
        }
        text += "</modules>\n";
    }
    text + "</nemea-supervisor>\n"
}

fn module(text: &mut String, module: &Module, enabled: bool) {
    element(text, "name", Some(&module.name));
    element(text, "enabled", Some(&enabled.to_string()));
    element(text, "path", Some(&module.path));
    element(text, "params", module.params.as_deref());
    element(text, "module-restarts", Some(&module.restarts.to_string()));
    if !module.interfaces.is_empty() {
        *text += "    <trapinterfaces>\n";
        module.interfaces.iter().for_each(|ifc| interface(text, ifc));
        *text += "    </trapinterfaces>\n";
    }
}

fn interface(text: &mut String, ifc: &Interface) {
    *text += "    <interface>\n";
    element(text, "note", ifc.note.as_deref());
    element(text, "type", ifc.kind.map(|kind| kind.word()));
    element(text, "direction", ifc.direction.map(|way| way.word()));
    element(text, "params", ifc.params.as_deref());
    *text += "    </interface>\n";
}

fn element(text: &mut String, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        let _never = writeln!(text, "    <{name}>{}</{name}>", escaped(value));
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_the_original() {
        assert_eq!(number(Path::new("/etc/nemea/supervisor_config_template.xml")), 89_264);
    }
}
