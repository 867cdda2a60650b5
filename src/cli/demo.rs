//! placeholder
use crate::cli::report::{Failure, Report};
/// `demo`
#[derive(Debug, clap::Args)]
pub struct Args {}
/// Runs the demo.
pub fn run(_args: Args, _report: &Report) -> Result<(), Failure> {
    Err(Failure::failed("placeholder", ""))
}
