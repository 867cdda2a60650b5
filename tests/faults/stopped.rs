//! The daemon is stopped, as a suspended machine or a debugger does, and goes on later. Whoever asked meanwhile and has
//! given up gets no signature and no row; whoever still waits gets none that is older than the wait for the ledger; and
//! the clocks, which went on, are no jump.

use crate::run::Run;
use crate::support::http::{Response, ask};
use crate::support::signal;
use crate::support::signers::{Control, ORDER, Place, sha256_hex, sign_until_over, verified_ledger};
use crate::vaults::{Admin, Original};
use crate::witness::{Witness, told};
use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// Who signs all the time.
const SIGNERS: usize = 8;
/// Who asks while it is stopped: as many that give up as that wait.
const ASKING: usize = 8;
/// How long a bot waits for its signature.
const DEADLINE: Duration = Duration::from_secs(2);
/// What an answer that was in time may be late on a busy machine.
const SLACK: Duration = Duration::from_millis(500);

/// T72. A round is one stop: 5 seconds in a short run, 60 in a full one.
pub fn t72_what_was_asked_before_a_stop_is_not_signed_after_it(run: &mut Run) {
    let original = Original::new();
    let pause = Duration::from_secs(if run.is_short { 5 } else { 60 });
    for number in 0..run.rounds {
        run.round(format!("stopped for {pause:?}"), |_| stop_for(&original, pause, number));
    }
}

fn stop_for(original: &Original, pause: Duration, number: usize) -> Vec<String> {
    let vault = original.copy();
    let daemon = vault.serve();
    Admin::of(&daemon).unlock(&original.key).ok();
    let (place, control, token) = (Place::of(&daemon), Control::default(), original.token.as_str());
    let mut wrong = Vec::new();
    let mut witness = Witness::default();
    thread::scope(|scope| {
        let (place, control) = (&place, &control);
        let signers: Vec<_> = (0..SIGNERS)
            .map(|signer| scope.spawn(move || sign_until_over(place, token, number, signer, control)))
            .collect();
        control.wait_for_more(50);
        signal(daemon.pid(), "STOP");
        // Connected before or after: the kernel takes both in.
        let patient: Vec<_> =
            (0..ASKING).map(|asking| scope.spawn(move || ask_and_wait(place, token, asking))).collect();
        let gone: Vec<io::Result<()>> = (0..ASKING).map(|asking| ask_and_leave(place, token, asking)).collect();
        assert!(gone.iter().all(Result::is_ok), "{gone:?}");
        thread::sleep(pause);
        signal(daemon.pid(), "CONT");
        for late in patient.into_iter().map(|asking| asking.join().expect("a bot")) {
            wrong.extend(signed_too_late(late));
        }
        control.wait_for_more(50);
        control.stop();
        for log in signers.into_iter().map(|signer| signer.join().expect("a signer")) {
            witness.sent.extend(log.sent);
        }
    });
    // Of those who signed all the time each had one request under way.
    let odd = witness.sent.iter().filter(|sent| ![200, 503].contains(&sent.response.status));
    wrong.extend(odd.map(|sent| format!("answered {}", told(&sent.response))));
    let jumped = witness.sent.iter().filter(|sent| String::from_utf8_lossy(&sent.response.body).contains("clock.jump"));
    wrong.extend((jumped.count() > 0).then(|| "the stop was taken for a jump of the clock".to_owned()));
    wrong.extend(witness.what_is_wrong(&daemon));
    let ledger = verified_ledger(&daemon);
    let left = (0..ASKING).filter(|asking| {
        let hash = sha256_hex(&body("gone", *asking));
        ledger.values().any(|row| row["body_sha256"] == hash.as_str() && row["decision"] == "allow")
    });
    let left = left.count();
    wrong.extend((left > 0).then(|| format!("{left} of {ASKING} who had gone were signed for")));
    wrong
}

fn body(who: &str, number: usize) -> String {
    format!(r#"{{"instId":"BTC-USDT","clOrdId":"{who}{number}"}}"#)
}

/// Asks, and waits for as long as it takes.
fn ask_and_wait(place: &Place, token: &str, number: usize) -> (Duration, io::Result<Response>) {
    let mut connection = place.connect(number).expect("connected");
    let began = Instant::now();
    let answer = connection.try_sign(token, "main", "POST", ORDER, Some(&body("waits", number)));
    (began.elapsed(), answer)
}

/// Asks, and has gone before the answer could come.
fn ask_and_leave(place: &Place, token: &str, number: usize) -> io::Result<()> {
    let mut connection = place.connect(number)?;
    let ask = ask("main", "POST", ORDER, Some(&body("gone", number))).to_string();
    let head = format!(
        "POST /v1/sign HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        connection.host(),
        ask.len()
    );
    connection.send(&[head.as_bytes(), ask.as_bytes()].concat())
}

fn signed_too_late((waited, answer): (Duration, io::Result<Response>)) -> Option<String> {
    match answer {
        Ok(answer) if answer.status == 200 && waited > DEADLINE + SLACK => {
            Some(format!("signed {:.1} s after it was asked for", waited.as_secs_f64()))
        }
        Ok(answer) if [200, 503].contains(&answer.status) => None,
        // A connection that is closed without an answer is no signature either.
        Err(_) => None,
        Ok(answer) => Some(format!("answered {}", told(&answer))),
    }
}
