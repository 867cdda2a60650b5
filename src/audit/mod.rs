//! The ledger's rows: what they say ([`event`], [`signature`]), how each is bound to the one before ([`chain`]), what is
//! signed of them ([`attested`]), and how an export is checked by whoever has no vault ([`export`]).
//!
//! Deliberately absent: where rows are kept (that is [`crate::store::ledger`]), and the clock (a row is given its time).

pub mod attested;
pub mod chain;
pub mod event;
pub mod export;
pub mod signature;
