//! Statuses: which attempt each is about, and what waits for an attempt to get its name.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wa_core::model::{
    AttemptKey, BatchId, ChargedCategory, ContactId, FailureDetails, RawId, Recipient, SessionId,
    StatusUpdate, TransportName, WebhookConversation,
};
use wa_core::rules::price::charge;
use wa_core::rules::status::merge_status;

use super::held::Numbers;
use super::project::Projecting;
use super::window;
use crate::common::inbox::Applied;
use crate::postgres::audience::contacts;
use crate::postgres::codec::{get, id, opt_id, provider_hash, recipient, text, ts, uint, uuids};
use crate::postgres::error::Fallible;
use crate::postgres::tx::Tx;

// A subquery behind LATERAL with a LIMIT or an OFFSET is an index lookup for each row of the arrays.
const BY_PROVIDER: &str = "SELECT u.name, f.tenant, f.message, f.n, a.session \
     FROM unnest($1::bigint[], $2::text[]) AS u (hash, name) \
     CROSS JOIN LATERAL (SELECT r.tenant, r.message, r.n FROM result r \
         WHERE r.provider_hash = u.hash AND r.provider_id = u.name \
         UNION ALL SELECT o.tenant, o.message, o.n FROM other_name o \
         WHERE o.provider_hash = u.hash AND o.provider_id = u.name OFFSET 0) f \
     CROSS JOIN LATERAL (SELECT x.session FROM attempt x \
         WHERE x.tenant = f.tenant AND x.message = f.message AND x.n = f.n LIMIT 1) a";
const SESSIONS_OF_ATTEMPTS: &str = "SELECT u.tenant, u.message, u.n, u.batch, a.session \
     FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::uuid[]) AS u (tenant, message, n, batch) \
     CROSS JOIN LATERAL (SELECT x.session FROM attempt x \
         WHERE x.tenant = u.tenant AND x.message = u.message AND x.n = u.n \
         AND (u.batch IS NULL OR x.batch = u.batch) LIMIT 1) a";
/// In the order of the key, for two bodies may bring the same.
const WAIT: &str = "INSERT INTO waiting_status (provider_hash, provider_id, transport, number, fact, \
     at, code, class, title, details, charge, received_at) \
     SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::bigint[], \
     $6::timestamptz[], $7::bigint[], $8::text[], $9::text[], $10::text[], $11::text[], $12::timestamptz[]) \
     ORDER BY 1, 2, 3, 4, 5, 6, 7, 9, 10, 11 ON CONFLICT DO NOTHING";

/// The attempt that a tag names, and the batch in which it was begun, where that is said.
pub(super) type Tagged = (AttemptKey, Option<BatchId>);

/// A status of a body, and the attempt that its verified tag names.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) raw: RawId,
    pub(super) transport: &'a TransportName,
    pub(super) received_at: DateTime<Utc>,
    pub(super) tagged: Option<Tagged>,
    pub(super) update: &'a StatusUpdate,
}

/// What becomes of a status.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    /// Nothing: its number is not ours, or not that of the attempt.
    Foreign,
    /// It waits for an attempt to get its name.
    Waits,
    /// It is news of an attempt of this session.
    Of(AttemptKey, SessionId),
}

/// The attempts with a name, and the sessions that they are of.
type Named = HashMap<String, BTreeSet<(AttemptKey, SessionId)>>;

/// What is known of the attempts that statuses name. What was found stays so.
#[derive(Debug, Default)]
pub(super) struct Found {
    tagged: HashMap<Tagged, SessionId>,
    named: Named,
}

impl Found {
    /// Looks up what is not found yet, by tag and then by name.
    pub(super) async fn read(
        &mut self,
        conn: &mut PgConnection,
        statuses: &[Told<'_>],
        numbers: &Numbers<'_>,
    ) -> Fallible<()> {
        let of_ours = || {
            let all = statuses.iter().map(|told| (told, ours(told, numbers)));
            all.filter(|(_, ours)| !ours.is_empty())
        };
        let tags = of_ours().filter_map(|(told, _)| told.tagged);
        let tags = tags.filter(|tagged| !self.tagged.contains_key(tagged)).collect();
        self.tagged.extend(sessions_of(&mut *conn, tags).await?);
        let names = of_ours().filter(|(told, _)| self.by_tag(told).is_none()).filter_map(|(told, ours)| {
            let name = text(&told.update.provider_id);
            let is_open = !name.is_empty() && own(self.named.get(&*name), &ours).is_none();
            is_open.then(|| name.into_owned())
        });
        let names = names.collect();
        self.named.extend(by_provider(conn, names).await?);
        Ok(())
    }

    fn by_tag(&self, told: &Told<'_>) -> Option<(AttemptKey, SessionId)> {
        let tagged = told.tagged?;
        self.tagged.get(&tagged).map(|session| (tagged.0, *session))
    }
}

/// The sessions of a status's number. Those of deleted ones too: what was sent before still has an outcome.
fn ours(told: &Told<'_>, numbers: &Numbers<'_>) -> BTreeSet<SessionId> {
    numbers.sessions(told.transport, &told.update.number).collect()
}

/// The first of the attempts with a name that is of one of these sessions.
fn own(
    named: Option<&BTreeSet<(AttemptKey, SessionId)>>,
    ours: &BTreeSet<SessionId>,
) -> Option<(AttemptKey, SessionId)> {
    named.into_iter().flatten().find(|(_, session)| ours.contains(session)).copied()
}

/// What each status is about, as if those before it were merged already.
pub(super) fn places(statuses: &[Told<'_>], numbers: &Numbers<'_>, found: &Found) -> Vec<Place> {
    // What tags teach to the statuses behind them.
    let mut taught = Named::new();
    let place = |told: &Told<'_>| {
        let ours = ours(told, numbers);
        let name = text(&told.update.provider_id);
        match found.by_tag(told) {
            _ if ours.is_empty() => Place::Foreign,
            Some((_, session)) if !ours.contains(&session) => Place::Foreign,
            Some((key, session)) => {
                if !name.is_empty() {
                    taught.entry(name.into_owned()).or_default().insert((key, session));
                }
                Place::Of(key, session)
            }
            None => {
                let known = [found.named.get(&*name), taught.get(&*name)];
                let own = known.into_iter().filter_map(|named| own(named, &ours)).min();
                own.map_or(Place::Waits, |(key, session)| Place::Of(key, session))
            }
        }
    };
    statuses.iter().map(place).collect()
}

impl Projecting<'_> {
    /// Merges a status, unless it waits.
    pub(super) async fn status(&mut self, tx: &mut Tx, told: &Told<'_>, place: Place) -> Fallible<Applied> {
        let (key, session) = match place {
            Place::Of(key, session) => (key, session),
            Place::Waits => return Ok(Applied::Waiting),
            Place::Foreign => return Ok(Applied::Foreign),
        };
        let StatusUpdate { provider_id, fact, at, failure, .. } = told.update;
        let name = text(provider_id);
        let charge = told.update.pricing.as_ref().map(|pricing| charge(pricing, *fact));
        self.merger
            .merge(tx, key, Some(&name), None, |facts| {
                merge_status(facts, *fact, failure.as_ref(), &name, charge, ts(*at))
            })
            .await?;
        note_entry_point(tx.conn(), key, session, told.update).await?;
        Ok(Applied::Merged)
    }
}

/// The sessions of attempts; what is not there, or was begun in another batch, has none.
async fn sessions_of(
    conn: &mut PgConnection,
    tags: BTreeSet<Tagged>,
) -> Fallible<HashMap<Tagged, SessionId>> {
    if tags.is_empty() {
        return Ok(HashMap::new());
    }
    let found = sqlx::query(SESSIONS_OF_ATTEMPTS)
        .bind(uuids(tags.iter().map(|(key, _)| key.tenant)))
        .bind(uuids(tags.iter().map(|(key, _)| key.message)))
        .bind(tags.iter().map(|(key, _)| i64::from(key.n)).collect::<Vec<_>>())
        .bind(tags.iter().map(|(_, batch)| batch.map(|batch| batch.as_uuid())).collect::<Vec<_>>())
        .try_map(|row: PgRow| {
            let key = AttemptKey { tenant: id(&row, 0)?, message: id(&row, 1)?, n: uint(&row, 2)? };
            Ok(((key, opt_id(&row, 3)?), id(&row, 4)?))
        })
        .fetch_all(conn)
        .await?;
    Ok(found.into_iter().collect())
}

async fn by_provider(conn: &mut PgConnection, names: BTreeSet<String>) -> Fallible<Named> {
    let mut named = Named::new();
    if names.is_empty() {
        return Ok(named);
    }
    let (hashes, names): (Vec<i64>, Vec<String>) =
        names.into_iter().map(|name| (provider_hash(&name), name)).unzip();
    let found: Vec<(String, AttemptKey, SessionId)> = sqlx::query(BY_PROVIDER)
        .bind(hashes)
        .bind(names)
        .try_map(|row: PgRow| {
            let key = AttemptKey { tenant: id(&row, 1)?, message: id(&row, 2)?, n: uint(&row, 3)? };
            Ok((get(&row, 0)?, key, id(&row, 4)?))
        })
        .fetch_all(conn)
        .await?;
    for (name, key, session) in found {
        named.entry(name).or_default().insert((key, session));
    }
    Ok(named)
}

/// Keeps the end of a free entry point that a status names.
async fn note_entry_point(
    conn: &mut PgConnection,
    key: AttemptKey,
    session: SessionId,
    update: &StatusUpdate,
) -> Fallible<()> {
    let Some(WebhookConversation { id: _, origin, expires_at: Some(ends) }) = &update.conversation else {
        return Ok(());
    };
    if *origin != Some(ChargedCategory::ReferralConversion) {
        return Ok(());
    }
    let found: Option<(Option<ContactId>, Recipient)> =
        sqlx::query("SELECT contact, phone, bsuid FROM message WHERE tenant = $1 AND id = $2")
            .bind(key.tenant.as_uuid())
            .bind(key.message.as_uuid())
            .try_map(|row: PgRow| Ok((opt_id(&row, 0)?, recipient(&row, 1)?)))
            .fetch_optional(&mut *conn)
            .await?;
    let Some((contact, recipient)) = found else { return Ok(()) };
    let contact = match contact {
        Some(named) => Some(contacts::standing_for(&mut *conn, key.tenant, named).await?),
        None => contacts::by_address(&mut *conn, key.tenant, &recipient).await?.map(|contact| contact.id),
    };
    match contact {
        Some(contact) => window::note_entry_point(conn, key.tenant, session, contact, *ends).await,
        None => Ok(()),
    }
}

/// Keeps statuses until an attempt gets their name. No settle can ever bring an empty one; the raw body has
/// the rest of it.
pub(super) async fn wait<'a>(
    conn: &mut PgConnection,
    statuses: impl Iterator<Item = &'a Told<'a>> + Send,
) -> Fallible<()> {
    let (mut hashes, mut names, mut transports) = (Vec::new(), Vec::new(), Vec::new());
    let (mut numbers, mut kinds, mut instants) = (Vec::new(), Vec::new(), Vec::new());
    let (mut codes, mut classes, mut titles) = (Vec::new(), Vec::new(), Vec::new());
    let (mut details, mut charges, mut received) = (Vec::new(), Vec::new(), Vec::new());
    for Told { raw: _, transport, received_at, tagged: _, update } in statuses {
        let StatusUpdate {
            number,
            provider_id,
            echo: _,
            recipient: _,
            group: _,
            fact,
            at,
            failure,
            failure_title: _,
            conversation: _,
            pricing,
        } = update;
        if provider_id.is_empty() {
            continue;
        }
        let failure = failure.as_ref();
        let name = text(provider_id).into_owned();
        hashes.push(provider_hash(&name));
        names.push(name);
        transports.push(transport.as_str());
        numbers.push(number.as_str());
        kinds.push(i64::from(fact.bit()));
        instants.push(ts(*at));
        codes.push(failure.map_or(0, |failure| failure.code));
        classes.push(failure.map(|failure| failure.class.as_str()));
        titles.push(failure.map_or_else(String::new, |failure| text(&failure.title).into_owned()));
        let said = failure.and_then(|failure| failure.details.as_ref());
        details.push(said.map_or("", FailureDetails::as_str));
        charges.push(pricing.as_ref().map_or_else(String::new, |pricing| charge(pricing, *fact).key()));
        received.push(ts(*received_at));
    }
    if hashes.is_empty() {
        return Ok(());
    }
    sqlx::query(WAIT)
        .bind(hashes)
        .bind(names)
        .bind(transports)
        .bind(numbers)
        .bind(kinds)
        .bind(instants)
        .bind(codes)
        .bind(classes)
        .bind(titles)
        .bind(details)
        .bind(charges)
        .bind(received)
        .execute(conn)
        .await?;
    Ok(())
}
