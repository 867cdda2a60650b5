//! Stopping under load: what was taken in is answered, the rest is closed, and the ledger says no more than the bots got.

use crate::support::Vault;
use crate::support::signers::{
    Control, Log, Place, Sent, every_signature_has_its_row, sign_until_over, verified_ledger,
};
use std::io::ErrorKind;
use std::thread;
use std::time::{Duration, Instant};

const SIGNERS: usize = 16;

#[test]
fn a_daemon_told_to_stop_answers_what_it_took_in_and_ends_well_and_soon() {
    let vault = Vault::new();
    let daemon = vault.serve_unlocked();
    daemon.add_credential("main");
    let token = daemon.add_bot("bob", "main", &["read", "trade"]);
    let (place, control) = (Place::of(&daemon), Control::default());
    // One that is connected and says nothing must not hold it up.
    let mut idle = [0, 1].map(|number| place.connect(number).expect("connected"));
    let logs: Vec<Log> = thread::scope(|scope| {
        let (place, control, token) = (&place, &control, &token);
        let signers: Vec<_> =
            (0..SIGNERS).map(|number| scope.spawn(move || sign_until_over(place, token, 0, number, control))).collect();
        control.wait_for_more(10 * SIGNERS);
        let told = Instant::now();
        assert_eq!(daemon.terminate(), 0);
        assert!(told.elapsed() < Duration::from_secs(6), "{:?}", told.elapsed());
        signers.into_iter().map(|signer| signer.join().expect("a signer")).collect()
    });
    assert!(idle.iter_mut().all(|connection| connection.is_closed()));
    for log in &logs {
        let ended = log.ended.as_ref().expect("the daemon is gone");
        let closed = [
            ErrorKind::UnexpectedEof,
            ErrorKind::BrokenPipe,
            ErrorKind::ConnectionReset,
            ErrorKind::ConnectionRefused,
            ErrorKind::NotFound,
        ];
        assert!(log.cleanly && closed.contains(&ended.kind()), "{ended:?}");
        assert!(log.sent.iter().all(|sent| sent.response.status == 200));
    }

    let daemon = vault.serve_unlocked();
    let ledger = verified_ledger(&daemon);
    let sent: Vec<&Sent> = logs.iter().flat_map(|log| &log.sent).collect();
    assert_eq!(every_signature_has_its_row(sent.iter().copied(), &ledger), sent.len());
    let allowed = ledger.values().filter(|row| row["decision"] == "allow").count();
    assert_eq!(allowed, sent.len(), "whoever has a row has an answer");
    let stopped = ledger.values().filter(|row| row["event"] == "lock" && row["why"] == "shutdown").count();
    assert_eq!(stopped, 1);
}
