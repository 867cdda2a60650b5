//! `kill -9` in the middle of signing, again and again: it comes back, and nothing that it ever said was untrue. A killed
//! process leaves what it wrote to the kernel, so this says nothing about a power cut.

use crate::support::signers::{Control, Place, Sent, compare_with_ledger, sign_until_over, verified_ledger};
use crate::support::{Daemon, Vault};
use serde_json::json;
use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

const SIGNERS: usize = 4;
/// How often the daemon is killed.
const ROUNDS: usize = 200;
/// Rounds between two comparisons of everything with what the witness remembers; the last round is among them.
const CHECK_EVERY: usize = 20;

/// What was acknowledged, as an outside witness remembers it.
#[derive(Default)]
struct Witness {
    signed: Vec<Sent>,
    bots: BTreeSet<String>,
}

/// Signs and adds bots until the daemon is killed after `life`.
fn die_in_the_middle(daemon: Daemon<'_>, token: &str, round: usize, life: Duration, witness: &mut Witness) {
    let (place, control) = (Place::of(&daemon), Control::default());
    let mut admin = daemon.admin();
    thread::scope(|scope| {
        let (place, control) = (&place, &control);
        let signers: Vec<_> = (0..SIGNERS)
            .map(|number| scope.spawn(move || sign_until_over(place, token, round, number, control)))
            .collect();
        let adding = scope.spawn(move || {
            let name = format!("bot{round}");
            let body = json!({ "name": name, "credentials": ["main"] }).to_string();
            let answer = admin.try_request("POST", "/v1/bots", None, Some(&body));
            answer.ok().filter(|answer| answer.status == 200).map(|_| name)
        });
        thread::sleep(life);
        daemon.kill();
        witness.bots.extend(adding.join().expect("an admin"));
        for log in signers.into_iter().map(|signer| signer.join().expect("a signer")) {
            assert!(log.sent.iter().all(|sent| sent.response.status == 200), "round {round}");
            witness.signed.extend(log.sent);
        }
    });
}

/// What was acknowledged and is not there, or not as it was said.
fn what_is_wrong(daemon: &Daemon<'_>, witness: &Witness) -> Vec<String> {
    let (_, mut wrong) = compare_with_ledger(&witness.signed, &verified_ledger(daemon));
    let listed = daemon.run(&["bot", "list", "--json"], "").json();
    let listed = listed.as_array().expect("a list").iter().filter_map(|bot| bot["name"].as_str());
    let listed: BTreeSet<&str> = listed.collect();
    let lost = witness.bots.iter().filter(|name| !listed.contains(name.as_str()));
    wrong.extend(lost.map(|name| format!("the bot {name} is gone")));
    wrong
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are for whoever runs it with --nocapture")]
fn what_was_acknowledged_survives_two_hundred_kills() {
    let began = Instant::now();
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read", "trade"]);
    let key = vault.dir().join("key").to_str().expect("UTF-8").to_owned();
    daemon.run(&["slot", "add", "key-file", &key], "").ok();
    assert_eq!(daemon.terminate(), 0);
    let (mut witness, mut failures) = (Witness::default(), Vec::new());
    for round in 0..=ROUNDS {
        let daemon = vault.serve();
        for command in [&["unlock", "--key-file", &key][..], &["audit", "verify"]] {
            let answer = daemon.run(command, "");
            if answer.code != 0 {
                failures.push(format!("round {round}: {command:?}: {}", answer.stderr));
            }
        }
        if round % CHECK_EVERY == 0 {
            failures.extend(what_is_wrong(&daemon, &witness));
        }
        if round < ROUNDS {
            // From before the first answer until some dozens in.
            let life = Duration::from_micros(500 + (round as u64 * 7919) % 30_000);
            die_in_the_middle(daemon, &token, round, life, &mut witness);
        }
    }
    let (signed, bots, failed) = (witness.signed.len(), witness.bots.len(), failures.len());
    println!(
        "{ROUNDS} rounds, {signed} signatures and {bots} bots acknowledged, {failed} failures, in {:?}",
        began.elapsed()
    );
    assert!(failures.is_empty(), "{failures:?}");
    assert!(signed > ROUNDS && bots > ROUNDS / 4, "killed too early to mean anything");
}
