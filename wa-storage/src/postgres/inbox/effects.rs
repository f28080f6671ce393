//! What a provider decided about an account, carried out on its sessions.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;
use wa_core::model::{
    Breaker, BreakerReason, BreakerScope, EventBody, InboundEvent, Session, TemplateKey, TemplateRecord,
    TemplateRef, TenantId, TransportName,
};
use wa_core::rules::effects::{self, Effect, Gate, TemplateNews, Topic};

use super::project::Projecting;
use crate::common::inbox::{Applied, Carrying, changed_event};
use crate::postgres::codec::{json, text, to_json, ts};
use crate::postgres::error::Fallible;
use crate::postgres::numbers::{breakers, is_news, of_account, put_session};
use crate::postgres::tx::Tx;

impl Projecting<'_> {
    pub(super) async fn decision(
        &mut self,
        tx: &mut Tx,
        transport: &TransportName,
        event: &InboundEvent,
        received_at: DateTime<Utc>,
    ) -> Fallible<Applied> {
        let Some(ruling) = effects::ruling(event) else { return Ok(Applied::Unknown) };
        let mut by_tenant: BTreeMap<TenantId, Vec<Session>> = BTreeMap::new();
        for (tenant, session) in of_account(tx.conn(), transport, &text(&ruling.account)).await? {
            // Whoever joined the account just now comes after this.
            if self.held.has(tenant) {
                by_tenant.entry(tenant).or_default().push(session);
            }
        }
        if by_tenant.is_empty() {
            return Ok(Applied::Foreign);
        }
        let at = ts(ruling.at.min(received_at));
        let mut changed = Vec::new();
        for (tenant, sessions) in by_tenant {
            let before = sessions.clone();
            let touched = BTreeSet::new();
            let mut carrying = Carrying { tenant, transport, ruling: &ruling, at, sessions, touched };
            for effect in &ruling.effects {
                self.carry_out(tx, &mut carrying, effect).await?;
            }
            for (old, new) in before.into_iter().zip(carrying.sessions) {
                if new != old {
                    put_session(tx.conn(), &new).await?;
                    self.merger.changes.event(tenant, changed_event(&new));
                }
                if new != old || carrying.touched.contains(&new.id) {
                    changed.push(new);
                }
            }
        }
        Ok(Applied::Decided(changed))
    }

    async fn carry_out(&mut self, tx: &mut Tx, carrying: &mut Carrying<'_>, effect: &Effect) -> Fallible<()> {
        let (at, tenant) = (carrying.at, carrying.tenant);
        match effect {
            Effect::Report { whose, topic, report } => {
                for place in carrying.meant(*whose) {
                    let Some(session) = carrying.sessions.get_mut(place) else { continue };
                    if is_news(tx.conn(), session.id, *topic, at).await? {
                        session.take_over(report);
                    }
                }
            }
            Effect::Stop { whose, banned, code, until } => {
                for place in carrying.meant(*whose) {
                    let Some(session) = carrying.sessions.get_mut(place) else { continue };
                    if !is_news(tx.conn(), session.id, Topic::Account, at).await? {
                        continue;
                    }
                    let id = session.id;
                    if *banned {
                        session.state = effects::after_ban(session.state).unwrap_or(session.state);
                    }
                    carrying.touched.insert(id);
                    let scope = BreakerScope::Session(id);
                    self.stop(tx, tenant, scope, BreakerReason::Account, *code, *until).await?;
                }
            }
            Effect::Resume { whose } => {
                for place in carrying.meant(*whose) {
                    let Some(session) = carrying.sessions.get_mut(place) else { continue };
                    if !is_news(tx.conn(), session.id, Topic::Account, at).await? {
                        continue;
                    }
                    let id = session.id;
                    session.state = effects::after_resume(session.state).unwrap_or(session.state);
                    carrying.touched.insert(id);
                    let scope = BreakerScope::Session(id);
                    let reason = Some(BreakerReason::Account);
                    breakers::close(tx, &mut self.merger.changes, tenant, &scope, reason).await?;
                }
            }
            Effect::Template { template, news } => self.template(tx, carrying, template, news).await?,
            Effect::Tell { name, detail, urgent } => {
                let (account, name, detail) = (carrying.ruling.account.clone(), name.clone(), detail.clone());
                let told = EventBody::AccountAlert { account, name, detail, urgent: *urgent };
                self.merger.changes.event(tenant, told);
            }
        }
        Ok(())
    }

    async fn template(
        &mut self,
        tx: &mut Tx,
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
        let known = template_record(tx.conn(), tenant, &key).await?;
        let is_new = known.is_none();
        let mut record = known.clone().unwrap_or_else(|| TemplateRecord::new(key));
        let gate = effects::learn(&mut record, news, carrying.at);
        if known.as_ref().is_some_and(|known| *known == record) {
            return Ok(());
        }
        put_template(tx.conn(), tenant, &record).await?;
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
                    self.stop(tx, tenant, scope, BreakerReason::TemplatePaused, code, until).await?;
                }
                Gate::Release => {
                    breakers::close(tx, &mut self.merger.changes, tenant, &scope, None).await?;
                }
            }
            carrying.touched.insert(id);
        }
        Ok(())
    }

    async fn stop(
        &mut self,
        tx: &mut Tx,
        tenant: TenantId,
        scope: BreakerScope,
        reason: BreakerReason,
        code: i64,
        until: Option<DateTime<Utc>>,
    ) -> Fallible<()> {
        let now = tx.now;
        if until.is_none_or(|until| until > now) {
            let breaker = Breaker { scope, reason, code, until, since: now };
            breakers::trip(tx, &mut self.merger.changes, tenant, breaker).await?;
        }
        Ok(())
    }
}

async fn template_record(
    conn: &mut PgConnection,
    tenant: TenantId,
    key: &TemplateKey,
) -> Fallible<Option<TemplateRecord>> {
    let TemplateKey { transport, account, name, language } = key;
    let found = sqlx::query(
        "SELECT record FROM template WHERE tenant = $1 AND transport = $2 AND account = $3 \
         AND name = $4 AND language = $5",
    )
    .bind(tenant.as_uuid())
    .bind(transport.as_str())
    .bind(text(account))
    .bind(name.as_str())
    .bind(language.as_str())
    .try_map(|row: PgRow| json(&row, 0))
    .fetch_optional(conn)
    .await?;
    Ok(found)
}

async fn put_template(conn: &mut PgConnection, tenant: TenantId, record: &TemplateRecord) -> Fallible<()> {
    let TemplateKey { transport, account, name, language } = &record.key;
    sqlx::query(
        "INSERT INTO template (tenant, transport, account, name, language, record) \
         VALUES ($1, $2, $3, $4, $5, $6) \
         ON CONFLICT (tenant, transport, account, name, language) DO UPDATE SET record = excluded.record",
    )
    .bind(tenant.as_uuid())
    .bind(transport.as_str())
    .bind(text(account))
    .bind(name.as_str())
    .bind(language.as_str())
    .bind(to_json(record)?)
    .execute(conn)
    .await?;
    Ok(())
}
