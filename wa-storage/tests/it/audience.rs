//! Imports and launches on this store.

use wa_core::model::{
    CampaignState, Consent, ContactAttributes, ContactId, Fingerprint, ImportId, ImportLine, ImportRow,
    LineOutcome, LineProblem, ListName,
};
use wa_core::port::store::{
    CreateCampaign, ImportChunk, ImportStep, LaunchChunk, LaunchStep, StartImport, Store, UpsertContact,
};

use crate::world::{World, admin, phone};

fn line(world: &World, line: u64, to: u64, opted_out: bool) -> ImportRow {
    let content = ImportLine {
        contact: ContactId::from_uuid(world.uuid()),
        phone: phone(to),
        attributes: ContactAttributes::from([("name".to_owned(), format!("Line {line}"))]),
        opted_out,
    };
    ImportRow { line, content: Ok(content) }
}

fn invalid(line: u64) -> ImportRow {
    let problem =
        LineProblem { column: Some("phone".to_owned()), message: "this is not a phone number".to_owned() };
    ImportRow { line, content: Err(problem) }
}

async fn start(world: &World, source: &str) -> ImportId {
    let start = StartImport {
        id: ImportId::from_uuid(world.uuid()),
        list: "people".parse().expect("a list name"),
        source: Fingerprint::of(source.as_bytes()),
    };
    let progress = world.store.audience().start_import(&world.scope(), &start).await.expect("an answer");
    progress.expect("the tenant").id
}

#[tokio::test]
async fn an_import_goes_on_after_a_reopen_and_finds_duplicates_across_chunks() {
    let mut world = World::new().await;
    let import = start(&world, "file").await;
    let chunk = |from_record, rows, last| ImportChunk { import, from_record, rows, last };
    let first = chunk(0, vec![line(&world, 2, 1, false), invalid(3), line(&world, 4, 1, false)], false);
    let audience = world.store.audience();
    let step = audience.import(&world.scope(), &first).await.expect("an answer");
    assert!(matches!(step, ImportStep::Applied(progress) if progress.records == 3));
    let step = audience.import(&world.scope(), &first).await.expect("an answer");
    assert!(matches!(step, ImportStep::Elsewhere(progress) if progress.records == 3), "applied once");
    world.reopen();
    assert_eq!(start(&world, "file").await, import);
    let second = chunk(3, vec![line(&world, 5, 1, true), line(&world, 6, 2, true)], true);
    let audience = world.store.audience();
    let step = audience.import(&world.scope(), &second).await.expect("an answer");
    let ImportStep::Applied(progress) = step else { panic!("{step:?}") };
    assert_eq!((progress.added, progress.duplicates, progress.invalid, progress.finished), (2, 2, 1, true));
    let report = audience.import_report(&world.scope(), import, 0, 10).await.expect("a page");
    let outcomes: Vec<_> = report.iter().map(|it| (it.line, it.outcome)).collect();
    use LineOutcome::{Duplicate, Invalid};
    assert_eq!(outcomes, [(3, Invalid), (4, Duplicate), (5, Duplicate)]);
    assert!(report[0].problem.as_ref().is_some_and(|problem| problem.message.contains("not a phone")));
    let list: ListName = "people".parse().expect("a list name");
    let people = audience.contacts(&world.scope(), Some(&list), None, 10).await.expect("a page");
    assert!(people.iter().all(|contact| contact.consent == Consent::OptedOut), "also from a duplicate row");
    assert_eq!(people[0].attributes["name"], "Line 2", "a duplicate changes nothing else");
    // The same phone from another file is added, not a duplicate, and lifts no opt-out.
    let other = start(&world, "another file").await;
    let chunk =
        ImportChunk { import: other, from_record: 0, rows: vec![line(&world, 2, 1, false)], last: true };
    let step = audience.import(&world.scope(), &chunk).await.expect("an answer");
    assert!(matches!(step, ImportStep::Applied(progress) if progress.added == 1));
    let people = audience.contacts(&world.scope(), Some(&list), None, 10).await.expect("a page");
    assert_eq!((people.len(), people[0].consent), (2, Consent::OptedOut));
}

#[tokio::test]
async fn a_launch_takes_those_on_the_list_at_its_first_chunk_spread_evenly() {
    let mut world = World::new().await;
    let sessions =
        [world.add_session("1").await.id, world.add_session("2").await.id, world.add_session("3").await.id];
    world.contacts("people", 8).await;
    let campaign = world.draft("news", "people", &sessions).await;
    let chunk = LaunchChunk { size: 3, seed: [1; 16] };
    let step = world.store.audience().launch(&world.scope(), campaign.id, &chunk).await.expect("an answer");
    assert_eq!(step, LaunchStep::Frozen { audience: 3 });
    world.contacts("people", 12).await;
    world.reopen();
    let done = world.launch(campaign.id, 3).await;
    assert_eq!(done.state, CampaignState::Running);
    assert_eq!(world.counts(campaign.id).await.audience, 8, "the later four get nothing");
    let mut of = [0; 3];
    let page =
        world.store.reports().recipients(&world.scope(), campaign.id, None, 100).await.expect("a page");
    for view in &page {
        of[sessions.iter().position(|id| *id == view.session).expect("one of the three")] += 1;
    }
    assert_eq!(of, [3, 3, 2]);
    assert!(page.is_sorted_by_key(|view| view.id));
    let again = world.store.audience().launch(&world.scope(), campaign.id, &chunk).await.expect("an answer");
    assert!(matches!(again, LaunchStep::NotLaunchable(_)));
}

#[tokio::test]
async fn a_member_without_a_value_is_skipped_and_values_are_frozen() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    world.contacts("people", 3).await;
    let set = async |n: u64, name: &str| {
        let contact = UpsertContact {
            id: ContactId::from_uuid(world.uuid()),
            recipient: phone(n).into(),
            attributes: ContactAttributes::from([("name".to_owned(), name.to_owned())]),
            list: None,
        };
        world.store.audience().upsert_contact(&world.scope(), &contact).await.expect("an answer");
    };
    set(1, "  ").await;
    let campaign = world.draft("news", "people", &[session.id]).await;
    world.launch(campaign.id, 2).await;
    set(2, "Changed").await;
    let counts = world.counts(campaign.id).await;
    assert_eq!((counts.skipped, counts.pending, counts.reasons["skipped:missing_parameter"]), (1, 2, 1));
    let due = world.due(&worker, session.id, 10).await;
    let bodies: Vec<_> = due.iter().map(|message| message.body.clone()).collect();
    use wa_core::port::store::DueBody::Values;
    assert_eq!(bodies, [Values(vec!["Person 0".to_owned()]), Values(vec!["Person 2".to_owned()])]);
    assert_eq!(world.begin_due(&worker, session.id, 10).await.attempts.len(), 2);
    assert_eq!(world.counts(campaign.id).await.pending, 0);
}

#[tokio::test]
async fn a_campaign_found_again_takes_the_latest_rate_and_no_other_definition() {
    let world = World::new().await;
    let session = world.add_session("1").await.id;
    let mut new = world.definition("news", "people", &[session]);
    let audience = world.store.audience();
    let created = audience.create_campaign(&world.scope(), &new).await.expect("an answer");
    let CreateCampaign::Created(created) = created else { panic!("{created:?}") };
    new.id = wa_core::model::CampaignId::from_uuid(world.uuid());
    new.rate = Some(5);
    let known = audience.create_campaign(&world.scope(), &new).await.expect("an answer");
    let CreateCampaign::Known(known) = known else { panic!("{known:?}") };
    assert_eq!((known.id, known.rate), (created.id, Some(5)));
    new.list = "others".parse().expect("a list name");
    let different = audience.create_campaign(&world.scope(), &new).await.expect("an answer");
    assert!(matches!(different, CreateCampaign::Different(campaign) if campaign.id == created.id));
}

#[tokio::test]
async fn a_scheduled_campaign_runs_when_its_time_has_come() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    world.contacts("people", 1).await;
    let start_at = world.now() + chrono::TimeDelta::seconds(5);
    let new = wa_core::model::NewCampaign {
        start_at: Some(start_at),
        ..world.definition("news", "people", &[session.id])
    };
    let audience = world.store.audience();
    audience.create_campaign(&world.scope(), &new).await.expect("an answer");
    assert_eq!(world.launch(new.id, 10).await.state, CampaignState::Scheduled);
    let early = audience.advance(&admin()).await.expect("a step");
    assert_eq!((early.moved.len(), early.next_at), (0, Some(start_at)));
    assert!(world.due(&worker, session.id, 10).await.is_empty());
    world.clock.advance(std::time::Duration::from_secs(5));
    let due = audience.advance(&admin()).await.expect("a step");
    assert_eq!((due.moved, due.next_at), (vec![(world.tenant, new.id, CampaignState::Running)], None));
    assert_eq!(world.due(&worker, session.id, 10).await.len(), 1);
}

#[tokio::test]
async fn a_contact_learns_its_missing_address_unless_it_is_anothers() {
    let world = World::new().await;
    let bsuid = |text: &str| text.parse().expect("a user id");
    let upsert = async |phone_number: Option<u64>, user: Option<&str>| {
        let recipient =
            wa_core::model::Recipient::new(phone_number.map(phone), user.map(bsuid)).expect("an address");
        let id = ContactId::from_uuid(world.uuid());
        let contact = UpsertContact { id, recipient, attributes: ContactAttributes::new(), list: None };
        let made = world.store.audience().upsert_contact(&world.scope(), &contact).await.expect("an answer");
        made.expect("a contact")
    };
    let by_phone = upsert(Some(1), None).await;
    let by_user = upsert(None, Some("US.2")).await;
    let both = upsert(Some(1), Some("US.1")).await;
    assert_eq!((both.id, both.recipient.bsuid().map(|it| it.as_str())), (by_phone.id, Some("US.1")));
    let learned = upsert(Some(2), Some("US.2")).await;
    assert_eq!((learned.id, learned.recipient.phone()), (by_user.id, Some(phone(2))));
    let third = upsert(Some(3), None).await;
    let clash = upsert(Some(3), Some("US.2")).await;
    assert_eq!((clash.id, clash.recipient.bsuid()), (third.id, None), "the other one is left alone");
}
