//! Sizes and times with their units: `"64KiB"`, `"30s"`.
//!
//! A bare number is refused, because nobody can tell whether 30 are seconds or milliseconds; only 0 needs no unit.

use std::time::Duration;

use super::{
    document::Value,
    setting::{Given, Setting, quoted},
};

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// An amount of memory; 0 is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Memory {
    /// So many bytes.
    Bytes(u64),
    /// A share of the memory this process may use.
    Percent(u8),
}

/// A time span that may be endless.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Span {
    /// It ends.
    Finite(Duration),
    /// It never ends.
    Never,
}

const BYTE_UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1000),
    ("B", 1),
];

const MILLIS_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl Setting for Bytes {
    const KIND: &'static str = "size";

    fn read(given: Given<'_>) -> Result<Self, String> {
        let advice = "is not a size: write a number and B, KiB, MiB or GiB, such as \"64KiB\"";
        scaled(given, &BYTE_UNITS).map(Self).ok_or_else(|| advice.to_owned())
    }

    fn to_toml(&self) -> String {
        let exact = |(_, factor): &&(&str, u64)| self.0 >= *factor && self.0.is_multiple_of(*factor);
        match BYTE_UNITS.iter().find(exact) {
            Some((unit, factor)) => quoted(&format!("{}{unit}", self.0 / factor)),
            None => "0".to_owned(),
        }
    }
}

impl Setting for Memory {
    const KIND: &'static str = "size, or share of memory";

    fn read(given: Given<'_>) -> Result<Self, String> {
        let share = given.text().and_then(|text| text.trim().strip_suffix('%'));
        if let Some(number) = share {
            return match number.trim_end().parse() {
                Ok(percent @ 1..=100) => Ok(Self::Percent(percent)),
                Ok(_) | Err(_) => Err("is no share: write \"1%\" to \"100%\"".to_owned()),
            };
        }
        let advice = "is neither a size such as \"64MiB\" nor a share of memory such as \"25%\"";
        Bytes::read(given).map(|Bytes(bytes)| Self::Bytes(bytes)).map_err(|_not_a_size| advice.to_owned())
    }

    fn to_toml(&self) -> String {
        match self {
            Self::Bytes(bytes) => Bytes(*bytes).to_toml(),
            Self::Percent(percent) => quoted(&format!("{percent}%")),
        }
    }
}

impl Setting for Duration {
    const KIND: &'static str = "time";

    fn read(given: Given<'_>) -> Result<Self, String> {
        let advice = "is not a time: write a number and ms, s, m, h or d, such as \"30s\"";
        scaled(given, &MILLIS_UNITS).map(Self::from_millis).ok_or_else(|| advice.to_owned())
    }

    fn to_toml(&self) -> String {
        let millis = u64::try_from(self.as_millis()).unwrap_or(u64::MAX);
        let exact = |(_, factor): &&(&str, u64)| millis >= *factor && millis.is_multiple_of(*factor);
        match MILLIS_UNITS.iter().rev().find(exact) {
            Some((unit, factor)) => quoted(&format!("{}{unit}", millis / factor)),
            None => "0".to_owned(),
        }
    }
}

impl Setting for Span {
    const KIND: &'static str = "time, or \"never\"";

    fn read(given: Given<'_>) -> Result<Self, String> {
        if given.text() == Some("never") {
            return Ok(Self::Never);
        }
        let advice = "is neither a time such as \"30s\" nor \"never\"";
        Duration::read(given).map(Self::Finite).map_err(|_not_a_time| advice.to_owned())
    }

    fn to_toml(&self) -> String {
        match self {
            Self::Finite(time) => time.to_toml(),
            Self::Never => quoted("never"),
        }
    }
}

/// The number of a text such as `64KiB` in the smallest unit; none when it is not one or does not fit.
fn scaled(given: Given<'_>, units: &[(&str, u64)]) -> Option<u64> {
    if matches!(given, Given::Value(Value::Integer(0))) {
        return Some(0);
    }
    let text = given.text()?.trim();
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let unit = unit.trim();
    if unit.is_empty() {
        return (number == 0).then_some(0);
    }
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, expect) in [
            ("64KiB", Some(65_536)),
            ("1 MiB", Some(1 << 20)),
            ("2GiB", Some(2 << 30)),
            ("10MB", Some(10_000_000)),
            ("7B", Some(7)),
            ("0", Some(0)),
            ("12", None),
            ("", None),
            ("KiB", None),
            ("-1B", None),
            ("1.5MiB", None),
            ("1kib", None),
            ("99999999999GiB", None),
            ("99999999999999999999B", None),
        ] {
            assert_eq!(Bytes::read(Given::Text(text)).ok(), expect.map(Bytes), "{text}");
        }
    }

    #[test]
    fn memory() {
        for (text, expect) in [
            ("64MiB", Some(Memory::Bytes(64 << 20))),
            ("0", Some(Memory::Bytes(0))),
            ("25%", Some(Memory::Percent(25))),
            ("100 %", Some(Memory::Percent(100))),
            ("0%", None),
            ("101%", None),
            ("-1%", None),
            ("2.5%", None),
            ("%", None),
            ("25", None),
        ] {
            let read = Memory::read(Given::Text(text)).ok();
            assert_eq!(read, expect, "{text}");
            let again = read.map(|memory| memory.to_toml());
            let again = again.map(|text| Memory::read(Given::Text(text.trim_matches('"'))).unwrap());
            assert_eq!(again, expect, "{text}");
        }
    }

    #[test]
    fn times() {
        for (text, expect) in [
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            ("5m", Some(300_000)),
            ("2h", Some(7_200_000)),
            ("7d", Some(604_800_000)),
            ("0", Some(0)),
            ("30", None),
            ("s", None),
            ("1y", None),
        ] {
            assert_eq!(Duration::read(Given::Text(text)).ok(), expect.map(Duration::from_millis), "{text}");
        }
        assert_eq!(Span::read(Given::Text("never")), Ok(Span::Never));
        assert!(Span::read(Given::Text("forever")).is_err());
    }

    #[test]
    fn what_is_written_reads_the_same() {
        for bytes in [0, 1, 1000, 1024, 1500, 65_536, 1 << 20, 3 << 30, u64::MAX] {
            let text = Bytes(bytes).to_toml();
            assert_eq!(Bytes::read(Given::Text(text.trim_matches('"'))), Ok(Bytes(bytes)), "{text}");
        }
        for millis in [0, 1, 999, 1000, 90_000, 86_400_000, 86_401_000] {
            let text = Duration::from_millis(millis).to_toml();
            let read = Duration::read(Given::Text(text.trim_matches('"')));
            assert_eq!(read, Ok(Duration::from_millis(millis)), "{text}");
        }
    }
}
