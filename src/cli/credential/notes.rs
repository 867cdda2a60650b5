//! What is noted about a credential besides its secrets, from flags or from answers.

use crate::cli::context::Context;
use crate::cli::prompt::{PromptError, Terminal};
use crate::cli::report::Failure;
use crate::types::credential::Environment;
use crate::wire::{CredentialAdd, CredentialChanged, CredentialSecrets};
use clap::builder::{PossibleValuesParser, TypedValueParser};

/// What is noted about a credential: nothing of it is secret.
#[derive(Debug, Default, clap::Args)]
pub struct Notes {
    /// What the exchange calls the key, or any other remark
    #[arg(long)]
    pub label: Option<String>,
    /// Whether it trades with money [default: live]
    #[arg(long, value_parser = PossibleValuesParser::new(["live", "demo"]).map(environment))]
    pub environment: Option<Environment>,
    /// The exchange's site [default: the recipe's first]
    #[arg(long)]
    pub region: Option<String>,
    /// The key's permissions at the exchange, with commas between them
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub permissions: Option<Vec<String>>,
    /// An address that the key is bound to: IPv4, IPv6, CIDR or first-last; may be repeated
    #[arg(long = "ip", value_name = "IP")]
    pub ips: Option<Vec<String>>,
    /// Another base URL than the recipe's
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// After how many idle days the exchange deletes the key [default: the recipe's]
    #[arg(long, value_name = "N")]
    pub idle_days: Option<u32>,
}

impl Notes {
    /// These notes, with what no flag said asked for.
    pub fn asked_for(self) -> Result<Notes, PromptError> {
        let mut terminal = Terminal::open()?;
        let environment = match self.environment {
            Some(environment) => environment,
            None => asked_environment(&mut terminal)?,
        };
        let mut ask = |said: Option<String>, question| said.map_or_else(|| terminal.line(question, ""), Ok).map(Some);
        let mut list = |said: Option<Vec<String>>, question| {
            let answer = ask(said.map(|list| list.join(",")), question)?;
            Ok::<_, PromptError>(answer.map(|answer| answer.split(',').map(str::to_owned).collect()))
        };
        let permissions = list(self.permissions, "Its permissions at the exchange, such as read,trade")?;
        let ips = list(self.ips, "The addresses that it is bound to, with commas between them")?;
        let region = ask(self.region, "Region, empty for the exchange's usual one")?;
        let label = ask(self.label, "Label")?;
        Ok(Notes { label, environment: Some(environment), region, permissions, ips, ..self })
    }
}

/// Has the daemon add a credential.
pub fn send(
    name: String,
    exchange: String,
    secrets: CredentialSecrets,
    notes: Notes,
    context: &Context,
) -> Result<CredentialChanged, Failure> {
    let add = CredentialAdd {
        name,
        exchange,
        secrets,
        label: notes.label.filter(|label| !label.is_empty()),
        environment: notes.environment.unwrap_or(Environment::Live),
        region: notes.region.filter(|region| !region.is_empty()),
        permissions: given(notes.permissions).unwrap_or_default(),
        ips: given(notes.ips).unwrap_or_default(),
        base_url: notes.base_url.filter(|url| !url.is_empty()),
        idle_days: notes.idle_days,
    };
    Ok(context.admin().post("/v1/credentials", &add)?)
}

/// The list as meant: `--ip ""` is how an edit says "none".
pub fn given(list: Option<Vec<String>>) -> Option<Vec<String>> {
    list.map(|list| list.iter().map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect())
}

/// One of the two words, which are the only ones that get here.
fn environment(word: String) -> Environment {
    if word == Environment::Demo.as_str() { Environment::Demo } else { Environment::Live }
}

/// Asks until the answer is one of the two words: a typing error must not turn a demo key into a live one.
fn asked_environment(terminal: &mut Terminal) -> Result<Environment, PromptError> {
    loop {
        let answer = terminal.line("Environment, live or demo", Environment::Live.as_str())?;
        let known = [Environment::Live, Environment::Demo].into_iter().find(|known| known.as_str() == answer);
        if let Some(environment) = known {
            return Ok(environment);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_flag_means_none() {
        assert_eq!(given(Some(vec![String::new()])), Some(vec![]));
        assert_eq!(given(Some(vec![" read".into(), "trade".into()])), Some(vec!["read".into(), "trade".into()]));
        assert_eq!(given(None), None);
    }
}
