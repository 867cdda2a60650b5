//! The vault as a whole, in process: what no single file can show. A vault here opens by key files, so that no test pays
//! for a password hash.

mod backup;
mod bed;
mod bots;
mod checkpoints;
mod clock;
mod disk;
mod doctor;
mod figures;
mod hung;
mod limits;
mod lock;
mod migration;
mod model;
mod permit;
#[cfg(feature = "model-check")]
mod races;
mod rotation;
mod slots;
mod space;
mod tampering;
