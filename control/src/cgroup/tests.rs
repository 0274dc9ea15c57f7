//! Both versions in folders that stand for the kernel's; the kernel itself is asked in probe/tests/limits.rs.
use super::*;
use crate::model::{Module, Profile};

const LIMITS: Limits = Limits {
    cores: vec![],
    user: None,
    group: None,
    nice: None,
    memory_mib: Some(64),
    cpu_percent: Some(50),
    processes: Some(20),
    open_files: None,
    core_mib: None,
    sandbox: false,
};

fn config(limits: &Limits) -> Config {
    let module = Module { name: "m".into(), limits: limits.clone(), ..Module::default() };
    Config { profiles: vec![Profile { name: "P".into(), enabled: true, modules: vec![module] }], ..Config::default() }
}

fn cgroups(mounts: &str, own: &str) -> Cgroups {
    Cgroups { found: find::hierarchies(mounts, own), name: name_of(Path::new("/run/s.sock")) }
}

/// The folder of a group, with the files that the kernel would have in it.
fn group(folder: &Path, controllers: &str) {
    fs::create_dir_all(folder).expect("made");
    fs::write(folder.join("cgroup.controllers"), controllers).expect("written");
}

#[test]
fn version_2_in_a_group_of_ones_own() {
    let dir = tempfile::tempdir().expect("a folder");
    let top = dir.path().display();
    let mounts = format!("30 23 0:26 / {top} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
    let unit = dir.path().join("system.slice/sonda.service");
    group(&unit, "cpu memory pids\n");
    group(&unit.join("supervisor"), "cpu memory pids\n");
    let mut cgroups = cgroups(&mounts, "0::/system.slice/sonda.service/supervisor\n");
    let config = config(&LIMITS);
    cgroups.prepare(&config);
    assert_eq!(cgroups.missing(&config), [""; 0]);
    let doors = cgroups.enter("m", &LIMITS, &mut |why| panic!("{why}"));
    let folder = unit.join("sonda-run-s.sock/module-m");
    assert_eq!(doors, [folder.join("cgroup.procs")], "one group for all");
    let read = |file: &str| fs::read_to_string(folder.join(file)).expect("written");
    assert_eq!(
        (read("memory.max"), read("cpu.max"), read("pids.max")),
        ("67108864".into(), "50000 100000".into(), "20".into())
    );
    fs::write(folder.join("memory.events"), "low 0\noom 2\noom_kill 1\n").expect("written");
    fs::write(folder.join("cpu.stat"), "usage_usec 5\nnr_throttled 7\n").expect("written");
    fs::write(folder.join("pids.events"), "max 3\n").expect("written");
    assert_eq!(cgroups.counts("m"), Counts { killed: 1, throttled: 7, refused: 3 });
    assert_eq!(cgroups.counts("other"), Counts::default());
}

#[test]
fn version_1_and_version_2_side_by_side() {
    let dir = tempfile::tempdir().expect("a folder");
    let top = dir.path().display().to_string();
    // As a container sees it: its part of the hierarchy is mounted.
    let mounts = format!(
        "35 31 0:32 /box {top}/memory rw - cgroup cgroup rw,memory\n32 31 0:29 / {top}/cpu rw - cgroup cgroup rw,cpu,cpuacct\n\
         41 31 0:38 / {top}/unified rw - cgroup2 cgroup2 rw\n"
    );
    for folder in ["memory/inner", "cpu"] {
        fs::create_dir_all(dir.path().join(folder)).expect("made");
    }
    group(&dir.path().join("unified"), "hugetlb\n");
    let mut cgroups = cgroups(&mounts, "4:memory:/box/inner\n1:cpu,cpuacct:/\n0::/\n");
    let config = config(&LIMITS);
    cgroups.prepare(&config);
    let missing = cgroups.missing(&config);
    assert!(
        missing.len() == 1 && missing[0].starts_with("[WARNING] processes has no effect on this machine ("),
        "{missing:?}"
    );
    assert!(missing[0].ends_with("without it run: m"), "{missing:?}");
    assert_eq!(cgroups.missing(&super::tests::config(&Limits::default())), [""; 0], "nobody asked");
    let doors = cgroups.enter("m", &LIMITS, &mut |why| panic!("{why}"));
    let folders = ["memory/inner", "cpu"].map(|at| dir.path().join(at).join("sonda-run-s.sock/module-m"));
    assert_eq!(doors, folders.each_ref().map(|folder| folder.join("cgroup.procs")));
    let read = |at: usize, file: &str| fs::read_to_string(folders[at].join(file)).expect("written");
    assert_eq!(read(0, "memory.limit_in_bytes"), "67108864");
    assert_eq!((read(1, "cpu.cfs_period_us"), read(1, "cpu.cfs_quota_us")), ("100000".into(), "50000".into()));
    fs::write(folders[0].join("memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n").expect("written");
    assert_eq!(cgroups.counts("m").killed, 4);
}

#[test]
fn a_machine_without() {
    let config = config(&LIMITS);
    for (mounts, own) in
        [("", ""), ("garbage", "0"), ("1 2 3 / /nowhere rw - cgroup cgroup rw,memory\n", "4:memory:/x\n")]
    {
        let mut cgroups = cgroups(mounts, own);
        cgroups.prepare(&config);
        assert_eq!(cgroups.missing(&config).len(), 3, "{mounts}");
        assert!(cgroups.enter("m", &LIMITS, &mut |why| panic!("{why}")).is_empty());
    }
}
