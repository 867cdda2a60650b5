//! The vault as a whole, in process: what no single file can show. A vault here opens by key files, so that no test pays
//! for a password hash.

mod backup;
mod bed;
mod bots;
mod clock;
mod disk;
mod limits;
mod lock;
mod model;
mod permit;
mod slots;
mod tampering;
