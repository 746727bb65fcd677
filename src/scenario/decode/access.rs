//! The parts of a node, as serde asks for them: items, fields, keys, places, variants.

use serde::de::value::U32Deserializer;
use serde::de::{
    self, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};

use super::{DecodeError, Decoder};
use crate::fault::Place;
use crate::scenario::tree::{Entry, Node, Value};

pub(super) struct Items<'a> {
    pub(super) left: std::slice::Iter<'a, Node>,
}

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = DecodeError;
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let Some(node) = self.left.next() else { return Ok(None) };
        let decoder = Decoder(node);
        decoder.placed(seed.deserialize(decoder)).map(Some)
    }
    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

pub(super) struct Fields<'a> {
    pub(super) left: std::slice::Iter<'a, Entry>,
    pub(super) value: Option<&'a Node>,
}

impl<'de> MapAccess<'de> for Fields<'de> {
    type Error = DecodeError;
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        let Some(entry) = self.left.next() else { return Ok(None) };
        self.value = Some(&entry.value);
        let at_key = |error: DecodeError| error.at(entry.place, entry.value.id);
        seed.deserialize(KeyDecoder(entry)).map(Some).map_err(at_key)
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, DecodeError> {
        let value = self.value.take().ok_or_else(|| DecodeError::new("a value without a key"))?;
        let decoder = Decoder(value);
        decoder.placed(seed.deserialize(decoder))
    }
}

/// A key: a text, which a newtype may wrap, and whose place can be asked for.
struct KeyDecoder<'a>(&'a Entry);

impl<'de> Deserializer<'de> for KeyDecoder<'de> {
    type Error = DecodeError;
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_borrowed_str(&self.0.key)
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

/// What [`crate::fault::At`] asks for: source, line, column, width, value.
pub(super) struct Placed<'a> {
    pub(super) node: &'a Node,
    pub(super) next: usize,
}

impl<'de> SeqAccess<'de> for Placed<'de> {
    type Error = DecodeError;
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let Place { source, line, column, width } = self.node.place;
        let number = [source, line, column, width].get(self.next).copied();
        self.next += 1;
        match number {
            Some(number) => {
                let number: U32Deserializer<DecodeError> = number.into_deserializer();
                seed.deserialize(number).map(Some)
            }
            None => seed.deserialize(Decoder(self.node)).map(Some),
        }
    }
}

pub(super) struct Variant<'a> {
    pub(super) name: &'a str,
    pub(super) place: Place,
    pub(super) owner: &'a Node,
    pub(super) content: Option<&'a Node>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = DecodeError;
    type Variant = Self;
    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Self), DecodeError> {
        let name: de::value::BorrowedStrDeserializer<DecodeError> =
            de::value::BorrowedStrDeserializer::new(self.name);
        let culprit = self.content.unwrap_or(self.owner).id;
        let chosen = seed.deserialize(name).map_err(|error| error.at(self.place, culprit))?;
        Ok((chosen, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = DecodeError;
    fn unit_variant(self) -> Result<(), DecodeError> {
        let name = self.name;
        match self.content {
            Some(node) if !node.is_null() && node.value != Value::Map(vec![]) => {
                let message = format!("`{name}` takes no parameters, found {}", node.words());
                Err(DecodeError::new(message).at(node.place, node.id))
            }
            _ => Ok(()),
        }
    }
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<T::Value, DecodeError> {
        match self.content {
            Some(node) if !node.is_null() => {
                let decoder = Decoder(node);
                decoder.placed(seed.deserialize(decoder))
            }
            _ => {
                let (place, id) = (self.place, self.owner.id);
                seed.deserialize(NoFields).map_err(|error| error.at(place, id))
            }
        }
    }
    fn tuple_variant<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.content {
            Some(node) => Decoder(node).deserialize_tuple(length, visitor),
            None => Err(DecodeError::new(format!("expected a list of {length}"))),
        }
    }
    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.content {
            Some(node) if !node.is_null() => Decoder(node).deserialize_map(visitor),
            _ => {
                let (place, id) = (self.place, self.owner.id);
                NoFields.deserialize_any(visitor).map_err(|error: DecodeError| error.at(place, id))
            }
        }
    }
}

/// A mapping without fields: what a bare name stands for.
struct NoFields;

impl<'de> Deserializer<'de> for NoFields {
    type Error = DecodeError;
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let none = std::iter::empty::<(&str, &str)>();
        visitor.visit_map(de::value::MapDeserializer::new(none))
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_none()
    }
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}
