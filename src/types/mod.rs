//! The nouns that every layer shares: ids, time, numbers, and the words of an ask.
//!
//! Deliberately absent: anything that does something. These types are made, compared and printed; judging, signing
//! and storing belong to the layers above. [`clock`] and [`mutex`] are what the machine has to be asked for.

pub mod ask;
pub mod base32;
pub mod bytes;
pub mod clock;
pub mod credential;
pub mod decimal;
pub mod decision;
pub mod duration;
pub mod endpoint;
pub mod facts;
pub mod histogram;
pub mod id;
pub mod json;
pub mod mode;
pub mod mutex;
