//! The scenario's JSON Schema, for editors. Draft 07, because the YAML language server reads up to that.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::Scenario;

/// The schema of a scenario file.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft07().into_generator();
    let mut schema = generator.into_root_schema_for::<Scenario>().to_value();
    let definitions = schema.get("definitions").cloned().unwrap_or_default();
    allow_bare_names(&mut schema, &definitions);
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".into(), json!("A firedrill scenario"));
    }
    schema
}

/// A name that takes parameters but needs none may stand alone: `- lost-writes` for `- lost-writes: {}`.
fn allow_bare_names(schema: &mut Value, definitions: &Value) {
    match schema {
        Value::Object(fields) => {
            let bare: Vec<Value> = match fields.get("oneOf") {
                Some(Value::Array(variants)) => {
                    variants.iter().filter_map(|variant| bare_name(variant, definitions)).collect()
                }
                _ => vec![],
            };
            if let Some(Value::Array(variants)) = fields.get_mut("oneOf") {
                variants.extend(bare);
            }
            fields.values_mut().for_each(|field| allow_bare_names(field, definitions));
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|item| allow_bare_names(item, definitions))
        }
        _ => {}
    }
}

fn bare_name(variant: &Value, definitions: &Value) -> Option<Value> {
    let properties = variant.get("properties")?.as_object()?;
    let (name, content) = properties.iter().next().filter(|_| properties.len() == 1)?;
    let reference = content.get("$ref").and_then(Value::as_str);
    let body = match reference.and_then(|r| r.strip_prefix("#/definitions/")) {
        Some(name) => definitions.get(name)?,
        None => content,
    };
    let plain = body.get("type") == Some(&json!("object")) && body.get("required").is_none();
    let mut bare = json!({ "const": name });
    if let Some(description) = variant.get("description") {
        bare["description"] = description.clone();
    }
    plain.then_some(bare)
}
