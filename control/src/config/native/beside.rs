//! What stands beside a template of the original, which has no words for it: the tables `[supervisor]` and `[api]` in a file of TOML.
use super::{Place, Refused, Supervisor, parsed, settings};
use crate::config::{BYTES_MAX, text_of};
use crate::model::Settings;
use std::path::Path;

/// The settings of such a file; those of the template's modules where it has no table of them.
///
/// # Errors
/// As [`super::read`]; and what belongs into the template.
pub fn read(path: &Path, template: &Settings) -> Result<Settings, Refused> {
    let text = text_of(path, BYTES_MAX).map_err(|why| Refused::one(format!("[ERROR] {}: {why}", path.display())))?;
    let texts = [(path.to_owned(), text)];
    let files = parsed(&texts)?;
    let mut wrong = Refused::default();
    for (place, file) in &files {
        let named =
            file.profile.iter().map(|profile| &profile.name).chain(file.module.iter().map(|module| &module.name));
        for name in named {
            let why =
                format!("\"{}\" belongs into the template; here are the tables supervisor and api", name.as_ref());
            wrong.lines.push(place.line(name.span().start, &why));
        }
        refuse_restarts(*place, file.supervisor.as_ref(), &mut wrong);
    }
    let table = files.iter().find_map(|(_, file)| file.supervisor.as_ref());
    let default = Supervisor::default();
    let told = settings(table.unwrap_or(&default), &files, &mut wrong);
    if !wrong.lines.is_empty() {
        return Err(wrong);
    }
    Ok(match table {
        Some(_) => told,
        None => Settings { api: told.api, alerts: told.alerts, flows: told.flows, ..template.clone() },
    })
}

fn refuse_restarts(place: Place<'_>, table: Option<&Supervisor>, wrong: &mut Refused) {
    if table.is_some_and(|table| table.restarts != Supervisor::default().restarts) {
        let at = place.text.find("restarts").unwrap_or(0);
        wrong.lines.push(place.line(at, "restarts belong into the template, as its element module-restarts"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn told(text: &str) -> Result<Settings, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("s.toml");
        std::fs::write(&path, text).expect("ours");
        read(&path, &Settings::default()).map_err(|refused| refused.to_string())
    }

    #[test]
    fn tables_beside_a_template() {
        let api =
            "[api]\nlisten = \"[::1]:8443\"\ncertificate = \"/c\"\nkey = \"/k\"\nalerts = \"/a.db\"\nflows = \"/f\"\n";
        let settings = told(api).expect("taken");
        assert_eq!(settings.api.as_ref().map(|api| api.address.port()), Some(8443));
        let api = settings.api.clone();
        assert_eq!(settings, Settings { api, alerts: "/a.db".into(), flows: "/f".into(), ..Settings::default() });
        let settings = told("[supervisor]\nheartbeat_s = 9\n").expect("taken");
        assert_eq!(settings.heartbeat, Some(Duration::from_secs(9)));
        assert_eq!((settings.lane_heartbeat.is_some(), settings.api), (true, None), "the table is whole");
        assert_eq!(told(""), Ok(Settings::default()));
        for (text, why) in [
            ("[[profile]]\nname = \"P\"\n", "s.toml:2:8: \"P\" belongs into the template"),
            ("[supervisor]\nrestarts = 9\n", "s.toml:2:1: restarts belong into the template"),
            ("[api]\nlitsen = 1\n", "Did you mean \"listen\"?"),
            ("[api]\nlisten = \"here\"\n", "s.toml:2:10: listen = \"here\""),
            ("[supervisor]\nheartbeat_s = 1\n", "heartbeat_s = 1"),
        ] {
            let refused = told(text).expect_err(text);
            assert!(refused.contains(why), "{refused}");
        }
    }
}
