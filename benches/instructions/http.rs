//! The whole of a signature: a bot's connection to the real interface.

use crate::stage::{self, Stage};
use signvault::api::app::{About, App};
use signvault::api::bot_routes;
use signvault::api::connection::Interface;
use signvault::api::guard::Rules;
use signvault::api::limits::Limits;
use signvault::api::peer::Peer;
use signvault::api::signer::Signer;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};

/// The requests for so many signatures, from the first byte to the last.
pub fn requests(stage: &Stage, signatures: usize) -> Vec<Vec<u8>> {
    let request = |number| {
        let body = stage::ask_body(number);
        [stage::head(&stage.token, &body), body].concat()
    };
    (0..signatures).map(request).collect()
}

/// Has orders signed over one connection, from the bytes of the request to those of the answer: through the gate, hyper,
/// the routes and a turn of the signer and back, in the runtime that the daemon has.
pub fn sign_over_http(stage: &Stage, requests: Vec<Vec<u8>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    ours.set_nonblocking(true).unwrap();
    let bot = std::thread::spawn(move || ask_again_and_again(theirs, &requests));
    let wait = Duration::from_secs(60);
    let (signer, mut turns) = Signer::new(Arc::clone(&stage.vault), wait);
    let app = App {
        vault: Arc::clone(&stage.vault),
        signer: signer.clone(),
        counts: Arc::default(),
        about: Arc::new(about()),
        ordinary: Arc::new(Semaphore::new(1)),
        max_wait: wait,
    };
    let limits = Limits { idle_time: wait, ..Limits::default() };
    let counts = Arc::clone(&app.counts);
    let interface = Interface::new(bot_routes(app), Rules::tcp(stage::PORT, &[], &limits), limits, counts);
    runtime.spawn(async move {
        let stream = tokio::net::UnixStream::from_std(ours).unwrap();
        let peer = Peer::Tcp(([127, 0, 0, 1], stage::PORT).into());
        let (_stop, stopping) = watch::channel(false);
        interface.serve(stream, peer, stopping).await;
        signer.end();
    });
    // The daemon's relay does the same, and looks besides whether a disk hangs.
    while let Some(turn) = runtime.block_on(turns.next()) {
        turns.sign(turn);
    }
    bot.join().expect("every answer was a signature");
}

/// The bot's side, which should cost little: it is counted too.
fn ask_again_and_again(mut stream: UnixStream, requests: &[Vec<u8>]) {
    let mut buffer = vec![0; 8192];
    for request in requests {
        stream.write_all(request).unwrap();
        let mut received = 0;
        // The time of expiry stands last.
        while !buffer[..received].ends_with(b"Z\"}") {
            let count = stream.read(&mut buffer[received..]).unwrap();
            assert!(count > 0, "the connection was closed");
            received += count;
        }
        assert!(buffer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&buffer[..received]));
    }
}

fn about() -> About {
    About {
        listen: String::new(),
        sign_socket: String::new(),
        admin_socket: String::new(),
        memory: String::new(),
        degraded: Vec::new(),
        admin_uids: Arc::default(),
        hardening: Vec::new(),
    }
}
