//! What there is to choose from, told from the types themselves: names from serde, summaries from the doc
//! comments. So nothing is written twice, and the list cannot lie.

use schemars::JsonSchema;
use serde_json::Value;

/// One thing that a scenario can name.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Entry {
    /// As a scenario writes it.
    pub name: String,
    /// What it is, in a line.
    pub summary: String,
    /// What it takes, in the order of their names.
    pub parameters: Vec<Parameter>,
}

/// Something that an entry takes.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Parameter {
    /// As a scenario writes it.
    pub name: String,
    /// What it is.
    pub summary: String,
    /// Whether it must be given.
    pub required: bool,
}

/// The variants of an enum that is tagged externally, as its JSON Schema tells them.
pub fn entries<T: JsonSchema>() -> Vec<Entry> {
    let root = schemars::schema_for!(T).to_value();
    let mut found = vec![];
    for variant in array(&root, "oneOf").iter().chain(array(&root, "anyOf")) {
        let summary = text(variant, "description");
        match (variant.get("properties").and_then(Value::as_object), variant.get("const")) {
            (Some(properties), _) => found.extend(properties.iter().map(|(name, schema)| Entry {
                name: name.clone(),
                summary: summary.clone(),
                parameters: parameters(&root, schema),
            })),
            (None, Some(Value::String(name))) => {
                found.push(Entry { name: name.clone(), summary, parameters: vec![] });
            }
            _ => {
                found.extend(array(variant, "enum").iter().filter_map(Value::as_str).map(|name| {
                    Entry { name: name.into(), summary: summary.clone(), parameters: vec![] }
                }))
            }
        }
    }
    // Unit variants without a comment of their own come as one plain list of names.
    let plain = array(&root, "enum").iter().filter_map(Value::as_str);
    found.extend(plain.map(|name| Entry {
        name: name.into(),
        summary: String::new(),
        parameters: vec![],
    }));
    found
}

fn parameters(root: &Value, schema: &Value) -> Vec<Parameter> {
    let reference = schema.get("$ref").and_then(Value::as_str);
    let target = reference.and_then(|r| root.pointer(r.trim_start_matches('#'))).unwrap_or(schema);
    let required = array(target, "required");
    let properties = target.get("properties").and_then(Value::as_object);
    properties
        .into_iter()
        .flatten()
        .map(|(name, schema)| Parameter {
            name: name.clone(),
            summary: text(schema, "description"),
            required: required.iter().any(|r| r.as_str() == Some(name)),
        })
        .collect()
}

fn array<'a>(schema: &'a Value, key: &str) -> &'a [Value] {
    schema.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text(schema: &Value, key: &str) -> String {
    let text = schema.get(key).and_then(Value::as_str).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
