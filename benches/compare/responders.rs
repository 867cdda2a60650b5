//! Servers that this program is itself, in a process of its own: what the daemon is compared with.
//!
//! - hello: axum as anyone would write it, on one thread; reads the whole request and answers a small JSON object.
//! - raw: tokio on one thread, and the same answer as bytes made beforehand: the floor of a server on an event loop.
//! - floor: a thread for each connection, and the same bytes: the floor of a start.

use crate::Outcome;
use crate::framing::http_message;
use axum::body::Bytes;
use axum::routing::any;
use axum::{Json, Router};
use serde_json::{Value, json};
use std::future::IntoFuture;
use std::io::{Read, Write};
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};

/// The first argument of this program when it is a server.
pub const ROLE: &str = "respond";
/// What every one of them answers.
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 17\r\n\r\n{\"hello\":\"world\"}";
/// Stands in every answer of them, once.
pub const WORD: &str = "hello";

/// Serves until it is killed. Writes its TCP address as a line when it listens there and on the socket.
pub fn respond(kind: &str, tcp: &str, unix: &Path) -> Outcome<()> {
    let failed = |error: std::io::Error| format!("{kind}: {error}");
    match kind {
        "floor" => floor(tcp).map_err(failed),
        _ => {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
            runtime.block_on(serve(kind, tcp, unix)).map_err(failed)
        }
    }
}

#[expect(clippy::print_stdout, reason = "the process that started this one waits for the line")]
async fn serve(kind: &str, tcp: &str, unix: &Path) -> std::io::Result<()> {
    let (tcp, unix) = (TcpListener::bind(tcp).await?, UnixListener::bind(unix)?);
    println!("{}", tcp.local_addr()?);
    match kind {
        "hello" => {
            let hello = Router::new().fallback(any(hello));
            let tcp = axum::serve(tcp, hello.clone()).into_future();
            tokio::try_join!(tcp, axum::serve(unix, hello).into_future()).map(drop)
        }
        _ => tokio::try_join!(raw_tcp(tcp), raw_unix(unix)).map(drop),
    }
}

async fn hello(_whole: Bytes) -> Json<Value> {
    Json(json!({ "hello": "world" }))
}

async fn raw_tcp(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(raw(stream));
    }
}

async fn raw_unix(listener: UnixListener) -> std::io::Result<()> {
    loop {
        tokio::spawn(raw(listener.accept().await?.0));
    }
}

async fn raw(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) {
    let (mut buffer, mut filled) = (vec![0; 64 * 1024], 0);
    while let Ok(count @ 1..) = stream.read(&mut buffer[filled..]).await {
        filled += count;
        if is_whole(&buffer[..filled]) {
            filled = 0;
            if stream.write_all(ANSWER).await.is_err() {
                return;
            }
        }
    }
}

/// One request at a time, so what is there is one request or the beginning of one.
fn is_whole(request: &[u8]) -> bool {
    http_message(request).is_ok_and(|length| length.is_some_and(|length| request.len() >= length))
}

fn floor(tcp: &str) -> std::io::Result<()> {
    let listener = std::net::TcpListener::bind(tcp)?;
    loop {
        let (mut stream, _) = listener.accept()?;
        std::thread::spawn(move || {
            let (mut buffer, mut filled) = (vec![0; 64 * 1024], 0);
            while let Ok(count @ 1..) = stream.read(&mut buffer[filled..]) {
                filled += count;
                if is_whole(&buffer[..filled]) {
                    filled = 0;
                    if stream.write_all(ANSWER).is_err() {
                        return;
                    }
                }
            }
        });
    }
}
