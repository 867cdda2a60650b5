//! What was measured, as Markdown for people.

use crate::rounds::{Figures, Group, Row, Spread};

/// What every table means.
pub const HEAD: &str = "\
Every row is a multiple of the bare axum server's figure in the same round: the median over the rounds, and the least and
the greatest. Subjects take turns within a round. The other figures are medians over the rounds; times are in microseconds
and those of one machine. In a closed loop a connection asks again when it has its answer; in an open loop the time counts
from when an ask was due. What says `client and server on one processor` is pinned there: with one connection, free, the time
that it takes to wake another processor hides the rest. An answer that is not a good one ends the run: there is none in here.";

/// A ratio and how far it went in the rounds.
pub fn ratio(spread: Spread) -> String {
    format!("{:.2} ({:.2}..{:.2})", spread.median, spread.least, spread.most)
}

/// Three significant digits are more than a time has.
pub fn short(value: f64) -> String {
    match value {
        value if value < 10.0 => format!("{value:.2}"),
        value if value < 100.0 => format!("{value:.1}"),
        value => format!("{value:.0}"),
    }
}

/// One group as a table.
pub fn group(group: &Group) -> String {
    let mut text = format!("\n### {}\n\n", group.title);
    text.push_str(
        "| | p50 × hello | answers/s × hello | p50 µs | p99 | p99.9 | max | answers/s | CPU µs | RSS MiB |\n",
    );
    text.push_str("|---|---|---|---|---|---|---|---|---|---|\n");
    for row in &group.rows {
        text.push_str(&line(row, &group.rows[0]));
    }
    let foreign = Spread::of(group.foreign.iter().copied());
    let again = if group.again > 0 { format!("; {} measured again", group.again) } else { String::new() };
    text.push_str(&format!(
        "\n{} rounds; others used {:.2} of a processor, {:.2} at most{again}\n",
        group.foreign.len(),
        foreign.median,
        foreign.most
    ));
    text
}

fn line(row: &Row, hello: &Row) -> String {
    let middle = |spread: Spread| short(spread.median);
    format!(
        "| {} | {} | {} | {} | {} | {} | {} | {:.0} | {} | {} |\n",
        row.name,
        ratio(row.ratio(hello, |figures| figures.p50_us)),
        ratio(row.ratio(hello, |figures| figures.per_second)),
        middle(row.figure(|figures| figures.p50_us)),
        middle(row.figure(|figures| figures.p99_us)),
        middle(row.figure(|figures| figures.p999_us)),
        middle(row.figure(|figures| figures.max_us)),
        row.figure(|figures| figures.per_second).median,
        known(row, |figures| figures.cpu_us),
        known(row, |figures| figures.rss_mib),
    )
}

/// What not every subject has.
fn known(row: &Row, figure: impl Fn(&Figures) -> Option<f64>) -> String {
    match row.rounds.iter().all(|figures| figure(figures).is_some()) {
        true => short(row.figure(|figures| figure(figures).unwrap_or_default()).median),
        false => "–".to_owned(),
    }
}
