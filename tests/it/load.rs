//! Many signatures in one run.

use crate::support::exchange::check_signature;
use crate::support::signers::{ORDER, Place, Sent, every_signature_has_its_row, verified_ledger};
use crate::support::{SECRET, Vault};
use std::thread;
use std::time::Instant;

const CONNECTIONS: usize = 16;
const EACH: usize = 625;

#[test]
#[expect(clippy::print_stdout, reason = "the figures are for whoever runs it with --nocapture")]
fn ten_thousand_signatures_all_verify_and_have_a_row_each() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read", "trade"]);
    let place = Place::of(&daemon);
    let began = Instant::now();
    let sent: Vec<Sent> = thread::scope(|scope| {
        let signers: Vec<_> = (0..CONNECTIONS)
            .map(|number| {
                let (place, token) = (&place, &token);
                scope.spawn(move || {
                    let mut connection = place.connect(number).expect("connected");
                    let one = |count| {
                        let body = format!(r#"{{"instId":"BTC-USDT","clOrdId":"n{number}c{count}"}}"#);
                        let at = Instant::now();
                        Sent { at, response: connection.sign(token, "main", "POST", ORDER, Some(&body)), body }
                    };
                    (0..EACH).map(one).collect::<Vec<Sent>>()
                })
            })
            .collect();
        signers.into_iter().flat_map(|signer| signer.join().expect("a signer")).collect()
    });
    println!("{} signatures in {:?}", sent.len(), began.elapsed());
    for sent in &sent {
        check_signature(&sent.response.ok(), SECRET, "POST", ORDER, &sent.body);
    }
    let ledger = verified_ledger(&daemon);
    assert_eq!(every_signature_has_its_row(&sent, &ledger), CONNECTIONS * EACH);
    assert_eq!(ledger.values().filter(|row| row["event"] == "sign").count(), CONNECTIONS * EACH);
}
