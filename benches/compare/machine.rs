//! What the kernel says about this machine: who used the processors, how much memory a process has, who runs where.

use crate::Outcome;
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// A tick of `/proc/stat`: always a hundredth of a second, whatever the kernel's own clock.
const TICK: Duration = Duration::from_millis(10);
/// The flag of a kernel thread in `/proc/PID/stat`.
const PF_KTHREAD: u64 = 0x0020_0000;

/// The machine in a few words: processors, kernel.
pub fn words(processors: &CpuSet) -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} × {}, Linux {}", processors.count(), model.trim_start_matches([':', '\t', ' ']), kernel.trim())
}

/// Where the client and the servers run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Both on one processor: the ratio of two times, without the time that it takes to wake another processor.
    Pinned,
    /// Where the scheduler puts them.
    Free,
}

/// Puts every thread of these processes, and this thread, where they belong.
pub fn place(placement: Placement, pids: &[u32], all: &CpuSet) -> Outcome<()> {
    let mut set = *all;
    if placement == Placement::Pinned {
        let last = (0..CpuSet::MAX_CPU).rev().find(|cpu| all.is_set(*cpu)).ok_or("no processor to run on")?;
        set.clear();
        set.set(last);
    }
    let failed = |error| format!("a process can't be given its processors: {error}");
    sched_setaffinity(None, &set).map_err(failed)?;
    for pid in pids {
        for thread in numbers_in(Path::new(&format!("/proc/{pid}/task"))) {
            // Gone since: then it runs nowhere.
            let Some(thread) = i32::try_from(thread).ok().and_then(Pid::from_raw) else { continue };
            let _ = sched_setaffinity(Some(thread), &set);
        }
    }
    Ok(())
}

/// The processors that this thread may use.
pub fn processors() -> Outcome<CpuSet> {
    sched_getaffinity(None).map_err(|error| format!("sched_getaffinity: {error}"))
}

fn numbers_in(directory: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// The time that a process has had on processors, all its threads together. A thread that ended is left out.
pub fn cpu_time(pid: u32) -> Duration {
    let threads = numbers_in(Path::new(&format!("/proc/{pid}/task")));
    threads.iter().map(|thread| on_processor(&format!("/proc/{pid}/task/{thread}/schedstat"))).sum()
}

fn on_processor(path: &str) -> Duration {
    let text = fs::read_to_string(path).unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(0))
}

/// The memory of a process that is in RAM, in KiB.
pub fn resident_kib(pid: u32) -> Outcome<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).map_err(|error| format!("process {pid}: {error}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).ok_or(format!("process {pid} has no VmRSS"))
}

/// Who used the processors while something was measured.
pub struct Watch {
    began: Instant,
    busy: Duration,
    known: Duration,
}

impl Watch {
    /// Begins to watch. Ours are these processes and this one; the kernel's own threads are the disk's and the network's.
    pub fn start(ours: &[u32]) -> Watch {
        Watch { began: Instant::now(), busy: busy(), known: known(ours) }
    }

    /// What others used since, in processors: 0.5 is half of one all the time. What the hypervisor took is others', too.
    pub fn foreign(&self, ours: &[u32]) -> f64 {
        let busy = busy().saturating_sub(self.busy).as_secs_f64();
        let known = known(ours).saturating_sub(self.known).as_secs_f64();
        ((busy - known) / self.began.elapsed().as_secs_f64()).max(0.0)
    }
}

/// User, nice, system and stolen time of all processors.
fn busy() -> Duration {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let fields: Vec<u32> = line.split_whitespace().skip(1).filter_map(|field| field.parse().ok()).collect();
    [0, 1, 2, 7].iter().filter_map(|at| fields.get(*at)).map(|ticks| TICK * *ticks).sum()
}

fn known(ours: &[u32]) -> Duration {
    let own = cpu_time(std::process::id()) + waited_for() + ours.iter().map(|pid| cpu_time(*pid)).sum::<Duration>();
    let threads = numbers_in(Path::new("/proc")).into_iter().filter(|pid| is_kernel_thread(*pid));
    own + threads.map(|pid| on_processor(&format!("/proc/{pid}/schedstat"))).sum::<Duration>()
}

/// The time of the programs that this one has started and waited for.
fn waited_for() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = [13, 14].iter().filter_map(|at| after.get(*at)?.parse::<u32>().ok());
    ticks.map(|ticks| TICK * ticks).sum()
}

fn is_kernel_thread(pid: u32) -> bool {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // After the name, which may hold anything: state, parent, group, session, terminal, its group, flags.
    let after = text.rsplit(')').next().unwrap_or_default();
    let flags: Option<u64> = after.split_whitespace().nth(6).and_then(|flags| flags.parse().ok());
    flags.is_some_and(|flags| flags & PF_KTHREAD != 0)
}
