//! Everything at once, with the simulator as judge: campaigns of all categories, one-time codes in
//! between, people who write, stop and sleep, throttles, a messaging limit, a paused template, and
//! the two nights of 2026 in which the clocks of Europe and of New York go back.
//!
//! `WA_MIXED=100000` is the long form, `WA_MIXED_SEED` another world.

mod judge;
mod people;
mod script;
mod world;

use std::time::Duration;

use chrono::TimeDelta;
use wa_kit::model::{CampaignContent, Content};
use wa_kit::simulator::{Quality, TemplateStatus};

use crate::figure;

use people::{Person, at};
use script::{Act, Dice, Script};
use world::{STOP_WORDS, Size, World, template};

fn greeting(name: &str) -> Content {
    Content::Template(template(name, "{{name}}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mixed_sends_break_no_rule_and_use_what_the_limits_allow() {
    let wanted = figure("WA_MIXED", 3_000);
    let is_long = wanted >= 20_000;
    let size = Size {
        seed: figure("WA_MIXED_SEED", 1),
        throughput: [80, if is_long { 1_000 } else { 80 }, 80],
        tier: if is_long { 2_000 } else { 50 },
    };
    let mut dice = Dice::new(size.seed);
    let everybody: Vec<Person> =
        (0..usize::try_from(wanted).expect("it fits") * 2 / 5).map(Person::nth).collect();
    let mut world = World::new(at("2026-10-24T13:50:00Z"), size).await;
    let mut script = Script::default();

    let writers: Vec<bool> = everybody.iter().map(|_| dice.chance(25)).collect();
    let (spring, others): (Vec<_>, Vec<_>) = everybody.iter().partition(|_| dice.chance(60));
    world.put_on(spring.into_iter(), "spring").await;
    // Those who got spring may not get another template on the same evening.
    world.put_on(others.into_iter().filter(|_| dice.chance(75)), "notice").await;
    for (list, share) in [("small", 10), ("loyal", 10), ("sunday", 40), ("autumn", 60)] {
        world.put_on(everybody.iter().filter(|_| dice.chance(share)), list).await;
    }
    for list in ["chat1", "chat2"] {
        let of = everybody.iter().zip(&writers);
        let members: Vec<_> =
            of.filter(|(_, writes)| dice.chance(if **writes { 60 } else { 15 })).map(|(it, _)| it).collect();
        world.put_on(members.into_iter(), list).await;
    }
    world.put_on(everybody.iter().filter(|person| person.is_american()), "night").await;

    // A quarter of the people write to both numbers; these windows close during chat2, a day later.
    let first = at("2026-10-24T14:00:00Z");
    for (person, _) in everybody.iter().zip(&writers).filter(|(_, writes)| **writes) {
        let when = first + TimeDelta::milliseconds(dice.below(240) * 1_000);
        for by in [0, 1] {
            script.put(when, Act::Write { by, who: person.clone(), text: "Hello".to_owned() });
        }
        if dice.chance(40) {
            let reply = Act::Reply { by: 0, who: person.clone(), count: 1 };
            script.put(when + TimeDelta::seconds(30), reply);
        }
    }
    // One of them gets sixty answers at once, more than a pair's burst.
    let talker = everybody.iter().zip(&writers).find(|(_, writes)| **writes).expect("somebody writes").0;
    script.put(at("2026-10-24T14:06:00Z"), Act::Reply { by: 1, who: talker.clone(), count: 60 });
    // Codes and receipts go round the clock, each to a person of its own; stops come by both ways.
    let singles = [
        ("2026-10-24T14:10:00Z", 30, 12),
        ("2026-10-24T18:59:00Z", 120, 15),
        ("2026-10-24T20:00:00Z", 36_000, 25),
        ("2026-10-25T06:55:00Z", 900, 25),
        ("2026-10-25T14:00:00Z", 600, 10),
        ("2026-10-31T18:00:00Z", 120, 13),
    ];
    let mut next = 0..everybody.len();
    for (from, seconds, percent) in singles {
        for _ in 0..everybody.len() * percent / 1_000 {
            let mut when = || at(from) + TimeDelta::milliseconds(dice.below(seconds) * 1_000);
            let (code, receipt, stop, prefer) = (when(), when(), when(), when());
            let mut somebody = || next.next().map(|place| everybody[place * 7 % everybody.len()].clone());
            let (Some(first), Some(second)) = (somebody(), somebody()) else { break };
            script.put(code, Act::Code { by: usize::from(dice.chance(50)), who: first });
            script.put(receipt, Act::Receipt { by: usize::from(dice.chance(50)), who: second });
            let mut anybody = || {
                let place = dice.below(i64::try_from(everybody.len()).expect("it fits"));
                everybody[usize::try_from(place).expect("it fits")].clone()
            };
            let (stops, prefers) = (anybody(), anybody());
            if dice.chance(30) {
                let word = STOP_WORDS[usize::try_from(dice.below(4)).expect("it fits")];
                script.put(stop, Act::Write { by: 0, who: stops, text: word.to_owned() });
            }
            if dice.chance(30) {
                script.put(prefer, Act::Prefer { by: 1, who: prefers });
            }
        }
    }
    let status = |template, status| Act::Template { template, status };
    script.put(at("2026-10-24T16:00:00.2Z"), status("loyal", TemplateStatus::Paused));
    script.put(at("2026-10-24T16:20:00Z"), status("loyal", TemplateStatus::Approved));
    script.put(at("2026-10-25T07:00:00.5Z"), status("sunday", TemplateStatus::Paused));
    script.put(at("2026-10-25T07:10:00Z"), status("sunday", TemplateStatus::Approved));
    script.put(at("2026-10-24T14:40:00.3Z"), Act::Storm { by: 0, seconds: 2 });
    script.put(at("2026-10-25T05:30:00Z"), Act::Quality { by: 1, quality: Quality::Yellow });
    script.put(at("2026-10-25T07:10:01Z"), Act::Storm { by: 0, seconds: 3 });
    script.put(at("2026-10-25T12:00:00Z"), Act::Quality { by: 1, quality: Quality::Green });
    if is_long {
        script.put(at("2026-10-24T14:11:00Z"), Act::Storm { by: 0, seconds: 5 });
    }

    script.play(&mut world, at("2026-10-24T14:10:00Z")).await;
    let mut campaigns = vec![world.launch("spring", &[0, 1], greeting("spring"), |_| {}).await];
    script.play(&mut world, at("2026-10-24T14:40:00Z")).await;
    let chat =
        |name: &'static str| Content::text(format!("Dear {{{{name}}}}, this is {name}")).expect("a text");
    let fallback = |name: &str| {
        Some(CampaignContent::new(Content::Template(template("news", &format!("{{{{name}}}} {name}")))))
    };
    campaigns
        .push(world.launch("chat1", &[0, 1], chat("chat1"), |spec| spec.fallback = fallback("chat1")).await);
    script.play(&mut world, at("2026-10-24T15:30:00Z")).await;
    let until = Some(at("2026-10-26T08:00:00Z"));
    campaigns.push(world.launch("small", &[2], greeting("small"), |spec| spec.valid_until = until).await);
    script.play(&mut world, at("2026-10-24T16:00:00Z")).await;
    campaigns.push(world.launch("loyal", &[1], greeting("loyal"), |_| {}).await);
    script.play(&mut world, at("2026-10-24T16:25:00Z")).await;
    world.hear().await;
    world.sleep_until(at("2026-10-24T18:50:00Z"));
    // Evening falls in Berlin and Madrid while it is sent.
    script.play(&mut world, at("2026-10-24T18:58:59Z")).await;
    campaigns.push(world.launch("notice", &[0, 1], greeting("notice"), |_| {}).await);
    script.play(&mut world, at("2026-10-25T06:30:00Z")).await;
    campaigns.push(world.launch("sunday", &[0, 1], greeting("sunday"), |_| {}).await);
    script.play(&mut world, at("2026-10-25T14:00:30Z")).await;
    let slowly = u32::try_from(everybody.len() / 2_000).expect("it fits").max(1);
    let slow = |spec: &mut wa_kit::service::CampaignSpec| {
        (spec.fallback, spec.rate) = (fallback("chat2"), Some(slowly));
    };
    campaigns.push(world.launch("chat2", &[0, 1], chat("chat2"), slow).await);
    script.play(&mut world, at("2026-10-25T14:30:00Z")).await;
    world.hear().await;
    world.sleep_until(at("2026-10-26T07:30:00Z"));
    script.play(&mut world, at("2026-10-26T08:10:00Z")).await;
    world.hear().await;

    world.sleep_until(at("2026-10-31T17:50:00Z"));
    script.play(&mut world, at("2026-10-31T18:00:00Z")).await;
    campaigns.push(world.launch("autumn", &[0, 1], greeting("autumn"), |_| {}).await);
    script.play(&mut world, at("2026-10-31T18:10:00Z")).await;
    world.hear().await;
    world.sleep_until(at("2026-11-01T00:50:00Z"));
    // A fifth of a second before it is 21:00 in New York.
    script.play(&mut world, at("2026-11-01T00:59:59.8Z")).await;
    campaigns.push(world.launch("night", &[0, 1], greeting("night"), |_| {}).await);
    script.play(&mut world, at("2026-11-01T14:00:00Z")).await;
    for _ in 0..2 {
        world.hear().await;
        world.driver.run_for(Duration::from_secs(60)).await;
    }

    judge::rules(&world, wanted, &script);
    judge::pace(&world, &[("spring", "2026-10-24T14:10:00Z"), ("autumn", "2026-10-31T18:00:00Z")]);
    judge::accounts(&world, &campaigns, &script).await;
}
