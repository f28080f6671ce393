//! The room of contacts, lists, imports and campaigns; the freezing of an audience is in `launch`.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::flaws::flawed;
use super::journal::Entries;
use super::state::{CampaignRow, ImportState, TenantRow};
use super::{MemoryStore, behind, id_taken, launch, page};
use crate::model::{
    Campaign, CampaignAction, CampaignId, CampaignName, CampaignState, Consent, ConsentSource, Contact,
    ContactId, ImportId, ImportLine, ImportProgress, ImportRow, LineOutcome, LineProblem, ListName, Money,
    NewCampaign, Recipient, SkipReason,
};
use crate::port::store::{
    ActOutcome, Advanced, Audience, CreateCampaign, ImportChunk, ImportStep, LaunchChunk, LaunchStep, Member,
    ReportedLine, StartImport, StoreError, SuppressedAddress, UpsertContact,
};
use crate::port::{AdminScope, Scope};
use crate::rules::campaign::{self, Move};
use crate::rules::consent::ConsentNews;

#[async_trait]
impl Audience for MemoryStore {
    async fn start_import(
        &self,
        scope: &Scope,
        start: &StartImport,
    ) -> Result<Option<ImportProgress>, StoreError> {
        self.write(|state, _| {
            let Some(tenant) = state.tenants.get_mut(&scope.tenant()) else { return Ok(None) };
            let mut imports = tenant.imports.values();
            if let Some(known) =
                imports.find(|it| it.list == start.list && it.progress.source == start.source)
            {
                return Ok(Some(known.progress.clone()));
            }
            if tenant.imports.contains_key(&start.id) {
                return Err(id_taken("import"));
            }
            tenant.lists.entry(start.list.clone()).or_default();
            let import = ImportState::new(start);
            let progress = import.progress.clone();
            tenant.imports.insert(start.id, import);
            Ok(Some(progress))
        })
    }

    async fn import(&self, scope: &Scope, chunk: &ImportChunk) -> Result<ImportStep, StoreError> {
        Ok(self.write(|state, now| {
            let mut entries = Entries::default();
            let Some(tenant) = state.tenants.get_mut(&scope.tenant()) else { return ImportStep::Missing };
            let step = take_in(tenant, chunk, now, &mut entries);
            state.enter(entries, now);
            step
        }))
    }

    async fn imports(&self, scope: &Scope, list: &ListName) -> Result<Vec<ImportProgress>, StoreError> {
        Ok(self.read(|state, _| {
            let imports = state.tenants.get(&scope.tenant()).map(|row| row.imports.values());
            let imports = imports.into_iter().flatten();
            let imports = imports.filter(|it| it.list == *list || flawed!(state, ListsTheImportsOfAllLists));
            imports.map(|import| import.progress.clone()).collect()
        }))
    }

    async fn import_report(
        &self,
        scope: &Scope,
        import: ImportId,
        after_line: u64,
        limit: u32,
    ) -> Result<Vec<ReportedLine>, StoreError> {
        Ok(self.read(|state, _| {
            let import = state.tenants.get(&scope.tenant()).and_then(|row| row.imports.get(&import));
            let lines = import.map(|import| import.report.range(behind(Some(after_line))));
            page(lines.into_iter().flatten().map(|(_, line)| line.clone()), limit)
        }))
    }

    async fn upsert_contact(
        &self,
        scope: &Scope,
        contact: &UpsertContact,
    ) -> Result<Option<Contact>, StoreError> {
        self.write(|state, now| {
            let Some(tenant) = state.tenants.get_mut(&scope.tenant()) else { return Ok(None) };
            let UpsertContact { id, recipient, attributes, list } = contact;
            if tenant.contacts.find(recipient).is_none() && tenant.contacts.get(*id).is_some() {
                return Err(id_taken("contact"));
            }
            let mut entries = Entries::default();
            let id = tenant.meet(*id, recipient, attributes, now, &mut entries);
            if let Some(list) = list {
                tenant.lists.entry(list.clone()).or_default().join(id);
            }
            let contact = tenant.contacts.get(id).cloned();
            state.enter(entries, now);
            Ok(contact)
        })
    }

    async fn contact(&self, scope: &Scope, id: ContactId) -> Result<Option<Contact>, StoreError> {
        Ok(self.read(|state, _| state.tenants.get(&scope.tenant())?.contacts.get(id).cloned()))
    }

    async fn find_contact(&self, scope: &Scope, who: &Recipient) -> Result<Option<Contact>, StoreError> {
        Ok(self.read(|state, _| {
            let contacts = &state.tenants.get(&scope.tenant())?.contacts;
            let found = contacts.get(contacts.find(who)?)?;
            flawed!(state, StopsAtAnUnknownPhone => {
                if who.phone().is_some_and(|phone| found.recipient.phone() != Some(phone)) {
                    return None;
                }
            });
            Some(found.clone())
        }))
    }

    async fn contacts(
        &self,
        scope: &Scope,
        list: Option<&ListName>,
        after: Option<ContactId>,
        limit: u32,
    ) -> Result<Vec<Contact>, StoreError> {
        Ok(self.read(|state, _| {
            let Some(tenant) = state.tenants.get(&scope.tenant()) else { return Vec::new() };
            let is_listed = |id| match list {
                Some(list) => tenant.lists.get(list).is_some_and(|it| it.numbers.contains_key(&id)),
                None => true,
            };
            let rows = tenant.contacts.after(after);
            flawed!(tenant, RepeatsAContact => {
                let again = after.and_then(|id| tenant.contacts.get(id)).into_iter().chain(rows);
                return page(again.filter(|contact| is_listed(contact.id)).cloned(), limit);
            });
            page(rows.filter(|contact| is_listed(contact.id)).cloned(), limit)
        }))
    }

    async fn members(
        &self,
        scope: &Scope,
        list: &ListName,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Member>, StoreError> {
        Ok(self.read(|state, _| {
            let Some(tenant) = state.tenants.get(&scope.tenant()) else { return Vec::new() };
            let numbers = tenant.lists.get(list).map(|list| list.members.range(behind(Some(after))));
            let member = |(number, id): (&u64, &ContactId)| {
                Some(Member { number: *number, contact: tenant.contacts.get(*id)?.clone() })
            };
            let members = numbers.into_iter().flatten().filter_map(member);
            flawed!(tenant, ListsMembersByTheirIds => {
                let mut all: Vec<_> = members.collect();
                all.sort_by_key(|it| it.contact.id);
                return page(all.into_iter(), limit);
            });
            page(members, limit)
        }))
    }

    async fn set_consent(
        &self,
        scope: &Scope,
        contact: ContactId,
        consent: Consent,
        source: ConsentSource,
    ) -> Result<Option<Contact>, StoreError> {
        Ok(self.write(|state, now| {
            let mut entries = Entries::default();
            let tenant = state.tenants.get_mut(&scope.tenant())?;
            let contact = tenant.contacts.resolve(contact);
            tenant.consents(contact, ConsentNews::Set(consent, now), source, now, &mut entries);
            let contact = tenant.contacts.get(contact).cloned();
            state.enter(entries, now);
            contact
        }))
    }

    async fn suppress(&self, scope: &Scope, who: &[Recipient]) -> Result<Option<u64>, StoreError> {
        Ok(self.write(|state, now| {
            let tenant = state.tenants.get_mut(&scope.tenant())?;
            let before = tenant.suppressed.len();
            for address in who.iter().flat_map(Recipient::addresses) {
                tenant.suppressed.entry(address).or_insert(now);
            }
            flawed!(tenant, CountsTheSuppressedAgain => { return u64::try_from(who.len()).ok(); });
            u64::try_from(tenant.suppressed.len() - before).ok()
        }))
    }

    async fn unsuppress(&self, scope: &Scope, who: &[Recipient]) -> Result<u64, StoreError> {
        Ok(self.write(|state, _| {
            let Some(tenant) = state.tenants.get_mut(&scope.tenant()) else { return 0 };
            let addresses = who.iter().flat_map(Recipient::addresses);
            flawed!(tenant, TakesOneAddressOff => {
                return u64::from(addresses.take(1).any(|it| tenant.suppressed.remove(&it).is_some()));
            });
            let taken_off = addresses.filter(|address| tenant.suppressed.remove(address).is_some()).count();
            u64::try_from(taken_off).unwrap_or(u64::MAX)
        }))
    }

    async fn suppressed(
        &self,
        scope: &Scope,
        after: Option<&Recipient>,
        limit: u32,
    ) -> Result<Vec<SuppressedAddress>, StoreError> {
        Ok(self.read(|state, _| {
            let after = after.and_then(|after| after.addresses().next());
            let keys = flawed!(state, RepeatsASuppressedAddress => super::from(after), behind(after));
            let rows = state.tenants.get(&scope.tenant()).map(|row| row.suppressed.range(keys));
            let entries = rows.into_iter().flatten().filter_map(|(address, at)| {
                Some(SuppressedAddress { address: Recipient::from_address(address).ok()?, at: *at })
            });
            page(entries, limit)
        }))
    }

    async fn create_campaign(&self, scope: &Scope, new: &NewCampaign) -> Result<CreateCampaign, StoreError> {
        self.write(|state, now| match state.tenants.get_mut(&scope.tenant()) {
            Some(tenant) => create_campaign(tenant, new, now),
            None => Ok(CreateCampaign::UnknownSession(new.sessions.first().copied())),
        })
    }

    async fn set_budget(
        &self,
        scope: &Scope,
        campaign: CampaignId,
        budget: Option<Money>,
    ) -> Result<Option<Campaign>, StoreError> {
        Ok(self.write(|state, _| {
            let row = state.tenants.get_mut(&scope.tenant())?.campaigns.get_mut(&campaign)?;
            row.campaign.budget = flawed!(state, ForgetsALoweredBudget => super::flaws::unlowered(row.campaign.budget, budget), budget);
            Some(Campaign { budget, ..row.campaign.clone() })
        }))
    }

    async fn launch(
        &self,
        scope: &Scope,
        campaign: CampaignId,
        chunk: &LaunchChunk,
    ) -> Result<LaunchStep, StoreError> {
        Ok(self.write(|state, now| {
            let mut entries = Entries::default();
            let Some(tenant) = state.tenants.get_mut(&scope.tenant()) else { return LaunchStep::Missing };
            let step = launch::launch(tenant, campaign, chunk, now, &mut entries);
            state.enter(entries, now);
            step
        }))
    }

    async fn act(
        &self,
        scope: &Scope,
        campaign: CampaignId,
        action: CampaignAction,
    ) -> Result<ActOutcome, StoreError> {
        Ok(self.write(|state, now| {
            let mut entries = Entries::default();
            let Some(tenant) = state.tenants.get_mut(&scope.tenant()) else { return ActOutcome::Missing };
            let Some(row) = tenant.campaigns.get_mut(&campaign) else { return ActOutcome::Missing };
            let moves = campaign::act(row.campaign.state, action, row.is_frozen, row.campaign.start_at, now);
            let outcome = match moves {
                Move::Stay => ActOutcome::Unchanged(row.campaign.clone()),
                Move::Illegal => {
                    let known = row.campaign.clone();
                    flawed!(state, MovesIllegally => { row.campaign.state = CampaignState::Paused; });
                    ActOutcome::Illegal(known)
                }
                Move::To(to) => {
                    row.campaign.state = to;
                    row.campaign.paused_for = None;
                    let moved = row.campaign.clone();
                    entries.moved(scope.tenant(), campaign, to);
                    if to == CampaignState::Cancelled {
                        cancel(tenant, campaign);
                    }
                    ActOutcome::Moved(moved)
                }
            };
            state.enter(entries, now);
            outcome
        }))
    }

    async fn campaign(&self, scope: &Scope, id: CampaignId) -> Result<Option<Campaign>, StoreError> {
        Ok(self.read(|state, _| {
            let row = state.tenants.get(&scope.tenant())?.campaigns.get(&id)?;
            Some(row.campaign.clone())
        }))
    }

    async fn campaign_named(
        &self,
        scope: &Scope,
        name: &CampaignName,
    ) -> Result<Option<Campaign>, StoreError> {
        Ok(self.read(|state, _| named(state.tenants.get(&scope.tenant())?, name).cloned()))
    }

    async fn campaigns(
        &self,
        scope: &Scope,
        after: Option<CampaignId>,
        limit: u32,
    ) -> Result<Vec<Campaign>, StoreError> {
        Ok(self.read(|state, _| {
            let keys = flawed!(state, RepeatsACampaign => super::from(after), behind(after));
            let rows = state.tenants.get(&scope.tenant()).map(|row| row.campaigns.range(keys));
            page(rows.into_iter().flatten().map(|(_, row)| row.campaign.clone()), limit)
        }))
    }

    async fn advance(&self, _: &AdminScope) -> Result<Advanced, StoreError> {
        Ok(self.write(|state, now| {
            let (mut advanced, mut entries) = (Advanced::default(), Entries::default());
            let held = &state.held;
            for (id, tenant) in state.tenants.iter_mut().filter(|(id, _)| !held.contains_key(id)) {
                advance(tenant, now, &mut advanced);
                let moved = advanced.moved.iter().filter(|(owner, _, _)| owner == id);
                moved.for_each(|(owner, campaign, to)| entries.moved(*owner, *campaign, *to));
            }
            state.enter(entries, now);
            advanced
        }))
    }
}

/// Creates a campaign as a draft, or finds it again.
pub(super) fn create_campaign(
    tenant: &mut TenantRow,
    new: &NewCampaign,
    now: DateTime<Utc>,
) -> Result<CreateCampaign, StoreError> {
    if let Some(known) = named(tenant, &new.name) {
        let (id, known) = (known.id, known.clone());
        if known.definition != new.definition() && !flawed!(tenant, TakesAnotherDefinition) {
            return Ok(CreateCampaign::Different(known));
        }
        let Some(row) = tenant.campaigns.get_mut(&id) else {
            return Ok(CreateCampaign::Known(known));
        };
        row.campaign.rate = flawed!(tenant, KeepsTheFirstRate => row.campaign.rate, new.rate);
        row.campaign.budget = new.budget;
        return Ok(CreateCampaign::Known(row.campaign.clone()));
    }
    let foreign = new.sessions.iter().find(|session| !tenant.sessions.contains_key(session));
    if (foreign.is_some() && !flawed!(tenant, TakesAForeignSession)) || new.sessions.is_empty() {
        return Ok(CreateCampaign::UnknownSession(foreign.copied()));
    }
    if tenant.campaigns.contains_key(&new.id) {
        return Err(id_taken("campaign"));
    }
    let row = CampaignRow::new(new, now);
    let campaign = row.campaign.clone();
    tenant.campaigns.insert(new.id, row);
    Ok(CreateCampaign::Created(campaign))
}

fn named<'a>(tenant: &'a TenantRow, name: &CampaignName) -> Option<&'a Campaign> {
    tenant.campaigns.values().map(|row| &row.campaign).find(|campaign| campaign.name == *name)
}

impl ImportState {
    fn new(start: &StartImport) -> Self {
        let StartImport { id, list, source } = start.clone();
        let progress =
            ImportProgress { id, source, records: 0, added: 0, duplicates: 0, invalid: 0, finished: false };
        Self { list, progress, phones: Default::default(), report: Default::default() }
    }
}

/// Takes one chunk of rows in.
fn take_in(
    tenant: &mut TenantRow,
    chunk: &ImportChunk,
    now: DateTime<Utc>,
    entries: &mut Entries,
) -> ImportStep {
    // The import is taken out while its tenant's contacts change, and put back at the end.
    let Some(mut import) = tenant.imports.remove(&chunk.import) else { return ImportStep::Missing };
    let is_next = chunk.from_record == import.progress.records && !import.progress.finished;
    let continues = is_next || flawed!(tenant, AppliesAChunkTwice);
    flawed!(tenant, ForgetsTheNumbersOfAChunk => { import.phones.clear(); });
    if continues {
        for row in &chunk.rows {
            take_row(tenant, &mut import, row, now, entries);
        }
        import.progress.finished = chunk.last;
    }
    let progress = import.progress.clone();
    tenant.imports.insert(chunk.import, import);
    if continues { ImportStep::Applied(progress) } else { ImportStep::Elsewhere(progress) }
}

fn take_row(
    tenant: &mut TenantRow,
    import: &mut ImportState,
    row: &ImportRow,
    now: DateTime<Utc>,
    entries: &mut Entries,
) {
    let progress = &mut import.progress;
    progress.records += 1;
    let mut report = |outcome, problem: Option<LineProblem>| {
        import.report.insert(row.line, ReportedLine { line: row.line, outcome, problem });
    };
    let line = match &row.content {
        Ok(line) => line,
        Err(problem) => {
            progress.invalid += 1;
            return report(LineOutcome::Invalid, Some(problem.clone()));
        }
    };
    let ImportLine { contact, phone, attributes, opted_out } = line;
    let who = Recipient::from(*phone);
    let contact = if import.phones.insert(*phone) {
        progress.added += 1;
        let contact = tenant.contacts.upsert(*contact, &who, attributes, now);
        tenant.lists.entry(import.list.clone()).or_default().join(contact);
        Some(contact)
    } else {
        progress.duplicates += 1;
        if !flawed!(tenant, ReportsNoDuplicate) {
            report(LineOutcome::Duplicate, None);
        }
        tenant.contacts.find(&who).filter(|_| !flawed!(tenant, IgnoresADuplicatesOptOut))
    };
    flawed!(tenant, LiftsAnOptOut => {
        if let Some(contact) = contact.filter(|_| !*opted_out) {
            tenant.consents(contact, ConsentNews::Set(Consent::Allowed, now), ConsentSource::Import, now, entries);
        }
    });
    if let Some(contact) = contact.filter(|_| *opted_out) {
        tenant.consents(contact, ConsentNews::Stop(now), ConsentSource::Import, now, entries);
    }
}

/// Closes whatever of a campaign waits.
fn cancel(tenant: &mut TenantRow, campaign: CampaignId) {
    let ids = tenant.campaigns.get(&campaign).map(CampaignRow::messages).unwrap_or_default();
    for id in ids {
        if tenant.queued(id).is_some() && !flawed!(tenant, CancelsNoRetry => tenant.is_held_back(id), false) {
            tenant.close(id, SkipReason::Cancelled);
        }
    }
    let row = tenant.campaigns.get_mut(&campaign);
    for feed in row.into_iter().flat_map(|row| row.feeds.values_mut()) {
        feed.next_id = feed.ids.last().copied();
    }
}

/// Moves one tenant's campaigns at most one step each.
fn advance(tenant: &mut TenantRow, now: DateTime<Utc>, advanced: &mut Advanced) {
    let ids: Vec<_> = tenant.campaigns.keys().copied().collect();
    for id in ids {
        let Some(row) = tenant.campaigns.get(&id) else { continue };
        let counts = tenant.counts(row);
        let Campaign { state, start_at, .. } = row.campaign;
        let open =
            counts.pending + counts.attempting + flawed!(tenant, ForgetsResends => 0, counts.resending);
        let seen_at = flawed!(tenant, StartsACampaignLate => now - chrono::TimeDelta::microseconds(1), now);
        let to = campaign::advance(state, start_at, open, seen_at);
        let Some(row) = tenant.campaigns.get_mut(&id) else { continue };
        if let Some(to) = to {
            row.campaign.state = to;
            let is_noted = to == CampaignState::Completed && !flawed!(tenant, CompletesWithoutATime);
            row.campaign.completed_at = is_noted.then_some(now);
            advanced.moved.push((tenant.tenant.id, id, to));
        }
        if row.campaign.state == CampaignState::Scheduled {
            advanced.next_at = advanced.next_at.into_iter().chain(start_at).min();
        }
    }
}
