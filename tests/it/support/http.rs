//! A client that sends exactly the bytes it is given.

use crate::support::Daemon;
use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long a test waits for an answer before it fails.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection of either kind.
pub trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// An open connection.
pub struct Connection {
    stream: Box<dyn Stream>,
    host: String,
    buffer: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The head, without the final empty line.
    pub head: String,
    /// The body.
    pub body: Vec<u8>,
}

impl Response {
    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The body of a success.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", String::from_utf8_lossy(&self.body));
        self.json()
    }

    /// The problem's code.
    #[track_caller]
    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_else(|| panic!("no code: {self:?}")).to_owned()
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl Connection {
    /// To the bots' TCP port.
    pub fn tcp(port: u16) -> Connection {
        Connection::try_tcp(port).expect("connected")
    }

    /// To the bots' TCP port, when the daemon may be gone.
    pub fn try_tcp(port: u16) -> io::Result<Connection> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection { stream: Box::new(stream), host: format!("127.0.0.1:{port}"), buffer: Vec::new() })
    }

    /// To a Unix socket.
    pub fn unix(path: &Path) -> Connection {
        Connection::try_unix(path).expect("connected")
    }

    /// To a Unix socket, when the daemon may be gone.
    pub fn try_unix(path: &Path) -> io::Result<Connection> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection { stream: Box::new(stream), host: "localhost".to_owned(), buffer: Vec::new() })
    }

    /// The `Host` that this connection's requests carry.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Sends bytes as they are.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Reads one answer; an error when the connection ends before it is whole.
    pub fn receive(&mut self) -> io::Result<Response> {
        let head_end = loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            self.fill()?;
        };
        let head = String::from_utf8(self.buffer[..head_end].to_vec()).map_err(io::Error::other)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let mut response = Response { status, head, body: Vec::new() };
        let length: usize = response.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        while self.buffer.len() < head_end + 4 + length {
            self.fill()?;
        }
        response.body = self.buffer[head_end + 4..head_end + 4 + length].to_vec();
        self.buffer.drain(..head_end + 4 + length);
        Ok(response)
    }

    /// Whether the other side has closed and nothing more comes.
    pub fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && matches!(self.stream.read(&mut [0; 1]), Ok(0) | Err(_))
    }

    fn fill(&mut self) -> io::Result<()> {
        let mut piece = [0; 4096];
        loop {
            match self.stream.read(&mut piece) {
                // A read with a timeout is not started again by itself.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => {
                    self.buffer.extend(&piece[..count]);
                    return Ok(());
                }
            }
        }
    }

    /// A request in the usual form.
    pub fn request(&mut self, method: &str, path: &str, token: Option<&str>, body: Option<&str>) -> Response {
        self.try_request(method, path, token, body).expect("an answer")
    }

    /// A request in the usual form, when the daemon may be gone.
    pub fn try_request(
        &mut self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&str>,
    ) -> io::Result<Response> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        if let Some(token) = token {
            head.push_str(&format!("Authorization: Bearer {token}\r\n"));
        }
        if let Some(body) = body {
            head.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        }
        self.send(&[head.as_bytes(), b"\r\n", body.unwrap_or("").as_bytes()].concat())?;
        self.receive()
    }

    /// `POST /v1/sign`.
    pub fn sign(&mut self, token: &str, credential: &str, method: &str, path: &str, body: Option<&str>) -> Response {
        self.try_sign(token, credential, method, path, body).expect("an answer")
    }

    /// `POST /v1/sign`, when the daemon may be gone.
    pub fn try_sign(
        &mut self,
        token: &str,
        credential: &str,
        method: &str,
        path: &str,
        body: Option<&str>,
    ) -> io::Result<Response> {
        let ask = ask(credential, method, path, body).to_string();
        self.try_request("POST", "/v1/sign", Some(token), Some(&ask))
    }
}

/// The body of an ask.
pub fn ask(credential: &str, method: &str, path: &str, body: Option<&str>) -> Value {
    let mut ask = json!({ "credential": credential, "method": method, "path": path });
    if let Some(body) = body {
        ask["body"] = body.into();
    }
    ask
}

impl Daemon<'_> {
    /// A connection to the bots' TCP port.
    pub fn tcp(&self) -> Connection {
        Connection::tcp(self.port)
    }

    /// A connection to the bots' socket.
    pub fn unix(&self) -> Connection {
        Connection::unix(&self.sign_socket())
    }

    /// A connection to the admin socket.
    pub fn admin(&self) -> Connection {
        Connection::unix(&self.admin_socket())
    }
}
