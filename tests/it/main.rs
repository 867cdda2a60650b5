//! Tests of the whole program, from outside: the binary, its sockets, its files. One binary, so that they build fast.
//!
//! Where a new test goes: with the file whose name is the word it is about. A test uses the public interface only; what
//! it needs to say more shortly goes into [`support`].

#![allow(clippy::unwrap_used, reason = "a test that can't go on says so by panicking")]

mod audit;
mod backup;
mod bots;
mod browser;
mod cli;
mod clients;
mod credentials;
mod crowd;
mod databases;
mod demo;
mod differential;
mod doctor;
mod drain;
mod explain;
mod faults;
mod grants;
mod handed;
mod http;
mod init;
mod integrity;
mod leaks;
mod load;
mod memory;
mod metrics;
mod orders;
mod pages;
mod panics;
mod policies;
mod prune;
mod random;
mod readme;
mod reference;
mod residue;
mod revoke;
mod rotate;
mod sandbox;
mod service;
mod sign;
mod slots;
mod support;
mod tidy;
mod timing;
mod unlock;
