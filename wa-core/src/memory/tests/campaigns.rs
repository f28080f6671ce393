//! Launch, feeds, counts and cancellation.

use super::*;

async fn campaign(bench: &Bench, members: usize, sessions: Vec<SessionId>) -> CampaignId {
    for n in 0..members {
        let named = ContactAttributes::from([("name".to_owned(), format!("Ada {n}"))]);
        let contact = UpsertContact {
            id: ContactId::from_uuid(id(1_000 + u128::try_from(n).expect("a number"))),
            recipient: Phone::parse(&phone(n), None).expect("a phone").into(),
            attributes: if n == 1 { ContactAttributes::new() } else { named },
            list: Some(parsed("all")),
        };
        bench.store.upsert_contact(&bench.scope, &contact).await.expect("a contact");
    }
    let texts = ["{{name}}".to_owned()];
    let template = TemplateContent::with_body(parsed("hello"), parsed("en"), Category::Marketing, texts);
    let new = NewCampaign {
        id: CampaignId::from_uuid(id(500)),
        name: parsed("spring"),
        content: CampaignContent::new(Content::Template(template.expect("a template"))),
        fallback: None,
        list: parsed("all"),
        sessions,
        lane: Lane::Bulk,
        valid_until: None,
        start_at: None,
        rate: None,
        budget: None,
        in_doubt: None,
    };
    let created = bench.store.create_campaign(&bench.scope, &new).await.expect("a campaign");
    assert!(matches!(created, CreateCampaign::Created(_)), "{created:?}");
    new.id
}

async fn launch(bench: &Bench, campaign: CampaignId, size: u32) -> LaunchStep {
    let chunk = LaunchChunk { size, seed: [7; 16] };
    bench.store.launch(&bench.scope, campaign, &chunk).await.expect("a step")
}

async fn launched(members: usize) -> (Bench, CampaignId) {
    let bench = Bench::new().await;
    let campaign = campaign(&bench, members, vec![bench.session]).await;
    assert!(matches!(launch(&bench, campaign, 1_000).await, LaunchStep::Done(_)));
    (bench, campaign)
}

async fn counts(bench: &Bench, campaign: CampaignId) -> CampaignCounts {
    bench.store.counts(&bench.scope, campaign).await.expect("an answer").expect("a campaign")
}

async fn act(bench: &Bench, campaign: CampaignId, action: CampaignAction) -> ActOutcome {
    bench.store.act(&bench.scope, campaign, action).await.expect("an answer")
}

#[tokio::test]
async fn the_size_of_the_chunks_changes_no_message() {
    let mut audiences = Vec::new();
    for size in [1, 3, 7, 100] {
        let bench = Bench::new().await;
        let second = bench.add_session(3).await;
        let campaign = campaign(&bench, 7, vec![bench.session, second]).await;
        let mut audience = 0;
        let done = loop {
            match launch(&bench, campaign, size).await {
                LaunchStep::Frozen { audience: frozen } => {
                    assert!(frozen > audience && frozen < 7);
                    audience = frozen;
                }
                LaunchStep::Done(campaign) => break campaign,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(done.state, CampaignState::Running);
        let all = bench.store.recipients(&bench.scope, campaign, None, 100).await.expect("a page");
        assert_eq!(all.iter().filter(|it| it.session == bench.session).count(), 4);
        assert_eq!(all.iter().filter(|it| it.skipped == Some(SkipReason::MissingParameter)).count(), 1);
        audiences.push(all);
    }
    assert_eq!(audiences[0].len(), 7);
    assert!(audiences.iter().all(|audience| *audience == audiences[0]));
}

#[tokio::test]
async fn who_joins_after_the_first_chunk_gets_nothing() {
    let bench = Bench::new().await;
    let campaign = campaign(&bench, 3, vec![bench.session]).await;
    launch(&bench, campaign, 1).await;
    let late = UpsertContact {
        id: ContactId::from_uuid(id(2_000)),
        recipient: Phone::parse(&phone(99), None).expect("a phone").into(),
        attributes: ContactAttributes::new(),
        list: Some(parsed("all")),
    };
    bench.store.upsert_contact(&bench.scope, &late).await.expect("a contact");
    act(&bench, campaign, CampaignAction::Pause).await;
    assert!(matches!(launch(&bench, campaign, 9).await, LaunchStep::NotLaunchable(_)));
    let ActOutcome::Moved(resumed) = act(&bench, campaign, CampaignAction::Resume).await else { panic!() };
    assert_eq!(resumed.state, CampaignState::Launching);
    assert!(matches!(launch(&bench, campaign, 9).await, LaunchStep::Done(_)));
    assert_eq!(counts(&bench, campaign).await.audience, 3);
}

#[tokio::test]
async fn a_feed_is_begun_in_order_and_without_gaps() {
    let (bench, campaign) = launched(5).await;
    let due = bench.due().await;
    assert_eq!(due.len(), 4, "a message without its value is passed over");
    assert_eq!(bench.begun(100, &due[1..2]).await.gone, [due[1].id]);
    assert_eq!(bench.begun(101, &[due[1].clone(), due[0].clone()]).await.gone, [due[1].id, due[0].id]);
    let cancelled = bench.store.cancel(&bench.scope, due[1].id).await.expect("an answer");
    assert_eq!(cancelled, CancelMessage::Cancelled);
    let begun = bench.begun(102, &due[..3]).await;
    assert_eq!(begun.gone, [due[1].id]);
    assert_eq!(begun.attempts.iter().map(|it| it.key.message).collect::<Vec<_>>(), [due[0].id, due[2].id]);
    assert_eq!(bench.begun(103, &due[..3]).await.attempts, []);
    let twice = [due[3].clone(), due[3].clone()];
    let begun = bench.begun(104, &twice).await;
    assert_eq!((begun.attempts.len(), begun.gone.len()), (1, 0));
    let counts = counts(&bench, campaign).await;
    assert_eq!((counts.audience, counts.attempting, counts.skipped, counts.pending), (5, 3, 2, 0));
}

#[tokio::test]
async fn a_full_quota_stops_the_feed_where_it_is() {
    let (bench, campaign) = launched(5).await;
    let plan = Entitlement { messages_per_month: Some(2), ..Entitlement::unlimited() };
    bench.store.set_entitlement(&bench.scope, &plan).await.expect("an answer");
    let due = bench.due().await;
    let begun = bench.begun(100, &due).await;
    assert_eq!(begun.attempts.len(), 2);
    assert_eq!(begun.stopped[0].why, HoldReason::QuotaFull);
    assert_eq!(begun.gone, []);
    assert_eq!(bench.due().await, due[2..]);
    assert_eq!(counts(&bench, campaign).await.pending, 2);
    bench.store.set_entitlement(&bench.scope, &Entitlement::unlimited()).await.expect("an answer");
    assert_eq!(bench.begun(101, &due[2..]).await.attempts.len(), 2);
}

#[tokio::test]
async fn cancelling_skips_whatever_waits_and_whatever_would_wait_again() {
    let (bench, campaign) = launched(6).await;
    let due = bench.due().await;
    bench.begun(100, &due[..3]).await;
    bench.settle(due[0].id, 1, accepted("wamid.1")).await;
    bench.settle(due[1].id, 1, refused(RejectClass::Retry)).await;
    assert!(matches!(act(&bench, campaign, CampaignAction::Cancel).await, ActOutcome::Moved(_)));
    assert!(matches!(act(&bench, campaign, CampaignAction::Cancel).await, ActOutcome::Unchanged(_)));
    let now = counts(&bench, campaign).await;
    assert_eq!((now.accepted, now.attempting, now.skipped, now.pending), (1, 1, 4, 0));
    bench.settle(due[2].id, 1, refused(RejectClass::Retry)).await;
    let now = counts(&bench, campaign).await;
    assert_eq!((now.attempting, now.skipped, now.reasons["skipped:cancelled"]), (0, 4 + 1, 4));
    bench.pass(60);
    assert!(bench.due().await.is_empty());
}

#[tokio::test]
async fn a_running_campaign_is_completed_once_and_reopened_by_a_late_failure() {
    let (bench, campaign) = launched(1).await;
    let due = bench.due().await;
    bench.begun(100, &due).await;
    let advance = || bench.store.advance(&bench.admin);
    assert_eq!(advance().await.expect("a step"), Advanced::default());
    bench.settle(due[0].id, 1, accepted("wamid.1")).await;
    let moved = |state| vec![(bench.tenant, campaign, state)];
    assert_eq!(advance().await.expect("a step").moved, moved(CampaignState::Completed));
    assert_eq!(advance().await.expect("a step").moved, []);
    let mut failed = status(None, "wamid.1", Fact::Failed, bench.now());
    if let ProjectedEvent::Status { update, .. } = &mut failed {
        update.failure = Some(FailureCode {
            code: 1,
            class: RejectClass::Retry,
            title: "passing".to_owned(),
            details: None,
        });
    }
    bench.project(200, vec![failed]).await;
    assert_eq!(advance().await.expect("a step").moved, moved(CampaignState::Running));
    bench.pass(5);
    assert_eq!(bench.due().await[0].n, 2);
}

#[tokio::test]
async fn cost_is_counted_until_it_is_given_back() {
    let (bench, campaign) = launched(3).await;
    let currency: Currency = parsed("USD");
    let prices = PriceList { currency, per_message: [(Category::Marketing, 25_000)].into() };
    let settings = TenantSettings { prices: Some(prices.into()), ..TenantSettings::default() };
    bench.store.put_settings(&bench.scope, &settings).await.expect("an answer");
    let due = bench.due().await;
    let begun = bench.begun(100, &due).await;
    assert_eq!(begun.attempts[0].price, Some(Money { micros: 25_000, currency }));
    let of = CostOf::Campaign(campaign);
    let cost = || bench.store.cost(&bench.scope, &of);
    assert_eq!(cost().await.expect("a cost").micros[&currency], 50_000);
    for _ in 0..2 {
        bench.settle(due[0].id, 1, refused(RejectClass::Recipient)).await;
        assert_eq!(cost().await.expect("a cost").micros[&currency], 25_000);
        assert_eq!(counts(&bench, campaign).await.cost["USD"], 25_000);
    }
}

#[tokio::test]
async fn an_import_goes_on_where_it_stopped_and_respects_opt_outs() {
    let bench = Bench::new().await;
    let start = StartImport {
        id: ImportId::from_uuid(id(600)),
        list: parsed("all"),
        source: Fingerprint::of(b"file"),
    };
    bench.store.start_import(&bench.scope, &start).await.expect("an import");
    let row = |line: u64, n: usize, opted_out| ImportRow {
        line,
        content: Ok(ImportLine {
            contact: ContactId::from_uuid(id(3_000 + u128::from(line))),
            phone: Phone::parse(&phone(n), None).expect("a phone"),
            attributes: ContactAttributes::new(),
            opted_out,
        }),
    };
    let chunk = |from_record, rows, last| ImportChunk { import: start.id, from_record, rows, last };
    let import = async |chunk| bench.store.import(&bench.scope, &chunk).await.expect("a step");
    let first = chunk(0, vec![row(2, 1, false), row(3, 2, false)], false);
    let ImportStep::Applied(_) = import(first.clone()).await else { panic!("not applied") };
    let ImportStep::Elsewhere(progress) = import(first).await else { panic!("applied twice") };
    assert_eq!(progress.records, 2);
    let ImportStep::Applied(progress) = import(chunk(2, vec![row(4, 1, true)], true)).await else {
        panic!("not applied")
    };
    assert_eq!((progress.added, progress.duplicates, progress.finished), (2, 1, true));
    let who = Phone::parse(&phone(1), None).expect("a phone").into();
    let contact = bench.store.find_contact(&bench.scope, &who).await.expect("an answer");
    assert_eq!(contact.map(|contact| contact.consent), Some(Consent::OptedOut));
}
