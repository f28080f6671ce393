//! What a provider decided about an account, carried out on its sessions.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use rusqlite::{OptionalExtension, params};
use wa_core::model::{
    Breaker, BreakerReason, BreakerScope, EventBody, InboundEvent, Session, TemplateKey, TemplateRecord,
    TemplateRef, TenantId, TransportName,
};
use wa_core::rules::effects::{self, Effect, Gate, TemplateNews, Topic};

use super::project::Projecting;
use crate::common::inbox::{Applied, Carrying, changed_event};
use crate::sqlite::codec::{json, to_json};
use crate::sqlite::error::Fallible;
use crate::sqlite::numbers::{breakers, is_news, of_account, put_session};

impl Projecting<'_> {
    pub(super) fn decision(
        &mut self,
        transport: &TransportName,
        event: &InboundEvent,
        received_at: DateTime<Utc>,
    ) -> Fallible<Applied> {
        let Some(ruling) = effects::ruling(event) else { return Ok(Applied::Unknown) };
        let mut by_tenant: BTreeMap<TenantId, Vec<Session>> = BTreeMap::new();
        for (tenant, session) in of_account(self.tx.conn, transport, &ruling.account)? {
            by_tenant.entry(tenant).or_default().push(session);
        }
        if by_tenant.is_empty() {
            return Ok(Applied::Foreign);
        }
        let at = ruling.at.min(received_at);
        let mut changed = Vec::new();
        for (tenant, sessions) in by_tenant {
            let before = sessions.clone();
            let touched = BTreeSet::new();
            let mut carrying = Carrying { tenant, transport, ruling: &ruling, at, sessions, touched };
            for effect in &ruling.effects {
                self.carry_out(&mut carrying, effect)?;
            }
            for (old, new) in before.into_iter().zip(carrying.sessions) {
                if new != old {
                    put_session(self.tx.conn, &new)?;
                    self.merger.changes.event(tenant, changed_event(&new));
                }
                if new != old || carrying.touched.contains(&new.id) {
                    changed.push(new);
                }
            }
        }
        Ok(Applied::Decided(changed))
    }

    fn carry_out(&mut self, carrying: &mut Carrying<'_>, effect: &Effect) -> Fallible<()> {
        let (tx, at, tenant) = (self.tx, carrying.at, carrying.tenant);
        match effect {
            Effect::Report { whose, topic, report } => {
                for place in carrying.meant(*whose) {
                    let Some(session) = carrying.sessions.get_mut(place) else { continue };
                    if is_news(tx.conn, session.id, *topic, at)? {
                        session.take_over(report);
                    }
                }
            }
            Effect::Stop { whose, banned, code, until } => {
                for place in carrying.meant(*whose) {
                    let Some(session) = carrying.sessions.get_mut(place) else { continue };
                    if !is_news(tx.conn, session.id, Topic::Account, at)? {
                        continue;
                    }
                    let id = session.id;
                    if *banned {
                        session.state = effects::after_ban(session.state).unwrap_or(session.state);
                    }
                    carrying.touched.insert(id);
                    self.stop(tenant, BreakerScope::Session(id), BreakerReason::Account, *code, *until)?;
                }
            }
            Effect::Resume { whose } => {
                for place in carrying.meant(*whose) {
                    let Some(session) = carrying.sessions.get_mut(place) else { continue };
                    if !is_news(tx.conn, session.id, Topic::Account, at)? {
                        continue;
                    }
                    let id = session.id;
                    session.state = effects::after_resume(session.state).unwrap_or(session.state);
                    carrying.touched.insert(id);
                    let scope = BreakerScope::Session(id);
                    let reason = Some(BreakerReason::Account);
                    breakers::close(tx, &mut self.merger.changes, tenant, &scope, reason)?;
                }
            }
            Effect::Template { template, news } => self.template(carrying, template, news)?,
            Effect::Tell { name, detail, urgent } => {
                let (account, name, detail) = (carrying.ruling.account.clone(), name.clone(), detail.clone());
                let told = EventBody::AccountAlert { account, name, detail, urgent: *urgent };
                self.merger.changes.event(tenant, told);
            }
        }
        Ok(())
    }

    fn template(
        &mut self,
        carrying: &mut Carrying<'_>,
        template: &TemplateRef,
        news: &TemplateNews,
    ) -> Fallible<()> {
        let TemplateRef { id: _, name: Some(name), language: Some(language) } = template else {
            return Ok(());
        };
        let key = TemplateKey {
            transport: carrying.transport.clone(),
            account: carrying.ruling.account.clone(),
            name: name.clone(),
            language: language.clone(),
        };
        let tenant = carrying.tenant;
        let known = self.template_record(tenant, &key)?;
        let is_new = known.is_none();
        let mut record = known.clone().unwrap_or_else(|| TemplateRecord::new(key));
        let gate = effects::learn(&mut record, news, carrying.at);
        if known.as_ref().is_some_and(|known| *known == record) {
            return Ok(());
        }
        self.put_template(tenant, &record)?;
        if is_new && record == TemplateRecord::new(record.key.clone()) {
            return Ok(());
        }
        let TemplateNews { status, reason: _, quality, category, edited, gate: _ } = news;
        self.merger.changes.event(
            tenant,
            EventBody::TemplateChanged {
                account: carrying.ruling.account.clone(),
                name: name.clone(),
                language: language.clone(),
                status: status.clone(),
                quality: *quality,
                category: *category,
                edited: *edited,
            },
        );
        let ids: Vec<_> = carrying.sessions.iter().map(|session| session.id).collect();
        for id in ids {
            let scope = BreakerScope::Template(id, name.clone(), language.clone());
            match gate {
                Gate::Leave => continue,
                Gate::Stop { code, until } => {
                    self.stop(tenant, scope, BreakerReason::TemplatePaused, code, until)?;
                }
                Gate::Release => breakers::close(self.tx, &mut self.merger.changes, tenant, &scope, None)?,
            }
            carrying.touched.insert(id);
        }
        Ok(())
    }

    fn stop(
        &mut self,
        tenant: TenantId,
        scope: BreakerScope,
        reason: BreakerReason,
        code: i64,
        until: Option<DateTime<Utc>>,
    ) -> Fallible<()> {
        let now = self.tx.now;
        if until.is_none_or(|until| until > now) {
            let breaker = Breaker { scope, reason, code, until, since: now };
            breakers::trip(self.tx, &mut self.merger.changes, tenant, breaker)?;
        }
        Ok(())
    }

    fn template_record(&self, tenant: TenantId, key: &TemplateKey) -> Fallible<Option<TemplateRecord>> {
        let TemplateKey { transport, account, name, language } = key;
        let found = self
            .tx
            .conn
            .prepare_cached(
                "SELECT record FROM template WHERE tenant = ?1 AND transport = ?2 AND account = ?3 \
                 AND name = ?4 AND language = ?5",
            )?
            .query_row(
                params![tenant.as_bytes(), transport.as_str(), account, name.as_str(), language.as_str()],
                |row| json(row, 0),
            )
            .optional()?;
        Ok(found)
    }

    fn put_template(&self, tenant: TenantId, record: &TemplateRecord) -> Fallible<()> {
        let TemplateKey { transport, account, name, language } = &record.key;
        self.tx
            .conn
            .prepare_cached(
                "INSERT OR REPLACE INTO template (tenant, transport, account, name, language, record) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![
                tenant.as_bytes(),
                transport.as_str(),
                account,
                name.as_str(),
                language.as_str(),
                to_json(record)?
            ])?;
        Ok(())
    }
}
