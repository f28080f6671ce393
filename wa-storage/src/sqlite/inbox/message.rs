//! Messages that users wrote, on their way into every session of their number.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};
use wa_core::model::{
    Consent, ConsentSource, ContactAttributes, ContactId, EventBody, InboundMessage, SessionId, TenantId,
    TransportName, micros,
};
use wa_core::port::store::Route;
use wa_core::rules::consent::strengthen;
use wa_core::rules::window;

use super::project::{Applied, Projecting};
use crate::sqlite::audience::contacts;
use crate::sqlite::codec::addresses;
use crate::sqlite::error::Fallible;

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
        let mut new = 0;
        for Route { tenant, session } in routes {
            if self.message_of(tenant, session, message, fresh, consent, received_at)? {
                new += 1;
            }
        }
        Ok(Applied::Inbound(new))
    }

    /// Stores a message for one tenant; `false` when it was there.
    fn message_of(
        &mut self,
        tenant: TenantId,
        session: SessionId,
        message: &InboundMessage,
        fresh: ContactId,
        opt_out: Option<Consent>,
        received_at: DateTime<Utc>,
    ) -> Fallible<bool> {
        let tx = self.tx;
        let InboundMessage {
            number: _,
            provider_id,
            from,
            parent: _,
            profile_name: _,
            username: _,
            at: wrote_at,
            body,
            context: _,
            referral: _,
            group: _,
            standby: _,
        } = message;
        let known = tx
            .conn
            .prepare_cached("SELECT 1 FROM inbound WHERE session = ?1 AND provider_id = ?2")?
            .query_row(params![session.as_bytes(), provider_id], |_| Ok(()))
            .optional()?;
        if known.is_some() {
            return Ok(false);
        }
        let contact = contacts::find_or_create(tx, tenant, from, fresh, &ContactAttributes::new())?;
        let (phone, bsuid) = addresses(from);
        tx.conn
            .prepare_cached(
                "INSERT INTO inbound (tenant, position, session, contact, phone, bsuid, provider_id, at, kind, text) \
                 VALUES (?1, (SELECT coalesce(max(position), 0) + 1 FROM inbound WHERE tenant = ?1), \
                 ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                tenant.as_bytes(),
                session.as_bytes(),
                contact.id.as_bytes(),
                phone,
                bsuid,
                provider_id,
                // Of two instants the rule takes the earlier one as well.
                micros(window::merge(None, *wrote_at, received_at)),
                body.kind().as_str(),
                body.said()
            ])?;
        self.open_window(tenant, session, contact.id, *wrote_at, received_at)?;
        self.merger.changes.event(
            tenant,
            EventBody::Inbound { session, contact: contact.id, provider_id: provider_id.clone() },
        );
        if let Some(opt_out) = opt_out {
            let consent = strengthen(contact.consent, opt_out);
            let source = ConsentSource::StopWord;
            contacts::change_consent(tx, &mut self.merger.changes, tenant, &contact, consent, source)?;
        }
        Ok(true)
    }
}
