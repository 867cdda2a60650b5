//! The row of a decision on an ask: nearly every row is one, and each signature waits for its own, so this one is written
//! without serde.

use crate::types::base32;
use crate::types::endpoint::Endpoint;
use crate::types::id::Id;
use crate::types::json::{Members, push_text};
use serde::{Deserialize, Serialize};

/// A decision on an ask.
#[derive(Debug)]
pub struct Signature<'a> {
    /// `allow` or `deny`.
    pub decision: &'static str,
    /// The denial's code.
    pub code: Option<&'static str>,
    /// The bot's name.
    pub bot: &'a str,
    /// The peer's user id, on a Unix socket.
    pub uid: Option<u32>,
    /// The credential, when it is one of the bot's.
    pub credential: Option<&'a str>,
    /// The endpoint, when the recipe lists it, with its grant and what it does to the order book.
    pub endpoint: Option<&'a Endpoint>,
    /// The channel of a WebSocket login.
    pub channel: Option<&'static str>,
    /// SHA-256 of the path with its query; absent for a login, and when the path is the endpoint's with nothing behind it.
    pub path_sha256: Option<[u8; 32]>,
    /// SHA-256 of the body; absent without one.
    pub body_sha256: Option<[u8; 32]>,
    /// The policy that judged, `name@version`.
    pub policy: &'a str,
    /// The rule of the policy that denied, or would have.
    pub rule: Option<&'static str>,
    /// The code of the denial that there would have been if the policy were enforced.
    pub shadow: Option<&'static str>,
    /// What it counts for in rolling limits.
    pub counted: Option<Counted>,
}

/// What an allowed ask counts for. These are the counters of rolling limits themselves: an unlock adds them up again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// The id of the bot, whose limits they are: a name may be given to another bot later.
    pub bot: Id,
    /// The id of the credential, whose client ids they are.
    pub credential: Id,
    /// Orders placed.
    pub orders: u64,
    /// What they are worth, a decimal number.
    pub notional: String,
    /// Hashes of their client order ids, hexadecimal.
    pub ids: Vec<String>,
}

impl Signature<'_> {
    /// Writes what the row says behind its times, with a comma before each member.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut row = Members(out);
        row.text("event", "sign");
        row.text("decision", self.decision);
        row.text_if("code", self.code);
        row.text("bot", self.bot);
        if let Some(uid) = self.uid {
            row.number("uid", u64::from(uid));
        }
        row.text_if("credential", self.credential);
        if let Some(endpoint) = self.endpoint {
            row.text("endpoint", &endpoint.to_string());
            row.text("grant", endpoint.grant.as_str());
            row.text("effect", endpoint.effect.as_str());
        }
        row.text_if("channel", self.channel);
        row.hex_if("path_sha256", self.path_sha256.as_ref().map(|hash| &hash[..]));
        row.hex_if("body_sha256", self.body_sha256.as_ref().map(|hash| &hash[..]));
        row.text("policy", self.policy);
        row.text_if("rule", self.rule);
        row.text_if("shadow", self.shadow);
        if let Some(counted) = &self.counted {
            counted.write(row.name("counted"));
        }
    }
}

impl Counted {
    fn write(&self, out: &mut Vec<u8>) {
        let from = out.len();
        let mut counted = Members(out);
        for (name, id) in [("bot", self.bot), ("credential", self.credential)] {
            counted.text(name, base32::encode(id.as_bytes(), &mut [0; base32::LONGEST]));
        }
        counted.number("orders", self.orders);
        counted.text("notional", &self.notional);
        let ids = counted.name("ids");
        ids.push(b'[');
        for (number, id) in self.ids.iter().enumerate() {
            if number > 0 {
                ids.push(b',');
            }
            push_text(ids, id);
        }
        ids.extend_from_slice(b"]}");
        // Instead of the comma before the first.
        out[from] = b'{';
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::event::{Event, to_body};
    use crate::types::ask::Method;
    use crate::types::clock::{Now, UnixMs};
    use crate::types::endpoint::{Effect, Grant};

    const NOW: Now = Now { wall: UnixMs(1_700_000_000_123), boot_ms: 5 };

    fn row() -> Signature<'static> {
        Signature {
            decision: "allow",
            code: None,
            bot: "grid",
            uid: None,
            credential: None,
            endpoint: None,
            channel: None,
            path_sha256: None,
            body_sha256: None,
            policy: "fast@1",
            rule: None,
            shadow: None,
            counted: None,
        }
    }

    #[test]
    fn the_shortest_row_has_what_every_row_has() {
        assert_eq!(
            to_body(NOW, Event::Sign(&row())),
            r#"{"time":"2023-11-14T22:13:20.123Z","boot_ms":5,"event":"sign","decision":"allow","bot":"grid","policy":"fast@1"}"#
        );
    }

    #[test]
    fn the_longest_row_has_every_member_once_and_in_its_place() {
        let (method, path) = (Method::Post, "/api/\"order".into());
        let endpoint = Endpoint { method, path, grant: Grant::Trade, effect: Effect::Place };
        let (bot, credential) = (Id([0; 16]), Id([0xff; 16]));
        let ids = vec!["00".to_owned(), "ff".to_owned()];
        let row = Signature {
            code: Some("policy.limit"),
            bot: "a\\b",
            uid: Some(u32::MAX),
            credential: Some("main"),
            endpoint: Some(&endpoint),
            channel: Some("private"),
            path_sha256: Some([0; 32]),
            body_sha256: Some([0xab; 32]),
            rule: Some("limits"),
            shadow: Some("policy.grant"),
            counted: Some(Counted { bot, credential, orders: 2, notional: "1.5".to_owned(), ids }),
            ..row()
        };
        let expected = [
            r#"{"time":"2023-11-14T22:13:20.123Z","boot_ms":5,"event":"sign","decision":"allow","code":"policy.limit","#,
            r#""bot":"a\\b","uid":4294967295,"credential":"main","endpoint":"POST /api/\"order","grant":"trade","#,
            r#""effect":"place","channel":"private","path_sha256":""#,
            &"0".repeat(64),
            r#"","body_sha256":""#,
            &"ab".repeat(32),
            r#"","policy":"fast@1","rule":"limits","shadow":"policy.grant","counted":"#,
            &serde_json::to_string(&row.counted).unwrap(),
            "}",
        ];
        assert_eq!(to_body(NOW, Event::Sign(&row)), expected.concat());
    }

    #[test]
    fn what_counts_for_nothing_has_no_ids() {
        let counted =
            Counted { bot: Id([1; 16]), credential: Id([2; 16]), orders: 0, notional: "0".to_owned(), ids: Vec::new() };
        let body = to_body(NOW, Event::Sign(&Signature { counted: Some(counted.clone()), ..row() }));
        assert!(body.ends_with(&format!(r#","counted":{}}}"#, serde_json::to_string(&counted).unwrap())), "{body}");
    }

    #[test]
    fn each_effect_and_grant_is_written_as_serde_writes_it() {
        for effect in [Effect::None, Effect::Place, Effect::Amend, Effect::Cancel, Effect::Close] {
            assert_eq!(serde_json::to_value(effect).unwrap(), effect.as_str());
        }
        for grant in Grant::ALL {
            assert_eq!(serde_json::to_value(grant).unwrap(), grant.as_str());
        }
    }
}
