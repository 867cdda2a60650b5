//! What a body says: the facts of its orders or its transfer, read from the exact bytes that will be signed.
//!
//! Which member is which fact, and what its words mean, is the recipe's data; here is only how facts hang together:
//! that an order's type decides whether its price binds it, and its market and side in what its size is counted.
//! Nothing is judged here, and nothing is guessed: what can be taken in two ways is [`Fact::Unreadable`].

pub mod sheet;
pub mod transfer;

use crate::recipe::instruments::Instruments;
use crate::recipe::json::Value;
use crate::types::decimal::Decimal;
use crate::types::endpoint::Effect;
use crate::types::facts::{Fact, Facts, Market, Order, Price, Side, Subject, Unit};
use sheet::{Key, Names, Sheet};
use std::borrow::Cow;
use std::sync::Arc;
use transfer::TransferShape;

/// How facts are read from the bodies of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    /// What the body says, or each of its items. Endpoints may share one.
    pub shape: Arc<Shape>,
    /// How many items a body may have that is an array; absent where a body is one object.
    pub batch: Option<usize>,
}

/// What an object says: its members, and what they mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// An order that is placed, amended or closed.
    Order(Box<OrderShape>),
    /// Funds that move.
    Transfer(TransferShape),
    /// A switch that cancels orders later, unless it is told again: its effect depends on what it is told.
    Switch(SwitchShape),
}

/// The members of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderShape {
    /// Their names.
    pub names: Names,
    /// The instrument.
    pub instrument: Key,
    /// Members that name the instrument in a way that can't be judged.
    pub instrument_codes: Vec<Key>,
    /// The size; closing a position has none.
    pub size: Option<Key>,
    /// Members that say the size in a way that can't be judged.
    pub other_sizes: Vec<Key>,
    /// Prices.
    pub prices: Vec<Key>,
    /// Prices that may also be a word for whatever the market gives.
    pub open_prices: Vec<Key>,
    /// That word.
    pub market_word: Box<str>,
    /// Prices that only set the order off.
    pub triggers: Vec<Key>,
    /// Members that change what the order is worth in a way that no rule can count.
    pub uncounted: Vec<Key>,
    /// What only a new order says.
    pub placing: Option<Placing>,
}

/// What only a new order says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placing {
    /// The side.
    pub side: Key,
    /// The words for buying and selling.
    pub sides: [Box<str>; 2],
    /// The type of order.
    pub order_type: Key,
    /// The exchange's types of order, and how an order of each is executed. An order of another type can't be judged.
    pub types: Vec<(Box<str>, Manner)>,
    /// In what the size is counted.
    pub unit: UnitShape,
    /// The id that the client chose.
    pub client_id: Key,
    /// Whether it only makes a position smaller.
    pub reduce_only: ReduceOnlyShape,
}

/// How an order is executed, by its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// At the prices it names.
    Limit,
    /// At whatever the market gives, at once.
    Market,
    /// At whatever the market gives, later or bit by bit. In what a buy's size is counted is not known.
    Worked,
}

/// In what the size of an order at the market is counted, on a pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitShape {
    /// The member that says so.
    pub member: Key,
    /// The words for base and quote currency.
    pub units: [Box<str>; 2],
    /// The member that says how the order is traded.
    pub mode: Key,
    /// Where `member` is heeded. An order that says no mode counts among them.
    pub modes: Vec<Box<str>>,
    /// What holds for a buy that does not say.
    pub buy: Unit,
    /// What holds for a sell that does not say.
    pub sell: Unit,
}

/// Whether an order can only make a position smaller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReduceOnlyShape {
    /// The member that says so; heeded only where there is one net position.
    pub member: Key,
    /// The member that says which position is meant.
    pub position: Key,
    /// The words for the net, the long and the short position.
    pub positions: [Box<str>; 3],
}

/// The member of a switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwitchShape {
    /// Its name.
    pub names: Names,
    /// When it goes off.
    pub member: Key,
    /// The least whole number with which it cancels anything.
    pub at_least: Decimal,
}

/// Which position an order is about, where there can be one on each side.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Position {
    Net,
    Long,
    Short,
}

impl Form {
    /// Reads the facts of a body, or of its absence. `effect` is the endpoint's.
    pub fn read<'a>(
        &'a self,
        body: Option<Value<'_, 'a>>,
        effect: Effect,
        instruments: Option<&Instruments>,
    ) -> Facts<'a> {
        let subject = match (&*self.shape, body) {
            (Shape::Switch(switch), body) => {
                let effect = if body.is_some_and(|body| switch.is_set(body)) { effect } else { Effect::None };
                return Facts { effect, subject: Subject::Unknown };
            }
            (Shape::Order(shape), Some(body)) => {
                self.orders(body, |item| shape.read(item, effect, instruments)).map(Subject::Orders)
            }
            (Shape::Transfer(shape), Some(body)) => shape.read(body).map(Subject::Transfer),
            (Shape::Order(_) | Shape::Transfer(_), None) => None,
        };
        Facts { effect, subject: subject.unwrap_or(Subject::Misshapen) }
    }

    /// One order, or one for each item. `None` for a body of another form.
    fn orders<'d, 'a>(
        &self,
        body: Value<'d, 'a>,
        read: impl Fn(Value<'d, 'a>) -> Option<Order<'a>>,
    ) -> Option<Vec<Order<'a>>> {
        let Some(most) = self.batch else { return Some(vec![read(body)?]) };
        let fits = (1..=most).contains(&body.items().take(most + 1).count());
        if fits { body.items().map(read).collect() } else { None }
    }
}

impl OrderShape {
    fn read<'a>(&'a self, item: Value<'_, 'a>, effect: Effect, instruments: Option<&Instruments>) -> Option<Order<'a>> {
        let sheet = Sheet::read(&self.names, item)?;
        let coded = sheet.first_present(&self.instrument_codes).is_some();
        let sized_otherwise = sheet.first_present(&self.other_sizes).is_some();
        let size =
            if sized_otherwise { Fact::Unreadable } else { self.size.map_or(Fact::Absent, |size| sheet.number(size)) };
        let instrument = if coded { Fact::Unreadable } else { sheet.text(self.instrument) };
        let triggers = self.triggers.iter().map(|key| sheet.number(*key));
        let order = Order {
            effect,
            market: instruments.zip(instrument.known()).map_or(Market::Unknown, |(all, name)| all.market(name)),
            instrument,
            side: Fact::Absent,
            order_type: Fact::Absent,
            size,
            unit: Fact::Absent,
            prices: self.named_prices(&sheet),
            triggers: triggers.filter(|trigger| *trigger != Fact::Absent).collect(),
            client_id: Fact::Absent,
            reduce_only: Fact::Absent,
            uncounted: sheet.first_present(&self.uncounted),
        };
        Some(match &self.placing {
            Some(placing) => self.read_placing(placing, &sheet, order),
            None if self.size.is_some() => Order { unit: self.amended_unit(&order), ..order },
            None => order,
        })
    }

    fn named_prices(&self, sheet: &Sheet<'_, '_, '_>) -> Vec<Fact<Price>> {
        let bound = self.prices.iter().map(|key| map(sheet.number(*key), Price::Limit));
        let open = self.open_prices.iter().map(|key| sheet.number_or(&self.market_word, *key));
        let open = open.map(|price| map(price, |number| number.map_or(Price::Market, Price::Limit)));
        bound.chain(open).filter(|price| *price != Fact::Absent).collect()
    }

    /// Adds what a new order says to what every order says.
    fn read_placing<'a>(&self, placing: &Placing, sheet: &Sheet<'_, '_, 'a>, order: Order<'a>) -> Order<'a> {
        let [buy, sell] = &placing.sides;
        let side = sheet.one_of(placing.side, &[(&**buy, Side::Buy), (&**sell, Side::Sell)]);
        let order_type = sheet.text(placing.order_type);
        let manner = placing.manner(&order_type);
        let unit = self.unit(placing, sheet, &order, manner.clone(), &side);
        let by_type = match manner {
            Fact::Is(Manner::Market | Manner::Worked) => Some(Fact::Is(Price::Market)),
            Fact::Unreadable => Some(Fact::Unreadable),
            Fact::Is(Manner::Limit) | Fact::Absent => None,
        };
        let mut prices = order.prices;
        if let Some(price) = by_type {
            prices.insert(0, price);
        }
        Order {
            order_type,
            unit,
            prices,
            client_id: sheet.id(placing.client_id),
            reduce_only: placing.reduce_only.read(sheet, &side, order.market),
            side,
            ..order
        }
    }

    /// In what a new order's size is counted.
    fn unit(
        &self,
        placing: &Placing,
        sheet: &Sheet<'_, '_, '_>,
        order: &Order<'_>,
        manner: Fact<Manner>,
        side: &Fact<Side>,
    ) -> Fact<Unit> {
        match (order.market, manner) {
            (Market::Contract, _) => Fact::Is(Unit::Base),
            (_, Fact::Absent) => Fact::Absent,
            (_, Fact::Is(Manner::Limit)) if !self.may_be_at_market(order) => Fact::Is(Unit::Base),
            (Market::Unknown, _) | (_, Fact::Unreadable) => Fact::Unreadable,
            (Market::Spot, Fact::Is(manner)) => match placing.unit.read(sheet, side) {
                Fact::Is(Unit::Quote) if manner == Manner::Limit && order.prices != [Fact::Is(Price::Market)] => {
                    Fact::Unreadable
                }
                Fact::Is(_) if manner == Manner::Worked && *side != Fact::Is(Side::Sell) => Fact::Unreadable,
                unit => unit,
            },
        }
    }

    /// In what a new size is counted. At the market that depends on the order, which is not told here.
    fn amended_unit(&self, order: &Order<'_>) -> Fact<Unit> {
        let is_open = order.market != Market::Contract && self.may_be_at_market(order);
        if is_open { Fact::Unreadable } else { Fact::Is(Unit::Base) }
    }

    /// Whether a price that the order names is the market's, or could be.
    fn may_be_at_market(&self, order: &Order<'_>) -> bool {
        let can_be = |price: &Fact<Price>| matches!(price, Fact::Is(Price::Market) | Fact::Unreadable);
        !self.open_prices.is_empty() && order.prices.iter().any(can_be)
    }
}

impl Placing {
    fn manner(&self, order_type: &Fact<Cow<'_, str>>) -> Fact<Manner> {
        match order_type {
            Fact::Absent => Fact::Absent,
            Fact::Unreadable => Fact::Unreadable,
            Fact::Is(order_type) => {
                let known = self.types.iter().find(|(word, _)| **word == **order_type);
                known.map_or(Fact::Unreadable, |(_, manner)| Fact::Is(*manner))
            }
        }
    }
}

impl UnitShape {
    /// In what the size of an order at the market is counted.
    fn read(&self, sheet: &Sheet<'_, '_, '_>, side: &Fact<Side>) -> Fact<Unit> {
        let [base, quote] = &self.units;
        match sheet.one_of(self.member, &[(&**base, Unit::Base), (&**quote, Unit::Quote)]) {
            Fact::Is(_) if !self.is_heeded(sheet) => Fact::Unreadable,
            Fact::Absent => map(side.clone(), |side| match side {
                Side::Buy => self.buy,
                Side::Sell => self.sell,
            }),
            stated => stated,
        }
    }

    fn is_heeded(&self, sheet: &Sheet<'_, '_, '_>) -> bool {
        match sheet.text(self.mode) {
            Fact::Absent => true,
            Fact::Is(mode) => self.modes.iter().any(|known| **known == *mode),
            Fact::Unreadable => false,
        }
    }
}

impl ReduceOnlyShape {
    /// With a position on each side, the exchange goes by position and side alone: `true` beside an order that opens
    /// says nothing. Only contracts have such positions: of a pair the order itself must say that it reduces.
    fn read(&self, sheet: &Sheet<'_, '_, '_>, side: &Fact<Side>, market: Market) -> Fact<bool> {
        let [net, long, short] = &self.positions;
        let words = [(&**net, Position::Net), (&**long, Position::Long), (&**short, Position::Short)];
        let stated = sheet.flag(self.member);
        match (sheet.one_of(self.position, &words), side) {
            (Fact::Absent | Fact::Is(Position::Net), _) => stated,
            (Fact::Is(Position::Long), Fact::Is(Side::Sell)) | (Fact::Is(Position::Short), Fact::Is(Side::Buy)) => {
                if market == Market::Contract {
                    Fact::Is(true)
                } else {
                    stated
                }
            }
            (Fact::Is(Position::Long | Position::Short), Fact::Is(_)) => map(stated, |_| false),
            (Fact::Is(_) | Fact::Unreadable, _) => Fact::Unreadable,
        }
    }
}

impl SwitchShape {
    fn is_set(&self, body: Value<'_, '_>) -> bool {
        let number = Sheet::read(&self.names, body).map(|sheet| sheet.whole(self.member));
        number.is_some_and(|number| matches!(number, Fact::Is(number) if number >= self.at_least))
    }
}

fn map<T, U>(fact: Fact<T>, meaning: impl FnOnce(T) -> U) -> Fact<U> {
    match fact {
        Fact::Absent => Fact::Absent,
        Fact::Is(value) => Fact::Is(meaning(value)),
        Fact::Unreadable => Fact::Unreadable,
    }
}

#[cfg(test)]
mod tests;
