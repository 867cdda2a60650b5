//! The log: lines on standard error, one for each change of state and none for a signature. What never stands in one:
//! secrets, tokens, headers, bodies, paths with queries, passwords, and the text of anyone's input.

use crate::config::raw::{LogFormat, LogLevel};
use std::panic;
use std::thread;
use tracing_subscriber::filter::LevelFilter;

/// Starts logging. A second call in one process changes nothing. From here on a panic is a line that says where, never
/// with what words: those may be made of anything that was in scope.
pub fn start(level: LogLevel, format: LogFormat) {
    let lines = tracing_subscriber::fmt().with_max_level(filter(level)).with_writer(std::io::stderr).with_target(false);
    // Fails only when logging was started before, and then the first choice stands.
    let _ = match format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    panic::set_hook(Box::new(|panicked| {
        let at = panicked.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(at, thread = thread::current().name().unwrap_or_default(), "a panic");
    }));
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}
