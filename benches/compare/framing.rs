//! The bytes of one request, made beforehand, and where an answer ends. No more of either protocol than that needs: the
//! client's time is in every figure.

use crate::Outcome;
use memchr::memmem;

/// Stands in a request where each time another number shall stand.
pub const NUMBER: &str = "0123456789abcdef";

/// How bytes are framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1 with a length.
    Http,
    /// The protocol of ssh-agent.
    SshAgent,
}

/// A request that is sent over and over.
#[derive(Clone)]
pub struct Request {
    /// How its answer is framed.
    pub protocol: Protocol,
    /// What must stand in an answer, and how often.
    pub expect: (&'static str, usize),
    /// An answer that is shorter than this is not a good one.
    pub least: usize,
    bytes: Vec<u8>,
    numbers: Vec<usize>,
}

impl Request {
    /// A request of these bytes; each [`NUMBER`] in it becomes another each time.
    pub fn new(protocol: Protocol, bytes: Vec<u8>, expect: (&'static str, usize)) -> Request {
        let numbers = memmem::find_iter(&bytes, NUMBER).collect();
        Request { protocol, expect, least: 0, bytes, numbers }
    }

    /// An HTTP POST of JSON.
    pub fn post(host: &str, path: &str, token: Option<&str>, body: &str, expect: (&'static str, usize)) -> Request {
        let token = token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\n{token}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        Request::new(Protocol::Http, [head.as_bytes(), body.as_bytes()].concat(), expect)
    }

    /// An HTTP GET.
    pub fn get(host: &str, path: &str, expect: (&'static str, usize)) -> Request {
        let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        Request::new(Protocol::Http, head.into_bytes(), expect)
    }

    /// The same, when something else must stand in its answer.
    pub fn expecting(mut self, expect: (&'static str, usize)) -> Request {
        self.expect = expect;
        self
    }

    /// The bytes of the next one, with numbers that no other has.
    pub fn next(&mut self, number: &mut u64) -> &[u8] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        for at in &self.numbers {
            *number += 1;
            for (place, byte) in self.bytes[*at..at + NUMBER.len()].iter_mut().rev().enumerate() {
                *byte = DIGITS[(*number >> (4 * place)) as usize & 15];
            }
        }
        &self.bytes
    }
}

impl Protocol {
    /// The length of the answer at the beginning of these bytes; none when more of it is to come.
    ///
    /// # Errors
    /// When it is not the answer that was hoped for; with its text.
    pub fn answer(self, bytes: &[u8]) -> Outcome<Option<usize>> {
        match self {
            Protocol::Http => {
                let Some(length) = http_message(bytes)? else { return Ok(None) };
                let is_good = bytes.len() < length || bytes[9..12] == *b"200";
                if is_good { Ok((bytes.len() >= length).then_some(length)) } else { Err(refusal(&bytes[..length])) }
            }
            Protocol::SshAgent => {
                let Some((head, rest)) = bytes.split_first_chunk::<4>() else { return Ok(None) };
                let length = u32::from_be_bytes(*head) as usize;
                const SIGN_RESPONSE: u8 = 14;
                match rest.first() {
                    Some(&kind) if kind != SIGN_RESPONSE => Err(format!("the agent answers with a message {kind}")),
                    _ => Ok((rest.len() >= length).then_some(4 + length)),
                }
            }
        }
    }
}

fn refusal(answer: &[u8]) -> String {
    format!("an answer that is not 200: {}", String::from_utf8_lossy(answer))
}

/// The whole length of an HTTP message, once its head is there. A message without a length ends with its head.
pub fn http_message(bytes: &[u8]) -> Outcome<Option<usize>> {
    let Some(end) = memmem::find(bytes, b"\r\n\r\n") else { return Ok(None) };
    let head = &bytes[..end];
    let places = [memmem::find(head, b"\r\ncontent-length: "), memmem::find(head, b"\r\nContent-Length: ")];
    let Some(at) = places.into_iter().flatten().next() else {
        let is_answer = head.starts_with(b"HTTP");
        return if is_answer { Err(format!("no length: {}", refusal(head))) } else { Ok(Some(end + 4)) };
    };
    let digits = head[at + 18..].iter().take_while(|byte| byte.is_ascii_digit());
    let length = digits.fold(0, |length, digit| length * 10 + usize::from(digit - b'0'));
    Ok(Some(end + 4 + length))
}
