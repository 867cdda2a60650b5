//! What error codes mean, as data: an exchange's, and signvault's own.
//!
//! Codes that mean the same to whoever gets them share a topic. Which of what is known of a credential bears on it is part
//! of the data; what a card says of that is not told here.

use serde::Deserialize;
use std::collections::BTreeSet;

/// The name of the table of signvault's own codes.
pub const OWN: &str = "signvault";

/// The tables that come with the program: name and TOML text.
const BUILT_IN: [(&str, &str); 2] =
    [("okx", include_str!("../../config/errors/okx.toml")), (OWN, include_str!("../../config/errors/signvault.toml"))];

/// The longest code in bytes.
const MAX_CODE_BYTES: usize = 40;

/// The TOML text of a table that comes with the program.
pub fn built_in(name: &str) -> Option<&'static str> {
    BUILT_IN.iter().find(|(built_in, _)| *built_in == name).map(|(_, text)| *text)
}

/// A table of error codes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Errors {
    /// The recipe that it belongs to, or [`OWN`].
    pub name: Box<str>,
    /// The name for people.
    pub title: Box<str>,
    /// Where there is more.
    pub about: Box<str>,
    /// What there is to say.
    #[serde(rename = "topic")]
    pub topics: Vec<Topic>,
}

/// What there is to say about some codes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topic {
    /// What they mean.
    pub means: Box<str>,
    /// Why it happens, the likeliest first.
    pub why: Vec<Box<str>>,
    /// What to do.
    pub help: Vec<Box<str>>,
    /// What of a credential bears on it.
    #[serde(default)]
    pub card: Vec<Aspect>,
    /// The codes.
    pub codes: Vec<ErrorCode>,
}

/// One code.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ErrorCode {
    /// The code, as it stands in an answer.
    pub code: Box<str>,
    /// The HTTP statuses that it comes with; none over WebSocket.
    #[serde(default)]
    pub http: Vec<u16>,
    /// The message that it comes with.
    pub message: Option<Box<str>>,
}

/// Something that is known of a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Aspect {
    /// Which API key it is.
    Key,
    /// Live or demo.
    Environment,
    /// The exchange's site.
    Region,
    /// The addresses that it is bound to.
    Addresses,
    /// What it may do at the exchange.
    Permissions,
    /// When it was last used, and whether the exchange deletes it for that.
    Idle,
}

/// Why a text is no table of errors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErrorsFlaw {
    /// Not TOML, an unknown key, a missing key, or a value of another type.
    #[error("{0}")]
    Toml(String),
    /// Neither a number nor dotted words.
    #[error("`{0}` is no code")]
    Code(Box<str>),
    /// Which of two meanings counts?
    #[error("the code {0} stands here twice")]
    Repeated(Box<str>),
    /// A topic that says nothing.
    #[error("the topic of {0} has no reason, no advice or no meaning")]
    Silent(Box<str>),
    /// A topic of nothing.
    #[error("a topic has no codes")]
    Codeless,
}

impl Errors {
    /// Parses a table from its TOML text.
    ///
    /// # Errors
    /// [`ErrorsFlaw`].
    pub fn parse(text: &str) -> Result<Errors, ErrorsFlaw> {
        let errors: Errors = toml::from_str(text).map_err(|error| ErrorsFlaw::Toml(error.message().to_owned()))?;
        let mut seen = BTreeSet::new();
        for topic in &errors.topics {
            let first = topic.codes.first().ok_or(ErrorsFlaw::Codeless)?;
            let says = |lines: &[Box<str>]| !lines.is_empty() && lines.iter().all(|line| !line.trim().is_empty());
            if topic.means.trim().is_empty() || !says(&topic.why) || !says(&topic.help) {
                return Err(ErrorsFlaw::Silent(first.code.clone()));
            }
            for listed in &topic.codes {
                if !is_code(&listed.code) && *errors.name != *OWN {
                    return Err(ErrorsFlaw::Code(listed.code.clone()));
                }
                if !seen.insert(&listed.code) {
                    return Err(ErrorsFlaw::Repeated(listed.code.clone()));
                }
            }
        }
        Ok(errors)
    }

    /// What there is to say about a code.
    pub fn find(&self, code: &str) -> Option<(&Topic, &ErrorCode)> {
        let listed = |topic| Topic::listed(topic, code).map(|listed| (topic, listed));
        self.topics.iter().find_map(listed)
    }
}

impl Topic {
    fn listed(&self, code: &str) -> Option<&ErrorCode> {
        self.codes.iter().find(|listed| *listed.code == *code)
    }
}

/// Whether a text has the form of a code: a number of up to six digits, as exchanges have them, or lower-case words with
/// dots between them.
pub fn is_code(text: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    let is_number = (1..=6).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number || (text.len() <= MAX_CODE_BYTES && text.contains('.') && text.split('.').all(is_word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::decision::Code;

    fn table(name: &str) -> Errors {
        Errors::parse(built_in(name).unwrap()).unwrap_or_else(|flaw| panic!("{name}: {flaw}"))
    }

    /// OKX's list of errors that concern whoever signs, as its documentation had them in 2026: code and HTTP status, 0 over
    /// WebSocket.
    const OF_OKX: &str = "4001 0,4002 0,4003 0,4004 0,4005 0,4006 0,4007 0,4008 0,4009 0,50000 400,50001 503,50002 400,\
        50004 400,50005 410,50006 400,50007 200,50011 200,50011 429,50013 429,50014 400,50026 500,50027 200,50030 200,\
        50035 403,50036 200,50037 200,50038 200,50040 200,50041 200,50042 200,50061 200,50067 200,50100 400,50101 401,\
        50102 401,50103 401,50104 401,50105 401,50106 401,50107 401,50108 401,50109 401,50110 401,50111 401,50112 401,\
        50113 401,50114 401,50115 405,50116 200,50118 200,50119 200,50120 200,50121 200,50122 200,58207 200,58208 200,\
        58210 200,58215 200,59500 200,59501 200,59502 200,59503 200,59504 200,59505 200,59506 200,59507 200,59508 200,\
        59509 200,59510 200,59512 200,59515 200,59516 200,59517 200,59518 200,59519 200,59520 200,60004 0,60005 0,60006 0,\
        60007 0,60008 0,60009 0,60011 0,60012 0,60013 0,60014 0,60018 0,60019 0,60023 0,60024 0,60026 0,60027 0,60028 0,\
        60031 0,60032 0,60033 0,63999 0,64008 0";

    #[test]
    fn every_error_of_okx_that_concerns_a_signer_is_explained_with_its_status() {
        let okx = table("okx");
        let listed: Vec<&str> = OF_OKX.split(',').collect();
        assert_eq!(listed.len(), 98);
        for line in listed {
            let (code, http) = line.trim().split_once(' ').unwrap();
            let (_, found) = okx.find(code).unwrap_or_else(|| panic!("{code} is not explained"));
            let http: u16 = http.parse().unwrap();
            assert!(if http == 0 { found.http.is_empty() } else { found.http.contains(&http) }, "{line}: {found:?}");
            assert!(found.message.is_some(), "{code} without what OKX says");
        }
    }

    #[test]
    fn what_clients_get_wrong_is_told_apart() {
        let okx = table("okx");
        let means = |code| okx.find(code).unwrap().0.means.to_string();
        let (frozen, address, key, gone, signature) =
            (means("50100"), means("50110"), means("50111"), means("50119"), means("50113"));
        assert!(address.contains("bound to addresses") && address.contains("neither expired"), "{address}");
        assert!(frozen.contains("frozen") && gone.contains("does not know this API key"), "{frozen} {gone}");
        let all = BTreeSet::from([&frozen, &address, &key, &gone, &signature]);
        assert_eq!(all.len(), 5);
        assert_eq!((means("60007"), means("60032"), means("60005")), (signature, gone, key), "the same over WebSocket");
    }

    #[test]
    fn every_code_of_a_denial_is_explained() {
        let own = table(OWN);
        let codes = [
            Code::PathNotCanonical,
            Code::BodyUnexpected,
            Code::BodyAmbiguous,
            Code::Credential,
            Code::EndpointUnknown,
            Code::Grant,
            Code::Endpoint,
            Code::Mode,
            Code::OrderInstrument,
            Code::OrderSide,
            Code::OrderType,
            Code::OrderSize,
            Code::OrderNotional,
            Code::OrderPrice,
            Code::OrderReduceOnly,
            Code::OrderClientId,
            Code::FieldUncounted,
            Code::Transfer,
            Code::Replay,
            Code::Rate,
            Code::Limit,
            Code::ClockJump,
        ];
        for code in codes {
            assert!(own.find(code.as_str()).is_some(), "{code:?}");
        }
    }

    /// The codes of the contract, as it lists them.
    const OF_THE_CONTRACT: &str = "http.malformed ask.malformed ask.path_not_canonical ask.body_unexpected \
        ask.body_ambiguous auth.failed http.browser policy.credential policy.endpoint_unknown policy.grant \
        policy.endpoint policy.order.instrument policy.order.side policy.order.type policy.order.size \
        policy.order.notional policy.order.price policy.order.reduce_only policy.order.client_id policy.field_uncounted \
        policy.transfer policy.mode http.not_found http.method http.too_large http.media_type http.expectation \
        http.misdirected http.head_too_large policy.replay vault.locked policy.rate policy.limit internal \
        audit.unavailable clock.jump admin.invalid unlock.failed admin.not_found admin.exists vault.tampered \
        vault.manifest_mismatch vault.schema_mismatch vault.rollback_detected vault.audit_broken vault.storage_corrupt \
        vault.kdf_out_of_bounds unlock.backoff";

    #[test]
    fn the_codes_of_the_contract_are_explained_and_no_others() {
        let own = table(OWN);
        let contract: BTreeSet<&str> = OF_THE_CONTRACT.split_whitespace().collect();
        // They never stand in an answer: nothing is answered then.
        let unanswered = BTreeSet::from(["http.timeout", "http.connections"]);
        let explained = own.topics.iter().flat_map(|topic| &topic.codes).map(|listed| &*listed.code);
        // Those of commands are no part of the contract.
        let explained: BTreeSet<_> = explained.filter(|code| !code.starts_with("cli.")).collect();
        assert_eq!(explained, contract.union(&unanswered).copied().collect());
    }

    #[test]
    fn a_table_that_says_nothing_or_two_things_is_refused() {
        let table =
            |topics: &str| Errors::parse(&format!("name = \"x\"\ntitle = \"X\"\nabout = \"y\"\n{topics}")).err();
        let topic = |means: &str, codes: &str| {
            format!("[[topic]]\nmeans = \"{means}\"\nwhy = [\"w\"]\nhelp = [\"h\"]\ncodes = [{codes}]\n")
        };
        let code = |code: &str| format!("{{ code = \"{code}\", http = [200] }},");
        assert_eq!(table(&topic("m", &code("1"))), None);
        assert_eq!(table(&topic("m", "")), Some(ErrorsFlaw::Codeless));
        assert_eq!(table(&topic(" ", &code("1"))), Some(ErrorsFlaw::Silent("1".into())));
        assert_eq!(table(&topic("m", &code("one"))), Some(ErrorsFlaw::Code("one".into())));
        let twice = [topic("m", &code("1")), topic("n", &code("1"))].concat();
        assert_eq!(table(&twice), Some(ErrorsFlaw::Repeated("1".into())));
        let unknown = topic("m", &code("1")).replace("why", "because");
        assert!(matches!(table(&unknown), Some(ErrorsFlaw::Toml(_))));
    }

    #[test]
    fn codes_are_numbers_or_dotted_words() {
        for code in ["0", "50113", "999999", "policy.limit", "policy.order.client_id"] {
            assert!(is_code(code), "{code}");
        }
        for other in ["", "x", "internal", "1234567", "-1", "5011x", "Policy.limit", "a.", ".a", "a..b", "a b", "ä.ö"]
        {
            assert!(!is_code(other), "{other}");
        }
        assert!(!is_code(&["a"; 30].join(".")));
    }
}
