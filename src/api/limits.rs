//! How much, how long and how many: the bounds of one HTTP interface, each with its default.
//!
//! No bound is ever "none". Tests pass shorter times; the defaults are what the daemon runs with.

use std::time::Duration;

/// The bounds of one interface. Every listener has its own, so that bots cannot crowd out the admin socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest head in bytes, request line and final empty line included. Default 16 384.
    pub head_bytes: usize,
    /// Most header lines in a head. Default 32.
    pub header_lines: usize,
    /// Longest body in bytes. Default 65 536.
    pub body_bytes: usize,
    /// From the first byte of a head to its last. Default 5 s.
    pub head_time: Duration,
    /// From the last byte of a head to the last of its body. Default 10 s.
    pub body_time: Duration,
    /// How long a connection may stay open with no request on it. Default 60 s.
    pub idle_time: Duration,
    /// How long a write may make no progress because the peer does not read. Default 10 s.
    pub write_time: Duration,
    /// How long a closed connection still takes what its peer sends, so that the answer is not lost to a reset.
    /// Default 1 s.
    pub linger_time: Duration,
    /// How many bytes it takes in that time. Default 1 MiB.
    pub linger_bytes: usize,
    /// Connections at the same time. Default 512: under the usual limit of 1024 open files.
    pub connections: usize,
    /// Connections at the same time of one peer (a uid; all of TCP counts as one). Default 256.
    pub connections_per_peer: usize,
    /// How long requests in flight may take to finish once the interface stops. Default 5 s.
    pub drain_time: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            head_bytes: 16 * 1024,
            header_lines: 32,
            body_bytes: 64 * 1024,
            head_time: Duration::from_secs(5),
            body_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(60),
            write_time: Duration::from_secs(10),
            linger_time: Duration::from_secs(1),
            linger_bytes: 1024 * 1024,
            connections: 512,
            connections_per_peer: 256,
            drain_time: Duration::from_secs(5),
        }
    }
}
