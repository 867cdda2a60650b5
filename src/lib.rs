//! placeholder replaced by ARCHITECTURE.md once it exists
pub mod types;
pub mod secret;
pub mod crypto;
pub mod wire;
pub mod audit;
pub mod policy;
pub mod recipe;
pub mod store;
pub mod vault;
