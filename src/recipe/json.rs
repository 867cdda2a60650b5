//! A strict reader of JSON (RFC 8259) that looks at the exact bytes which will be signed.
//!
//! Beyond the grammar it refuses what parsers are known to read differently: a member name that stands twice in one
//! object after unescaping, or that hides a control character (some parsers end a name at NUL); half a surrogate pair;
//! anything before or after the value, white space and BOM included; more than 32 levels. Numbers stay text.
//!
//! A document is one flat list of nodes in the order of the text, so reading costs one allocation.

mod escape;

use crate::types::bytes::{ByteSet, is_printable};
use escape::{hex_unit, unescape};
use std::borrow::Cow;

/// How deep arrays and objects may stand in each other.
pub const MAX_DEPTH: usize = 32;

/// What can't stand in a text as it is: its end, an escape, a control character.
const SPECIAL: ByteSet = ByteSet::of(b"\"\\").with(0, 0x1f);

/// A value that was read, with all that stands in it.
#[derive(Debug)]
pub struct Document<'a> {
    text: &'a str,
    /// In the order of the text: a container before its children, a name before its value.
    nodes: Vec<Node>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    kind: Kind,
    /// Whether it is a text with a backslash.
    escaped: bool,
    /// Where its text begins.
    start: usize,
    /// Where its text ends.
    end: usize,
    /// The first node that does not stand in it.
    next: usize,
}

/// What kind of value something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// `"…"`
    Text,
    /// A number.
    Number,
    /// `true`
    True,
    /// `false`
    False,
    /// `null`
    Null,
}

/// One value in a document.
///
/// What it says borrows from the text (`'a`), so it may outlive the document (`'d`).
#[derive(Clone, Copy)]
pub struct Value<'d, 'a> {
    document: &'d Document<'a>,
    index: usize,
}

/// Why a text is refused, and where: the offset in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{flaw} at byte {at}")]
pub struct JsonError {
    /// What is wrong.
    pub flaw: Flaw,
    /// The offset of the byte that shows it.
    pub at: usize,
}

/// What is wrong with a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Not RFC 8259.
    #[error("not JSON")]
    Grammar,
    /// Something before or after the value.
    #[error("something stands before or after the value")]
    Outside,
    /// A raw control character in a text.
    #[error("a control character that is not escaped")]
    Control,
    /// Half a surrogate pair.
    #[error("half a surrogate pair")]
    Surrogate,
    /// A name twice in one object.
    #[error("an object with the same name twice")]
    Repeated,
    /// A control character in a name, escaped.
    #[error("a name with a control character")]
    Name,
    /// Deeper than [`MAX_DEPTH`].
    #[error("more than {MAX_DEPTH} levels")]
    Depth,
}

impl<'a> Document<'a> {
    /// Reads a text that is exactly one value.
    pub fn parse(text: &'a str) -> Result<Document<'a>, JsonError> {
        // Sizes the list for an order: a name or a value every eight bytes or so.
        let nodes = Vec::with_capacity(text.len() / 8 + 4);
        let mut reader = Reader { bytes: text.as_bytes(), at: 0, document: Document { text, nodes } };
        if text.starts_with([' ', '\t', '\n', '\r', '\u{feff}']) {
            return Err(reader.flaw(Flaw::Outside));
        }
        reader.value(0)?;
        if reader.at < text.len() { Err(reader.flaw(Flaw::Outside)) } else { Ok(reader.document) }
    }

    /// The outermost value.
    pub fn root(&self) -> Value<'_, 'a> {
        Value { document: self, index: 0 }
    }
}

impl<'d, 'a> Value<'d, 'a> {
    fn node(self) -> &'d Node {
        &self.document.nodes[self.index]
    }

    /// What kind of value it is.
    pub fn kind(self) -> Kind {
        self.node().kind
    }

    /// Its exact text, quotes and braces included. The only form of a number.
    pub fn raw(self) -> &'a str {
        &self.document.text[self.node().start..self.node().end]
    }

    /// What a text says, unescaped; `None` for other kinds.
    pub fn text(self) -> Option<Cow<'a, str>> {
        let Node { kind, escaped, start, end, .. } = *self.node();
        let inner = (kind == Kind::Text).then(|| &self.document.text[start + 1..end - 1])?;
        Some(if escaped { Cow::Owned(unescape(inner)) } else { Cow::Borrowed(inner) })
    }

    /// The members of an object, in order; none for other kinds.
    pub fn members(self) -> impl Iterator<Item = (Cow<'a, str>, Value<'d, 'a>)> {
        let mut children = self.children(Kind::Object);
        std::iter::from_fn(move || Some((children.next()?.text()?, children.next()?)))
    }

    /// The member of an object with a name.
    pub fn member(self, name: &str) -> Option<Value<'d, 'a>> {
        self.members().find(|(member, _)| member == name).map(|(_, value)| value)
    }

    /// The items of an array, in order; none for other kinds.
    pub fn items(self) -> impl Iterator<Item = Value<'d, 'a>> {
        self.children(Kind::Array)
    }

    fn children(self, of: Kind) -> impl Iterator<Item = Value<'d, 'a>> {
        let end = if self.kind() == of { self.node().next } else { 0 };
        let document = self.document;
        let step = move |child: &usize| Some(document.nodes[*child].next).filter(|next| *next < end);
        std::iter::successors(Some(self.index + 1).filter(|first| *first < end), step)
            .map(move |index| Value { document, index })
    }
}

/// Reads from left to right, and never looks at a byte twice but to unescape.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    document: Document<'a>,
}

impl Reader<'_> {
    fn flaw(&self, flaw: Flaw) -> JsonError {
        JsonError { flaw, at: self.at }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// Steps over a byte if it is the next one.
    fn take(&mut self, byte: u8) -> bool {
        let here = self.peek() == Some(byte);
        self.at += usize::from(here);
        here
    }

    fn expect(&mut self, byte: u8) -> Result<(), JsonError> {
        if self.take(byte) { Ok(()) } else { Err(self.flaw(Flaw::Grammar)) }
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// One value; `depth` containers are open around it.
    fn value(&mut self, depth: usize) -> Result<(), JsonError> {
        match self.peek() {
            Some(b'{') => self.container(Kind::Object, depth),
            Some(b'[') => self.container(Kind::Array, depth),
            _ => self.leaf(),
        }
    }

    fn container(&mut self, kind: Kind, depth: usize) -> Result<(), JsonError> {
        let (index, start) = (self.document.nodes.len(), self.at);
        self.document.nodes.push(Node { kind, escaped: false, start, end: start, next: index });
        match kind {
            Kind::Object => self.object(depth)?,
            _ => self.array(depth)?,
        }
        let next = self.document.nodes.len();
        let node = &mut self.document.nodes[index];
        (node.end, node.next) = (self.at, next);
        if kind == Kind::Object { self.check_names(index) } else { Ok(()) }
    }

    fn leaf(&mut self) -> Result<(), JsonError> {
        let (start, mut escaped) = (self.at, false);
        let kind = match self.peek() {
            Some(b'"') => self.string(&mut escaped)?,
            Some(b't') => self.word(b"true", Kind::True)?,
            Some(b'f') => self.word(b"false", Kind::False)?,
            Some(b'n') => self.word(b"null", Kind::Null)?,
            _ => self.number()?,
        };
        let next = self.document.nodes.len() + 1;
        self.document.nodes.push(Node { kind, escaped, start, end: self.at, next });
        Ok(())
    }

    fn object(&mut self, depth: usize) -> Result<(), JsonError> {
        self.open(depth)?;
        while !self.take(b'}') {
            self.name()?;
            self.space();
            self.expect(b':')?;
            self.space();
            self.value(depth + 1)?;
            self.separator(b'}')?;
        }
        Ok(())
    }

    fn array(&mut self, depth: usize) -> Result<(), JsonError> {
        self.open(depth)?;
        while !self.take(b']') {
            self.value(depth + 1)?;
            self.separator(b']')?;
        }
        Ok(())
    }

    fn open(&mut self, depth: usize) -> Result<(), JsonError> {
        if depth >= MAX_DEPTH {
            return Err(self.flaw(Flaw::Depth));
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    /// What follows an item: a comma and another item, or the end, which stays to be taken.
    fn separator(&mut self, end: u8) -> Result<(), JsonError> {
        self.space();
        if self.take(b',') {
            self.space();
            if self.peek() == Some(end) { Err(self.flaw(Flaw::Grammar)) } else { Ok(()) }
        } else if self.peek() == Some(end) {
            Ok(())
        } else {
            Err(self.flaw(Flaw::Grammar))
        }
    }

    fn name(&mut self) -> Result<(), JsonError> {
        if self.peek() == Some(b'"') { self.leaf() } else { Err(self.flaw(Flaw::Grammar)) }
    }

    /// Looks through the names of an object whose children have all been read.
    fn check_names(&self, index: usize) -> Result<(), JsonError> {
        let object = Value { document: &self.document, index };
        let mut names = Vec::with_capacity((object.node().next - index) / 2);
        names.extend(object.members().map(|(name, _)| name));
        if names.iter().any(|name| !is_printable(name) && name.contains(char::is_control)) {
            return Err(self.flaw(Flaw::Name));
        }
        // By length first: most names differ in it.
        names.sort_unstable_by(|a, b| (a.len(), a).cmp(&(b.len(), b)));
        let repeated = names.windows(2).any(|pair| pair[0] == pair[1]);
        if repeated { Err(self.flaw(Flaw::Repeated)) } else { Ok(()) }
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<Kind, JsonError> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.flaw(Flaw::Grammar));
        }
        self.at += word.len();
        Ok(kind)
    }

    fn number(&mut self) -> Result<Kind, JsonError> {
        self.take(b'-');
        if !self.take(b'0') {
            self.digits()?;
        }
        if self.take(b'.') {
            self.digits()?;
        }
        if self.take(b'e') || self.take(b'E') {
            let _sign = self.take(b'+') || self.take(b'-');
            self.digits()?;
        }
        Ok(Kind::Number)
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        if self.at == start { Err(self.flaw(Flaw::Grammar)) } else { Ok(()) }
    }

    /// A text; says whether a backslash was in it.
    fn string(&mut self, escaped: &mut bool) -> Result<Kind, JsonError> {
        self.at += 1;
        loop {
            let rest = &self.bytes[self.at..];
            self.at += rest.iter().position(|byte| SPECIAL.has(*byte)).unwrap_or(rest.len());
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(_) => return Err(self.flaw(Flaw::Control)),
                None => return Err(self.flaw(Flaw::Grammar)),
            }
            *escaped = true;
        }
        self.at += 1;
        Ok(Kind::Text)
    }

    fn escape(&mut self) -> Result<(), JsonError> {
        self.at += 1;
        match self.peek() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 1,
            Some(b'u') => match self.unit()? {
                0xd800..0xdc00 => self.low_surrogate()?,
                0xdc00..0xe000 => return Err(self.flaw(Flaw::Surrogate)),
                _ => {}
            },
            _ => return Err(self.flaw(Flaw::Grammar)),
        }
        Ok(())
    }

    fn low_surrogate(&mut self) -> Result<(), JsonError> {
        if !self.bytes[self.at..].starts_with(b"\\u") {
            return Err(self.flaw(Flaw::Surrogate));
        }
        self.at += 1;
        let low = (0xdc00..0xe000).contains(&self.unit()?);
        if low { Ok(()) } else { Err(self.flaw(Flaw::Surrogate)) }
    }

    /// `u` and four hex digits.
    fn unit(&mut self) -> Result<u16, JsonError> {
        let digits = self.bytes.get(self.at + 1..self.at + 5).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let unit = digits.and_then(hex_unit).ok_or_else(|| self.flaw(Flaw::Grammar))?;
        self.at += 5;
        Ok(unit)
    }
}

#[cfg(test)]
mod tests;
