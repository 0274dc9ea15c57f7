//! debug_sender: a record written by hand and sent on command (spec/modules.md section 17).
mod edit;

use super::start;
use crate::argparse::{self, ArgError, positional};
use crate::lines::Lines;
use crate::pytrap;
use edit::Draft;
pub use edit::fuzz_edit;
use record::unirec::SpecError;
use std::io::{self, BufRead, BufReader, Write};
use std::ops::ControlFlow;
use trap::module::{Count, Module, ModuleInfo, Param};
use trap::{DropReason, Format, Output, Sent, Timeout, TrapError};

/// Why nothing can be sent.
#[derive(Debug, thiserror::Error)]
pub enum SenderError {
    #[error("Error: the record's fields: {0}")]
    Template(#[from] SpecError),
    #[error("Error: {0}")]
    Send(#[from] TrapError),
    #[error("Error: the terminal: {0}")]
    Terminal(#[from] io::Error),
}

/// One line for lists of modules.
pub const ABOUT: &str = "Sends records that are written by hand.";

const INFO: ModuleInfo = ModuleInfo {
    name: "debug_sender",
    description: "This module allows to manually send arbitrary UniRec records to a TRAP interface. You have to specify the \
                  fields at startup, everything other is done interactively by writing simple commands.",
    inputs: Count::Exactly(0),
    outputs: Count::Exactly(1),
    params: PARAMS,
};

const PARAMS: &[Param] =
    &[positional("string", "UNIREC_FORMAT: the fields of the records to send, e.g. \"uint32 FOO,string BAR\"")];

/// Commands with their letters and help.
const COMMANDS: [(&str, char, &str); 7] = [
    ("edit", 'e', "'e'  Edit values of all fields of the record."),
    ("exit", 'x', "'x'  Exit the Debug Sender"),
    ("help", 'h', "List available commands with \"help\" or detailed help with \"help cmd\"."),
    ("print", 'p', "'p'  Print current contents of the record."),
    ("quit", 'q', "'q'  Exit the Debug Sender"),
    (
        "send",
        's',
        "'s'  Send the record to the output interface.\n                  To send multiple records, put an integer \
         number after the\n                  command, e.g. 's 5' to send 5 records.",
    ),
    ("stop", 't', "'t'  Send terminate message."),
];

const WELCOME: &str = "Interactive Debug Sender\n\
    This module can be used to create UniRec messages and send them via TRAP.\n\n\
    Empty line means repeating the previous command.\n\n";

const HELP: &str = "This shows the list of commands.\n\
    If you want to see help to a specific command, type help and 'command' (e.g. help print).\n\
    Character in apostrophs is an abbreviation of the command (e.g. p for print).\n\n\
    Available commands:\n-------------------\nedit  exit  help  print  quit  send  stop\n\n\
    Undocumented commands:\n----------------------\nEOF\n\n";

/// Runs the module; see [`super::Module::run`].
pub fn main(args: &[String]) -> u8 {
    let Module { args, mut outputs, .. } = match start(&INFO, &argparse::plain_ifcspec(args), 1) {
        Ok(module) => module,
        Err(code) => return code,
    };
    let spec = match argparse::parse(&args[1..], PARAMS).map(|line| line.words) {
        Ok(words) if words.len() == 1 => words.into_iter().next().unwrap_or_default(),
        Ok(words) if words.is_empty() => {
            eprintln!("debug_sender: error: the following arguments are required: UNIREC_FORMAT");
            return 2;
        }
        Ok(words) => {
            eprintln!("debug_sender: error: {}", ArgError::Unknown(words[1..].join(" ")));
            return 2;
        }
        Err(why) => {
            eprintln!("debug_sender: error: {why}");
            return 2;
        }
    };
    let mut code = 0;
    if let Err(why) = run(&spec, &mut outputs[0], BufReader::new(io::stdin()), io::stdout()) {
        eprintln!("{why}");
        code = 1;
    }
    if let Err(why) = outputs[0].finish() {
        eprintln!("Error: {why}");
        code = 1;
    }
    code
}

/// Reads commands until one of them, or the end of `from`, ends it.
pub fn run(spec: &str, output: &mut Output, from: impl BufRead, to: impl Write) -> Result<(), SenderError> {
    let draft = Draft::new(spec)?;
    output.set_format(Format::UniRec(spec.to_owned()))?;
    output.set_timeout(Timeout::Wait);
    output.set_buffered(false);
    if draft.template().static_size() < 2 {
        eprintln!("Warning: receivers take a record of 1 byte for the end of the stream: add a field.");
    }
    let mut session = Session { draft, output, lines: Lines::new(from), to };
    write!(session.to, "{WELCOME}")?;
    session.print()?;
    writeln!(session.to, "Type help to get list of commands.")?;
    let mut previous = String::new();
    while let Some(line) = session.ask("> ")? {
        let line = line.trim().to_owned();
        if !line.is_empty() {
            previous = line;
        }
        if session.command(&previous)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// A conversation about one record.
struct Session<'o, R, W> {
    draft: Draft,
    output: &'o mut Output,
    lines: Lines<R>,
    to: W,
}

impl<R: BufRead, W: Write> Session<'_, R, W> {
    fn ask(&mut self, prompt: &str) -> io::Result<Option<String>> {
        write!(self.to, "{prompt}")?;
        self.to.flush()?;
        let line = self.lines.next()?;
        Ok(line.map(|(line, _)| String::from_utf8_lossy(line).trim_end_matches('\r').to_owned()))
    }

    fn command(&mut self, line: &str) -> io::Result<ControlFlow<()>> {
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let (word, rest) = if let Some(topic) = line.strip_prefix('?') { ("help", topic) } else { (word, rest) };
        let mut letters = word.chars();
        let letter = letters.next().filter(|_| letters.next().is_none());
        let known = COMMANDS.iter().find(|(name, short, _)| *name == word || Some(*short) == letter);
        match known.map_or(word, |(name, ..)| name) {
            "" => {}
            "print" => self.print()?,
            "edit" => return self.edit(),
            "send" => return self.send(rest.trim()),
            "stop" => return self.stop(),
            "help" => self.help(rest.trim())?,
            "exit" | "quit" | "EOF" => return Ok(ControlFlow::Break(())),
            _ => writeln!(self.to, "*** Unknown syntax: {line}")?,
        }
        Ok(ControlFlow::Continue(()))
    }

    fn print(&mut self) -> io::Result<()> {
        writeln!(self.to, "Current record:")?;
        for at in 0..self.draft.len() {
            writeln!(self.to, "{} = {}", self.draft.name(at), self.shown(at))?;
        }
        writeln!(self.to)
    }

    /// The value of a field and its rule, if it has one.
    fn shown(&self, at: usize) -> String {
        let (is_text, value) = self.draft.value(at, |datum, is_text| (is_text, pytrap::text(datum)));
        let rule = self.draft.rule(at).map(|rule| format!(" {{!{rule}}}")).unwrap_or_default();
        if is_text { format!("\"{value}\"{rule}") } else { format!("{value}{rule}") }
    }

    fn edit(&mut self) -> io::Result<ControlFlow<()>> {
        for at in 0..self.draft.len() {
            loop {
                let (is_text, value) = self.draft.value(at, |datum, is_text| (is_text, pytrap::text(datum)));
                let value = if is_text { format!("\"{value}\"") } else { value };
                let rule = self.draft.rule(at).map(|rule| format!(" {{!{rule}}}")).unwrap_or_default();
                let prompt = format!("{} [{value}]{rule}: ", self.draft.name(at));
                let Some(answer) = self.ask(&prompt)? else { return Ok(ControlFlow::Break(())) };
                match self.draft.edit(at, &answer) {
                    Ok(()) => break,
                    Err(why) => writeln!(self.to, "{why}")?,
                }
            }
        }
        writeln!(self.to)?;
        Ok(ControlFlow::Continue(()))
    }

    fn send(&mut self, count: &str) -> io::Result<ControlFlow<()>> {
        let count = if count.is_empty() { Some(1) } else { count.parse::<i64>().ok() };
        if count.is_none() {
            writeln!(self.to, "ERROR: Parameter of 'send' command must be an integer.")?;
        }
        let count = count.unwrap_or(1);
        if count == 1 {
            write!(self.to, "Sending the record ... ")?;
        } else {
            write!(self.to, "Sending {count} records ... ")?;
        }
        self.to.flush()?;
        for _ in 0..count {
            if let Err(why) = self.draft.apply_rules() {
                writeln!(self.to, "\nERROR: {why}")?;
                return Ok(ControlFlow::Continue(()));
            }
            if let Some(end) = self.deliver(false)? {
                return Ok(end);
            }
        }
        writeln!(self.to, "done")?;
        Ok(ControlFlow::Continue(()))
    }

    fn stop(&mut self) -> io::Result<ControlFlow<()>> {
        if let Some(end) = self.deliver(true)? {
            return Ok(end);
        }
        writeln!(self.to, "done")?;
        Ok(ControlFlow::Continue(()))
    }

    /// Sends the record, or the end of the stream; `None` if the output took it.
    fn deliver(&mut self, is_end: bool) -> io::Result<Option<ControlFlow<()>>> {
        let sent = if is_end { self.output.send(b"0") } else { self.output.send(self.draft.record()) };
        match sent {
            Sent::Sent => {
                if let Err(why) = self.output.flush() {
                    writeln!(self.to, "\nERROR: {why}")?;
                    return Ok(Some(ControlFlow::Continue(())));
                }
                Ok(None)
            }
            Sent::Dropped(DropReason::Terminated | DropReason::Finished) => {
                writeln!(self.to, "Libtrap was terminated")?;
                Ok(Some(ControlFlow::Break(())))
            }
            Sent::Dropped(DropReason::TooLarge | DropReason::NoFormat) => {
                writeln!(self.to, "\nERROR: the record does not fit the output's buffer")?;
                Ok(Some(ControlFlow::Continue(())))
            }
        }
    }

    fn help(&mut self, topic: &str) -> io::Result<()> {
        match COMMANDS.iter().find(|(name, ..)| *name == topic) {
            _ if topic.is_empty() => write!(self.to, "{HELP}"),
            Some((_, _, text)) => writeln!(self.to, "{text}"),
            None => writeln!(self.to, "*** No help on {topic}"),
        }
    }
}
