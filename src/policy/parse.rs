//! From the text of a policy file to a [`Policy`], or to an error that names line and column.

use crate::policy::raw::{Document, Item, PolicyError, Word};
use crate::policy::{
    ContractKind, ContractValue, Enforcement, Instruments, Limits, OrderRules, Policy, TransferRules, contradiction,
};
use crate::types::ask::Method;
use crate::types::decimal::Decimal;
use crate::types::endpoint::Grant;
use crate::types::facts::Side;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;

/// How long a reference price is good when the policy compares prices with it and does not say: 24 hours, in seconds.
pub const DEFAULT_REFERENCE_MAX_AGE_S: u64 = 24 * 60 * 60;

/// The most requests a second that a policy may allow.
const MAX_REQUESTS_PER_SECOND: u32 = 1_000_000;

/// The most orders that a limit may count.
const MAX_ORDERS: u64 = 10_000_000;

/// The longest address, and the longest name of a currency or of a type of order, in bytes.
const MAX_ADDRESS_BYTES: usize = 256;
const MAX_NAME_BYTES: usize = 32;

/// What `instruments` is.
const INSTRUMENTS: &str = "it is a list of instruments: [\"BTC-USDT\"], or [\"*\"] for any";

/// What is said of a name that no exchange has.
const NO_INSTRUMENT: &str =
    "not an instrument as the exchange spells them: \"BTC-USDT\", \"BTC-USDT-SWAP\"; no wildcards";

/// Tells whether a text is an instrument's name as some exchange spells them. Policies do not know exchanges; whoever
/// reads one does.
pub type IsInstrument<'a> = &'a dyn Fn(&str) -> bool;

/// Reads a policy file. `grants` is `["read"]` when it is missing; every other key narrows.
///
/// # Errors
/// [`PolicyError`], with the place in the text: an unknown key, a value without a meaning, values that contradict each
/// other.
pub fn parse(text: &str, is_instrument: IsInstrument<'_>) -> Result<Policy, PolicyError> {
    let file = Document::read(text)?;
    let policy = Policy {
        grants: optional(file.find("grants"), grants)?.unwrap_or_else(|| Policy::read_only().grants),
        endpoints: optional(file.find("endpoints"), endpoints)?,
        session_unchecked: optional(file.find("session_unchecked"), |item| item.flag())?.unwrap_or_default(),
        enforcement: optional(file.find("enforcement"), enforcement)?.unwrap_or_default(),
        order: optional(file.find("order"), |order| order_rules(&file, &order, is_instrument))?,
        limits: limits(&file)?,
        transfer: optional(file.find("transfer"), |_| transfer_rules(&file))?,
    };
    contradiction::refuse(&file, &policy)?;
    Ok(policy)
}

/// Reads a value when it is there.
fn optional<'a, T>(
    item: Option<Item<'a>>,
    read: impl FnOnce(Item<'a>) -> Result<T, PolicyError>,
) -> Result<Option<T>, PolicyError> {
    item.map(read).transpose()
}

fn grants(item: Item<'_>) -> Result<BTreeSet<Grant>, PolicyError> {
    let words = item.words("it is a list of grants: [\"read\", \"trade\"]")?;
    words.iter().map(|word| chosen(word, &Grant::ALL, Grant::as_str, "grant")).collect()
}

/// The value that a word names.
fn chosen<T: Copy>(word: &Word<'_>, all: &[T], name: fn(T) -> &'static str, noun: &str) -> Result<T, PolicyError> {
    let found = all.iter().copied().find(|one| name(*one) == word.says);
    found.ok_or_else(|| {
        let known: Vec<&str> = all.iter().map(|one| name(*one)).collect();
        word.refuse(&format!("no such {noun}; there are {}", known.join(", ")))
    })
}

/// Each `METHOD /path`, spelled as recipes list endpoints. Only the form is checked here: what the recipe does not list
/// can never be asked for.
fn endpoints(item: Item<'_>) -> Result<BTreeSet<String>, PolicyError> {
    let form = "an endpoint is written as \"POST /api/v5/trade/order\": method, one space, exact path; no wildcards";
    let well_formed = |line: &str| {
        line.split_once(' ').is_some_and(|(method, path)| {
            Method::parse(method).is_some()
                && path.starts_with('/')
                && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-'))
        })
    };
    names(item.words("it is a list of endpoints: [\"POST /api/v5/trade/order\"]")?, form, well_formed)
}

/// Words that all have a form.
fn names(
    words: Vec<Word<'_>>,
    form: &str,
    well_formed: impl Fn(&str) -> bool,
) -> Result<BTreeSet<String>, PolicyError> {
    words.iter().map(|word| name(word, form, &well_formed)).collect()
}

fn name(word: &Word<'_>, form: &str, well_formed: impl Fn(&str) -> bool) -> Result<String, PolicyError> {
    if well_formed(word.says) { Ok(word.says.to_owned()) } else { Err(word.refuse(form)) }
}

fn enforcement(item: Item<'_>) -> Result<Enforcement, PolicyError> {
    let name = |one| match one {
        Enforcement::Enforce => "enforce",
        Enforcement::Shadow => "shadow",
    };
    let word = item.word("it is \"enforce\" or \"shadow\"")?;
    chosen(&word, &[Enforcement::Enforce, Enforcement::Shadow], name, "enforcement")
}

fn order_rules(
    file: &Document<'_>,
    order: &Item<'_>,
    is_instrument: IsInstrument<'_>,
) -> Result<OrderRules, PolicyError> {
    let instruments = instruments(order.need("order.instruments", INSTRUMENTS)?, is_instrument)?;
    let by_instrument = |item: Item<'_>| {
        let meaning = "it is a table of numbers by instrument: { \"BTC-USDT\" = \"0.5\" }";
        amounts(item, meaning, |name| check_instrument(name, &instruments, is_instrument))
    };
    let max_price_deviation = optional(file.find("order.max_price_deviation"), |item| item.percent())?;
    let default_age = max_price_deviation.as_ref().map(|_| DEFAULT_REFERENCE_MAX_AGE_S);
    Ok(OrderRules {
        sides: optional(file.find("order.sides"), sides)?,
        types: optional(file.find("order.types"), types)?,
        max_size: optional(file.find("order.max_size"), by_instrument)?.unwrap_or_default(),
        max_notional: optional(file.find("order.max_notional"), |item| item.decimal())?,
        reduce_only: optional(file.find("order.reduce_only"), |item| item.flag())?.unwrap_or_default(),
        contract_value: optional(file.find("order.contract_value"), |item| {
            contract_values(item, |name| check_instrument(name, &instruments, is_instrument))
        })?
        .unwrap_or_default(),
        max_price_deviation,
        reference_price: optional(file.find("order.reference_price"), by_instrument)?.unwrap_or_default(),
        reference_price_max_age_s: optional(file.find("order.reference_price_max_age"), |item| item.seconds())?
            .or(default_age),
        instruments,
    })
}

fn instruments(item: Item<'_>, is_instrument: IsInstrument<'_>) -> Result<Instruments, PolicyError> {
    let words = filled(&item, item.words(INSTRUMENTS)?)?;
    match words.iter().find(|word| word.says == "*") {
        Some(_) if words.len() == 1 => Ok(Instruments::Any),
        Some(star) => Err(star.refuse("\"*\" means any instrument and stands alone")),
        None => Ok(Instruments::Only(names(words, NO_INSTRUMENT, is_instrument)?)),
    }
}

fn check_instrument(
    word: &Word<'_>,
    allowed: &Instruments,
    is_instrument: IsInstrument<'_>,
) -> Result<String, PolicyError> {
    let name = name(word, NO_INSTRUMENT, is_instrument)?;
    match allowed {
        Instruments::Only(names) if !names.contains(&name) => {
            Err(word.refuse("this instrument is not among `instruments`, so the entry would never count"))
        }
        Instruments::Only(_) | Instruments::Any => Ok(name),
    }
}

fn sides(item: Item<'_>) -> Result<BTreeSet<Side>, PolicyError> {
    let words = filled(&item, item.words("it is a list of sides: [\"buy\", \"sell\"]")?)?;
    words.iter().map(|word| chosen(word, &Side::ALL, Side::as_str, "side")).collect()
}

fn types(item: Item<'_>) -> Result<BTreeSet<String>, PolicyError> {
    let words = filled(&item, item.words("it is a list of types of order: [\"limit\", \"post_only\"]")?)?;
    names(
        words,
        "a type of order is written as the exchange does, in small letters: \"limit\", \"post_only\"",
        |name| {
            let of_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
            (1..=MAX_NAME_BYTES).contains(&name.len()) && name.bytes().all(of_word)
        },
    )
}

/// A list with something in it: an empty one would deny every order, which the missing grant says better.
fn filled<'a>(item: &Item<'_>, words: Vec<Word<'a>>) -> Result<Vec<Word<'a>>, PolicyError> {
    match words.is_empty() {
        false => Ok(words),
        true => {
            Err(item.refuse("an empty list allows no order at all; to allow none, leave \"trade\" out of `grants`"))
        }
    }
}

/// A table of numbers by name.
fn amounts(
    item: Item<'_>,
    meaning: &str,
    name: impl Fn(&Word<'_>) -> Result<String, PolicyError>,
) -> Result<BTreeMap<String, Decimal>, PolicyError> {
    item.entries(meaning)?.iter().map(|(word, amount)| Ok((name(word)?, amount.decimal()?))).collect()
}

fn contract_values(
    item: Item<'_>,
    name: impl Fn(&Word<'_>) -> Result<String, PolicyError>,
) -> Result<BTreeMap<String, ContractValue>, PolicyError> {
    let meaning = "it is a table by instrument: { \"BTC-USDT-SWAP\" = { value = \"0.01\", kind = \"linear\" } }";
    let kind_name = |kind| match kind {
        ContractKind::Linear => "linear",
        ContractKind::Inverse => "inverse",
    };
    let entry = |(word, contract): &(Word<'_>, Item<'_>)| {
        let name = name(word)?;
        let worth = "it is what one contract is: { value = \"0.01\", kind = \"linear\" }";
        let value = contract.need("order.contract_value.value", worth)?.decimal()?;
        let kind = contract.need("order.contract_value.kind", worth)?.word("it is \"linear\" or \"inverse\"")?;
        let kind = chosen(&kind, &[ContractKind::Linear, ContractKind::Inverse], kind_name, "kind")?;
        Ok((name, ContractValue { value, kind }))
    };
    item.entries(meaning)?.iter().map(entry).collect()
}

fn limits(file: &Document<'_>) -> Result<Limits, PolicyError> {
    let orders = |path| optional(file.find(path), |item| item.whole(1..=MAX_ORDERS));
    let notional = |path| optional(file.find(path), |item| item.decimal());
    Ok(Limits {
        requests_per_second: optional(file.find("limits.requests_per_second"), requests_per_second)?,
        orders_per_minute: orders("limits.orders_per_minute")?,
        orders_per_hour: orders("limits.orders_per_hour")?,
        orders_per_day: orders("limits.orders_per_day")?,
        notional_per_hour: notional("limits.notional_per_hour")?,
        notional_per_day: notional("limits.notional_per_day")?,
    })
}

fn requests_per_second(item: Item<'_>) -> Result<NonZeroU32, PolicyError> {
    let number = item.whole(1..=u64::from(MAX_REQUESTS_PER_SECOND))?;
    let number = u32::try_from(number).ok().and_then(NonZeroU32::new);
    number.ok_or_else(|| item.refuse("out of bounds"))
}

fn transfer_rules(file: &Document<'_>) -> Result<TransferRules, PolicyError> {
    Ok(TransferRules {
        addresses: optional(file.find("transfer.addresses"), addresses)?,
        max_amount: optional(file.find("transfer.max_amount"), |item| {
            amounts(item, "it is a table of numbers by currency: { USDT = \"100\" }", currency)
        })?,
    })
}

fn addresses(item: Item<'_>) -> Result<BTreeSet<String>, PolicyError> {
    let words =
        item.words("it is a list of addresses, names of sub-accounts or numbers of accounts: [\"6\", \"18\"]")?;
    let form = "an address is printable text without spaces, to the byte; no wildcards: for any, leave the list out";
    names(words, form, |name| {
        (1..=MAX_ADDRESS_BYTES).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_graphic())
            && !name.contains('*')
    })
}

fn currency(word: &Word<'_>) -> Result<String, PolicyError> {
    name(word, "not a currency as the exchange spells them: USDT", |name| {
        (1..=MAX_NAME_BYTES).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    })
}

#[cfg(test)]
mod tests;
