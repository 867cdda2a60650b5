//! `credential`: API keys of exchanges. Their secrets go in and never come out.

use crate::cli::connect::item_path;
use crate::cli::context::Context;
use crate::cli::import;
use crate::cli::prompt::Source;
use crate::cli::report::Failure;
use crate::cli::table::{pairs, table};
use crate::secret::SecretBytes;
use crate::secret::read::read_secret_to_end;
use crate::wire::{CredentialCard, CredentialChanged, CredentialEdit, CredentialSecrets, Object};
use notes::{Notes, given, send};
use std::io;

pub mod notes;

/// The longest JSON object with the secrets of a credential, in bytes.
const MAX_SECRETS_BYTES: usize = 64 * 1024;

/// `credential`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Add a credential
    Add(Add),
    /// List the credentials
    List,
    /// Show one credential, without its secrets
    Show {
        /// The credential
        name: String,
    },
    /// Change what is noted about a credential; its secrets stay
    Edit(Edit),
    /// Replace the secrets of a credential
    Rotate {
        /// The credential
        name: String,
        /// Read {"api_key", "secret", "passphrase"} as one JSON object from standard input
        #[arg(long)]
        stdin: bool,
    },
    /// Remove a credential
    Remove {
        /// The credential
        name: String,
    },
    /// Add a credential out of another program's file
    Import(import::Args),
}

/// `credential add`
#[derive(Debug, clap::Args)]
pub struct Add {
    /// The name that bots will use
    pub name: String,
    /// The exchange
    #[arg(long)]
    pub exchange: String,
    /// Read {"api_key", "secret", "passphrase"} as one JSON object from standard input
    #[arg(long)]
    pub stdin: bool,
    /// What is noted about it.
    #[command(flatten)]
    pub notes: Notes,
}

/// `credential edit`
#[derive(Debug, clap::Args)]
pub struct Edit {
    /// The credential
    pub name: String,
    /// A new name
    #[arg(long, value_name = "NAME")]
    pub rename: Option<String>,
    /// What is noted about it.
    #[command(flatten)]
    pub notes: Notes,
}

/// Does what was asked with credentials.
pub fn run(command: Command, context: &Context) -> Result<(), Failure> {
    match command {
        Command::Add(args) => add(args, context),
        Command::List => {
            let cards: Vec<CredentialCard> = context.admin().get("/v1/credentials")?;
            context.report.data(&cards, |cards| listed(cards))
        }
        Command::Show { name } => {
            let shown: CredentialChanged = context.admin().get(&item_path("/v1/credentials", &name))?;
            context.report.data(&shown.credential, card)?;
            context.report.warnings(&shown.warnings);
            Ok(())
        }
        Command::Edit(args) => edit(args, context),
        Command::Rotate { name, stdin } => {
            let secrets = secrets(Source::chosen(stdin)?)?;
            let path = item_path("/v1/credentials", &name) + "/rotate";
            told(&context.admin().post(&path, &secrets)?, context)
        }
        Command::Remove { name } => told(&context.admin().delete(&item_path("/v1/credentials", &name))?, context),
        Command::Import(args) => import::run(args, context),
    }
}

fn add(args: Add, context: &Context) -> Result<(), Failure> {
    let source = Source::chosen(args.stdin)?;
    let secrets = secrets(source)?;
    let notes = if source == Source::Terminal { args.notes.asked_for()? } else { args.notes };
    told(&send(args.name, args.exchange, secrets, notes, context)?, context)
}

fn edit(args: Edit, context: &Context) -> Result<(), Failure> {
    let edit = CredentialEdit {
        name: args.rename,
        label: args.notes.label,
        environment: args.notes.environment,
        region: args.notes.region,
        permissions: given(args.notes.permissions),
        ips: given(args.notes.ips),
        base_url: args.notes.base_url,
        idle_days: args.notes.idle_days,
    };
    let says_nothing = serde_json::to_value(&edit).is_ok_and(|edit| edit.as_object().is_some_and(|map| map.is_empty()));
    if says_nothing {
        return Err(Failure::usage(
            "nothing to change",
            "name what changes, for example --label; --help shows what there is",
        ));
    }
    told(&context.admin().patch(&item_path("/v1/credentials", &args.name), &edit)?, context)
}

/// The three secrets, asked for one by one or read as one object.
fn secrets(source: Source) -> Result<CredentialSecrets, Failure> {
    match source {
        Source::Stdin => parsed(&read_secret_to_end(io::stdin(), MAX_SECRETS_BYTES)?),
        Source::Terminal => Ok(CredentialSecrets {
            api_key: source.secret_text("API key: ")?,
            secret: source.secret_text("Secret key: ")?,
            passphrase: source.secret_text("Passphrase: ")?,
        }),
    }
}

fn parsed(json: &SecretBytes) -> Result<CredentialSecrets, Failure> {
    // EXPOSE: parsed into types that wipe themselves. The parser's message is dropped: it may quote a member's name, and
    // a secret can stand in the wrong place.
    let object: Result<Object<CredentialSecrets>, _> = serde_json::from_slice(json.expose());
    object.map(|Object(secrets)| secrets).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        Failure::failed(
            format!("standard input is not the expected JSON object ({place})"),
            r#"it has exactly these members, each a string: {"api_key": "…", "secret": "…", "passphrase": "…"}"#,
        )
    })
}

/// Success is quiet, but what there is to know about a key is said.
fn told(changed: &CredentialChanged, context: &Context) -> Result<(), Failure> {
    context.report.warnings(&changed.warnings);
    context.report.data(changed, |_| String::new())
}

fn listed(cards: &[CredentialCard]) -> String {
    let row = |card: &CredentialCard| {
        [
            card.name.clone(),
            card.exchange.clone(),
            card.environment.to_string(),
            card.region.clone(),
            card.api_key.clone(),
            card.permissions.join(","),
            card.last_used.clone().unwrap_or_else(|| "never".to_owned()),
            card.label.clone().unwrap_or_default(),
        ]
    };
    let headings = ["NAME", "EXCHANGE", "ENVIRONMENT", "REGION", "API KEY", "PERMISSIONS", "LAST USED", "LABEL"];
    table(headings, &cards.iter().map(row).collect::<Vec<_>>())
}

fn card(card: &CredentialCard) -> String {
    pairs(&[
        ("name", card.name.clone()),
        ("exchange", card.exchange.clone()),
        ("label", card.label.clone().unwrap_or_default()),
        ("environment", card.environment.to_string()),
        ("region", card.region.clone()),
        ("base url", card.base_url.clone()),
        ("api key", card.api_key.clone()),
        ("permissions", card.permissions.join(", ")),
        ("bound to", card.ips.join(", ")),
        ("created", card.created.clone()),
        ("last used", card.last_used.clone().unwrap_or_else(|| "never".to_owned())),
        ("idle days", card.idle_days.map(|days| days.to_string()).unwrap_or_default()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<CredentialSecrets, Failure> {
        parsed(&SecretBytes::new(json.as_bytes().to_vec()))
    }

    #[test]
    fn the_secrets_are_one_object() {
        let secrets = read("{\"api_key\": \"k\", \"secret\": \"s\\u0041\", \"passphrase\": \"p\"}\n").unwrap();
        assert_eq!(secrets.secret.expose(), "sA");
    }

    #[test]
    fn anything_else_is_refused_without_being_repeated() {
        let wrong = [
            r#"["hunter2","hunter2","hunter2"]"#,
            r#"{"api_key":"hunter2","secret":"hunter2"}"#,
            r#"{"api_key":"a","secret":"b","passphrase":"c","hunter2":"d"}"#,
            r#"{"api_key":"a","secret":"b","passphrase":"c","secret":"hunter2"}"#,
            r#"{"api_key":"a","secret":{"hunter2":1},"passphrase":"c"}"#,
            r#""hunter2""#,
            "hunter2",
            "",
        ];
        for json in wrong {
            let failure = read(json).err().unwrap();
            assert!(!format!("{failure:?}").contains("hunter2"), "{failure:?}");
        }
    }
}
