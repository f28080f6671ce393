//! A tenant to which nearly everything has happened, and everything that can be asked about it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Duration;

use crate::model::{
    Agent, AttemptKey, Bsuid, BudgetOf, CampaignAction, Category, Consent, ConsentSource, ContactId,
    ConversationAction, ConversationId, EventId, Fact, Fingerprint, ImportId, ImportLine, ImportRow, Lane,
    LineProblem, ListName, MessageId, MessageState, Money, NewMessage, NewSession, Outcome, Period,
    PriceList, Recipient, RejectClass, Session, SkipReason, TemplateEvent, TenantBudget, TenantSettings,
    Tier, UserChange, UserChangeKind, UtcOffset,
};
use crate::port::store::{
    CostOf, FailureFilter, ImportChunk, ImportStep, ProjectedEvent, Recover, RunSchedule, StartImport,
    TrendBy, TrendQuery, UpsertContact,
};
use crate::port::{Notice, NoticeKind, Scope, WorkerScope};
use crate::testing::store::world::{
    Snapshot, World, accepted, found, must, rejected, standard, template, value,
};

/// The time that a swept attempt is given.
pub(super) const GRACE: Duration = Duration::from_secs(10);

/// A tenant of this name with messages in every state, and the sessions that it has. The worker of the world
/// owns them.
pub(super) async fn lived(w: &World, name: &str) -> (Scope, Session, WorkerScope) {
    let scope = w.tenant(name).await;
    settings(w, &scope, 70_000).await;
    let new = NewSession { account: (name == "one").then(|| "waba.1".to_owned()), ..w.new_session() };
    let session = w.session_of(&scope, &new, Tier::Limited(500)).await;
    let other = w.session(&scope).await;
    let own = w.own().await;
    people(w, &scope, &session).await;
    imports(w, &scope).await;
    let scheduled = super::schedule(w, &scope, session.id).await;
    w.pass(3_600);
    assert!(matches!(super::step(w, &scope, scheduled).await, RunSchedule::Ran(_)));
    campaigns(w, &scope, &session, &other, &own).await;
    if name == "one" {
        must(w.audience().advance(&w.admin()).await);
    }
    singles(w, &scope, &session, &own).await;
    spoken(w, &scope, &session).await;
    let key = NoticeKind::SessionStopped { session: session.id, advice: "Add a payment method.".to_owned() };
    let notice = Notice { id: w.mint(EventId::mint), tenant: scope.tenant(), at: w.now(), kind: key };
    assert!(must(w.journal().keep_notice(&scope, &notice).await));
    (scope, session, own)
}

async fn settings(w: &World, scope: &Scope, micros: i64) {
    let euro = |micros| Some(Money { micros, currency: value("EUR") });
    let prices = PriceList {
        currency: value("EUR"),
        per_message: BTreeMap::from([(Category::Marketing, micros), (Category::Utility, 9_000)]),
    };
    let settings = TenantSettings {
        prices: Some(prices.into()),
        budget: TenantBudget { monthly: euro(90_000_000), total: None },
        template_cooldown: None,
        ..TenantSettings::default()
    };
    w.put_settings(scope, &settings).await;
}

async fn people(w: &World, scope: &Scope, session: &Session) {
    let blocked = w.contact(scope).await;
    must(w.audience().set_consent(scope, blocked.id, Consent::OptedOut, ConsentSource::Caller).await);
    must(w.audience().suppress(scope, &[w.fresh_phone().into(), value::<Bsuid>("DE.7").into()]).await);
    // Two that turn out to be one.
    let list: ListName = value("friends");
    let phone = w.fresh_phone();
    for who in [Recipient::from(phone), value::<Bsuid>("DE.8").into()] {
        let upsert = UpsertContact { list: Some(list.clone()), ..w.upsert(who) };
        found(w.audience().upsert_contact(scope, &upsert).await);
    }
    let both = Recipient::new(Some(phone), Some(value("DE.8"))).expect("two addresses");
    w.user_writes(session, both).await;
    // One that moves.
    let (old, new) = (w.fresh_phone(), w.fresh_phone());
    w.user_writes(session, old).await;
    let change = UserChange {
        number: session.number.clone(),
        provider_id: "system.1".to_owned(),
        at: w.now(),
        change: UserChangeKind::Number,
        old: old.into(),
        new: new.into(),
    };
    w.hear(vec![ProjectedEvent::UserChanged { change }]).await;
}

async fn imports(w: &World, scope: &Scope) {
    for (source, last) in [("a.csv", true), ("b.csv", false)] {
        let (id, list) = (w.mint(ImportId::mint), value("news"));
        let start = StartImport { id, list, source: Fingerprint::of(source.as_bytes()) };
        found(w.audience().start_import(scope, &start).await);
        let line =
            |contact, phone| ImportLine { contact, phone, attributes: BTreeMap::new(), opted_out: false };
        let phone = w.fresh_phone();
        let rows = vec![
            ImportRow { line: 2, content: Ok(line(w.mint(ContactId::mint), phone)) },
            ImportRow { line: 3, content: Ok(line(w.mint(ContactId::mint), phone)) },
            ImportRow {
                line: 4,
                content: Err(LineProblem { column: None, message: "too short".to_owned() }),
            },
        ];
        let chunk = ImportChunk { import: id, from_record: 0, rows, last };
        assert!(matches!(must(w.audience().import(scope, &chunk).await), ImportStep::Applied(_)));
    }
}

async fn campaigns(w: &World, scope: &Scope, session: &Session, other: &Session, own: &WorkerScope) {
    let (list, members) = w.list(scope, 8).await;
    // One member has no value for the placeholder.
    let bare = UpsertContact { list: Some(list.clone()), ..w.upsert(w.fresh_phone()) };
    found(w.audience().upsert_contact(scope, &bare).await);
    assert_eq!(members.len(), 8);
    let both = [session.id, other.id];
    w.draft(scope, &w.new_campaign(&list, &both)).await;
    let launching = w.draft(scope, &w.new_campaign(&list, &both)).await;
    w.launch_step(scope, launching.id, 3).await;
    let mut later = w.new_campaign(&list, &both);
    later.start_at = Some(w.after(86_400));
    let later = w.draft(scope, &later).await;
    w.launch(scope, later.id, 4).await;

    let running = w.draft(scope, &w.new_campaign(&list, &both)).await;
    w.launch(scope, running.id, 100).await;
    let page = w.due(own, session.id).await.messages;
    let some = page.get(..4).expect("several are due").to_vec();
    let begun = w.begin(own, session.id, &some, standard()).await.attempts;
    let outcomes =
        [accepted("first"), Outcome::NotSent, Outcome::Ambiguous, rejected(RejectClass::Recipient, 131_026)];
    for (attempt, outcome) in begun.iter().zip(outcomes) {
        w.settle(attempt.key, outcome).await;
    }
    let update = w.status(session, "first", Fact::Delivered);
    w.hear(vec![ProjectedEvent::Status { attempt: None, batch: None, update }]).await;

    let paused = w.campaign(scope, session.id, 3).await;
    w.act(scope, paused.id, CampaignAction::Pause).await;
    let cancelled = w.campaign(scope, session.id, 3).await;
    let first = w.due(own, session.id).await.messages;
    let of_it: Vec<_> = first
        .into_iter()
        .filter(|it| it.campaign.as_ref().is_some_and(|of| of.id == cancelled.id))
        .take(1)
        .collect();
    let begun = w.begin(own, session.id, &of_it, standard()).await.attempts;
    w.settle(begun.first().expect("one begins").key, accepted("before the end")).await;
    w.act(scope, cancelled.id, CampaignAction::Cancel).await;
    must(
        w.audience()
            .set_budget(scope, running.id, Some(Money { micros: 5_000_000, currency: value("EUR") }))
            .await,
    );
}

/// Singles in all the states that one can be in.
async fn singles(w: &World, scope: &Scope, session: &Session, own: &WorkerScope) {
    w.pass(60);
    // Later attempts have other prices.
    settings(w, scope, 80_000).await;
    let outcomes = [
        (accepted("sent"), Some(Fact::Sent)),
        (accepted("read"), Some(Fact::Read)),
        (accepted("failed"), Some(Fact::Failed)),
        (accepted("silent"), None),
        (rejected(RejectClass::Retry, 1), None),
        (rejected(RejectClass::Request, 100), None),
        (Outcome::Ambiguous, None),
        (Outcome::Ambiguous, None),
        (Outcome::NotSent, None),
    ];
    for (n, (outcome, fact)) in outcomes.into_iter().enumerate() {
        let message = NewMessage {
            key: (n % 2 == 0).then(|| value(&format!("key {n}").replace(' ', "."))),
            content: template("notice", Category::Marketing),
            lane: Lane::Transactional,
            ..w.message(session.id, w.fresh_phone())
        };
        let id = w.enqueue(scope, &message).await;
        let key = begin_one(w, session, own, id).await;
        let name = match &outcome {
            Outcome::Accepted { provider_id } => provider_id.clone(),
            Outcome::NotSent | Outcome::Rejected(_) | Outcome::Ambiguous => String::new(),
        };
        w.settle(key, outcome).await;
        if let Some(fact) = fact {
            let update = w.status(session, &name, fact);
            w.hear(vec![ProjectedEvent::Status { attempt: None, batch: None, update }]).await;
        }
        if n == 5 {
            must(w.outbox().retry(scope, id).await);
        }
    }
    // A second name of one attempt.
    let twice = begin_one(w, session, own, w.single(scope, session.id).await).await;
    w.settle(twice, accepted("one name")).await;
    w.settle(twice, accepted("another name")).await;
    must(w.outbox().recover(own, &Recover { grace: GRACE, limit: 10 }).await);
    w.pass(3_600 * 30);
    must(w.outbox().listen(own, 100).await);
    // Some wait, one is cancelled, one is open.
    w.single(scope, session.id).await;
    let cancelled = w.single(scope, session.id).await;
    must(w.outbox().cancel(scope, cancelled).await);
    assert_eq!(w.view(scope, cancelled).await.skipped, Some(SkipReason::Cancelled));
    let open = begin_one(w, session, own, w.single(scope, session.id).await).await;
    assert_eq!(w.state(scope, open.message).await, MessageState::Attempting);
}

/// Begins one of the messages that are due.
pub(super) async fn begin_one(w: &World, session: &Session, own: &WorkerScope, id: MessageId) -> AttemptKey {
    let page = w.due(own, session.id).await.messages;
    let alone: Vec<_> = page.into_iter().filter(|it| it.id == id).collect();
    let begun = w.begin(own, session.id, &alone, standard()).await;
    begun.attempts.first().unwrap_or_else(|| panic!("it begins: {begun:?}")).key
}

async fn spoken(w: &World, scope: &Scope, session: &Session) {
    let phone = w.fresh_phone();
    w.user_writes(session, phone).await;
    w.pass(600);
    w.user_writes(session, phone).await;
    let contact = found(w.audience().find_contact(scope, &phone.into()).await);
    let id = ConversationId { session: session.id, contact: contact.id };
    let agent: Agent = value("Grace");
    must(w.inbox().act_on_conversation(scope, id, &ConversationAction::Assign(Some(agent))).await);
    let echo = w.echo(w.typed(session, phone, "of course"));
    w.hear(vec![echo]).await;
    if session.account.is_some() {
        w.decide(w.template_status("greeting", TemplateEvent::Paused, w.now())).await;
    }
}

/// What everything that can be asked about a tenant answers, as text.
pub(super) async fn answers(w: &World, scope: &Scope) -> String {
    let mut text = String::new();
    let mut say = |what: &str, answer: &dyn std::fmt::Debug| {
        writeln!(text, "{what}: {answer:#?}").expect("a text takes everything");
    };
    let snapshot = Snapshot { events: Vec::new(), ..w.snapshot(scope).await };
    for (campaign, _, _) in &snapshot.campaigns {
        let budget = BudgetOf::Campaign(campaign.id);
        say("cost of a campaign", &must(w.ledger().cost(scope, &CostOf::Campaign(campaign.id)).await));
        say("budget of a campaign", &must(w.ledger().budget_use(scope, budget).await));
        say("alert", &must(w.reports().alert(scope, campaign.id).await));
    }
    for contact in &snapshot.contacts {
        say("spend", &must(w.ledger().contact_spend(scope, contact.id).await));
    }
    for budget in [BudgetOf::Total, BudgetOf::Month(Period::of(w.now()))] {
        say("budget", &must(w.ledger().budget_use(scope, budget).await));
    }
    let day = chrono::TimeDelta::days(40);
    let mut of: Vec<_> = snapshot.sessions.iter().map(|session| Some(session.id)).collect();
    of.push(None);
    for session in of {
        let ask = TrendQuery {
            from: w.now() - day,
            to: w.now() + day,
            by: TrendBy::Hour(UtcOffset::default()),
            session,
        };
        say("trend", &must(w.reports().trend(scope, &ask).await));
    }
    let between = CostOf::Between { from: w.now() - day, to: w.now() + day };
    say("cost of a time", &must(w.ledger().cost(scope, &between).await));
    say("failed", &must(w.reports().failed(scope, &FailureFilter::default(), None, 1_000).await));
    say("silent", &must(w.reports().silent(scope, None, 1_000).await));
    say("messages", &must(w.reports().messages(scope, None, 1_000).await));
    for list in ["friends", "news"] {
        let list: ListName = value(list);
        say("members", &must(w.audience().members(scope, &list, 0, 1_000).await));
        for import in must(w.audience().imports(scope, &list).await) {
            say("lines", &must(w.audience().import_report(scope, import.id, 0, 100).await));
            say("import", &import);
        }
    }
    for schedule in &snapshot.schedules {
        say("runs", &must(w.schedules().schedule_runs(scope, schedule.id, 0, 100).await));
    }
    say("all", &snapshot);
    text
}
