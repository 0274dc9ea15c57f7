//! Modules that live and die as the test says.
use super::plan::Verdict;
use super::*;
use crate::model::{Config, Limits, Profile};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn module(name: &str, restarts: u8) -> Module {
    Module {
        name: name.into(),
        enabled: true,
        path: "/bin/m".into(),
        params: None,
        restarts,
        interfaces: vec![],
        after: vec![],
        limits: Limits::default(),
    }
}

fn config(modules: Vec<Module>) -> Config {
    Config { profiles: vec![Profile { name: "p".into(), enabled: true, modules }], ..Config::default() }
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A world in which processes do as they are told.
struct World {
    core: Core,
    now: Duration,
    next_pid: u32,
    alive: BTreeMap<u32, String>,
    /// Modules that ignore SIGINT, and those that end at once.
    stubborn: Vec<String>,
    broken: Vec<String>,
}

impl World {
    fn new(config: &Config) -> Self {
        let mut core = Core::default();
        core.apply(config);
        Self { core, now: ms(1), next_pid: 100, alive: BTreeMap::new(), stubborn: vec![], broken: vec![] }
    }

    /// One look at everything; answers what was done.
    fn step(&mut self, by: Duration) -> Vec<Action> {
        self.now += by;
        let actions = self.core.tick(self.now);
        for action in &actions {
            match action {
                Action::Start(name) => {
                    self.next_pid += 1;
                    self.core.started(name, self.next_pid, self.now);
                    self.alive.insert(self.next_pid, name.clone());
                    if self.broken.contains(name) {
                        self.die(self.next_pid, End::Exited(1));
                    }
                }
                Action::Interrupt { name, pid } if self.stubborn.contains(name) => {
                    assert!(self.alive.contains_key(pid))
                }
                Action::Interrupt { pid, .. } => self.die(*pid, End::Exited(0)),
                Action::Abort { pid, .. } => self.die(*pid, End::Killed(6)),
                Action::Kill { pid, .. } => self.die(*pid, End::Killed(9)),
            }
        }
        self.check();
        actions
    }

    fn die(&mut self, pid: u32, how: End) {
        let name = self.alive.remove(&pid).expect("only those that live are ended");
        self.core.exited(&name, pid, how, self.now);
    }

    fn pid(&self, name: &str) -> Option<u32> {
        self.core.module(name)?.run.pid()
    }

    /// What always holds: the core knows who lives, no name lives twice, and processes are accounted for (I16).
    fn check(&self) {
        let known: BTreeMap<u32, String> =
            self.core.modules().iter().filter_map(|m| Some((m.run.pid()?, m.spec.name.clone()))).collect();
        assert_eq!(known, self.alive);
        let books = self.core.books();
        assert_eq!(
            books.spawned + books.adopted,
            self.alive.len() as u64 + books.exited + books.killed + books.lost,
            "{books:?}"
        );
    }
}

#[test]
fn a_module_that_never_comes_up_is_parked_after_its_restarts() {
    for limit in [0, 1, 2, 3, 10, 30] {
        let mut world = World::new(&config(vec![module("crash", limit), module("good", limit)]));
        world.broken.push("crash".into());
        for _ in 0..2_000 {
            world.step(ms(100));
        }
        assert_eq!(
            world.core.books().spawned,
            u64::from(limit) + 2,
            "one start and {limit} restarts, and the good one"
        );
        let crash = world.core.module("crash").expect("there");
        assert!(!crash.enabled && crash.parked.is_some());
        assert!(world.pid("good").is_some());
        let said = world.core.take_events();
        let line = format!(
            "[RESTART] Module: crash was restarted {limit} times per minute and it is down again. I set it disabled."
        );
        assert_eq!(said.iter().filter(|event| **event == line).count(), 1);
        // Whoever enables it gets all restarts again.
        world.broken.clear();
        world.core.enable_module("crash", true);
        world.step(ms(1));
        assert!(world.pid("crash").is_some());
    }
}

#[test]
fn a_module_that_fails_now_and_then_is_restarted_for_ever() {
    let mut world = World::new(&config(vec![module("m", 2)]));
    world.step(ms(1));
    for _ in 0..50 {
        world.step(ms(31_000));
        let pid = world.pid("m").expect("runs");
        world.die(pid, End::Killed(11));
        assert_eq!(world.step(ms(1)), [], "not at once");
        world.step(ms(10_000));
    }
    assert_eq!(world.core.books().spawned, 51);
}

#[test]
fn sigint_then_sigkill() {
    let mut world = World::new(&config(vec![module("m", 3)]));
    world.stubborn.push("m".into());
    world.step(ms(1));
    let pid = world.pid("m").expect("runs");
    world.core.enable_module("m", false);
    assert_eq!(world.step(ms(1)), [Action::Interrupt { name: "m".into(), pid }]);
    assert_eq!(world.step(ms(2_900)), []);
    assert_eq!(world.step(ms(200)), [Action::Kill { name: "m".into(), pid }]);
    assert_eq!(world.step(ms(10_000)), []);
    assert!(world.core.is_idle());
}

#[test]
fn who_starts_after_waits_for_an_answer_or_two_seconds() {
    let mut late = module("late", 3);
    late.after = vec!["early".into()];
    let mut world = World::new(&config(vec![late, module("early", 3)]));
    assert_eq!(world.step(ms(1)), [Action::Start("early".into())]);
    assert_eq!(world.step(ms(1_000)), []);
    let pid = world.pid("early").expect("runs");
    world.core.answered("early", pid);
    assert_eq!(world.step(ms(1)), [Action::Start("late".into())]);
    // One that is not wanted keeps nobody waiting.
    world.core.enable_module("early", false);
    world.core.enable_module("late", false);
    world.step(ms(1));
    world.core.enable_module("late", true);
    assert_eq!(world.step(ms(1)), [Action::Start("late".into())]);
}

#[test]
fn a_module_that_no_longer_answers_is_killed_and_restarted() {
    let mut config = config(vec![module("m", 3), module("silent", 3)]);
    config.settings.heartbeat = Some(ms(8_000));
    let mut world = World::new(&config);
    world.step(ms(1));
    let pid = world.pid("m").expect("runs");
    world.core.answered("m", pid);
    // Time in which the supervisor itself was held up does not count.
    assert_eq!(world.step(ms(60_000)), []);
    let mut actions = vec![];
    for _ in 0..99 {
        actions.extend(world.step(ms(100)));
    }
    assert_eq!(
        actions,
        [Action::Kill { name: "m".into(), pid }, Action::Start("m".into())],
        "within 10 s of its last word"
    );
}

#[test]
fn a_probe_whose_lane_stands_still_is_ended_with_a_core_and_restarted() {
    let mut config = config(vec![module("probe", 3), module("other", 3)]);
    config.settings.lane_heartbeat = Some(ms(2_000));
    let mut world = World::new(&config);
    world.step(ms(1));
    let pid = world.pid("probe").expect("runs");
    let look = |world: &mut World, pid, is_still, by| {
        world.core.looked_at_lanes("probe", pid, is_still);
        world.step(by)
    };
    // Time without looks does not count, nor looks at which one was seen to move, nor those at another process.
    for round in 0..100 {
        assert_eq!(look(&mut world, pid, round % 20 != 0, ms(100)), []);
    }
    look(&mut world, pid, false, ms(100));
    assert_eq!(look(&mut world, pid, true, ms(3_600_000)), []);
    assert_eq!(look(&mut world, pid - 1, false, ms(100)), []);
    let mut actions = vec![];
    for _ in 0..24 {
        actions.extend(look(&mut world, pid, true, ms(100)));
    }
    assert_eq!(
        actions,
        [Action::Abort { name: "probe".into(), pid }, Action::Start("probe".into())],
        "after 20 looks, and once: looks at the process that is gone say nothing of the next"
    );
    assert_eq!(world.core.books().killed, 1);
}

#[test]
fn one_that_does_not_end_by_sigabrt_is_killed() {
    let mut config = config(vec![module("probe", 3)]);
    config.settings.lane_heartbeat = Some(ms(1_000));
    let mut core = Core::default();
    core.apply(&config);
    core.tick(ms(1));
    core.started("probe", 7, ms(1));
    (0..10).for_each(|_| core.looked_at_lanes("probe", 7, true));
    assert_eq!(core.tick(ms(100)), [Action::Abort { name: "probe".into(), pid: 7 }]);
    assert_eq!(core.tick(ms(3_000)), []);
    assert_eq!(core.tick(ms(3_200)), [Action::Kill { name: "probe".into(), pid: 7 }]);
}

#[test]
fn a_reload_touches_what_changed() {
    let mut world = World::new(&config(vec![module("a", 3), module("b", 3), module("c", 3)]));
    world.step(ms(1));
    let (a, b) = (world.pid("a"), world.pid("b"));
    let mut changed = module("b", 9);
    changed.params = Some("-v".into());
    let new = config(vec![module("a", 5), changed, module("d", 3)]);
    let planned: Vec<(String, Verdict)> =
        world.core.plan(&new, |_| None).into_iter().map(|step| (step.module, step.action)).collect();
    let expected = [("a", Verdict::Live), ("b", Verdict::Restart), ("d", Verdict::Start), ("c", Verdict::Stop)];
    assert_eq!(planned, expected.map(|(name, action)| (name.to_owned(), action)));
    let applied = world.core.apply(&new);
    assert_eq!((applied.inserted, applied.removed, applied.modified, applied.unmodified), (1, 1, 1, 1));
    assert!(
        applied
            .lines
            .contains(&"[WARNING] b's attribute \"params\" was empty and is \"-v\" now, gonna update it.".into())
    );
    for _ in 0..3 {
        world.step(ms(10));
    }
    assert_eq!(world.pid("a"), a);
    assert!(world.pid("b").is_some() && world.pid("b") != b && world.pid("d").is_some());
    assert_eq!(world.core.modules().len(), 3);
    // The same again changes nothing (F19).
    assert!(world.core.plan(&new, |_| None).iter().all(|step| step.action == Verdict::Keep && step.why.is_empty()));
}

#[derive(Debug, Clone)]
enum Deed {
    Wait(u16),
    Die(u8),
    Enable(u8, bool),
    Profile(bool),
    Restart(u8),
    Load(Vec<(u8, bool, u8)>),
    Stubborn(u8),
    Broken(u8),
    Mend,
}

fn deeds() -> impl Strategy<Value = Deed> {
    let name = 0u8..5;
    prop_oneof![
        4 => (0u16..20_000).prop_map(Deed::Wait),
        2 => name.clone().prop_map(Deed::Die),
        1 => (name.clone(), any::<bool>()).prop_map(|(n, e)| Deed::Enable(n, e)),
        1 => any::<bool>().prop_map(Deed::Profile),
        1 => name.clone().prop_map(Deed::Restart),
        1 => prop::collection::vec((0u8..5, any::<bool>(), 0u8..4), 0..5).prop_map(Deed::Load),
        1 => name.clone().prop_map(Deed::Stubborn),
        1 => name.prop_map(Deed::Broken),
        1 => Just(Deed::Mend),
    ]
}

fn loaded(modules: &[(u8, bool, u8)]) -> Config {
    let mut named: Vec<Module> = Vec::new();
    for (name, enabled, params) in modules {
        let mut module = module(&format!("m{name}"), 2);
        (module.enabled, module.params) = (*enabled, Some(params.to_string()));
        if *params == 3 && *name > 0 {
            module.after = vec!["m0".into()];
        }
        if named.iter().all(|there| there.name != module.name) {
            named.push(module);
        }
    }
    config(named)
}

proptest! {
    /// Whatever happens: the books balance after each step, and in the end exactly those run that should.
    #[test]
    fn any_life(deeds in prop::collection::vec(deeds(), 1..60)) {
        let mut world = World::new(&loaded(&[(0, true, 0), (1, true, 1), (2, false, 3)]));
        for deed in deeds {
            match deed {
                Deed::Wait(time) => { world.step(ms(u64::from(time))); }
                Deed::Die(n) => {
                    if let Some(pid) = world.pid(&format!("m{n}")) { world.die(pid, End::Killed(9)) }
                }
                Deed::Enable(n, enabled) => world.core.enable_module(&format!("m{n}"), enabled),
                Deed::Profile(enabled) => world.core.enable_profile("p", enabled),
                Deed::Restart(n) => world.core.restart(&format!("m{n}")),
                Deed::Load(modules) => {
                    let new = loaded(&modules);
                    world.core.apply(&new);
                    let again = world.core.plan(&new, |_| None);
                    let are_quiet = again.iter().all(|s| !matches!(s.action, Verdict::Restart | Verdict::Refuse));
                    prop_assert!(are_quiet || world.core.modules().iter().any(|m| m.wants_restart));
                }
                Deed::Stubborn(n) => world.stubborn.push(format!("m{n}")),
                Deed::Broken(n) => world.broken.push(format!("m{n}")),
                Deed::Mend => world.broken.clear(),
            }
            world.step(ms(100));
        }
        world.broken.clear();
        for _ in 0..400 { world.step(ms(100)); }
        for module in world.core.modules() {
            let wanted = module.enabled && world.core.profiles()[0].enabled;
            prop_assert_eq!(matches!(module.run, Run::Running { .. }), wanted, "{}", &module.spec.name);
        }
        world.core.end();
        for _ in 0..100 { world.step(ms(100)); }
        prop_assert!(world.core.is_idle());
    }
}
