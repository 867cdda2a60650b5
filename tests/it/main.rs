//! Tests of the whole program, from outside: the binary, its sockets, its files. One binary, so that they build fast.
//!
//! Where a new test goes: with the file whose name is the word it is about. A test uses the public interface only; what
//! it needs to say more shortly goes into [`support`].

mod clients;
mod demo;
mod http;
mod leaks;
mod readme;
mod sign;
mod support;
