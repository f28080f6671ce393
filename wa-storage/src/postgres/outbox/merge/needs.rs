//! What has to be locked before facts are merged.
//!
//! Invariant: whoever merges holds the session of every attempt of the message. Who may open a breaker or
//! record an opt-out holds the tenant by himself; who may give back a slot holds its portfolio.

use std::collections::BTreeMap;
use std::sync::Arc;

use sqlx::postgres::PgRow;
use wa_core::model::{AttemptKey, Fact, FailureCode, MessageId, Outcome, RejectClass, SessionId, TenantId};
use wa_core::rules::settle::breaker_for;

use crate::common::portfolio_key;
use crate::postgres::codec::{get, id, uint, uuids};
use crate::postgres::error::Fallible;
use crate::postgres::tx::{Locks, Tx};

/// The order inside is that of the index that is meant; without statistics another one would cost the same.
const ATTEMPTS: &str = "SELECT u.tenant, u.message, a.n, a.session, a.tier_slot, s.transport, s.portfolio \
     FROM unnest($1::uuid[], $2::uuid[]) AS u (tenant, message) \
     CROSS JOIN LATERAL (SELECT x.n, x.session, x.tier_slot FROM attempt x \
         WHERE x.tenant = u.tenant AND x.message = u.message ORDER BY x.n OFFSET 0) a \
     CROSS JOIN LATERAL (SELECT x.transport, x.portfolio FROM session x WHERE x.id = a.session LIMIT 1) s";

/// What news of an attempt may lead to beyond its own message.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(in crate::postgres) struct Needs {
    /// It may stop something, or be an opt-out: every later begin of the tenant has to see it.
    binds: bool,
    /// It may be that the attempt definitely did not deliver, and gives back what it took.
    gives_back: bool,
}

impl Needs {
    pub(in crate::postgres) fn of_outcome(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::NotSent => Self { binds: false, gives_back: true },
            Outcome::Rejected(failure) => Self { binds: binds(failure), gives_back: true },
            Outcome::Accepted { provider_id: _ } | Outcome::Ambiguous => Self::default(),
        }
    }

    pub(in crate::postgres) fn of_status(fact: Fact, failure: Option<&FailureCode>) -> Self {
        let gives_back = match fact {
            Fact::NotSent | Fact::Rejected | Fact::Failed => true,
            Fact::Accepted
            | Fact::InDoubt
            | Fact::Sent
            | Fact::Delivered
            | Fact::Read
            | Fact::Played
            | Fact::Released => false,
        };
        Self { binds: failure.is_some_and(binds), gives_back }
    }

    /// Whether the attempt may turn out not to have delivered.
    pub(in crate::postgres) const fn gives_back(self) -> bool {
        self.gives_back
    }

    /// What this needs and the other.
    pub(in crate::postgres) const fn and(self, other: Self) -> Self {
        Self { binds: self.binds || other.binds, gives_back: self.gives_back || other.gives_back }
    }
}

/// Whether a refusal stops something, or is the contact's will.
pub(in crate::postgres) fn binds(failure: &FailureCode) -> bool {
    breaker_for(failure).is_some() || failure.class == RejectClass::OptedOut
}

/// The locks under which news of these attempts may be merged, beside others; to be asked before anything is
/// locked, as attempts are never changed. Attempts that are not there need none.
pub(in crate::postgres) async fn locks(
    tx: &mut Tx,
    needs: &BTreeMap<AttemptKey, Needs>,
    beside: Locks,
) -> Fallible<Locks> {
    let shared = Arc::clone(&tx.shared);
    let mut messages: Vec<(TenantId, MessageId)> =
        needs.keys().map(|key| (key.tenant, key.message)).collect();
    messages.dedup();
    let attempts: Vec<(AttemptKey, SessionId, Option<String>)> = sqlx::query(ATTEMPTS)
        .bind(uuids(messages.iter().map(|(tenant, _)| *tenant)))
        .bind(uuids(messages.iter().map(|(_, message)| *message)))
        .try_map(|row: PgRow| {
            let key = AttemptKey { tenant: id(&row, 0)?, message: id(&row, 1)?, n: uint(&row, 2)? };
            let portfolio =
                if get(&row, 4)? { Some(portfolio_key(get(&row, 5)?, get(&row, 6)?)) } else { None };
            Ok((key, id(&row, 3)?, portfolio))
        })
        .fetch_all(tx.conn())
        .await?;
    let mut locks = beside;
    for (key, session, portfolio) in attempts {
        locks = locks.and_session(&shared, key.tenant, session);
        let Some(Needs { binds, gives_back }) = needs.get(&key).copied() else { continue };
        if binds {
            locks = locks.and_tenant(&shared, key.tenant);
        }
        if let Some(portfolio) = portfolio.filter(|_| gives_back) {
            locks = locks.and_portfolio(&shared, &portfolio);
        }
    }
    Ok(locks)
}
