//! What a signature binds, found out from the template itself: the author of a recipe is not asked.
//!
//! Whether a part is bound is probed: the text to sign is made twice with only that part changed. Whether the text can
//! be cut in another way is read off the order of the pieces, because a probe could only show the cuts it thinks of.

use crate::recipe::query;
use crate::recipe::template::{Field, Piece, Template, Values};

/// What a signature holds fast.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Another method needs another signature.
    pub method: bool,
    /// Another path needs another signature.
    pub path: bool,
    /// Another query needs another signature.
    pub query: bool,
    /// Another body needs another signature.
    pub body: bool,
    /// Another time needs another signature, so it cannot be kept for later.
    pub time: bool,
    /// Whether the signed text can be cut into parts in one way only.
    pub split: Split,
}

/// In how many ways a signed text can be cut into path, query and body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// Between any two parts stands a character that the first cannot contain.
    Delimited,
    /// A body directly follows a path or query. Ambiguous at the exchange, which sees only the joined text; unique for
    /// what is signed here, because a body begins with `{`, `[` or `"` and the grammar keeps these out of paths and
    /// queries.
    ByGrammar,
    /// The text of one request can also be the text of another.
    Ambiguous,
}

impl Binding {
    /// Derives what the signature over a text made from this template binds.
    pub fn derive(prehash: &Template) -> Binding {
        let base = PROBE;
        let differs = |values: Values<'_>| prehash.render(&values) != prehash.render(&base);
        Binding {
            method: differs(Values { method: "POST", ..base }),
            path: differs(Values { target: "/q?b=1", ..base }),
            query: differs(Values { target: "/p?b=2", ..base }),
            body: differs(Values { body: "[]", body_digest: "d2", ..base }),
            time: differs(Values { time: "2", ..base }),
            split: split(prehash),
        }
    }

    /// Whether the concatenation, taken by itself, can be cut in more than one way.
    pub fn ambiguous(&self) -> bool {
        self.split != Split::Delimited
    }

    /// The first part of a request that the signature does not hold fast.
    pub fn unbound(&self) -> Option<&'static str> {
        let parts = [
            ("method", self.method),
            ("path", self.path),
            ("query", self.query),
            ("body", self.body),
            ("time", self.time),
        ];
        parts.into_iter().find(|(_, bound)| !bound).map(|(part, _)| part)
    }
}

const PROBE: Values<'static> = Values {
    time: "1",
    method: "GET",
    target: "/p?b=1",
    body: "{}",
    body_digest: "d1",
    api_key: "",
    passphrase: "",
    signature: "",
};

/// Looks at each part that a bot chooses and that has no fixed width, and at what stands between it and the next one.
/// Time, digests and keys have a fixed width in one signature, and no method begins or ends another: they neither
/// move a cut nor mark it.
fn split(prehash: &Template) -> Split {
    let mut split = Split::Delimited;
    let mut before: Option<Field> = None;
    let mut delimited = false;
    for piece in prehash.pieces() {
        match piece {
            Piece::Literal(text) => delimited |= before.is_some_and(|field| marks_end(field, text)),
            Piece::Field(field) if chosen(*field) => {
                match before {
                    Some(_) if delimited => {}
                    Some(Field::Body) => return Split::Ambiguous,
                    Some(_) if *field == Field::Body => split = Split::ByGrammar,
                    Some(_) => return Split::Ambiguous,
                    None => {}
                }
                (before, delimited) = (Some(*field), false);
            }
            Piece::Field(_) => {}
        }
    }
    split
}

fn chosen(field: Field) -> bool {
    matches!(field, Field::Target | Field::Path | Field::Query | Field::Body)
}

/// Whether a text has a character that a field can never contain. A body can contain any.
fn marks_end(field: Field, text: &str) -> bool {
    let may_contain = |byte| match field {
        Field::Path => query::is_path_byte(byte),
        Field::Query => query::is_query_byte(byte),
        Field::Target => query::is_path_byte(byte) || query::is_query_byte(byte) || byte == b'?',
        _ => true,
    };
    text.bytes().any(|byte| !may_contain(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(template: &str) -> Binding {
        Binding::derive(&Template::parse(template).unwrap())
    }

    #[test]
    fn a_path_and_a_body_side_by_side_are_ambiguous_until_the_grammar_is_counted() {
        let okx = binding("{time}{method}{target}{body}");
        assert_eq!(okx.unbound(), None);
        assert_eq!(okx.split, Split::ByGrammar);
        assert!(okx.ambiguous());
    }

    #[test]
    fn marks_between_the_parts_make_a_text_unique() {
        let gate = binding("{method}\n{path}\n{query}\n{body_digest}\n{time}");
        assert_eq!((gate.unbound(), gate.split, gate.ambiguous()), (None, Split::Delimited, false));
        assert_eq!(binding("{path}?{query}|{body}").split, Split::Delimited);
        assert_eq!(binding("{method}{target}{time}{body}").split, Split::ByGrammar);
    }

    #[test]
    fn a_mark_that_a_part_may_contain_is_none() {
        assert_eq!(binding("{path}-{query}{body}").split, Split::Ambiguous);
        assert_eq!(binding("{path}{query}").split, Split::Ambiguous);
        assert_eq!(binding("{target}?{body}").split, Split::ByGrammar);
        assert_eq!(binding("{body}|{path}").split, Split::Ambiguous);
    }

    #[test]
    fn a_mark_is_any_character_that_the_part_before_it_never_has() {
        for (field, contained) in [("path", "/_-"), ("query", "-._~,%=&"), ("target", "/-._~,%=&?")] {
            for mark in ('!'..='~').filter(|mark| !"{}".contains(*mark)) {
                let marks = !mark.is_ascii_alphanumeric() && !contained.contains(mark);
                let expected = if marks { Split::Delimited } else { Split::ByGrammar };
                assert_eq!(binding(&format!("{{{field}}}{mark}{{body}}")).split, expected, "{field} and {mark}");
            }
        }
    }

    #[test]
    fn a_part_that_is_left_out_is_named() {
        for (template, left_out) in [
            ("{time}{target}{body}", "method"),
            ("{time}{method}{query}{body}", "path"),
            ("{time}{method}{path}{body}", "query"),
            ("{time}{method}{target}", "body"),
            ("{method}{target}{body}", "time"),
            ("{time}POST/fixed{body}", "method"),
        ] {
            assert_eq!(binding(template).unbound(), Some(left_out), "{template}");
        }
    }

    #[test]
    fn a_digest_binds_the_body() {
        assert!(binding("{time}{method}{target}{body_digest}").body);
    }
}
