//! The calls of a script on the send protocol.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use wa_core::model::{
    AttemptKey, BatchId, BreakerScope, InDoubtPolicy, Lane, MessageId, MessageState, NewMessage, Outcome,
    RejectClass, Resolution, SessionId, SessionState, SkipReason, TenantId,
};
use wa_core::port::WorkerScope;
use wa_core::port::store::{
    Abandoned, AttemptFact, BeginBatch, BeginItem, Begun, CancelMessage, Consider, Considered, DueMessage,
    DueQuery, Enqueue, FailureFilter, Recover, Recovered, Redrive, RedriveOf, ResolveMessage, RetryMessage,
    Settled, Swept,
};
use wa_core::rules::judge::Judge;
use wa_core::testing::begin_item;

use super::Mismatch;
use super::judge::Listener;
use super::script::{Script, Step};
use super::stores::{STORES, differ, every};
use crate::world::failure;

impl Script {
    pub(super) async fn outbox(&mut self) -> Step {
        match self.roll(53) {
            45 | 46 => self.consider().await,
            47..=50 => self.recover().await,
            51 | 52 => self.resolve().await,
            0..=8 => self.enqueue().await,
            9 => self.cancel().await,
            10 => {
                let Some((session, _, page)) = self.something_due().await? else { return Ok(()) };
                self.tell("due", !page.is_empty(), session);
                Ok(())
            }
            11..=24 => self.begin().await,
            25..=34 => self.settle().await,
            35 | 36 => self.abandon().await,
            40 | 41 => self.retry().await,
            42 | 43 => self.redrive().await,
            44 => self.listen_in().await,
            _ => self.sweep().await,
        }
    }

    async fn enqueue(&mut self) -> Step {
        let (session, tenant) = self.session();
        self.enqueue_to(session, tenant).await
    }

    async fn enqueue_to(&mut self, session: SessionId, tenant: TenantId) -> Step {
        let scope = self.scope_of(tenant);
        let key = self.percent(25).then(|| format!("key {}", self.roll(5)).replace(' ', "-"));
        let ahead = if self.percent(80) { 0 } else { i64::try_from(self.roll(9)).expect("small") };
        let again = self.pick(&self.messages).map(|(_, id)| *id).filter(|_| self.percent(5));
        let message = NewMessage {
            id: again.unwrap_or_else(|| MessageId::from_uuid(self.uuid())),
            session,
            recipient: self.recipient(),
            content: self.content("now"),
            reply_to: self.percent(20).then(|| format!("wamid.{}", self.roll(2)).parse().expect("an id")),
            fallback: self.fallback(),
            lane: if self.percent(60) { Lane::Transactional } else { Lane::Bulk },
            due_at: self.now() + TimeDelta::seconds(ahead),
            valid_until: self.percent(10).then(|| self.now() + TimeDelta::seconds(9)),
            key: key.map(|key| key.parse().expect("a key")),
            in_doubt: self.doubt_policy(),
        };
        let taken = every!(self.stores, s => s.outbox().enqueue(&scope, &message));
        if let Ok(Enqueue::Queued(id)) = taken {
            self.messages.push((scope.tenant(), id));
        }
        let good = matches!(taken, Ok(Enqueue::Queued(_) | Enqueue::Known(_)));
        self.tell("enqueue", good, (message, taken));
        Ok(())
    }

    /// A message of a campaign or a single one.
    async fn any_message(&mut self) -> Result<Option<(TenantId, MessageId)>, Mismatch> {
        if self.percent(50) {
            let (tenant, campaign) = self.campaign();
            let scope = wa_core::testing::scope::tenant(tenant);
            let all = every!(self.stores, s => s.reports().recipients(&scope, campaign, None, 100));
            let all: Vec<_> = all.iter().flatten().map(|view| (tenant, view.id)).collect();
            if let Some(one) = self.pick(&all) {
                return Ok(Some(*one));
            }
        }
        Ok(self.pick_late(&self.messages).copied())
    }

    async fn cancel(&mut self) -> Step {
        // Mostly one that still waits.
        let mut found = None;
        for _ in 0..4 {
            let Some((tenant, id)) = self.any_message().await? else { return Ok(()) };
            let of = wa_core::testing::scope::tenant(tenant);
            let view = every!(self.stores, s => s.reports().message(&of, id)).ok().flatten();
            let waits = view.is_some_and(|it| matches!(it.state, MessageState::Pending | MessageState::Held));
            found = Some((tenant, id));
            if waits {
                break;
            }
        }
        let Some((tenant, id)) = found else { return Ok(()) };
        let scope = self.scope_of(tenant);
        let cancelled = every!(self.stores, s => s.outbox().cancel(&scope, id));
        self.tell("cancel", matches!(cancelled, Ok(CancelMessage::Cancelled)), (id, cancelled));
        Ok(())
    }

    async fn page(&self, session: SessionId, scope: &WorkerScope) -> Result<Vec<DueMessage>, Mismatch> {
        let ask = DueQuery {
            session,
            lane: self.percent(25).then(|| if self.percent(50) { Lane::Bulk } else { Lane::Transactional }),
            limit: if self.percent(40) { 100 } else { self.limit() },
            skip: if self.percent(10) { vec![self.campaign().1] } else { Vec::new() },
            skip_feeds: if self.percent(10) { vec![self.campaign().1] } else { Vec::new() },
        };
        let page = every!(self.stores, s => s.outbox().due(scope, &ask));
        Ok(page.map(|page| page.messages).unwrap_or_default())
    }

    /// Whether a session is held up as a whole.
    async fn is_stopped(&self, session: SessionId) -> Result<bool, Mismatch> {
        let Some(known) = self.sessions.get(&session) else { return Ok(false) };
        let of = wa_core::testing::scope::tenant(known.tenant);
        let settings = every!(self.stores, s => s.directory().settings(&of)).ok().flatten();
        let open = every!(self.stores, s => s.numbers().breakers(&of)).unwrap_or_default();
        let found = every!(self.stores, s => s.numbers().session(&of, session)).ok().flatten();
        Ok(settings.is_some_and(|it| it.paused)
            || open.iter().any(|it| it.scope == BreakerScope::Session(session))
            || found.is_some_and(|it| it.state != SessionState::Connected))
    }

    /// A page of a session, mostly one that holds something and can send it.
    async fn something_due(&mut self) -> Result<Option<(SessionId, WorkerScope, Vec<DueMessage>)>, Mismatch> {
        let Some((mut session, mut scope)) = self.held() else { return Ok(None) };
        let mut due = self.page(session, &scope).await?;
        for _ in 0..4 {
            if due.is_empty() || self.percent(80) && self.is_stopped(session).await? {
                let Some(other) = self.held() else { break };
                (session, scope) = other;
                due = self.page(session, &scope).await?;
            }
        }
        if due.is_empty()
            && let Some(tenant) = self.sessions.get(&session).map(|known| known.tenant)
        {
            self.enqueue_to(session, tenant).await?;
            due = self.page(session, &scope).await?;
        }
        Ok(Some((session, scope, due)).filter(|(.., due)| !due.is_empty() || self.percent(20)))
    }

    async fn begin(&mut self) -> Step {
        let Some((session, scope, due)) = self.something_due().await? else { return Ok(()) };
        let known = self.batches.last().map(|(id, _)| *id).filter(|_| self.percent(3));
        let mut batch = BeginBatch {
            id: known.unwrap_or_else(|| BatchId::from_uuid(self.uuid())),
            session,
            items: due.iter().map(begin_item).collect(),
            start_within: Duration::from_secs(5),
            timeout: Duration::from_secs(if self.percent(50) { 30 } else { 3 }),
        };
        match self.roll(20) {
            // A page of before, which may be stale.
            0 => {
                if let Some(last) = self.last_batch.clone() {
                    batch = BeginBatch { id: batch.id, ..last };
                }
            }
            // An item twice, one left out, one out of order.
            1 => batch.items.extend(batch.items.first().cloned()),
            2 if !batch.items.is_empty() => drop(batch.items.remove(0)),
            3 => batch.items.reverse(),
            _ => {}
        }
        // Between the page and the begin something may happen.
        if self.percent(15) {
            match self.roll(4) {
                0 => self.cancel().await?,
                1 => self.inbox().await?,
                _ => self.audience().await?,
            }
        }
        let mood = self.percent(15).then(|| u128::from(self.roll(1_000)));
        let judges = [(); STORES].map(|()| Arc::new(Listener::new(mood)));
        let mut calls = judges.iter().map(|it| Arc::<Listener>::clone(it) as Arc<dyn Judge>);
        let begun =
            every!(self.stores, s => s.outbox().begin(&scope, &batch, calls.next().expect("one each")));
        heard_the_same(&judges)?;
        if let Ok(Begun::Done(begun)) = &begun {
            self.batches.push((batch.id, self.now()));
            self.attempts.extend(begun.attempts.iter().map(|attempt| (attempt.key, batch.session)));
        }
        let good = matches!(&begun, Ok(Begun::Done(begun)) if !begun.attempts.is_empty());
        self.tell("begin", good, (mood, &batch, begun));
        self.last_batch = Some(batch);
        Ok(())
    }

    async fn consider(&mut self) -> Step {
        let Some((session, _, due)) = self.something_due().await? else { return Ok(()) };
        let owner = self.sessions.get(&session).map_or_else(|| self.tenant(), |known| known.tenant);
        let scope = self.scope_of(owner);
        let mut items: Vec<_> = due.iter().map(begin_item).collect();
        // Hypothetical ones, to whoever has an address.
        for _ in 0..self.roll(4) {
            if let Some(known) = self.pick(&items).cloned() {
                items.push(BeginItem {
                    message: MessageId::from_uuid(self.uuid()),
                    recipient: self.recipient(),
                    contact: if self.percent(50) { known.contact } else { None },
                    ..known
                });
            }
        }
        let recent_since = self.percent(50).then(|| self.now() - TimeDelta::seconds(600));
        let ask = Consider { session, items, recent_since };
        let judges = [(); STORES].map(|()| Arc::new(Listener::new(None)));
        let mut calls = judges.iter().map(|it| Arc::<Listener>::clone(it) as Arc<dyn Judge>);
        let judged = every!(
            self.stores,
            s => s.outbox().consider(&scope, &ask, calls.next().expect("one each")),
            |judged: Considered| match judged {
                Considered::Judged(mut judged) => {
                    // Of one instant, in any order.
                    judged.recent.sort_by_key(|it| (it.begun_at, it.recipient));
                    assert!(judged.slots.is_sorted_by_key(|(until, _)| *until));
                    judged.slots.sort_unstable();
                    Considered::Judged(judged)
                }
                Considered::NoSession => Considered::NoSession,
            }
        );
        heard_the_same(&judges)?;
        self.tell("consider", matches!(judged, Ok(Considered::Judged(_))), (ask, judged));
        Ok(())
    }

    async fn settle(&mut self) -> Step {
        let mut facts = Vec::new();
        for _ in 0..1 + self.roll(4) {
            let count = u64::try_from(self.attempts.len()).expect("few");
            let late = self.percent(75);
            let place = if late { count.saturating_sub(1 + self.roll(3)) } else { self.roll(count) };
            let mut place = usize::try_from(place).expect("few");
            // Mostly one of which nothing was said.
            if self.percent(60) {
                place = self.pick_late(&self.unsaid()).copied().unwrap_or(place);
            }
            self.settled.insert(place);
            let Some((mut attempt, _)) = self.attempts.get(place).copied() else { continue };
            if self.percent(2) {
                attempt.n += 7;
            }
            let outcome = match self.roll(10) {
                0 => Outcome::NotSent,
                1 => Outcome::Ambiguous,
                2..=5 => Outcome::Rejected(self.failure()),
                _ => Outcome::Accepted { provider_id: self.provider_id(place) },
            };
            let ago = i64::try_from(self.roll(4)).expect("small");
            let retry_after = self.percent(10).then_some(Duration::from_secs(20));
            facts.push(AttemptFact {
                attempt,
                at: self.now() - TimeDelta::seconds(ago),
                outcome,
                retry_after,
            });
        }
        if facts.is_empty() {
            return self.begin().await;
        }
        let settled = every!(self.stores, s => s.outbox().settle(&facts));
        let good = settled.as_ref().is_ok_and(|it: &Settled| !it.changed.is_empty());
        self.tell("settle", good, (facts, settled));
        Ok(())
    }

    async fn abandon(&mut self) -> Step {
        // A store forgets batches after a week, and so does this script.
        let young = self.now() - TimeDelta::days(6);
        let young: Vec<_> = self.batches.iter().filter(|(_, at)| *at > young).map(|(id, _)| *id).collect();
        let known = self.pick_late(&young).copied().filter(|_| self.percent(80));
        let batch = known.unwrap_or_else(|| BatchId::from_uuid(self.uuid()));
        let Some((_, scope)) = self.held() else { return Ok(()) };
        let abandoned = every!(self.stores, s => s.outbox().abandon(&scope, batch));
        self.tell("abandon", matches!(abandoned, Ok(Abandoned::WasCommitted(_))), (batch, abandoned));
        Ok(())
    }

    /// A failed message of a tenant, mostly one that is there.
    async fn a_failure(&mut self) -> Result<Option<(TenantId, MessageId)>, Mismatch> {
        if self.percent(50) {
            self.fail().await?;
        }
        for tenant in self.tenants() {
            let scope = wa_core::testing::scope::tenant(tenant);
            let all = FailureFilter::default();
            let page =
                every!(self.stores, s => s.reports().failed(&scope, &all, None, 100)).unwrap_or_default();
            if let Some(view) = self.pick(&page).filter(|_| self.percent(95)) {
                return Ok(Some((tenant, view.id)));
            }
        }
        if self.percent(4) { self.any_message().await } else { Ok(None) }
    }

    async fn retry(&mut self) -> Step {
        let Some((tenant, id)) = self.a_failure().await? else { return self.settle().await };
        let scope = self.scope_of(tenant);
        let put = every!(self.stores, s => s.outbox().retry(&scope, id));
        self.tell("retry", matches!(put, Ok(RetryMessage::Requeued(_))), (id, put));
        Ok(())
    }

    async fn redrive(&mut self) -> Step {
        let Some((tenant, _)) = self.a_failure().await? else { return self.settle().await };
        let scope = self.scope_of(tenant);
        let of = if self.percent(85) {
            RedriveOf::Failed(if self.percent(75) { FailureFilter::default() } else { self.failure_filter() })
        } else {
            let campaign = self.percent(50).then(|| self.campaign().1);
            let reasons = [SkipReason::WindowClosed, SkipReason::WindowClosed, SkipReason::Cancelled];
            RedriveOf::Skipped { reason: reasons[self.index(3)], campaign }
        };
        let after = self.pick(&self.messages).map(|(_, id)| *id).filter(|_| self.percent(10));
        let ask = Redrive { of, after, limit: self.limit() };
        let done = every!(self.stores, s => s.outbox().redrive(&scope, &ask));
        self.tell("redrive", done.is_ok_and(|done| done.requeued > 0), (ask, done));
        Ok(())
    }

    async fn listen_in(&mut self) -> Step {
        let Some((_, scope)) = self.held() else { return Ok(()) };
        let limit = self.limit();
        let heard = every!(self.stores, s => s.outbox().listen(&scope, limit));
        self.tell("listen", heard.is_ok(), (scope, limit, heard));
        Ok(())
    }

    /// What a message, a campaign or a tenant says about what is in doubt.
    pub(super) fn doubt_policy(&self) -> Option<InDoubtPolicy> {
        let after = Duration::from_secs([0, 1, 5][self.index(3)]);
        let policies = [
            InDoubtPolicy::AtMostOnce,
            InDoubtPolicy::Manual,
            InDoubtPolicy::ResendAfter { after },
            InDoubtPolicy::ResendAfter { after },
            InDoubtPolicy::ResendAfterProvenSilence { after },
        ];
        self.pick(&policies).copied().filter(|_| self.percent(40))
    }

    /// Where the attempts are of which nothing was said.
    fn unsaid(&self) -> Vec<usize> {
        (0..self.attempts.len()).filter(|it| !self.settled.contains(it)).collect()
    }

    /// Says the same of some of the latest attempts, mostly of those that are still open.
    fn of_the_latest(&self, outcome: &Outcome) -> Vec<AttemptFact> {
        let mut places = self.unsaid();
        if places.is_empty() || self.percent(20) {
            places = (0..self.attempts.len()).collect();
        }
        let latest = places.into_iter().rev().take(1 + self.index(4));
        let fact = |(attempt, _): &(AttemptKey, SessionId)| AttemptFact {
            attempt: *attempt,
            at: self.now(),
            outcome: outcome.clone(),
            retry_after: None,
        };
        latest.filter_map(|place| self.attempts.get(place).map(fact)).collect()
    }

    /// Loses the answer about some attempts.
    async fn lose_answers(&mut self) -> Step {
        let facts = self.of_the_latest(&Outcome::Ambiguous);
        let settled = every!(self.stores, s => s.outbox().settle(&facts));
        let good = settled.as_ref().is_ok_and(|it| !it.changed.is_empty());
        self.tell("settle", good, (facts, settled));
        Ok(())
    }

    /// Has some messages fail for good.
    async fn fail(&mut self) -> Step {
        self.begin().await?;
        let facts = self.of_the_latest(&Outcome::Rejected(failure(131_026, RejectClass::Recipient)));
        let settled = every!(self.stores, s => s.outbox().settle(&facts));
        let good = settled.as_ref().is_ok_and(|it| !it.changed.is_empty());
        self.tell("settle", good, (facts, settled));
        Ok(())
    }

    async fn recover(&mut self) -> Step {
        if self.percent(60) {
            self.begin().await?;
            self.lose_answers().await?;
        }
        if self.percent(50) {
            // Long enough for every request to have ended.
            self.stores.clock.advance(Duration::from_secs(45));
            self.tell("time", true, 45);
            self.acquire().await?;
        }
        // Mostly where something is in doubt.
        let latest = self.attempts.last().map(|(_, session)| *session).filter(|_| self.percent(75));
        let owner = latest.filter(|session| self.is_alive(*session)).map(|session| self.leases[&session].0);
        let scope = match (owner, self.held()) {
            (Some(worker), _) => self.holder(worker),
            (None, Some((_, scope))) => scope,
            (None, None) => return Ok(()),
        };
        let ask = Recover { grace: Duration::from_secs(self.roll(2)), limit: self.limit() };
        let found = every!(self.stores, s => s.outbox().recover(&scope, &ask));
        // Most looks find nothing whose time has come; what was sent again is counted by itself.
        let resent = found.as_ref().is_ok_and(|found: &Recovered| !found.resent.is_empty());
        if resent {
            self.tell("resend", true, ());
        }
        self.tell("recover", found.is_ok(), (scope, ask, found));
        Ok(())
    }

    async fn resolve(&mut self) -> Step {
        if self.percent(60) {
            self.lose_answers().await?;
        }
        let lost = self.pick_late(&self.attempts).map(|(attempt, _)| attempt.tenant);
        let tenant = lost.filter(|_| self.percent(80)).unwrap_or_else(|| self.session().1);
        let scope = self.scope_of(tenant);
        let doubtful = every!(self.stores, s => s.reports().in_doubt(&scope, None, 100));
        let doubtful: Vec<_> = doubtful.iter().flatten().map(|view| view.id).collect();
        if doubtful.is_empty() && self.percent(90) {
            return Ok(());
        }
        let one = self.pick(&doubtful).copied().filter(|_| self.percent(90));
        let Some(id) = one.or(self.any_message().await?.map(|(_, id)| id)) else { return Ok(()) };
        let said = [Resolution::Resend, Resolution::Delivered, Resolution::Undelivered][self.index(3)];
        let answer = every!(self.stores, s => s.outbox().resolve(&scope, id, said));
        let good = matches!(answer, Ok(ResolveMessage::Resolved(_) | ResolveMessage::Requeued(_)));
        self.tell("resolve", good, (id, said, answer));
        Ok(())
    }

    async fn sweep(&mut self) -> Step {
        let Some((_, scope)) = self.held() else { return Ok(()) };
        let grace =
            Duration::from_secs([0, 1, 10][usize::from(self.percent(50)) + usize::from(self.percent(30))]);
        let swept = every!(self.stores, s => s.outbox().sweep(&scope, grace), |mut swept: Swept| {
            swept.in_doubt.sort();
            swept
        });
        self.tell("sweep", swept.is_ok(), (scope, grace, swept));
        Ok(())
    }
}

/// Every judge was told the same, in the same order.
fn heard_the_same(judges: &[Arc<Listener>; STORES]) -> Step {
    let [right, others @ ..] = judges;
    for (other, name) in others.iter().zip(["sqlite", "postgres"]) {
        if right.heard() != other.heard() {
            let (right, other) = (right.heard().join("\n"), other.heard().join("\n"));
            return Err(differ("what the judge was told", &right, name, &other));
        }
    }
    Ok(())
}
