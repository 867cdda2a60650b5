//! Request bodies: one JSON object of the expected shape, and nothing of it in the error.

use crate::api::error::Problem;
use crate::types::bytes::plain_run;
use crate::types::json::stands_as_it_is;
use crate::wire::{Object, SignRequest};
use serde::de::DeserializeOwned;
use std::borrow::Cow;

/// Reads the body of an ask.
///
/// # Errors
/// `ask.malformed`, with what was expected and never with what was sent.
pub fn parse_ask<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    read(bytes).map_err(Problem::ask_malformed)
}

/// Reads the body of an ask for one signature, which is what bots send all the time: faster where it is written plainly.
///
/// # Errors
/// As [`parse_ask`].
pub fn parse_sign(bytes: &[u8]) -> Result<SignRequest, Problem> {
    match str::from_utf8(bytes).ok().and_then(read_plain) {
        Some(request) => Ok(request),
        None => parse_ask(bytes),
    }
}

/// Reads the body of an admin's request.
///
/// # Errors
/// `admin.invalid`, in the same way.
pub fn parse_admin<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let invalid = |detail| Problem::new("admin.invalid", detail, "GET /openapi.json describes the body of each route");
    read(bytes).map_err(invalid)
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, &'static str> {
    let text = str::from_utf8(bytes).map_err(|_| "the body is not JSON")?;
    serde_json::from_str::<Object<T>>(text).map(|object| object.0).map_err(|error| match error.classify() {
        serde_json::error::Category::Data => {
            "the body is not an object with exactly the members of this route, each once and of its type"
        }
        _ => "the body is not JSON",
    })
}

/// Reads an ask that is nothing but texts. None for one that is refused or written in any other way: what it is, is said
/// by [`read`].
fn read_plain(text: &str) -> Option<SignRequest> {
    let [mut credential, mut method, mut path, mut body] = [const { None }; 4];
    let mut rest = Plain(text);
    rest.take('{')?;
    loop {
        let member = match &*rest.text()? {
            "credential" => &mut credential,
            "method" => &mut method,
            "path" => &mut path,
            "body" => &mut body,
            _ => return None,
        };
        rest.take(':')?;
        if member.replace(rest.text()?.into_owned()).is_some() {
            return None;
        }
        if rest.take(',').is_none() {
            break;
        }
    }
    rest.take('}')?;
    let request = SignRequest { credential: credential?, method: method?, path: path?, body };
    rest.0.is_empty().then_some(request)
}

/// What is still to be read.
struct Plain<'a>(&'a str);

impl<'a> Plain<'a> {
    /// Steps over this character, and over spaces before it.
    fn take(&mut self, character: char) -> Option<()> {
        self.0 = self.0.trim_start_matches(' ').strip_prefix(character)?;
        Some(())
    }

    fn text(&mut self) -> Option<Cow<'a, str>> {
        self.take('"')?;
        let run = self.run();
        match self.0.strip_prefix('"') {
            Some(rest) => {
                self.0 = rest;
                Some(Cow::Borrowed(run))
            }
            None => self.unescape(run).map(Cow::Owned),
        }
    }

    /// Takes what stands before the next character that does not mean itself.
    fn run(&mut self) -> &'a str {
        let (run, rest) = self.0.split_at(plain_run(self.0.as_bytes(), stands_as_it_is));
        self.0 = rest;
        run
    }

    /// The rest of a text in which characters that mean themselves stand behind backslashes. Byte by byte: an order has one
    /// every few characters.
    fn unescape(&mut self, run: &str) -> Option<String> {
        // As long as it can be: a text that grows is copied and wiped again and again.
        let mut text = Vec::with_capacity(run.len() + self.0.len());
        text.extend_from_slice(run.as_bytes());
        let mut bytes = self.0.bytes();
        loop {
            match bytes.next()? {
                b'"' => break,
                b'\\' => text.push(bytes.next().filter(|escaped| matches!(escaped, b'"' | b'\\' | b'/'))?),
                byte if stands_as_it_is(byte) => text.push(byte),
                _ => return None,
            }
        }
        self.0 = &self.0[self.0.len() - bytes.len()..];
        // Only whole characters were taken out.
        String::from_utf8(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{Strategy, any, prop_oneof, proptest};
    use proptest::{prop_assert, prop_assert_eq};

    fn members(request: SignRequest) -> [Option<String>; 4] {
        [Some(request.credential), Some(request.method), Some(request.path), request.body]
    }

    #[test]
    fn what_bots_send_is_plain() {
        for body in [
            r#"{"credential":"main","method":"POST","path":"/a","body":"{\"px\":\"1\",\"a\\\\b\":\"\/\"}"}"#,
            r#"{"credential": "main", "method": "GET", "path": "/a?b=c"}"#,
            r#"{ "body" : "" , "path":"/é","method":"","credential":"" }"#,
        ] {
            let plain = read_plain(body).map(members);
            assert!(plain.is_some(), "{body}");
            assert_eq!(plain, read::<SignRequest>(body.as_bytes()).ok().map(members), "{body}");
        }
    }

    #[test]
    fn what_is_refused_is_not_plain() {
        for body in [
            "",
            "{}",
            r#"{"credential":"a","method":"b"}"#,
            r#"{"credential":"a","method":"b","path":"c","path":"c"}"#,
            r#"{"credential":"a","method":"b","path":"c","other":"d"}"#,
            r#"{"credential":"a","method":"b","path":"c",}"#,
            r#"{"credential":"a","method":"b","path":"c"}}"#,
            r#"{"credential":"a","method":"b","path":"c"} x"#,
            r#"{"credential":"a","method":"b","path":"c\"#,
            r#"{"credential":"a","method":"b","path":"\x"}"#,
            r#"["a","b","c","d"]"#,
            "{\"credential\":\"a\",\"method\":\"b\",\"path\":\"\n\"}",
            "\u{feff}{\"credential\":\"a\",\"method\":\"b\",\"path\":\"c\"}",
        ] {
            assert!(read_plain(body).is_none(), "{body}");
            assert!(parse_sign(body.as_bytes()).is_err(), "{body}");
        }
    }

    fn nearly_an_ask() -> impl Strategy<Value = String> {
        let written = r#""([ -~]|é|\\["\\/bfnrt]|\\u00[0-9a-f]{2}){0,8}""#;
        let text = prop_oneof![any::<String>().prop_map(|text| format!("{text:?}")), written];
        let name = prop_oneof![5 => "\"(credential|method|path|body)\"", 1 => "[ -~]{0,4}"];
        let member = ("[ \t\n]?", name, text).prop_map(|(space, name, text)| format!("{space}{name}{space}:{text}"));
        proptest::collection::vec(member, 0..6).prop_map(|members| format!("{{{}}}", members.join(",")))
    }

    proptest! {
        #[test]
        fn what_is_plain_says_the_same_to_the_general_reader(body in nearly_an_ask()) {
            if let Some(plain) = read_plain(&body) {
                let general = read::<SignRequest>(body.as_bytes());
                prop_assert!(general.is_ok(), "{}", body);
                prop_assert_eq!(general.ok().map(members), Some(members(plain)));
            }
        }
    }
}
