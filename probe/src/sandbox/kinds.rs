//! What each kind of module has a use for, and so what is left to it.
use detect::blacklist::catalog;
use detect::modules::{dnsblacklistfilter, ipblacklistfilter, urlblacklistfilter};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use sys::seccomp::Family;

/// Bytes of a configuration that is searched for paths.
const CONFIGURATION_MAX: u64 = 8 << 20;
/// What everybody reads: time zones, processors, and itself.
const OF_ALL: [&str; 5] =
    ["/etc/localtime", "/usr/share/zoneinfo", "/proc/self", "/sys/devices/system/cpu", "/dev/urandom"];
/// What finding a host by its name, and believing it, takes.
const OF_NETWORKS: [&str; 12] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/ld.so.cache",
    "/etc/ssl",
    "/usr/share/ca-certificates",
    "/usr/lib",
    "/lib",
    "/lib64",
];
/// Folders that hold more than one module's files: in them a file that is named is let in, not its neighbours.
const SHARED: [&str; 9] = ["/", "/etc", "/root", "/home", "/usr", "/var", "/dev", "/proc", "/sys"];

/// Detectors, and what passes records on: they read what their options name, and write to their interfaces only.
const READERS: &[&str] = &[
    "traffic_repeater",
    "unirecfilter",
    "merger",
    "agg",
    "biflow_aggregator",
    "anonymizer",
    "prefix_tags",
    "endiverter",
    "topn",
    "flowcounter",
    "mux",
    "demux",
    "scalar_agg",
    "backscatter",
    "vportscan_detector",
    "vportscan_aggregator",
    "haddrscan_detector",
    "haddrscan_aggregator",
    "brute_force_detector",
    "ddos_detector",
    "sip_bf_detector",
    "waintrusion_detector",
    "dga_detector",
    "beacon_detector",
    "exfiltration_detector",
    "reflection_detector",
    "login_bf_detector",
    "fingerprint_detector",
    "doh_tunnel_detector",
    "blacklist_aggregator",
    // A script has what lies beside it; one that writes files or starts programs takes `sandbox = false`.
    "luamodule",
];
/// Those that write files which their options name.
const WRITERS: &[&str] =
    &["logger", "logreplay", "json_dump", "json_replay", "nfwriter", "nfdump_reader", "new_service_detector"];

/// Those that read lists, again and again, which the file of their settings names.
const FOLLOWERS: &[(&str, &str)] = &[
    ("ipblacklistfilter", ipblacklistfilter::CONFIG),
    ("urlblacklistfilter", urlblacklistfilter::CONFIG),
    ("dnsblacklistfilter", dnsblacklistfilter::CONFIG),
];
/// Those that ask servers for files and write what the file of their settings names.
const FETCHERS: &[(&str, &str)] = &[("bl_downloader", catalog::DEFAULT_PATH)];

/// What a module does, so far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Reads,
    Writes,
    /// A reporter.
    Tells,
    Follows,
    Fetches,
}

impl Kind {
    /// The kind of a tool, and the file of its settings where its arguments name no other. `None`: what it may do cannot be told.
    fn of(tool: &str, args: &[String]) -> Option<(Self, Option<&'static str>)> {
        let settings = |all: &[(&str, &'static str)]| all.iter().find(|(name, _)| *name == tool).map(|(_, path)| *path);
        if detect::report::mapping::ALL.iter().any(|reporter| reporter.name == tool) {
            return Some((Self::Tells, None));
        }
        if let Some(path) = settings(FOLLOWERS) {
            return Some((Self::Follows, Some(path)));
        }
        if let Some(path) = settings(FETCHERS) {
            // A history is kept by git, a program of its own.
            let has_history = args.iter().any(|word| word.starts_with("-r") || word.starts_with("--r"));
            return (!has_history).then_some((Self::Fetches, Some(path)));
        }
        let kind = if WRITERS.contains(&tool) { Self::Writes } else { Self::Reads };
        (kind == Self::Writes || READERS.contains(&tool)).then_some((kind, None))
    }
}

/// What is left to a module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rights {
    /// Files, and folders with all that is in them.
    pub(super) read: BTreeSet<PathBuf>,
    pub(super) write: BTreeSet<PathBuf>,
    /// Where its sockets are made, and removed.
    pub(super) socket_dir: PathBuf,
    /// TCP ports that it may listen on, and connect to.
    pub(super) listen: BTreeSet<u16>,
    /// `None`: any.
    pub(super) connect: Option<BTreeSet<u16>>,
    pub(super) sockets: Vec<Family>,
}

/// The rights of a tool with these arguments; `None` for a tool that has no sandbox here: what is not listed may do more than can be told by
/// its arguments.
pub(super) fn rights(tool: &str, args: &[String], socket_dir: &Path) -> Option<Rights> {
    let (kind, settings) = Kind::of(tool, args)?;
    let mut rights = Rights {
        socket_dir: socket_dir.to_owned(),
        connect: Some(BTreeSet::new()),
        sockets: vec![Family::Unix],
        ..Rights::default()
    };
    rights.read.extend(OF_ALL.map(PathBuf::from));
    rights.write.insert("/dev/null".into());
    let mut words = args.iter();
    while let Some(word) = words.next() {
        let spec = match word.as_str() {
            "-i" | "--ifcspec" => words.next().map(String::as_str),
            word => word.strip_prefix("--ifcspec=").or_else(|| word.strip_prefix("-i")),
        };
        match spec {
            Some(spec) => rights.interfaces(spec),
            None => rights.named(word, kind),
        }
    }
    settings.into_iter().for_each(|path| rights.named(path, kind));
    if matches!(kind, Kind::Tells | Kind::Fetches) {
        rights.network();
        rights.connect = None;
    }
    Some(rights)
}

impl Rights {
    fn network(&mut self) {
        self.sockets = vec![Family::Unix, Family::Inet, Family::Inet6, Family::Netlink];
        self.read.extend(OF_NETWORKS.map(PathBuf::from));
    }

    /// What the interfaces of a specifier need. One that cannot be read is refused by the module.
    fn interfaces(&mut self, spec: &str) {
        for one in trap::Spec::parse(spec).unwrap_or_default() {
            let mut words = one.params.split(':');
            match one.kind.letter() {
                'f' => {
                    let path = words.next().unwrap_or_default();
                    let is_output = words.any(|word| ["w", "a"].contains(&word));
                    let of = if is_output { &mut self.write } else { &mut self.read };
                    of.insert(place_of(Path::new(path)));
                }
                't' | 'T' => {
                    self.network();
                    let ports: Vec<u16> = words.clone().filter_map(|word| word.parse().ok()).collect();
                    self.listen.extend(&ports);
                    self.connect.get_or_insert_default().extend(&ports);
                    self.read.extend(words.map(Path::new).filter(|path| path.is_file()).map(place_of));
                }
                _ => {}
            }
        }
    }

    /// An argument that names a file, whichever option it belongs to: by itself, behind `-x` or behind `--option=`.
    fn named(&mut self, word: &str, kind: Kind) {
        let behind = |at: usize| word.get(at..).filter(|_| word.starts_with('-'));
        let forms = [Some(word), behind(2), word.split_once('=').map(|(_, value)| value)];
        for path in forms.into_iter().flatten().filter(|text| !text.is_empty() && !text.starts_with('-')).map(Path::new)
        {
            let place = place_of(path);
            if !(path.exists() || (path.components().count() > 1 && place.is_dir())) {
                continue;
            }
            if fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= CONFIGURATION_MAX) {
                let text = || fs::read_to_string(path).unwrap_or_default();
                match kind {
                    Kind::Tells => self.far_ends(&text()),
                    Kind::Follows => self.read.extend(elements(&text()).filter(|place| place.exists())),
                    Kind::Fetches => self.write.extend(elements(&text()).inspect(|place| {
                        // It would make them itself. Where that cannot be, it says so when it writes.
                        let _cannot = fs::create_dir_all(place);
                    })),
                    Kind::Reads | Kind::Writes => {}
                }
            }
            let of = if kind == Kind::Writes { &mut self.write } else { &mut self.read };
            of.insert(place);
        }
    }

    /// Where a reporter may write: folders of paths in its configuration.
    fn far_ends(&mut self, configuration: &str) {
        let words = configuration.split(|c: char| c.is_whitespace() || "\"',[]{}()".contains(c));
        let paths = words.map(|word| word.strip_prefix("file://").unwrap_or(word)).filter(|word| word.starts_with('/'));
        let places = paths.map(|path| place_of(Path::new(path)));
        self.write.extend(places.filter(|place| place.exists()));
    }
}

/// The places of all paths that are the text of an XML element.
fn elements(xml: &str) -> impl Iterator<Item = PathBuf> {
    let texts = xml.split('>').filter_map(|part| part.split('<').next()).map(str::trim);
    let paths = texts.map(|text| text.strip_prefix("file://").unwrap_or(text)).filter(|text| text.starts_with('/'));
    paths.map(|path| place_of(Path::new(path)))
}

/// What is let in for a file: its folder, for a new one may take its place; or the file alone where the folder is not its own.
fn place_of(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    match path.parent() {
        _ if path.is_dir() => path,
        Some(folder) if !SHARED.iter().any(|shared| folder == Path::new(shared)) => folder.to_owned(),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(tool: &str, args: &[&str]) -> Rights {
        let args: Vec<String> = args.iter().map(|word| (*word).to_owned()).collect();
        rights(tool, &args, Path::new("/run/traps")).expect("it is listed")
    }

    #[test]
    fn a_detector_reads_its_lists_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a folder");
        let list = dir.path().join("list");
        fs::write(&list, "x").expect("written");
        let rights = of("brute_force_detector", &["-S", "-w", list.to_str().expect("plain"), "-i", "u:a,u:b"]);
        assert!(rights.read.contains(dir.path()), "{rights:?}");
        assert_eq!(rights.write, BTreeSet::from([PathBuf::from("/dev/null")]));
        assert_eq!((rights.sockets, rights.connect, rights.listen), (vec![Family::Unix], Some([].into()), [].into()));
        // A list in a folder that is everybody's lets in no neighbour.
        let rights = of("brute_force_detector", &["-w/etc/passwd"]);
        assert!(
            rights.read.contains(Path::new("/etc/passwd")) && !rights.read.contains(Path::new("/etc")),
            "{rights:?}"
        );
    }

    #[test]
    fn interfaces_open_ports_and_files() {
        let rights = of("traffic_repeater", &["-it:localhost:7600,t:7601"]);
        assert_eq!((rights.listen.len(), rights.connect.map(|ports| ports.len())), (2, Some(2)));
        assert!(rights.sockets.contains(&Family::Inet6));
        let rights = of("traffic_repeater", &["-i", "f:/tmp/in/x,f:/tmp/out/y:w"]);
        assert!(
            rights.read.contains(Path::new("/tmp/in")) && rights.write.contains(Path::new("/tmp/out")),
            "{rights:?}"
        );
    }

    #[test]
    fn a_reporter_writes_where_its_configuration_says_and_reaches_its_far_ends() {
        let dir = tempfile::tempdir().expect("a folder");
        let config = dir.path().join("c.yaml");
        fs::create_dir(dir.path().join("out")).expect("made");
        fs::write(&config, format!("actions: [{{file: {{path: \"{}/out/alerts\"}}}}]", dir.path().display()))
            .expect("written");
        let rights = of("vportscan2idea", &["-c", config.to_str().expect("plain")]);
        assert!(rights.write.contains(&dir.path().join("out")) && rights.read.contains(dir.path()), "{rights:?}");
        assert_eq!((rights.connect, rights.listen.len()), (None, 0));
    }

    #[test]
    fn a_blacklist_filter_reads_what_its_settings_name() {
        let dir = tempfile::tempdir().expect("a folder");
        let (lists, settings) = (dir.path().join("lists"), dir.path().join("etc/ip.xml"));
        for folder in [&lists, &dir.path().join("etc")] {
            fs::create_dir(folder).expect("made");
        }
        let element = |path: &Path| format!("<element name=\"ipv4_blacklist_file\">\n {} </element>", path.display());
        fs::write(&settings, element(&lists.join("ip4.blist")) + &element(Path::new("/no/such/list")))
            .expect("written");
        let rights = of("ipblacklistfilter", &["-n", "-c", settings.to_str().expect("plain"), "-i", "u:a,u:b"]);
        assert!(rights.read.contains(&lists) && rights.read.contains(&dir.path().join("etc")), "{rights:?}");
        assert!(!rights.read.iter().any(|path| path.starts_with("/no")), "{rights:?}");
        assert_eq!((rights.write.len(), rights.connect, rights.sockets), (1, Some([].into()), vec![Family::Unix]));
    }

    #[test]
    fn a_downloader_writes_what_its_catalog_names_and_asks_anybody() {
        let dir = tempfile::tempdir().expect("a folder");
        let (lists, catalog) = (dir.path().join("new/lists"), dir.path().join("catalog.xml"));
        fs::write(&catalog, format!("<element name=\"IP4\">{}/ip4.blist</element>", lists.display())).expect("written");
        let catalog = catalog.to_str().expect("plain");
        let rights = of("bl_downloader", &["-c", catalog]);
        assert!(lists.is_dir() && rights.write.contains(&lists) && rights.read.contains(dir.path()), "{rights:?}");
        assert_eq!((rights.connect, rights.listen.len(), rights.sockets.contains(&Family::Inet)), (None, 0, true));
        for history in [["-r", "/var/history"], ["--repo-path", "/var/history"]] {
            let args = history.map(str::to_owned);
            assert_eq!(super::rights("bl_downloader", &args, Path::new("/")), None, "git is a program");
        }
    }

    #[test]
    fn every_name_is_a_module() {
        let of_settings = FOLLOWERS.iter().chain(FETCHERS).map(|(tool, _)| tool);
        for tool in READERS
            .iter()
            .chain(WRITERS)
            .chain(of_settings)
            .filter(|tool| cfg!(feature = "lua") || **tool != "luamodule")
        {
            assert!(detect::modules::find(tool).is_some_and(|module| module.name == *tool), "{tool}");
        }
        assert_eq!(rights("resolver", &[], Path::new("/")), None);
    }
}
