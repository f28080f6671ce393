//! Tenants that leave one store and come to another.

use std::time::Duration;

use async_trait::async_trait;

use super::lived::{GRACE, answers, begin_one, lived};
use super::{due_schedules, schedule, step, stored, unreconciled};
use crate::model::{
    CampaignAction, CampaignState, HoldReason, InDoubtPolicy, IncarnationId, MessageState, NewSession,
    ReconcileCause, SessionId, StreamPosition, TenantId, TenantSettings, Tier,
};
use crate::port::Scope;
use crate::port::store::{
    ArchiveHead, DueSchedules, HeldTenant, ImportTenant, ImportTenantStep, Record, RecordKind, RecordSink,
    Recover, RunSchedule, StoreError, StoreErrorKind,
};
use crate::rules::tier::SLOT;
use crate::testing::Collected;
use crate::testing::store::world::{World, Worlds, found, must, rejected, value};

const HOUR: u64 = 3_600;

async fn export(w: &World, scope: &Scope) -> Collected {
    let mut all = Collected::default();
    assert!(must(w.archive().export(scope, &mut all).await), "the tenant is there");
    all
}

async fn import(w: &World, chunk: &ImportTenant) -> ImportTenantStep {
    must(w.archive().import_tenant(&w.admin(), chunk).await)
}

/// Imports an export in chunks of a size.
async fn import_all(w: &World, export: &Collected, size: usize) {
    let chunks = export.chunks(size);
    let (last, others) = chunks.split_last().expect("a tenant is a record at least");
    for chunk in others {
        let taken = chunk.from_record + u64::try_from(chunk.records.len()).expect("few");
        assert_eq!(import(w, chunk).await, ImportTenantStep::Taken(taken));
    }
    let ImportTenantStep::Imported(tenant) = import(w, last).await else { panic!("the last chunk ends it") };
    let head = export.head.as_ref().expect("an export has a head");
    assert_eq!((tenant.id, &tenant.name), (head.tenant, &head.name));
}

async fn release(w: &World, scope: &Scope) -> bool {
    must(w.archive().release_tenant(&w.admin(), scope.tenant()).await)
}

async fn held(w: &World) -> Vec<HeldTenant> {
    must(w.archive().held_tenants(&w.admin(), None, 100).await)
}

/// The first line in which two texts differ.
#[track_caller]
fn same(what: &str, left: &str, right: &str) {
    let differ = left.lines().zip(right.lines()).enumerate().find(|(_, (left, right))| left != right);
    if let Some((line, (left_line, right_line))) = differ {
        let around =
            |text: &str| text.lines().skip(line.saturating_sub(12)).take(16).collect::<Vec<_>>().join("\n");
        panic!("{what}: line {line}\n{left_line}\n{right_line}\n--\n{}\n--\n{}", around(left), around(right));
    }
    assert_eq!(left.lines().count(), right.lines().count(), "{what}");
}

#[track_caller]
fn same_records(left: &Collected, right: &Collected) {
    same("the records", &left.lines().join("\n"), &right.lines().join("\n"));
    assert_eq!(left.records, right.records);
}

pub(in crate::testing::store) async fn export_gives_records_in_order(w: World) {
    let (scope, _, _) = lived(&w, "one").await;
    let all = export(&w, &scope).await;
    let head = all.head.as_ref().expect("a head");
    assert_eq!((head.tenant, head.name.as_str(), head.taken_at), (scope.tenant(), "one", w.now()));
    let places: Vec<_> = all.records.iter().map(Record::place).collect();
    assert!(places.is_sorted_by(|left, right| left < right), "each once, in order");
    let mut kinds: Vec<_> = all.records.iter().map(Record::kind).collect();
    kinds.dedup();
    let expected: Vec<_> =
        RecordKind::ALL.into_iter().filter(|kind| *kind != RecordKind::EntryPoint).collect();
    assert_eq!(
        kinds.iter().copied().filter(|kind| *kind != RecordKind::EntryPoint).collect::<Vec<_>>(),
        expected
    );
    let many = w.tenant("many").await;
    w.list(&many, 1_200).await;
    let all = export(&w, &many).await;
    assert!(all.pages.iter().all(|page| (1..=1_000).contains(page)), "{:?}", all.pages);
    let members = all.records.iter().filter(|it| it.kind() == RecordKind::Member).count();
    assert_eq!(members, 1_200);
    let mut before = None;
    for record in &all.records {
        assert!(before < Some(record.place()));
        before = Some(record.place());
    }
}

/// Writes while it takes.
struct Busy<'a> {
    w: &'a World,
    scope: Scope,
    session: SessionId,
    taken: Collected,
}

#[async_trait]
impl RecordSink for Busy<'_> {
    async fn head(&mut self, head: &ArchiveHead) -> Result<(), StoreError> {
        self.w.single(&self.scope, self.session).await;
        self.taken.head(head).await
    }

    async fn take(&mut self, records: Vec<Record>) -> Result<(), StoreError> {
        self.w.single(&self.scope, self.session).await;
        self.w.contact(&self.scope).await;
        self.taken.take(records).await
    }
}

pub(in crate::testing::store) async fn export_is_of_one_instant(w: World) {
    let scope = w.tenant("one").await;
    let session = w.session(&scope).await;
    w.list(&scope, 1_500).await;
    for _ in 0..3 {
        w.single(&scope, session.id).await;
    }
    let before = export(&w, &scope).await;
    let mut busy = Busy { w: &w, scope, session: session.id, taken: Collected::default() };
    assert!(must(w.archive().export(&scope, &mut busy).await));
    assert!(busy.taken.pages.len() > 1, "several pages");
    same_records(&before, &busy.taken);
    assert!(export(&w, &scope).await.records.len() > before.records.len(), "it was written meanwhile");
}

pub(in crate::testing::store) async fn export_holds_nothing_of_others(w: World) {
    let (scope, _, _) = lived(&w, "one").await;
    let alone = export(&w, &scope).await;
    let (other, session, own) = lived(&w, "two").await;
    same_records(&alone, &export(&w, &scope).await);
    let begun = begin_one(&w, &session, &own, w.single(&other, session.id).await).await;
    w.settle(begun, rejected(crate::model::RejectClass::Account, 131_031)).await;
    same_records(&alone, &export(&w, &scope).await);
    let theirs = export(&w, &other).await.lines().join("\n");
    let with_ids = [RecordKind::Session, RecordKind::Contact, RecordKind::Campaign, RecordKind::Message];
    for (record, line) in alone.records.iter().zip(alone.lines()) {
        assert!(!with_ids.contains(&record.kind()) || !theirs.contains(&line), "{line}");
    }
}

pub(in crate::testing::store) async fn export_holds_no_secret(w: World) {
    let own = must(w.directory().identity(&w.admin(), &w.identity(0xab)).await);
    let (scope, _, _) = lived(&w, "one").await;
    let all = export(&w, &scope).await;
    assert_eq!(all.head.as_ref().and_then(|head| head.incarnation), Some(own.incarnation));
    let text = all.lines().join("\n");
    // The key as hexadecimal digits, as numbers and as Base64.
    for secret in ["abababababababab", "171,171,171,171", "q6urq6urq6ur"] {
        assert!(!text.contains(secret), "{secret} is in the export");
    }
}

pub(in crate::testing::store) async fn export_of_nobody_gives_nothing(w: World) {
    lived(&w, "one").await;
    let mut all = Collected::default();
    assert!(!must(w.archive().export(&w.nobody(), &mut all).await));
    assert_eq!(all, Collected::default());
}

pub(in crate::testing::store) async fn import_brings_everything_back(Worlds { from, mut to }: Worlds) {
    let (scope, _, _) = lived(&from, "one").await;
    let all = export(&from, &scope).await;
    import_all(&to, &all, 7).await;
    to.reopen().await;
    let again = export(&to, &scope).await;
    same_records(&all, &again);
}

pub(in crate::testing::store) async fn import_derives_what_follows(Worlds { from, to }: Worlds) {
    let (scope, _, _) = lived(&from, "one").await;
    import_all(&to, &export(&from, &scope).await, 50).await;
    same("answers", &answers(&from, &scope).await, &answers(&to, &scope).await);
    assert_eq!(must(to.archive().examine(&to.admin(), 100).await), []);
    must(to.audience().advance(&to.admin()).await);
    same("answers once folded", &answers(&from, &scope).await, &answers(&to, &scope).await);
    // What changes later counts as if nothing had happened.
    for w in [&from, &to] {
        let update = crate::model::StatusUpdate::new(
            value(&first_number(w, &scope).await),
            "sent",
            crate::model::Fact::Read,
            w.now(),
        );
        w.hear(vec![crate::port::store::ProjectedEvent::Status { attempt: None, batch: None, update }]).await;
    }
    same("answers to later news", &answers(&from, &scope).await, &answers(&to, &scope).await);
}

async fn first_number(w: &World, scope: &Scope) -> String {
    let sessions = must(w.numbers().sessions(scope, None, 10).await);
    sessions.first().expect("a session").number.as_str().to_owned()
}

async fn is_listed(w: &World, scope: &Scope) -> bool {
    let tenants = must(w.directory().tenants(&w.admin(), None, 100).await);
    tenants.iter().any(|tenant| tenant.id == scope.tenant())
}

pub(in crate::testing::store) async fn import_is_hidden_until_it_is_finished(
    Worlds { from, mut to }: Worlds,
) {
    let (scope, session, _) = lived(&from, "one").await;
    let chunks = export(&from, &scope).await.chunks(20);
    let (last, others) = chunks.split_last().expect("several chunks");
    for chunk in others {
        import(&to, chunk).await;
    }
    to.reopen().await;
    assert!(!is_listed(&to, &scope).await);
    assert_eq!(must(to.directory().tenant(&scope).await), None);
    assert_eq!(to.own().await.sessions().count(), 0, "nobody owns its sessions");
    let routes = to.numbers().route(&to.admin(), &session.transport, &session.number).await;
    assert_eq!(must(routes), [], "no webhook finds them");
    assert_eq!(must(to.archive().unreconciled(&to.admin(), None, 100).await), []);
    assert_eq!(due_schedules(&to).await, DueSchedules::default());
    assert_eq!(must(to.audience().advance(&to.admin()).await).moved, []);
    assert_eq!(must(to.archive().examine(&to.admin(), 100).await), []);
    assert_eq!(held(&to).await, []);
    assert!(!must(to.archive().export(&scope, &mut Collected::default()).await));
    let other = to.directory().ensure_tenant(&to.admin(), &value("other"), scope.tenant()).await;
    assert_eq!(
        other.map_err(|error| error.kind()),
        Err(StoreErrorKind::Broken),
        "its rows would be another's"
    );
    // Nor does what stops everybody else.
    let fresh = to.mint(IncarnationId::mint);
    must(to.archive().suspend(&to.admin(), fresh, ReconcileCause::Restored).await);
    assert!(must(to.archive().lift(&to.admin()).await));
    let told = must(to.journal().read(&to.admin(), StreamPosition(0), 100).await);
    assert!(told.iter().all(|entry| entry.tenant != scope.tenant()), "{told:?}");
    import(&to, last).await;
    assert!(is_listed(&to, &scope).await);
    assert_eq!(to.own().await.sessions().count(), 2);
}

pub(in crate::testing::store) async fn import_goes_on_where_it_stopped(Worlds { from, mut to }: Worlds) {
    let (scope, _, _) = lived(&from, "one").await;
    let all = export(&from, &scope).await;
    let chunks = all.chunks(9);
    for (place, chunk) in chunks.iter().enumerate() {
        if let Some(early) = chunks.get(place + 1) {
            let here = ImportTenantStep::Elsewhere { records: chunk.from_record, mark: chunk.before };
            // Before the first chunk nothing is known that it could be compared with.
            if place > 0 {
                assert_eq!(import(&to, early).await, here, "it comes too early");
            }
        }
        import(&to, chunk).await;
        if !chunk.last {
            let taken = chunk.from_record + u64::try_from(chunk.records.len()).expect("few");
            let there = ImportTenantStep::Elsewhere { records: taken, mark: chunk.after };
            assert_eq!(import(&to, chunk).await, there, "it was taken");
        }
        if place % 7 == 0 {
            to.reopen().await;
        }
    }
    same_records(&all, &export(&to, &scope).await);
}

pub(in crate::testing::store) async fn import_of_another_file_is_elsewhere(Worlds { from, to }: Worlds) {
    let scope = from.tenant("one").await;
    from.list(&scope, 5).await;
    let early = export(&from, &scope).await;
    from.list(&scope, 5).await;
    from.pass(1);
    let late = export(&from, &scope).await;
    let (of_early, of_late) = (early.chunks(3), late.chunks(3));
    import(&to, of_early.first().expect("a chunk")).await;
    let told = import(&to, of_late.get(1).expect("a second chunk")).await;
    assert!(matches!(told, ImportTenantStep::Elsewhere { records: 3, .. }), "{told:?}");
    let told = import(&to, of_late.first().expect("a chunk")).await;
    assert!(matches!(told, ImportTenantStep::Elsewhere { records: 3, .. }), "of another instant: {told:?}");
    for chunk in of_early.iter().skip(1) {
        import(&to, chunk).await;
    }
    same_records(&early, &export(&to, &scope).await);
}

pub(in crate::testing::store) async fn import_refuses_what_is_taken(Worlds { from, to }: Worlds) {
    let scope = from.tenant("one").await;
    from.session(&scope).await;
    let all = export(&from, &scope).await;
    let chunk = all.chunks(100).into_iter().next().expect("a chunk");
    assert_eq!(import(&from, &chunk).await, ImportTenantStep::IdTaken);
    to.tenant("one").await;
    assert_eq!(import(&to, &chunk).await, ImportTenantStep::NameTaken);
    let named = |name: &str| ImportTenant {
        head: ArchiveHead { name: value(name), ..chunk.head.clone() },
        last: false,
        ..chunk.clone()
    };
    assert_eq!(import(&to, &named("two")).await, ImportTenantStep::Taken(2));
    let other = ImportTenant {
        head: ArchiveHead { tenant: to.mint(TenantId::mint), ..named("two").head },
        ..named("two")
    };
    assert_eq!(import(&to, &other).await, ImportTenantStep::NameTaken, "by one on its way");
    // Taken meanwhile.
    to.tenant("two").await;
    let end = ImportTenant { from_record: 2, before: chunk.after, records: Vec::new(), ..chunk.clone() };
    let end = ImportTenant { head: named("two").head, last: true, ..end };
    assert_eq!(import(&to, &end).await, ImportTenantStep::NameTaken);
}

pub(in crate::testing::store) async fn import_refuses_what_is_missing(Worlds { from, to }: Worlds) {
    let (scope, _, _) = lived(&from, "one").await;
    let all = export(&from, &scope).await;
    let cases = [
        (RecordKind::Prices, RecordKind::Message),
        (RecordKind::Session, RecordKind::Campaign),
        (RecordKind::Contact, RecordKind::Member),
        (RecordKind::List, RecordKind::Member),
        (RecordKind::Import, RecordKind::ImportLine),
        (RecordKind::Campaign, RecordKind::Run),
        (RecordKind::Schedule, RecordKind::Run),
    ];
    for (gone, first) in cases {
        let mut cut = all.clone();
        cut.records.retain(|it| it.kind() != gone);
        let place = cut.records.iter().position(|it| it.names().iter().any(|named| named.kind() == gone));
        let place = place.expect("something names it");
        assert!(cut.records.get(place).is_some_and(|it| it.kind() <= first), "{gone:?}");
        let chunks = cut.chunks(place.max(1));
        let mut told = import(&to, chunks.first().expect("a chunk")).await;
        if place > 0 {
            assert!(matches!(told, ImportTenantStep::Taken(_)), "{gone:?}: {told:?}");
            told = import(&to, chunks.get(1).expect("a second chunk")).await;
        }
        let record = u64::try_from(place).expect("few");
        assert_eq!(told, ImportTenantStep::Missing { record, what: gone });
        let known = must(to.archive().unfinished_imports(&to.admin()).await);
        assert_eq!(known.iter().map(|it| it.records).collect::<Vec<_>>(), [record], "nothing changed");
        assert!(must(to.archive().discard_import(&to.admin(), scope.tenant()).await));
    }
}

pub(in crate::testing::store) async fn an_imported_tenant_is_held(Worlds { from, mut to }: Worlds) {
    let (scope, session, _) = lived(&from, "one").await;
    import_all(&to, &export(&from, &scope).await, 100).await;
    let since = to.now();
    to.reopen().await;
    let own = to.own().await;
    assert!(own.epoch(session.id).is_some(), "its sessions can be owned");
    to.single(&scope, session.id).await;
    to.pass(48 * HOUR);
    for held_session in [session.id] {
        let begun = to.begin_due(&own, held_session).await;
        assert_eq!(begun.attempts, [], "{begun:?}");
        assert!(begun.stopped.iter().all(|it| it.why == HoldReason::NeedsReconcile), "{begun:?}");
    }
    assert_eq!(due_schedules(&to).await, DueSchedules::default());
    for schedule in must(to.schedules().all_schedules(&scope, None, 10).await) {
        assert_eq!(step(&to, &scope, schedule.id).await, RunSchedule::Waits(schedule.state));
    }
    assert_eq!(must(to.audience().advance(&to.admin()).await).moved, [], "nothing starts or completes");
    let tenant = found(to.directory().tenant(&scope).await);
    assert_eq!(held(&to).await, [HeldTenant { tenant, since }]);
    // Another tenant is not.
    let other = to.tenant("another").await;
    let (another, own) = (to.session(&other).await, to.own().await);
    to.begun(&other, another.id, &own).await;
}

pub(in crate::testing::store) async fn an_imported_open_attempt_comes_into_doubt(
    Worlds { from, to }: Worlds,
) {
    let (scope, session, own) = from.one().await;
    let open = from.begun(&scope, session.id, &own).await;
    import_all(&to, &export(&from, &scope).await, 100).await;
    assert_eq!(to.state(&scope, open.key.message).await, MessageState::Attempting);
    to.pass(120);
    let own = to.own().await;
    assert_eq!(must(to.outbox().sweep(&own, GRACE).await).in_doubt, [open.key]);
    assert_eq!(to.state(&scope, open.key.message).await, MessageState::InDoubt);
    // Nobody here knows what followed it there, so no policy sends it again.
    let in_doubt = InDoubtPolicy::ResendAfter { after: Duration::from_secs(60) };
    to.put_settings(&scope, &TenantSettings { in_doubt, ..TenantSettings::default() }).await;
    assert!(must(to.archive().release_tenant(&to.admin(), scope.tenant()).await));
    to.pass(3_600);
    let recovered = must(to.outbox().recover(&own, &Recover { grace: GRACE, limit: 10 }).await);
    assert!(recovered.resent.is_empty() && recovered.next_at.is_some(), "{recovered:?}");
    // A status may still settle it.
    let update = to.status(&session, "of another store", crate::model::Fact::Delivered);
    to.hear(vec![crate::port::store::ProjectedEvent::Status {
        attempt: Some(open.key),
        batch: None,
        update,
    }])
    .await;
    assert_eq!(to.state(&scope, open.key.message).await, MessageState::Delivered);
}

pub(in crate::testing::store) async fn an_imported_tenant_takes_its_slots(Worlds { from, to }: Worlds) {
    let shared = |w: &World| NewSession { portfolio: "shared".to_owned(), ..w.new_session() };
    let moves = from.tenant("moves").await;
    let session = from.session_of(&moves, &shared(&from), Tier::Limited(3)).await;
    let own = from.own().await;
    for _ in 0..2 {
        from.begun(&moves, session.id, &own).await;
    }
    let stays = to.tenant("stays").await;
    to.session(&stays).await;
    let session = to.session_of(&stays, &shared(&to), Tier::Limited(3)).await;
    import_all(&to, &export(&from, &moves).await, 100).await;
    let own = to.own().await;
    for _ in 0..2 {
        to.single(&stays, session.id).await;
    }
    assert_eq!(to.begin_due(&own, session.id).await.attempts.len(), 1, "two of three slots are taken");
    // They last as long as if they had begun here.
    to.pass(SLOT.num_seconds().unsigned_abs() - 1);
    assert!(to.begin_due(&own, session.id).await.attempts.is_empty());
    to.pass(1);
    assert_eq!(to.begin_due(&own, session.id).await.attempts.len(), 1);
    assert_eq!(must(to.archive().examine(&to.admin(), 100).await), []);
}

pub(in crate::testing::store) async fn unfinished_imports_are_listed(Worlds { from, mut to }: Worlds) {
    let mut expected = Vec::new();
    let mut ends = Vec::new();
    for name in ["one", "two"] {
        from.pass(1);
        let scope = from.tenant(name).await;
        from.list(&scope, 3).await;
        let chunks = export(&from, &scope).await.chunks(2);
        import(&to, chunks.first().expect("a chunk")).await;
        expected.push((scope.tenant(), name.to_owned(), 2));
        ends.extend(chunks.into_iter().skip(1));
    }
    expected.sort();
    to.reopen().await;
    let unfinished = must(to.archive().unfinished_imports(&to.admin()).await);
    let told: Vec<_> =
        unfinished.into_iter().map(|it| (it.tenant, it.name.as_str().to_owned(), it.records)).collect();
    assert_eq!(told, expected);
    for chunk in &ends {
        import(&to, chunk).await;
    }
    assert_eq!(must(to.archive().unfinished_imports(&to.admin()).await), []);
    assert_eq!(held(&to).await.len(), 2);
}

pub(in crate::testing::store) async fn a_discarded_import_leaves_nothing(Worlds { from, mut to }: Worlds) {
    let (scope, session, _) = lived(&from, "one").await;
    let all = export(&from, &scope).await;
    let chunks = all.chunks(10);
    let (_, others) = chunks.split_last().expect("several chunks");
    for chunk in others {
        import(&to, chunk).await;
    }
    assert!(must(to.archive().discard_import(&to.admin(), scope.tenant()).await));
    assert!(!must(to.archive().discard_import(&to.admin(), scope.tenant()).await));
    to.reopen().await;
    assert_eq!(must(to.archive().unfinished_imports(&to.admin()).await), []);
    assert_eq!(must(to.archive().examine(&to.admin(), 100).await), []);
    import_all(&to, &all, 30).await;
    same_records(&all, &export(&to, &scope).await);
    same("answers", &answers(&from, &scope).await, &answers(&to, &scope).await);
    let routes = to.numbers().route(&to.admin(), &session.transport, &session.number).await;
    assert_eq!(must(routes).len(), 1);
    assert!(!must(to.archive().discard_import(&to.admin(), scope.tenant()).await), "it is finished");
}

pub(in crate::testing::store) async fn held_tenants_are_paged_by_id(Worlds { from, to }: Worlds) {
    let mut expected = Vec::new();
    for name in ["one", "two", "three"] {
        from.pass(1);
        let scope = from.tenant(name).await;
        import_all(&to, &export(&from, &scope).await, 100).await;
        expected.push(scope.tenant());
    }
    expected.sort_unstable();
    to.tenant("free").await;
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = must(to.archive().held_tenants(&to.admin(), after, 2).await);
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { break };
        after = Some(last.tenant.id);
        paged.extend(page.iter().map(|it| it.tenant.id));
    }
    assert_eq!(paged, expected);
}

pub(in crate::testing::store) async fn release_lets_singles_go(Worlds { from, mut to }: Worlds) {
    let (scope, session, _) = from.one().await;
    let running = from.campaign(&scope, session.id, 2).await;
    let paused = from.campaign(&scope, session.id, 2).await;
    from.act(&scope, paused.id, CampaignAction::Pause).await;
    let single = from.single(&scope, session.id).await;
    import_all(&to, &export(&from, &scope).await, 100).await;
    assert!(!release(&to, &to.nobody()).await, "there is no such tenant");
    assert!(release(&to, &scope).await);
    assert!(!release(&to, &scope).await, "once is enough");
    to.reopen().await;
    assert_eq!(held(&to).await, []);
    assert_eq!(unreconciled(&to).await, [(scope.tenant(), running.id)]);
    let campaign = stored(&to, &scope, running.id).await;
    assert_eq!(
        (campaign.state, campaign.paused_for),
        (CampaignState::NeedsReconcile, Some(HoldReason::NeedsReconcile))
    );
    assert_eq!(stored(&to, &scope, paused.id).await.state, CampaignState::Paused);
    let own = to.own().await;
    let begun = to.begin_due(&own, session.id).await.attempts;
    assert_eq!(begun.iter().map(|it| it.key.message).collect::<Vec<_>>(), [single]);
    to.act(&scope, running.id, CampaignAction::Resume).await;
    assert_eq!(to.begin_due(&own, session.id).await.attempts.len(), 2);
}

pub(in crate::testing::store) async fn release_makes_up_for_no_slot(Worlds { from, to }: Worlds) {
    let (scope, session, _) = from.one().await;
    let scheduled = schedule(&from, &scope, session.id).await;
    let first = found(from.schedules().schedule(&scope, scheduled).await).next_at.expect("it is active");
    import_all(&to, &export(&from, &scope).await, 100).await;
    to.pass(30 * HOUR);
    assert!(release(&to, &scope).await);
    let next = first + chrono::TimeDelta::days(2);
    let known = found(to.schedules().schedule(&scope, scheduled).await);
    assert_eq!((known.next_at, known.runs), (Some(next), 0), "two slots have come meanwhile");
    assert_eq!(due_schedules(&to).await, DueSchedules { next_at: Some(next), ..DueSchedules::default() });
    to.pass(24 * HOUR);
    assert!(matches!(step(&to, &scope, scheduled).await, RunSchedule::Ran(_)));
}
