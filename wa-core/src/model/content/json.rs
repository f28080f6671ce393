//! A JSON object that is free-form by the provider's contract.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::check::{Flaw, InvalidContent, Place, hidden};
use super::texts::{Fill, Texts};

/// A JSON object of 1 to 16,384 bytes that is carried along and not understood.
///
/// What a flow's first screen is given, for example, is agreed between the flow and its maker.
///
/// ```
/// use wa_core::model::JsonObject;
/// let data = JsonObject::try_from(serde_json::json!({"table": 7}))?;
/// assert_eq!(data.as_map()["table"], 7);
/// assert!(JsonObject::try_from(serde_json::json!([7])).is_err());
/// # Ok::<(), wa_core::model::InvalidContent>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct JsonObject(Map<String, Value>);

impl JsonObject {
    /// The most bytes of its JSON text.
    pub const MAX_BYTES: usize = 16_384;

    /// The fields.
    #[must_use]
    pub const fn as_map(&self) -> &Map<String, Value> {
        &self.0
    }

    pub(crate) fn check(&self, place: &Place<'_>) -> Result<(), InvalidContent> {
        place.must(!self.0.is_empty(), Flaw::Empty)?;
        // Keys are texts and values are finite, so this has a JSON form.
        let bytes = serde_json::to_vec(&self.0).map_or(usize::MAX, |text| text.len());
        place.must(bytes <= Self::MAX_BYTES, Flaw::TooLarge { bytes, most: Self::MAX_BYTES })
    }
}

impl TryFrom<Value> for JsonObject {
    type Error = InvalidContent;
    fn try_from(value: Value) -> Result<Self, InvalidContent> {
        let place = Place::root("data");
        match value {
            Value::Object(fields) => {
                let object = Self(fields);
                object.check(&place)?;
                Ok(object)
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(place.wrong(Flaw::Form("a JSON object")))
            }
        }
    }
}

impl From<JsonObject> for Value {
    fn from(object: JsonObject) -> Self {
        Self::Object(object.0)
    }
}

impl Texts for JsonObject {
    fn map_texts<E>(&self, fill: &mut Fill<'_, E>) -> Result<Self, E> {
        let fields = self.0.iter().map(|(key, value)| Ok((key.clone(), map_value(value, fill)?)));
        Ok(Self(fields.collect::<Result<_, E>>()?))
    }
}

/// Fills the text values, however deep; keys stay as they are.
pub(crate) fn map_value<E>(value: &Value, fill: &mut Fill<'_, E>) -> Result<Value, E> {
    Ok(match value {
        Value::String(text) => Value::String(fill(text)?),
        Value::Array(items) => {
            Value::Array(items.iter().map(|item| map_value(item, fill)).collect::<Result<_, E>>()?)
        }
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| Ok((key.clone(), map_value(value, fill)?)));
            Value::Object(fields.collect::<Result<_, E>>()?)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    })
}

hidden!(JsonObject);
