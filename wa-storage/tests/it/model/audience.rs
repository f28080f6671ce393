//! The calls of a script on contacts and campaigns.

use chrono::TimeDelta;
use wa_core::model::{
    CampaignAction, CampaignContent, CampaignId, Consent, ConsentSource, ContactAttributes, ContactId,
    Content, Fingerprint, ImportId, ImportLine, ImportRow, Lane, LineProblem, NewCampaign,
};
use wa_core::port::store::{
    ActOutcome, CreateCampaign, ImportChunk, ImportStep, LaunchChunk, LaunchStep, StartImport, UpsertContact,
};

use super::script::{Script, Step};
use super::stores::every;
use crate::world::admin;

impl Script {
    fn attributes(&self) -> ContactAttributes {
        let mut attributes = ContactAttributes::new();
        if self.percent(85) {
            attributes.insert("name".to_owned(), format!("Person {}", self.roll(3)));
        }
        if self.percent(20) {
            attributes.insert("city".to_owned(), "Bonn".to_owned());
        }
        if self.percent(20) {
            let zone = if self.percent(80) { "Asia/Tokyo" } else { "nowhere" };
            attributes.insert("time_zone".to_owned(), zone.to_owned());
        }
        attributes
    }

    pub(super) async fn upsert_contact(&mut self) -> Step {
        let scope = self.scope();
        let contact = UpsertContact {
            id: ContactId::from_uuid(self.uuid()),
            recipient: self.recipient(),
            attributes: self.attributes(),
            list: self.percent(80).then(|| self.list()),
        };
        let made = every!(self.stores, s => s.audience().upsert_contact(&scope, &contact));
        if let Ok(Some(made)) = &made {
            self.contacts.push((scope.tenant(), made.id));
        }
        self.tell("upsert_contact", made.as_ref().is_ok_and(|it| it.is_some()), (scope, made));
        Ok(())
    }

    pub(super) async fn create_campaign(&mut self) -> Step {
        let owners: Vec<_> = self.sessions.iter().map(|(id, known)| (*id, known.tenant)).collect();
        let (session, tenant) = self.session();
        let scope = self.scope_of(tenant);
        let mut sessions = vec![session];
        let others = owners.iter().filter(|(id, owner)| *id != session && *owner == tenant);
        sessions.extend(others.map(|(id, _)| *id).take(usize::from(self.percent(50))));
        let text = if self.percent(60) { "{{name}}" } else { "now" };
        let new = NewCampaign {
            id: CampaignId::from_uuid(self.uuid()),
            name: format!("campaign {}", self.roll(40)).parse().expect("a name"),
            content: CampaignContent::new(self.content(text)),
            fallback: self.fallback().map(Content::Template).map(CampaignContent::new),
            list: self.list(),
            sessions,
            lane: if self.percent(80) { Lane::Bulk } else { Lane::Transactional },
            valid_until: self.percent(10).then(|| self.now() + TimeDelta::seconds(20)),
            start_at: self.percent(15).then(|| self.now() + TimeDelta::seconds(3)),
            rate: self.percent(20).then_some(5),
            budget: self.budget(15),
            in_doubt: self.doubt_policy(),
        };
        let made = every!(self.stores, s => s.audience().create_campaign(&scope, &new));
        if let Ok(CreateCampaign::Created(campaign)) = &made {
            self.campaigns.push((scope.tenant(), campaign.id));
        }
        let good = matches!(made, Ok(CreateCampaign::Created(_) | CreateCampaign::Known(_)));
        self.tell("create_campaign", good, (scope, made));
        Ok(())
    }

    pub(super) async fn launch(&mut self) -> Step {
        // Mostly one that is not launched yet.
        let mut open = Vec::new();
        for (tenant, id) in self.campaigns.clone() {
            let scope = wa_core::testing::scope::tenant(tenant);
            let found = every!(self.stores, s => s.audience().campaign(&scope, id)).ok().flatten();
            use wa_core::model::CampaignState::{Draft, Launching};
            open.extend(found.filter(|it| matches!(it.state, Draft | Launching)).map(|it| (tenant, it.id)));
        }
        if open.is_empty() && self.percent(70) {
            self.create_campaign().await?;
            open.extend(self.campaigns.last());
        }
        let (tenant, id) =
            self.pick(&open).copied().filter(|_| self.percent(90)).unwrap_or_else(|| self.campaign());
        let scope = self.scope_of(tenant);
        let seed = [u8::try_from(self.roll(3)).expect("small"); 16];
        let chunk = LaunchChunk { size: u32::try_from(1 + self.roll(9)).expect("few"), seed };
        let step = every!(self.stores, s => s.audience().launch(&scope, id, &chunk));
        let good = matches!(step, Ok(LaunchStep::Frozen { .. } | LaunchStep::Done(_)));
        self.tell("launch", good, (id, chunk, step));
        Ok(())
    }

    async fn import(&mut self) -> Step {
        let known = self.pick_late(&self.imports).copied();
        let Some((tenant, import, records)) = known else { return Ok(()) };
        let scope = self.scope_of(tenant);
        let from = if self.percent(90) { records } else { self.roll(4) };
        let mut rows = Vec::new();
        for n in 0..self.roll(5) {
            let bad = LineProblem { column: None, message: "no phone".to_owned() };
            let line = ImportLine {
                contact: ContactId::from_uuid(self.uuid()),
                phone: self.phone(),
                attributes: self.attributes(),
                opted_out: self.percent(15),
            };
            let content = if self.percent(10) { Err(bad) } else { Ok(line) };
            rows.push(ImportRow { line: from + n + 2, content });
        }
        let chunk = ImportChunk { import, from_record: from, rows, last: self.percent(10) };
        let step = every!(self.stores, s => s.audience().import(&scope, &chunk));
        if let Ok(ImportStep::Applied(progress)) = &step
            && let Some(known) = self.imports.iter_mut().find(|it| (it.0, it.1) == (tenant, import))
        {
            known.2 = progress.records;
        }
        self.tell("import", matches!(step, Ok(ImportStep::Applied(_))), (chunk, step));
        Ok(())
    }

    pub(super) async fn audience(&mut self) -> Step {
        match self.roll(36) {
            0 | 1 => {
                let (scope, list) = (self.scope(), self.list());
                let source = Fingerprint::of(&self.roll(6).to_be_bytes());
                let start = StartImport { id: ImportId::from_uuid(self.uuid()), list, source };
                let begun = every!(self.stores, s => s.audience().start_import(&scope, &start));
                if let Ok(Some(progress)) = &begun
                    && !self.imports.iter().any(|it| (it.0, it.1) == (scope.tenant(), progress.id))
                {
                    self.imports.push((scope.tenant(), progress.id, 0));
                }
                self.tell("start_import", begun.as_ref().is_ok_and(|it| it.is_some()), begun);
            }
            2..=5 => self.import().await?,
            6 => {
                let Some((tenant, ..)) = self.pick(&self.imports).copied() else { return Ok(()) };
                let scope = self.scope_of(tenant);
                // Mostly a list that has some.
                let mut list = self.list();
                for _ in 0..2 {
                    let found = every!(self.stores, s => s.audience().imports(&scope, &list));
                    if found.is_ok_and(|it| it.is_empty()) {
                        list = self.list();
                    }
                }
                let all = every!(self.stores, s => s.audience().imports(&scope, &list));
                self.tell("imports", all.as_ref().is_ok_and(|it| !it.is_empty()), all);
            }
            7 => {
                let Some((tenant, import, _)) = self.pick(&self.imports).copied() else { return Ok(()) };
                let (scope, after, limit) = (self.scope_of(tenant), self.roll(2), self.limit());
                let page = every!(self.stores, s => s.audience().import_report(&scope, import, after, limit));
                self.tell("import_report", page.is_ok(), import);
            }
            8..=10 => self.upsert_contact().await?,
            11 => {
                let (tenant, id) = self.contact();
                let scope = self.scope_of(tenant);
                let found = every!(self.stores, s => s.audience().contact(&scope, id));
                self.tell("contact", found.is_ok_and(|it| it.is_some()), id);
            }
            12 => {
                // Mostly one that is there.
                let (tenant, id) = self.contact();
                let (of, scope) = (wa_core::testing::scope::tenant(tenant), self.scope_of(tenant));
                let known = every!(self.stores, s => s.audience().contact(&of, id)).ok().flatten();
                let known = known.filter(|_| self.percent(60)).map(|it| it.recipient);
                let who = known.unwrap_or_else(|| self.recipient());
                let found = every!(self.stores, s => s.audience().find_contact(&scope, &who));
                self.tell("find_contact", found.is_ok_and(|it| it.is_some()), who);
            }
            13 => {
                let (tenant, id) = self.contact();
                let (scope, after, limit) =
                    (self.scope_of(tenant), self.percent(30).then_some(id), self.limit());
                let mut list = self.percent(60).then(|| self.list());
                let mine = every!(self.stores, s => s.audience().contacts(&scope, list.as_ref(), None, 1));
                if mine.is_ok_and(|it| it.is_empty()) && list.is_some() {
                    list = Some(self.list());
                }
                let page =
                    every!(self.stores, s => s.audience().contacts(&scope, list.as_ref(), after, limit));
                self.tell("contacts", page.is_ok_and(|it| !it.is_empty()), &list);
                if let Some(list) = &list {
                    let number = if self.percent(50) { 0 } else { self.roll(4) };
                    let page = every!(self.stores, s => s.audience().members(&scope, list, number, limit));
                    self.tell("members", page.is_ok_and(|it| !it.is_empty()), number);
                }
            }
            14..=16 => {
                let (tenant, id) = self.contact();
                let scope = self.scope_of(tenant);
                let consent = [
                    Consent::OptedIn,
                    Consent::Allowed,
                    Consent::NoMarketing,
                    Consent::OptedOut,
                    Consent::Blocked,
                ];
                let consent = *self.pick(&consent).expect("five");
                let set = every!(self.stores, s => s.audience().set_consent(&scope, id, consent, ConsentSource::Caller));
                self.tell("set_consent", set.is_ok_and(|it| it.is_some()), (id, consent));
            }
            17..=19 => self.create_campaign().await?,
            20..=23 => self.launch().await?,
            24..=26 => {
                let (tenant, id) = self.campaign();
                let scope = self.scope_of(tenant);
                let action = match self.roll(12) {
                    0 => CampaignAction::Cancel,
                    1..=4 => CampaignAction::Pause,
                    _ => CampaignAction::Resume,
                };
                let acted = every!(self.stores, s => s.audience().act(&scope, id, action));
                let good = matches!(acted, Ok(ActOutcome::Moved(_) | ActOutcome::Unchanged(_)));
                self.tell("act", good, (id, action, acted));
            }
            27 => {
                let (tenant, id) = self.campaign();
                let scope = self.scope_of(tenant);
                let found = every!(self.stores, s => s.audience().campaign(&scope, id));
                self.tell("campaign", found.is_ok_and(|it| it.is_some()), id);
            }
            32 | 33 => {
                let who = [self.recipient(), self.recipient()];
                let scope = self.scope();
                let new = every!(self.stores, s => s.audience().suppress(&scope, &who));
                self.tell("suppress", new.as_ref().is_ok_and(|it| it.is_some()), (who, new));
            }
            34 => {
                let scope = self.scope();
                let listed = every!(self.stores, s => s.audience().suppressed(&scope, None, 100));
                let mut who: Vec<_> = listed.into_iter().flatten().map(|it| it.address).collect();
                if who.is_empty() && self.percent(80) {
                    who.push(self.recipient());
                    every!(self.stores, s => s.audience().suppress(&scope, &who)).ok();
                }
                who.push(self.recipient());
                let gone = every!(self.stores, s => s.audience().unsuppress(&scope, &who));
                self.tell("unsuppress", gone.as_ref().is_ok_and(|it| *it > 0), (who, gone));
            }
            35 => {
                let (scope, limit) = (self.scope(), self.limit());
                let after = self.percent(40).then(|| self.phone().into());
                let page = every!(self.stores, s => s.audience().suppressed(&scope, after.as_ref(), limit));
                self.tell("suppressed", page.is_ok(), (after, page));
            }
            28 => {
                let (tenant, id) = self.campaign();
                let of = wa_core::testing::scope::tenant(tenant);
                let known = every!(self.stores, s => s.audience().campaign(&of, id)).ok().flatten();
                let fallback = || "nobody's".parse().expect("a name");
                let (scope, name) = (self.scope_of(tenant), known.map_or_else(fallback, |it| it.name));
                let found = every!(self.stores, s => s.audience().campaign_named(&scope, &name));
                self.tell("campaign_named", found.is_ok_and(|it| it.is_some()), name);
            }
            29 => {
                let (tenant, id) = self.campaign();
                let (scope, after, limit) =
                    (self.scope_of(tenant), self.percent(30).then_some(id), self.limit());
                let page = every!(self.stores, s => s.audience().campaigns(&scope, after, limit));
                self.tell("campaigns", page.is_ok_and(|it| !it.is_empty()), after);
            }
            _ => {
                let advanced = every!(self.stores, s => s.audience().advance(&admin()));
                self.tell("advance", advanced.is_ok(), advanced);
            }
        }
        Ok(())
    }
}
