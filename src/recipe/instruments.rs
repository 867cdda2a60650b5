//! How the names of an exchange's instruments look, and what kind of instrument each is.

use crate::types::facts::Market;

/// How an exchange names its instruments: words of certain characters, joined by a separator. How many words there are
/// tells the kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instruments {
    /// What stands between two words.
    pub separator: u8,
    /// Whether a word may contain a byte, for every byte of ASCII. Never the separator.
    pub characters: [bool; 128],
    /// How many words the name of a pair has.
    pub pair_words: usize,
    /// How many words the name of a contract has at least.
    pub contract_words: usize,
}

impl Instruments {
    /// What kind of instrument a name stands for; [`Market::Unknown`] for what is no name.
    pub fn market(&self, name: &str) -> Market {
        let is_word = |word: &[u8]| !word.is_empty() && word.iter().all(|byte| self.may_contain(*byte));
        let mut words = name.as_bytes().split(|byte| *byte == self.separator);
        match words.try_fold(0, |count, word| is_word(word).then_some(count + 1)) {
            Some(count) if count == self.pair_words => Market::Spot,
            Some(count) if count >= self.contract_words => Market::Contract,
            _ => Market::Unknown,
        }
    }

    fn may_contain(&self, byte: u8) -> bool {
        self.characters.get(usize::from(byte)).copied().unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_words_tells_the_kind() {
        let capitals_and_digits = std::array::from_fn(|byte| matches!(byte as u8, b'A'..=b'Z' | b'0'..=b'9'));
        let instruments =
            Instruments { separator: b'-', characters: capitals_and_digits, pair_words: 2, contract_words: 4 };
        for (name, market) in [
            ("BTC-USDT", Market::Spot),
            ("1INCH-USDT", Market::Spot),
            ("BTC-USD-260925", Market::Unknown),
            ("BTC-USD-260925-70000", Market::Contract),
            ("BTC-USD-260925-70000-C", Market::Contract),
            ("BTC", Market::Unknown),
            ("", Market::Unknown),
            ("-", Market::Unknown),
            ("BTC-", Market::Unknown),
            ("-USDT", Market::Unknown),
            ("BTC--USDT", Market::Unknown),
            ("BTC-USDT ", Market::Unknown),
            ("btc-usdt", Market::Unknown),
            ("BTC/USDT", Market::Unknown),
            ("BTC-ÜSDT", Market::Unknown),
            ("BTC-USDT-SWAP-", Market::Unknown),
        ] {
            assert_eq!(instruments.market(name), market, "{name:?}");
        }
    }
}
