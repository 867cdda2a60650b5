//! `generate`: man pages and completions, out of the same definitions that parse the command line.

use crate::cli::report::{Failure, print};
use clap_complete::Shell;
use std::io;
use std::path::{Path, PathBuf};

/// `generate`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Write man pages
    Man {
        /// Write a page for every command into this directory, instead of the main one to standard output
        #[arg(long, value_name = "DIR")]
        out_dir: Option<PathBuf>,
    },
    /// Write completions for a shell
    Completions {
        /// The shell
        shell: CompletedShell,
    },
}

/// The shells that completions are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum CompletedShell {
    /// bash
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

/// Writes what was asked for about the command line with this definition.
pub fn run(command: Command, definition: clap::Command) -> Result<(), Failure> {
    match command {
        Command::Man { out_dir: None } => {
            print(&main_page(definition).map_err(|error| cannot_write("standard output", &error))?).map(drop)
        }
        Command::Man { out_dir: Some(dir) } => {
            pages(&dir, definition).map_err(|error| cannot_write(&dir.display().to_string(), &error))
        }
        Command::Completions { shell } => print(&completions(shell, definition)).map(drop),
    }
}

fn main_page(definition: clap::Command) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(definition).render(&mut page)?;
    Ok(page)
}

fn pages(dir: &Path, definition: clap::Command) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    clap_mangen::generate_to(definition, dir)
}

fn completions(shell: CompletedShell, mut definition: clap::Command) -> Vec<u8> {
    let shell = match shell {
        CompletedShell::Bash => Shell::Bash,
        CompletedShell::Zsh => Shell::Zsh,
        CompletedShell::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut definition, "signvault", &mut script);
    script
}

fn cannot_write(place: &str, error: &io::Error) -> Failure {
    Failure::failed(format!("cannot write to {place}: {error}"), "check that it is there and yours")
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::cli::Cli;
    use clap::CommandFactory;

    #[test]
    fn every_command_has_a_page() {
        let dir = tempfile::tempdir().unwrap();
        pages(dir.path(), Cli::command()).unwrap();
        for page in
            ["signvault.1", "signvault-init.1", "signvault-policy-reference-set.1", "signvault-slot-add-key-file.1"]
        {
            assert!(dir.path().join(page).exists(), "{page}");
        }
        assert!(String::from_utf8(main_page(Cli::command()).unwrap()).unwrap().contains(".TH signvault"));
    }

    #[test]
    fn completions_are_made_for_each_shell() {
        for shell in [CompletedShell::Bash, CompletedShell::Zsh, CompletedShell::Fish] {
            let script = String::from_utf8(completions(shell, Cli::command())).unwrap();
            // The values of an argument without a flag are not among what clap_complete writes for fish.
            let modes: &[&str] = if shell == CompletedShell::Fish { &[] } else { &["reduce-only", "cancel-only"] };
            for word in ["accept-rollback", "reference"].iter().chain(modes) {
                assert!(script.contains(word), "{shell:?} {word}");
            }
        }
    }
}
