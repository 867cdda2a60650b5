#![doc = include_str!("../ARCHITECTURE.md")]
// The lints that hold for every target stand in Cargo.toml; this one is for code that ships.
#![cfg_attr(
    not(test),
    warn(clippy::undocumented_unsafe_blocks, reason = "whoever reviews unsafe code checks the promise against it")
)]

pub mod types;

pub mod crypto;
pub mod secret;

pub mod audit;
pub mod policy;
pub mod recipe;
pub mod wire;

pub mod store;

pub mod vault;

pub mod api;

pub mod cli;
pub mod config;
pub mod daemon;

pub mod manual;
