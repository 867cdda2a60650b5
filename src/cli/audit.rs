//! `audit`: the ledger, read, verified and pruned. Every row's text is shown as the chain covers it.

mod offline;

use crate::cli::connect::{Admin, percent_encoded};
use crate::cli::context::Context;
use crate::cli::report::{Exit, Failure, Form, Reader, print, visible};
use crate::types::clock::{Clock, SystemClock, UnixMs};
use crate::types::duration::parse_seconds;
use crate::wire::audit::{
    AuditCheckpoint, AuditKey, AuditPage, AuditPrune, AuditPruned, AuditQuery, AuditRow, AuditVerified,
};
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// How often `tail -f` asks for new rows.
const FOLLOW_EVERY: Duration = Duration::from_millis(500);
/// The most rows in one page.
const PAGE_ROWS: u32 = 1000;

/// `audit`
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Show the newest rows
    Tail {
        /// How many rows
        #[arg(short = 'n', long = "lines", value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        lines: u32,
        /// Wait for more rows and show them as they come
        #[arg(short, long)]
        follow: bool,
    },
    /// Show the newest rows that are about something
    List(List),
    /// Check that no row was changed, taken out or put in: in the vault, or in an export without any vault
    Verify {
        /// An export to check; it needs no daemon
        #[arg(value_name = "FILE", requires = "public_key")]
        file: Option<PathBuf>,
        /// The file with the vault's public key, as `audit public-key` prints it
        #[arg(long, value_name = "FILE", requires = "file")]
        public_key: Option<PathBuf>,
    },
    /// Write every row as a line of JSON: {"seq", "head", "body"}; the vault signs them first
    Export,
    /// Take out old rows; limits and client ids need those of the last 7 days, so these stay
    Prune {
        /// Rows from before this time: 2026-01-02T03:04:05Z, or 30d for what is older than 30 days
        #[arg(long, value_name = "TIME", value_parser = parse_since)]
        before: Since,
    },
    /// Print the public key that checks the signatures in an export, as one line of 64 hex digits
    PublicKey,
}

/// `audit list`
#[derive(Debug, clap::Args)]
pub struct List {
    /// Only this bot's rows
    #[arg(long, value_name = "NAME")]
    pub bot: Option<String>,
    /// Only rows that name this credential
    #[arg(long, value_name = "NAME")]
    pub credential: Option<String>,
    /// Only rows from this time on: 2026-01-02T03:04:05Z, or 24h for the last day
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    pub since: Option<Since>,
    /// Only denials. What a rate or a limit turned away is in none of them: rows `refused` count it, once a minute
    #[arg(long)]
    pub denied: bool,
    /// At most this many rows
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
}

/// Where a list begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// At a moment.
    Moment(UnixMs),
    /// So many seconds ago.
    SecondsAgo(u64),
}

fn parse_since(text: &str) -> Result<Since, &'static str> {
    let moment = UnixMs::parse_rfc3339(text).map(Since::Moment);
    let since = moment.or_else(|| parse_seconds(text).ok().map(Since::SecondsAgo));
    since.ok_or("a time is 2026-01-02T03:04:05Z, or 24h for the last day")
}

impl Since {
    fn moment(self, now: UnixMs) -> UnixMs {
        match self {
            Since::Moment(moment) => moment,
            Since::SecondsAgo(seconds) => now.plus_ms(-i64::try_from(seconds).unwrap_or(0).saturating_mul(1000)),
        }
    }
}

/// Does what was asked with the ledger.
pub fn run(command: Command, context: &Context) -> Result<(), Failure> {
    let admin = context.admin();
    match command {
        Command::Tail { lines, follow } => tail(lines, follow, &admin, context),
        Command::List(list) => {
            let page = page(&admin, &list.query())?;
            context.report.data(&page.rows, |rows| rows.iter().map(line).collect())
        }
        Command::Verify { file: Some(file), public_key: Some(key) } => offline::run(&file, &key, context),
        Command::Verify { .. } => {
            let verified: AuditVerified = admin.get("/v1/audit/verify")?;
            context.report.data(&verified, |verified| {
                format!(
                    "{} rows verified, {} to {}, head {}\n",
                    verified.rows, verified.first, verified.last, verified.head
                )
            })
        }
        Command::Export => export(&admin, context),
        Command::Prune { before } => prune(before, &admin, context),
        Command::PublicKey => {
            let key: AuditKey = admin.get("/v1/audit/key")?;
            context.report.data(&key, |key| format!("{}\n", key.key))
        }
    }
}

impl List {
    fn query(self) -> AuditQuery {
        AuditQuery {
            newest: Some(true),
            limit: Some(self.limit),
            bot: self.bot,
            credential: self.credential,
            since: self.since.map(|since| since.moment(SystemClock.now().wall).to_string()),
            denied: self.denied.then_some(true),
            after: None,
        }
    }
}

fn tail(lines: u32, follow: bool, admin: &Admin, context: &Context) -> Result<(), Failure> {
    let newest = AuditQuery { newest: Some(true), limit: Some(lines), ..AuditQuery::default() };
    let mut rows = page(admin, &newest)?.rows;
    let mut last = 0;
    loop {
        let reader = show(&rows, context)?;
        last = rows.last().map_or(last, |row| row.seq);
        if !follow || reader == Reader::Gone {
            return Ok(());
        }
        if rows.is_empty() {
            std::thread::sleep(FOLLOW_EVERY);
        }
        let next = AuditQuery { after: Some(last), limit: Some(PAGE_ROWS), ..AuditQuery::default() };
        rows = page(admin, &next)?.rows;
    }
}

/// Row by row, since more may come: in JSON form a line each.
fn show(rows: &[AuditRow], context: &Context) -> Result<Reader, Failure> {
    let text: String = match context.report.form {
        Form::Words => rows.iter().map(line).collect(),
        Form::Json => rows.iter().map(json_line).collect::<Result<_, _>>()?,
    };
    print(text.as_bytes())
}

/// Takes out old rows, a request at a time, and says how far it is.
fn prune(before: Since, admin: &Admin, context: &Context) -> Result<(), Failure> {
    let request = AuditPrune { before: before.moment(SystemClock.now().wall).to_string() };
    let mut rows = 0;
    loop {
        let pruned: AuditPruned = admin.post("/v1/audit/prune", &request)?;
        rows += pruned.rows;
        if pruned.is_done {
            let all = AuditPruned { rows, ..pruned };
            return context
                .report
                .data(&all, |all| format!("{} rows pruned, the first that is kept is {}\n", all.rows, all.first));
        }
        context.report.note(&format!("{rows} rows so far, the first that is left is {}", pruned.first));
    }
}

fn export(admin: &Admin, context: &Context) -> Result<(), Failure> {
    let signed: Result<AuditCheckpoint, _> = admin.post("/v1/audit/checkpoint", &json!({}));
    if let Err(error) = signed {
        let why = Failure::from(error);
        if why.exit == Exit::Locked {
            return Err(why);
        }
        context.report.warnings(&[format!("the newest rows are exported unsigned: {}", why.what)]);
    }
    let mut after = Some(0);
    while after.is_some() {
        let page = page(admin, &AuditQuery { after, limit: Some(PAGE_ROWS), ..AuditQuery::default() })?;
        let lines: String = page.rows.iter().map(json_line).collect::<Result<_, _>>()?;
        after = match print(lines.as_bytes())? {
            Reader::There => page.next_after,
            Reader::Gone => None,
        };
    }
    Ok(())
}

fn page(admin: &Admin, query: &AuditQuery) -> Result<AuditPage, Failure> {
    Ok(admin.get(&format!("/v1/audit{}", query_string(query)))?)
}

/// `?after=1&limit=2` out of the members that are set, each of which is a plain value.
fn query_string(query: &AuditQuery) -> String {
    let members = serde_json::to_value(query).ok().and_then(|value| value.as_object().cloned()).unwrap_or_default();
    let pair = |(name, value): (&String, &Value)| format!("{name}={}", percent_encoded(&plain(value)));
    let pairs: Vec<String> = members.iter().map(pair).collect();
    if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
}

fn json_line(row: &AuditRow) -> Result<String, Failure> {
    let json = serde_json::to_string(row).map_err(|_| Failure::failed("cannot write a row as json", ""))?;
    Ok(json + "\n")
}

/// A row for a person: its number, when, what, and the rest as it stands there, hashes and the boot clock left out.
fn line(row: &AuditRow) -> String {
    let body: Map<String, Value> = serde_json::from_str(&row.body).unwrap_or_default();
    let head = ["time", "event", "decision", "code"];
    let first = head.iter().filter_map(|name| body.get(*name)).map(plain);
    let told = |name: &str| !head.contains(&name) && name != "boot_ms" && !name.ends_with("_sha256");
    let rest = body.iter().filter(|(name, _)| told(name)).map(|(name, value)| format!("{name}={}", plain(value)));
    let words: Vec<String> = std::iter::once(row.seq.to_string()).chain(first).chain(rest).collect();
    visible(&words.join("  ")).replace('\n', "\\n") + "\n"
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_holds_what_is_set_and_nothing_else() {
        assert_eq!(query_string(&AuditQuery::default()), "");
        let query = AuditQuery {
            newest: Some(true),
            limit: Some(5),
            bot: Some("a&b".into()),
            since: Some("2026-01-02T03:04:05.000Z".into()),
            ..AuditQuery::default()
        };
        assert_eq!(query_string(&query), "?newest=true&limit=5&bot=a%26b&since=2026-01-02T03%3A04%3A05.000Z");
    }

    #[test]
    fn a_row_is_one_line_for_a_person() {
        let body = r#"{"time":"T","boot_ms":5,"event":"sign","decision":"deny","code":"policy.grant","bot":"grid","body_sha256":"00"}"#;
        let row = AuditRow { seq: 7, head: "ff".into(), body: body.into() };
        assert_eq!(line(&row), "7  T  sign  deny  policy.grant  bot=grid\n");
        assert_eq!(json_line(&row).unwrap().lines().count(), 1);
        let strange = AuditRow { seq: 8, head: "ff".into(), body: "{\"event\":\"\\u001b[2J\\n\"}".into() };
        assert_eq!(line(&strange), "8  \\u{1b}[2J\\n\n");
    }

    #[test]
    fn a_list_begins_at_a_moment_or_so_long_ago() {
        assert_eq!(parse_since("1970-01-01T00:00:01Z"), Ok(Since::Moment(UnixMs(1000))));
        assert_eq!(parse_since("1m").map(|since| since.moment(UnixMs(100_000))), Ok(UnixMs(40_000)));
        assert!(parse_since("yesterday").is_err());
    }
}
