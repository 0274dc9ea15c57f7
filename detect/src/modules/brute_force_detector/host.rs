//! What one host did to one service, and whether it attacks.
use super::config::{Config, Limits};
use crate::sdk::{IpAddr, Time};
use std::collections::VecDeque;

/// With more records in both lists the threshold is a share of them.
const SHORT_LIST: usize = 50;
/// Nanoseconds of a second.
const SECOND: u64 = 1_000_000_000;
/// Bytes of a note, at the most: a record has 65535. Victims that find no room are left out.
const NOTE_MAX: usize = 60_000;

/// An attacker, or someone who may be one.
#[derive(Debug)]
pub(super) struct Host {
    /// Records towards the victims, and of their answers.
    lists: [List; 2],
    /// Time of the last report; `None` for a host that does not attack.
    reported: Option<Time>,
    /// End of the last record.
    last: Time,
}

#[derive(Debug, Default)]
struct List {
    records: VecDeque<Record>,
    matched: u32,
    /// Of records since the last report.
    new: Counts,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    victim: IpAddr,
    last: Time,
    is_matched: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    matched: u32,
    total: u32,
}

/// A report about a host.
#[derive(Debug, PartialEq)]
pub(super) struct Report {
    pub at: Time,
    pub scale: u32,
    pub note: String,
}

impl Host {
    pub(super) fn new() -> Host {
        Host { lists: Default::default(), reported: None, last: Time::default() }
    }

    /// Records of both lists.
    pub(super) fn len(&self) -> usize {
        self.lists.iter().map(|list| list.records.len()).sum()
    }

    /// Takes a record: of an answer, or of a flow towards the victim.
    pub(super) fn add(&mut self, is_answer: bool, victim: IpAddr, last: Time, is_matched: bool, limits: &Limits) {
        self.last = last;
        let is_reported = self.reported.is_some();
        let list = &mut self.lists[usize::from(is_answer)];
        // The original cannot keep a list of none.
        while list.records.len() >= usize::from(limits.records_max.max(1)) {
            list.forget_first();
        }
        list.matched += u32::from(is_matched);
        list.records.push_back(Record { victim, last, is_matched });
        if is_reported {
            list.new.total = list.new.total.saturating_add(1);
            list.new.matched = list.new.matched.saturating_add(is_matched.into());
        }
    }

    /// Judges the host after a record of this time.
    pub(super) fn judge(&mut self, now: Time, config: &Config, limits: &Limits) -> Option<Report> {
        let Some(reported) = self.reported else {
            if !self.is_attack(limits) {
                return None;
            }
            self.reported = Some(now);
            return (!config.is_first_ignored).then(|| self.report(now, limits.threshold.into()));
        };
        if !is_over(reported, limits.report_timeout, now) {
            return None;
        }
        let new = self.lists.each_ref().map(|list| list.new);
        let is_worth = new.iter().any(|new| new.matched >= config.events_min.into());
        let share =
            |new: &Counts| if new.total > 0 { 100.0 / f64::from(new.total) * f64::from(new.matched) } else { 0.0 };
        let is_nothing = self.lists.iter().all(|list| list.matched == 0 && list.new.matched == 0);
        let is_end = is_nothing || new.iter().all(|new| share(new) < config.ratio_min);
        let report = (is_worth && !is_nothing).then(|| self.report_again(now));
        if is_end {
            self.end();
        }
        report
    }

    /// Ends an attack that was not reported for long; answers a last report if it is worth one.
    pub(super) fn end_if_silent(&mut self, now: Time, config: &Config, limits: &Limits) -> Option<Report> {
        if !self.reported.is_some_and(|reported| is_over(reported, limits.attack_timeout, now)) {
            return None;
        }
        let is_worth = self.lists[0].new.matched >= config.events_min.into();
        let report = is_worth.then(|| self.report_again(now));
        self.end();
        report
    }

    /// Forgets old records; answers whether the host is kept.
    pub(super) fn forget_old(&mut self, now: Time, limits: &Limits) -> bool {
        for list in &mut self.lists {
            // Lists are in the order of arrival: the first one that is young ends it.
            while list.records.front().is_some_and(|record| is_over(record.last, limits.record_timeout, now)) {
                list.forget_first();
            }
        }
        !is_over(self.last, limits.host_timeout, now)
    }

    fn is_attack(&self, limits: &Limits) -> bool {
        let lengths = self.lists.each_ref().map(|list| list.records.len());
        let threshold = if lengths.iter().any(|length| *length <= SHORT_LIST) {
            u32::from(limits.threshold)
        } else {
            let longer = lengths[0].max(lengths[1]) as u32;
            if longer < 100 { longer * 9 / 10 } else { longer / 100 * 90 }
        };
        self.lists.iter().any(|list| list.matched >= threshold)
    }

    /// A report with the larger count since the last one; both begin anew.
    fn report_again(&mut self, now: Time) -> Report {
        let scale = self.lists.iter().map(|list| list.new.matched).max().unwrap_or(0);
        self.lists.iter_mut().for_each(|list| list.new = Counts::default());
        self.reported = Some(now);
        self.report(now, scale)
    }

    fn report(&self, at: Time, scale: u32) -> Report {
        let mut note = String::new();
        for (word, list) in ["I:", "O:"].into_iter().zip(&self.lists) {
            let matched = list.records.iter().filter(|record| record.is_matched);
            let mut victims: Vec<_> = matched.map(|record| record.victim.to_string()).collect();
            victims.sort_unstable();
            victims.dedup();
            note.push_str(word);
            for victim in &victims {
                if note.len() + victim.len() < NOTE_MAX {
                    note.push_str(victim);
                    note.push(',');
                }
            }
        }
        Report { at, scale, note }
    }

    fn end(&mut self) {
        self.lists = Default::default();
        self.reported = None;
    }
}

impl List {
    fn forget_first(&mut self) {
        let is_matched = self.records.pop_front().is_some_and(|record| record.is_matched);
        self.matched -= u32::from(is_matched);
    }
}

pub(super) fn is_over(since: Time, timeout_secs: u32, now: Time) -> bool {
    since.0.saturating_add(u64::from(timeout_secs) * SECOND) <= now.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Time {
        Time(secs * SECOND)
    }

    /// Adds records, one a second, and answers times and scales of reports.
    fn reports(host: &mut Host, config: &Config, seconds: std::ops::Range<u64>, is_matched: bool) -> Vec<(u64, u32)> {
        let (mut out, limits) = (Vec::new(), &config.services[0]);
        for second in seconds {
            host.add(false, [10, 0, 0, (second % 3) as u8].into(), at(second), is_matched, limits);
            out.extend(host.judge(at(second), config, limits).map(|report| (second, report.scale)));
        }
        out
    }

    #[test]
    fn an_attack_is_reported_again_while_it_lasts() {
        let (mut host, config) = (Host::new(), Config::default());
        assert_eq!(reports(&mut host, &config, 1_000..1_700, true), [(1_029, 30), (1_329, 300), (1_629, 300)]);
        let report = host.report(at(0), 1);
        assert_eq!(report.note, "I:10.0.0.0,10.0.0.1,10.0.0.2,O:");
        // 71 more matched, then others: still above 10 %, and the last report ends it.
        assert_eq!(reports(&mut host, &config, 1_700..3_000, false), [(1_929, 70)]);
        assert!(host.reported.is_none() && host.lists[0].matched == 0);
    }

    #[test]
    fn long_lists_need_nine_of_ten() {
        let config = Config::default();
        let limits = &config.services[0];
        for (length, matched, is_attack) in
            [(50, 30, true), (51, 44, false), (51, 45, true), (120, 90, true), (199, 89, false)]
        {
            let mut host = Host::new();
            for n in 0..length {
                for is_answer in [false, true] {
                    host.add(is_answer, [10, 0, 0, 1].into(), at(1), !is_answer && n < matched, limits);
                }
            }
            assert_eq!(host.is_attack(limits), is_attack, "{length} {matched}");
        }
    }

    #[test]
    fn silence_ends_an_attack_and_records_grow_old() {
        let (mut host, config) = (Host::new(), Config::default());
        let limits = &config.services[0];
        reports(&mut host, &config, 0..60, true);
        assert_eq!(host.end_if_silent(at(628), &config, limits), None);
        assert_eq!(host.end_if_silent(at(629), &config, limits).map(|report| report.scale), Some(30));
        assert!(host.reported.is_none() && host.len() == 0);
        reports(&mut host, &config, 1_000..1_010, false);
        assert!(host.forget_old(at(2_804), limits) && host.len() == 5);
        assert!(!host.forget_old(at(1_009 + 4_200), limits) && host.len() == 0);
    }

    #[test]
    fn the_first_report_may_be_ignored_and_lists_are_bounded() {
        let mut config = Config { is_first_ignored: true, ..Config::default() };
        config.services[0].records_max = 40;
        let mut host = Host::new();
        assert_eq!(reports(&mut host, &config, 0..400, true), [(329, 300)]);
        assert_eq!((host.len(), host.lists[0].matched), (40, 40));
    }
}
