//! What begin keeps for one recipient and for one number.

use std::time::Duration;

use crate::model::{
    BeyondCap, Breaker, BreakerReason, BreakerScope, Bsuid, Category, Chosen, Consent, ConsentSource,
    Content, ConversationId, Fact, FrequencyCap, HoldReason, Lane, MessageId, NewMessage, OutsideWindow,
    PriceList, Quality, QuietHours, QuietSettings, Recipient, RejectClass, SessionId, SessionReport,
    SessionSetting, SkipReason, TemplateContent, TenantSettings, TimeZone, WarmUp,
};
use crate::port::store::{BegunBatch, ConversationMessage, UpsertContact};
use crate::port::{Scope, WorkerScope};
use crate::testing::store::world::{
    World, accepted, found, must, only, rejected, sorted, standard, template, value,
};

/// A marketing template in the bulk lane.
async fn offer(w: &World, scope: &Scope, session: SessionId, to: impl Into<Recipient>) -> MessageId {
    // Rows that are due at one instant have no order among them.
    w.clock.advance(Duration::from_micros(1));
    let content = template("offer", Category::Marketing);
    w.enqueue(scope, &NewMessage { content, ..w.message(session, to) }).await
}

fn begun(batch: &BegunBatch) -> Vec<MessageId> {
    batch.attempts.iter().map(|attempt| attempt.key.message).collect()
}

/// Settings without what another case is about.
fn without_cooldown() -> TenantSettings {
    TenantSettings { template_cooldown: None, ..TenantSettings::default() }
}

pub(crate) async fn begin_keeps_the_cooldown(w: World) {
    let scope = w.tenant("one").await;
    let (first, second) = (w.session(&scope).await.id, w.session(&scope).await.id);
    let own = w.own().await;
    let [ada, bea] = [w.fresh_phone(), w.fresh_phone()];

    // Within one batch.
    let one = offer(&w, &scope, first, ada).await;
    let two = offer(&w, &scope, first, ada).await;
    let other = offer(&w, &scope, first, bea).await;
    let at = w.now();
    let batch = w.begin_due(&own, first).await;
    assert_eq!(begun(&batch), [one, other]);
    let end = at + chrono::TimeDelta::hours(12);
    assert_eq!(batch.waits, [(two, HoldReason::Cooldown, end)]);

    // Across batches and sessions, and not for what is exempt.
    let elsewhere = offer(&w, &scope, second, ada).await;
    let code = NewMessage { content: template("code", Category::Authentication), ..w.message(second, ada) };
    w.enqueue(&scope, &code).await;
    let urgent = NewMessage { lane: Lane::Transactional, ..w.message(second, ada) };
    w.enqueue(&scope, &urgent).await;
    let late = NewMessage { valid_until: Some(w.after(60)), ..w.message(second, ada) };
    w.enqueue(&scope, &late).await;
    w.clock.advance(Duration::from_micros(1));
    let batch = w.begin_due(&own, second).await;
    assert_eq!(sorted(begun(&batch)), sorted([code.id, urgent.id]), "exempt by category or lane");
    assert_eq!(batch.waits, [(elsewhere, HoldReason::Cooldown, end)], "exempt ones start no cooldown");
    assert_eq!(batch.skips, [(late.id, SkipReason::Cooldown)], "it would be too late by then");

    // Another tenant's templates do not count.
    let theirs = w.tenant("two").await;
    let session = w.session(&theirs).await.id;
    let their_own = w.own().await;
    let id = offer(&w, &theirs, session, ada).await;
    assert_eq!(begun(&w.begin_due(&their_own, session).await), [id]);

    // To the microsecond, and then exactly one.
    w.clock.advance(Duration::from_micros(
        u64::try_from((end - w.now()).num_microseconds().expect("a day")).expect("ahead") - 1,
    ));
    assert!(w.due_ids(&own, first).await.is_empty());
    w.clock.advance(Duration::from_micros(1));
    assert_eq!(begun(&w.begin_due(&own, first).await), [two]);
    let again = w.now() + chrono::TimeDelta::hours(12);
    assert_eq!(w.begin_due(&own, second).await.waits, [(elsewhere, HoldReason::Cooldown, again)]);

    // What was definitely not delivered does not count.
    let fresh = w.fresh_phone();
    offer(&w, &scope, first, fresh).await;
    let attempt = only(w.begin_due(&own, first).await.attempts);
    w.settle(attempt.key, rejected(RejectClass::Recipient, 131_026)).await;
    let id = offer(&w, &scope, first, fresh).await;
    assert_eq!(begun(&w.begin_due(&own, first).await), [id]);
    // And it can be switched off.
    w.put_settings(&scope, &without_cooldown()).await;
    let id = offer(&w, &scope, first, fresh).await;
    assert_eq!(begun(&w.begin_due(&own, first).await), [id]);
}

pub(crate) async fn begin_keeps_the_frequency_cap(w: World) {
    let scope = w.tenant("one").await;
    let (first, second) = (w.session(&scope).await.id, w.session(&scope).await.id);
    let own = w.own().await;
    let cap = FrequencyCap { times: 2, days: 7, ..FrequencyCap::default() };
    let settings = TenantSettings { frequency_cap: Some(cap.clone()), ..without_cooldown() };
    w.put_settings(&scope, &settings).await;
    let ada = w.fresh_phone();

    let one = offer(&w, &scope, first, ada).await;
    let first_at = w.now();
    assert_eq!(begun(&w.begin_due(&own, first).await), [one]);
    w.pass(3_600);
    let two = offer(&w, &scope, second, ada).await;
    let three = offer(&w, &scope, second, ada).await;
    let notice = w.enqueue(&scope, &w.message(second, ada)).await;
    let batch = w.begin_due(&own, second).await;
    assert_eq!(sorted(begun(&batch)), sorted([two, notice]), "only marketing counts and waits");
    let frees_up = first_at + chrono::TimeDelta::days(7);
    assert_eq!(batch.waits, [(three, HoldReason::FrequencyCap, frees_up)]);

    // What was given back makes room at once.
    let of_two = batch.attempts.iter().find(|attempt| attempt.key.message == two).expect("begun");
    w.settle(of_two.key, rejected(RejectClass::Recipient, 131_026)).await;
    let four = offer(&w, &scope, first, ada).await;
    assert_eq!(begun(&w.begin_due(&own, first).await), [four]);

    // Or what is beyond it is skipped.
    let skips = FrequencyCap { beyond: BeyondCap::Skip, ..cap };
    w.put_settings(&scope, &TenantSettings { frequency_cap: Some(skips), ..settings }).await;
    let five = offer(&w, &scope, first, ada).await;
    assert_eq!(w.begin_due(&own, first).await.skips, [(five, SkipReason::FrequencyCap)]);

    // The oldest one counts until its days are over.
    let ahead = (frees_up - w.now()).to_std().expect("ahead");
    w.clock.advance(ahead);
    assert_eq!(begun(&w.begin_due(&own, second).await), [three]);
}

pub(crate) async fn begin_keeps_the_warm_up_cap_exactly(w: World) {
    let (scope, session, own) = w.one().await;
    let session = session.id;
    let warm_up = WarmUp { since: Some(w.now()), caps: vec![3, 5] };
    let set = SessionSetting::WarmUp(Some(warm_up));
    let stored = found(w.numbers().set_session(&scope, session, &set).await);
    assert!(stored.settings.warm_up.is_some());
    let campaign = w.campaign(&scope, session, 20).await;
    let page = w.due(&own, session).await.messages;
    let head = page.get(..2).expect("twenty are due");
    assert_eq!(w.begin(&own, session, head, standard()).await.attempts.len(), 2);
    let batch = w.begin_due(&own, session).await;
    assert_eq!(batch.attempts.len(), 1, "up to the cap, across batches");
    let stopped = only(batch.stopped.clone());
    assert_eq!((stopped.campaign, stopped.why), (Some(campaign.id), HoldReason::WarmUpFull));
    let next_day = stopped.until.expect("a day has an end");
    assert!(next_day > w.now() && next_day <= w.now() + chrono::TimeDelta::days(1));
    assert!(w.begin_due(&own, session).await.attempts.is_empty(), "and never passed");

    // What was definitely not delivered makes room for one; what was taken does not.
    let key = only(batch.attempts).key;
    w.settle(key, rejected(RejectClass::Recipient, 131_026)).await;
    w.settle(key, rejected(RejectClass::Recipient, 131_026)).await;
    let batch = w.begin_due(&own, session).await;
    w.settle(only(batch.attempts).key, accepted("wamid.1")).await;
    assert!(w.begin_due(&own, session).await.attempts.is_empty());

    // The next day has its own cap, and the one behind the schedule none.
    w.clock.advance((next_day - w.now()).to_std().expect("ahead") - Duration::from_micros(1));
    assert!(w.begin_due(&own, session).await.attempts.is_empty(), "the last microsecond of the day");
    w.clock.advance(Duration::from_micros(1));
    assert_eq!(w.begin_due(&own, session).await.attempts.len(), 5);
    w.clock.advance(Duration::from_secs(86_400));
    assert_eq!(w.begin_due(&own, session).await.attempts.len(), 11, "everybody else");
}

pub(crate) async fn begin_keeps_safe_mode(w: World) {
    let (scope, session, own) = w.one().await;
    let [tester, customer] = [w.fresh_phone(), w.fresh_phone()];
    let safe = TenantSettings { safe_mode: Some([tester.into()].into()), ..without_cooldown() };
    w.put_settings(&scope, &safe).await;
    let ours = offer(&w, &scope, session.id, tester).await;
    let theirs = offer(&w, &scope, session.id, customer).await;
    let known_by_both = Recipient::new(Some(tester), Some(value("US.1"))).expect("two addresses");
    let also_ours = offer(&w, &scope, session.id, known_by_both).await;
    let campaign = w.campaign(&scope, session.id, 2).await;
    let batch = w.begin_due(&own, session.id).await;
    assert_eq!(begun(&batch), [ours, also_ours]);
    assert_eq!(batch.skips.len(), 3);
    assert!(batch.skips.contains(&(theirs, SkipReason::NotAllowed)));
    let counts = w.counts(&scope, campaign.id).await;
    assert_eq!(counts.reasons.get("skipped:not_allowed"), Some(&2));
    // Off again, everybody is written to.
    w.put_settings(&scope, &without_cooldown()).await;
    let id = offer(&w, &scope, session.id, customer).await;
    assert_eq!(begun(&w.begin_due(&own, session.id).await), [id]);
}

pub(crate) async fn begin_keeps_the_suppression_list(w: World) {
    let (scope, session, own) = w.one().await;
    w.put_settings(&scope, &without_cooldown()).await;
    let [ada, bea, free] = [(); 3].map(|()| w.fresh_phone());
    // A contact with two addresses, of which the one on the list is not the one that is written to.
    let both = Recipient::new(Some(bea), Some(value("US.7"))).expect("two addresses");
    found(w.audience().upsert_contact(&scope, &w.upsert(both)).await);
    let page = {
        offer(&w, &scope, session.id, ada).await;
        offer(&w, &scope, session.id, bea).await;
        offer(&w, &scope, session.id, free).await;
        w.due(&own, session.id).await.messages
    };
    let user: Recipient = Recipient::from(value::<Bsuid>("US.7"));
    assert_eq!(must(w.audience().suppress(&scope, &[ada.into(), user.clone()]).await), Some(2));
    let batch = w.begin(&own, session.id, &page, standard()).await;
    let skipped: Vec<_> = batch.skips.iter().map(|(_, why)| *why).collect();
    assert_eq!(skipped, [SkipReason::Suppressed; 2], "contact or not, by any address");
    assert_eq!(batch.attempts.len(), 1);
    assert_eq!(must(w.audience().unsuppress(&scope, &[ada.into()]).await), 1);
    let id = offer(&w, &scope, session.id, ada).await;
    assert_eq!(begun(&w.begin_due(&own, session.id).await), [id]);
}

pub(crate) async fn begin_needs_an_opt_in_where_asked(w: World) {
    let (scope, session, own) = w.one().await;
    let asked = TenantSettings { require_opt_in: true, ..without_cooldown() };
    w.put_settings(&scope, &asked).await;
    let contact = w.contact(&scope).await;
    let early = offer(&w, &scope, session.id, contact.recipient.clone()).await;
    let stranger = offer(&w, &scope, session.id, w.fresh_phone()).await;
    let notice = w.enqueue(&scope, &w.message(session.id, contact.recipient.clone())).await;
    w.clock.advance(Duration::from_micros(1));
    let batch = w.begin_due(&own, session.id).await;
    assert_eq!(begun(&batch), [notice], "only marketing needs it");
    assert_eq!(batch.skips, [(early, SkipReason::NotOptedIn), (stranger, SkipReason::NotOptedIn)]);

    let source = ConsentSource::Caller;
    let opted = w.audience().set_consent(&scope, contact.id, Consent::OptedIn, source).await;
    let opted = found(opted);
    assert_eq!((opted.consent_at, opted.consent_source), (Some(w.now()), Some(source)));
    let late = offer(&w, &scope, session.id, contact.recipient).await;
    assert_eq!(begun(&w.begin_due(&own, session.id).await), [late]);
}

pub(crate) async fn begin_holds_marketing_of_a_bad_number(w: World) {
    let (scope, session, own) = w.one().await;
    w.put_settings(&scope, &without_cooldown()).await;
    let rate = |quality| SessionReport { quality: Some(quality), ..SessionReport::default() };
    let campaign = w.campaign(&scope, session.id, 2).await;
    let marketing = offer(&w, &scope, session.id, w.fresh_phone()).await;
    let notice = w.enqueue(&scope, &w.message(session.id, w.fresh_phone())).await;
    w.clock.advance(Duration::from_micros(1));
    found(w.numbers().report_session(&scope, session.id, &rate(Quality::Red)).await);
    let batch = w.begin_due(&own, session.id).await;
    assert_eq!(begun(&batch), [notice]);
    assert_eq!(
        batch.waits.iter().map(|it| (it.0, it.1)).collect::<Vec<_>>(),
        [(marketing, HoldReason::QualityLow)]
    );
    let stopped = only(batch.stopped);
    assert_eq!((stopped.campaign, stopped.why), (Some(campaign.id), HoldReason::QualityLow));
    // A better rating lets everything go, at a share that the pace says.
    found(w.numbers().report_session(&scope, session.id, &rate(Quality::Yellow)).await);
    w.pass(600);
    assert_eq!(w.begin_due(&own, session.id).await.attempts.len(), 3);
}

pub(crate) async fn begin_waits_out_quiet_hours(w: World) {
    let (scope, session, own) = w.one().await;
    // Quiet where the tenant is, for another hour; nowhere else at this time.
    let berlin: TimeZone = value("Europe/Berlin");
    let shown = |hours: i64| {
        let at = w.now() + chrono::TimeDelta::hours(hours);
        crate::rules::civil::shown(&berlin, at).format("%H:00").to_string()
    };
    let night = QuietHours::daily(value(&shown(0)), value(&shown(1)));
    let settings = TenantSettings {
        time_zone: berlin,
        quiet_hours: Some(QuietSettings::new([night])),
        ..without_cooldown()
    };
    w.put_settings(&scope, &settings).await;
    // Of no country that the number names: the tenant's zone counts.
    let somewhere: Recipient = value::<Bsuid>("US.1").into();
    // Of a country in which it is quiet, but somewhere else.
    let person = crate::testing::store::world::phone("4915112345679");
    let elsewhere = UpsertContact {
        attributes: [("time_zone".to_owned(), "Asia/Tokyo".to_owned())].into(),
        ..w.upsert(person)
    };
    found(w.audience().upsert_contact(&scope, &elsewhere).await);
    let german = Recipient::from(crate::testing::store::world::phone("4915112345678"));
    let waits = [
        offer(&w, &scope, session.id, somewhere.clone()).await,
        offer(&w, &scope, session.id, german.clone()).await,
    ];
    let awake = offer(&w, &scope, session.id, person).await;
    let urgent = NewMessage { lane: Lane::Transactional, ..w.message(session.id, somewhere.clone()) };
    w.enqueue(&scope, &urgent).await;
    let late = NewMessage { valid_until: Some(w.after(60)), ..w.message(session.id, german.clone()) };
    w.enqueue(&scope, &late).await;
    w.clock.advance(Duration::from_micros(1));
    let batch = w.begin_due(&own, session.id).await;
    assert_eq!(sorted(begun(&batch)), sorted([awake, urgent.id]), "by zone and by lane");
    assert_eq!(batch.skips, [(late.id, SkipReason::QuietHours)]);
    let (first, _, until) = batch.waits.first().copied().expect("two wait");
    assert_eq!(batch.waits, waits.map(|id| (id, HoldReason::QuietHours, until)), "{first:?}");
    let ahead = until - w.now();
    assert!(ahead > chrono::TimeDelta::zero() && ahead <= chrono::TimeDelta::hours(1), "{ahead}");
    w.clock.advance(ahead.to_std().expect("ahead") - Duration::from_micros(1));
    assert!(w.due_ids(&own, session.id).await.is_empty(), "not a microsecond before");
    w.clock.advance(Duration::from_micros(1));
    assert_eq!(sorted(begun(&w.begin_due(&own, session.id).await)), sorted(waits));

    // On the next day, shortly before it is quiet: what began now could leave too late.
    w.clock.advance(Duration::from_secs(23 * 3_600 - 30));
    let evening = offer(&w, &scope, session.id, german).await;
    let batch = w.begin_due(&own, session.id).await;
    let until = until + chrono::TimeDelta::days(1);
    assert_eq!(batch.waits, [(evening, HoldReason::QuietHours, until)]);
}

pub(crate) async fn begin_falls_back_to_the_template(w: World) {
    let (scope, session, own) = w.one().await;
    let Content::Template(reminder) = template("reminder", Category::Utility) else { return };
    let prices = PriceList {
        currency: value("EUR"),
        per_message: [(Category::Service, 1), (Category::Utility, 9)].into(),
    };
    let with = |outside_window| TenantSettings {
        outside_window,
        prices: Some(prices.clone().into()),
        ..TenantSettings::default()
    };
    let say = |to, fallback: Option<TemplateContent>| NewMessage {
        content: Content::text("Are you there?").expect("a text"),
        fallback,
        ..w.message(session.id, to)
    };
    // Blocked by default, fallback or not.
    let ada = w.fresh_phone();
    let blocked = w.enqueue(&scope, &say(ada, Some(reminder.clone()))).await;
    assert_eq!(w.begin_due(&own, session.id).await.skips, [(blocked, SkipReason::WindowClosed)]);

    w.put_settings(&scope, &with(OutsideWindow::Fallback)).await;
    let id = w.enqueue(&scope, &say(ada, Some(reminder.clone()))).await;
    let bare = w.enqueue(&scope, &say(w.fresh_phone(), None)).await;
    let batch = w.begin_due(&own, session.id).await;
    assert_eq!(
        batch.skips,
        [(bare, SkipReason::WindowClosed)],
        "without a template there is nothing to send"
    );
    let attempt = only(batch.attempts);
    assert_eq!((attempt.key.message, attempt.content), (id, Chosen::Fallback));
    assert_eq!(attempt.price.map(|price| price.micros), Some(9), "the price of what goes");
    assert_eq!(only(w.view(&scope, id).await.attempts).content, Chosen::Fallback);

    // It counts in the cooldown, and its template has a breaker.
    let soon = w.enqueue(&scope, &say(ada, Some(reminder.clone()))).await;
    let waits = w.begin_due(&own, session.id).await.waits;
    assert_eq!(waits.iter().map(|it| (it.0, it.1)).collect::<Vec<_>>(), [(soon, HoldReason::Cooldown)]);
    w.settle(attempt.key, rejected(RejectClass::TemplatePaused, 132_015)).await;
    let view = w.view(&scope, id).await;
    assert!(view.attempts.iter().all(|it| it.facts.has(Fact::Released)));
    let expected = BreakerScope::Template(session.id, value("reminder"), value("en_US"));
    let open: Vec<Breaker> = must(w.numbers().breakers(&scope).await);
    assert_eq!(
        open.iter().map(|it| (it.scope.clone(), it.reason)).collect::<Vec<_>>(),
        [(expected.clone(), BreakerReason::TemplatePaused)]
    );
    let held = w.enqueue(&scope, &say(w.fresh_phone(), Some(reminder.clone()))).await;
    let waits = w.begin_due(&own, session.id).await.waits;
    assert_eq!(
        waits.iter().map(|it| (it.0, it.1)).collect::<Vec<_>>(),
        [(held, HoldReason::TemplateStopped)]
    );
    assert!(must(w.numbers().reset_breaker(&scope, &expected).await));

    // Inside the window its own content goes, and the settings may let it go outside too.
    let bea = w.fresh_phone();
    w.user_writes(&session, bea).await;
    w.pass(1);
    let id = w.enqueue(&scope, &say(bea, Some(reminder.clone()))).await;
    let attempt = w.begin_due(&own, session.id).await.attempts;
    let attempt = attempt.into_iter().find(|it| it.key.message == id).expect("it begins");
    assert_eq!((attempt.content, attempt.price.map(|price| price.micros)), (Chosen::Own, Some(0)));
    w.put_settings(&scope, &with(OutsideWindow::Send)).await;
    let id = w.enqueue(&scope, &say(w.fresh_phone(), Some(reminder.clone()))).await;
    let sent = w.begin_due(&own, session.id).await.attempts;
    let sent = sent.into_iter().find(|it| it.key.message == id).expect("it begins");
    assert_eq!(sent.content, Chosen::Own);

    // Whoever reads the conversation or the contact's account sees what went.
    w.put_settings(&scope, &with(OutsideWindow::Fallback)).await;
    w.pass(86_400);
    let id = w.enqueue(&scope, &say(bea, Some(reminder.clone()))).await;
    let batch = w.begin_due(&own, session.id).await;
    assert!(batch.attempts.iter().any(|it| it.key.message == id && it.content == Chosen::Fallback));
    let contact = found(w.audience().find_contact(&scope, &bea.into()).await).id;
    let spend = found(w.ledger().contact_spend(&scope, contact).await);
    let last = spend.last_template.expect("the reminder");
    assert_eq!((last.name, last.language), (reminder.name.clone(), reminder.language.clone()));
    let key = ConversationId { session: session.id, contact };
    let written = must(w.inbox().conversation_messages(&scope, key, None, 10).await);
    let said: Vec<_> = written
        .into_iter()
        .filter_map(|it| match it {
            ConversationMessage::Sent { content, .. } => content.map(|content| *content),
            ConversationMessage::Heard(_) => None,
        })
        .collect();
    let own_words = Content::text("Are you there?").expect("a text");
    assert_eq!(said, [own_words, Content::Template(reminder.clone())]);

    // A campaign's fallback is filled from the same columns.
    falls_back_in_a_campaign(&w, &scope, session.id, &own).await;
}

async fn falls_back_in_a_campaign(w: &World, scope: &Scope, session: SessionId, own: &WorkerScope) {
    let (list, _) = w.list(scope, 2).await;
    let hello = Content::text("Hello!").expect("a text");
    let new = crate::model::NewCampaign {
        content: hello.into(),
        fallback: Some(crate::testing::store::world::greeting(Category::Marketing)),
        ..w.new_campaign(&list, &[session])
    };
    let campaign = w.draft(scope, &new).await;
    assert_eq!(campaign.columns(), ["name"]);
    w.launch(scope, campaign.id, 10).await;
    let page = w.due(own, session).await.messages;
    let fed: Vec<_> = page.into_iter().filter(|it| it.campaign.is_some()).collect();
    for message in &fed {
        let brief = message.campaign.as_ref().expect("of a campaign");
        assert_eq!(brief.columns, ["name"]);
        let crate::port::store::DueBody::Values(values) = &message.body else { continue };
        assert_eq!(values.len(), 1, "the fallback's values are frozen too");
    }
    let batch = w.begin(own, session, &fed, standard()).await;
    assert_eq!(batch.attempts.len(), 2);
    assert!(batch.attempts.iter().all(|attempt| attempt.content == Chosen::Fallback));
}
