//! How values lie in columns: ids as 16 bytes, instants as microseconds, names as text.
//!
//! Invariant: what is read back was valid when it was written; a column that does not decode is a
//! broken row. The stored text itself never gets into an error.

use chrono::{DateTime, Utc};
use rusqlite::types::{FromSql, Type};
use rusqlite::{Error, Result, Row};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::str::FromStr;
use uuid::Uuid;
use wa_core::model::{
    BatchId, CampaignId, Charge, ContactId, DeliveryFacts, EventId, Fact, FailureCode, FailureDetails,
    Fingerprint, ImportId, IncarnationId, InstanceId, MessageId, Phone, RawId, Recipient, RejectClass,
    ScheduleId, SessionId, TenantId, WorkerId, from_micros, micros,
};

use super::error::{Fallible, Fault};
pub(super) use crate::common::{addresses, int, later, phone_number, provider_hash};

/// A column that holds something else than it should.
#[derive(Debug, thiserror::Error)]
#[error("column {0} does not decode")]
struct Undecodable(usize);

pub(super) fn undecodable(index: usize) -> Error {
    Error::FromSqlConversionFailure(index, Type::Null, Box::new(Undecodable(index)))
}

/// An id that lies in 16 bytes.
pub(super) trait Id: Copy {
    fn from_bytes(bytes: [u8; 16]) -> Self;
}

macro_rules! ids {
    ($($name:ident)*) => {$(
        impl Id for $name {
            fn from_bytes(bytes: [u8; 16]) -> Self {
                Self::from_uuid(Uuid::from_bytes(bytes))
            }
        }
    )*};
}

ids!(BatchId CampaignId ContactId EventId ImportId IncarnationId InstanceId MessageId RawId ScheduleId SessionId TenantId WorkerId);

pub(super) fn id<T: Id>(row: &Row<'_>, index: usize) -> Result<T> {
    row.get(index).map(T::from_bytes)
}

pub(super) fn opt_id<T: Id>(row: &Row<'_>, index: usize) -> Result<Option<T>> {
    Ok(row.get::<_, Option<[u8; 16]>>(index)?.map(T::from_bytes))
}

pub(super) fn at(row: &Row<'_>, index: usize) -> Result<DateTime<Utc>> {
    row.get(index).map(from_micros)
}

pub(super) fn opt_at(row: &Row<'_>, index: usize) -> Result<Option<DateTime<Utc>>> {
    Ok(row.get::<_, Option<i64>>(index)?.map(from_micros))
}

pub(super) fn opt_micros(at: Option<DateTime<Utc>>) -> Option<i64> {
    at.map(micros)
}

/// A number that is not negative in its type here and in every column that it is stored in.
pub(super) fn uint<T: TryFrom<i64>>(row: &Row<'_>, index: usize) -> Result<T> {
    T::try_from(row.get(index)?).map_err(|_| undecodable(index))
}

pub(super) fn opt_uint<T: TryFrom<i64>>(row: &Row<'_>, index: usize) -> Result<Option<T>> {
    row.get::<_, Option<i64>>(index)?.map(T::try_from).transpose().map_err(|_| undecodable(index))
}

/// Text that has a name or a `FromStr` of its own.
pub(super) fn named<T>(row: &Row<'_>, index: usize, read: impl Fn(&str) -> Option<T>) -> Result<T> {
    let value = row.get_ref(index)?;
    let text = value.as_str().map_err(|_| undecodable(index))?;
    read(text).ok_or_else(|| undecodable(index))
}

pub(super) fn opt_named<T>(
    row: &Row<'_>,
    index: usize,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>> {
    let value = row.get_ref(index)?;
    let Some(text) = value.as_str_or_null().map_err(|_| undecodable(index))? else { return Ok(None) };
    read(text).map(Some).ok_or_else(|| undecodable(index))
}

pub(super) fn parsed<T: FromStr>(row: &Row<'_>, index: usize) -> Result<T> {
    named(row, index, |text| text.parse().ok())
}

pub(super) fn opt_parsed<T: FromStr>(row: &Row<'_>, index: usize) -> Result<Option<T>> {
    opt_named(row, index, |text| text.parse().ok())
}

pub(super) fn json<T: DeserializeOwned>(row: &Row<'_>, index: usize) -> Result<T> {
    named(row, index, |text| serde_json::from_str(text).ok())
}

pub(super) fn opt_json<T: DeserializeOwned>(row: &Row<'_>, index: usize) -> Result<Option<T>> {
    opt_named(row, index, |text| serde_json::from_str(text).ok())
}

pub(super) fn to_json<T: Serialize>(value: &T) -> Fallible<String> {
    serde_json::to_string(value).map_err(|_| Fault::Broken("a value has no JSON form"))
}

pub(super) fn fingerprint(row: &Row<'_>, index: usize) -> Result<Fingerprint> {
    row.get(index).map(Fingerprint::from_bytes)
}

pub(super) fn opt_phone(row: &Row<'_>, index: usize) -> Result<Option<Phone>> {
    let digits = row.get::<_, Option<i64>>(index)?;
    digits.map(|digits| Phone::try_from(digits.cast_unsigned())).transpose().map_err(|_| undecodable(index))
}

/// Reads a recipient from its phone column and the bsuid column after it.
pub(super) fn recipient(row: &Row<'_>, index: usize) -> Result<Recipient> {
    let phone = opt_phone(row, index)?;
    let bsuid = opt_named(row, index + 1, |text| text.parse().ok())?;
    Recipient::new(phone, bsuid).map_err(|_| undecodable(index))
}

/// Reads the time columns of `result` in the order of [`Fact::ALL`], then code, class, title,
/// details, `provider_id` and `charge`. A row of NULLs is no facts at all.
pub(super) fn facts(row: &Row<'_>, index: usize) -> Result<DeliveryFacts> {
    let mut facts = DeliveryFacts::default();
    for (place, fact) in Fact::ALL.into_iter().enumerate() {
        if let Some(at) = opt_at(row, index + place)? {
            facts.add(fact, at);
        }
    }
    let after = index + Fact::ALL.len();
    facts.failure = failure(row, after)?;
    facts.provider_id = row.get(after + 4)?;
    facts.charge = opt_named(row, after + 5, Charge::from_key)?;
    Ok(facts)
}

/// Reads code, class, title and details; no class is no failure.
pub(super) fn failure(row: &Row<'_>, index: usize) -> Result<Option<FailureCode>> {
    let Some(class) = opt_named(row, index + 1, RejectClass::from_name)? else { return Ok(None) };
    let details = row.get::<_, Option<String>>(index + 3)?.as_deref().and_then(FailureDetails::new);
    Ok(Some(FailureCode { code: row.get(index)?, class, title: row.get(index + 2)?, details }))
}

/// Reads one column of every row.
pub(super) fn column<T: FromSql>(row: &Row<'_>) -> Result<T> {
    row.get(0)
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    #[test]
    fn a_broken_column_is_named_without_its_value() {
        let conn = Connection::open_in_memory().expect("a database");
        let error = conn
            .query_row("SELECT 'secret', NULL", [], |row| json::<Vec<String>>(row, 0))
            .expect_err("no JSON list");
        let shown = format!("{error:?} {error}");
        assert!(!shown.contains("secret") && shown.contains('0'), "{shown}");
    }
}
