//! Where secrets come in: a terminal that does not echo, or lines on standard input. Never a flag, never a variable.

use crate::secret::read::{ReadSecretError, read_secret_line};
use crate::secret::{NotText, SecretBytes, SecretText};
use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use std::fs::File;
use std::io::{self, IsTerminal, Stdin, Write};
use std::os::fd::AsFd;
use zeroize::Zeroizing;

/// The longest password in bytes, and the longest of any other line that is asked for.
pub const MAX_LINE_BYTES: usize = 1024;

/// The shortest new password in characters.
pub const MIN_NEW_PASSWORD_CHARS: usize = 12;

/// Why there is no answer. Says nothing of what was typed.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// There is nobody to ask.
    #[error("standard input is not a terminal")]
    NotATerminal,
    /// Ctrl-C, or the terminal went away.
    #[error("interrupted")]
    Interrupted,
    /// The terminal cannot be switched or written to.
    #[error("the terminal does not work")]
    Terminal(#[source] io::Error),
    /// The answer cannot be read, or is too long.
    #[error("the answer cannot be read")]
    Read(#[from] ReadSecretError),
    /// The answer is not UTF-8.
    #[error("the answer is not text")]
    NotText(#[from] NotText),
    /// A new password with too few characters.
    #[error("the password has fewer than {MIN_NEW_PASSWORD_CHARS} characters")]
    TooShort,
    /// Typed differently the second time.
    #[error("the two passwords are not the same")]
    Different,
    /// A question was answered with no.
    #[error("not confirmed, so nothing was done")]
    Declined,
}

impl PromptError {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            PromptError::NotATerminal => {
                "run this in a terminal, or see --help for --stdin and the flags that name a file"
            }
            PromptError::Interrupted | PromptError::Different | PromptError::Declined => "run it again",
            PromptError::Terminal(_) => "use --stdin",
            PromptError::Read(_) => "an answer is one line of at most 1024 bytes",
            PromptError::NotText(_) => "use UTF-8",
            PromptError::TooShort => "several words make a password that is long and can be remembered",
        }
    }
}

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Lines on standard input.
    Stdin,
    /// A person at a terminal.
    Terminal,
}

impl Source {
    /// Standard input when `--stdin` was given, and otherwise a terminal, which must then be there.
    pub fn chosen(stdin_flag: bool) -> Result<Source, PromptError> {
        match stdin_flag {
            true => Ok(Source::Stdin),
            false if io::stdin().is_terminal() => Ok(Source::Terminal),
            false => Err(PromptError::NotATerminal),
        }
    }

    /// A line that is not shown.
    pub fn secret(self, question: &str) -> Result<SecretBytes, PromptError> {
        match self {
            Source::Stdin => Ok(read_secret_line(io::stdin(), MAX_LINE_BYTES)?),
            Source::Terminal => Terminal::open()?.secret(question),
        }
    }

    /// A line of text that is not shown.
    pub fn secret_text(self, question: &str) -> Result<SecretText, PromptError> {
        Ok(SecretText::parse(self.secret(question)?)?)
    }

    /// A password that is to be set: long enough, and at a terminal typed twice.
    pub fn new_password(self, question: &str) -> Result<SecretText, PromptError> {
        let password = long_enough(self.secret_text(question)?)?;
        if self == Source::Terminal {
            let again = self.secret_text("The same again: ")?;
            // EXPOSE: two entries of one person are compared; nothing leaves.
            if password.expose() != again.expose() {
                return Err(PromptError::Different);
            }
        }
        Ok(password)
    }
}

fn long_enough(password: SecretText) -> Result<SecretText, PromptError> {
    // EXPOSE: only counted.
    if password.expose().chars().count() < MIN_NEW_PASSWORD_CHARS { Err(PromptError::TooShort) } else { Ok(password) }
}

/// A person at a terminal: answers come from standard input, questions go where the person sees them even when the
/// output is redirected.
pub struct Terminal {
    /// Standard input, known to be a terminal.
    input: Stdin,
    /// Standard error if that is a terminal, otherwise the terminal that standard input is.
    output: File,
}

impl Terminal {
    /// The terminal, if there is one.
    pub fn open() -> Result<Terminal, PromptError> {
        let input = io::stdin();
        if !input.is_terminal() {
            return Err(PromptError::NotATerminal);
        }
        let error = io::stderr();
        let shown = if error.is_terminal() { error.as_fd() } else { input.as_fd() };
        let output = shown.try_clone_to_owned().map(File::from).map_err(PromptError::Terminal)?;
        Ok(Terminal { input, output })
    }

    /// Shows something that must not end up in a redirected output.
    pub fn show(&mut self, text: &[u8]) -> Result<(), PromptError> {
        self.output.write_all(text).map_err(PromptError::Terminal)
    }

    /// A line that is shown while it is typed, or the default when it is empty.
    pub fn line(&mut self, question: &str, default: &str) -> Result<String, PromptError> {
        let shown = if default.is_empty() { format!("{question}: ") } else { format!("{question} [{default}]: ") };
        self.show(shown.as_bytes())?;
        let line = SecretText::parse(read_secret_line(&self.input, MAX_LINE_BYTES)?)?;
        // EXPOSE: an answer to an open question, shown while it was typed.
        let answer = line.expose().trim();
        Ok(if answer.is_empty() { default.to_owned() } else { answer.to_owned() })
    }

    /// A question that only `yes` or `y` affirms.
    pub fn confirm(&mut self, question: &str) -> Result<(), PromptError> {
        match self.line(&format!("{question} (yes/no)"), "")?.to_ascii_lowercase().as_str() {
            "yes" | "y" => Ok(()),
            _ => Err(PromptError::Declined),
        }
    }

    /// A line that is not shown. Ctrl-C leaves the terminal as it was.
    fn secret(&self, question: &str) -> Result<SecretBytes, PromptError> {
        let mut output = &self.output;
        // Silent before it asks: a fast answer must not be echoed.
        let silence = Silence::over(&self.input)?;
        output.write_all(question.as_bytes()).map_err(PromptError::Terminal)?;
        let line = typed_line(|byte| rustix::io::read(&self.input, byte));
        drop(silence);
        output.write_all(b"\n").map_err(PromptError::Terminal)?;
        line
    }
}

/// The terminal without echo, line editing and signals, until dropped.
struct Silence<'a> {
    /// The terminal.
    terminal: &'a Stdin,
    /// How it was before.
    before: Termios,
}

impl Silence<'_> {
    fn over(terminal: &Stdin) -> Result<Silence<'_>, PromptError> {
        let before = tcgetattr(terminal).map_err(|errno| PromptError::Terminal(errno.into()))?;
        let mut silent = before.clone();
        // Signals too: Ctrl-C comes in as a byte, and does not end the process while the terminal is silent.
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG | LocalModes::IEXTEN);
        silent.special_codes[SpecialCodeIndex::VMIN] = 1;
        silent.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(terminal, OptionalActions::Now, &silent).map_err(|errno| PromptError::Terminal(errno.into()))?;
        Ok(Silence { terminal, before })
    }
}

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

/// Reads keys up to the end of the line, with as much editing as a blind line needs.
fn typed_line(mut read: impl FnMut(&mut [u8; 1]) -> rustix::io::Result<usize>) -> Result<SecretBytes, PromptError> {
    // Never grows, so never moves.
    let mut line = Zeroizing::new(Vec::with_capacity(MAX_LINE_BYTES));
    loop {
        let mut key = Zeroizing::new([0]);
        match read(&mut key) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(PromptError::Terminal(errno.into())),
            Ok(0) => return Err(PromptError::Interrupted),
            Ok(_) => {}
        }
        match key[0] {
            b'\r' | b'\n' => return Ok(SecretBytes::from(line)),
            CTRL_C | CTRL_BACKSLASH => return Err(PromptError::Interrupted),
            CTRL_D if line.is_empty() => return Err(PromptError::Interrupted),
            CTRL_D => return Ok(SecretBytes::from(line)),
            CTRL_U => line.clear(),
            BACKSPACE | DELETE => drop_character(&mut line),
            _ if line.len() == MAX_LINE_BYTES => {
                return Err(ReadSecretError::TooLong { max_bytes: MAX_LINE_BYTES }.into());
            }
            byte => line.push(byte),
        }
    }
}

const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;
const CTRL_U: u8 = 0x15;
const CTRL_BACKSLASH: u8 = 0x1c;
const BACKSPACE: u8 = 0x08;
const DELETE: u8 = 0x7f;

/// Drops the last character: in UTF-8, up to and with the last byte that does not continue one.
fn drop_character(line: &mut Vec<u8>) {
    while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(keys: &[u8]) -> Result<Vec<u8>, PromptError> {
        let mut keys = keys.iter();
        let read = |byte: &mut [u8; 1]| {
            Ok(keys.next().map_or(0, |key| {
                usize::from({
                    byte[0] = *key;
                    true
                })
            }))
        };
        typed_line(read).map(|line| line.expose().to_vec())
    }

    #[test]
    fn a_typed_line_ends_with_enter_and_can_be_corrected() {
        assert_eq!(typed(b"secret\n").unwrap(), b"secret");
        assert_eq!(typed(b"secret\r").unwrap(), b"secret");
        assert_eq!(typed(b"secrets\x7f\n").unwrap(), b"secret");
        assert_eq!(typed("naïé\x7f\x7fve\n".as_bytes()).unwrap(), b"nave");
        assert_eq!(typed(b"wrong\x15right\n").unwrap(), b"right");
        assert_eq!(typed(b"\x7f\x7f\n").unwrap(), b"");
        assert_eq!(typed(b" s \n").unwrap(), b" s ");
        assert_eq!(typed(b"secret\x04").unwrap(), b"secret");
    }

    #[test]
    fn ctrl_c_and_a_vanished_terminal_interrupt() {
        for keys in [&b"sec\x03"[..], b"sec\x1c", b"\x04", b"sec"] {
            assert!(matches!(typed(keys), Err(PromptError::Interrupted)), "{keys:?}");
        }
    }

    #[test]
    fn a_typed_line_has_a_limit() {
        let mut keys = vec![b'x'; MAX_LINE_BYTES];
        keys.push(b'\n');
        assert_eq!(typed(&keys).unwrap().len(), MAX_LINE_BYTES);
        keys.insert(0, b'x');
        assert!(matches!(typed(&keys), Err(PromptError::Read(ReadSecretError::TooLong { .. }))));
    }

    #[test]
    fn a_new_password_counts_characters_not_bytes() {
        let text = |text: &str| long_enough(SecretText::new(text.into()));
        assert!(text("twelve chars").is_ok());
        assert!(text("двенадцать!!").is_ok());
        assert!(matches!(text("eleven char"), Err(PromptError::TooShort)));
        assert!(matches!(text("ключключ"), Err(PromptError::TooShort)));
    }
}
