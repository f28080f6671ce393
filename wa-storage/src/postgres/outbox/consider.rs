//! What begin would say of messages, without beginning them. Reads only.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sqlx::PgConnection;
use wa_core::model::TenantId;
use wa_core::port::store::{Consider, Considered, Judged, MAX_PAGE};
use wa_core::rules::judge::Judge;

use super::begin::own_time;
use super::court::{self, Question};
use crate::common::portfolio_key;
use crate::postgres::codec::{at, get};
use crate::postgres::error::{Fallible, Fault};
use crate::postgres::numbers::{recent_of, session_of};
use crate::postgres::tx::Tx;

pub(super) async fn consider(
    tx: &mut Tx,
    tenant: TenantId,
    ask: &Consider,
    judge: &dyn Judge,
) -> Fallible<Considered> {
    let Some(session) = session_of(tx.conn(), tenant, ask.session).await? else {
        return Ok(Considered::NoSession);
    };
    let most = usize::try_from(MAX_PAGE).unwrap_or(usize::MAX);
    let items = ask.items.get(..ask.items.len().min(most)).unwrap_or_default();
    let portfolio = portfolio_key(session.transport.as_str(), &session.portfolio);
    let question = Question {
        tenant,
        session: ask.session,
        portfolio: &portfolio,
        batch: None,
        items,
        now: own_time(&tx.shared),
        reads_timeline: tx.shared.reads_timeline,
    };
    let Some(bench) = court::read(tx.conn(), &question).await? else { return Ok(Considered::NoSession) };
    let at = bench.court.shared.now;
    let (mut court, known) = (bench.court, bench.items);
    // A judge is the embedder's code.
    let judged = catch_unwind(AssertUnwindSafe(|| {
        let mut groups = Vec::new();
        for item in items {
            if groups.iter().all(|(campaign, _)| *campaign != item.campaign) {
                groups.push((item.campaign, court.admit(judge, item.campaign)));
            }
        }
        let verdicts: Vec<_> = items
            .iter()
            .zip(&known)
            .map(|(item, known)| (item.message, court.judge(judge, item, known)))
            .collect();
        (groups, verdicts)
    }));
    let (groups, verdicts) = judged.map_err(|_| Fault::Broken("the judge panicked"))?;
    let (mut recent, mut slots) = (Vec::new(), Vec::new());
    if let Some(since) = ask.recent_since {
        recent = recent_of(tx.conn(), ask.session, since).await?;
        if session.tier.limit().is_some() {
            slots = slot_ends(tx.conn(), &portfolio, at).await?;
        }
    }
    let session = court.shared.session;
    Ok(Considered::Judged(Box::new(Judged { at, session, groups, verdicts, recent, slots })))
}

/// When each taken slot of a portfolio ends, earliest first, and whose it is.
async fn slot_ends(
    conn: &mut PgConnection,
    portfolio: &str,
    now: chrono::DateTime<chrono::Utc>,
) -> Fallible<Vec<(chrono::DateTime<chrono::Utc>, u64)>> {
    let rows = sqlx::query(
        "SELECT until, recipient FROM tier_slot WHERE portfolio = $1 AND until > $2 ORDER BY until",
    )
    .bind(portfolio)
    .bind(now)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((at(row, 0)?, get::<i64>(row, 1)?.cast_unsigned()))).collect()
}
