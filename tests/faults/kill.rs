//! `kill -9` in the middle of everything, again and again: it comes back, and nothing that it ever said was untrue. A
//! killed process leaves what it wrote to the kernel, so this says nothing about a power cut.

use crate::run::Run;
use crate::support::Daemon;
use crate::support::signers::{Control, Log, Place, sign_until_over};
use crate::vaults::{Admin, Original};
use crate::witness::Witness;
use serde_json::{Value, json};
use std::thread;
use std::time::Duration;

/// Connections, half over TCP and half over the Unix socket.
const CONNECTIONS: usize = 16;
/// Rounds on one vault: its ledger grows with each, and every unlock reads all of it.
const ROUNDS_PER_VAULT: usize = 40;
/// Rounds between two comparisons of everything with what the witness remembers; the last of a vault is among them.
const ROUNDS_PER_COMPARISON: usize = 10;

/// T66.
pub fn t66_what_was_acknowledged_survives_a_kill(run: &mut Run) {
    let original = Original::new();
    let (mut signatures, mut changes) = (0, 0);
    while run.done() < run.rounds {
        let vault = original.copy();
        let mut witness = Witness::default();
        let rounds = ROUNDS_PER_VAULT.min(run.rounds - run.done());
        for number in 0..rounds {
            let name = format!("round {}", run.done());
            run.round(name, |random| {
                let daemon = vault.serve();
                open_and_verify(&daemon, &original);
                let life = Duration::from_millis(random.between(1, 300));
                die_in_the_middle(daemon, &original.token, number, life, &mut witness);
                let is_last = number + 1 == rounds;
                if !is_last && (number + 1) % ROUNDS_PER_COMPARISON != 0 {
                    return Vec::new();
                }
                let daemon = vault.serve();
                open_and_verify(&daemon, &original);
                witness.what_is_wrong(&daemon)
            });
        }
        signatures += witness.signatures();
        changes += witness.added.len() + witness.revoked.len();
    }
    run.note(format!("{signatures} signatures and {changes} changes by an admin acknowledged"));
    run.require(signatures > run.rounds && changes > run.rounds / 4, "killed too early to mean anything");
}

fn open_and_verify(daemon: &Daemon<'_>, original: &Original) {
    let admin = Admin::of(daemon);
    admin.unlock(&original.key).ok();
    admin.verify().ok();
}

/// Signs, adds bots and revokes every other of them until the daemon is killed after `life`.
fn die_in_the_middle(daemon: Daemon<'_>, token: &str, round: usize, life: Duration, witness: &mut Witness) {
    let (place, control, admin) = (Place::of(&daemon), Control::default(), Admin::of(&daemon));
    thread::scope(|scope| {
        let (place, control) = (&place, &control);
        let signers: Vec<_> = (0..CONNECTIONS)
            .map(|number| scope.spawn(move || sign_until_over(place, token, round, number, control)))
            .collect();
        let changing = scope.spawn(move || change_until_over(&admin, round));
        thread::sleep(life);
        daemon.kill();
        let changed = changing.join().expect("an admin");
        witness.added.extend(changed.added);
        witness.asked_to_revoke.extend(changed.asked_to_revoke);
        witness.revoked.extend(changed.revoked);
        for Log { sent, .. } in signers.into_iter().map(|signer| signer.join().expect("a signer")) {
            for sent in &sent {
                assert_eq!(sent.response.status, 200, "{:?}", sent.response);
            }
            witness.sent.extend(sent);
        }
    });
}

fn change_until_over(admin: &Admin, round: usize) -> Witness {
    let mut changed = Witness::default();
    let succeeds = |method, path: &str, body: Option<&Value>| {
        admin.try_ask(method, path, body).is_ok_and(|answer| {
            assert_eq!(answer.status, 200, "{answer:?}");
            true
        })
    };
    for number in 0.. {
        let name = format!("r{round}bot{number}");
        if !succeeds("POST", "/v1/bots", Some(&json!({ "name": name, "credentials": ["main"] }))) {
            break;
        }
        changed.added.insert(name.clone());
        if number % 2 == 1 {
            changed.asked_to_revoke.insert(name.clone());
            if !succeeds("POST", &format!("/v1/bots/{name}/revoke"), None) {
                break;
            }
            changed.revoked.insert(name);
        }
    }
    changed
}
