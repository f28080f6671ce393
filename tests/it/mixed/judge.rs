//! The verdict: the simulator's own, what the test counts again from plain data, and the library's
//! books beside the simulator's.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Timelike, Utc};
use wa_kit::model::{CampaignCounts, CampaignId, Fact, MessageState, MessageView};
use wa_kit::simulator::Accepted;

use super::people::{NIGHT, at, local};
use super::script::Script;
use super::world::{COOLDOWN, NUMBERS, SLACK, TEMPLATES, World};

/// What a send is: the template's name, or the kind of free-form content.
fn name(sent: &Accepted) -> &str {
    sent.template.as_deref().map_or(sent.kind.as_str(), |template| template.trim_end_matches("/en"))
}

/// Free-form texts are those of campaigns; single answers are locations.
fn is_bulk(sent: &Accepted) -> bool {
    sent.kind == "text" || TEMPLATES.iter().any(|(own, _, bulk)| *bulk && *own == name(sent))
}

fn span(of: Duration) -> TimeDelta {
    TimeDelta::from_std(of).expect("it fits")
}

/// No rule of the provider and none of the house was broken.
pub(super) fn rules(world: &World, wanted: u64, script: &Script) {
    let stats = world.simulator.stats();
    let accepted = world.simulator.accepted();
    let [wrote, words, menus] = script.wrote;
    println!("requests {}, accepted {}, refused by code {:?}", stats.requests, stats.accepted, stats.refused);
    println!("faults {:?}, webhooks {:?}", stats.faults, stats.callbacks);
    println!("users wrote {wrote} times, of these {words} stop words; {menus} stops by the menu");
    let mut sent: BTreeMap<_, u64> = BTreeMap::new();
    for one in &accepted {
        let lane = if is_bulk(one) { "bulk" } else { "transactional" };
        *sent
            .entry((one.category.as_str(), lane, if one.in_window { "in window" } else { "outside" }))
            .or_default() += 1;
    }
    for ((category, lane, window), count) in sent {
        println!("  {category:<15} {lane:<14} {window:<10} {count}");
    }
    let again = recounted(&accepted, script);
    println!(
        "violations: window {}, throughput {}, pair {}, tier {}, opt-out {}, misaddressed {}, repeated tags {}, repeated {}, house {:?}",
        stats.window_violations,
        stats.throughput_violations,
        stats.pair_violations,
        stats.tier_violations,
        stats.opt_out_violations,
        stats.misaddressed,
        stats.repeated_tags,
        stats.repeated,
        stats.house_violations,
    );
    println!("counted again from plain data: {again:?}");
    for violation in world.simulator.violations().iter().take(10) {
        println!("  {violation:?}");
    }
    assert_eq!((stats.violations(), stats.repeated), (0, 0), "a rule was broken");
    assert_eq!(again, Again::default(), "a rule of the bulk lane was broken");
    for code in [130_429, 132_015] {
        assert!(stats.refused.contains_key(&code), "nothing was throttled, or paused in the middle");
    }
    assert!(stats.accepted >= wanted, "{} of {wanted} sends", stats.accepted);
}

/// Rules of the whole bulk lane, which the simulator cannot tell from the other one.
#[derive(Debug, Default, PartialEq, Eq)]
struct Again {
    at_night: u64,
    too_soon: u64,
    after_stop_word: u64,
}

fn recounted(accepted: &[Accepted], script: &Script) -> Again {
    let mut again = Again::default();
    let mut last: HashMap<&str, DateTime<Utc>> = HashMap::new();
    for sent in accepted.iter().filter(|sent| is_bulk(sent)) {
        let hour = local(&sent.recipient, sent.at).hour();
        again.at_night += u64::from(hour >= NIGHT.0 || hour < NIGHT.1);
        let stopped = script.stopped.get(&sent.recipient);
        again.after_stop_word += u64::from(stopped.is_some_and(|when| sent.at > *when + span(SLACK)));
        if sent.template.is_some() {
            let before = last.get(sent.recipient.as_str());
            again.too_soon +=
                u64::from(before.is_some_and(|before| sent.at < *before + span(COOLDOWN - SLACK)));
            // What failed has reached nobody.
            if sent.delivered_at.is_some() {
                last.insert(&sent.recipient, sent.at);
            }
        }
    }
    again
}

/// While a campaign had messages for everybody awake, the numbers were used to at least 95 %.
pub(super) fn pace(world: &World, bursts: &[(&str, &str)]) {
    let accepted = world.simulator.accepted();
    for number in NUMBERS.iter().take(2) {
        for (campaign, from) in bursts {
            // Demand ends with the last recipient's first message: what failed and goes again waits.
            let mut seen = HashSet::new();
            let own = |sent: &&Accepted| sent.number == *number && name(sent) == *campaign;
            let near = |sent: &&Accepted| sent.at < at(from) + TimeDelta::hours(1);
            let first = accepted.iter().filter(own).filter(near).filter(|sent| seen.insert(&sent.recipient));
            let until = first.map(|sent| sent.at).max().expect("it sends");
            world.simulator.demand(number, at(from), until).expect("a number");
            println!("number {number}: {campaign} had {} messages for {}", seen.len(), until - at(from));
        }
        let pace = world.simulator.pace(number).expect("a number");
        println!(
            "number {number}: achieved {} of {} allowed: {} ‰; busiest second {}",
            pace.achieved,
            pace.allowed,
            pace.achieved_permille().unwrap_or_default(),
            pace.busiest_second
        );
        assert!(pace.achieved_permille() >= Some(950), "{pace:?}");
    }
}

/// The library's books are those of the simulator: every message, every status, every micro.
pub(super) async fn accounts(world: &World, campaigns: &[CampaignId], script: &Script) {
    let mut views = Vec::new();
    let mut reasons: BTreeMap<String, u64> = BTreeMap::new();
    for id in campaigns {
        let (own, counts) = campaign(world, *id).await;
        for (reason, count) in counts.reasons {
            *reasons.entry(reason).or_default() += count;
        }
        views.extend(own);
    }
    for id in &script.singles {
        views.push(world.tenant.messages().get(*id).await.expect("a message"));
    }
    let mut held: BTreeMap<String, u64> = BTreeMap::new();
    for (reason, _) in views.iter().filter_map(|view| view.held) {
        *held.entry(reason.as_str().to_owned()).or_default() += 1;
    }
    println!("skipped and failed in campaigns: {reasons:?}");
    println!("still held at the end: {held:?}");
    statuses(world, &views);

    let accepted = world.simulator.accepted();
    let truly = accepted.iter().filter(|sent| sent.delivered_at.is_some()).count();
    let taken = views.iter().filter(|view| is_taken(view.state)).count();
    let unknown =
        views.iter().filter(|view| matches!(view.state, MessageState::InDoubt | MessageState::Attempting));
    println!("the library has {taken} messages accepted, the simulator {truly}");
    assert_eq!((taken, unknown.count()), (truly, 0));

    let cost = world.tenant.costs().everything().await.expect("a cost");
    let mut charged: BTreeMap<String, (u64, i64)> = BTreeMap::new();
    for line in world.simulator.ledger() {
        assert_eq!((line.unpriced, line.currency.as_str()), (0, "USD"), "{line:?}");
        let own = charged.entry(line.category).or_default();
        *own = (own.0 + line.delivered, own.1 + line.amount);
    }
    let micros = |of: &BTreeMap<_, i64>| of.values().sum::<i64>();
    let by_category = cost.by_category.iter();
    let own: BTreeMap<_, _> = by_category
        .map(|(category, cost)| (category.as_str().to_owned(), (cost.messages, micros(&cost.micros))))
        .collect();
    println!("the simulator charged {charged:?}");
    println!("the library's cost is {own:?}, altogether {} micros", micros(&cost.micros));
    assert_eq!(own, charged, "the books differ");
    let all: i64 = charged.values().map(|(_, amount)| amount).sum();
    assert_eq!((micros(&cost.micros), cost.unpriced, cost.settled), (all, 0, cost.messages));
}

const fn is_taken(state: MessageState) -> bool {
    use MessageState as S;
    match state {
        S::Accepted | S::Sent | S::Delivered | S::Read | S::Played => true,
        S::Pending | S::Held | S::Attempting | S::Failed | S::InDoubt | S::Skipped => false,
    }
}

/// The messages of a campaign, whose counts are what a recount gives.
async fn campaign(world: &World, id: CampaignId) -> (Vec<MessageView>, CampaignCounts) {
    let campaigns = world.tenant.campaigns();
    let name = campaigns.get(id).await.expect("a campaign").name;
    let counts = campaigns.counts(id).await.expect("counts");
    println!(
        "campaign {}: audience {}, accepted {}, delivered {}, read {}, failed {}, skipped {}, pending {}, in doubt {}, retries {}",
        name.as_str(),
        counts.audience,
        counts.accepted,
        counts.delivered,
        counts.read,
        counts.failed,
        counts.skipped,
        counts.pending,
        counts.in_doubt,
        counts.retries
    );
    let mut views: Vec<MessageView> = Vec::new();
    loop {
        let after = views.last().map(|view| view.id);
        let page = campaigns.recipients(id, after, 500).await.expect("recipients");
        if page.is_empty() {
            break;
        }
        views.extend(page);
    }
    let count = |of: fn(MessageState) -> bool| {
        u64::try_from(views.iter().filter(|view| of(view.state)).count()).expect("it fits")
    };
    let again = (
        count(|_| true),
        count(is_taken),
        count(|state| matches!(state, MessageState::Delivered | MessageState::Read)),
        count(|state| state == MessageState::Read),
        count(|state| state == MessageState::Failed),
    );
    assert_eq!(again, (counts.audience, counts.accepted, counts.delivered, counts.read, counts.failed));
    (views, counts)
}

/// Every status that was told is a fact of the attempt that it belongs to, and no other is.
fn statuses(world: &World, views: &[MessageView]) {
    let told = world.told.lock().expect("no holder panics");
    let facts = [
        ("sent", Fact::Sent),
        ("delivered", Fact::Delivered),
        ("read", Fact::Read),
        ("failed", Fact::Failed),
    ];
    for (status, fact) in facts {
        let attempts = views.iter().flat_map(|view| &view.attempts);
        let ids = attempts.filter(|attempt| attempt.facts.has(fact));
        let ids: HashSet<String> = ids.filter_map(|attempt| attempt.facts.provider_id.clone()).collect();
        let truth = told.get(status).cloned().unwrap_or_default();
        println!("{status}: told {}, known {}", truth.len(), ids.len());
        assert!(ids == truth, "{status} differs");
    }
}
