//! Messages that users wrote, echoes, and what became known about users.
//!
//! Whoever writes here holds the tenant by itself: positions follow each other without a gap, and whatever
//! was looked for and not found is still missing when it is written.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::{Error, PgConnection};
use wa_core::model::{
    Consent, ConsentSource, Contact, ContactAttributes, ContactId, Echo, EventBody, InboundMessage,
    Preference, PreferenceChoice, Recipient, Seen, SessionId, TenantId, TransportName, UserChange,
};
use wa_core::port::store::{Direction, Route, StoredInbound, target};
use wa_core::rules::consent::ConsentNews;
use wa_core::rules::conversation::{Writer, asks};

use super::project::Projecting;
use crate::common::inbox::Applied;
use crate::postgres::audience::{contacts, join};
use crate::postgres::codec::{
    addresses, at, get, id, int, json, opt_json, recipient, text, to_json, ts, uint, uuids,
};
use crate::postgres::error::Fallible;
use crate::postgres::tx::Tx;

const HANGING: &str = "SELECT i.position, i.session, i.contact, i.echo, i.phone, i.bsuid, \
     i.provider_id, i.at, i.body, i.context, i.referral, i.chat, i.target \
     FROM unnest($2::uuid[], $3::text[]) AS u (session, target) \
     CROSS JOIN LATERAL (SELECT * FROM inbound x \
         WHERE x.tenant = $1 AND x.session = u.session AND x.target = u.target OFFSET 0) i \
     ORDER BY i.position";
const PAGE: &str = "SELECT i.position, i.session, i.contact, i.echo, i.phone, i.bsuid, i.provider_id, \
     i.at, i.body, i.context, i.referral, i.chat FROM inbound i \
     WHERE i.tenant = $1 AND i.position > $2 ORDER BY i.position LIMIT $3";
const INSERT: &str = "INSERT INTO inbound (tenant, position, session, contact, echo, phone, bsuid, \
     provider_id, at, opens, asks, body, context, referral, chat, target) \
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)";

/// What hangs on messages, by their session and the provider's id.
pub(super) type Hanging = HashMap<(SessionId, String), Vec<StoredInbound>>;

/// Reads a stored message without what hangs on it.
pub(super) fn heard(row: &PgRow) -> Result<StoredInbound, Error> {
    Ok(StoredInbound {
        position: uint(row, 0)?,
        session: id(row, 1)?,
        contact: id(row, 2)?,
        direction: if get(row, 3)? { Direction::Echo } else { Direction::Inbound },
        from: recipient(row, 4)?,
        provider_id: get(row, 6)?,
        at: at(row, 7)?,
        body: json(row, 8)?,
        context: opt_json(row, 9)?,
        referral: opt_json(row, 10)?,
        group: get(row, 11)?,
        edited: None,
        revoked_at: None,
        reactions: Vec::new(),
    })
}

/// What hangs on messages of a tenant, each in the order of the positions.
pub(super) async fn hanging(
    conn: &mut PgConnection,
    tenant: TenantId,
    on: Vec<(SessionId, String)>,
) -> Fallible<Hanging> {
    let mut found = Hanging::new();
    if on.is_empty() {
        return Ok(found);
    }
    let (sessions, names): (Vec<SessionId>, Vec<String>) = on.into_iter().unzip();
    let rows: Vec<(String, StoredInbound)> = sqlx::query(HANGING)
        .bind(tenant.as_uuid())
        .bind(uuids(sessions))
        .bind(names)
        .try_map(|row: PgRow| Ok((get(&row, 12)?, heard(&row)?)))
        .fetch_all(conn)
        .await?;
    for (target, heard) in rows {
        found.entry((heard.session, target)).or_default().push(heard);
    }
    Ok(found)
}

/// Attaches to stored messages what hangs on them.
pub(super) async fn whole(
    conn: &mut PgConnection,
    tenant: TenantId,
    heard: Vec<StoredInbound>,
) -> Fallible<Vec<StoredInbound>> {
    let on = heard.iter().map(|heard| (heard.session, heard.provider_id.clone())).collect();
    let found = hanging(conn, tenant, on).await?;
    let attached = heard.into_iter().map(|heard| {
        let hanging = found.get(&(heard.session, heard.provider_id.clone()));
        heard.with(hanging.map_or(&[], Vec::as_slice))
    });
    Ok(attached.collect())
}

/// The messages behind a position.
pub(super) async fn page(
    conn: &mut PgConnection,
    tenant: TenantId,
    after: Option<u64>,
    size: i64,
) -> Fallible<Vec<StoredInbound>> {
    let found = sqlx::query(PAGE)
        .bind(tenant.as_uuid())
        .bind(int(after.unwrap_or(0)))
        .bind(size)
        .try_map(|row: PgRow| heard(&row))
        .fetch_all(&mut *conn)
        .await?;
    whole(conn, tenant, found).await
}

impl Projecting<'_> {
    pub(super) async fn message(
        &mut self,
        tx: &mut Tx,
        transport: &TransportName,
        message: &InboundMessage,
        fresh: ContactId,
        consent: Option<Consent>,
        received_at: DateTime<Utc>,
    ) -> Fallible<Applied> {
        let routes = self.routes(transport, &message.number);
        if routes.is_empty() {
            return Ok(Applied::Foreign);
        }
        let wrote_at = ts(message.at.min(received_at));
        let mut metered = Vec::new();
        for Route { tenant, session } in routes {
            if self.message_of(tx, tenant, session, message, fresh, consent, wrote_at).await? {
                metered.push((session, wrote_at));
            }
        }
        Ok(Applied::Heard { inbound: u64::try_from(metered.len()).unwrap_or(u64::MAX), metered })
    }

    /// Stores a message for one tenant; `false` when it was there.
    #[expect(clippy::too_many_arguments, reason = "whose message it is, and the message as it came")]
    async fn message_of(
        &mut self,
        tx: &mut Tx,
        tenant: TenantId,
        session: SessionId,
        message: &InboundMessage,
        fresh: ContactId,
        said: Option<Consent>,
        wrote_at: DateTime<Utc>,
    ) -> Fallible<bool> {
        let InboundMessage {
            number: _,
            provider_id,
            from,
            parent: _,
            profile_name,
            username,
            at: _,
            body,
            context,
            referral,
            group,
            standby: _,
        } = message;
        let provider_id = text(provider_id).into_owned();
        if earlier(tx.conn(), tenant, session, &provider_id).await?.is_some() {
            return Ok(false);
        }
        let mut contact = self.meet(tx, tenant, from, fresh).await?;
        let seen = |name: &Option<String>| name.clone().map(|value| Seen { at: wrote_at, value });
        let (profile_name, username) = (seen(profile_name), seen(username));
        contacts::note_names(tx.conn(), tenant, &mut contact, profile_name, username).await?;
        let heard = StoredInbound {
            position: next_position(tx.conn(), tenant).await?,
            session,
            contact: contact.id,
            direction: Direction::Inbound,
            from: from.clone(),
            provider_id: provider_id.clone(),
            at: wrote_at,
            body: body.clone(),
            context: context.clone(),
            referral: referral.clone(),
            group: group.clone(),
            edited: None,
            revoked_at: None,
            reactions: Vec::new(),
        };
        if heard.opens_window() {
            // Before it is stored itself: it would count as an earlier one.
            self.open_window(tx, tenant, &heard).await?;
        }
        insert(tx.conn(), tenant, &heard).await?;
        self.merger.changes.inbound(tenant, session, heard.at);
        self.merger.changes.event(tenant, EventBody::Inbound { session, contact: contact.id, provider_id });
        if group.is_none() && asks(body.kind()) {
            self.converse(tx, tenant, &heard, Writer::User).await?;
        }
        if let Some(said) = said {
            let (news, source) = (ConsentNews::of_word(said, wrote_at), ConsentSource::StopWord);
            contacts::hear_consent(tx, &mut self.merger.changes, tenant, &contact, news, source).await?;
        }
        Ok(true)
    }

    pub(super) async fn echo(
        &mut self,
        tx: &mut Tx,
        transport: &TransportName,
        echo: &Echo,
        fresh: ContactId,
        received_at: DateTime<Utc>,
    ) -> Fallible<Applied> {
        let routes = self.routes(transport, &echo.number);
        if routes.is_empty() {
            return Ok(Applied::Foreign);
        }
        let at = ts(echo.at.min(received_at));
        let mut metered = Vec::new();
        for Route { tenant, session } in routes {
            if self.echo_of(tx, tenant, session, echo, fresh, at).await? {
                metered.push((session, at));
            }
        }
        Ok(Applied::Heard { inbound: 0, metered })
    }

    /// Stores an echo for one tenant; `false` when it was there. One that names nobody is about the
    /// message that it hangs on, if that is known.
    async fn echo_of(
        &mut self,
        tx: &mut Tx,
        tenant: TenantId,
        session: SessionId,
        echo: &Echo,
        fresh: ContactId,
        at: DateTime<Utc>,
    ) -> Fallible<bool> {
        let Echo { number: _, provider_id, to, at: _, body } = echo;
        let provider_id = text(provider_id).into_owned();
        if earlier(tx.conn(), tenant, session, &provider_id).await?.is_some() {
            return Ok(false);
        }
        let (contact, from) = match (to, target(body)) {
            (Some(to), _) => (self.meet(tx, tenant, to, fresh).await?.id, to.clone()),
            (None, Some(target)) => match earlier(tx.conn(), tenant, session, &text(target)).await? {
                Some(earlier) => earlier,
                None => return Ok(false),
            },
            (None, None) => return Ok(false),
        };
        let heard = StoredInbound {
            position: next_position(tx.conn(), tenant).await?,
            session,
            contact,
            direction: Direction::Echo,
            from,
            provider_id: provider_id.clone(),
            at,
            body: body.clone(),
            context: None,
            referral: None,
            group: None,
            edited: None,
            revoked_at: None,
            reactions: Vec::new(),
        };
        insert(tx.conn(), tenant, &heard).await?;
        self.merger.changes.event(tenant, EventBody::Echo { session, contact, provider_id });
        if asks(body.kind()) {
            self.converse(tx, tenant, &heard, Writer::Business).await?;
        }
        Ok(true)
    }

    pub(super) async fn user_changed(
        &mut self,
        tx: &mut Tx,
        transport: &TransportName,
        change: &UserChange,
        received_at: DateTime<Utc>,
    ) -> Fallible<Applied> {
        let routes = self.routes(transport, &change.number);
        if routes.is_empty() {
            return Ok(Applied::Foreign);
        }
        let at = ts(change.at.min(received_at));
        for Route { tenant, session: _ } in routes {
            join::follow(tx, &mut self.merger.changes, tenant, change, at).await?;
        }
        Ok(Applied::Merged)
    }

    pub(super) async fn preference(
        &mut self,
        tx: &mut Tx,
        transport: &TransportName,
        preference: &Preference,
        fresh: ContactId,
        received_at: DateTime<Utc>,
    ) -> Fallible<Applied> {
        let Preference { number, recipient, at, category: _, choice } = preference;
        let routes = self.routes(transport, number);
        if routes.is_empty() {
            return Ok(Applied::Foreign);
        }
        let at = ts((*at).min(received_at));
        let news = match choice {
            PreferenceChoice::Stop => ConsentNews::NoMarketing(at),
            PreferenceChoice::Resume | PreferenceChoice::Signup => ConsentNews::Marketing(at),
            _ => return Ok(Applied::Merged),
        };
        for Route { tenant, session: _ } in routes {
            let contact = self.meet(tx, tenant, recipient, fresh).await?;
            let source = ConsentSource::Provider;
            contacts::hear_consent(tx, &mut self.merger.changes, tenant, &contact, news, source).await?;
        }
        Ok(Applied::Merged)
    }

    async fn meet(
        &mut self,
        tx: &mut Tx,
        tenant: TenantId,
        who: &Recipient,
        fresh: ContactId,
    ) -> Fallible<Contact> {
        contacts::meet(tx, &mut self.merger.changes, tenant, who, fresh, &ContactAttributes::new()).await
    }
}

/// Whose a stored message is, and the addresses in it.
async fn earlier(
    conn: &mut PgConnection,
    tenant: TenantId,
    session: SessionId,
    provider_id: &str,
) -> Fallible<Option<(ContactId, Recipient)>> {
    let found = sqlx::query(
        "SELECT contact, phone, bsuid FROM inbound WHERE tenant = $1 AND session = $2 AND provider_id = $3",
    )
    .bind(tenant.as_uuid())
    .bind(session.as_uuid())
    .bind(provider_id)
    .try_map(|row: PgRow| Ok((id(&row, 0)?, recipient(&row, 1)?)))
    .fetch_optional(conn)
    .await?;
    Ok(found)
}

async fn next_position(conn: &mut PgConnection, tenant: TenantId) -> Fallible<u64> {
    let next = "SELECT coalesce((SELECT position FROM inbound WHERE tenant = $1 \
         ORDER BY position DESC LIMIT 1), 0) + 1";
    let next =
        sqlx::query(next).bind(tenant.as_uuid()).try_map(|row: PgRow| uint(&row, 0)).fetch_one(conn).await?;
    Ok(next)
}

async fn insert(conn: &mut PgConnection, tenant: TenantId, heard: &StoredInbound) -> Fallible<()> {
    let (phone, bsuid) = addresses(&heard.from);
    sqlx::query(INSERT)
        .bind(tenant.as_uuid())
        .bind(int(heard.position))
        .bind(heard.session.as_uuid())
        .bind(heard.contact.as_uuid())
        .bind(heard.direction == Direction::Echo)
        .bind(phone)
        .bind(bsuid)
        .bind(heard.provider_id.as_str())
        .bind(heard.at)
        .bind(heard.opens_window())
        .bind(heard.group.is_none() && asks(heard.kind()))
        .bind(to_json(&heard.body)?)
        .bind(heard.context.as_ref().map(to_json).transpose()?)
        .bind(heard.referral.as_ref().map(to_json).transpose()?)
        .bind(heard.group.as_deref().map(text))
        .bind(heard.target().map(text))
        .execute(conn)
        .await?;
    Ok(())
}
