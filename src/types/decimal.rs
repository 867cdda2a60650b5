//! Exact decimal numbers: money, sizes and prices. Nothing here rounds and nothing is ever a float.

use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, Zero};
use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Digits before the point at most.
const INTEGER_DIGITS: usize = 18;
/// Places after the point at most.
const PLACES: usize = 18;
/// As many digits always fit into 128 bits.
const SMALL_DIGITS: usize = 38;
/// Digits on either side of the point of a sum of products at most.
const SUM_DIGITS: usize = 80;

/// A number that is not negative, exact to the last place.
///
/// Written `0`, `12`, `0.5`, `60000.10`: at most 18 digits, and at most 18 places behind a point. Sums and products keep
/// every place they need.
#[derive(Clone, Debug)]
pub struct Decimal(Form);

/// How a number is kept. The same number may be in either form, and with more places than it needs.
#[derive(Clone, Debug)]
enum Form {
    /// `digits` / 10^`places`: what people write, and nearly all that is reckoned from it.
    Small { digits: u128, places: u32 },
    /// Sums and products with more digits than that holds.
    Large(BigDecimal),
}

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
        let point = text.bytes().position(|byte| byte == b'.');
        let (integer, places) = match point {
            Some(at) => (&text.as_bytes()[..at], Some(&text.as_bytes()[at + 1..])),
            None => (text.as_bytes(), None),
        };
        let digits = |part: &[u8], most: usize| (1..=most).contains(&part.len()) && part.iter().all(u8::is_ascii_digit);
        let padded = integer.len() > 1 && integer.starts_with(b"0");
        if padded || !digits(integer, most_integer) || !places.is_none_or(|places| digits(places, most_places)) {
            return Err(NotDecimal);
        }
        let places = places.unwrap_or_default();
        if integer.len() + places.len() > SMALL_DIGITS {
            return BigDecimal::from_str(text).map(Decimal::large).map_err(|_| NotDecimal);
        }
        let digits = integer.iter().chain(places).fold(0, |sum, digit| 10 * sum + u128::from(digit - b'0'));
        Ok(Decimal::small(digits, places.len() as u32))
    }

    fn small(digits: u128, places: u32) -> Decimal {
        Decimal(Form::Small { digits, places })
    }

    fn large(number: BigDecimal) -> Decimal {
        Decimal(Form::Large(number))
    }

    fn to_large(&self) -> BigDecimal {
        match &self.0 {
            Form::Small { digits, places } => BigDecimal::new(BigInt::from(*digits), i64::from(*places)),
            Form::Large(number) => number.clone(),
        }
    }

    /// The digits of both with the same number of places, and that number, where they fit.
    fn aligned(&self, other: &Decimal) -> Option<(u128, u128, u32)> {
        let (Form::Small { digits: a, places: of_a }, Form::Small { digits: b, places: of_b }) = (&self.0, &other.0)
        else {
            return None;
        };
        let places = *of_a.max(of_b);
        let widened = |digits: &u128, from: &u32| match places - from {
            0 => Some(*digits),
            more => digits.checked_mul(10_u128.checked_pow(more)?),
        };
        Some((widened(a, of_a)?, widened(b, of_b)?, places))
    }

    /// Whether it is nothing.
    pub fn is_zero(&self) -> bool {
        match &self.0 {
            Form::Small { digits, .. } => *digits == 0,
            Form::Large(number) => number.is_zero(),
        }
    }

    /// The sum.
    pub fn plus(&self, other: &Decimal) -> Decimal {
        let sum = self.aligned(other).and_then(|(a, b, places)| Some(Decimal::small(a.checked_add(b)?, places)));
        sum.unwrap_or_else(|| Decimal::large(self.to_large() + other.to_large()))
    }

    /// The difference; nothing when `other` is more.
    pub fn minus(&self, other: &Decimal) -> Decimal {
        match self.aligned(other) {
            Some((a, b, places)) => Decimal::small(a.saturating_sub(b), places),
            None if other > self => Decimal::default(),
            None => Decimal::large(self.to_large() - other.to_large()),
        }
    }

    /// The product.
    pub fn times(&self, other: &Decimal) -> Decimal {
        let product = match (&self.0, &other.0) {
            (Form::Small { digits: a, places: of_a }, Form::Small { digits: b, places: of_b }) => {
                a.checked_mul(*b).map(|digits| Decimal::small(digits, of_a + of_b))
            }
            _ => None,
        };
        product.unwrap_or_else(|| Decimal::large(self.to_large() * other.to_large()))
    }
}

impl Default for Decimal {
    fn default() -> Decimal {
        Decimal::from(0)
    }
}

impl From<u64> for Decimal {
    fn from(whole: u64) -> Decimal {
        Decimal::small(whole.into(), 0)
    }
}

impl Ord for Decimal {
    fn cmp(&self, other: &Decimal) -> Ordering {
        match self.aligned(other) {
            Some((a, b, _)) => a.cmp(&b),
            None => self.to_large().cmp(&other.to_large()),
        }
    }
}

impl PartialOrd for Decimal {
    fn partial_cmp(&self, other: &Decimal) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal {
    fn eq(&self, other: &Decimal) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Decimal {}

impl fmt::Display for Decimal {
    /// The shortest plain form: no exponent, no zeros behind the last place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (digits, places) = match &self.0 {
            Form::Small { digits, places } => (digits, *places as usize),
            Form::Large(number) => return f.write_str(&number.normalized().to_plain_string()),
        };
        // At least one digit before the point.
        let text = format!("{digits:0width$}", width = places + 1);
        let (whole, fraction) = text.split_at(text.len() - places);
        match fraction.trim_end_matches('0') {
            "" => f.write_str(whole),
            fraction => [whole, ".", fraction].into_iter().try_for_each(|part| f.write_str(part)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{prop_assert_eq, proptest};
    use proptest::test_runner::Config;

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

    const NUMBER: &str = r"(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?";

    proptest! {
        #![proptest_config(Config::with_cases(256))]

        #[test]
        fn both_forms_of_a_number_reckon_alike(a in NUMBER, b in NUMBER) {
            let [a, b] = [number(&a), number(&b)];
            let [large_a, large_b] = [&a, &b].map(|number| Decimal::large(number.to_large()));
            for (other_a, other_b) in [(&a, &large_b), (&large_a, &b), (&large_a, &large_b)] {
                prop_assert_eq!(a.cmp(&b), other_a.cmp(other_b));
                prop_assert_eq!(a.plus(&b).to_string(), other_a.plus(other_b).to_string());
                prop_assert_eq!(a.minus(&b).to_string(), other_a.minus(other_b).to_string());
                prop_assert_eq!(a.times(&b).to_string(), other_a.times(other_b).to_string());
                prop_assert_eq!(a.times(&b), other_a.times(other_b));
            }
        }
    }
}
