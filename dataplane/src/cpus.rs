//! Processors for threads: lists as people write them, checked before anything starts.
use std::collections::BTreeSet;

/// A list of processors that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpuError {
    #[error("'{0}' is not a list of processors, write numbers and ranges such as 0,2-3")]
    Syntax(String),
    #[error("processor {cpu} is not one this process may run on; usable are {usable}")]
    NotUsable { cpu: usize, usable: String },
    #[error("the system refused to tell or change the processors of this process: {0}")]
    System(String),
}

/// Reads `0,2-5`: the processors in the order in which they stand, each once. Numbers are below 1024, as in the kernel's set.
pub fn parse(text: &str) -> Result<Vec<usize>, CpuError> {
    let wrong = || CpuError::Syntax(text.to_string());
    let number = |digits: &str| digits.parse().ok().filter(|n| *n < 1024).ok_or_else(wrong);
    let (mut list, mut seen) = (Vec::new(), BTreeSet::new());
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (number(first)?, number(last)?);
        if first > last {
            return Err(wrong());
        }
        list.extend((first..=last).filter(|cpu| seen.insert(*cpu)));
    }
    Ok(list)
}

/// Fails unless this process may run on all of them.
pub fn check(cpus: &[usize]) -> Result<(), CpuError> {
    let usable = sys::usable_cpus().map_err(|e| CpuError::System(e.to_string()))?;
    match cpus.iter().find(|cpu| !usable.contains(cpu)) {
        None => Ok(()),
        Some(cpu) => {
            let usable: Vec<String> = usable.iter().map(usize::to_string).collect();
            Err(CpuError::NotUsable { cpu: *cpu, usable: usable.join(",") })
        }
    }
}

/// Keeps the calling thread, and those that it starts from now on, on these processors.
pub fn run_on(cpus: &[usize]) -> Result<(), CpuError> {
    check(cpus)?;
    sys::run_on(cpus).map_err(|e| CpuError::System(e.to_string()))
}

/// How many processors this process may run on; 1 if the system does not tell.
pub fn usable() -> usize {
    sys::usable_cpus().map_or(1, |cpus| cpus.len().max(1))
}

/// For the first lines of a thread: keeps it on a processor that was [checked](check) at start. Should the set of usable processors
/// have changed since, the thread runs elsewhere: slower, nothing else.
pub fn pin(cpu: Option<usize>) {
    if let Some(cpu) = cpu {
        let _ = sys::run_on(&[cpu]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        assert_eq!(parse("3,0-2,1"), Ok(vec![3, 0, 1, 2]));
        for bad in ["", "x", "1,", "2-1", "-1", "1024", "0-9999999999"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_an_error() {
        let usable = sys::usable_cpus().expect("the kernel tells");
        assert_eq!(check(&usable), Ok(()));
        let missing = (0..1024).find(|cpu| !usable.contains(cpu)).expect("fewer than 1024");
        let error = check(&[missing]).expect_err("not there").to_string();
        assert!(error.contains(&format!("processor {missing} ")), "{error}");
    }
}
