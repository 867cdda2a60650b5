//! The manual of the design: what is defended and how, written down where the code is, so that the two change together.
//! There is no code in here.
//!
//! - [`threat_model`]: who is kept out, what is promised, and what is not
//! - [`key_hierarchy`]: which key comes from which, where each lives and when it is gone
//! - [`file_format`]: every byte on disk, precisely enough to write another reader
//! - [`past_mistakes`]: what went wrong in other programs, and what is done about it in this one
//! - [`defaults`]: each default, with its reason
//!
//! How the code is laid out stands on the first page of the [crate].

pub mod defaults;
pub mod file_format;
pub mod key_hierarchy;
pub mod past_mistakes;
pub mod threat_model;
