//! Being told to stop: Ctrl-C, a closed terminal, a supervisor. Noted instead of obeyed at once, so that a command that
//! has started processes or made files can first take them away. It lies here because signals arrive asynchronously.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

/// Whether this process has been told to stop. The default never is.
#[derive(Clone, Debug, Default)]
pub struct Interrupt {
    /// Set once, by the thread that waits for signals.
    asked: Arc<AtomicBool>,
}

impl Interrupt {
    /// From now on SIGINT, SIGTERM and SIGHUP are noted and no longer end this process.
    ///
    /// # Errors
    /// When the kernel gives no thread or no handler; the signals then do what they did before.
    pub fn watched() -> io::Result<Interrupt> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        // Before the thread runs: once this returns, no signal may be missed.
        let [mut interrupt, mut terminate, mut hang_up] = {
            let _within = runtime.enter();
            [signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?]
        };
        let asked = Arc::new(AtomicBool::new(false));
        let noted = Arc::clone(&asked);
        std::thread::Builder::new().name("interrupt".to_owned()).spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                    _ = hang_up.recv() => {}
                }
                noted.store(true, Ordering::SeqCst);
            });
        })?;
        Ok(Interrupt { asked })
    }

    /// Whether a signal has come.
    pub fn is_asked(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }
}
