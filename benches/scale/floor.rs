//! The least that a responder can be: it listens, answers the first request and ends. One file, no crate, linked
//! statically: the time from its start to its answer is what the machine itself asks for.

use std::io::{Read, Write};
use std::net::TcpListener;

fn main() {
    let port = std::env::args().nth(1).expect("a port");
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).expect("a free port");
    let (mut stream, _) = listener.accept().expect("a connection");
    let answered = std::thread::spawn(move || {
        let mut request = [0; 1024];
        let _ = stream.read(&mut request);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
    });
    let _ = answered.join();
}
