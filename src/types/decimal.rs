//! Exact decimal numbers: money, sizes and prices. Nothing here rounds and nothing is ever a float.

use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, Zero};
use std::fmt;
use std::str::FromStr;

/// Digits before the point at most.
const INTEGER_DIGITS: usize = 18;
/// Places after the point at most.
const PLACES: usize = 18;
/// As many digits always fit into 64 bits, which are read with less ado.
const U64_DIGITS: usize = 19;
/// Digits on either side of the point of a sum of products at most.
const SUM_DIGITS: usize = 80;

/// A number that is not negative, exact to the last place.
///
/// Written `0`, `12`, `0.5`, `60000.10`: at most 18 digits, and at most 18 places behind a point. Sums and products keep
/// every place they need.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Decimal(BigDecimal);

/// Not a number as [`Decimal`] wants it written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a plain decimal number: digits, at most {INTEGER_DIGITS}, and behind a point at most {PLACES} places; no sign, no exponent"
)]
pub struct NotDecimal;

impl Decimal {
    /// Reads a number. A sign, an exponent, a leading zero before another digit, a point without digits on both sides,
    /// or anything that is no ASCII digit makes it none.
    ///
    /// # Errors
    /// [`NotDecimal`].
    pub fn parse(text: &str) -> Result<Decimal, NotDecimal> {
        Decimal::read(text, INTEGER_DIGITS, PLACES)
    }

    /// Reads back what a sum or a product wrote: the same form, with at most 80 digits on either side of the point.
    ///
    /// # Errors
    /// [`NotDecimal`].
    pub fn parse_sum(text: &str) -> Result<Decimal, NotDecimal> {
        Decimal::read(text, SUM_DIGITS, SUM_DIGITS)
    }

    fn read(text: &str, most_integer: usize, most_places: usize) -> Result<Decimal, NotDecimal> {
        let (integer, places) = text.split_once('.').map_or((text, None), |(integer, places)| (integer, Some(places)));
        let digits = |part: &str, most: usize| {
            (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        let padded = integer.len() > 1 && integer.starts_with('0');
        if padded || !digits(integer, most_integer) || !places.is_none_or(|places| digits(places, most_places)) {
            return Err(NotDecimal);
        }
        let places = places.unwrap_or_default();
        if integer.len() + places.len() > U64_DIGITS {
            return BigDecimal::from_str(text).map(Decimal).map_err(|_| NotDecimal);
        }
        let whole = integer.bytes().chain(places.bytes()).fold(0, |sum, digit| 10 * sum + u64::from(digit - b'0'));
        Ok(Decimal(BigDecimal::new(BigInt::from(whole), places.len() as i64)))
    }

    /// Whether it is nothing.
    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }

    /// The sum.
    pub fn plus(&self, other: &Decimal) -> Decimal {
        Decimal(&self.0 + &other.0)
    }

    /// The difference; nothing when `other` is more.
    pub fn minus(&self, other: &Decimal) -> Decimal {
        Decimal(if other.0 > self.0 { BigDecimal::zero() } else { &self.0 - &other.0 })
    }

    /// The product.
    pub fn times(&self, other: &Decimal) -> Decimal {
        Decimal(&self.0 * &other.0)
    }
}

impl From<u64> for Decimal {
    fn from(whole: u64) -> Decimal {
        Decimal(BigDecimal::from(whole))
    }
}

impl fmt::Display for Decimal {
    /// The shortest plain form: no exponent, no zeros behind the last place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.normalized().to_plain_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Decimal {
        Decimal::parse(text).unwrap()
    }

    #[test]
    fn plain_numbers_are_read_and_written_exactly() {
        for text in ["0", "7", "0.5", "60000.1", "999999999999999999.999999999999999999", "0.000000000000000001"] {
            assert_eq!(number(text).to_string(), text);
        }
        assert_eq!(number("1.500").to_string(), "1.5");
        assert_eq!(number("100").to_string(), "100");
        assert_eq!(number("1.50"), number("1.5"));
        assert!(number("0.00").is_zero() && !number("0.01").is_zero());
    }

    #[test]
    fn every_other_spelling_is_refused() {
        let others = [
            "",
            "-1",
            "+1",
            "1e3",
            "1E3",
            ".5",
            "5.",
            "-0",
            "00",
            "01",
            "0x10",
            "NaN",
            "inf",
            " 1",
            "1 ",
            "1,5",
            "1_0",
            "１",
            "1.2.3",
            "1000000000000000000",
            "0.0000000000000000001",
            "٣",
            "1\n",
            "0.-1",
            "0.1e1",
        ];
        for text in others {
            assert_eq!(Decimal::parse(text), Err(NotDecimal), "{text:?}");
        }
    }

    #[test]
    fn sums_are_read_back_as_they_were_written() {
        let most = number("999999999999999999.999999999999999999");
        let products = [most.clone(), most.times(&most), most.times(&most).times(&most), most.plus(&most)];
        for sum in products.iter().chain([&Decimal::default(), &number("0.000000000000000001").times(&most)]) {
            assert_eq!(Decimal::parse_sum(&sum.to_string()).as_ref(), Ok(sum));
        }
        let nines = "9".repeat(80);
        assert_eq!(Decimal::parse_sum(&format!("{nines}.{nines}")).unwrap().to_string(), format!("{nines}.{nines}"));
        for text in [format!("{nines}9"), format!("0.{nines}9"), "1e3".to_owned(), "-1".to_owned(), "01".to_owned()] {
            assert_eq!(Decimal::parse_sum(&text), Err(NotDecimal), "{text}");
        }
    }

    #[test]
    fn arithmetic_loses_nothing() {
        let most = number("999999999999999999.999999999999999999");
        assert_eq!(
            most.times(&most).to_string(),
            "999999999999999999999999999999999998.000000000000000000000000000000000001"
        );
        let least = number("0.000000000000000001");
        assert_eq!(most.plus(&least).to_string(), "1000000000000000000");
        assert_eq!(most.minus(&least).plus(&least), most);
        assert!(least.minus(&most).is_zero());
        assert!(Decimal::from(3) > number("2.999999999999999999"));
    }
}
