//! A preflight says what the campaign then does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use wa_core::memory::MemoryStore;
use wa_core::model::{
    CampaignState, Category, Content, Currency, Entitlement, HoldReason, ListName, MessageState, Phone,
    PriceList, SessionId, SessionReport, SessionSetting, SkipReason, TemplateContent, Throughput, Tier,
    WarmUp, from_micros,
};
use wa_core::port::store::Store;
use wa_core::service::{CampaignSpec, EngineConfig, Kit, Number, Preflight, TenantHandle};
use wa_core::testing::{Driver, ManualClock, ScriptedTransport, SeededEntropy, scope};

struct Stage {
    clock: Arc<ManualClock>,
    transport: Arc<ScriptedTransport>,
    store: Arc<MemoryStore>,
    kit: Kit,
    tenant: TenantHandle,
    session: SessionId,
}

impl Stage {
    async fn new(throughput: u32, tier: Tier) -> Self {
        let clock = Arc::new(ManualClock::new(from_micros(1_790_000_000_000_000)));
        let transport = Arc::new(ScriptedTransport::new(clock.clone()));
        transport.set_report(Some(SessionReport {
            throughput: Throughput::try_from(throughput).ok(),
            tier: Some(tier),
            ..SessionReport::default()
        }));
        let store = Arc::new(MemoryStore::new(clock.clone()));
        let kit = Kit::builder(store.clone())
            .transport("cloud", transport.clone())
            .clock(clock.clone())
            .entropy(Arc::new(SeededEntropy::new(3)))
            // Days pass in these tests: what only guards against other workers may recur seldom.
            .engine(EngineConfig {
                lease: Duration::from_secs(600),
                heartbeat: Duration::from_secs(200),
                poll_every: Duration::from_secs(60),
                ..EngineConfig::default()
            })
            .build()
            .await
            .expect("a kit");
        let tenant = kit.tenants().ensure("acme").await.expect("a tenant");
        let session = tenant.sessions().add(&Number::cloud("100")).await.expect("a session").id;
        tenant.sessions().check(session).await.expect("a report");
        Self { clock, transport, store, kit, tenant, session }
    }

    async fn members(&self, count: u64) -> ListName {
        let list: ListName = "news".parse().expect("a list");
        for n in 0..count {
            let phone = Phone::try_from(4_915_100_000_000 + n).expect("a phone");
            // One in ten has no name.
            let attributes = if n % 10 == 9 { vec![] } else { vec![("name".to_owned(), format!("N{n}"))] };
            let contacts = self.tenant.contacts();
            let added = contacts.upsert(phone.into(), attributes.into_iter().collect(), Some(list.clone()));
            added.await.expect("a contact");
        }
        list
    }

    fn spec(&self, list: &ListName, sessions: Vec<SessionId>) -> CampaignSpec {
        let (name, language) = ("offer".parse().expect("a name"), "en".parse().expect("a language"));
        let template =
            TemplateContent::with_body(name, language, Category::Marketing, ["{{name}}".to_owned()]);
        let content = Content::Template(template.expect("a template"));
        CampaignSpec::new("spring".parse().expect("a name"), list.clone(), content, sessions)
    }

    /// What the campaign really does until an instant, in the form of a preflight.
    async fn launch(&self, spec: CampaignSpec, span: Duration) -> (Preflight, CampaignState) {
        let campaigns = self.tenant.campaigns();
        let campaign = campaigns.create(spec).await.expect("a campaign").id;
        campaigns.launch(campaign, |_| {}).await.expect("a launch");
        let mut driver = Driver::new(&self.kit, self.clock.clone());
        driver.run_for(span).await;
        let mut real = Preflight::default();
        for view in campaigns.recipients(campaign, None, 10_000).await.expect("recipients") {
            real.audience += 1;
            match view.state {
                MessageState::Accepted => {
                    real.go += 1;
                    *real.by_session.entry(view.session).or_default() += 1;
                }
                MessageState::Skipped => {
                    *real.blocked.entry(view.skipped.expect("a reason")).or_default() += 1;
                }
                state => assert!(matches!(state, MessageState::Pending | MessageState::Held), "{state}"),
            }
        }
        let counts = campaigns.counts(campaign).await.expect("counts");
        real.unpriced = counts.unpriced;
        let cost = counts.cost.into_iter().map(|(currency, micros)| (currency.parse().expect("ISO"), micros));
        real.cost = cost.collect();
        let sent: Vec<DateTime<Utc>> = self.transport.sent().iter().map(|request| request.at).collect();
        (real.starts_at, real.ends_at) = (sent.iter().min().copied(), sent.iter().max().copied());
        let state = campaigns.get(campaign).await.expect("a campaign").state;
        (real, state)
    }
}

fn close(a: Option<DateTime<Utc>>, b: Option<DateTime<Utc>>, most: TimeDelta) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => (a - b).abs() <= most,
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// Compares a preflight with what happened; returns the preflight.
async fn check(stage: &Stage, spec: CampaignSpec, span: TimeDelta) -> Preflight {
    let said = stage.tenant.campaigns().preflight_within(spec.clone(), span).await.expect("a preflight");
    assert!(stage.transport.sent().is_empty(), "nothing is sent by a preflight");
    let (real, _) = stage.launch(spec, span.to_std().expect("a span")).await;
    assert_eq!((said.audience, said.go, &said.blocked), (real.audience, real.go, &real.blocked), "{said:?}");
    assert_eq!((&said.by_session, &said.cost, said.unpriced), (&real.by_session, &real.cost, real.unpriced));
    assert!(close(said.starts_at, real.starts_at, TimeDelta::seconds(1)), "{said:?} {real:?}");
    assert!(close(said.ends_at, real.ends_at, TimeDelta::seconds(6)), "{said:?} {real:?}");
    assert_eq!(said.audience, said.go + said.blocked.values().sum::<u64>() + said.held.values().sum::<u64>());
    said
}

#[tokio::test]
async fn a_plain_campaign_goes_as_it_was_said_to() {
    let stage = Stage::new(20, Tier::Unlimited).await;
    let list = stage.members(200).await;
    let spec = stage.spec(&list, vec![stage.session]);
    let said = check(&stage, spec, TimeDelta::minutes(5)).await;
    assert_eq!((said.go, said.blocked.get(&SkipReason::MissingParameter)), (180, Some(&20)));
    let took = said.ends_at.expect("an end") - said.starts_at.expect("a start");
    assert!((8_800..9_300).contains(&took.num_milliseconds()), "180 at 20 a second: {took}");
}

#[tokio::test]
async fn two_numbers_share_and_a_warm_up_slows_one_down() {
    let stage = Stage::new(80, Tier::Unlimited).await;
    let other = stage.tenant.sessions().add(&Number::cloud("200")).await.expect("a session").id;
    let warm_up = WarmUp { since: None, caps: vec![5, 10] };
    let change = SessionSetting::WarmUp(Some(warm_up));
    let numbers = stage.store.numbers();
    numbers.set_session(&scope::tenant(stage.tenant.id()), other, &change).await.expect("set");
    let list = stage.members(100).await;
    let said = check(&stage, stage.spec(&list, vec![stage.session, other]), TimeDelta::days(3)).await;
    assert_eq!(said.go, 90);
    let waits = said.waits.get(&HoldReason::WarmUpFull).expect("some wait for the next day");
    assert!(waits.messages > 30, "{said:?}");
}

#[tokio::test]
async fn a_messaging_limit_spreads_a_campaign_over_days() {
    let stage = Stage::new(80, Tier::Limited(25)).await;
    let list = stage.members(60).await;
    let said = check(&stage, stage.spec(&list, vec![stage.session]), TimeDelta::days(3)).await;
    assert_eq!(said.go, 54);
    assert!(said.waits.contains_key(&HoldReason::TierFull));
    let took = said.ends_at.expect("an end") - said.starts_at.expect("a start");
    assert!(took > TimeDelta::days(2), "{took}");
}

#[tokio::test]
async fn a_quota_that_is_used_up_holds_the_rest() {
    let stage = Stage::new(80, Tier::Unlimited).await;
    let entitlement = Entitlement { messages_per_month: Some(30), ..Entitlement::unlimited() };
    let scope = scope::tenant(stage.tenant.id());
    stage.store.ledger().set_entitlement(&scope, &entitlement).await.expect("set");
    let usd: Currency = "USD".parse().expect("a currency");
    let mut settings = stage.tenant.settings().await.expect("settings");
    let per_message = BTreeMap::from([(Category::Marketing, 25_000)]);
    settings.prices = Some(PriceList { currency: usd, per_message }.into());
    stage.tenant.put_settings(&settings).await.expect("put");
    let list = stage.members(50).await;
    let said = check(&stage, stage.spec(&list, vec![stage.session]), TimeDelta::hours(2)).await;
    assert_eq!((said.go, said.cost.get(&usd)), (30, Some(&750_000)));
    assert_eq!(said.held, BTreeMap::from([(HoldReason::QuotaFull, 15)]));
}

#[tokio::test]
async fn what_cannot_go_at_all_is_held_and_said_so() {
    let stage = Stage::new(80, Tier::Unlimited).await;
    let mut settings = stage.tenant.settings().await.expect("settings");
    settings.paused = true;
    stage.tenant.put_settings(&settings).await.expect("put");
    let list = stage.members(20).await;
    let said = check(&stage, stage.spec(&list, vec![stage.session]), TimeDelta::hours(1)).await;
    assert_eq!((said.go, said.ends_at), (0, None));
    assert_eq!(said.held.get(&HoldReason::TenantPaused), Some(&18), "{said:?}");
}
