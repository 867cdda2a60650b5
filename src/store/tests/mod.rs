//! The store as a whole, over real files: what no single file can show.

mod bed;
mod model;
