//! The log: lines on standard error, one for each change of state and none for a signature. What never stands in one:
//! secrets, tokens, headers, bodies, paths with queries, passwords, and the text of anyone's input.

use crate::config::raw::{LogFormat, LogLevel};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Starts logging. A second call in one process changes nothing.
pub fn start(level: LogLevel, format: LogFormat) {
    let filter = EnvFilter::default().add_directive(filter(level).into());
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_target(false);
    // Fails only when logging was started before, and then the first choice stands.
    let _ = match format {
        LogFormat::Text => lines.with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
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
