//! The log: lines on standard error, one for each change of state and none for a signature. What never stands in one:
//! secrets, tokens, headers, bodies, paths with queries, passwords, and the text of anyone's input.
//!
//! Where standard error is the journal, each line begins with its priority (sd-daemon(3)) and has no time of its own: the
//! journal knows when it came.

use crate::config::raw::{LogFormat, LogLevel};
use std::io::{self, Write};
use std::panic;
use std::thread;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

/// Changes the least severe level that is logged.
pub type SetLevel = Box<dyn Fn(LogLevel) + Send + Sync>;

/// Starts logging. A second call in one process changes nothing. From here on a panic is a line that says where, never
/// with what words: those may be made of anything that was in scope.
pub fn start(level: LogLevel, format: LogFormat, to_journal: bool) -> SetLevel {
    let (filter, handle) = reload::Layer::new(filter(level));
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(Lines { to_journal }).with_target(false).with_ansi(false);
    // Fails only when logging was started before, and then the first choice stands.
    let _ = match (format, to_journal) {
        (LogFormat::Text, false) => registry.with(lines).try_init(),
        (LogFormat::Text, true) => registry.with(lines.without_time().with_level(false)).try_init(),
        (LogFormat::Json, _) => registry.with(lines.json().flatten_event(true)).try_init(),
    };
    panic::set_hook(Box::new(|panicked| {
        let at = panicked.location().map(ToString::to_string).unwrap_or_default();
        tracing::error!(at, thread = thread::current().name().unwrap_or_default(), "a panic");
    }));
    set_level(handle)
}

fn set_level<S: 'static>(handle: reload::Handle<LevelFilter, S>) -> SetLevel {
    Box::new(move |level| {
        // Gone only with the subscriber, and then nothing is logged at all.
        let _ = handle.reload(filter(level));
    })
}

/// Whether standard error is the journal: the stream that `JOURNAL_STREAM` names as `device:inode` (systemd.exec(5)).
/// Somebody may have redirected it since that was said.
pub fn is_journal(said: Option<&str>) -> bool {
    is_stream(io::stderr(), said)
}

fn is_stream(stream: impl std::os::fd::AsFd, said: Option<&str>) -> bool {
    let is = rustix::fs::fstat(stream).map(|stat| format!("{}:{}", stat.st_dev, stat.st_ino));
    said.is_some_and(|said| is.is_ok_and(|is| is == said))
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

/// Where lines go.
struct Lines {
    to_journal: bool,
}

/// One line, which is written in one piece.
struct Line {
    priority: Option<u8>,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { priority: None }
    }

    fn make_writer_for(&'a self, about: &Metadata<'_>) -> Line {
        Line { priority: self.to_journal.then(|| priority(*about.level())) }
    }
}

/// The number that syslog(3) has for it.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        _ => 7,
    }
}

impl Write for Line {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let prefix = self.priority.map(|priority| format!("<{priority}>")).unwrap_or_default();
        io::stderr().write_all(&[prefix.as_bytes(), text].concat())?;
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_is_known_by_its_device_and_inode() {
        let (stream, other) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let stat = rustix::fs::fstat(&stream).unwrap();
        let said = format!("{}:{}", stat.st_dev, stat.st_ino);
        assert!(is_stream(&stream, Some(&said)) && !is_stream(&other, Some(&said)));
        assert!(!is_stream(&stream, None) && !is_stream(&stream, Some("x")));
    }

    #[test]
    fn a_line_of_the_journal_begins_with_its_priority() {
        let levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
        assert_eq!(levels.map(priority), [3, 4, 6, 7, 7]);
    }
}
