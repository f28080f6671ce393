//! Messages that users wrote, echoes, and what became known about users.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, Row, params};
use wa_core::model::{
    Consent, ConsentSource, Contact, ContactAttributes, ContactId, Echo, EventBody, InboundMessage,
    Preference, PreferenceChoice, Recipient, Seen, SessionId, TenantId, TransportName, UserChange, micros,
};
use wa_core::port::store::{Direction, Route, StoredInbound, target};
use wa_core::rules::consent::ConsentNews;
use wa_core::rules::conversation::{Writer, asks};

use super::project::Projecting;
use crate::common::inbox::Applied;
use crate::sqlite::audience::{contacts, join};
use crate::sqlite::codec::{addresses, at, id, int, json, opt_json, recipient, to_json, uint};
use crate::sqlite::error::Fallible;

/// What [`heard`] reads, of a table named `i`.
pub(super) const COLUMNS: &str = "i.position, i.session, i.contact, i.echo, i.phone, i.bsuid, i.provider_id, \
     i.at, i.body, i.context, i.referral, i.chat";
pub(in crate::sqlite) const HANGING: &str = "SELECT i.position, i.session, i.contact, i.echo, i.phone, i.bsuid, \
     i.provider_id, i.at, i.body, i.context, i.referral, i.chat FROM inbound i \
     WHERE i.session = ?1 AND i.target = ?2 ORDER BY i.position";
const INSERT: &str = "INSERT INTO inbound (tenant, position, session, contact, echo, phone, bsuid, provider_id, \
     at, opens, asks, body, context, referral, chat, target) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, \
     ?11, ?12, ?13, ?14, ?15, ?16)";

/// Reads a stored message without what hangs on it.
pub(super) fn heard(row: &Row<'_>) -> rusqlite::Result<StoredInbound> {
    Ok(StoredInbound {
        position: uint(row, 0)?,
        session: id(row, 1)?,
        contact: id(row, 2)?,
        direction: if row.get(3)? { Direction::Echo } else { Direction::Inbound },
        from: recipient(row, 4)?,
        provider_id: row.get(6)?,
        at: at(row, 7)?,
        body: json(row, 8)?,
        context: opt_json(row, 9)?,
        referral: opt_json(row, 10)?,
        group: row.get(11)?,
        edited: None,
        revoked_at: None,
        reactions: Vec::new(),
    })
}

/// What hangs on a message of a session.
pub(super) fn hanging(
    conn: &rusqlite::Connection,
    session: SessionId,
    provider_id: &str,
) -> Fallible<Vec<StoredInbound>> {
    let mut statement = conn.prepare_cached(HANGING)?;
    let rows = statement.query_map(params![session.as_bytes(), provider_id], heard)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// Attaches what hangs on a stored message.
pub(super) fn whole(conn: &rusqlite::Connection, heard: StoredInbound) -> Fallible<StoredInbound> {
    let hanging = hanging(conn, heard.session, &heard.provider_id)?;
    Ok(heard.with(&hanging))
}

impl Projecting<'_> {
    pub(super) fn message(
        &mut self,
        transport: &TransportName,
        message: &InboundMessage,
        fresh: ContactId,
        consent: Option<Consent>,
        received_at: DateTime<Utc>,
    ) -> Fallible<Applied> {
        let routes = self.routes(transport, &message.number)?;
        if routes.is_empty() {
            return Ok(Applied::Foreign);
        }
        let wrote_at = message.at.min(received_at);
        let mut metered = Vec::new();
        for Route { tenant, session } in routes {
            if self.message_of(tenant, session, message, fresh, consent, wrote_at)? {
                metered.push((session, wrote_at));
            }
        }
        Ok(Applied::Heard { inbound: u64::try_from(metered.len()).unwrap_or(u64::MAX), metered })
    }

    /// Stores a message for one tenant; `false` when it was there.
    fn message_of(
        &mut self,
        tenant: TenantId,
        session: SessionId,
        message: &InboundMessage,
        fresh: ContactId,
        said: Option<Consent>,
        wrote_at: DateTime<Utc>,
    ) -> Fallible<bool> {
        let tx = self.tx;
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
        if self.earlier(session, provider_id)?.is_some() {
            return Ok(false);
        }
        let mut contact = self.meet(tenant, from, fresh)?;
        let seen = |name: &Option<String>| name.clone().map(|value| Seen { at: wrote_at, value });
        contacts::note_names(tx.conn, tenant, &mut contact, seen(profile_name), seen(username))?;
        let heard = StoredInbound {
            position: self.next_position(tenant)?,
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
            self.open_window(tenant, &heard)?;
        }
        self.insert(tenant, &heard)?;
        self.merger.changes.inbound(tenant, session, heard.at);
        self.merger.changes.event(
            tenant,
            EventBody::Inbound { session, contact: contact.id, provider_id: provider_id.clone() },
        );
        if group.is_none() && asks(body.kind()) {
            self.converse(tenant, &heard, Writer::User)?;
        }
        if let Some(said) = said {
            let (news, source) = (ConsentNews::of_word(said, wrote_at), ConsentSource::StopWord);
            contacts::hear_consent(tx, &mut self.merger.changes, tenant, &contact, news, source)?;
        }
        Ok(true)
    }

    pub(super) fn echo(
        &mut self,
        transport: &TransportName,
        echo: &Echo,
        fresh: ContactId,
        received_at: DateTime<Utc>,
    ) -> Fallible<Applied> {
        let routes = self.routes(transport, &echo.number)?;
        if routes.is_empty() {
            return Ok(Applied::Foreign);
        }
        let at = echo.at.min(received_at);
        let mut metered = Vec::new();
        for Route { tenant, session } in routes {
            if self.echo_of(tenant, session, echo, fresh, at)? {
                metered.push((session, at));
            }
        }
        Ok(Applied::Heard { inbound: 0, metered })
    }

    /// Stores an echo for one tenant; `false` when it was there. One that names nobody is about the
    /// message that it hangs on, if that is known.
    fn echo_of(
        &mut self,
        tenant: TenantId,
        session: SessionId,
        echo: &Echo,
        fresh: ContactId,
        at: DateTime<Utc>,
    ) -> Fallible<bool> {
        let Echo { number: _, provider_id, to, at: _, body } = echo;
        if self.earlier(session, provider_id)?.is_some() {
            return Ok(false);
        }
        let (contact, from) = match (to, target(body)) {
            (Some(to), _) => (self.meet(tenant, to, fresh)?.id, to.clone()),
            (None, Some(target)) => match self.earlier(session, target)? {
                Some(earlier) => earlier,
                None => return Ok(false),
            },
            (None, None) => return Ok(false),
        };
        let heard = StoredInbound {
            position: self.next_position(tenant)?,
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
        self.insert(tenant, &heard)?;
        let provider_id = provider_id.clone();
        self.merger.changes.event(tenant, EventBody::Echo { session, contact, provider_id });
        if asks(body.kind()) {
            self.converse(tenant, &heard, Writer::Business)?;
        }
        Ok(true)
    }

    pub(super) fn user_changed(
        &mut self,
        transport: &TransportName,
        change: &UserChange,
        received_at: DateTime<Utc>,
    ) -> Fallible<Applied> {
        let routes = self.routes(transport, &change.number)?;
        if routes.is_empty() {
            return Ok(Applied::Foreign);
        }
        for Route { tenant, session: _ } in routes {
            let at = change.at.min(received_at);
            join::follow(self.tx, &mut self.merger.changes, tenant, change, at)?;
        }
        Ok(Applied::Merged)
    }

    pub(super) fn preference(
        &mut self,
        transport: &TransportName,
        preference: &Preference,
        fresh: ContactId,
        received_at: DateTime<Utc>,
    ) -> Fallible<Applied> {
        let Preference { number, recipient, at, category: _, choice } = preference;
        let routes = self.routes(transport, number)?;
        if routes.is_empty() {
            return Ok(Applied::Foreign);
        }
        let at = (*at).min(received_at);
        let news = match choice {
            PreferenceChoice::Stop => ConsentNews::NoMarketing(at),
            PreferenceChoice::Resume | PreferenceChoice::Signup => ConsentNews::Marketing(at),
            _ => return Ok(Applied::Merged),
        };
        for Route { tenant, session: _ } in routes {
            let contact = self.meet(tenant, recipient, fresh)?;
            let source = ConsentSource::Provider;
            contacts::hear_consent(self.tx, &mut self.merger.changes, tenant, &contact, news, source)?;
        }
        Ok(Applied::Merged)
    }

    fn meet(&mut self, tenant: TenantId, who: &Recipient, fresh: ContactId) -> Fallible<Contact> {
        let nothing = ContactAttributes::new();
        contacts::meet(self.tx, &mut self.merger.changes, tenant, who, fresh, &nothing)
    }

    /// Whose a stored message is, and the addresses in it.
    fn earlier(&self, session: SessionId, provider_id: &str) -> Fallible<Option<(ContactId, Recipient)>> {
        let found = self
            .tx
            .conn
            .prepare_cached(
                "SELECT contact, phone, bsuid FROM inbound WHERE session = ?1 AND provider_id = ?2",
            )?
            .query_row(params![session.as_bytes(), provider_id], |row| Ok((id(row, 0)?, recipient(row, 1)?)))
            .optional()?;
        Ok(found)
    }

    fn next_position(&self, tenant: TenantId) -> Fallible<u64> {
        let next = self
            .tx
            .conn
            .prepare_cached("SELECT coalesce(max(position), 0) + 1 FROM inbound WHERE tenant = ?1")?
            .query_row(params![tenant.as_bytes()], |row| uint(row, 0))?;
        Ok(next)
    }

    fn insert(&self, tenant: TenantId, heard: &StoredInbound) -> Fallible<()> {
        let (phone, bsuid) = addresses(&heard.from);
        self.tx.conn.prepare_cached(INSERT)?.execute(params![
            tenant.as_bytes(),
            int(heard.position),
            heard.session.as_bytes(),
            heard.contact.as_bytes(),
            heard.direction == Direction::Echo,
            phone,
            bsuid,
            heard.provider_id,
            micros(heard.at),
            heard.opens_window(),
            heard.group.is_none() && asks(heard.kind()),
            to_json(&heard.body)?,
            heard.context.as_ref().map(to_json).transpose()?,
            heard.referral.as_ref().map(to_json).transpose()?,
            heard.group,
            heard.target()
        ])?;
        Ok(())
    }
}
