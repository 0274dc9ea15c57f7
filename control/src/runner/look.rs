//! What the runner sees: who has ended, what modules use, say and count, and what it tells of that.
use super::service::Answer;
use super::{CYCLES_A_MINUTE, Ended, LOOKS_A_CYCLE, Runner};
use crate::core::{End, Run};
use crate::launch;
use crate::logs;
use crate::process;
use crate::snapshot::Snapshot;
use std::sync::Arc;

impl Runner {
    /// Called ten times a second.
    pub(super) fn look(&mut self) {
        self.looks += 1;
        let gone: Vec<u32> = self.adopted.values().filter(|id| !id.is_alive()).map(|id| id.pid).collect();
        for pid in gone {
            let found = self.core.modules().iter().find(|module| module.run.pid() == Some(pid));
            match found.map(|module| module.spec.name.clone()) {
                Some(name) => self.ended(Ended { name, pid, how: End::Unknown }),
                None => drop(self.adopted.remove(&pid)),
            }
        }
        self.reload_if_due();
        self.look_at_lanes();
        if self.looks % LOOKS_A_CYCLE == 1 {
            self.measure();
        }
        if self.looks.is_multiple_of(LOOKS_A_CYCLE * CYCLES_A_MINUTE) {
            self.logs.statistics(&self.snapshot().statistics_lines());
        }
        if self.looks.is_multiple_of(10 * LOOKS_A_CYCLE) {
            let settings = self.core.settings();
            let names = self.core.modules().iter().map(|module| module.spec.name.as_str());
            self.logs.rotate(names, settings.log_bytes_max, settings.log_files_max);
        }
    }

    fn running(&self) -> Vec<(String, u32)> {
        let running = self.core.modules().iter().filter_map(|module| match module.run {
            Run::Running { pid, .. } => Some((module.spec.name.clone(), pid)),
            _ => None,
        });
        running.collect()
    }

    fn look_at_lanes(&mut self) {
        if self.core.settings().lane_heartbeat.is_none() {
            return;
        }
        let running = self.running();
        if self.looks % LOOKS_A_CYCLE == 1 {
            self.pulses.find(&running.iter().map(|(_, pid)| *pid).collect::<Vec<_>>());
        }
        for (name, pid) in running {
            if let Some(is_still) = self.pulses.look(pid) {
                self.core.looked_at_lanes(&name, pid, is_still);
            }
        }
    }

    fn measure(&mut self) {
        let total = process::total_ticks();
        for (name, pid) in self.running() {
            if let Some(usage) = self.meters.entry(pid).or_default().read(pid, total) {
                self.measured.entry(name.clone()).or_default().0 = usage;
            }
            self.services.ask(&name, pid);
        }
        for module in self.core.modules().iter().filter(|module| module.run.pid().is_some()) {
            let report = launch::report_of(&module.spec.name, &self.logs.path(logs::MODULES));
            let sandbox = self.bounds.look_at_sandbox(&module.spec, &report);
            self.bounds.look(&module.spec).iter().chain(&sandbox).for_each(|event| self.logs.event(event));
        }
        let known = |name: &String| self.core.module(name).is_some();
        self.measured.retain(|name, _| known(name));
        self.lost.retain(|name, _| known(name));
        let (expiry, said) = self.gate.expiry();
        self.expiry = expiry;
        said.into_iter().for_each(|line| self.logs.say(&line));
        self.is_changed = true;
    }

    pub(super) fn answered(&mut self, answer: Answer) {
        self.is_changed = true;
        let (name, pid) = (answer.name.clone(), answer.pid);
        let (counters, events) = self.services.take(answer);
        let is_its_own = self.core.module(&name).is_some_and(|module| module.run.pid() == Some(pid));
        if !is_its_own {
            return self.services.forget(pid);
        }
        events.iter().for_each(|event| self.logs.event(event));
        if counters.is_some() {
            self.core.answered(&name, pid);
        }
        self.measured.entry(name).or_default().1 = counters;
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let mut snapshot = Snapshot::of(&self.core, self.about.clone(), self.now(), &self.measured);
        (snapshot.limits_missing, snapshot.limited) = (self.bounds.missing().len(), self.bounds.counts());
        snapshot.sandboxes.clone_from(self.bounds.sandboxes());
        snapshot.lost.clone_from(&self.lost);
        snapshot.lost_logs = self.logs.lost();
        snapshot.certificate_expiry = self.expiry;
        snapshot
    }

    pub(super) fn publish(&self) {
        self.snapshots.send_replace(Arc::new(self.snapshot()));
    }
}
