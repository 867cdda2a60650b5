//! placeholder replaced by ARCHITECTURE.md once it exists
pub mod api;
pub mod audit;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod daemon;
pub mod policy;
pub mod recipe;
pub mod secret;
pub mod store;
pub mod types;
pub mod vault;
pub mod wire;
