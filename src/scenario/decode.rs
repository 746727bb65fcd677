//! A tree into typed values, by serde. Every error knows the place of what is wrong, and which node to drop
//! so that the rest can still be read.
//!
//! Invariant: text stays text until a type asks for something else, and then only what YAML 1.2 calls by
//! that name: `true` and `false` are booleans, `yes` and `on` are not.

mod access;

use std::fmt;

use serde::de::{self, Deserializer, Unexpected, Visitor};

use super::suggest;
use super::tree::{Id, Node, Value};
use crate::fault::{PLACE, Place};
use access::{Fields, Items, Placed, Variant};

/// What is wrong with a node.
#[derive(Debug, Clone, PartialEq)]
pub struct DecodeError {
    /// What is wrong.
    pub message: String,
    /// What is known, and the remedy.
    pub help: Option<String>,
    /// Where, once known.
    pub place: Option<Place>,
    /// The node without which the rest can be read, once known.
    pub culprit: Option<Id>,
}

impl DecodeError {
    fn new(message: impl Into<String>) -> Self {
        DecodeError { message: message.into(), help: None, place: None, culprit: None }
    }
    /// At this node, unless it is already known where.
    fn at(mut self, place: Place, culprit: Id) -> Self {
        self.place.get_or_insert(place);
        self.culprit.get_or_insert(culprit);
        self
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        DecodeError::new(message.to_string())
    }
    fn invalid_type(found: Unexpected, expected: &dyn de::Expected) -> Self {
        let found = match found {
            Unexpected::Unit => "nothing".to_string(),
            Unexpected::Seq => "a list".to_string(),
            Unexpected::Map => "a mapping".to_string(),
            Unexpected::Str(text) => format!("`{text}`"),
            Unexpected::Unsigned(n) => format!("`{n}`"),
            Unexpected::Signed(n) => format!("`{n}`"),
            Unexpected::Float(n) => format!("`{n}`"),
            Unexpected::Bool(b) => format!("`{b}`"),
            other => other.to_string(),
        };
        DecodeError::new(format!("expected {expected}, found {found}"))
    }
    fn invalid_value(found: Unexpected, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }
    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        let help = suggest::remedy(field, known);
        DecodeError { help, ..DecodeError::new(format!("unknown field `{field}`")) }
    }
    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        let help = suggest::remedy(variant, known);
        DecodeError { help, ..DecodeError::new(format!("unknown name `{variant}`")) }
    }
    fn missing_field(field: &'static str) -> Self {
        DecodeError::new(format!("missing field `{field}`"))
    }
    fn duplicate_field(field: &'static str) -> Self {
        DecodeError::new(format!("duplicate field `{field}`"))
    }
}

/// Reads a node.
#[derive(Clone, Copy)]
pub struct Decoder<'a>(pub &'a Node);

impl<'a> Decoder<'a> {
    fn placed<T>(self, result: Result<T, DecodeError>) -> Result<T, DecodeError> {
        result.map_err(|error| error.at(self.0.place, self.0.id))
    }
    fn refuse<T>(self, expected: &dyn de::Expected) -> Result<T, DecodeError> {
        let message = format!("expected {expected}, found {}", self.0.words());
        self.placed(Err(DecodeError::new(message)))
    }
    fn number<T: std::str::FromStr>(self) -> Option<T> {
        match &self.0.value {
            Value::Scalar { text, plain: true } => text.replace('_', "").parse().ok(),
            _ => None,
        }
    }
}

macro_rules! numbers {
    ($expected:literal $($method:ident $visit:ident $type:ty),*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            match self.number::<$type>() {
                Some(number) => self.placed(visitor.$visit(number)),
                None => self.refuse(&$expected),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Decoder<'de> {
    type Error = DecodeError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.0.value {
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Map(_) => self.deserialize_map(visitor),
            Value::Scalar { .. } if self.0.is_null() => self.placed(visitor.visit_unit()),
            Value::Scalar { text, plain } => {
                let text = text.as_str();
                let result = match (plain, text) {
                    (true, "true") => visitor.visit_bool(true),
                    (true, "false") => visitor.visit_bool(false),
                    (true, _) if looks_numeric(text) => {
                        if let Some(number) = self.number::<u64>() {
                            visitor.visit_u64(number)
                        } else if let Some(number) = self.number::<i64>() {
                            visitor.visit_i64(number)
                        } else if let Some(number) = self.number::<f64>() {
                            visitor.visit_f64(number)
                        } else {
                            visitor.visit_borrowed_str(text)
                        }
                    }
                    _ => visitor.visit_borrowed_str(text),
                };
                self.placed(result)
            }
        }
    }

    numbers!("a whole number" deserialize_u8 visit_u8 u8, deserialize_u16 visit_u16 u16,
        deserialize_u32 visit_u32 u32, deserialize_u64 visit_u64 u64,
        deserialize_i8 visit_i8 i8, deserialize_i16 visit_i16 i16,
        deserialize_i32 visit_i32 i32, deserialize_i64 visit_i64 i64);
    numbers!("a number" deserialize_f32 visit_f32 f32, deserialize_f64 visit_f64 f64);

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.0.value {
            Value::Scalar { text, plain: true } if text == "true" => visitor.visit_bool(true),
            Value::Scalar { text, plain: true } if text == "false" => visitor.visit_bool(false),
            _ => self.refuse(&"true or false"),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.0.value {
            Value::Scalar { text, .. } if !self.0.is_null() => {
                self.placed(visitor.visit_borrowed_str(text))
            }
            _ => self.refuse(&"a text"),
        }
    }
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }
    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0.is_null() {
            true => visitor.visit_none(),
            false => visitor.visit_some(self),
        }
    }
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.0.is_null() {
            true => self.placed(visitor.visit_unit()),
            false => self.refuse(&"nothing"),
        }
    }
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let result = match name == PLACE {
            true => visitor.visit_seq(Placed { node: self.0, next: 0 }),
            false => visitor.visit_newtype_struct(self),
        };
        self.placed(result)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.0.value {
            Value::List(items) => self.placed(visitor.visit_seq(Items { left: items.iter() })),
            _ => self.refuse(&"a list"),
        }
    }
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match &self.0.value {
            Value::List(items) if items.len() == length => self.deserialize_seq(visitor),
            Value::List(items) => {
                let message = format!("expected a list of {length}, found {}", items.len());
                self.placed(Err(DecodeError::new(message)))
            }
            _ => self.refuse(&format!("a list of {length}").as_str()),
        }
    }
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_tuple(length, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match &self.0.value {
            Value::Map(entries) => {
                self.placed(visitor.visit_map(Fields { left: entries.iter(), value: None }))
            }
            _ => self.refuse(&"a mapping"),
        }
    }
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match &self.0.value {
            Value::Map(_) => self.deserialize_map(visitor),
            _ => {
                let message = format!("expected a mapping, found {}", self.0.words());
                let help = Some(format!("its fields: {}", fields.join(", ")));
                self.placed(Err(DecodeError { help, ..DecodeError::new(message) }))
            }
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        names: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let (name, place, content) = match &self.0.value {
            Value::Scalar { text, .. } if !self.0.is_null() => (text, self.0.place, None),
            Value::Map(entries) => match entries.as_slice() {
                [only] => (&only.key, only.place, Some(&only.value)),
                [] => return self.refuse(&format!("one of {}", names.join(", ")).as_str()),
                [_, second, ..] => {
                    let message = format!("expected a single name, found `{}` too", second.key);
                    let error = DecodeError::new(message);
                    return Err(error.at(second.place, second.value.id));
                }
            },
            _ => return self.refuse(&format!("one of {}", names.join(", ")).as_str()),
        };
        let variant = Variant { name, place, owner: self.0, content };
        self.placed(visitor.visit_enum(variant))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }

    serde::forward_to_deserialize_any! { i128 u128 bytes byte_buf }
}

/// Whether a plain text could be a number: not `nan`, `inf`, nor `1e400`-like names of nodes.
fn looks_numeric(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    digits.starts_with(|c: char| c.is_ascii_digit())
}
