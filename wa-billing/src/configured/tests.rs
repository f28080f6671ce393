//! The clauses of the billing seam, and what a configuration may not say.

use wa_core::model::from_micros;

use super::*;

fn tenant(number: u128, name: &str) -> Tenant {
    Tenant {
        id: TenantId::from_uuid(uuid::Uuid::from_u128(number)),
        name: name.parse().expect("a name"),
        created_at: from_micros(0),
    }
}

fn plans() -> ConfiguredPlans {
    let builder = ConfiguredPlans::builder().plan(Plan { sessions: Some(3), ..Plan::named("own") });
    builder.tenant("acme".parse().expect("a name"), "own").fallback("basic").build().expect("plans")
}

fn report(key: &str, tenant: u128, period: &str, messages: u64) -> UsageReport {
    UsageReport {
        key: key.to_owned(),
        tenant: TenantId::from_uuid(uuid::Uuid::from_u128(tenant)),
        period: period.parse().expect("a month"),
        messages,
    }
}

fn usage(plans: &ConfiguredPlans, number: u128, period: &str) -> u64 {
    plans.usage(TenantId::from_uuid(uuid::Uuid::from_u128(number)), period.parse().expect("a month"))
}

#[tokio::test]
async fn entitlement_answers_for_every_tenant() {
    let plans = plans();
    let own = plans.entitlement(&tenant(1, "acme")).await.expect("an answer");
    assert_eq!((own.plan.as_str(), own.sessions, own.messages_per_month), ("own", Some(3), None));
    let other = plans.entitlement(&tenant(2, "nobody")).await.expect("an answer");
    assert_eq!(other, Plan::basic().entitlement());
    assert!(!other.suspended);
}

#[tokio::test]
async fn entitlement_is_stable() {
    let plans = plans();
    for tenant in [tenant(1, "acme"), tenant(2, "nobody")] {
        let first = plans.entitlement(&tenant).await.expect("an answer");
        plans.report(&report("k", 1, "2026-11", 10)).await.expect("noted");
        assert_eq!(plans.entitlement(&tenant).await.expect("an answer"), first);
    }
}

#[tokio::test]
async fn report_is_idempotent_by_key() {
    let plans = plans();
    let once = report("acme-2026-11-01", 1, "2026-11", 40);
    for usage in [&once, &once, &report("acme-2026-11-02", 1, "2026-11", 2), &once] {
        plans.report(usage).await.expect("noted");
    }
    assert_eq!(usage(&plans, 1, "2026-11"), 42);
    assert_eq!(usage(&plans, 1, "2026-12"), 0);
    assert_eq!(usage(&plans, 2, "2026-11"), 0);
}

#[tokio::test]
async fn the_same_key_of_two_tenants_counts_for_both() {
    let plans = plans();
    for number in [1, 2] {
        plans.report(&report("2026-11-01", number, "2026-11", 5)).await.expect("noted");
    }
    assert_eq!((usage(&plans, 1, "2026-11"), usage(&plans, 2, "2026-11")), (5, 5));
}

#[tokio::test]
async fn reports_do_not_grow_for_ever() {
    let plans = plans();
    for year in 2026..2036 {
        for month in 1..=12 {
            let period = format!("{year}-{month:02}");
            plans.report(&report(&period, 1, &period, 1)).await.expect("noted");
        }
    }
    assert_eq!(plans.reports().values().map(BTreeMap::len).sum::<usize>(), MONTHS);
    plans.report(&report("2026-01", 1, "2026-01", 1)).await.expect("noted");
    assert_eq!((usage(&plans, 1, "2026-01"), usage(&plans, 1, "2035-12")), (0, 1));
}

#[test]
fn the_ready_plans_have_the_promised_sessions() {
    let sessions = Plan::ready().map(|plan| (plan.name, plan.sessions));
    let expected = [("free", Some(1)), ("basic", Some(5)), ("pro", Some(20)), ("enterprise", None)];
    assert_eq!(sessions, expected.map(|(name, limit)| (name.to_owned(), limit)));
    let messages = Plan::ready().map(|plan| plan.messages_per_month.unwrap_or(u64::MAX));
    assert!(messages.is_sorted(), "{messages:?}");
}

#[test]
fn a_wrong_configuration_says_what_is_wrong() {
    let name = |text: &str| text.parse::<TenantName>().expect("a name");
    let new = ConfiguredPlans::builder;
    let cases = [
        (
            new().plan(Plan::named(" ")),
            "a plan name must be 1 to 64 characters without control characters, and \" \" is not",
        ),
        (new().plan(Plan::named("a")).plan(Plan::named("a")), "the plan \"a\" is defined twice"),
        (
            new().tenant(name("acme"), "gold"),
            "the tenant \"acme\" has the plan \"gold\", which is not defined",
        ),
        (new().tenant(name("acme"), "pro").tenant(name("acme"), "free"), "the tenant \"acme\" has two plans"),
        (new().fallback("none"), "the fallback is the plan \"none\", which is not defined"),
    ];
    for (builder, expected) in cases {
        assert_eq!(builder.build().expect_err(expected).to_string(), expected);
    }
}

#[test]
fn an_own_plan_replaces_a_ready_one() {
    let own = Plan { messages_per_month: Some(7), ..Plan::free() };
    let plans = ConfiguredPlans::builder().plan(own.clone()).build().expect("plans");
    assert_eq!(plans.plan_of(&"anybody".parse().expect("a name")), &own);
}

#[test]
fn plans_are_read_from_a_file() {
    let text = r#"{"plans":[{"name":"own","sessions":2}],"tenants":{"acme":"own"},"fallback":"free"}"#;
    let config: PlansConfig = serde_json::from_str(text).expect("a configuration");
    let plans = ConfiguredPlans::try_from(config).expect("plans");
    assert_eq!(plans.plan_of(&"acme".parse().expect("a name")).sessions, Some(2));
    assert!(serde_json::from_str::<PlansConfig>(r#"{"fallback":"free","plan":[]}"#).is_err());
    assert!(serde_json::from_str::<PlansConfig>("{}").is_err());
}

mod conformance {
    //! The suite of the seam, as any other billing runs it.

    use std::sync::{Arc, Mutex};

    use wa_core::model::{Period, TenantId};
    use wa_core::port::Billing;
    use wa_core::testing::billing::{BillingFixture, Subscribed};

    use super::{ConfiguredPlans, Plan, tenant};

    #[derive(Default)]
    struct Fixture(Mutex<Option<Arc<ConfiguredPlans>>>);

    impl Fixture {
        fn keep(&self, plans: ConfiguredPlans) -> Arc<ConfiguredPlans> {
            let plans = Arc::new(plans);
            *self.0.lock().expect("a lock") = Some(plans.clone());
            plans
        }
    }

    #[async_trait::async_trait]
    impl BillingFixture for Fixture {
        async fn open(&self) -> Arc<dyn Billing> {
            self.keep(ConfiguredPlans::builder().build().expect("plans"))
        }

        async fn subscribed(&self) -> Option<Subscribed> {
            let named =
                [("acme", Plan::pro()), ("acme 2", Plan::basic()), ("Acme & Søn", Plan::enterprise())];
            let mut builder = ConfiguredPlans::builder();
            let mut tenants = Vec::new();
            for (number, (name, plan)) in (1..).zip(named) {
                let tenant = tenant(number, name);
                builder = builder.tenant(tenant.name.clone(), plan.name.clone());
                tenants.push((tenant, plan.entitlement()));
            }
            Some(Subscribed { billing: self.keep(builder.build().expect("plans")), tenants })
        }

        async fn unreachable(&self) -> Option<Arc<dyn Billing>> {
            None // nobody is asked
        }

        async fn counted(&self, _: &dyn Billing, tenant: TenantId, period: Period) -> Option<u64> {
            let plans = self.0.lock().expect("a lock").clone().expect("it is open");
            Some(plans.usage(tenant, period))
        }
    }

    wa_core::billing_conformance!(Fixture::default());
}
