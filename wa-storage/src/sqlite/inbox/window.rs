//! Windows: who may be written to freely, and until when.

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};
use wa_core::model::{ContactId, SessionId, TenantId, micros};
use wa_core::rules::window;

use super::project::Projecting;
use crate::sqlite::codec::at;
use crate::sqlite::error::Fallible;

impl Projecting<'_> {
    pub(super) fn open_window(
        &self,
        tenant: TenantId,
        session: SessionId,
        contact: ContactId,
        wrote_at: DateTime<Utc>,
        received_at: DateTime<Utc>,
    ) -> Fallible<()> {
        let key = params![tenant.as_bytes(), session.as_bytes(), contact.as_bytes()];
        let known = self
            .tx
            .conn
            .prepare_cached(
                "SELECT last_user_message_at FROM window WHERE tenant = ?1 AND session = ?2 AND contact = ?3",
            )?
            .query_row(key, |row| at(row, 0))
            .optional()?;
        let last = window::merge(known, wrote_at, received_at);
        self.tx
            .conn
            .prepare_cached(
                "INSERT OR REPLACE INTO window (tenant, session, contact, last_user_message_at) \
                 VALUES (?1, ?2, ?3, ?4)",
            )?
            .execute(params![tenant.as_bytes(), session.as_bytes(), contact.as_bytes(), micros(last)])?;
        Ok(())
    }
}
