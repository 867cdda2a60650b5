//! The `[facts]` and `[instruments]` of a recipe: which member of a body is which fact.
//!
//! An endpoint's line names a shape, and its effect says among which. So a shape of orders can't be read from a
//! transfer, and one that no line names is a mistake.

use super::{Placed, RecipeFlaw};
use crate::recipe::facts::sheet::{Key, Names};
use crate::recipe::facts::transfer::{KindShape, TransferShape};
use crate::recipe::facts::{Form, Manner, OrderShape, Placing, ReduceOnlyShape, Shape, SwitchShape, UnitShape};
use crate::recipe::instruments::Instruments;
use crate::recipe::raw::{
    RawAmend, RawClose, RawEndpoint, RawFacts, RawInstruments, RawKind, RawOpenPrices, RawPlace, RawReduceOnly,
    RawShapes, RawSwitch, RawTransfer, RawType, RawUnit, RawUnitWord, Word,
};
use crate::types::decimal::Decimal;
use crate::types::endpoint::Effect;
use crate::types::facts::Unit;
use std::ops::Range;
use std::sync::Arc;
use toml::Spanned;

/// The most items that a batch may have.
const MAX_BATCH: i64 = 100;

/// The shapes of a recipe while its endpoints are read.
pub struct Shapes(Vec<Named>);

struct Named {
    effect: Effect,
    name: Box<str>,
    span: Range<usize>,
    shape: Arc<Shape>,
    used: bool,
}

impl Shapes {
    /// Compiles every shape.
    pub fn parse(raw: RawFacts) -> Result<Shapes, Placed> {
        let mut shapes = Shapes(Vec::new());
        shapes.add(Effect::Place, raw.place, place)?;
        shapes.add(Effect::Amend, raw.amend, amend)?;
        shapes.add(Effect::Close, raw.close, close)?;
        shapes.add(Effect::Cancel, raw.cancel, switch)?;
        shapes.add(Effect::None, raw.transfer, transfer)?;
        Ok(shapes)
    }

    fn add<T>(
        &mut self,
        effect: Effect,
        raw: RawShapes<T>,
        compile: fn(T) -> Result<Shape, Placed>,
    ) -> Result<(), Placed> {
        for (name, raw) in raw {
            let span = raw.span();
            let shape = Arc::new(compile(raw.into_inner())?);
            self.0.push(Named { effect, name, span, shape, used: false });
        }
        Ok(())
    }

    /// The form of an endpoint's bodies, as far as its line says so.
    pub fn form(&mut self, endpoint: &RawEndpoint, takes_body: bool) -> Result<Option<Form>, Placed> {
        let Some(name) = &endpoint.facts else {
            let batch = endpoint.batch.as_ref();
            return batch.map_or(Ok(None), |batch| Err((batch.span(), RecipeFlaw::Batch)));
        };
        let named = self.0.iter_mut().find(|named| named.effect == endpoint.effect && named.name == *name.get_ref());
        let named = named.ok_or_else(|| (name.span(), RecipeFlaw::Facts))?;
        if !takes_body {
            return Err((name.span(), RecipeFlaw::Bodiless));
        }
        named.used = true;
        let batch = endpoint.batch.as_ref().map(|batch| items(batch, &named.shape)).transpose()?;
        Ok(Some(Form { shape: named.shape.clone(), batch }))
    }

    /// Refuses a shape that no endpoint named, and orders where nothing says how instruments are named.
    pub fn finish(self, instruments: Option<&Instruments>) -> Result<(), Placed> {
        for named in self.0 {
            if !named.used {
                return Err((named.span, RecipeFlaw::Unused));
            }
            if matches!(*named.shape, Shape::Order(_)) && instruments.is_none() {
                return Err((named.span, RecipeFlaw::Uninstrumented));
            }
        }
        Ok(())
    }
}

fn items(batch: &Spanned<i64>, shape: &Shape) -> Result<usize, Placed> {
    let fits = matches!(shape, Shape::Order(_)) && (1..=MAX_BATCH).contains(batch.get_ref());
    let items = usize::try_from(*batch.get_ref()).ok().filter(|_| fits);
    items.ok_or_else(|| (batch.span(), RecipeFlaw::Batch))
}

/// How instruments are named.
pub fn instruments(raw: Spanned<RawInstruments>) -> Result<Instruments, Placed> {
    let span = raw.span();
    let raw = raw.into_inner();
    let graphic = raw.separator.is_ascii_graphic() && raw.characters.bytes().all(|byte| byte.is_ascii_graphic());
    let counted = 1 < raw.pair_words && raw.pair_words < raw.contract_words;
    if !graphic || !counted || raw.characters.is_empty() || raw.characters.contains(raw.separator) {
        return Err((span, RecipeFlaw::Instruments));
    }
    Ok(Instruments {
        separator: raw.separator as u8,
        characters: std::array::from_fn(|byte| raw.characters.bytes().any(|listed| usize::from(listed) == byte)),
        pair_words: raw.pair_words,
        contract_words: raw.contract_words,
    })
}

/// Collects the members of a shape, each once.
#[derive(Default)]
struct Members(Names);

impl Members {
    fn one(&mut self, word: &Word) -> Result<Key, Placed> {
        check_word(word)?;
        if !self.0.has_room() {
            return Err((word.span(), RecipeFlaw::Crowded));
        }
        self.0.add(word.get_ref()).ok_or_else(|| (word.span(), RecipeFlaw::Repeated(word.get_ref().to_string())))
    }

    fn all(&mut self, words: &[Word]) -> Result<Vec<Key>, Placed> {
        words.iter().map(|word| self.one(word)).collect()
    }
}

/// Nothing else can stand in a body as a name or a word that is read.
fn check_word(word: &Word) -> Result<(), Placed> {
    let text = word.get_ref();
    let fits = !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if fits { Ok(()) } else { Err((word.span(), RecipeFlaw::Word)) }
}

/// Words among which a body chooses: each can mean one thing only.
fn words<const N: usize>(words: [Word; N]) -> Result<[Box<str>; N], Placed> {
    distinct(&words)?;
    Ok(words.map(Spanned::into_inner))
}

fn distinct(words: &[Word]) -> Result<(), Placed> {
    for (index, word) in words.iter().enumerate() {
        check_word(word)?;
        if words[..index].iter().any(|before| before.get_ref() == word.get_ref()) {
            return Err((word.span(), RecipeFlaw::Repeated(word.get_ref().to_string())));
        }
    }
    Ok(())
}

fn place(raw: RawPlace) -> Result<Shape, Placed> {
    let mut members = Members::default();
    let instrument = members.one(&raw.instrument)?;
    let side = members.one(&raw.side.member)?;
    let order_type = members.one(&raw.order_type.member)?;
    let size = members.one(&raw.size)?;
    let placing = Placing {
        side,
        sides: words([raw.side.buy, raw.side.sell])?,
        order_type,
        types: types(raw.order_type)?,
        unit: unit(raw.unit, &mut members)?,
        client_id: members.one(&raw.client_id)?,
        reduce_only: reduce_only(raw.reduce_only, &mut members)?,
    };
    let (open_prices, market_word) = open_prices(raw.open_prices, &mut members)?;
    Ok(Shape::Order(Box::new(OrderShape {
        instrument,
        instrument_codes: members.all(&raw.instrument_codes)?,
        size: Some(size),
        other_sizes: members.all(&raw.other_sizes)?,
        prices: members.all(&raw.prices)?,
        open_prices,
        market_word,
        triggers: members.all(&raw.triggers)?,
        uncounted: members.all(&raw.uncounted)?,
        placing: Some(placing),
        names: members.0,
    })))
}

fn types(raw: RawType) -> Result<Vec<(Box<str>, Manner)>, Placed> {
    let manners = [(raw.limit, Manner::Limit), (raw.market, Manner::Market), (raw.worked, Manner::Worked)];
    let types = manners.into_iter().flat_map(|(words, manner)| words.into_iter().map(move |word| (word, manner)));
    let (words, manners): (Vec<_>, Vec<_>) = types.unzip();
    distinct(&words)?;
    Ok(words.into_iter().map(Spanned::into_inner).zip(manners).collect())
}

fn unit(raw: RawUnit, members: &mut Members) -> Result<UnitShape, Placed> {
    let meaning = |word| match word {
        RawUnitWord::Base => Unit::Base,
        RawUnitWord::Quote => Unit::Quote,
    };
    distinct(&raw.modes)?;
    Ok(UnitShape {
        member: members.one(&raw.member)?,
        units: words([raw.base, raw.quote])?,
        mode: members.one(&raw.mode)?,
        modes: raw.modes.into_iter().map(Spanned::into_inner).collect(),
        buy: meaning(raw.buy),
        sell: meaning(raw.sell),
    })
}

fn reduce_only(raw: RawReduceOnly, members: &mut Members) -> Result<ReduceOnlyShape, Placed> {
    Ok(ReduceOnlyShape {
        member: members.one(&raw.member)?,
        position: members.one(&raw.position)?,
        positions: words([raw.net, raw.long, raw.short])?,
    })
}

fn open_prices(raw: Option<RawOpenPrices>, members: &mut Members) -> Result<(Vec<Key>, Box<str>), Placed> {
    let Some(raw) = raw else { return Ok((Vec::new(), "".into())) };
    check_word(&raw.market)?;
    // A price that is also the word would be read as the word.
    if Decimal::parse(raw.market.get_ref()).is_ok() {
        return Err((raw.market.span(), RecipeFlaw::Word));
    }
    Ok((members.all(&raw.members)?, raw.market.into_inner()))
}

fn amend(raw: RawAmend) -> Result<Shape, Placed> {
    let mut members = Members::default();
    let (open_prices, market_word) = open_prices(raw.open_prices, &mut members)?;
    Ok(Shape::Order(Box::new(OrderShape {
        instrument: members.one(&raw.instrument)?,
        instrument_codes: members.all(&raw.instrument_codes)?,
        size: Some(members.one(&raw.size)?),
        other_sizes: Vec::new(),
        prices: members.all(&raw.prices)?,
        open_prices,
        market_word,
        triggers: members.all(&raw.triggers)?,
        uncounted: members.all(&raw.uncounted)?,
        placing: None,
        names: members.0,
    })))
}

fn close(raw: RawClose) -> Result<Shape, Placed> {
    let mut members = Members::default();
    Ok(Shape::Order(Box::new(OrderShape {
        instrument: members.one(&raw.instrument)?,
        instrument_codes: members.all(&raw.instrument_codes)?,
        size: None,
        other_sizes: Vec::new(),
        prices: Vec::new(),
        open_prices: Vec::new(),
        market_word: "".into(),
        triggers: Vec::new(),
        uncounted: Vec::new(),
        placing: None,
        names: members.0,
    })))
}

fn switch(raw: RawSwitch) -> Result<Shape, Placed> {
    let mut members = Members::default();
    Ok(Shape::Switch(SwitchShape {
        member: members.one(&raw.member)?,
        at_least: Decimal::from(u64::from(raw.at_least)),
        names: members.0,
    }))
}

fn transfer(raw: RawTransfer) -> Result<Shape, Placed> {
    let mut members = Members::default();
    Ok(Shape::Transfer(TransferShape {
        currency: members.one(&raw.currency)?,
        amount: members.one(&raw.amount)?,
        kind: raw.kind.map(|kind| kind_of_transfer(kind, raw.destination.len(), &mut members)).transpose()?,
        destination: members.all(&raw.destination)?,
        client_id: raw.client_id.as_ref().map(|word| members.one(word)).transpose()?,
        uncounted: members.all(&raw.uncounted)?,
        names: members.0,
    }))
}

/// Every destination has its kinds, and no kind has two.
fn kind_of_transfer(raw: RawKind, destinations: usize, members: &mut Members) -> Result<KindShape, Placed> {
    let span = raw.meant.span();
    let meant = raw.meant.into_inner();
    if meant.len() != destinations {
        return Err((span, RecipeFlaw::Kinds));
    }
    let words = meant.into_iter().enumerate();
    let (nth, words): (Vec<_>, Vec<_>) =
        words.flat_map(|(nth, words)| words.into_iter().map(move |word| (nth, word))).unzip();
    distinct(&words)?;
    check_word(&raw.default)?;
    Ok(KindShape {
        member: members.one(&raw.member)?,
        meant: words.into_iter().map(Spanned::into_inner).zip(nth).collect(),
        default: raw.default.into_inner(),
    })
}
