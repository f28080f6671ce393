//! Taking single messages in, and cancelling what has not begun.

use rusqlite::{OptionalExtension, params};
use wa_core::model::{
    Fingerprint, HoldReason, MessageId, MessageState, NewMessage, SkipReason, TenantId, micros,
};
use wa_core::port::store::{CancelMessage, Enqueue};

use super::lane_rank;
use crate::common::changes::Changes;
use crate::sqlite::codec::{addresses, fingerprint, id, opt_micros, to_json};
use crate::sqlite::error::{Fallible, Fault};
use crate::sqlite::message::{PUT_DUE, Stored, is_cancelled_in_feed};
use crate::sqlite::writer::Tx;

pub(in crate::sqlite) fn enqueue(tx: &Tx<'_>, tenant: TenantId, message: &NewMessage) -> Fallible<Enqueue> {
    let NewMessage {
        id: new,
        session,
        recipient,
        content,
        reply_to,
        fallback,
        lane,
        due_at,
        valid_until,
        key,
        in_doubt,
    } = message;
    // Instants are not part of it: a caller who repeats a call "now" means the same message.
    let digest = Fingerprint::of_json(&(session, recipient, content, reply_to, fallback, lane, in_doubt))
        .ok_or(Fault::Broken("a message has no JSON form"))?;
    let owns = tx
        .conn
        .prepare_cached("SELECT 1 FROM session WHERE id = ?1 AND tenant = ?2")?
        .query_row(params![session.as_bytes(), tenant.as_bytes()], |_| Ok(()))
        .optional()?;
    if owns.is_none() {
        return Ok(Enqueue::NoSession);
    }
    if let Some((known, stored)) = known(tx, tenant, message)? {
        return Ok(if stored == digest { Enqueue::Known(known) } else { Enqueue::Different(known) });
    }
    let (phone, bsuid) = addresses(recipient);
    let is_new = tx
        .conn
        .prepare_cached(
            "INSERT INTO message (tenant, id, phone, bsuid) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        )?
        .execute(params![tenant.as_bytes(), new.as_bytes(), phone, bsuid])?
        > 0;
    if !is_new {
        // The id of a campaign's message, which no call for a single one can mean.
        return Ok(Enqueue::Different(*new));
    }
    tx.conn
        .prepare_cached(
            "INSERT INTO single (tenant, message, session, lane, content, reply_to, valid_until, key, fingerprint, \
             fallback, in_doubt) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        )?
        .execute(params![
            tenant.as_bytes(),
            new.as_bytes(),
            session.as_bytes(),
            lane.as_str(),
            to_json(content)?,
            reply_to.as_ref().map(|quoted| quoted.as_str()),
            opt_micros(*valid_until),
            key.as_ref().map(|key| key.as_str()),
            digest.as_bytes(),
            fallback.as_ref().map(to_json).transpose()?,
            in_doubt.as_ref().map(to_json).transpose()?
        ])?;
    tx.conn.prepare_cached(PUT_DUE)?.execute(params![
        tenant.as_bytes(),
        new.as_bytes(),
        session.as_bytes(),
        lane_rank(*lane),
        micros(*due_at),
        1,
        None::<&[u8]>,
        None::<HoldReason>.map(HoldReason::as_str)
    ])?;
    Ok(Enqueue::Queued(*new))
}

/// The message that was taken in under this key or, without a key, under this id.
fn known(tx: &Tx<'_>, tenant: TenantId, message: &NewMessage) -> Fallible<Option<(MessageId, Fingerprint)>> {
    let read = |row: &rusqlite::Row<'_>| Ok((id(row, 0)?, fingerprint(row, 1)?));
    if let Some(key) = &message.key {
        let by_key = tx
            .conn
            .prepare_cached("SELECT message, fingerprint FROM single WHERE tenant = ?1 AND key = ?2")?
            .query_row(params![tenant.as_bytes(), key.as_str()], read)
            .optional()?;
        if by_key.is_some() {
            return Ok(by_key);
        }
    }
    let by_id = tx
        .conn
        .prepare_cached("SELECT message, fingerprint FROM single WHERE tenant = ?1 AND message = ?2")?
        .query_row(params![tenant.as_bytes(), message.id.as_bytes()], read)
        .optional()?;
    Ok(by_id)
}

pub(super) fn cancel(tx: &Tx<'_>, tenant: TenantId, message: MessageId) -> Fallible<CancelMessage> {
    let Some(mut stored) = Stored::load(tx.conn, tenant, message)? else {
        return Ok(CancelMessage::Missing);
    };
    let old = stored.standing();
    match old.state {
        MessageState::Pending | MessageState::Held => {}
        MessageState::Skipped if stored.closed == Some(SkipReason::Cancelled) => {
            return Ok(CancelMessage::Cancelled);
        }
        MessageState::InDoubt => {
            // What has left cannot be called back; what would follow it can.
            stored.delete_due(tx.conn)?;
            stored.close(tx.conn, SkipReason::Cancelled, tx.now)?;
            let mut changes = Changes::default();
            changes.standing(tenant, stored.campaign, Some(&old), &stored.standing());
            tx.write(changes)?;
            return Ok(CancelMessage::TooLate(old.state));
        }
        state @ (MessageState::Attempting
        | MessageState::Accepted
        | MessageState::Sent
        | MessageState::Delivered
        | MessageState::Read
        | MessageState::Played
        | MessageState::Failed
        | MessageState::Skipped) => return Ok(CancelMessage::TooLate(state)),
    }
    if stored.due.is_some() {
        stored.delete_due(tx.conn)?;
    } else if let Some(campaign) = stored.campaign {
        if is_cancelled_in_feed(tx.conn, tenant, campaign, message)? {
            return Ok(CancelMessage::Cancelled);
        }
        tx.conn
            .prepare_cached(
                "UPDATE feed SET remaining = remaining - 1 \
                 WHERE tenant = ?1 AND campaign = ?2 AND after_id < ?3 AND last_id >= ?3 AND first_id <= ?3",
            )?
            .execute(params![tenant.as_bytes(), campaign.as_bytes(), message.as_bytes()])?;
    }
    stored.close(tx.conn, SkipReason::Cancelled, tx.now)?;
    let new = stored.standing();
    let mut changes = Changes::default();
    changes.standing(tenant, stored.campaign, Some(&old), &new);
    changes.state(tenant, message, old.state, new.state);
    tx.write(changes)?;
    Ok(CancelMessage::Cancelled)
}
