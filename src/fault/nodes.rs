//! Node specs: how a scenario says whom a fault strikes. The words are Jepsen's.
//!
//! Invariant: a spec that can be known while planning is resolved from the inventory and the draw alone;
//! one that needs to know who leads says so ([`Nodes::needs_leader`]).

use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::at::{At, Place};
use crate::quantity::Ratio;

/// Whom a fault strikes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nodes {
    /// These, by name.
    Names(Vec<At<String>>),
    /// Every node of a zone.
    Zone(Zone),
    /// One, drawn from the seed.
    One,
    /// The largest minority, drawn from the seed.
    Minority,
    /// The smallest majority, drawn from the seed.
    Majority,
    /// Every one.
    All,
    /// The one that leads when the fault is injected.
    Leader,
    /// One that does not lead when the fault is injected, drawn from the seed.
    Follower,
    /// Every one that does not lead when the fault is injected.
    Followers,
    /// So many, drawn from the seed.
    Count(u32),
    /// Such a part of all, rounded to the nearest whole number, at least one, drawn from the seed.
    Percent(Ratio),
}

/// Which zone (datacenter).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Zone {
    /// The one of this name.
    Named(At<String>),
    /// The one in which the leader stands when the fault is injected.
    Leader,
    /// One, drawn from the seed.
    One,
}

const WORDS: &[&str] = &["one", "minority", "majority", "all", "leader", "follower", "followers"];
const KEYS: &[&str] = &["zone", "count", "percent"];
const EXPECTED: &str = "nodes: a name, a list of names, one, minority, majority, all, leader, \
    follower, followers, {zone: NAME}, {count: 2} or {percent: 40%}";

impl Nodes {
    /// Whether it can only be told when the fault is injected.
    pub fn needs_leader(&self) -> bool {
        matches!(
            self,
            Nodes::Leader | Nodes::Follower | Nodes::Followers | Nodes::Zone(Zone::Leader)
        )
    }
    /// Whether the user fixed who it is; the others are drawn from what the fixed ones leave.
    pub fn is_fixed(&self) -> bool {
        matches!(self, Nodes::Names(_) | Nodes::Zone(_) | Nodes::Leader | Nodes::Followers)
    }
    fn of_word(word: &str) -> Option<Nodes> {
        Some(match word {
            "one" => Nodes::One,
            "minority" => Nodes::Minority,
            "majority" => Nodes::Majority,
            "all" => Nodes::All,
            "leader" => Nodes::Leader,
            "follower" => Nodes::Follower,
            "followers" => Nodes::Followers,
            _ => return None,
        })
    }
    fn settled(mut self, place: Place) -> Nodes {
        match &mut self {
            Nodes::Names(names) => {
                for name in names {
                    name.place = name.place.or(place);
                }
            }
            Nodes::Zone(Zone::Named(name)) => name.place = name.place.or(place),
            _ => {}
        }
        self
    }
}

impl Zone {
    fn of_word(name: At<String>) -> Zone {
        match name.value.as_str() {
            "leader" => Zone::Leader,
            "one" => Zone::One,
            _ => Zone::Named(name),
        }
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Zone::Named(name) => write!(f, "zone {name}"),
            Zone::Leader => f.write_str("the leader's zone"),
            Zone::One => f.write_str("one zone"),
        }
    }
}

impl fmt::Display for Nodes {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Nodes::Names(names) => {
                let names: Vec<&str> = names.iter().map(|n| n.value.as_str()).collect();
                f.write_str(&names.join(", "))
            }
            Nodes::Zone(zone) => zone.fmt(f),
            Nodes::One => f.write_str("one node"),
            Nodes::Minority => f.write_str("a minority"),
            Nodes::Majority => f.write_str("a majority"),
            Nodes::All => f.write_str("all nodes"),
            Nodes::Leader => f.write_str("the leader"),
            Nodes::Follower => f.write_str("one follower"),
            Nodes::Followers => f.write_str("the followers"),
            Nodes::Count(n) => write!(f, "{n} nodes"),
            Nodes::Percent(part) => write!(f, "{part} of the nodes"),
        }
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Zone::Named(name) => name.serialize(s),
            Zone::Leader => s.serialize_str("leader"),
            Zone::One => s.serialize_str("one"),
        }
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        At::<String>::deserialize(d).map(Zone::of_word)
    }
}

impl Serialize for Nodes {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        fn entry<S: Serializer>(
            s: S,
            key: &str,
            value: &impl Serialize,
        ) -> Result<S::Ok, S::Error> {
            let mut map = s.serialize_map(Some(1))?;
            map.serialize_entry(key, value)?;
            map.end()
        }
        match self {
            Nodes::Names(names) => names.serialize(s),
            Nodes::Zone(zone) => entry(s, "zone", zone),
            Nodes::Count(n) => entry(s, "count", n),
            Nodes::Percent(part) => entry(s, "percent", part),
            Nodes::One => s.serialize_str("one"),
            Nodes::Minority => s.serialize_str("minority"),
            Nodes::Majority => s.serialize_str("majority"),
            Nodes::All => s.serialize_str("all"),
            Nodes::Leader => s.serialize_str("leader"),
            Nodes::Follower => s.serialize_str("follower"),
            Nodes::Followers => s.serialize_str("followers"),
        }
    }
}

impl<'de> Deserialize<'de> for Nodes {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let raw = At::<Unplaced>::deserialize(d)?;
        Ok(raw.value.0.settled(raw.place))
    }
}

/// A node spec before a single name has got the place of the whole.
struct Unplaced(Nodes);

impl<'de> Deserialize<'de> for Unplaced {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(NodesVisitor).map(Unplaced)
    }
}

struct NodesVisitor;

impl<'de> Visitor<'de> for NodesVisitor {
    type Value = Nodes;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(EXPECTED)
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Nodes, E> {
        if let Some(nodes) = Nodes::of_word(text) {
            return Ok(nodes);
        }
        if let Some(zone) = text.strip_prefix("zone:") {
            return Ok(Nodes::Zone(Zone::of_word(At::nowhere(zone.trim().to_string()))));
        }
        if text.trim().is_empty() {
            return Err(E::custom(format!("expected {EXPECTED}; found an empty name")));
        }
        Ok(Nodes::Names(vec![At::nowhere(text.to_string())]))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Nodes, A::Error> {
        let mut names: Vec<At<String>> = vec![];
        while let Some(name) = seq.next_element::<At<String>>()? {
            if WORDS.contains(&name.as_str()) {
                let why = format!("`{name}` cannot stand in a list of names: write it alone");
                return Err(de::Error::custom(why));
            }
            if !names.contains(&name) {
                names.push(name);
            }
        }
        match names.is_empty() {
            true => Err(de::Error::custom(format!("expected {EXPECTED}; found an empty list"))),
            false => Ok(Nodes::Names(names)),
        }
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Nodes, A::Error> {
        let Some(key) = map.next_key::<Key>()? else {
            return Err(de::Error::custom(format!("expected {EXPECTED}; found an empty mapping")));
        };
        let nodes = match key {
            Key::Zone => Nodes::Zone(map.next_value()?),
            Key::Count => Nodes::Count(map.next_value::<Count>()?.0),
            Key::Percent => Nodes::Percent(map.next_value()?),
        };
        match map.next_key::<Key>()? {
            None => Ok(nodes),
            Some(_) => Err(de::Error::custom("expected exactly one of zone, count, percent")),
        }
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "kebab-case")]
enum Key {
    Zone,
    Count,
    Percent,
}

struct Count(u32);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match u32::deserialize(d)? {
            0 => Err(de::Error::custom("expected a count of at least 1, found 0")),
            n => Ok(Count(n)),
        }
    }
}

impl JsonSchema for Zone {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Zone".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "string", "minLength": 1,
            "description": "the name of a zone (datacenter), or leader (the one in which the \
                leader stands when the fault is injected), or one (drawn from the seed)",
        })
    }
}

impl JsonSchema for Nodes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Nodes".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (zone, percent) =
            (generator.subschema_for::<Zone>(), generator.subschema_for::<Ratio>());
        let only = |key: &str, schema: serde_json::Value| {
            serde_json::json!({ "type": "object", "additionalProperties": false,
                "required": [key], "properties": { key: schema } })
        };
        schemars::json_schema!({
            "description": EXPECTED,
            "anyOf": [
                { "enum": WORDS },
                { "type": "string", "minLength": 1, "description": "the name of a node" },
                { "type": "array", "minItems": 1, "items": { "type": "string", "minLength": 1 } },
                only(KEYS[0], zone.to_value()),
                only(KEYS[1], serde_json::json!({ "type": "integer", "minimum": 1 })),
                only(KEYS[2], percent.to_value()),
            ],
        })
    }
}
