//! The original's command line (spec/exporter.md section 2): `-x value`, `-x=value`, `--name value`, `--name=value`.

/// What the command line says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) input: Vec<String>,
    pub(super) storage: Vec<String>,
    pub(super) output: Vec<String>,
    pub(super) process: Vec<String>,
    pub(super) input_queue: u32,
    pub(super) output_queue: u32,
    pub(super) fps: u32,
    pub(super) count: u32,
    pub(super) pid: Option<String>,
    pub(super) cpus: Option<String>,
    /// `Some(None)`: own usage; `Some(Some(name))`: help on that.
    pub(super) help: Option<Option<String>>,
    pub(super) version: bool,
    /// Options that are accepted for the sake of scripts but do nothing here.
    pub(super) warnings: Vec<String>,
}

/// How an option takes its value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Takes {
    Nothing,
    Value,
    /// A value if the next word is not an option.
    MaybeValue,
}

/// One option, declared once: parser and help come from it.
pub(super) struct Declared {
    pub(super) short: char,
    pub(super) long: &'static str,
    pub(super) argument: &'static str,
    pub(super) takes: Takes,
    pub(super) about: &'static str,
    set: fn(&mut Options, &str) -> Option<()>,
}

macro_rules! options {
    ($($short:literal $long:literal $argument:literal $takes:ident $about:literal => $set:expr;)+) => {
        pub(super) const DECLARED: &[Declared] = &[$(Declared {
            short: $short, long: $long, argument: $argument, takes: Takes::$takes, about: $about, set: $set,
        }),+];
    };
}

fn number<T: TryFrom<u64>>(text: &str) -> Option<T> {
    super::plugins::number(text).and_then(|n| T::try_from(n).ok())
}

options! {
    'i' "input" "ARGS" Value "input plugin; repeat for more (-h input)" => |o, v| { o.input.push(v.into()); Some(()) };
    's' "storage" "ARGS" Value "storage plugin, default cache (-h storage)" => |o, v| { o.storage.push(v.into()); Some(()) };
    'o' "output" "ARGS" Value "output plugin, default ipfix; repeat for more (-h output)" => |o, v| { o.output.push(v.into()); Some(()) };
    'p' "process" "ARGS" Value "process plugin; repeat for more (-h process)" => |o, v| { o.process.push(v.into()); Some(()) };
    't' "telemetry" "DIR" Value "not supported: Sonda has no FUSE telemetry tree" => |o, _| o.warn("-t (telemetry tree) is not supported and has no effect");
    'q' "iqueue" "SIZE" Value "packets in a block, default 64; bursts are sized by Sonda itself" => |o, v| { o.input_queue = number(v)?; Some(()) };
    'Q' "oqueue" "SIZE" Value "records in the output queue, default 16536; queues are sized by Sonda itself" => |o, v| { o.output_queue = number(v)?; Some(()) };
    'B' "pbuf" "SIZE" Value "accepted, no effect (as in the original)" => |_, v| number::<u32>(v).map(|_| ());
    'f' "fps" "NUM" Value "export at most NUM flows per second, 0 = no limit" => |o, v| { o.fps = number(v)?; Some(()) };
    'c' "count" "NUM" Value "stop each input after NUM parsed packets, 0 = no limit" => |o, v| { o.count = number(v)?; Some(()) };
    'P' "pid" "FILE" Value "write the process id to FILE" => |o, v| { o.pid = (!v.is_empty()).then(|| v.to_string()); o.pid.as_ref().map(|_| ()) };
    'L' "plugins-path" "DIR" Value "accepted, no effect: all plugins are built in" => |_, v| (!v.is_empty()).then_some(());
    'd' "daemon" "" Nothing "not supported: use systemd, or `nohup ... &`" => |o, _| o.warn("-d (daemon) is not supported: use systemd, or run it as `nohup ... &`");
    'h' "help" "PLUGIN" MaybeValue "this text; input, storage, output, process or a plugin's name for more" => |o, v| { o.help = Some((!v.is_empty()).then(|| v.to_string())); Some(()) };
    'V' "version" "" Nothing "print the version" => |o, _| { o.version = true; Some(()) };
    'C' "cpus" "LIST" Value "processors of all threads, such as 0,2-3" => |o, v| { (!v.is_empty()).then_some(())?; o.cpus = Some(v.into()); Some(()) };
}

impl Options {
    fn warn(&mut self, text: &str) -> Option<()> {
        self.warnings.push(text.into());
        Some(())
    }

    pub(super) fn parse(args: &[String]) -> Result<Options, String> {
        let mut options = Options { input_queue: 64, output_queue: 16536, ..Options::default() };
        let mut words = args.iter().map(String::as_str).peekable();
        while let Some(word) = words.next() {
            let (name, glued) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
            let declared = find(name).ok_or_else(|| format!("invalid option {name}"))?;
            let value = match (declared.takes, glued) {
                (Takes::Nothing, _) => "",
                (_, Some(value)) => value,
                (Takes::Value, None) => words.next().ok_or_else(|| format!("missing argument for option {name}"))?,
                (Takes::MaybeValue, None) => words.next_if(|w| !w.starts_with('-')).unwrap_or(""),
            };
            (declared.set)(&mut options, value).ok_or_else(|| format!("invalid argument for option {name}"))?;
        }
        Ok(options)
    }
}

fn find(name: &str) -> Option<&'static Declared> {
    DECLARED.iter().find(|d| match name.strip_prefix("--") {
        Some(long) => d.long == long,
        None => name.strip_prefix('-').is_some_and(|s| s.len() == 1 && s.starts_with(d.short)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options, String> {
        Options::parse(&text.split_whitespace().map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn all_spellings_mean_the_same() {
        for text in ["-c 5", "-c=5", "--count 5", "--count=5", "-c 9 -c 5", "-c 0x5", "-c 05"] {
            assert_eq!(parse(text).expect(text).count, 5, "{text}");
        }
        let o = parse("-i pcap;file=a -p http -p dns -o=ipfix;h=x=y").expect("fine");
        assert_eq!(
            (o.input.as_slice(), o.process.len(), o.output[0].as_str()),
            (&["pcap;file=a".to_string()][..], 2, "ipfix;h=x=y")
        );
    }

    #[test]
    fn help_takes_a_value_if_there_is_one() {
        assert_eq!(parse("-h").expect("fine").help, Some(None));
        assert_eq!(parse("-h process").expect("fine").help, Some(Some("process".into())));
        assert_eq!(parse("-h -V").expect("fine").help, Some(None));
    }

    #[test]
    fn errors_are_the_originals() {
        assert_eq!(parse("-x"), Err("invalid option -x".into()));
        assert_eq!(parse("-i"), Err("missing argument for option -i".into()));
        assert_eq!(parse("--count many"), Err("invalid argument for option --count".into()));
        assert_eq!(parse("capture.pcap"), Err("invalid option capture.pcap".into()));
    }
}
