//! What a provider decided about an account, carried out on its sessions.

use chrono::{DateTime, Utc};

use crate::memory::flaws::flawed;
use crate::memory::merge::Merged;
use crate::memory::state::{State, TenantRow};
use crate::model::{
    Breaker, BreakerReason, BreakerScope, EventBody, Session, SessionId, SessionState, TemplateKey,
    TemplateRecord, TemplateRef, TransportName,
};
use crate::port::store::{Projected, Projection};
use crate::rules::effects::{self, Effect, Gate, Ruling, TemplateNews, Topic};
use crate::rules::judge;

/// Carries a ruling out for every tenant that has sessions of its account.
pub(super) fn carry_out(
    state: &mut State,
    projection: &Projection,
    ruling: &Ruling,
    now: DateTime<Utc>,
    merged: &mut Merged,
    projected: &mut Projected,
) {
    let transport = &projection.transport;
    let mut touched = false;
    for tenant in state.tenants.values_mut() {
        let of_account: Vec<SessionId> = tenant
            .sessions
            .values()
            .filter(|it| {
                let is_of_account = it.account.as_deref() == Some(&ruling.account);
                it.transport == *transport && (is_of_account || flawed!(tenant, DecidesForEveryAccount => super::super::flaws::is_of_numbers(ruling), false))
            })
            .filter(|it| it.state != SessionState::Deleted)
            .map(|it| it.id)
            .collect();
        if of_account.is_empty() {
            continue;
        }
        touched = true;
        let at = ruling.at.min(projection.received_at);
        let carrying = Carrying { transport, ruling, at, now, of_account: &of_account };
        let before: Vec<_> = of_account.iter().filter_map(|id| tenant.sessions.get(id).cloned()).collect();
        let mut stopped = Vec::new();
        for effect in &ruling.effects {
            carrying.one(tenant, effect, &mut stopped, merged);
        }
        for old in before {
            let Some(new) = tenant.sessions.get(&old.id).cloned() else { continue };
            if new != old {
                merged.entries.note(tenant.tenant.id, changed(&new));
            }
            if new != old || stopped.contains(&new.id) {
                projected.sessions.retain(|it| it.id != new.id);
                projected.sessions.push(new);
            }
        }
    }
    projected.foreign += u64::from(!touched);
}

fn changed(session: &Session) -> EventBody {
    EventBody::SessionChanged {
        session: session.id,
        state: session.state,
        throughput: session.throughput,
        tier: session.tier,
        quality: session.quality,
    }
}

struct Carrying<'a> {
    transport: &'a TransportName,
    ruling: &'a Ruling,
    at: DateTime<Utc>,
    now: DateTime<Utc>,
    of_account: &'a [SessionId],
}

impl Carrying<'_> {
    fn one(
        &self,
        tenant: &mut TenantRow,
        effect: &Effect,
        stopped: &mut Vec<SessionId>,
        merged: &mut Merged,
    ) {
        let of_account: Vec<_> =
            self.of_account.iter().filter_map(|id| tenant.sessions.get(id).cloned()).collect();
        let meant = |whose| -> Vec<SessionId> {
            let meant = effects::concerned(whose, self.ruling.phone, &of_account);
            meant.into_iter().map(|it| it.id).collect()
        };
        match effect {
            Effect::Report { whose, topic, report } => {
                for id in meant(*whose) {
                    if (tenant.is_news(id, *topic, self.at) || flawed!(tenant, TakesOldNewsOfANumber))
                        && let Some(session) = tenant.sessions.get_mut(&id)
                    {
                        session.take_over(report);
                    }
                }
            }
            Effect::Stop { whose, banned, code, until } => {
                for id in meant(*whose) {
                    if !tenant.is_news(id, Topic::Account, self.at)
                        && !flawed!(tenant, TakesOldNewsOfAnAccount)
                    {
                        continue;
                    }
                    stopped.push(id);
                    if let Some(session) = tenant.sessions.get_mut(&id).filter(|_| *banned) {
                        session.state = effects::after_ban(session.state).unwrap_or(session.state);
                    }
                    self.stop(
                        tenant,
                        BreakerScope::Session(id),
                        BreakerReason::Account,
                        (*code, *until),
                        merged,
                    );
                }
            }
            Effect::Resume { whose } => {
                for id in meant(*whose) {
                    if !tenant.is_news(id, Topic::Account, self.at) {
                        continue;
                    }
                    stopped.push(id);
                    if let Some(session) = tenant.sessions.get_mut(&id) {
                        session.state = effects::after_resume(session.state).unwrap_or(session.state);
                    }
                    let scope = BreakerScope::Session(id);
                    let is_account = |it: &Breaker| it.reason == BreakerReason::Account;
                    if tenant.breakers.get(&scope).is_some_and(is_account)
                        && let Some(known) = tenant.breakers.remove(&scope)
                        && judge::is_open(&known, self.now)
                    {
                        merged.entries.note(tenant.tenant.id, EventBody::SessionResumed { session: id });
                    }
                }
            }
            Effect::Template { template, news } => self.template(tenant, template, news, stopped, merged),
            Effect::Tell { name, detail, urgent } => {
                let (account, name, detail) = (self.ruling.account.clone(), name.clone(), detail.clone());
                let told = EventBody::AccountAlert { account, name, detail, urgent: *urgent };
                merged.entries.note(tenant.tenant.id, told);
            }
        }
    }

    fn template(
        &self,
        tenant: &mut TenantRow,
        template: &TemplateRef,
        news: &TemplateNews,
        stopped: &mut Vec<SessionId>,
        merged: &mut Merged,
    ) {
        let TemplateRef { id: _, name: Some(name), language: Some(language) } = template else { return };
        let key = TemplateKey {
            transport: self.transport.clone(),
            account: self.ruling.account.clone(),
            name: name.clone(),
            language: language.clone(),
        };
        let record = tenant.templates.entry(key.clone()).or_insert_with(|| TemplateRecord::new(key));
        let before = record.clone();
        let gate =
            effects::learn(record, news, flawed!(tenant, TakesTheLastNewsOfATemplate => self.now, self.at));
        if *record == before {
            return;
        }
        let TemplateNews { status, reason: _, quality, category, edited, gate: _ } = news;
        merged.entries.note(
            tenant.tenant.id,
            EventBody::TemplateChanged {
                account: self.ruling.account.clone(),
                name: name.clone(),
                language: language.clone(),
                status: status.clone(),
                quality: *quality,
                category: *category,
                edited: *edited,
            },
        );
        let meant = flawed!(tenant, StopsATemplateOnOneNumber => self.of_account.get(..1).unwrap_or_default(), self.of_account);
        for id in meant {
            let scope = BreakerScope::Template(*id, name.clone(), language.clone());
            match gate {
                Gate::Leave => continue,
                Gate::Stop { code, until } => {
                    self.stop(tenant, scope, BreakerReason::TemplatePaused, (code, until), merged);
                }
                Gate::Release => _ = tenant.breakers.remove(&scope),
            }
            stopped.push(*id);
        }
    }

    fn stop(
        &self,
        tenant: &mut TenantRow,
        scope: BreakerScope,
        reason: BreakerReason,
        (code, until): (i64, Option<DateTime<Utc>>),
        merged: &mut Merged,
    ) {
        if until.is_none_or(|until| until > self.now) {
            tenant.stop(Breaker { scope, reason, code, until, since: self.now }, self.now, merged);
        }
    }
}

impl TenantRow {
    /// Notes news on a topic; whether nothing later was heard on it.
    pub(in crate::memory) fn is_news(&mut self, session: SessionId, topic: Topic, at: DateTime<Utc>) -> bool {
        let known = self.news.entry((session, topic)).or_insert(at);
        let is_news = at >= *known;
        *known = at.max(*known);
        is_news
    }
}
