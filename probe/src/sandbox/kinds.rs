//! What each kind of module has a use for, and so what is left to it.
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
];
/// Those that write files which their options name.
const WRITERS: &[&str] =
    &["logger", "logreplay", "json_dump", "json_replay", "nfwriter", "nfdump_reader", "new_service_detector"];

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
    let tells = detect::report::mapping::ALL.iter().any(|reporter| reporter.name == tool);
    let writes = WRITERS.contains(&tool);
    if !(tells || writes || READERS.contains(&tool)) {
        return None;
    }
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
            None => rights.named(word, writes, tells),
        }
    }
    if tells {
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
    fn named(&mut self, word: &str, writes: bool, tells: bool) {
        let behind = |at: usize| word.get(at..).filter(|_| word.starts_with('-'));
        let forms = [Some(word), behind(2), word.split_once('=').map(|(_, value)| value)];
        for path in forms.into_iter().flatten().filter(|text| !text.is_empty() && !text.starts_with('-')).map(Path::new)
        {
            let place = place_of(path);
            if !(path.exists() || (path.components().count() > 1 && place.is_dir())) {
                continue;
            }
            if tells && fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() <= CONFIGURATION_MAX) {
                self.far_ends(&fs::read_to_string(path).unwrap_or_default());
            }
            let of = if writes { &mut self.write } else { &mut self.read };
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
    fn every_name_is_a_module() {
        for tool in READERS.iter().chain(WRITERS) {
            assert!(detect::modules::find(tool).is_some_and(|module| module.name == *tool), "{tool}");
        }
        assert_eq!(rights("luamodule", &[], Path::new("/")), None);
    }
}
