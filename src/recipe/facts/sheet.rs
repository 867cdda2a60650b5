//! The members of one object that facts are read from: found in one pass, then read one by one.

use crate::recipe::json::{Kind, Value};
use crate::types::bytes::{self, is_printable};
use crate::types::decimal::Decimal;
use crate::types::facts::Fact;
use std::borrow::Cow;

/// How many members a recipe may name for one kind of body.
pub const MAX_NAMES: usize = 32;

/// How many digits a JSON number may have that stands for a name. Every parser keeps as many exactly.
const NAME_DIGITS: usize = 15;

/// The names of the members that facts are read from, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Vec<Name>);

/// A member's name.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    exact: Box<str>,
    /// What is left of it for a parser that does not look closely.
    folded: Box<str>,
}

/// Which of the [`Names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key(usize);

impl Names {
    /// Adds a name. `None`, and nothing is added, when it is there already or there is no room.
    pub fn add(&mut self, name: &str) -> Option<Key> {
        let is_new = self.has_room() && self.find(name).is_none();
        is_new.then(|| {
            self.0.push(Name { exact: name.into(), folded: folded(name).into() });
            Key(self.0.len() - 1)
        })
    }

    /// Whether there is room for another name.
    pub fn has_room(&self) -> bool {
        self.0.len() < MAX_NAMES
    }

    /// The name of a key.
    pub fn name(&self, key: Key) -> &str {
        &self.0[key.0].exact
    }

    fn find(&self, name: &str) -> Option<Key> {
        self.0.iter().position(|known| *known.exact == *name).map(Key)
    }

    /// The keys whose names some parser would take this one for: parsers are known that do not tell letters apart by
    /// case, not even beyond ASCII, and skip `_` and `-`.
    fn alike(&self, name: &str) -> impl Iterator<Item = Key> {
        let name = folded(name);
        self.0.iter().enumerate().filter(move |(_, known)| *known.folded == *name).map(|(index, _)| Key(index))
    }
}

fn folded(name: &str) -> String {
    let chars = name.chars().filter(|char| !matches!(char, '_' | '-'));
    // No longer than the name: each char becomes one that takes as many bytes or fewer.
    let mut folded = String::with_capacity(name.len());
    folded.extend(chars.map(|char| match char {
        // All that Unicode has besides ASCII's own as another case of an ASCII letter.
        'ſ' => 's',
        '\u{212a}' => 'k',
        'İ' | 'ı' => 'i',
        other => other.to_ascii_lowercase(),
    }));
    folded
}

/// What one object says under each of the names.
pub struct Sheet<'r, 'd, 'a> {
    names: &'r Names,
    said: [Said<'d, 'a>; MAX_NAMES],
}

/// What stands under one name.
#[derive(Clone, Copy)]
enum Said<'d, 'a> {
    /// Nothing: no member, or one that means as much.
    Nothing,
    /// A value.
    Value(Value<'d, 'a>),
    /// A member has a name that can be taken for this one, so what an exchange reads here is open.
    Unclear,
}

impl<'r, 'd, 'a> Sheet<'r, 'd, 'a> {
    /// Looks through an object; `None` for other kinds of values.
    pub fn read(names: &'r Names, object: Value<'d, 'a>) -> Option<Sheet<'r, 'd, 'a>> {
        let mut sheet = Sheet { names, said: [Said::Nothing; MAX_NAMES] };
        for (name, value) in object.members() {
            match names.find(&name) {
                Some(key) => sheet.note(key, value),
                None => names.alike(&name).for_each(|key| sheet.said[key.0] = Said::Unclear),
            }
        }
        (object.kind() == Kind::Object).then_some(sheet)
    }

    fn note(&mut self, key: Key, value: Value<'d, 'a>) {
        let said = &mut self.said[key.0];
        if matches!(said, Said::Nothing) && !is_nothing(value) {
            *said = Said::Value(value);
        }
    }

    /// The first of these that says anything, by its name.
    pub fn first_present(&self, keys: &[Key]) -> Option<&'r str> {
        keys.iter().find(|key| self.is_present(**key)).map(|key| self.names.name(*key))
    }

    /// Whether a member says anything at all.
    pub fn is_present(&self, key: Key) -> bool {
        !matches!(self.said[key.0], Said::Nothing)
    }

    /// A text of printable ASCII: names and words are nothing else.
    pub fn text(&self, key: Key) -> Fact<Cow<'a, str>> {
        self.fact(key, |value| value.text().filter(|text| is_printable(text)))
    }

    /// An id that the client chose: a text of printable ASCII without spaces. An exchange that trims would take a blank
    /// one for none.
    pub fn id(&self, key: Key) -> Fact<Cow<'a, str>> {
        self.fact(key, |value| value.text().filter(|text| bytes::all(text.as_bytes(), |byte| byte.is_ascii_graphic())))
    }

    /// A text of printable ASCII, or a whole number that stands for one.
    pub fn text_or_whole(&self, key: Key) -> Fact<Cow<'a, str>> {
        let is_name = |digits: &str| digits.len() <= NAME_DIGITS && digits.bytes().all(|byte| byte.is_ascii_digit());
        self.fact(key, |value| match value.kind() {
            Kind::Number => Some(value.raw()).filter(|raw| is_name(raw)).map(Cow::Borrowed),
            _ => value.text().filter(|text| is_printable(text)),
        })
    }

    /// A number, plain or as a text.
    pub fn number(&self, key: Key) -> Fact<Decimal> {
        self.fact(key, |value| Decimal::parse(&digits(value)?).ok())
    }

    /// A number without a point, plain or as a text.
    pub fn whole(&self, key: Key) -> Fact<Decimal> {
        self.fact(key, |value| {
            digits(value).filter(|digits| !digits.contains('.')).and_then(|digits| Decimal::parse(&digits).ok())
        })
    }

    /// A number, or a word that stands for none: `Is(None)`.
    pub fn number_or(&self, word: &str, key: Key) -> Fact<Option<Decimal>> {
        self.fact(key, |value| {
            let digits = digits(value)?;
            if digits == word { Some(None) } else { Decimal::parse(&digits).ok().map(Some) }
        })
    }

    /// `true` or `false`, plain or as a text.
    pub fn flag(&self, key: Key) -> Fact<bool> {
        self.fact(key, |value| match (value.kind(), value.text().as_deref()) {
            (Kind::True, _) | (_, Some("true")) => Some(true),
            (Kind::False, _) | (_, Some("false")) => Some(false),
            _ => None,
        })
    }

    /// One of some words.
    pub fn one_of<T: Copy>(&self, key: Key, words: &[(&str, T)]) -> Fact<T> {
        self.fact(key, |value| {
            let text = value.text()?;
            words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| *meaning)
        })
    }

    fn fact<T>(&self, key: Key, read: impl FnOnce(Value<'d, 'a>) -> Option<T>) -> Fact<T> {
        match self.said[key.0] {
            Said::Nothing => Fact::Absent,
            Said::Value(value) => read(value).map_or(Fact::Unreadable, Fact::Is),
            Said::Unclear => Fact::Unreadable,
        }
    }
}

/// Clients send these for what they leave out.
fn is_nothing(value: Value<'_, '_>) -> bool {
    match value.kind() {
        Kind::Null => true,
        Kind::Text => value.raw() == "\"\"",
        Kind::Array => value.items().next().is_none(),
        _ => false,
    }
}

/// The digits of a number, plain or as a text, as they stand.
fn digits<'a>(value: Value<'_, 'a>) -> Option<Cow<'a, str>> {
    match value.kind() {
        Kind::Number => Some(Cow::Borrowed(value.raw())),
        _ => value.text(),
    }
}
