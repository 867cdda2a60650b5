//! What a request head may look like: a pure check of its bytes, before any other parser sees them.
//!
//! hyper accepts far more than this interface needs (two hosts, bare line feeds, both ways to give a length, targets
//! with a fragment), and every such freedom has been somebody's hole. So the accepted form is one: RFC 9112 without its
//! tolerances. Deliberately absent: I/O, time, routes, and who is asking.

use crate::api::limits::Limits;
use crate::types::bytes::{ByteSet, all, plain_run};

/// What the check goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The values of `Host` that mean this interface, byte for byte.
    hosts: Box<[Box<str>]>,
    /// Longest head in bytes, final empty line included.
    head_bytes: usize,
    /// Most header lines.
    header_lines: usize,
    /// Longest body in bytes.
    body_bytes: usize,
}

impl Rules {
    /// The rules of a loopback TCP listener. `port` is the one that it really has; `allowed_hosts` are values of `Host`
    /// that are accepted besides the three loopback names.
    pub fn tcp(port: u16, allowed_hosts: &[String], limits: &Limits) -> Rules {
        let own = ["127.0.0.1", "localhost", "[::1]"].map(|name| format!("{name}:{port}"));
        Rules::new(own.iter().chain(allowed_hosts).map(|host| host.as_str().into()).collect(), limits)
    }

    /// The rules of a Unix socket.
    pub fn unix(limits: &Limits) -> Rules {
        Rules::new(["localhost", "signvault"].map(Into::into).into(), limits)
    }

    fn new(hosts: Box<[Box<str>]>, limits: &Limits) -> Rules {
        let Limits { head_bytes, header_lines, body_bytes, .. } = *limits;
        Rules { hosts, head_bytes, header_lines, body_bytes }
    }
}

/// Why a request is refused. Which of several reasons is given depends on the bytes alone, never on how they arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Refusal {
    /// Not the one accepted form of HTTP/1.1.
    Malformed = 1,
    /// A method that no route has.
    Method,
    /// `Host` is missing, doubled, or names something else.
    Misdirected,
    /// A browser sends it.
    Browser,
    /// It wants to be asked to go on.
    Expectation,
    /// The body is not plain JSON by its own account.
    MediaType,
    /// The body is too long.
    TooLarge,
    /// The head is too long or has too many lines.
    HeadTooLarge,
}

impl Refusal {
    /// Every refusal.
    pub const ALL: [Refusal; 8] = [
        Refusal::Malformed,
        Refusal::Method,
        Refusal::Misdirected,
        Refusal::Browser,
        Refusal::Expectation,
        Refusal::MediaType,
        Refusal::TooLarge,
        Refusal::HeadTooLarge,
    ];

    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Refusal::Malformed => "http.malformed",
            Refusal::Method => "http.method",
            Refusal::Misdirected => "http.misdirected",
            Refusal::Browser => "http.browser",
            Refusal::Expectation => "http.expectation",
            Refusal::MediaType => "http.media_type",
            Refusal::TooLarge => "http.too_large",
            Refusal::HeadTooLarge => "http.head_too_large",
        }
    }
}

/// A head that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many bytes of body follow it.
    pub content_length: usize,
}

/// The search for the end of a head that is still arriving. It refuses broken lines at once, so that a peer which sends
/// no proper end is answered and not waited for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// How many bytes were looked at.
    seen: usize,
    /// How many of them ended a line.
    lines: usize,
}

impl Scan {
    /// Looks at the bytes that are new since the last call; `bytes` is everything received so far. Answers with the
    /// length of the head once its last byte is there.
    pub fn advance(&mut self, bytes: &[u8], rules: &Rules) -> Result<Option<usize>, Refusal> {
        let within = &bytes[..bytes.len().min(rules.head_bytes)];
        while self.seen < within.len() {
            let (before, byte) = (&within[..self.seen], within[self.seen]);
            let ends_line = byte == b'\n';
            if ends_line != (before.last() == Some(&b'\r')) || is_control(byte) {
                return Err(Refusal::Malformed);
            }
            self.seen += 1;
            if ends_line && self.end_line(before, rules)? {
                return Ok(Some(self.seen));
            }
            if byte != b'\r' {
                self.seen += plain_run(&within[self.seen..], no_control);
            }
        }
        if bytes.len() > within.len() { Err(Refusal::HeadTooLarge) } else { Ok(None) }
    }

    /// Judges a line by how it ends; true for the empty line that ends the head.
    fn end_line(&mut self, before: &[u8], rules: &Rules) -> Result<bool, Refusal> {
        self.lines += 1;
        if self.lines == 1 && !before.ends_with(b" HTTP/1.1\r") {
            return Err(Refusal::Malformed);
        }
        let ends_head = before.ends_with(b"\r\n\r");
        if !ends_head && self.lines > 1 + rules.header_lines {
            return Err(Refusal::HeadTooLarge);
        }
        Ok(ends_head)
    }
}

/// Control characters that no part of a head may hold. The ends of lines are judged where they stand.
fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && !matches!(byte, b'\r' | b'\n' | b'\t')
}

/// What may follow anything but a carriage return.
fn no_control(byte: u8) -> bool {
    !byte.is_ascii_control()
}

/// Checks a whole head, from the first byte of the request line to the empty line that ends it.
pub fn check_head(bytes: &[u8], rules: &Rules) -> Result<Head, Refusal> {
    if bytes.len() > rules.head_bytes {
        return Err(Refusal::HeadTooLarge);
    }
    let lines = bytes.strip_suffix(b"\r\n\r\n").ok_or(Refusal::Malformed)?;
    let (request_line, fields) = split_line(lines);
    let method = check_request_line(request_line)?;
    Fields::read(fields, rules)?.judge(method, rules)
}

/// The first line and what follows it. A carriage return or line feed that ends no line stays inside and is refused
/// with the other control characters.
fn split_line(lines: &[u8]) -> (&[u8], &[u8]) {
    let mut end = plain_run(lines, no_control);
    while end < lines.len() && !lines[end..].starts_with(b"\r\n") {
        end += 1;
        end += plain_run(&lines[end..], no_control);
    }
    (&lines[..end], lines.get(end + 2..).unwrap_or_default())
}

fn check_request_line(line: &[u8]) -> Result<Method, Refusal> {
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let (Some(method), Some(target), Some(b"HTTP/1.1")) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Refusal::Malformed);
    };
    let method = Method::parse(method)?;
    if target.first() != Some(&b'/') || !all(target, is_target) {
        return Err(Refusal::Malformed);
    }
    Ok(method)
}

/// What the method means for the rest of the head.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    /// Has no body.
    Get,
    /// May have one.
    Other,
}

impl Method {
    /// Methods are case-sensitive (RFC 9110 section 9.1): `post` is not one at all, `TRACE` is one that nothing here
    /// has. It is refused before its target is read: that of `OPTIONS *` and of `CONNECT` has another form.
    fn parse(text: &[u8]) -> Result<Method, Refusal> {
        match text {
            b"GET" => Ok(Method::Get),
            b"POST" | b"PUT" | b"PATCH" | b"DELETE" => Ok(Method::Other),
            _ if !text.is_empty() && text.iter().all(u8::is_ascii_uppercase) => Err(Refusal::Method),
            _ => Err(Refusal::Malformed),
        }
    }
}

/// Visible ASCII without what RFC 3986 keeps out of paths and queries. A `#` would be cut off by the next parser.
fn is_target(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'#' | b'{' | b'}' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'|')
}

/// A field that may stand once.
#[derive(Clone, Copy, Default)]
enum Once<'a> {
    #[default]
    Absent,
    Present(&'a [u8]),
    Repeated,
}

impl<'a> Once<'a> {
    fn add(&mut self, value: &'a [u8]) {
        *self = match self {
            Once::Absent => Once::Present(value),
            _ => Once::Repeated,
        };
    }
}

/// What the header lines say, as far as anything here depends on it.
#[derive(Default)]
struct Fields<'a> {
    /// `Host`
    host: Once<'a>,
    /// `Content-Length`
    content_length: Once<'a>,
    /// `Content-Type`
    content_type: Once<'a>,
    /// A length that is not a plain number of bytes, or another protocol on the same connection.
    reframes: bool,
    /// Any header that only browsers send.
    browser: bool,
    /// `Expect`, with any value.
    expects: bool,
    /// `Content-Encoding`, with any value.
    encoded: bool,
}

impl<'a> Fields<'a> {
    fn read(mut rest: &'a [u8], rules: &Rules) -> Result<Fields<'a>, Refusal> {
        let mut fields = Fields::default();
        let mut count = 0;
        while !rest.is_empty() {
            let (line, next) = split_line(rest);
            count += 1;
            if count > rules.header_lines {
                return Err(Refusal::HeadTooLarge);
            }
            fields.add(line)?;
            rest = next;
        }
        Ok(fields)
    }

    /// Reads `name:value`. A folded line starts with white space, which no name has.
    fn add(&mut self, line: &'a [u8]) -> Result<(), Refusal> {
        let end = line.iter().position(|byte| !TOKEN.has(*byte)).filter(|end| *end > 0).ok_or(Refusal::Malformed)?;
        let (name, value) = line.split_at(end);
        let value = trim(value.strip_prefix(b":").ok_or(Refusal::Malformed)?);
        let named = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        // A token with foreign bytes is a failed token like any other, so it must get as far as those.
        let foreign = named("authorization");
        let is_good = |byte: &u8| *byte == b'\t' || is_visible(*byte) || (foreign && *byte >= 0x80);
        if !all(value, is_visible) && !value.iter().all(is_good) {
            return Err(Refusal::Malformed);
        }
        if named("host") {
            self.host.add(value);
        } else if named("content-length") {
            self.content_length.add(value);
        } else if named("content-type") {
            self.content_type.add(value);
        }
        self.reframes |= ["transfer-encoding", "upgrade", "http2-settings"].into_iter().any(named);
        // Not `Sec-Fetch-Mode`: the fetch of Node sends it alone, and Node is where bots live.
        self.browser |= ["origin", "sec-fetch-site", "sec-fetch-dest", "sec-fetch-user"].into_iter().any(named);
        self.expects |= named("expect");
        self.encoded |= named("content-encoding");
        Ok(())
    }

    /// The order decides which refusal a request with several faults gets: first whether it is for us at all.
    fn judge(&self, method: Method, rules: &Rules) -> Result<Head, Refusal> {
        if !self.is_for(&rules.hosts) {
            return Err(Refusal::Misdirected);
        }
        if self.browser {
            return Err(Refusal::Browser);
        }
        if self.reframes {
            return Err(Refusal::Malformed);
        }
        let content_length = self.content_length(rules.body_bytes)?;
        if method == Method::Get && content_length != Ok(0) {
            return Err(Refusal::Malformed);
        }
        if self.expects {
            return Err(Refusal::Expectation);
        }
        self.judge_media_type(method, content_length != Ok(0))?;
        Ok(Head { content_length: content_length? })
    }

    fn is_for(&self, hosts: &[Box<str>]) -> bool {
        matches!(self.host, Once::Present(value) if hosts.iter().any(|host| host.as_bytes() == value))
    }

    /// The length, or inside that it is well formed but too large, which is said only when nothing else is wrong.
    fn content_length(&self, most: usize) -> Result<Result<usize, Refusal>, Refusal> {
        let digits = match self.content_length {
            Once::Absent => return Ok(Ok(0)),
            Once::Present(digits) => digits,
            Once::Repeated => return Err(Refusal::Malformed),
        };
        let plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
        if !plain || (digits.len() > 1 && digits[0] == b'0') {
            return Err(Refusal::Malformed);
        }
        let value =
            digits.iter().fold(0_usize, |sum, digit| sum.saturating_mul(10).saturating_add(usize::from(digit - b'0')));
        Ok(if value > most { Err(Refusal::TooLarge) } else { Ok(value) })
    }

    /// Only JSON: a page in a browser cannot send that type to another origin without asking first, and that question
    /// is an `OPTIONS`.
    fn judge_media_type(&self, method: Method, has_body: bool) -> Result<(), Refusal> {
        let json = match self.content_type {
            Once::Absent => !has_body,
            Once::Present(value) => method == Method::Get || is_json(value),
            Once::Repeated => false,
        };
        if json && !self.encoded { Ok(()) } else { Err(Refusal::MediaType) }
    }
}

/// Takes off what RFC 9110 section 5.6.3 calls white space. `trim_ascii` would take off more.
fn trim(value: &[u8]) -> &[u8] {
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value.iter().position(|byte| !blank(byte)).unwrap_or(value.len());
    let end = value.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    &value[start..end]
}

/// `tchar` of RFC 9110 section 5.6.2.
const TOKEN: ByteSet = ByteSet::of(b"!#$%&'*+-.^_`|~").with(b'0', b'9').with(b'A', b'Z').with(b'a', b'z');

fn is_visible(byte: u8) -> bool {
    matches!(byte, b' '..=b'~')
}

fn is_json(value: &[u8]) -> bool {
    let mut parts = value.splitn(2, |byte| *byte == b';').map(trim);
    let media_type = parts.next().unwrap_or_default();
    media_type.eq_ignore_ascii_case(b"application/json")
        && parts.next().is_none_or(|parameter| parameter.eq_ignore_ascii_case(b"charset=utf-8"))
}

#[cfg(test)]
mod tests;
