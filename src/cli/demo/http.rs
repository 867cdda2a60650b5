//! A bot's side of HTTP/1.1, in the open: the bytes that are sent and the bytes that come back, so that both can be
//! shown as they are. A bot would use its language's own client.

use serde_json::Value;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer that is read, in bytes.
const MAX_ANSWER_BYTES: u64 = 1024 * 1024;

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The status line and the headers, without the empty line.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// A member of the body, by its path: `/headers/OK-ACCESS-SIGN` (RFC 6901). Empty where there is none.
    pub fn text(&self, pointer: &str) -> String {
        let value = self.json().and_then(|body| body.pointer(pointer).cloned());
        value.map_or_else(String::new, |value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    }

    /// The body as JSON, if that is what it is.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }
}

/// A `POST` as text: request line, headers, body.
pub fn post(to: SocketAddr, route: &str, token: &str, body: &str) -> String {
    let length = body.len();
    let headers =
        format!("Authorization: Bearer {token}\r\nContent-Type: application/json\r\nContent-Length: {length}");
    format!("POST {route} HTTP/1.1\r\nHost: {to}\r\n{headers}\r\nConnection: close\r\n\r\n{body}")
}

/// Sends a request on a connection of its own and reads to the end.
pub fn send(to: SocketAddr, request: &str) -> io::Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(request.as_bytes())?;
    let mut text = String::new();
    stream.take(MAX_ANSWER_BYTES).read_to_string(&mut text)?;
    parse(&text).ok_or_else(|| io::Error::other("the answer is not http"))
}

fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()?;
    Some(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_status_a_head_and_a_body() {
        let answer = parse("HTTP/1.1 200 OK\r\na: b\r\n\r\n{\"headers\":{\"X-Y\":\"z\"},\"audit_seq\":7}").unwrap();
        assert_eq!((answer.status, answer.head.as_str()), (200, "HTTP/1.1 200 OK\r\na: b"));
        assert_eq!([answer.text("/headers/X-Y"), answer.text("/audit_seq"), answer.text("/no")], ["z", "7", ""]);
        assert_eq!(parse("HTTP/1.1 200 OK\r\n"), None);
    }
}
