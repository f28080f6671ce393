//! How values lie in columns: ids as UUIDs, instants as `timestamptz`, whole numbers as `bigint`, names
//! as text.
//!
//! Invariant: what is read back was valid when it was written; a column that does not decode is a
//! broken row. The stored text itself never gets into an error.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::postgres::PgRow;
use sqlx::{Decode, Error, Postgres, Row, Type};
use uuid::Uuid;
use wa_core::model::{
    BatchId, CampaignId, Charge, ContactId, DeliveryFacts, EventId, Fact, FailureCode, FailureDetails,
    Fingerprint, ImportId, IncarnationId, InstanceId, MessageId, Phone, RawId, Recipient, RejectClass,
    ScheduleId, SessionId, TenantId, WorkerId, from_micros,
};

use super::error::{Fallible, Fault};
pub(super) use crate::common::{addresses, int, lane_rank, later, phone_number, provider_hash};

/// What stands in a key where there is no campaign.
pub(super) const NO_CAMPAIGN: Uuid = Uuid::nil();

/// A column that holds something else than it should.
#[derive(Debug, thiserror::Error)]
#[error("column {0} does not decode")]
struct Undecodable(usize);

pub(super) fn undecodable(index: usize) -> Error {
    Error::Decode(Box::new(Undecodable(index)))
}

/// An id that lies in a UUID column.
pub(super) trait Id: Copy {
    fn of(uuid: Uuid) -> Self;
    fn uuid(self) -> Uuid;
}

macro_rules! ids {
    ($($name:ident)*) => {$(
        impl Id for $name {
            fn of(uuid: Uuid) -> Self {
                Self::from_uuid(uuid)
            }
            fn uuid(self) -> Uuid {
                Self::as_uuid(&self)
            }
        }
    )*};
}

ids!(BatchId CampaignId ContactId EventId ImportId IncarnationId InstanceId MessageId RawId ScheduleId SessionId TenantId WorkerId);

/// The UUIDs of ids, for an array parameter.
pub(super) fn uuids<T: Id>(ids: impl IntoIterator<Item = T>) -> Vec<Uuid> {
    ids.into_iter().map(Id::uuid).collect()
}

/// The column of a campaign that may be none, where it is part of a key.
pub(super) fn campaign_key(campaign: Option<CampaignId>) -> Uuid {
    campaign.map_or(NO_CAMPAIGN, |campaign| campaign.as_uuid())
}

/// A column as its type decodes; anything else is a broken row.
pub(super) fn get<'r, T>(row: &'r PgRow, index: usize) -> Result<T, Error>
where
    T: Decode<'r, Postgres> + Type<Postgres>,
{
    row.try_get(index)
}

pub(super) fn id<T: Id>(row: &PgRow, index: usize) -> Result<T, Error> {
    get(row, index).map(T::of)
}

pub(super) fn opt_id<T: Id>(row: &PgRow, index: usize) -> Result<Option<T>, Error> {
    Ok(get::<Option<Uuid>>(row, index)?.map(T::of))
}

pub(super) fn at(row: &PgRow, index: usize) -> Result<DateTime<Utc>, Error> {
    get(row, index)
}

pub(super) fn opt_at(row: &PgRow, index: usize) -> Result<Option<DateTime<Utc>>, Error> {
    get(row, index)
}

/// An instant as a parameter: Postgres knows none before 4714 BC.
pub(super) fn ts(at: DateTime<Utc>) -> DateTime<Utc> {
    /// The start of 4713 BC and a little, in microseconds since 1970.
    const FIRST: i64 = -210_800_000_000_000_000;
    at.max(from_micros(FIRST))
}

/// Some time ago, as a parameter.
pub(super) fn ago(now: DateTime<Utc>, by: TimeDelta) -> DateTime<Utc> {
    ts(now.checked_sub_signed(by).unwrap_or(DateTime::<Utc>::MIN_UTC))
}

/// A number that is not negative in its type here and in every column that it is stored in.
pub(super) fn uint<T: TryFrom<i64>>(row: &PgRow, index: usize) -> Result<T, Error> {
    T::try_from(get(row, index)?).map_err(|_| undecodable(index))
}

pub(super) fn opt_uint<T: TryFrom<i64>>(row: &PgRow, index: usize) -> Result<Option<T>, Error> {
    get::<Option<i64>>(row, index)?.map(T::try_from).transpose().map_err(|_| undecodable(index))
}

/// Text that has a name or a `FromStr` of its own.
pub(super) fn named<T>(row: &PgRow, index: usize, read: impl Fn(&str) -> Option<T>) -> Result<T, Error> {
    let text: &str = get(row, index)?;
    read(text).ok_or_else(|| undecodable(index))
}

pub(super) fn opt_named<T>(
    row: &PgRow,
    index: usize,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Error> {
    let Some(text) = get::<Option<&str>>(row, index)? else { return Ok(None) };
    read(text).map(Some).ok_or_else(|| undecodable(index))
}

pub(super) fn parsed<T: FromStr>(row: &PgRow, index: usize) -> Result<T, Error> {
    named(row, index, |text| text.parse().ok())
}

pub(super) fn opt_parsed<T: FromStr>(row: &PgRow, index: usize) -> Result<Option<T>, Error> {
    opt_named(row, index, |text| text.parse().ok())
}

pub(super) fn json<T: DeserializeOwned>(row: &PgRow, index: usize) -> Result<T, Error> {
    named(row, index, |text| serde_json::from_str(text).ok())
}

pub(super) fn opt_json<T: DeserializeOwned>(row: &PgRow, index: usize) -> Result<Option<T>, Error> {
    opt_named(row, index, |text| serde_json::from_str(text).ok())
}

/// JSON as text. A NUL is escaped in it, so every value can be stored.
pub(super) fn to_json<T: Serialize>(value: &T) -> Fallible<String> {
    serde_json::to_string(value).map_err(|_| Fault::Broken("a value has no JSON form"))
}

/// Text from outside as Postgres can hold it: without NUL.
pub(super) fn text(text: &str) -> std::borrow::Cow<'_, str> {
    if text.contains('\0') { text.replace('\0', "\u{fffd}").into() } else { text.into() }
}

pub(super) fn fingerprint(row: &PgRow, index: usize) -> Result<Fingerprint, Error> {
    let bytes: &[u8] = get(row, index)?;
    Ok(Fingerprint::from_bytes(bytes.try_into().map_err(|_| undecodable(index))?))
}

pub(super) fn opt_phone(row: &PgRow, index: usize) -> Result<Option<Phone>, Error> {
    let digits = get::<Option<i64>>(row, index)?;
    digits.map(|digits| Phone::try_from(digits.cast_unsigned())).transpose().map_err(|_| undecodable(index))
}

/// Reads a recipient from its phone column and the bsuid column after it.
pub(super) fn recipient(row: &PgRow, index: usize) -> Result<Recipient, Error> {
    let phone = opt_phone(row, index)?;
    let bsuid = opt_parsed(row, index + 1)?;
    Recipient::new(phone, bsuid).map_err(|_| undecodable(index))
}

/// Reads the time columns of `result` in the order of [`Fact::ALL`], then code, class, title,
/// details, `provider_id` and `charge`. A row of NULLs is no facts at all.
pub(super) fn facts(row: &PgRow, index: usize) -> Result<DeliveryFacts, Error> {
    let mut facts = DeliveryFacts::default();
    for (place, fact) in Fact::ALL.into_iter().enumerate() {
        if let Some(at) = opt_at(row, index + place)? {
            facts.add(fact, at);
        }
    }
    let after = index + Fact::ALL.len();
    facts.failure = failure(row, after)?;
    facts.provider_id = get(row, after + 4)?;
    facts.charge = opt_named(row, after + 5, Charge::from_key)?;
    Ok(facts)
}

/// Reads code, class, title and details; no class is no failure.
pub(super) fn failure(row: &PgRow, index: usize) -> Result<Option<FailureCode>, Error> {
    let Some(class) = opt_named(row, index + 1, RejectClass::from_name)? else { return Ok(None) };
    let details = get::<Option<&str>>(row, index + 3)?.and_then(FailureDetails::new);
    Ok(Some(FailureCode { code: get(row, index)?, class, title: get(row, index + 2)?, details }))
}
