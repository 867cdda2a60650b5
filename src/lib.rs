//! placeholder replaced by ARCHITECTURE.md once it exists
pub mod types;
