//! The gate between a socket and hyper: a request gets to hyper whole and checked, or not at all.
//!
//! ```text
//!             first byte          head passed          last byte
//!  Awaiting ────────────► Head ────────────► Body ────────────► Passing ──► Answering
//!      ▲  idle_time          │ head_time        │ body_time        ▲             │
//!      │                     └──── refused ─────┴── placeholder ───┘             │
//!      └──────────────────── hyper asks for more: the answer is out ─────────────┘
//! ```
//!
//! A refused request is replaced by a placeholder, so that hyper itself writes the refusal in its turn and closes; the
//! [`Verdict`] tells the service why. hyper must run with `half_close(true)`: then it does not read while it answers,
//! and its next read means that the answer is out.
//!
//! Deliberately absent: the response side is passed through unread, and nothing here knows routes or tokens.

use crate::api::guard::{Refusal, Rules, Scan, check_head};
use crate::api::limits::Limits;
use bytes::BufMut;
use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// What hyper reads instead of a refused request.
const PLACEHOLDER: &[u8] = b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// The same for `HEAD`, whose answer has no body.
const HEAD_PLACEHOLDER: &[u8] = b"HEAD / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";

/// How many bytes the buffer grows by at least; a usual request fits into one, and the C library has a block of this size at
/// hand: what is longer takes it much longer.
const CHUNK: usize = 1000;

/// What is no longer than this is sent in one piece.
const ONE_PIECE: usize = 4096;

/// What a gate tells the service behind it.
#[derive(Debug, Default)]
pub struct Verdict {
    /// The pending [`Refusal`] as a number, or 0. The gate writes it, the service takes it.
    refusal: AtomicU8,
    /// Whether the peer was too slow and the gate gave up.
    timed_out: AtomicBool,
}

impl Verdict {
    /// The refusal that the request which now reaches the service stands for.
    pub fn take_refusal(&self) -> Option<Refusal> {
        let number = self.refusal.swap(0, Ordering::Relaxed);
        Refusal::ALL.into_iter().find(|refusal| *refusal as u8 == number)
    }

    /// Whether the connection ended because the peer was too slow with a request or with reading the answer.
    pub fn timed_out(&self) -> bool {
        self.timed_out.load(Ordering::Relaxed)
    }
}

/// What the gate is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing of the next request is here. The buffer holds no memory.
    Awaiting,
    /// Some of a head is here.
    Head(Scan),
    /// The head passed; `total` bytes are head and body together.
    Body { total: usize },
    /// hyper is reading the buffer and has had `passed` bytes of it.
    Passing { passed: usize },
    /// hyper has the whole request.
    Answering,
    /// Nothing more is read.
    Over,
}

/// The gate around a socket.
#[derive(Debug)]
pub struct Gate<S> {
    /// The socket.
    inner: S,
    /// What a head may look like. Every gate of the interface shares it.
    rules: Arc<Rules>,
    /// How long things may take.
    limits: Limits,
    /// Shared with the service behind hyper.
    verdict: Arc<Verdict>,
    /// How far the request has come.
    phase: Phase,
    /// What was received of the request. Freed memory is wiped by the allocator, so it never outlives its request.
    buffer: Vec<u8>,
    /// Whether the peer sent something after a request and before its answer.
    hasty: bool,
    /// When the phase is over, whatever has arrived by then.
    read_deadline: Deadline,
    /// When a write that makes no progress is given up.
    write_deadline: Deadline,
    /// How many bytes were taken since the write side was closed; `None` while it is open.
    lingered: Option<usize>,
}

impl<S> Gate<S> {
    /// A gate around a socket that was just accepted.
    pub fn new(inner: S, rules: Arc<Rules>, limits: Limits, verdict: Arc<Verdict>) -> Gate<S> {
        let mut gate = Gate {
            inner,
            rules,
            limits,
            verdict,
            phase: Phase::Awaiting,
            buffer: Vec::new(),
            hasty: false,
            read_deadline: Deadline::default(),
            write_deadline: Deadline::default(),
            lingered: None,
        };
        gate.await_request();
        gate
    }

    fn await_request(&mut self) {
        self.phase = Phase::Awaiting;
        self.buffer = Vec::new();
        self.read_deadline.set(self.limits.idle_time);
    }

    /// Puts the placeholder in the place of the request.
    fn refuse(&mut self, refusal: Refusal) {
        let placeholder = if self.buffer.starts_with(b"HEAD ") { HEAD_PLACEHOLDER } else { PLACEHOLDER };
        self.verdict.refusal.store(refusal as u8, Ordering::Relaxed);
        self.buffer = placeholder.to_vec();
        self.phase = Phase::Passing { passed: 0 };
    }

    fn give_up(&mut self) -> io::Error {
        self.verdict.timed_out.store(true, Ordering::Relaxed);
        self.phase = Phase::Over;
        self.buffer = Vec::new();
        io::ErrorKind::TimedOut.into()
    }

    /// Goes as far as the received bytes allow. A phase that they also end gets no deadline.
    fn advance(&mut self) {
        let before = self.phase;
        if before == Phase::Awaiting {
            self.phase = Phase::Head(Scan::default());
        }
        if let Phase::Head(scan) = self.phase {
            match self.read_head(scan) {
                Ok(phase) => self.phase = phase,
                Err(refusal) => return self.refuse(refusal),
            }
        }
        match (self.phase, before) {
            (Phase::Body { total }, _) if self.buffer.len() == total => self.phase = Phase::Passing { passed: 0 },
            (Phase::Body { total }, _) if self.buffer.len() > total => self.refuse(Refusal::Malformed),
            (Phase::Body { .. }, Phase::Awaiting | Phase::Head(_)) => self.read_deadline.set(self.limits.body_time),
            (Phase::Head(_), Phase::Awaiting) => self.read_deadline.set(self.limits.head_time),
            _ => {}
        }
    }

    fn read_head(&mut self, mut scan: Scan) -> Result<Phase, Refusal> {
        let Some(end) = scan.advance(&self.buffer, &self.rules)? else { return Ok(Phase::Head(scan)) };
        let head = check_head(&self.buffer[..end], &self.rules)?;
        Ok(Phase::Body { total: end + head.content_length })
    }

    /// Hands on as much as hyper has room for.
    fn pass(&mut self, passed: usize, out: &mut ReadBuf<'_>) {
        let rest = &self.buffer[passed..];
        let count = rest.len().min(out.remaining());
        out.put_slice(&rest[..count]);
        self.phase = Phase::Passing { passed: passed + count };
        if count == rest.len() {
            self.phase = Phase::Answering;
            self.buffer = Vec::new();
        }
    }
}

impl<S: AsyncRead + Unpin> Gate<S> {
    /// Receives until there is something to pass on or nothing more will come.
    fn poll_receive(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while matches!(self.phase, Phase::Awaiting | Phase::Head(_) | Phase::Body { .. }) {
            match self.poll_fill(cx) {
                Poll::Ready(Ok(0)) => self.phase = Phase::Over,
                Poll::Ready(Ok(_)) => self.advance(),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    ready!(self.read_deadline.poll(cx));
                    // A connection that nobody used is no fault of the peer's.
                    return Poll::Ready(if self.phase == Phase::Awaiting {
                        self.phase = Phase::Over;
                        Ok(())
                    } else {
                        Err(self.give_up())
                    });
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once into the buffer, which keeps no memory while it is empty.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        // One byte more than the request: enough to see that something follows it.
        let most = match self.phase {
            Phase::Body { total } => total + 1 - self.buffer.len(),
            _ => CHUNK,
        };
        if self.buffer.capacity() == self.buffer.len() {
            self.buffer.reserve(most.min(CHUNK));
        }
        let mut room = (&mut self.buffer).limit(most);
        let outcome = pin!(self.inner.read_buf(&mut room)).poll(cx);
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
        outcome
    }

    /// Looks, as the answer starts, whether the peer went on without waiting for it.
    fn look_for_haste(&mut self, cx: &mut Context<'_>) {
        if self.phase == Phase::Answering && !self.hasty {
            let mut byte = [0];
            let mut seen = ReadBuf::new(&mut byte);
            let outcome = Pin::new(&mut self.inner).poll_read(cx, &mut seen);
            self.hasty = outcome.is_ready() && !seen.filled().is_empty();
        }
    }

    /// Takes and drops what the peer still sends, until it closes, or for a while.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.lingered.is_some_and(|bytes| bytes < self.limits.linger_bytes) {
            self.buffer.clear();
            match self.poll_fill(cx) {
                Poll::Ready(Ok(0) | Err(_)) => break,
                Poll::Ready(Ok(count)) => self.lingered = self.lingered.map(|bytes| bytes + count),
                Poll::Pending => return self.read_deadline.poll(cx),
            }
        }
        Poll::Ready(())
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gate<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.phase == Phase::Answering {
            self.write_deadline.clear();
            if std::mem::take(&mut self.hasty) {
                self.refuse(Refusal::Malformed);
            } else {
                self.await_request();
            }
        }
        ready!(self.poll_receive(cx))?;
        if let Phase::Passing { passed } = self.phase {
            self.pass(passed, out);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Gate<S> {
    /// Gives a write up that the peer has blocked for too long.
    fn within_deadline<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.write_deadline.clear();
            return outcome;
        }
        if !self.write_deadline.is_set() {
            self.write_deadline.set(self.limits.write_time);
        }
        ready!(self.write_deadline.poll(cx));
        Poll::Ready(Err(self.give_up()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.look_for_haste(cx);
        let outcome = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.within_deadline(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let length = slices.iter().map(|slice| slice.len()).sum();
        if length <= ONE_PIECE {
            // The copy costs less than what the kernel takes longer for several pieces.
            let mut whole = Vec::with_capacity(length);
            slices.iter().for_each(|slice| whole.extend_from_slice(slice));
            return self.poll_write(cx, &whole);
        }
        self.look_for_haste(cx);
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(cx, slices);
        self.within_deadline(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    /// Closes the write side, then lingers if an answer was just written: closing a socket with unread bytes resets it,
    /// and the peer may lose the answer.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.lingered.is_none() {
            ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
            let answered = self.phase == Phase::Answering;
            self.lingered = Some(if answered { 0 } else { self.limits.linger_bytes });
            let linger_time = self.limits.linger_time;
            self.read_deadline.set(linger_time);
        }
        ready!(self.poll_linger(cx));
        Poll::Ready(Ok(()))
    }
}

/// A moment after which something is over. The timer is made when it is first waited for and moved only when it must
/// be: a request that arrives in one piece never touches it.
#[derive(Debug, Default)]
struct Deadline {
    /// The moment.
    at: Option<Instant>,
    /// Wakes at that moment or earlier.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Deadline {
    fn set(&mut self, after: Duration) {
        self.at = Some(Instant::now() + after);
    }

    fn clear(&mut self) {
        self.at = None;
    }

    fn is_set(&self) -> bool {
        self.at.is_some()
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(at) = self.at else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= at {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(at);
        }
    }
}

#[cfg(test)]
mod tests;
