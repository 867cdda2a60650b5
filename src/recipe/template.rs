//! Templates: text with `{fields}`, compiled once when a recipe is loaded, so that signing interprets no text.
//!
//! `{{` and `}}` stand for the braces themselves. There is deliberately no field for the secret: it is the key of the
//! MAC and can stand nowhere else.

use std::fmt;

/// How many pieces a template may have. OKX's has four, the longest known header scheme eleven.
pub const MAX_PIECES: usize = 16;

/// Something that a template can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// `{time}`: the moment of signing, in the clock format beside the template.
    Time,
    /// `{method}`: in upper case.
    Method,
    /// `{target}`: path, and query with its `?` where there is one.
    Target,
    /// `{path}`: without the query.
    Path,
    /// `{query}`: without the `?`; empty where there is none.
    Query,
    /// `{body}`: empty where there is none.
    Body,
    /// `{body_digest}`: the digest of the body, in lower-case hex.
    BodyDigest,
    /// `{api_key}`
    ApiKey,
    /// `{passphrase}`
    Passphrase,
    /// `{signature}`: encoded as the recipe says.
    Signature,
}

impl Field {
    /// Every field.
    pub const ALL: [Field; 10] = [
        Field::Time,
        Field::Method,
        Field::Target,
        Field::Path,
        Field::Query,
        Field::Body,
        Field::BodyDigest,
        Field::ApiKey,
        Field::Passphrase,
        Field::Signature,
    ];

    /// The name as it stands between braces.
    pub fn as_str(self) -> &'static str {
        match self {
            Field::Time => "time",
            Field::Method => "method",
            Field::Target => "target",
            Field::Path => "path",
            Field::Query => "query",
            Field::Body => "body",
            Field::BodyDigest => "body_digest",
            Field::ApiKey => "api_key",
            Field::Passphrase => "passphrase",
            Field::Signature => "signature",
        }
    }

    fn parse(name: &str) -> Option<Field> {
        Field::ALL.into_iter().find(|field| field.as_str() == name)
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.as_str())
    }
}

/// One piece of a compiled template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Text as it is.
    Literal(Box<str>),
    /// The value of a field.
    Field(Field),
}

/// A compiled template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// In order; no two literals stand side by side.
    pieces: Box<[Piece]>,
}

/// Why a template cannot be compiled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace that opens or closes nothing.
    #[error("a brace without its partner; `{{{{` and `}}}}` stand for braces themselves")]
    Brace,
    /// No field of this name.
    #[error("no field is called `{0}`")]
    Unknown(String),
    /// Too long for the fixed array that signing fills.
    #[error("more than {MAX_PIECES} pieces")]
    TooLong,
}

/// What the fields stand for in one signature. Fields that a template does not use may be empty.
#[derive(Clone, Copy, Default)]
pub struct Values<'a> {
    /// The moment of signing as text.
    pub time: &'a str,
    /// The method.
    pub method: &'a str,
    /// Path and query; `{path}` and `{query}` are cut from it.
    pub target: &'a str,
    /// The body, or nothing.
    pub body: &'a str,
    /// The digest of the body.
    pub body_digest: &'a str,
    /// The credential's key.
    pub api_key: &'a str,
    /// The credential's passphrase.
    pub passphrase: &'a str,
    /// The signature, once there is one.
    pub signature: &'a str,
}

impl<'a> Values<'a> {
    fn of(&self, field: Field) -> &'a str {
        match field {
            Field::Time => self.time,
            Field::Method => self.method,
            Field::Target => self.target,
            Field::Path => split_target(self.target).0,
            Field::Query => split_target(self.target).1.unwrap_or(""),
            Field::Body => self.body,
            Field::BodyDigest => self.body_digest,
            Field::ApiKey => self.api_key,
            Field::Passphrase => self.passphrase,
            Field::Signature => self.signature,
        }
    }
}

/// Cuts a target at its first `?`: the path, and the query where there is a `?`.
pub fn split_target(target: &str) -> (&str, Option<&str>) {
    match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    }
}

/// A template filled in, still in parts: a MAC takes them one by one, so the whole text never exists.
pub struct Filled<'a> {
    parts: [&'a [u8]; MAX_PIECES],
    len: usize,
}

impl<'a> Filled<'a> {
    /// The parts in order.
    pub fn parts(&self) -> &[&'a [u8]] {
        &self.parts[..self.len]
    }
}

impl Template {
    /// Compiles a template.
    pub fn parse(text: &str) -> Result<Template, TemplateError> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let (brace, after) = rest[at..].split_at(1);
            if let Some(after) = after.strip_prefix(brace) {
                literal.push_str(brace);
                rest = after;
                continue;
            }
            let (field, after) = parse_field(brace, after)?;
            push_literal(&mut pieces, &mut literal);
            pieces.push(Piece::Field(field));
            rest = after;
        }
        literal.push_str(rest);
        push_literal(&mut pieces, &mut literal);
        if pieces.len() > MAX_PIECES {
            return Err(TemplateError::TooLong);
        }
        Ok(Template { pieces: pieces.into() })
    }

    /// The pieces in order.
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The fields that it names, in order.
    pub fn fields(&self) -> impl Iterator<Item = Field> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Field(field) => Some(*field),
            Piece::Literal(_) => None,
        })
    }

    /// Whether it names a field.
    pub fn uses(&self, field: Field) -> bool {
        self.fields().any(|used| used == field)
    }

    /// Fills it in without copying anything.
    pub fn fill<'a>(&'a self, values: &Values<'a>) -> Filled<'a> {
        let mut parts: [&[u8]; MAX_PIECES] = [&[]; MAX_PIECES];
        for (part, piece) in parts.iter_mut().zip(&self.pieces) {
            *part = text_of(piece, values).as_bytes();
        }
        Filled { parts, len: self.pieces.len() }
    }

    /// Fills it in as one text.
    pub fn render(&self, values: &Values<'_>) -> String {
        let texts = self.pieces.iter().map(|piece| text_of(piece, values));
        let mut out = String::with_capacity(texts.clone().map(str::len).sum());
        texts.for_each(|text| out.push_str(text));
        out
    }
}

fn text_of<'a>(piece: &'a Piece, values: &Values<'a>) -> &'a str {
    match piece {
        Piece::Literal(text) => text,
        Piece::Field(field) => values.of(*field),
    }
}

fn parse_field<'a>(brace: &str, after: &'a str) -> Result<(Field, &'a str), TemplateError> {
    let (name, rest) = after.split_once('}').filter(|_| brace == "{").ok_or(TemplateError::Brace)?;
    let field = Field::parse(name).ok_or_else(|| TemplateError::Unknown(name.to_owned()))?;
    Ok((field, rest))
}

fn push_literal(pieces: &mut Vec<Piece>, literal: &mut String) {
    if !literal.is_empty() {
        pieces.push(Piece::Literal(std::mem::take(literal).into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALUES: Values<'_> = Values {
        time: "T",
        method: "GET",
        target: "/a?b=1",
        body: "{}",
        body_digest: "d1",
        api_key: "k",
        passphrase: "p",
        signature: "s",
    };

    #[test]
    fn fields_stand_for_their_values_and_the_rest_for_itself() {
        let template =
            Template::parse("{time}|{method}|{target}|{path}|{query}|{body}|{body_digest}|{api_key}").unwrap();
        assert_eq!(template.render(&VALUES), "T|GET|/a?b=1|/a|b=1|{}|d1|k");
        assert_eq!(template.fill(&VALUES).parts().concat(), template.render(&VALUES).as_bytes());
    }

    #[test]
    fn doubled_braces_are_braces() {
        assert_eq!(Template::parse("{{x}}{time}}}").unwrap().render(&VALUES), "{x}T}");
    }

    #[test]
    fn a_field_is_shown_as_it_stands_in_a_template() {
        for field in Field::ALL {
            let template = Template::parse(&field.to_string()).unwrap();
            assert_eq!(template.fields().collect::<Vec<_>>(), [field]);
            assert!(template.uses(field) && Field::ALL.iter().filter(|one| template.uses(**one)).count() == 1);
        }
    }

    #[test]
    fn what_is_no_template_is_refused() {
        for text in ["{", "}", "{time", "time}", "a{time}}b"] {
            assert_eq!(Template::parse(text), Err(TemplateError::Brace), "{text}");
        }
        assert_eq!(Template::parse("{secret}"), Err(TemplateError::Unknown("secret".into())));
        assert!(Template::parse(&"{time}".repeat(16)).is_ok());
        assert_eq!(Template::parse(&"{time}".repeat(17)), Err(TemplateError::TooLong));
    }
}
