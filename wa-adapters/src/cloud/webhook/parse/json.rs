//! Reading values that may be of another shape than documented.
//!
//! Invariant: nothing here fails. Numbers that are text and text that is a number are taken as
//! what they say; what is empty or of another type is absent.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use serde_json::Value;
use wa_core::model::{Bsuid, JsonText, Phone, from_micros};

/// The year 9999; later stamps are not instants.
const LAST_SECOND: i64 = 253_402_300_799;
const LONGEST_NAME: usize = 64;
const LONGEST_NOTE: usize = 1_024;

/// A text that is not empty.
pub(super) fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field)?.as_str().filter(|text| !text.is_empty())
}

/// A text or a whole number, as text that is not empty.
pub(super) fn word(value: &Value, field: &str) -> Option<String> {
    as_word(value.get(field)?).map(Cow::into_owned)
}

/// A text or a number, as text that is not empty.
pub(super) fn as_word(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text.as_str())).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A provider's own name for something: at most 64 characters.
pub(super) fn name(value: &Value, field: &str) -> Option<String> {
    as_word(value.get(field)?).map(|name| shortened(&name, LONGEST_NAME))
}

/// A provider's own name for something, as our lists of names have it.
pub(super) fn lower(value: &Value, field: &str) -> Option<String> {
    name(value, field).map(|name| name.to_ascii_lowercase().replace('-', "_"))
}

/// A sentence of the provider's: at most 1,024 characters.
pub(super) fn note(value: &Value, field: &str) -> Option<String> {
    text(value, field).map(|note| note.chars().take(LONGEST_NOTE).collect())
}

/// Printable characters, as many as may be.
pub(super) fn shortened(text: &str, most: usize) -> String {
    text.chars().filter(|letter| !letter.is_control()).take(most).collect()
}

/// A whole number.
pub(super) fn number(value: &Value, field: &str) -> Option<i64> {
    let value = value.get(field)?;
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// Whether something is said to be so.
pub(super) fn flag(value: &Value, field: &str) -> Option<bool> {
    let value = value.get(field)?;
    value.as_bool().or_else(|| value.as_str()?.parse().ok())
}

/// A list; empty where there is none.
pub(super) fn list<'a>(value: &'a Value, field: &str) -> &'a [Value] {
    value.get(field).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// An instant in Unix seconds; absent when it is none.
pub(super) fn instant(value: &Value, field: &str) -> Option<DateTime<Utc>> {
    number(value, field)
        .filter(|seconds| (0..=LAST_SECOND).contains(seconds))
        .and_then(|seconds| seconds.checked_mul(1_000_000))
        .map(from_micros)
}

/// A phone number, as digits or as people write it with its country code.
pub(super) fn phone(value: &Value, field: &str) -> Option<Phone> {
    let written = as_word(value.get(field)?)?;
    let is_filler = |letter: char| matches!(letter, ' ' | '-' | '(' | ')' | '.' | '\u{a0}');
    Phone::from_digits(&written.replace(is_filler, "")).ok()
}

/// A business-scoped user id.
pub(super) fn bsuid(value: &Value, field: &str) -> Option<Bsuid> {
    text(value, field)?.parse().ok()
}

/// A part as JSON text.
pub(super) fn json(value: &Value) -> JsonText {
    JsonText::new(value.to_string())
}
