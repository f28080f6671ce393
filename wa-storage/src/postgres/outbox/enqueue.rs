//! Taking single messages in, and cancelling what has not begun.

use sqlx::PgConnection;
use uuid::Uuid;
use wa_core::model::{Fingerprint, MessageId, MessageState, NewMessage, SkipReason, TenantId};
use wa_core::port::store::{CancelMessage, Enqueue, News};

use crate::common::changes::Changes;
use crate::postgres::codec::{addresses, fingerprint, id, lane_rank, to_json, ts};
use crate::postgres::error::{Fallible, Fault};
use crate::postgres::message::{self, is_cancelled_in_feed};
use crate::postgres::news::announce;
use crate::postgres::tx::Tx;

/// Takes a message in. Takes no lock but that of its own key: who uses a key that another open transaction has
/// used waits for its end.
///
/// `schema` stands before the names of tables, because the transaction may be the caller's own.
pub(in crate::postgres) async fn enqueue(
    conn: &mut PgConnection,
    schema: &str,
    tenant: TenantId,
    message: &NewMessage,
) -> Fallible<Enqueue> {
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
    let sql = format!("SELECT 1 FROM \"{schema}\".session WHERE id = $1 AND tenant = $2");
    let owns = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(session.as_uuid())
        .bind(tenant.as_uuid())
        .fetch_optional(&mut *conn)
        .await?;
    if owns.is_none() {
        return Ok(Enqueue::NoSession);
    }
    let (phone, bsuid) = addresses(recipient);
    // The row with the key decides: it is written first, and nothing else unless it was new. The id of a
    // campaign's message has no such row, and is taken all the same.
    let sql = format!(
        "INSERT INTO \"{schema}\".single (tenant, message, session, lane, content, reply_to, valid_until, key, \
         fingerprint, fallback, in_doubt) SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11 \
         WHERE NOT EXISTS (SELECT 1 FROM \"{schema}\".message m WHERE m.tenant = $1 AND m.id = $2) \
         ON CONFLICT DO NOTHING"
    );
    let taken = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tenant.as_uuid())
        .bind(new.as_uuid())
        .bind(session.as_uuid())
        .bind(lane.as_str())
        .bind(to_json(content)?)
        .bind(reply_to.as_ref().map(|quoted| quoted.as_str()))
        .bind(valid_until.map(ts))
        .bind(key.as_ref().map(|key| key.as_str()))
        .bind(digest.as_bytes().as_slice())
        .bind(fallback.as_ref().map(to_json).transpose()?)
        .bind(in_doubt.as_ref().map(to_json).transpose()?)
        .execute(&mut *conn)
        .await?;
    if taken.rows_affected() == 0 {
        return Ok(match known(conn, schema, tenant, message).await? {
            Some((known, stored)) if stored == digest => Enqueue::Known(known),
            Some((known, _)) => Enqueue::Different(known),
            None => Enqueue::Different(*new),
        });
    }
    let sql = format!(
        "WITH m AS (INSERT INTO \"{schema}\".message (tenant, id, phone, bsuid) VALUES ($1, $2, $3, $4)) \
         INSERT INTO \"{schema}\".due (tenant, message, session, lane, due_at, n) VALUES ($1, $2, $5, $6, $7, 1)"
    );
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tenant.as_uuid())
        .bind(new.as_uuid())
        .bind(phone)
        .bind(bsuid)
        .bind(session.as_uuid())
        .bind(lane_rank(*lane))
        .bind(ts(*due_at))
        .execute(&mut *conn)
        .await?;
    announce(conn, schema, News::Due).await?;
    Ok(Enqueue::Queued(*new))
}

/// The message that was taken in under this key or, without a key, under this id.
async fn known(
    conn: &mut PgConnection,
    schema: &str,
    tenant: TenantId,
    message: &NewMessage,
) -> Fallible<Option<(MessageId, Fingerprint)>> {
    let sql = format!(
        "SELECT message, fingerprint FROM \"{schema}\".single WHERE tenant = $1 AND (key = $2 OR message = $3) \
         ORDER BY (key = $2) DESC NULLS LAST LIMIT 1"
    );
    let found = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(tenant.as_uuid())
        .bind(message.key.as_ref().map(|key| key.as_str()))
        .bind(message.id.as_uuid())
        .fetch_optional(conn)
        .await?;
    Ok(match found {
        Some(row) => Some((id(&row, 0)?, fingerprint(&row, 1)?)),
        None => None,
    })
}

pub(super) async fn cancel(tx: &mut Tx, tenant: TenantId, message: MessageId) -> Fallible<CancelMessage> {
    let Some(mut stored) = message::load(tx.conn(), tenant, message).await? else {
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
            message::leave_due(tx.conn(), &mut stored).await?;
            let now = tx.now;
            message::close(tx.conn(), &mut stored, SkipReason::Cancelled, now).await?;
            let mut changes = Changes::default();
            changes.standing(tenant, stored.campaign, Some(&old), &stored.standing());
            tx.write(changes).await?;
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
        message::leave_due(tx.conn(), &mut stored).await?;
    } else if let Some(campaign) = stored.campaign {
        if is_cancelled_in_feed(tx.conn(), tenant, campaign, message).await? {
            return Ok(CancelMessage::Cancelled);
        }
        sqlx::query(
            "UPDATE feed SET remaining = remaining - 1 \
             WHERE tenant = $1 AND campaign = $2 AND after_id < $3 AND last_id >= $3 AND first_id <= $3",
        )
        .bind(tenant.as_uuid())
        .bind(campaign.as_uuid())
        .bind::<Uuid>(message.as_uuid())
        .execute(tx.conn())
        .await?;
    }
    let now = tx.now;
    message::close(tx.conn(), &mut stored, SkipReason::Cancelled, now).await?;
    let new = stored.standing();
    let mut changes = Changes::default();
    changes.standing(tenant, stored.campaign, Some(&old), &new);
    changes.state(tenant, message, old.state, new.state);
    tx.write(changes).await?;
    Ok(CancelMessage::Cancelled)
}
