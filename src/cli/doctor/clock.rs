//! What keeps the machine's clock right. Whether it is right the kernel tells, through the daemon.

use crate::cli::doctor::proc;
use crate::wire::doctor::{Finding, Level};
use std::collections::BTreeSet;

/// Programs that keep a clock, by the names of their processes, which the kernel cuts at 15 bytes; and where to look then.
const KEEPERS: [(&str, &str, &str); 5] = [
    ("systemd-timesyn", "systemd-timesyncd", "timedatectl timesync-status"),
    ("chronyd", "chronyd", "chronyc tracking"),
    ("ntpd", "ntpd", "ntpq -p"),
    ("ntp-daemon", "ntpd-rs", "ntp-ctl status"),
    ("phc2sys", "phc2sys", "its log"),
];

/// Looks for who keeps the clock, and adds that to what the daemon said of it.
pub fn look(findings: &mut [Finding]) -> Finding {
    let running = proc::names();
    let keepers: Vec<_> = KEEPERS.iter().filter(|(process, ..)| running.contains(*process)).collect();
    let is_off = |finding: &&mut Finding| finding.check == "clock.synchronised" && finding.level == Level::Warn;
    if let (Some(finding), [(_, name, place)]) = (findings.iter_mut().find(is_off), &keepers[..]) {
        finding.help = format!("{name} runs, but has not set it or not for long: see {place}");
    }
    let names: BTreeSet<&str> = keepers.iter().map(|(_, name, _)| *name).collect();
    keeper(&names.into_iter().collect::<Vec<_>>())
}

fn keeper(names: &[&str]) -> Finding {
    match names {
        [] => {
            Finding::ok("clock.keeper", "no time service is known here: what keeps the clock, if anything, is outside")
        }
        [name] => Finding::ok("clock.keeper", format!("{name} keeps the clock")),
        several => Finding::warn(
            "clock.keeper",
            format!("{} run at the same time: each sets the clock against the others", several.join(" and ")),
            "stop all but one, and keep it from being started at boot",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_who_keep_a_clock_are_one_too_many() {
        let level = |names: &[&str]| keeper(names).level;
        assert_eq!([level(&[]), level(&["chronyd"]), level(&["chronyd", "ntpd"])], [Level::Ok, Level::Ok, Level::Warn]);
    }
}
