//! What a credential's card says to an error. A card has what a person noted: the exchange may know better, so each
//! sentence says that it is a note where it is one.

use crate::recipe::errors::Aspect;
use crate::types::clock::UnixMs;
use crate::types::credential::Environment;
use crate::wire::CredentialCard;

/// A day in milliseconds.
const DAY_MS: i64 = 86_400_000;

/// What of the card bears on an error of the exchange of this name.
pub fn says(card: &CredentialCard, aspect: Aspect, exchange: &str, now: UnixMs) -> String {
    match aspect {
        Aspect::Key => {
            format!("its API key is {}; {exchange} must show one that begins and ends like this", card.api_key)
        }
        Aspect::Environment => match card.environment {
            Environment::Live => "it is noted as a live key, which trades with money".to_owned(),
            Environment::Demo => "it is noted as a demo key: its requests are for simulated trading".to_owned(),
        },
        Aspect::Region => format!("its region is {}, and its requests go to {}", card.region, card.base_url),
        Aspect::Addresses => match card.ips.as_slice() {
            [] => format!("it is noted as bound to no address; {exchange} may know of some"),
            [address] => format!("it is noted as bound to one address: {address}"),
            addresses => format!("it is noted as bound to {} addresses: {}", addresses.len(), addresses.join(", ")),
        },
        Aspect::Permissions => match card.permissions.as_slice() {
            [] => "no permissions of it are noted".to_owned(),
            permissions => format!("its noted permissions are {}", permissions.join(", ")),
        },
        Aspect::Idle => idle(card, exchange, now),
    }
}

fn idle(card: &CredentialCard, exchange: &str, now: UnixMs) -> String {
    let past = |moment: &str| UnixMs::parse_rfc3339(moment).map(|moment| (now.0 - moment.0).div_euclid(DAY_MS).max(0));
    let (used, added) = (card.last_used.as_deref().and_then(past), past(&card.created));
    let last = match (used, added) {
        (Some(used), _) => format!("signvault last used it {}", ago(used)),
        (None, Some(added)) => format!("signvault has not used it since it was added {}", ago(added)),
        (None, None) => "signvault has not used it".to_owned(),
    };
    match (card.idle_days.map(i64::from), used.or(added)) {
        (None, _) => format!("{last}; as it is noted, {exchange} keeps it however long it is idle"),
        (Some(most), Some(idle)) if idle >= most => format!(
            "{last}, and it is noted as bound to no address: {exchange} deletes such keys after {most} days, so it may be gone"
        ),
        (Some(most), idle) => {
            let left = most - idle.unwrap_or(0);
            format!("{last}; bound to no address, it is deleted after {most} days without use, {left} of them left")
        }
    }
}

fn ago(days: i64) -> String {
    match days {
        0 => "today".to_owned(),
        1 => "1 day ago".to_owned(),
        days => format!("{days} days ago"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_790_000_000_000);

    fn card() -> CredentialCard {
        CredentialCard {
            name: "main".to_owned(),
            exchange: "okx".to_owned(),
            label: None,
            environment: Environment::Live,
            region: "eea".to_owned(),
            permissions: vec!["read".to_owned(), "trade".to_owned()],
            ips: Vec::new(),
            base_url: "https://eea.okx.com".to_owned(),
            api_key: "5a95…64bc".to_owned(),
            created: NOW.plus_ms(-100 * DAY_MS).to_string(),
            last_used: Some(NOW.plus_ms(-15 * DAY_MS - 5).to_string()),
            idle_days: Some(14),
        }
    }

    fn told(card: &CredentialCard, aspect: Aspect) -> String {
        says(card, aspect, "OKX", NOW)
    }

    #[test]
    fn a_key_that_was_idle_too_long_may_be_gone() {
        let mut card = card();
        assert_eq!(
            told(&card, Aspect::Idle),
            "signvault last used it 15 days ago, and it is noted as bound to no address: OKX deletes such keys after 14 \
             days, so it may be gone"
        );
        card.last_used = Some(NOW.plus_ms(-13 * DAY_MS).to_string());
        assert!(told(&card, Aspect::Idle).ends_with("1 of them left"));
        card.last_used = None;
        assert!(
            told(&card, Aspect::Idle).starts_with("signvault has not used it since it was added 100 days ago, and")
        );
        card.idle_days = None;
        assert!(told(&card, Aspect::Idle).ends_with("OKX keeps it however long it is idle"));
        card.last_used = Some(NOW.plus_ms(5).to_string());
        assert!(told(&card, Aspect::Idle).starts_with("signvault last used it today;"), "a clock that was ahead");
    }

    #[test]
    fn each_aspect_tells_what_is_noted() {
        let mut card = card();
        assert!(told(&card, Aspect::Key).contains("5a95…64bc"));
        assert!(told(&card, Aspect::Environment).contains("live"));
        assert!(told(&card, Aspect::Region).contains("eea, and its requests go to https://eea.okx.com"));
        assert!(told(&card, Aspect::Addresses).contains("no address"));
        assert!(told(&card, Aspect::Permissions).ends_with("read, trade"));
        card.ips = vec!["203.0.113.7".to_owned(), "2001:db8::/64".to_owned()];
        card.environment = Environment::Demo;
        card.permissions.clear();
        assert!(told(&card, Aspect::Addresses).ends_with("bound to 2 addresses: 203.0.113.7, 2001:db8::/64"));
        assert!(told(&card, Aspect::Environment).contains("demo"));
        assert!(told(&card, Aspect::Permissions).contains("no permissions"));
    }
}
