//! The power fails. Everything that a daemon does to its files under load is written down; then the disk is put together
//! again as a power cut at this or that moment could have left it, with what was not synced lost, cut short or
//! reordered, and the daemon is started over it: it must unlock, its ledger must follow, and whatever had been
//! acknowledged before the cut must be there.

mod disk;
mod recording;

use crate::power::disk::{Disk, Files, Loss};
use crate::power::recording::Call;
use crate::run::Run;
use crate::support::http::Response;
use crate::support::signers::{ORDER, Place, Sent};
use crate::support::{Daemon, PASSWORD, Vault};
use crate::trace::{finished_log, serve_traced};
use crate::vaults::{Admin, Original, password};
use crate::witness::{Witness, told};
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Who signs during the recording, each over its own connection.
const SIGNERS: usize = 4;
/// The password from the middle of the recording on.
const NEW_PASSWORD: &str = "horse battery correct";
/// The password that comes with a new vault key, near the end.
const NEWEST_PASSWORD: &str = "staple horse correct";
/// Cuts between the old and the new password, which cost password hashes.
const CUTS_AROUND_THE_PASSWORD: usize = 6;

/// Something that was acknowledged, and when: microseconds since 1970.
struct Acknowledged {
    at_us: u64,
    what: What,
}

enum What {
    Signed(String, Response),
    Added(String),
    Revoked(String),
    PasswordChanged,
    KeyRotated,
    UnlockFailed,
    Unlocked,
}

/// A day of a vault, as its disk and its users saw it.
struct Recording {
    before: Files,
    calls: Vec<Call>,
    acknowledged: Vec<Acknowledged>,
    /// From when on the new password may hold.
    password_asked_us: u64,
    /// From when on the vault key may be another, which the key file does not open.
    rotation_asked_us: u64,
}

/// T78. A round is one power cut.
pub fn t78_what_was_acknowledged_survives_a_power_cut(run: &mut Run) {
    let original = Original::new();
    let vault = original.copy();
    let recording = record(&original, &vault);
    let last = recording.calls.len();
    let mut disk = Disk::with(recording.before.clone());
    let (mut done, mut cut_short) = (0, 0);
    for round in 0..run.rounds {
        // Evenly spread, each at a random call of its share.
        let share = (round * last / run.rounds, (round + 1) * last / run.rounds);
        let at = run.random.between(share.0 as u64, share.1 as u64) as usize;
        recording.calls[done.min(at)..at].iter().for_each(|call| call.replay(&mut disk));
        done = done.max(at);
        let loss = Loss::KINDS[round % Loss::KINDS.len()];
        run.round(format!("cut after call {done} of {last}, lost: {loss:?}"), |random| {
            let files = disk.after_a_cut(loss, random);
            cut_short += usize::from(files != disk.after_a_cut(Loss::None, random));
            recording.what_is_wrong_after(done, &files, &vault, &original)
        });
    }
    passwords(run, &recording, &vault);
    controls(run, &recording, &vault, &original);
    let acknowledged = recording.acknowledged.len();
    run.note(format!("{last} calls recorded, {acknowledged} answers, {cut_short} cuts lost something"));
    run.require(last > 500 && acknowledged > 100 && cut_short > run.rounds / 10, "too little was at stake");
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_micros() as u64
}

/// A day under strace.
fn record(original: &Original, vault: &Vault) -> Recording {
    let before = files_of_vault(vault);
    let daemon = vault.serve_by(serve_traced(vault, &recording::OPTIONS.map(str::to_owned)));
    let mut acknowledged = Vec::new();
    let wrong = json!({ "secret": { "key_file": "A".repeat(43) + "=" } });
    assert_eq!(Admin::of(&daemon).ask("POST", "/v1/unlock", Some(&wrong)).status, 403);
    acknowledged.push(Acknowledged { at_us: now_us(), what: What::UnlockFailed });
    unlock(&daemon, original, &mut acknowledged);
    let over = AtomicBool::new(false);
    let place = Place::of(&daemon);
    let (password_asked_us, rotation_asked_us) = thread::scope(|scope| {
        let (place, over, token) = (&place, &over, original.token.as_str());
        let signers: Vec<_> =
            (0..SIGNERS).map(|number| scope.spawn(move || sign_now_and_then(place, token, number, over))).collect();
        let asked = change(&daemon, original, &mut acknowledged);
        over.store(true, Ordering::Relaxed);
        acknowledged.extend(signers.into_iter().flat_map(|signer| signer.join().expect("a signer")));
        asked
    });
    assert_eq!(daemon.terminate(), 0);
    let mut calls = recording::read(&finished_log(vault));
    calls.retain(|call| [vault.state_dir(), vault.anchor_dir()].iter().any(|dir| call.is_about_a_file_in(dir)));
    acknowledged.sort_by_key(|told| told.at_us);
    Recording { before, calls, acknowledged, password_asked_us, rotation_asked_us }
}

/// What an admin does on that day: bots are added and revoked, the password changes, it is backed up, locked and unlocked,
/// nothing old enough is pruned, and the vault key changes. Returns when the password's and the key's change were asked for.
fn change(daemon: &Daemon<'_>, original: &Original, acknowledged: &mut Vec<Acknowledged>) -> (u64, u64) {
    let admin = Admin::of(daemon);
    add_and_revoke(&admin, "before", acknowledged);
    let asked_us = now_us();
    daemon.run(&["password", "change", "--stdin"], &format!("{PASSWORD}\n{NEW_PASSWORD}\n")).ok();
    acknowledged.push(Acknowledged { at_us: now_us(), what: What::PasswordChanged });
    add_and_revoke(&admin, "after", acknowledged);
    let backup = daemon.vault.dir().join("backup");
    daemon.run(&["backup", backup.to_str().expect("UTF-8")], "").ok();
    // Long enough for the work of every second.
    thread::sleep(Duration::from_millis(1200));
    admin.ask("POST", "/v1/lock", None).ok();
    unlock(daemon, original, acknowledged);
    add_and_revoke(&admin, "again", acknowledged);
    daemon.run(&["audit", "prune", "--before", "8d"], "").ok();
    let rotation_asked_us = now_us();
    let passwords = format!("{NEW_PASSWORD}\n{NEWEST_PASSWORD}\n");
    daemon.run(&["password", "change", "--stdin", "--rotate-key"], &passwords).ok();
    acknowledged.push(Acknowledged { at_us: now_us(), what: What::KeyRotated });
    add_and_revoke(&admin, "rotated", acknowledged);
    (asked_us, rotation_asked_us)
}

fn unlock(daemon: &Daemon<'_>, original: &Original, acknowledged: &mut Vec<Acknowledged>) {
    Admin::of(daemon).unlock(&original.key).ok();
    acknowledged.push(Acknowledged { at_us: now_us(), what: What::Unlocked });
}

fn add_and_revoke(admin: &Admin, name: &str, acknowledged: &mut Vec<Acknowledged>) {
    for number in 0..4 {
        thread::sleep(Duration::from_millis(60));
        let name = format!("{name}{number}");
        admin.ask("POST", "/v1/bots", Some(&json!({ "name": name, "credentials": ["main"] }))).ok();
        acknowledged.push(Acknowledged { at_us: now_us(), what: What::Added(name.clone()) });
        if is_to_be_revoked(&name) {
            admin.ask("POST", &format!("/v1/bots/{name}/revoke"), None).ok();
            acknowledged.push(Acknowledged { at_us: now_us(), what: What::Revoked(name) });
        }
    }
}

fn is_to_be_revoked(name: &str) -> bool {
    name.ends_with(['1', '3'])
}

/// Signs until it is over, with a little rest: what is recorded is read again byte by byte.
fn sign_now_and_then(place: &Place, token: &str, number: usize, over: &AtomicBool) -> Vec<Acknowledged> {
    let mut acknowledged = Vec::new();
    let mut connection = place.connect(number).expect("connected");
    for count in 0.. {
        if over.load(Ordering::Relaxed) {
            break;
        }
        let body = format!(r#"{{"instId":"BTC-USDT","clOrdId":"n{number}c{count}"}}"#);
        let response = connection.sign(token, "main", "POST", ORDER, Some(&body));
        match response.status {
            200 => acknowledged.push(Acknowledged { at_us: now_us(), what: What::Signed(body, response) }),
            423 => (),
            _ => panic!("{response:?}"),
        }
        thread::sleep(Duration::from_millis(12));
    }
    acknowledged
}

/// The files in a vault's directories.
fn files_of_vault(vault: &Vault) -> Files {
    let directories = [vault.state_dir(), vault.anchor_dir()];
    let entries = directories.iter().flat_map(|directory| std::fs::read_dir(directory).expect("readable").flatten());
    entries.map(|entry| (entry.path(), std::fs::read(entry.path()).expect("readable"))).collect()
}

/// A vault with these files, which were recorded in another.
fn vault_of(files: &Files, recorded: &Vault) -> Vault {
    let vault = Vault::nowhere();
    for directory in [vault.state_dir(), vault.anchor_dir()] {
        std::fs::create_dir(&directory).expect("made");
        std::fs::set_permissions(&directory, std::fs::Permissions::from_mode(0o700)).expect("narrowed");
    }
    for (name, content) in files {
        let inside = name.strip_prefix(recorded.dir()).expect("of the recording");
        std::fs::write(vault.dir().join(inside), content).expect("written");
    }
    vault
}

impl Recording {
    /// When the first call began that a cut after so many calls has lost: what was acknowledged before that, all of
    /// whose calls had ended, must hold.
    fn moment_of(&self, calls: usize) -> u64 {
        self.calls.get(calls).map_or(u64::MAX, |call| call.began_us)
    }

    fn acknowledged_before(&self, moment_us: u64) -> impl Iterator<Item = &What> {
        self.acknowledged.iter().take_while(move |told| told.at_us < moment_us).map(|told| &told.what)
    }

    /// The witness of that moment.
    fn witness(&self, moment_us: u64) -> Witness {
        let mut witness = Witness::default();
        for told in &self.acknowledged {
            if let What::Added(name) = &told.what
                && is_to_be_revoked(name)
            {
                witness.asked_to_revoke.insert(name.clone());
            }
        }
        for what in self.acknowledged_before(moment_us) {
            match what {
                What::Signed(body, response) => {
                    let sent = Sent { at: Instant::now(), body: body.clone(), response: response.clone() };
                    witness.sent.push(sent);
                }
                What::Added(name) => drop(witness.added.insert(name.clone())),
                What::Revoked(name) => drop(witness.revoked.insert(name.clone())),
                What::PasswordChanged | What::KeyRotated | What::UnlockFailed | What::Unlocked => (),
            }
        }
        witness
    }

    fn what_is_wrong_after(&self, calls: usize, files: &Files, recorded: &Vault, original: &Original) -> Vec<String> {
        let moment_us = self.moment_of(calls);
        let vault = vault_of(files, recorded);
        let mut wrong: Vec<String> = self.forgotten_attempt(moment_us, &vault).into_iter().collect();
        let daemon = vault.serve();
        let admin = Admin::of(&daemon);
        let answer = self.unlocked(&admin, moment_us, original);
        if answer.status != 200 {
            wrong.push(format!("it does not unlock: {}", told(&answer)));
            return wrong;
        }
        admin.verify().ok();
        wrong.extend(self.witness(moment_us).what_is_wrong(&daemon));
        wrong
    }

    /// Opens it with what must open at that moment: the key file, or the newest password once the vault key is another.
    /// While that is on its way either may.
    fn unlocked(&self, admin: &Admin, moment_us: u64, original: &Original) -> Response {
        let is_rotated = self.acknowledged_before(moment_us).any(|what| matches!(what, What::KeyRotated));
        let newest = json!({ "password": NEWEST_PASSWORD });
        if is_rotated {
            return admin.unlock(&newest);
        }
        let answer = admin.unlock(&original.key);
        match answer.status == 403 && moment_us > self.rotation_asked_us {
            true => admin.unlock(&newest),
            false => answer,
        }
    }

    /// A failed unlock that was answered, and after which none succeeded, is still counted.
    fn forgotten_attempt(&self, moment_us: u64, vault: &Vault) -> Option<String> {
        let failed = self.acknowledged_before(moment_us).any(|what| matches!(what, What::UnlockFailed));
        let asked_again = self.acknowledged.iter().find(|told| matches!(told.what, What::Unlocked));
        // The next unlock begins a second after the failed one, for so long is the wait.
        let waited = asked_again.is_none_or(|told| moment_us < told.at_us.saturating_sub(500_000));
        let count = std::fs::read(vault.state_dir().join("attempts")).ok();
        let count = count.and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok()?["failed"].as_u64());
        (failed && waited && count != Some(1)).then(|| format!("a failed unlock counts as {count:?}"))
    }
}

/// Around the change of the password: one of the two opens and the other does not; the new one once that was said.
fn passwords(run: &mut Run, recording: &Recording, recorded: &Vault) {
    let changed = recording.acknowledged.iter().find(|told| matches!(told.what, What::PasswordChanged));
    let changed_us = changed.expect("it was changed").at_us;
    let began = |moment_us: u64| recording.calls.iter().take_while(|call| call.began_us < moment_us).count();
    let (first, after) = (began(recording.password_asked_us), began(changed_us) + 1);
    let mut both = [0, 0];
    for round in 0..CUTS_AROUND_THE_PASSWORD {
        // The change itself is among the last calls before the answer.
        let at = after - (after - first) * round / (4 * CUTS_AROUND_THE_PASSWORD);
        run.round(format!("cut after call {at}, around the change of the password"), |random| {
            let mut disk = Disk::with(recording.before.clone());
            recording.calls[..at].iter().for_each(|call| call.replay(&mut disk));
            let vault = vault_of(&disk.after_a_cut(Loss::Pieces(512), random), recorded);
            let daemon = vault.serve();
            let opens = |secret: &Value| Admin::of(&daemon).unlock(secret).status;
            let (new, old) = (opens(&json!({ "password": NEW_PASSWORD })), opens(&password()));
            both[0] += usize::from(new == 200);
            both[1] += usize::from(old == 200);
            let is_said = recording.moment_of(at) > changed_us;
            let holds = matches!((new, old), (200, 403)) || (!is_said && matches!((new, old), (403, 200)));
            if holds { Vec::new() } else { vec![format!("new password: {new}, old password: {old}")] }
        });
    }
    run.note(format!("around the change the new password opened {} times, the old one {} times", both[0], both[1]));
}

/// What a disk that lies leaves: writes to the database that were synced are gone, the anchor is not. If nobody noticed
/// that, nothing here would mean anything.
fn controls(run: &mut Run, recording: &Recording, recorded: &Vault, original: &Original) {
    // Until the vault key changes: after that an older database opens with nothing that the newest one opens with.
    let last = recording.calls.iter().take_while(|call| call.began_us < recording.rotation_asked_us).count();
    let mut refused = 0;
    let of_anchor = |name: &Path| name.starts_with(recorded.anchor_dir());
    for (lost, total) in [(1, 8), (1, 4), (1, 2), (3, 4)] {
        let kept = last - last * lost / total;
        run.round(format!("control: synced writes after call {kept} of {last} are gone"), |random| {
            let mut disk = Disk::with(recording.before.clone());
            recording.calls[..kept].iter().for_each(|call| call.replay(&mut disk));
            let mut files = disk.after_a_cut(Loss::None, random);
            recording.calls[kept..].iter().for_each(|call| call.replay(&mut disk));
            files.extend(disk.after_a_cut(Loss::None, random).into_iter().filter(|(name, _)| of_anchor(name)));
            let wrong = recording.what_is_wrong_after(last, &files, recorded, original);
            refused += usize::from(wrong.iter().any(|wrong| wrong.contains("vault.rollback_detected")));
            if wrong.is_empty() { vec!["nobody noticed".to_owned()] } else { Vec::new() }
        });
    }
    run.note(format!("of 4 disks that lied the vault refused {refused} as a rollback"));
    run.require(refused == 4, "a disk that lied was not taken for a rollback");
}
