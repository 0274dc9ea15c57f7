//! What the downloader needs of the catalog: everything it asks for must be there (spec/detectors.md section 8.5).
use crate::blacklist::catalog::{self, Catalog, CatalogError, Kind, List};
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

/// Elements of a list that mean something.
const KNOWN: [&str; 15] = [
    "id",
    "category",
    "method",
    "name",
    "file_format",
    "source",
    "download_interval",
    "ip_version",
    "detectors",
    "csv_col",
    "json_address_key",
    "json_prefix_key",
    "json_port_key",
    "filter_key",
    "filter_value",
];

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// Between two looks for lists that are due.
    pub(super) interval: Duration,
    /// For which a server may be silent.
    pub(super) patience: Duration,
    /// In the order of [`Target::ALL`].
    pub(super) files: [PathBuf; 4],
    pub(super) sources: Vec<Source>,
}

/// A file that a filter reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Ip4,
    Ip6,
    Url,
    Dns,
}

/// One list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) id: u8,
    pub(super) name: String,
    /// A URL, or a file here.
    pub(super) place: String,
    pub(super) interval: Duration,
    pub(super) format: Format,
    /// Where its entries go; never addresses and names together.
    pub(super) targets: Vec<Target>,
}

/// How the entries stand in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Plain,
    /// In this column, from 0.
    Csv(usize),
    Json(Keys),
}

/// Names of members.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Keys {
    pub(super) address: String,
    pub(super) prefix: Option<String>,
    pub(super) port: Option<String>,
    /// A member and the text that it must have.
    pub(super) filter: Option<(String, String)>,
}

/// Why the downloader does not start, exit code 1.
#[derive(Debug, thiserror::Error)]
pub(super) enum SettingsError {
    #[error(transparent)]
    Catalog(#[from] CatalogError),
    #[error("the element \"{0}\" of {1} is missing")]
    Missing(&'static str, String),
    #[error("the element \"{0}\" of {1} is \"{2}\"; {3}")]
    Value(&'static str, String, String, &'static str),
    #[error("two blacklists of type {0} have the id {1}")]
    Twice(&'static str, u8),
}

impl Target {
    pub(super) const ALL: [Target; 4] = [Target::Ip4, Target::Ip6, Target::Url, Target::Dns];

    /// As the catalog writes it.
    fn name(self) -> &'static str {
        ["IP4", "IP6", "URL", "DNS"][self as usize]
    }
}

impl Settings {
    /// Takes the settings from a catalog; says which elements of lists mean nothing.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub(super) fn of(catalog: &Catalog) -> Result<Settings, SettingsError> {
        let of = |elements, structure: &str, name| {
            catalog::find(elements, name).ok_or_else(|| SettingsError::Missing(name, format!("\"{structure}\"")))
        };
        let general = |name| {
            let text = of(&catalog.general, "general", name)?;
            number(text).ok_or_else(|| wrong(name, "\"general\"".into(), text, "a number above 0 is needed"))
        };
        let mut ids = HashSet::new();
        if let Some(twice) = catalog.lists.iter().find(|list| !ids.insert((list.kind, list.id))) {
            return Err(SettingsError::Twice(twice.kind.name(), twice.id));
        }
        let file = |target: Target| of(&catalog.files, "detector_files", target.name()).map(PathBuf::from);
        let [ip4, ip6, url, dns] = Target::ALL.map(file);
        Ok(Settings {
            interval: minutes(general("download_interval")?),
            patience: Duration::from_secs(general("socket_timeout")?.into()),
            files: [ip4?, ip6?, url?, dns?],
            sources: catalog.lists.iter().map(Source::of).collect::<Result<_, _>>()?,
        })
    }
}

impl Source {
    fn of(list: &List) -> Result<Source, SettingsError> {
        let shown = || format!("blacklist {}/{}", list.kind.name(), list.id);
        let text = |name| list.text(name).ok_or_else(|| SettingsError::Missing(name, shown()));
        let wrong = |name, what| wrong(name, shown(), list.text(name).unwrap_or_default(), what);
        for (name, _) in list.elements.iter().filter(|(name, _)| !KNOWN.contains(&name.as_str())) {
            eprintln!("WARNING: {} has an element \"{name}\", which means nothing", shown());
        }
        text("category")?;
        if text("method")? != "web" {
            return Err(wrong("method", "the only method is \"web\""));
        }
        let interval = number(text("download_interval")?);
        let column = list.text("csv_col").map_or(Some(1), number);
        let format = match text("file_format")? {
            "plaintext" => Format::Plain,
            "csv" => Format::Csv(column.ok_or_else(|| wrong("csv_col", "columns are numbers from 1"))? as usize - 1),
            "JSON" => {
                let key = |name| list.text(name).map(str::to_owned);
                Format::Json(Keys {
                    address: text("json_address_key")?.to_owned(),
                    prefix: key("json_prefix_key"),
                    port: key("json_port_key"),
                    filter: key("filter_key").zip(key("filter_value")),
                })
            }
            _ => return Err(wrong("file_format", "there are plaintext, csv and JSON")),
        };
        let targets = match list.kind {
            Kind::Ip => match text("ip_version")? {
                "4" => vec![Target::Ip4],
                "6" => vec![Target::Ip6],
                _ => return Err(wrong("ip_version", "there are 4 and 6")),
            },
            Kind::Name => {
                let named =
                    |word: &str| [Target::Url, Target::Dns].into_iter().find(|target| target.name() == word.trim());
                let targets = text("detectors")?.split(',').map(named).collect::<Option<_>>();
                targets.ok_or_else(|| wrong("detectors", "there are URL and DNS"))?
            }
        };
        Ok(Source {
            id: list.id,
            name: text("name")?.to_owned(),
            place: text("source")?.to_owned(),
            interval: minutes(interval.ok_or_else(|| wrong("download_interval", "a number above 0 is needed"))?),
            format,
            targets,
        })
    }
}

fn wrong(name: &'static str, of: String, text: &str, what: &'static str) -> SettingsError {
    SettingsError::Value(name, of, text.to_owned(), what)
}

fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number > 0)
}

fn minutes(number: u32) -> Duration {
    Duration::from_secs(60 * u64::from(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = super::super::SHIPPED;

    #[test]
    fn the_catalog_that_is_shipped() {
        let settings = Settings::of(&Catalog::parse(SHIPPED).unwrap()).unwrap();
        let seconds = |duration: Duration| duration.as_secs();
        assert_eq!((seconds(settings.interval), seconds(settings.patience), settings.sources.len()), (600, 5, 10));
        let booters = settings.sources.iter().find(|source| source.name == "Booters").unwrap();
        assert_eq!((booters.id, &booters.format), (4, &Format::Csv(1)));
        assert_eq!(booters.targets, [Target::Url, Target::Dns]);
    }

    #[test]
    fn what_is_missing_or_wrong() {
        for (from, to, said) in [
            ("<element name=\"socket_timeout\">5</element>", "", "\"socket_timeout\" of \"general\" is missing"),
            (">10</element>\n    <!-- Seconds", ">0</element>\n    <!-- Seconds", "a number above 0"),
            ("name=\"IP6\"", "name=\"x\"", "\"IP6\" of \"detector_files\" is missing"),
            ("<element name=\"method\">web</element>", "", "\"method\" of blacklist IP/1 is missing"),
            (">web<", ">rsync<", "the only method"),
            ("Intrusion.Botnet</element>", "x</element><element name=\"id\">2</element>", "two blacklists of type IP"),
            (">csv<", ">xls<", "there are plaintext"),
            (">csv<", ">JSON<", "\"json_address_key\" of blacklist URL/DNS/4"),
            ("\"csv_col\">2", "\"csv_col\">0", "columns are numbers from 1"),
            ("\"ip_version\">6", "\"ip_version\">5", "there are 4 and 6"),
            ("URL,DNS", "URL,IP", "there are URL and DNS"),
        ] {
            assert!(SHIPPED.contains(from), "{from}");
            let why = Settings::of(&Catalog::parse(&SHIPPED.replacen(from, to, 1)).unwrap()).unwrap_err().to_string();
            assert!(why.contains(said), "{said}: {why}");
        }
    }
}
