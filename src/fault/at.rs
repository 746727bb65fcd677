//! A value and the place where the user wrote it, so that what is found wrong later (an unknown node, while
//! planning) still points at the line.
//!
//! Invariant: the place never takes part in equality or in serialised text; two scenarios that say the same
//! are the same, wherever they say it.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// The name of the newtype by which [`At`] asks a deserializer for the place. One that knows it answers with
/// a sequence of source, line, column, width and value; any other just gives the value.
pub const PLACE: &str = "$firedrill::At";

/// A place in what the user wrote. The default is nowhere.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// 0 is the scenario file; n is the n-th override.
    pub source: u32,
    /// From 1; 0 is nowhere.
    pub line: u32,
    /// In characters, from 1.
    pub column: u32,
    /// In characters, of what a caret should underline; at least 1.
    pub width: u32,
}

impl Place {
    /// Whether it is a place at all.
    pub fn is_known(self) -> bool {
        self.line > 0
    }
    /// The line in the scenario file, from 1; `None` if it was written in an override, or nowhere.
    pub fn file_line(self) -> Option<u32> {
        (self.source == 0 && self.is_known()).then_some(self.line)
    }
    /// This place, or `other` if this is nowhere.
    #[must_use]
    pub fn or(self, other: Place) -> Place {
        if self.is_known() { self } else { other }
    }
}

/// A value and its place.
#[derive(Debug, Clone, Copy, Default)]
pub struct At<T> {
    /// What was written.
    pub value: T,
    /// Where.
    pub place: Place,
}

impl<T> At<T> {
    /// A value that nobody wrote: a default, or one made by a test.
    pub fn nowhere(value: T) -> Self {
        At { value, place: Place::default() }
    }
}

impl<T: PartialEq> PartialEq for At<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for At<T> {}

impl<T> Deref for At<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: fmt::Display> fmt::Display for At<T> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        self.value.fmt(f)
    }
}

impl<T: Serialize> Serialize for At<T> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(s)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_newtype_struct(PLACE, AtVisitor(PhantomData))
    }
}

struct AtVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for AtVisitor<T> {
    type Value = At<T>;
    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_newtype_struct<D: Deserializer<'de>>(self, d: D) -> Result<At<T>, D::Error> {
        T::deserialize(d).map(At::nowhere)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<At<T>, A::Error> {
        let mut number = || seq.next_element::<u32>().map(Option::unwrap_or_default);
        let place =
            Place { source: number()?, line: number()?, column: number()?, width: number()? };
        let value = seq.next_element()?.ok_or_else(|| de::Error::custom("expected a value"))?;
        Ok(At { value, place })
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }
    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }
    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}
