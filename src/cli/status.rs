//! `status`: what the daemon says about itself.

use crate::cli::context::Context;
use crate::cli::report::{Failure, Paint};
use crate::cli::table::pairs;
use crate::wire::Status;

/// Shows the status. A locked vault is no failure.
pub fn run(context: &Context) -> Result<(), Failure> {
    let status: Status = context.admin().get("/v1/status")?;
    context.report.data(&status, |status| words(status, context.report.out))?;
    context.report.warnings(&status.warnings);
    Ok(())
}

fn words(status: &Status, paint: Paint) -> String {
    let state = match status.state.as_str() {
        "unlocked" => paint.good("unlocked"),
        other => paint.strong(other),
    };
    let known = |number: Option<u64>| number.map(|number| number.to_string()).unwrap_or_default();
    let counted = |number: Option<usize>| number.map(|number| number.to_string()).unwrap_or_default();
    let lines = pairs(&[
        ("credentials", counted(status.credentials)),
        ("bots", counted(status.bots)),
        ("mode", status.mode.map(|mode| mode.to_string()).unwrap_or_default()),
        ("state version", known(status.state_version)),
        ("audit sequence", known(status.audit_sequence)),
        ("audit head", status.audit_head.clone().unwrap_or_default()),
        ("rows verified", backlog(status)),
        ("locked because", status.locked_because.clone().unwrap_or_default()),
        ("bots' address", status.listen.clone()),
        ("bots' socket", status.sign_socket.clone()),
        ("admin socket", status.admin_socket.clone()),
        ("daemon", format!("version {}, process {}", status.version, status.pid)),
        ("memory", status.memory.clone()),
        ("hardening", hardening(status)),
        ("degraded", status.degraded.join("; ")),
    ]);
    format!("{state}\n{lines}")
}

/// The items that hold; the others are what is degraded.
fn hardening(status: &Status) -> String {
    let held: Vec<_> = status.hardening.iter().filter(|item| item.holds).map(|item| item.item.as_str()).collect();
    held.join(", ")
}

/// What of the ledger was verified so far, as long as that is not all.
fn backlog(status: &Status) -> String {
    match (status.audit_verified_from, status.audit_backlog) {
        (Some(from), Some(left)) if left > 0 => format!("from {from} on; {left} older rows are being verified"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locked_vault_shows_nothing_that_is_not_known() {
        let status = Status {
            state: "locked".into(),
            version: "0.1.0".into(),
            pid: 7,
            listen: "127.0.0.1:8731".into(),
            sign_socket: "/r/sign.sock".into(),
            admin_socket: "/r/admin.sock".into(),
            state_version: None,
            audit_sequence: None,
            audit_head: None,
            audit_verified_from: None,
            audit_backlog: None,
            locked_because: None,
            credentials: None,
            bots: None,
            mode: None,
            memory: "secret".into(),
            degraded: vec![],
            hardening: vec![],
            warnings: vec![],
        };
        let words = words(&status, Paint { on: false });
        assert!(words.starts_with("locked\nbots' address: 127.0.0.1:8731\n"), "{words}");
        assert!(!words.contains("audit") && !words.contains("degraded"), "{words}");
    }
}
