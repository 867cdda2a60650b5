//! The daemon: whether it answers, what it says of itself, and what it finds.

use crate::cli::connect::{Admin, ConnectError};
use crate::cli::doctor::proc;
use crate::cli::report::with_causes;
use crate::config::Config;
use crate::store::file::Paths;
use crate::vault::doctor::disk;
use crate::wire::doctor::{Diagnosis, Finding};
use serde_json::Value;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// How long the daemon may take to say how it is: it waits for nobody.
const STATUS_PATIENCE: Duration = Duration::from_secs(5);
/// How long it may look at itself.
const DOCTOR_PATIENCE: Duration = Duration::from_secs(30);

/// A daemon that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its process id, when the process can be seen from here.
    pub pid: Option<u32>,
    /// The user that it runs as, when that is known.
    pub uid: Option<u32>,
    /// Where it listens for bots.
    pub listen: Option<SocketAddr>,
}

impl Running {
    fn of(status: &Value) -> Running {
        let pid = status["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok());
        let pid = pid.filter(|pid| is_a_daemon(*pid));
        let listen = status["listen"].as_str().and_then(|listen| listen.parse().ok());
        Running { pid, uid: pid.and_then(proc::user), listen }
    }
}

/// Whether the process of this number can be the daemon: in a container the same number is another process's. It has this
/// program's usual name, or the one that it goes by here.
pub fn is_a_daemon(pid: u32) -> bool {
    let own = proc::name(std::process::id());
    proc::name(pid).is_some_and(|name| name == "signvault" || Some(name) == own)
}

/// Asks the daemon, and says what there is to say without one.
pub fn look(config: &Config) -> (Option<Running>, Vec<Finding>) {
    let admin = Admin::at(&config.admin_socket());
    let status: Value = match admin.clone().waiting_at_most(STATUS_PATIENCE).get("/v1/status") {
        Ok(status) => status,
        Err(error) => return (None, without(config, &error)),
    };
    let mut findings = vec![Finding::ok("daemon.answers", "the daemon answers"), version(&status)];
    findings.extend(hardening(&status));
    match admin.waiting_at_most(DOCTOR_PATIENCE).get::<Diagnosis>("/v1/doctor") {
        Ok(diagnosis) => findings.extend(diagnosis.findings),
        Err(error) => {
            let help = "try again; `signvault status` and the daemon's log say how it is";
            let what = format!("the daemon could not look at itself: {}", with_causes(&error));
            findings.push(Finding::fail("daemon.doctor", what, help));
            findings.extend(space(config));
        }
    }
    (Some(Running::of(&status)), findings)
}

fn without(config: &Config, error: &ConnectError) -> Vec<Finding> {
    let place = config.admin_socket().display().to_string();
    let answers = match error {
        ConnectError::Unreachable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Finding::skip(
            "daemon.answers",
            format!("this user may not use {place}"),
            "run this as root or the daemon's user",
        ),
        ConnectError::Refused(_) => Finding::skip(
            "daemon.answers",
            "this user may not administer the daemon",
            "run this as root or the daemon's user",
        ),
        ConnectError::Unreachable { .. } => Finding::fail(
            "daemon.answers",
            format!("no daemon answers at {place}"),
            "start it: systemctl start signvault, or signvault serve; its log says why it ended",
        ),
        error => Finding::fail("daemon.answers", with_causes(error), error.help()),
    };
    let unknown = Finding::skip(
        "vault.contents",
        "slots, backups, credentials, bots, policies and the clock can't be looked at without the daemon",
        "",
    );
    let mut findings = vec![answers, unknown];
    findings.extend(space(config));
    findings
}

fn space(config: &Config) -> Vec<Finding> {
    let paths = Paths { state_dir: config.state_dir.clone(), anchor_dir: config.anchor_dir.clone() };
    disk(&paths, config.low_space_mib.saturating_mul(1024 * 1024))
}

fn version(status: &Value) -> Finding {
    let own = env!("CARGO_PKG_VERSION");
    match status["version"].as_str() {
        Some(version) if version == own => Finding::ok("daemon.version", format!("the daemon is version {version}")),
        version => Finding::warn(
            "daemon.version",
            format!("the daemon is version {}, and this command {own}", version.unwrap_or("unknown")),
            "restart the daemon after an upgrade, and unlock it",
        ),
    }
}

/// What the daemon says of its own protection, item by item, or in words where it has no items.
fn hardening(status: &Value) -> Vec<Finding> {
    let help = "see the start of the daemon's log; the shipped unit and a recent kernel give all of it";
    let found = |what: String| Finding::warn("daemon.hardening", what, help);
    let items = status["hardening"].as_array().map(Vec::as_slice).unwrap_or_default();
    let missing = items.iter().filter(|item| item["holds"] == false);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut findings: Vec<Finding> =
        missing.map(|item| found(format!("{}: {}", text(&item["item"]), text(&item["detail"])))).collect();
    if findings.is_empty() {
        let degraded = status["degraded"].as_array().map(Vec::as_slice).unwrap_or_default();
        findings.extend(degraded.iter().map(|words| found(text(words))));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("daemon.hardening", "the daemon is protected in every way that it knows"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn said(status: Value) -> Vec<String> {
        hardening(&status).into_iter().map(|finding| format!("{} {}", finding.level.as_str(), finding.what)).collect()
    }

    #[test]
    fn hardening_is_told_by_item_or_in_words() {
        let well = "ok the daemon is protected in every way that it knows";
        assert_eq!(said(json!({})), [well]);
        assert_eq!(said(json!({ "degraded": ["no memfd_secret"] })), ["warn no memfd_secret"]);
        let items = json!([{ "item": "seccomp", "holds": true, "detail": "" }]);
        assert_eq!(said(json!({ "hardening": items, "degraded": [] })), [well]);
        let items = json!([{ "item": "landlock", "holds": false, "detail": "the kernel has none" }]);
        assert_eq!(said(json!({ "hardening": items, "degraded": ["x"] })), ["warn landlock: the kernel has none"]);
    }
}
