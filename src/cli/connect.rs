//! The only client: HTTP/1.1 to the daemon, one request per connection, over a Unix socket or (for `sign`) loopback TCP.
//!
//! Async lives here and ends here: every function below blocks until the answer is in. Bodies may hold secrets, so they
//! are built in memory that is wiped and never appear in an error.

pub mod interrupt;
pub mod peer;

use crate::secret::SecretText;
use crate::wire::Problem;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use zeroize::Zeroizing;

/// How long a connection may take to come about: both ends are on one machine.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the head of an answer may take. An unlock hashes and checks every record, a verification reads the whole
/// ledger.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(900);
/// How long the next piece of a body may take.
const PIECE_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest JSON answer in bytes: 1000 ledger rows fit several times.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Why there is no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// Nobody listens there.
    #[error("no daemon answers at {place}")]
    Unreachable {
        /// The socket or address.
        place: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },
    /// The connection broke, or nothing came in time. Whether the request was carried out is unknown.
    #[error("the connection to the daemon broke before the answer was complete: {0}")]
    Broken(&'static str),
    /// The daemon said no.
    #[error("{}", .0.detail)]
    Refused(Box<Problem>),
    /// Something answered, but not as this version of the daemon would.
    #[error("the answer is not understood (status {0})")]
    Strange(u16),
    /// The body cannot be written to where it should go.
    #[error("cannot write the answer's body")]
    Write(#[source] io::Error),
    /// This process cannot even begin.
    #[error("cannot begin a request")]
    Begin(#[source] io::Error),
}

impl ConnectError {
    /// Whether it is the daemon that cannot be reached.
    pub fn is_unreachable(&self) -> bool {
        matches!(self, ConnectError::Unreachable { .. } | ConnectError::Broken(_))
    }

    /// What to do about it.
    pub fn help(&self) -> String {
        let help = match self {
            ConnectError::Unreachable { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "only root, the daemon's own user and the users under [admin] may administer; bots use sign.sock"
            }
            ConnectError::Unreachable { .. } => "start it with: signvault serve; --run-dir names another instance",
            ConnectError::Broken(_) => "see with: signvault status, whether it runs and what it did",
            ConnectError::Refused(problem) => &problem.help,
            ConnectError::Strange(_) => "check that the daemon and this command are the same version",
            ConnectError::Write(_) => "check that there is room",
            ConnectError::Begin(_) => "check the limits on open files",
        };
        help.to_owned()
    }
}

/// Whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A Unix socket of the daemon.
    Socket(PathBuf),
    /// The daemon's TCP port, with the text for the `Host` header.
    Port(SocketAddr, String),
}

impl Target {
    fn place(&self) -> String {
        match self {
            Target::Socket(path) => path.display().to_string(),
            Target::Port(address, _) => address.to_string(),
        }
    }

    fn host(&self) -> &str {
        match self {
            Target::Socket(_) => "signvault",
            Target::Port(_, host) => host,
        }
    }

    fn unreachable(&self, source: io::Error) -> ConnectError {
        ConnectError::Unreachable { place: self.place(), source }
    }
}

/// A client of the admin socket.
#[derive(Clone, Debug)]
pub struct Admin {
    /// The admin socket.
    target: Target,
    /// How long the head of an answer may take.
    patience: Duration,
}

impl Admin {
    /// A client of this socket. Nothing is sent yet.
    pub fn at(socket: &Path) -> Admin {
        Admin { target: Target::Socket(socket.to_owned()), patience: ANSWER_TIMEOUT }
    }

    /// The same client, which waits for an answer no longer than this.
    pub fn waiting_at_most(self, patience: Duration) -> Admin {
        Admin { patience, ..self }
    }

    /// `GET`
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ConnectError> {
        ask(&self.target, self.patience, Outgoing { method: Method::GET, path, body: None, token: None })
    }

    /// `POST` with a body.
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ConnectError> {
        self.send(Method::POST, path, body)
    }

    /// `PUT` with a body.
    pub fn put<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ConnectError> {
        self.send(Method::PUT, path, body)
    }

    /// `PATCH` with a body.
    pub fn patch<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, ConnectError> {
        self.send(Method::PATCH, path, body)
    }

    /// `DELETE`
    pub fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ConnectError> {
        ask(&self.target, self.patience, Outgoing { method: Method::DELETE, path, body: None, token: None })
    }

    /// `POST` whose answer is not JSON: its body goes to the sink as it comes in. The number of bytes so far is told
    /// after each piece, and the number of all of them in the end.
    pub fn download(
        &self,
        path: &str,
        sink: &mut dyn Write,
        mut progress: impl FnMut(u64),
    ) -> Result<u64, ConnectError> {
        let outgoing = Outgoing { method: Method::POST, path, body: Some(json(&serde_json::Map::new())?), token: None };
        blocking(async {
            let mut answer = exchange(&self.target, self.patience, outgoing).await?;
            if !answer.status().is_success() {
                return Err(refusal(answer).await);
            }
            let mut total = 0;
            while let Some(piece) = next_piece(&mut answer).await? {
                sink.write_all(&piece).map_err(ConnectError::Write)?;
                total += piece.len() as u64;
                progress(total);
            }
            Ok(total)
        })
    }

    fn send<T: DeserializeOwned>(&self, method: Method, path: &str, body: &impl Serialize) -> Result<T, ConnectError> {
        ask(&self.target, self.patience, Outgoing { method, path, body: Some(json(body)?), token: None })
    }
}

/// `POST` as a bot would send it.
pub fn post_as_bot<T: DeserializeOwned>(
    target: &Target,
    path: &str,
    token: &SecretText,
    body: &impl Serialize,
) -> Result<T, ConnectError> {
    ask(target, ANSWER_TIMEOUT, Outgoing { method: Method::POST, path, body: Some(json(body)?), token: Some(token) })
}

/// A path below a collection: `/v1/bots` and a name. Whatever the name is, it stays one segment.
pub fn item_path(collection: &str, name: &str) -> String {
    format!("{collection}/{}", percent_encoded(name))
}

/// Bytes outside RFC 3986's unreserved characters as `%XX`.
pub fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'~' | b'.' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// A request on its way out.
struct Outgoing<'a> {
    /// The method.
    method: Method,
    /// The path with its query.
    path: &'a str,
    /// JSON, perhaps with secrets in it.
    body: Option<Zeroizing<Vec<u8>>>,
    /// A bot's token.
    token: Option<&'a SecretText>,
}

fn json(body: &impl Serialize) -> Result<Zeroizing<Vec<u8>>, ConnectError> {
    let bytes = serde_json::to_vec(body).map_err(|error| ConnectError::Begin(error.into()))?;
    Ok(Zeroizing::new(bytes))
}

fn ask<T: DeserializeOwned>(target: &Target, patience: Duration, outgoing: Outgoing<'_>) -> Result<T, ConnectError> {
    blocking(async {
        let mut answer = exchange(target, patience, outgoing).await?;
        if !answer.status().is_success() {
            return Err(refusal(answer).await);
        }
        let body = whole_body(&mut answer).await?;
        // An empty body is what an answer without content has.
        let text: &[u8] = if body.is_empty() { b"null" } else { &body };
        serde_json::from_slice(text).map_err(|_| ConnectError::Strange(answer.status().as_u16()))
    })
}

fn blocking<T>(work: impl Future<Output = Result<T, ConnectError>>) -> Result<T, ConnectError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(ConnectError::Begin)?;
    runtime.block_on(work)
}

async fn exchange(
    target: &Target,
    patience: Duration,
    outgoing: Outgoing<'_>,
) -> Result<Response<Incoming>, ConnectError> {
    let request = outgoing.into_request(target.host())?;
    match target {
        Target::Socket(path) => over(in_time(target, UnixStream::connect(path)).await?, patience, request).await,
        Target::Port(address, _) => over(in_time(target, TcpStream::connect(address)).await?, patience, request).await,
    }
}

async fn in_time<S>(target: &Target, connecting: impl Future<Output = io::Result<S>>) -> Result<S, ConnectError> {
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, connecting).await;
    connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())).map_err(|error| target.unreachable(error))
}

async fn over<S>(
    stream: S,
    patience: Duration,
    request: Request<Full<Bytes>>,
) -> Result<Response<Incoming>, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let handshake = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = handshake.map_err(|_| ConnectError::Broken("it did not begin"))?;
    // Ends by itself once the answer is in: the daemon is asked to close.
    tokio::spawn(connection);
    let answer = tokio::time::timeout(patience, sender.send_request(request)).await;
    let answer = answer.map_err(|_| ConnectError::Broken("no answer came in time"))?;
    answer.map_err(|_| ConnectError::Broken("it was closed"))
}

impl Outgoing<'_> {
    fn into_request(self, host: &str) -> Result<Request<Full<Bytes>>, ConnectError> {
        let mut request = Request::builder().method(&self.method).uri(self.path).header(HOST, host);
        request = request.header(hyper::header::CONNECTION, "close");
        if self.method != Method::GET {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(token) = self.token {
            request = request.header(AUTHORIZATION, bearer(token)?);
        }
        let body = self.body.map(Bytes::from_owner).unwrap_or_default();
        request.body(Full::new(body)).map_err(|error| ConnectError::Begin(io::Error::other(error)))
    }
}

fn bearer(token: &SecretText) -> Result<HeaderValue, ConnectError> {
    // EXPOSE: the token goes to the daemon, which is what it is for.
    let text = Zeroizing::new(format!("Bearer {}", token.expose()));
    let not_a_token = |_| ConnectError::Begin(io::Error::new(io::ErrorKind::InvalidData, "that is not a token"));
    let mut value = HeaderValue::from_str(&text).map_err(not_a_token)?;
    value.set_sensitive(true);
    Ok(value)
}

async fn next_piece(answer: &mut Response<Incoming>) -> Result<Option<Bytes>, ConnectError> {
    loop {
        let frame = tokio::time::timeout(PIECE_TIMEOUT, answer.body_mut().frame()).await;
        match frame.map_err(|_| ConnectError::Broken("it stalled"))? {
            None => return Ok(None),
            Some(Err(_)) => return Err(ConnectError::Broken("it ended early")),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(piece) => return Ok(Some(piece)),
                Err(_trailers) => continue,
            },
        }
    }
}

async fn whole_body(answer: &mut Response<Incoming>) -> Result<Zeroizing<Vec<u8>>, ConnectError> {
    let mut body = Zeroizing::new(Vec::new());
    while let Some(piece) = next_piece(answer).await? {
        if body.len() + piece.len() > MAX_ANSWER_BYTES {
            return Err(ConnectError::Strange(answer.status().as_u16()));
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

/// What an answer that is no success says.
async fn refusal(mut answer: Response<Incoming>) -> ConnectError {
    let status = answer.status().as_u16();
    match whole_body(&mut answer).await.map(|body| serde_json::from_slice(&body)) {
        Ok(Ok(problem)) => ConnectError::Refused(Box::new(problem)),
        Ok(Err(_)) => ConnectError::Strange(status),
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests;
