//! The calls of a script on tenants that leave as records, and come back under other ids.

use uuid::Uuid;
use wa_core::model::{AttemptKey, ImportId, TenantId};
use wa_core::port::store::{ArchivedImportPhone, ImportTenant, ImportTenantStep, Record, StoreErrorKind};
use wa_core::testing::{Collected, scope};

use super::Mismatch;
use super::script::{Known, Script, Step, TENANTS};
use super::stores::{STORES, differ, every};
use crate::world::{admin, phone};

/// The most tenants that come in one script.
const MOST: usize = 3;

/// A tenant on its way in.
pub(super) struct Arrival {
    pub(super) tenant: TenantId,
    chunks: Vec<ImportTenant>,
    /// How many chunks were taken.
    taken: usize,
}

/// An id as another store would have made it, in the same place among the others.
fn elsewhere(id: Uuid, number: u8) -> Uuid {
    let mut bytes = id.into_bytes();
    // Behind the instant, and above what a script counts up.
    bytes[10] = number;
    Uuid::from_bytes(bytes)
}

impl Script {
    /// What every store gives of a tenant: the same records in the same order.
    async fn export(&self, tenant: TenantId) -> Result<Result<Option<Collected>, StoreErrorKind>, Mismatch> {
        let (of, mut sinks) = (scope::tenant(tenant), [(); STORES].map(|()| Collected::default()));
        let mut empty = sinks.iter_mut();
        let given = every!(self.stores, s => s.archive().export(&of, empty.next().expect("one each")));
        let [right, others @ ..] = sinks;
        for (other, name) in others.iter().zip(["sqlite", "postgres"]) {
            if (&right.head, &right.records) != (&other.head, &other.records) {
                let text = |all: &Collected| format!("{:#?}\n{}", all.head, all.lines().join("\n"));
                return Err(differ("an export", &text(&right), name, &text(other)));
            }
        }
        Ok(given.map(|given| given.then_some(right)))
    }

    pub(super) async fn compare_arrivals(&self) -> Step {
        every!(self.stores, s => s.archive().unfinished_imports(&admin())).expect("imports");
        every!(self.stores, s => s.archive().held_tenants(&admin(), None, 100)).expect("a page");
        Ok(())
    }

    pub(super) async fn compare_export(&self, tenant: TenantId) -> Step {
        let all = self.export(tenant).await?.expect("an export");
        assert!(all.is_some(), "the tenant is there");
        Ok(())
    }

    pub(super) async fn export_one(&mut self) -> Step {
        let tenant = self.tenant();
        let all = self.export(tenant).await?;
        let records = all.map(|all| all.map_or(0, |all| all.records.len()));
        self.tell("export", records.is_ok_and(|records| records > 0), (tenant, records));
        Ok(())
    }

    /// A tenant as another store would give it, if there is room for one more.
    ///
    /// What an installation knows a tenant's things by has other ids there: its sessions, its batches, and the
    /// names that its messages were given by the provider.
    async fn come(&mut self) -> Step {
        let place = self.moved.len();
        if self.arrival.is_some() || place == MOST {
            return Ok(());
        }
        let all = self.tenants();
        let source = *self.pick(&all).expect("some");
        let Ok(Some(mut all)) = self.export(source).await? else { return Ok(()) };
        let number = u8::try_from(place + 1).expect("few");
        let sessions = self.sessions.iter().filter(|(_, known)| known.tenant == source);
        let batches = self.batches.iter().map(|(id, _)| id.as_uuid());
        let ids: Vec<_> = sessions.map(|(id, _)| id.as_uuid()).chain(batches).collect();
        for record in &mut all.records {
            let mut text = serde_json::to_string(record).expect("a record has a JSON form");
            for id in &ids {
                text = text.replace(&id.to_string(), &elsewhere(*id, number).to_string());
            }
            text = text.replace("wamid.", &format!("moved.{number}.wamid."));
            *record = serde_json::from_str(&text).expect("a record");
        }
        let tenant = Self::tenant_at(TENANTS + 1 + u64::from(number));
        let head = all.head.as_mut().expect("a head");
        head.tenant = tenant;
        head.name = format!("moved {number}").parse().expect("a name");
        let size = 1 + all.records.len() / (2 + self.index(3));
        self.arrival = Some(Arrival { tenant, chunks: all.chunks(size), taken: 0 });
        Ok(())
    }

    /// Takes the next chunks of a tenant in, mostly all.
    pub(super) async fn import_some(&mut self, on: u64) -> Step {
        self.come().await?;
        while let Some(Arrival { chunks, taken, .. }) = &self.arrival {
            let mut chunk = chunks[*taken].clone();
            let is_first = *taken == 0;
            let there = every!(self.stores, s => s.directory().tenants(&admin(), None, 100)).expect("a page");
            let there = self.pick(&there).expect("a tenant");
            match self.roll(16) {
                // One that was taken or comes too early, of another export, or with what is taken.
                0 => chunk = self.pick(chunks).expect("some").clone(),
                1 if !is_first => chunk.before = chunk.after,
                2 if !is_first => chunk.head.taken_at = self.now() + chrono::TimeDelta::seconds(1),
                3 => chunk.head.tenant = there.id,
                4 => chunk.head.name = there.name.clone(),
                5 => {
                    let unknown = ImportId::from_uuid(Uuid::from_u128(7));
                    let stray = ArchivedImportPhone { import: unknown, phone: phone(1) };
                    chunk.records.push(Record::ImportPhone(stray));
                }
                _ => {}
            }
            let step = every!(self.stores, s => s.archive().import_tenant(&admin(), &chunk));
            match (&step, &mut self.arrival) {
                (Ok(ImportTenantStep::Taken(_)), Some(arrival)) => arrival.taken += 1,
                (Ok(ImportTenantStep::Imported(_)), arrival) => {
                    let arrival = arrival.take().expect("it was on its way");
                    self.learn(&arrival);
                }
                _ => {}
            }
            let good = matches!(step, Ok(ImportTenantStep::Taken(_) | ImportTenantStep::Imported(_)));
            let range = (chunk.head.tenant, chunk.from_record, chunk.records.len());
            self.tell("import_tenant", good, (range, step));
            if !self.percent(on) {
                break;
            }
        }
        Ok(())
    }

    /// Notes what came with a tenant.
    fn learn(&mut self, arrival: &Arrival) {
        let tenant = arrival.tenant;
        self.moved.push(tenant);
        self.held.push(tenant);
        for record in arrival.chunks.iter().flat_map(|chunk| &chunk.records) {
            match record {
                Record::Session(it) => {
                    let number = it.number.as_str().parse().expect("a script's number");
                    let known = Known { tenant, transport: it.transport.clone(), number };
                    self.sessions.insert(it.id, known);
                }
                Record::Contact(it) => self.contacts.push((tenant, it.id)),
                Record::Import(it) => self.imports.push((tenant, it.id, it.records)),
                Record::Campaign(it) => self.campaigns.push((tenant, it.id)),
                Record::Schedule(it) => self.schedules.push((tenant, it.id)),
                Record::Message(it) => {
                    self.messages.push((tenant, it.id));
                    let attempt = |n| AttemptKey { tenant, message: it.id, n };
                    self.attempts.extend(it.attempts.iter().map(|one| (attempt(one.n), one.session)));
                }
                _ => {}
            }
        }
    }

    /// Begins to take a tenant in, mostly.
    async fn arrive(&mut self) -> Step {
        for _ in 0..2 {
            if self.arrival.as_ref().is_none_or(|it| it.taken == 0) && self.percent(90) {
                self.import_some(0).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn unfinished_imports(&mut self) -> Step {
        self.arrive().await?;
        if self.arrival.is_none() && self.percent(50) {
            return Ok(());
        }
        let found = every!(self.stores, s => s.archive().unfinished_imports(&admin()));
        self.tell("unfinished_imports", found.as_ref().is_ok_and(|it| !it.is_empty()), found);
        Ok(())
    }

    pub(super) async fn discard_import(&mut self) -> Step {
        self.arrive().await?;
        if self.arrival.is_none() && self.percent(50) {
            return Ok(());
        }
        let coming = self.arrival.as_ref().map(|it| it.tenant).filter(|_| self.percent(90));
        let tenant = coming.unwrap_or_else(|| self.tenant());
        let gone = every!(self.stores, s => s.archive().discard_import(&admin(), tenant));
        if coming.is_some() {
            self.arrival = None;
        }
        self.tell("discard_import", gone.is_ok_and(|it| it), tenant);
        Ok(())
    }

    pub(super) async fn held_tenants(&mut self) -> Step {
        if self.held.is_empty() && self.percent(80) {
            self.import_some(100).await?;
        }
        if self.held.is_empty() && self.percent(50) {
            return Ok(());
        }
        let (after, limit) = (self.percent(20).then(|| self.tenant()), self.limit());
        let page = every!(self.stores, s => s.archive().held_tenants(&admin(), after, limit));
        self.tell("held_tenants", page.as_ref().is_ok_and(|it| !it.is_empty()), (after, page));
        Ok(())
    }

    pub(super) async fn release_tenant(&mut self) -> Step {
        let held = self.pick(&self.held).copied().filter(|_| self.percent(90));
        let tenant = held.unwrap_or_else(|| self.tenant());
        let released = every!(self.stores, s => s.archive().release_tenant(&admin(), tenant));
        self.held.retain(|it| *it != tenant);
        self.tell("release_tenant", released.is_ok_and(|it| it), tenant);
        self.unreconciled().await?;
        self.resume().await
    }
}
