//! Texts with placeholders, for a node's command, peers and environment: `--name={name}`.
//!
//! Pure: what a placeholder stands for comes from the caller. `{{` and `}}` are literal braces.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::suggest;

/// A text with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    pieces: Vec<Piece>,
}

/// A piece of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// As it stands.
    Text(String),
    /// To be filled in.
    Variable(Variable),
}

/// What a placeholder stands for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Variable {
    /// `{name}`: the node's name.
    Name,
    /// `{zone}`: the node's zone.
    Zone,
    /// `{index}`: the node's place among all, from 1.
    Index,
    /// `{data}`: the node's data folder; it stays over restarts within a drill.
    Data,
    /// `{peers}`: `peers` for each node of the system, itself too, joined by commas.
    Peers,
    /// `{listen.PORT}`: where the node must listen.
    Listen {
        /// The port's name.
        port: String,
    },
    /// `{address.PORT}`: where the others (and the clients) reach the node, through its links.
    Address {
        /// The port's name.
        port: String,
    },
}

/// A text that is no template, or one that cannot be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace without its partner.
    #[error("`{0}` has a brace without its partner; literal braces are written {{{{ and }}}}")]
    Brace(String),
    /// A placeholder that nobody knows.
    #[error("unknown placeholder `{{{name}}}`: {help}")]
    Unknown {
        /// The name in the braces.
        name: String,
        /// What is known, and the nearest.
        help: String,
    },
    /// Nothing to fill in here.
    #[error("`{{{0}}}` has no value here")]
    NoValue(Variable),
}

const KNOWN: &[&str] = &["name", "zone", "index", "data", "peers", "listen.PORT", "address.PORT"];

impl Variable {
    /// The port that it speaks of.
    pub fn port(&self) -> Option<&str> {
        match self {
            Variable::Listen { port } | Variable::Address { port } => Some(port),
            _ => None,
        }
    }
}

impl FromStr for Variable {
    type Err = TemplateError;
    fn from_str(name: &str) -> Result<Self, TemplateError> {
        let variable = match name.split_once('.') {
            None if name == "name" => Variable::Name,
            None if name == "zone" => Variable::Zone,
            None if name == "index" => Variable::Index,
            None if name == "data" => Variable::Data,
            None if name == "peers" => Variable::Peers,
            Some(("listen", port)) if !port.is_empty() => Variable::Listen { port: port.into() },
            Some(("address", port)) if !port.is_empty() => Variable::Address { port: port.into() },
            _ => {
                let help = suggest::remedy(name, KNOWN).unwrap_or_default();
                return Err(TemplateError::Unknown { name: name.to_string(), help });
            }
        };
        Ok(variable)
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Variable::Name => f.write_str("name"),
            Variable::Zone => f.write_str("zone"),
            Variable::Index => f.write_str("index"),
            Variable::Data => f.write_str("data"),
            Variable::Peers => f.write_str("peers"),
            Variable::Listen { port } => write!(f, "listen.{port}"),
            Variable::Address { port } => write!(f, "address.{port}"),
        }
    }
}

impl Template {
    /// A text as it stands, braces and all.
    pub fn literal(text: impl Into<String>) -> Template {
        Template { pieces: vec![Piece::Text(text.into())] }
    }

    /// Two placeholders with a text between them.
    pub(super) fn of(first: Variable, between: &str, second: Variable) -> Template {
        let text = Piece::Text(between.to_string());
        Template { pieces: vec![Piece::Variable(first), text, Piece::Variable(second)] }
    }

    /// The placeholders in it, in order.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Variable(variable) => Some(variable),
            Piece::Text(_) => None,
        })
    }

    /// The text with every placeholder filled in by `value`; `None` from it is an error.
    pub fn expand(
        &self,
        mut value: impl FnMut(&Variable) -> Option<String>,
    ) -> Result<String, TemplateError> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(piece) => text.push_str(piece),
                Piece::Variable(variable) => {
                    let found = value(variable);
                    text.push_str(&found.ok_or_else(|| TemplateError::NoValue(variable.clone()))?);
                }
            }
        }
        Ok(text)
    }
}

impl FromStr for Template {
    type Err = TemplateError;
    fn from_str(text: &str) -> Result<Self, TemplateError> {
        let unpaired = || TemplateError::Brace(text.to_string());
        let (mut pieces, mut plain) = (vec![], String::new());
        let mut rest = text;
        while let Some(place) = rest.find(['{', '}']) {
            plain.push_str(&rest[..place]);
            let brace = &rest[place..];
            if let Some(after) = brace.strip_prefix("{{") {
                plain.push('{');
                rest = after;
            } else if let Some(after) = brace.strip_prefix("}}") {
                plain.push('}');
                rest = after;
            } else {
                let inner = brace.strip_prefix('{').ok_or_else(unpaired)?;
                let (name, after) = inner.split_once('}').ok_or_else(unpaired)?;
                if !plain.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut plain)));
                }
                pieces.push(Piece::Variable(name.parse()?));
                rest = after;
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Template { pieces })
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => f.write_str(&text.replace('{', "{{").replace('}', "}}"))?,
                Piece::Variable(variable) => write!(f, "{{{variable}}}")?,
            }
        }
        Ok(())
    }
}

impl Serialize for Template {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Template {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Template".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "a text with placeholders: {name}, {zone}, {index}, {data}, {peers}, \
                {listen.PORT}, {address.PORT}; {{ and }} are literal braces",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_filled_in_and_doubled_braces_are_literal() {
        let template: Template = "{name}={{x}} http://{address.peer}:{listen.a}".parse().unwrap();
        let filled = template.expand(|variable| Some(format!("<{variable}>"))).unwrap();
        assert_eq!(filled, "<name>={x} http://<address.peer>:<listen.a>");
        assert_eq!(template.to_string().parse::<Template>().unwrap(), template);
    }

    #[test]
    fn an_unknown_placeholder_names_the_nearest_and_an_open_brace_is_refused() {
        let error = "{nmae}".parse::<Template>().unwrap_err().to_string();
        assert!(error.contains("did you mean `name`"), "{error}");
        for text in ["{", "}", "{name", "a}b", "{listen.}", "{port.x}", "{}"] {
            assert!(text.parse::<Template>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_placeholder_without_a_value_is_an_error_and_not_an_empty_text() {
        let template: Template = "{data}".parse().unwrap();
        let error = template.expand(|_| None).unwrap_err();
        assert_eq!(error.to_string(), "`{data}` has no value here");
    }
}
