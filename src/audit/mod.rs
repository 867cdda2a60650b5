//! The ledger's rows: what they say ([`event`]) and how each is bound to the one before ([`chain`]).
//!
//! Deliberately absent: where rows are kept (that is [`crate::store::ledger`]), and the clock (a row is given its time).

pub mod chain;
pub mod event;
