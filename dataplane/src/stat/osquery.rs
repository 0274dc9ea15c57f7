//! osquery: the process and the user of this machine that have a flow's socket, and what machine it is (spec/process_plugins.md, "osquery").
//!
//! Who has a socket is asked of `osqueryi --json`, a child. A lane never waits for it: a question for each new flow of TCP or UDP goes into a
//! bounded queue ([`desk`]), a thread of its own asks ([`clerk`]), and the answer is taken when the flow's next packet comes or the flow ends.
//! Without an answer by then the record says UNDEFINED, and [`Books`] say why. The child is started, restarted and ended by a process of its
//! own ([`keeper`]), because a probe that has given up its privileges can do none of that.
use crate::face::Face;
use crate::flow::Flow;
use crate::packet::protocol;
use crate::plugin::{
    Aides, Context, Layer, OptionError, Plugin, PluginOption, Slot, Slots, Step, Takes, options, put_text,
};
use desk::{Line, Refused, Verdict};
use record::element::cesnet;
use record::{Record, Text, record};
use std::fmt::Write;
use std::time::Duration;

pub mod answer;
mod child;
mod clerk;
mod desk;
pub mod keeper;

pub use clerk::{Clerk, NoClerk, program};
pub use desk::Desk;

/// Bytes of a name or a version that are kept; longer ones are cut.
const TEXT_MAX: usize = 64;
/// What a field says that nobody has answered.
const UNDEFINED: &[u8] = b"UNDEFINED";

record! {
    /// Process and user of this machine that have the flow's socket, and the machine's system, asked of osqueryi. Only on where it is named.
    pub struct OsqueryRecord = "osquery" {
        /// Name of the process; of two ends on this machine the flow's source. UNDEFINED if osqueryi knows no such socket or did not
        /// answer before the flow ended.
        program_name: Text<TEXT_MAX>, ipfix cesnet::OSQueryProgramName, unirec "OSQUERY_PROGRAM_NAME";
        /// The user that the process runs as, UNDEFINED as above.
        username: Text<TEXT_MAX>, ipfix cesnet::OSQueryUsername, unirec "OSQUERY_USERNAME";
        /// Name of this machine's system; UNDEFINED, like the texts below, if osqueryi did not say it at start.
        os_name: Text<TEXT_MAX>, ipfix cesnet::OSQueryOSName, unirec "OSQUERY_OS_NAME";
        /// Its version: major number.
        os_major: u16, ipfix cesnet::OSQueryOSMajor, unirec "OSQUERY_OS_MAJOR";
        /// Its version: minor number.
        os_minor: u16, ipfix cesnet::OSQueryOSMinor, unirec "OSQUERY_OS_MINOR";
        /// Its build.
        os_build: Text<TEXT_MAX>, ipfix cesnet::OSQueryOSBuild, unirec "OSQUERY_OS_BUILD";
        /// Its short name, such as debian.
        os_platform: Text<TEXT_MAX>, ipfix cesnet::OSQueryOSPlatform, unirec "OSQUERY_OS_PLATFORM";
        /// Systems that it is like.
        os_platform_like: Text<TEXT_MAX>, ipfix cesnet::OSQueryOSPlatformLike, unirec "OSQUERY_OS_PLATFORM_LIKE";
        /// Architecture, such as x86_64.
        os_arch: Text<TEXT_MAX>, ipfix cesnet::OSQueryOSArch, unirec "OSQUERY_OS_ARCH";
        /// Version of the kernel.
        kernel_version: Text<TEXT_MAX>, ipfix cesnet::OSQueryKernelVersion, unirec "OSQUERY_KERNEL_VERSION";
        /// Name of this machine.
        system_hostname: Text<TEXT_MAX>, ipfix cesnet::OSQuerySystemHostname, unirec "OSQUERY_SYSTEM_HOSTNAME";
    }
}

/// A record of which nothing is known.
fn undefined() -> OsqueryRecord {
    let mut record = OsqueryRecord::default();
    for text in [
        &mut record.program_name,
        &mut record.username,
        &mut record.os_name,
        &mut record.os_build,
        &mut record.os_platform,
        &mut record.os_platform_like,
        &mut record.os_arch,
        &mut record.kernel_version,
        &mut record.system_hostname,
    ] {
        text.set(UNDEFINED);
    }
    record
}

/// The plugin's options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Least time between two looks at the machine's sockets.
    interval: Duration,
    /// How long osqueryi may take for an answer.
    wait: Duration,
}

const INTERVAL_MS: Takes = Takes::Number { least: 10, most: 60_000, default: 200 };
const WAIT_MS: Takes = Takes::Number { least: 100, most: 60_000, default: 5_000 };

impl Settings {
    /// Reads the plugin's options.
    ///
    /// # Errors
    /// One that there is not, or a number that is none or out of range.
    pub fn read<'o>(given: impl IntoIterator<Item = &'o str>) -> Result<Settings, OptionError> {
        let mut settings = Settings { interval: millis(INTERVAL_MS), wait: millis(WAIT_MS) };
        for (name, value) in given.into_iter().map(options::split) {
            let (place, takes) = match name {
                "i" | "interval" => (&mut settings.interval, INTERVAL_MS),
                "w" | "wait" => (&mut settings.wait, WAIT_MS),
                _ => return Err(OptionError::Unknown(name.into())),
            };
            let number = options::number(name, value)?;
            let Takes::Number { least, most, .. } = takes else { continue };
            if !(least..=most).contains(&number) {
                return Err(OptionError::BadValue(name.into(), number.to_string()));
            }
            *place = Duration::from_millis(number.into());
        }
        Ok(settings)
    }
}

const fn millis(takes: Takes) -> Duration {
    match takes {
        Takes::Number { default, .. } => Duration::from_millis(default as u64),
        Takes::Switch { .. } | Takes::Naming(_) => Duration::ZERO,
    }
}

/// What became of a lane's questions. When no flow is live, asked = named + nobody + unanswered + refused + off; in the face of the original
/// less the flows that another plugin cut before their answer came, because nobody is told of their end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Books {
    /// Flows of TCP and UDP.
    asked: u64,
    /// The process was told in time.
    named: u64,
    /// Osqueryi sees no such socket of a process: the flow is other machines', or it was over too soon.
    nobody: u64,
    /// No answer had come when the flow ended, or the lane had begun too many flows since.
    unanswered: u64,
    /// The queue was full.
    refused: u64,
    /// Osqueryi had been given up.
    off: u64,
}

pub struct Osquery {
    /// What a record begins with: the machine's facts, and nothing of the flow.
    blank: OsqueryRecord,
    /// Where questions go; nowhere if no child was started.
    line: Option<Line>,
    books: Books,
}

/// The number of a flow's question, 0 when no answer is waited for.
#[derive(Default)]
pub struct Asked {
    ticket: u64,
}

record::packed!(Asked { ticket: u64 });

impl Plugin for Osquery {
    type Record = OsqueryRecord;
    type State = Asked;

    const LAYER: Layer = Layer::Stat;
    const OPTIONS: &'static [PluginOption] = &[
        PluginOption {
            short: "i",
            long: "interval",
            takes: INTERVAL_MS,
            about: "least milliseconds between two looks at this machine's sockets",
        },
        PluginOption {
            short: "w",
            long: "wait",
            takes: WAIT_MS,
            about: "milliseconds that osqueryi may take for an answer",
        },
    ];
    const AFTER: bool = true;
    const ENDS: bool = true;
    const PAYLOAD_ONLY: bool = false;
    const BY_NAME_ONLY: bool = true;
    // As in `Books`.
    const NOTES: &'static [&'static str] = &["asked", "named", "nobody", "unanswered", "refused", "off"];

    fn new(options: &[&str], _face: Face) -> Result<Self, OptionError> {
        Settings::read(options.iter().copied())?;
        Ok(Osquery { blank: undefined(), line: None, books: Books::default() })
    }

    fn attach(&mut self, aides: &Aides) {
        if let Some(desk) = &aides.osquery {
            self.blank.assign(desk.facts());
            self.line = Some(desk.line());
        }
    }

    fn create(&mut self, ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        let Some(slot) = slots.first_or_open() else { return Step::Done };
        slot.record.assign(&self.blank);
        slot.state.ticket = 0;
        if !matches!(ctx.flow.key().protocol(), protocol::TCP | protocol::UDP) {
            return Step::Done;
        }
        self.books.asked += 1;
        match self.line.as_mut().map_or(Err(Refused::Off), |line| line.ask(ctx.flow)) {
            Ok(ticket) => {
                slot.state.ticket = ticket;
                return Step::More;
            }
            Err(Refused::Full) => self.books.refused += 1,
            Err(Refused::Off) => self.books.off += 1,
        }
        Step::Done
    }

    fn after(&mut self, _ctx: &Context<'_, '_>, slots: &mut Slots<'_, Self>) -> Step {
        match slots.first() {
            Some(slot) if slot.state.ticket != 0 => self.take(slot),
            _ => Step::Done,
        }
    }

    fn end(&mut self, _flow: &Flow, slots: &mut Slots<'_, Self>) {
        if let Some(slot) = slots.first()
            && slot.state.ticket != 0
            && self.take(slot) == Step::More
        {
            self.books.unanswered += 1;
        }
    }

    fn note(&self, at: usize) -> u64 {
        let Books { asked, named, nobody, unanswered, refused, off } = self.books;
        [asked, named, nobody, unanswered, refused, off].get(at).copied().unwrap_or(0)
    }

    fn text(r: &OsqueryRecord, out: &mut String) {
        let mut put = |name: &str, text: &Text<TEXT_MAX>| {
            let _ = write!(out, "{name}=\"");
            put_text(out, text.as_bytes());
            out.push_str("\",");
        };
        put("program", &r.program_name);
        put("username", &r.username);
        put("osname", &r.os_name);
        let _ = write!(out, "major={},minor={},", r.os_major, r.os_minor);
        let mut put = |name: &str, text: &Text<TEXT_MAX>| {
            let _ = write!(out, "{name}=\"");
            put_text(out, text.as_bytes());
            out.push_str("\",");
        };
        put("build", &r.os_build);
        put("platform", &r.os_platform);
        put("arch", &r.os_arch);
        put("kernel", &r.kernel_version);
        put("hostname", &r.system_hostname);
        out.pop();
    }

    fn summary(r: &OsqueryRecord, out: &mut String) {
        if r.program_name.as_bytes() != UNDEFINED {
            put_text(out, r.program_name.as_bytes());
            out.push_str(" of ");
            put_text(out, r.username.as_bytes());
        }
    }
}

impl Osquery {
    /// Puts the answer into the record, if it has come.
    fn take(&mut self, slot: &mut Slot<Osquery>) -> Step {
        let Some(verdict) = self.line.as_mut().and_then(|line| line.answer(slot.state.ticket)) else {
            return Step::More;
        };
        slot.state.ticket = 0;
        match verdict {
            Verdict::Named(owner) => {
                self.books.named += 1;
                slot.record.program_name.set(owner.program.as_bytes());
                slot.record.username.set(owner.user.as_bytes());
            }
            Verdict::Nobody => self.books.nobody += 1,
            Verdict::Off => self.books.off += 1,
        }
        Step::Done
    }
}

#[cfg(test)]
mod tests {
    use super::desk::{Answer, Owner, Question};
    use super::*;
    use crate::packet::Direction::{Forward, Reverse};
    use crate::packet::protocol::{ICMP, TCP, UDP};
    use crate::plugin::testing::Harness;
    use crossbeam_channel::Receiver;
    use std::sync::Arc;

    /// A lane, and what it asks.
    fn asking() -> (Harness<Osquery>, Receiver<Question>) {
        let (desk, questions) = Desk::new(undefined(), Arc::default());
        let mut lane = Harness::<Osquery>::new(Face::Native);
        lane.plugin().attach(&Aides { osquery: Some(desk) });
        (lane, questions)
    }

    fn answer(question: &Question, verdict: Verdict) {
        question.answers.try_send(Answer { ticket: question.ticket, verdict }).expect("the lane is there");
    }

    fn notes(lane: &mut Harness<Osquery>) -> Vec<(&'static str, u64)> {
        let all = Osquery::NOTES.iter().enumerate().map(|(at, what)| (*what, lane.plugin().note(at)));
        all.filter(|(_, count)| *count > 0).collect()
    }

    #[test]
    fn an_answer_is_taken_when_it_is_there_and_not_waited_for() {
        let (mut lane, questions) = asking();
        let mut owner = Owner::default();
        owner.program.set(b"curl");
        owner.user.set(b"alice");
        let owner = Arc::new(owner);
        // Before the next packet; before the end; never; for nothing.
        assert_eq!(lane.packet(Forward, 40_000, 443, TCP, b""), Step::More);
        let question = questions.try_recv().expect("asked at once");
        assert_eq!((question.connection.local.port, question.connection.remote.port), (40_000, 443));
        assert_eq!(lane.packet(Reverse, 443, 40_000, TCP, b""), Step::More, "no answer yet");
        answer(&question, Verdict::Named(Arc::clone(&owner)));
        assert_eq!(lane.packet(Reverse, 443, 40_000, TCP, b""), Step::Done);
        let named = lane.records();
        lane.packet(Forward, 1, 53, UDP, b"");
        answer(&questions.try_recv().expect("asked"), Verdict::Named(owner));
        let named_late = lane.records();
        for record in [&named[0], &named_late[0]] {
            assert_eq!((record.program_name.as_bytes(), record.username.as_bytes()), (&b"curl"[..], &b"alice"[..]));
        }
        lane.packet(Forward, 2, 53, UDP, b"");
        let unanswered = lane.records();
        answer(&questions.try_recv().expect("asked"), Verdict::Nobody);
        lane.packet(Forward, 3, 53, UDP, b"");
        answer(&questions.try_recv().expect("asked"), Verdict::Nobody);
        let nobodys = lane.records();
        assert_eq!(lane.packet(Forward, 0, 0, ICMP, b""), Step::Done, "not asked for");
        for record in [&unanswered[0], &nobodys[0], &lane.records()[0]] {
            assert_eq!(record.program_name.as_bytes(), UNDEFINED);
        }
        assert!(questions.is_empty());
        assert_eq!(notes(&mut lane), [("asked", 4), ("named", 2), ("nobody", 1), ("unanswered", 1)]);
    }

    #[test]
    fn what_cannot_be_asked_is_counted() {
        let (mut lane, questions) = asking();
        for _ in 0..desk::QUEUE_MAX + 3 {
            lane.packet(Forward, 1, 53, UDP, b"");
            assert_eq!(lane.records().len(), 1);
        }
        drop(questions);
        lane.packet(Forward, 1, 53, UDP, b"");
        lane.records();
        let (all, unanswered) = (desk::QUEUE_MAX as u64 + 4, desk::QUEUE_MAX as u64);
        assert_eq!(notes(&mut lane), [("asked", all), ("unanswered", unanswered), ("refused", 3), ("off", 1)]);
        let mut alone = Harness::<Osquery>::new(Face::Native);
        alone.packet(Forward, 1, 53, UDP, b"");
        let mut text = String::new();
        Osquery::text(&alone.records()[0], &mut text);
        assert!(
            text.starts_with(
                "program=\"UNDEFINED\",username=\"UNDEFINED\",osname=\"UNDEFINED\",major=0,minor=0,build="
            )
        );
        assert!(text.ends_with("hostname=\"UNDEFINED\""), "{text}");
        assert_eq!(notes(&mut alone), [("asked", 1), ("off", 1)]);
    }

    #[test]
    fn options_have_limits() {
        let settings = Settings::read(["i=10", "wait=60000"]).expect("fine");
        assert_eq!((settings.interval.as_millis(), settings.wait.as_millis()), (10, 60_000));
        for bad in ["i=9", "interval=60001", "w", "wait=x", "path=/bin/sh"] {
            assert!(Settings::read([bad]).is_err(), "{bad}");
        }
    }
}
