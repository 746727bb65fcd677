//! Amounts of memory, of disk and of processors: `256MiB`, `1MiB/s`, `0.5`.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ParseError, bad};

/// An amount of memory or disk in bytes (`64MiB`, `1GB`, `512KiB`, `100B`): above 0, at most 1 PiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(u64);

const BYTES: &str = "an amount of bytes above 0 with its unit, such as 256MiB, 1GB or 512KiB";
const BYTES_MAX: u64 = 1 << 50;
/// The larger ones first: the first that divides an amount is its unit.
const UNITS: [(&str, u64); 9] = [
    ("TiB", 1 << 40),
    ("TB", 1_000_000_000_000),
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

impl Bytes {
    /// So many mebibytes; 0 is held to be 1 byte.
    pub const fn mebibytes(n: u64) -> Self {
        Bytes(if n == 0 { 1 } else { n << 20 })
    }
    /// So many; 0 is held to be 1.
    pub fn of(count: u64) -> Self {
        Bytes(count.max(1))
    }
    /// How many.
    pub fn count(self) -> u64 {
        self.0
    }
}

/// A number with a unit, in bytes.
fn amount(text: &str) -> Option<u64> {
    let split = text.find(|c: char| c.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(split);
    let known = |name: &str| name == unit || name == "kB" && unit == "KB";
    let factor = UNITS.iter().find(|(name, _)| known(name))?.1;
    let bytes = number.trim().parse::<f64>().ok()? * factor as f64;
    (bytes >= 1.0 && bytes <= BYTES_MAX as f64).then_some(bytes as u64)
}

impl FromStr for Bytes {
    type Err = ParseError;
    fn from_str(s: &str) -> Result<Self, ParseError> {
        amount(s.trim()).map_or_else(|| bad(BYTES, s), |bytes| Ok(Bytes(bytes)))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let whole = UNITS.iter().find(|(_, factor)| self.0.is_multiple_of(*factor));
        let (unit, factor) = whole.copied().unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / factor)
    }
}

/// Bytes in a second (`1MiB/s`): above 0, at most 1 PiB/s.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Throughput(Bytes);

const THROUGHPUT: &str = "bytes a second above 0, such as 1MiB/s or 500kB/s";

impl Throughput {
    /// Bytes a second.
    pub fn bytes_per_second(self) -> u64 {
        self.0.count()
    }
}

impl FromStr for Throughput {
    type Err = ParseError;
    fn from_str(s: &str) -> Result<Self, ParseError> {
        let bytes = s.trim().strip_suffix("/s").and_then(|text| amount(text.trim()));
        bytes.map_or_else(|| bad(THROUGHPUT, s), |bytes| Ok(Throughput(Bytes(bytes))))
    }
}

impl fmt::Display for Throughput {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

/// An amount of processors (`0.5`, `2`), held in thousandths: from 0.01, the least that Linux grants, to 1024.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cpus(u32);

const CPUS: &str = "an amount of processors from 0.01 to 1024, such as 0.5 or 2";

impl Cpus {
    /// In thousandths of a processor.
    pub fn thousandths(self) -> u32 {
        self.0
    }
}

impl FromStr for Cpus {
    type Err = ParseError;
    fn from_str(s: &str) -> Result<Self, ParseError> {
        match s.trim().parse::<f64>() {
            Ok(n) if (0.01..=1024.0).contains(&n) => Ok(Cpus((n * 1000.0).round() as u32)),
            _ => bad(CPUS, s),
        }
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}", f64::from(self.0) / 1000.0)
    }
}

as_text!(Bytes, "Bytes", BYTES, r"^\s*\d+(\.\d+)?\s*([KMGT]iB|[kKMGT]?B)\s*$");
as_text!(
    Throughput,
    "BytesPerSecond",
    THROUGHPUT,
    r"^\s*\d+(\.\d+)?\s*([KMGT]iB|[kKMGT]?B)\s*/s\s*$"
);

impl Serialize for Cpus {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_f64(f64::from(self.0) / 1000.0)
    }
}

impl<'de> Deserialize<'de> for Cpus {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let number = f64::deserialize(d)?;
        number.to_string().parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Cpus {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Cpus".into()
    }
    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "number", "minimum": 0.01, "maximum": 1024, "description": CPUS,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_prints_what_it_parses() {
        for text in ["256MiB", "1GB", "1536B", "3KiB", "5kB", "2TiB"] {
            let bytes = text.parse::<Bytes>().unwrap();
            assert_eq!(bytes.to_string().parse::<Bytes>().unwrap(), bytes, "{text}");
        }
        assert_eq!("1.5 GiB".parse::<Bytes>().unwrap().to_string(), "1536MiB");
        assert_eq!("1MiB/s".parse::<Throughput>().unwrap().to_string(), "1MiB/s");
        assert_eq!("0.25".parse::<Cpus>().unwrap().to_string(), "0.25");
        assert_eq!(serde_json::to_string(&"2".parse::<Cpus>().unwrap()).unwrap(), "2.0");
    }

    #[test]
    fn what_is_out_of_bounds_or_has_no_unit_is_refused_with_an_example() {
        for text in ["0B", "256", "-1MiB", "1 PB", "9999999TiB", "MiB", "NaNMB", ""] {
            assert!(text.parse::<Bytes>().unwrap_err().to_string().contains("such as"), "{text}");
        }
        assert!("1MiB".parse::<Throughput>().is_err() && "0B/s".parse::<Throughput>().is_err());
        assert!("0".parse::<Cpus>().is_err() && "1025".parse::<Cpus>().is_err());
    }
}
