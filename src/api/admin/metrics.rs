//! `GET /metrics`: what monitors read, in the text form of OpenMetrics 1.0. The vault gives numbers; here they get names.
//!
//! Every name, with its labels and what it means, stands in one table, which `docs/metrics.md` repeats. Labels are names that
//! an admin gave to bots and credentials, and words of this program: nothing that a bot sends is one.

use crate::api::answers::ENDS;
use crate::api::app::App;
use crate::api::error::Problem;
use crate::api::health::checks;
use crate::types::histogram::{BOUNDS_NS, Counted};
use crate::types::mode::Mode;
use crate::vault::figures::{Figures, OfBot, OfCredential, OfLedger, OfUnlocked};
use crate::vault::whoami::Position;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What the answer is, to those who read it.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// How long the answer waits for a helper before it is made without one: a disk that hangs keeps them all.
const HELPER_WAIT: Duration = Duration::from_secs(1);

/// One name, and what is told under it.
pub struct Family {
    /// The name; a counter's samples end in `_total`.
    pub name: &'static str,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
    kind: MetricType,
    write: fn(&Page, MetricEncoder<'_>) -> fmt::Result,
}

/// Everything that one answer tells.
#[derive(Debug)]
struct Page {
    figures: Figures,
    position: Option<Position>,
    checks: BTreeMap<&'static str, bool>,
    ends: [u64; ENDS.len()],
    times: Counted,
    refusals: BTreeMap<&'static str, u64>,
    connections: u64,
    waiting: usize,
}

/// What there is to tell a monitor. Answers while the vault is locked, with what is known then.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "admin",
    responses((status = 200, description = "OpenMetrics 1.0", content_type = "application/openmetrics-text", body = String))
)]
pub async fn metrics(State(app): State<App>) -> Result<Response, Problem> {
    // A large vault has many lines, and this thread has signatures to make.
    let aside = tokio::task::spawn_blocking({
        let app = app.clone();
        move || Page::of(&app).text()
    });
    let text = match tokio::time::timeout(HELPER_WAIT, aside).await {
        Ok(written) => written.map_err(|_| Problem::internal())?,
        Err(_) => Page::of(&app).text(),
    };
    let text = text.map_err(|_| Problem::internal())?;
    let mut response = text.into_response();
    response.headers_mut().insert(CONTENT_TYPE, OPEN_METRICS);
    Ok(response)
}

impl Family {
    /// `gauge`, `counter` or `histogram`.
    pub fn kind(&self) -> &str {
        self.kind.as_str()
    }
}

impl Page {
    fn of(app: &App) -> Page {
        let answers = app.signer.answers();
        Page {
            figures: app.vault.figures(),
            position: app.vault.position(),
            checks: checks(app).into_iter().map(|(name, check)| (name, check == true)).collect(),
            ends: answers.ends(),
            times: answers.times(),
            refusals: app.counts.in_all(),
            connections: app.counts.connections(),
            waiting: app.signer.waiting(),
        }
    }

    fn text(self) -> Result<String, fmt::Error> {
        let (mut text, mut registry) = (String::new(), Registry::default());
        registry.register_collector(Box::new(self));
        encode(&mut text, &registry)?;
        Ok(text)
    }

    fn credentials(&self) -> impl Iterator<Item = &OfCredential> {
        self.figures.unlocked.iter().flat_map(|unlocked| &unlocked.credentials)
    }

    fn bots(&self) -> impl Iterator<Item = &OfBot> {
        self.figures.unlocked.iter().flat_map(|unlocked| &unlocked.bots)
    }
}

impl Collector for Page {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        FAMILIES.iter().try_for_each(|family| {
            let metric = encoder.encode_descriptor(family.name, family.help, None, family.kind)?;
            (family.write)(self, metric)
        })
    }
}

/// Every name, in the order of the answer.
pub const FAMILIES: [Family; 25] = [
    gauge("signvault_build_info", &["version"], "Always 1; the label says which version runs.", |_, metric| {
        each(metric, [([("version", env!("CARGO_PKG_VERSION"))], 1)])
    }),
    gauge("signvault_initialized", &[], "Whether there is a vault.", |page, metric| {
        one(metric, Some(i64::from(page.figures.is_initialized)))
    }),
    gauge("signvault_locked", &[], "Whether the vault is locked: nothing is signed then.", |page, metric| {
        one(metric, Some(i64::from(page.position.is_none())))
    }),
    gauge("signvault_ready", &[], "Whether every check of GET /ready holds.", |page, metric| {
        one(metric, Some(i64::from(page.checks.values().all(|holds| *holds))))
    }),
    gauge(
        "signvault_check",
        &["check"],
        "1 when the check holds, 0 when not or when it is not known.",
        |page, metric| each(metric, page.checks.iter().map(|(name, holds)| ([("check", *name)], i64::from(*holds)))),
    ),
    gauge("signvault_mode", &["mode"], "1 for how much everyone may do now, 0 for the others.", |page, metric| {
        let modes = page
            .position
            .iter()
            .flat_map(|position| Mode::ALL.map(|mode| ([("mode", mode.as_str())], i64::from(mode == position.mode))));
        each(metric, modes)
    }),
    gauge(
        "signvault_clock_offset_seconds",
        &[],
        "How far the wall clock is ahead of the boot clock since it was last taken for right.",
        |page, metric| {
            one(
                metric,
                page.figures.unlocked.as_ref().map(|OfUnlocked { clock_offset_ms, .. }| {
                    let seconds = Duration::from_millis(clock_offset_ms.unsigned_abs()).as_secs_f64();
                    if *clock_offset_ms < 0 { -seconds } else { seconds }
                }),
            )
        },
    ),
    gauge("signvault_state_version", &[], "How often the vault has changed.", |page, metric| {
        one(metric, page.position.as_ref().map(|position| whole(position.state_version)))
    }),
    gauge("signvault_ledger_sequence", &[], "The last durable row of the ledger.", |page, metric| {
        one(metric, page.position.as_ref().map(|position| whole(position.audit_sequence)))
    }),
    gauge("signvault_ledger_rows", &[], "Rows that the ledger keeps.", |page, metric| {
        one(metric, page.figures.ledger.as_ref().map(|ledger| whole(ledger.rows)))
    }),
    gauge("signvault_ledger_backlog_rows", &[], "Rows that are still to be verified.", |page, metric| {
        one(metric, page.position.as_ref().map(|position| whole(position.audit_backlog)))
    }),
    gauge("signvault_ledger_queue", &[], "Batches of rows that wait for the disk.", |page, metric| {
        one(metric, page.figures.ledger.as_ref().map(|OfLedger { waiting, .. }| whole(*waiting as u64)))
    }),
    gauge("signvault_credentials", &[], "Credentials in the vault.", |page, metric| {
        one(metric, page.position.as_ref().map(|position| whole(position.credentials as u64)))
    }),
    gauge("signvault_bots", &[], "Bots whose token works.", |page, metric| {
        one(metric, page.position.as_ref().map(|position| whole(position.bots as u64)))
    }),
    gauge(
        "signvault_credential_idle_days_left",
        &["credential"],
        "Days until the exchange deletes the key unless it is used; 0 and less when it may be gone.",
        |page, metric| {
            let left = page.credentials().filter_map(|found| Some((found, found.idle_days_left?)));
            each(metric, left.map(|(found, days)| ([("credential", found.name.as_str())], days)))
        },
    ),
    gauge(
        "signvault_credential_last_used_age_seconds",
        &["credential"],
        "How long ago the credential last signed.",
        |page, metric| {
            let used = page.credentials().filter_map(|found| Some((found, found.last_used_ms?)));
            each(metric, used.map(|(found, ms)| ([("credential", found.name.as_str())], whole(ms / 1000))))
        },
    ),
    gauge(
        "signvault_bot_last_seen_age_seconds",
        &["bot"],
        "How long ago the bot's token was last accepted; none when not since the unlock.",
        |page, metric| {
            let seen = page.bots().filter_map(|bot| Some((bot, bot.last_seen_ms?)));
            each(metric, seen.map(|(bot, ms)| ([("bot", bot.name.as_str())], whole(ms / 1000))))
        },
    ),
    gauge(
        "signvault_bot_token_expires_in_seconds",
        &["bot"],
        "In how many seconds the bot's token stops working; none when it does not.",
        |page, metric| {
            let expiring = page.bots().filter_map(|bot| Some((bot, bot.expires_in_ms?)));
            each(metric, expiring.map(|(bot, ms)| ([("bot", bot.name.as_str())], whole(ms / 1000))))
        },
    ),
    gauge("signvault_connections", &[], "Open connections, of bots and admins.", |page, metric| {
        one(metric, Some(whole(page.connections)))
    }),
    gauge("signvault_asks_waiting", &[], "Requests that wait for their turn to be signed.", |page, metric| {
        one(metric, Some(whole(page.waiting as u64)))
    }),
    Family {
        name: "signvault_decisions",
        labels: &["bot", "credential", "class", "decision"],
        help: "Asks by how they were decided: allowed, or the family of the code that denied. From zero with each unlock.",
        kind: MetricType::Counter,
        write: decisions,
    },
    Family {
        name: "signvault_asks",
        labels: &["end"],
        help: "Asks by what they came to. From zero with each start of the daemon, like what follows.",
        kind: MetricType::Counter,
        write: |page, metric| counts(metric, ENDS.iter().zip(page.ends).map(|(end, count)| ([("end", *end)], count))),
    },
    Family {
        name: "signvault_refusals",
        labels: &["code"],
        help: "Requests that were refused before a bot was known, by code.",
        kind: MetricType::Counter,
        write: |page, metric| {
            // The rate and the limits are a known bot's: they are among its decisions.
            let refusals = page.refusals.iter().filter(|(code, _)| !code.starts_with("policy."));
            counts(metric, refusals.map(|(code, count)| ([("code", *code)], *count)))
        },
    },
    Family {
        name: "signvault_sign_seconds",
        labels: &[],
        help: "How long a request to sign took, from its last byte to its answer. A batch counts once.",
        kind: MetricType::Histogram,
        write: |page, metric| histogram(metric, &page.times),
    },
    Family {
        name: "signvault_ledger_commit_seconds",
        labels: &[],
        help: "How long a transaction of the ledger took, with all rows that waited for it. From zero with each unlock.",
        kind: MetricType::Histogram,
        write: |page, metric| match &page.figures.ledger {
            Some(ledger) => histogram(metric, &ledger.commits),
            None => Ok(()),
        },
    },
];

const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    write: fn(&Page, MetricEncoder<'_>) -> fmt::Result,
) -> Family {
    Family { name, labels, help, kind: MetricType::Gauge, write }
}

/// One sample without labels, or none when it is not known.
fn one(mut metric: MetricEncoder<'_>, value: Option<impl EncodeGaugeValue>) -> fmt::Result {
    value.map_or(Ok(()), |value| metric.encode_gauge(&value))
}

/// One sample for each set of labels.
fn each(
    mut metric: MetricEncoder<'_>,
    samples: impl IntoIterator<Item = (impl EncodeLabelSet, impl EncodeGaugeValue)>,
) -> fmt::Result {
    samples.into_iter().try_for_each(|(labels, value)| metric.encode_family(&labels)?.encode_gauge(&value))
}

/// One count for each set of labels.
fn counts(mut metric: MetricEncoder<'_>, samples: impl IntoIterator<Item = (impl EncodeLabelSet, u64)>) -> fmt::Result {
    let mut samples = samples.into_iter();
    samples.try_for_each(|(labels, count)| {
        metric.encode_family(&labels)?.encode_counter::<NoLabelSet, u64, u64>(&count, None)
    })
}

fn decisions(page: &Page, metric: MetricEncoder<'_>) -> fmt::Result {
    let decided = page.bots().flat_map(|bot| bot.decisions.iter().map(move |decided| (bot, decided)));
    let samples = decided.map(|(bot, decided)| {
        let labels = [
            ("bot", bot.name.as_str()),
            ("credential", decided.credential.as_deref().unwrap_or_default()),
            ("class", decided.class.as_str()),
            ("decision", decided.outcome.as_str()),
        ];
        (labels, decided.count)
    });
    counts(metric, samples)
}

fn histogram(mut metric: MetricEncoder<'_>, counted: &Counted) -> fmt::Result {
    let seconds = |ns: u64| Duration::from_nanos(ns).as_secs_f64();
    let bounds = BOUNDS_NS.into_iter().map(seconds).chain([f64::INFINITY]);
    let steps: Vec<_> = bounds.zip(counted.counts).collect();
    let all = counted.counts.iter().sum();
    metric.encode_histogram::<NoLabelSet>(seconds(counted.sum_ns), all, &steps, None)
}

/// A whole number as the format takes it; none here comes near its end.
fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
