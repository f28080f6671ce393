//! The cases of the Directory room.

use crate::model::{
    AlertSettings, Category, FrequencyCap, HoldReason, InDoubtPolicy, Lane, Money, OutsideWindow, PriceBook,
    PriceList, QualityPolicy, QuietHours, QuietSettings, Recipient, RetryBackoff, Tenant, TenantBudget,
    TenantId, TenantSettings, UtcOffset, WhenRed,
};
use crate::testing::scope;
use crate::testing::store::world::{World, ends, found, must, only, standard, value};

pub(super) async fn identity_is_made_once(mut w: World) {
    let (first, second) = (w.identity(1), w.identity(2));
    assert_eq!(must(w.directory().identity(&w.admin(), &first).await), first);
    assert_eq!(must(w.directory().identity(&w.admin(), &second).await), first);
    w.reopen().await;
    assert_eq!(must(w.directory().identity(&w.admin(), &second).await), first);
}

pub(super) async fn ensure_tenant_creates_once(mut w: World) {
    let ensure = async |w: &World, name: &str, fresh| {
        must(w.directory().ensure_tenant(&w.admin(), &value(name), fresh).await)
    };
    let fresh = w.mint(TenantId::mint);
    let created = ensure(&w, "Acme GmbH & Søn", fresh).await;
    assert_eq!((created.id, created.name.as_str(), created.created_at), (fresh, "Acme GmbH & Søn", w.now()));
    w.pass(1);
    let again = w.mint(TenantId::mint);
    assert_eq!(ensure(&w, "Acme GmbH & Søn", again).await, created);
    assert_eq!(must(w.directory().tenant(&scope::tenant(again)).await), None);
    w.reopen().await;
    assert_eq!(ensure(&w, "Acme GmbH & Søn", again).await, created);
    let other = ensure(&w, "acme gmbh & søn", w.mint(TenantId::mint)).await;
    assert_ne!(other.id, created.id, "names differ in case");
    assert_eq!(must(w.directory().tenants(&w.admin(), None, 10).await).len(), 2);
}

pub(super) async fn tenants_are_paged_by_id(w: World) {
    let mut expected = Vec::new();
    for count in 0..5 {
        w.pass(1);
        let name = value(&format!("tenant {count}"));
        expected.push(must(w.directory().ensure_tenant(&w.admin(), &name, w.mint(TenantId::mint)).await));
    }
    expected.sort_by_key(|tenant| tenant.id);
    let mut paged: Vec<Tenant> = Vec::new();
    loop {
        let after = paged.last().map(|tenant| tenant.id);
        let page = must(w.directory().tenants(&w.admin(), after, 2).await);
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        paged.extend(page);
        ends(&paged);
    }
    assert_eq!(paged, expected);
}

pub(super) async fn tenant_is_none_when_missing(w: World) {
    let (one, nobody) = (w.tenant("one").await, w.nobody());
    assert_eq!(found(w.directory().tenant(&one).await).id, one.tenant());
    assert_eq!(must(w.directory().tenant(&nobody).await), None);
    assert_eq!(must(w.directory().settings(&nobody).await), None);
    assert!(!must(w.directory().put_settings(&nobody, &TenantSettings::default()).await));
    assert_eq!(must(w.directory().tenant(&nobody).await), None, "nor does putting settings make one");
}

pub(super) async fn settings_default_until_put(w: World) {
    let (one, other) = (w.tenant("one").await, w.tenant("other").await);
    assert_eq!(found(w.directory().settings(&one).await), TenantSettings::default());
    let settings = TenantSettings { max_retries: 9, ..TenantSettings::default() };
    w.put_settings(&other, &settings).await;
    assert_eq!(
        found(w.directory().settings(&one).await),
        TenantSettings::default(),
        "another's are another's"
    );
}

pub(super) async fn put_settings_come_back(mut w: World) {
    let one = w.tenant("one").await;
    let prices = PriceList {
        currency: value("USD"),
        per_message: [(Category::Marketing, 25_000), (Category::Utility, 0)].into(),
    };
    let settings = TenantSettings {
        paused: true,
        max_retries: 0,
        retry_after_seconds: vec![86_400, 1],
        retry_backoff: Some(RetryBackoff { base_seconds: 7, factor: 3, cap_seconds: 90, jitter_percent: 20 }),
        later_retries: 2,
        alerts: AlertSettings { failing_percent: 7, pause_failures: 0, ..AlertSettings::default() },
        prices: Some(prices.into()),
        billing_offset: UtcOffset::from_minutes(330).expect("an offset"),
        budget: TenantBudget { monthly: Some(Money { micros: 7, currency: value("USD") }), total: None },
        template_cooldown: None,
        window_tracking: false,
        cost_tracking: false,
        outside_window: OutsideWindow::Fallback,
        frequency_cap: Some(FrequencyCap { times: 3, days: 30, ..FrequencyCap::default() }),
        quality: QualityPolicy { yellow_percent: 10, red: WhenRed::Slow },
        require_opt_in: true,
        in_doubt: InDoubtPolicy::ResendAfterProvenSilence { after: std::time::Duration::from_secs(90) },
        safe_mode: Some([Recipient::from(w.fresh_phone())].into()),
        time_zone: value("Asia/Kathmandu"),
        quiet_hours: Some(QuietSettings {
            hours: vec![QuietHours {
                from: value("21:15"),
                to: value("08:00"),
                days: [chrono::Weekday::Sat].into_iter().collect(),
            }],
            lanes: [Lane::Bulk, Lane::Transactional].into(),
            except: [Category::Utility].into(),
        }),
    };
    let dated = TenantSettings { prices: Some(PriceBook::meta()), ..settings.clone() };
    w.put_settings(&one, &dated).await;
    assert_eq!(found(w.directory().settings(&one).await), dated);
    w.put_settings(&one, &TenantSettings::default()).await;
    w.put_settings(&one, &settings).await;
    assert_eq!(found(w.directory().settings(&one).await), settings);
    w.reopen().await;
    assert_eq!(found(w.directory().settings(&one).await), settings);
}

pub(super) async fn put_settings_bind_the_next_begin(w: World) {
    let (scope, session, own) = w.one().await;
    let campaign = w.campaign(&scope, session.id, 2).await;
    w.single(&scope, session.id).await;
    let page = w.due(&own, session.id).await.messages;
    let paused = TenantSettings { paused: true, ..TenantSettings::default() };
    w.put_settings(&scope, &paused).await;
    let begun = w.begin(&own, session.id, &page, standard()).await;
    assert!(begun.attempts.is_empty(), "a page that was read before begins nothing: {begun:?}");
    assert!(begun.stopped.iter().all(|stopped| stopped.why == HoldReason::TenantPaused));
    let groups: Vec<_> = begun.stopped.iter().map(|stopped| stopped.campaign).collect();
    assert!(groups.contains(&None) && groups.contains(&Some(campaign.id)), "{groups:?}");
    w.put_settings(&scope, &TenantSettings::default()).await;
    assert_eq!(w.begin(&own, session.id, &page, standard()).await.attempts.len(), 3);

    // Retries go by the settings of their own time.
    let key = w.begun(&scope, session.id, &own).await.key;
    let settings = TenantSettings { retry_after_seconds: vec![33], ..TenantSettings::default() };
    w.put_settings(&scope, &settings).await;
    let refusal = crate::testing::store::world::rejected(crate::model::RejectClass::Retry, 1);
    assert_eq!(w.settle(key, refusal).await.due_at, Some(w.after(33)));
    assert_eq!(only(w.view(&scope, key.message).await.attempts).n, 1);
}
