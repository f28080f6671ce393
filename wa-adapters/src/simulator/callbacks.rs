//! Webhooks: what is due, posted in batches, signed, and posted again until it is taken.
//!
//! Invariant: a status or event leaves the queue only into a request; it comes back unless the
//! receiver answered 200. So each arrives at least once, as with Meta: what was taken but whose
//! 200 was lost, or not written down before a kill, comes again.
//!
//! Source: Meta, Create a webhook endpoint and Status messages webhook reference, read December
//! 2025; several updates in one request, unordered, retried for days when not answered with 200.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::accepted::Accepted;
use super::clock::{DAY, Micros, SECOND, instant, length};
use super::facts::Fact;
use super::log::{Entry, Event};
use super::profile::NumberProfile;
use super::statuses::status;
use super::world::World;

/// Where webhooks go and how patiently.
#[derive(Debug, Clone)]
pub(crate) struct Posting {
    pub(crate) tick: Duration,
    pub(crate) batch: usize,
    pub(crate) retry_first: Duration,
    pub(crate) retry_most: Duration,
    pub(crate) status_delay: Duration,
}

const GIVE_UP_AFTER: Micros = 7 * DAY;

/// What waits to be posted, the earliest first.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    items: BinaryHeap<Reverse<Item>>,
    pushed: u64,
    in_flight: usize,
}

#[derive(Debug, Clone)]
struct Item {
    due: Micros,
    /// Keeps equal instants in the order in which they were pushed.
    place: u64,
    tries: u32,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Status { send: Arc<Accepted>, ordinal: u64, step: usize },
    Event(Arc<Event>),
}

enum Next {
    Post(Vec<Item>),
    At(Micros),
    Nothing,
}

impl Queue {
    /// Puts in all statuses of a send that were not called back already.
    pub(crate) fn push_statuses(
        &mut self,
        send: &Arc<Accepted>,
        ordinal: u64,
        called: impl Fn(usize) -> bool,
    ) {
        for (step, planned) in send.plan.iter().enumerate().filter(|(step, _)| !called(*step)) {
            let what = What::Status { send: Arc::clone(send), ordinal, step };
            self.push(planned.due, 0, what);
        }
    }

    /// Puts in an event, due at once.
    pub(crate) fn push_event(&mut self, event: Event) {
        self.push(event.at, 0, What::Event(Arc::new(event)));
    }

    /// How many statuses and events wait or are on their way.
    pub(crate) fn pending(&self) -> usize {
        self.items.len() + self.in_flight
    }

    /// Makes everything due at once.
    pub(crate) fn hasten(&mut self, now: Micros) {
        let all: Vec<_> = self.items.drain().collect();
        let hastened =
            |Reverse(item): Reverse<Item>| Reverse(Item { due: item.due.min(now), tries: 0, ..item });
        self.items = all.into_iter().map(hastened).collect();
    }

    /// Whether everything has been posted at least once since `hasten`.
    pub(crate) fn is_tried(&self) -> bool {
        self.in_flight == 0 && self.items.iter().all(|Reverse(item)| item.tries > 0)
    }

    fn push(&mut self, due: Micros, tries: u32, what: What) {
        self.pushed += 1;
        self.items.push(Reverse(Item { due, place: self.pushed, tries, what }));
    }

    fn next(&mut self, now: Micros, posting: &Posting) -> Next {
        let Some(Reverse(first)) = self.items.peek() else { return Next::Nothing };
        let fire = first.due + length(posting.tick);
        if fire > now {
            return Next::At(fire);
        }
        let mut batch = Vec::new();
        while batch.len() < posting.batch && self.items.peek().is_some_and(|Reverse(item)| item.due <= now) {
            batch.extend(self.items.pop().map(|Reverse(item)| item));
        }
        self.in_flight += batch.len();
        Next::Post(batch)
    }
}

impl Item {
    fn since(&self) -> Micros {
        match &self.what {
            What::Status { send, step, .. } => send.plan.get(*step).map_or(self.due, |step| step.due),
            What::Event(event) => event.at,
        }
    }
}

impl PartialEq for Item {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Item {}

impl PartialOrd for Item {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Item {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.due, self.place).cmp(&(other.due, other.place))
    }
}

/// Posts what is due until the simulator stops.
pub(crate) async fn post_due(world: Arc<World>) {
    let mut stopping = world.stopping();
    loop {
        world.act_due();
        let next = {
            let mut state = world.state();
            let next = state.queue.next(world.now(), &world.settings.posting);
            let next = match (next, state.acts.next_at()) {
                (Next::Nothing, Some(at)) => Next::At(at),
                (Next::At(due), Some(at)) => Next::At(due.min(at)),
                (next @ (Next::Post(_) | Next::Nothing | Next::At(_)), _) => next,
            };
            // What this task leaves behind is for the next one.
            if matches!(next, Next::Post(_)) && state.queue.pending() > 0 {
                world.due.notify_one();
            }
            next
        };
        let work = async {
            match next {
                Next::Post(batch) => post(&world, batch).await,
                Next::Nothing => world.due.notified().await,
                Next::At(due) => tokio::select! {
                    () = world.due.notified() => {}
                    () = world.clock.wait_until(instant(due)) => {}
                },
            }
        };
        tokio::select! {
            () = work => {}
            _ = stopping.wait_for(|stop| *stop) => return,
        }
    }
}

async fn post(world: &World, batch: Vec<Item>) {
    let body = body(&batch, world).to_string();
    let taken = world.post_webhook(body).await;
    let now = world.now();
    {
        let mut state = world.state();
        let state = &mut *state;
        state.queue.in_flight -= batch.len();
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        if taken {
            state.stats.callbacks.posts += 1;
            state.stats.callbacks.events += count;
            let (mut steps, mut events) = (Vec::new(), Vec::new());
            for item in &batch {
                match &item.what {
                    What::Status { ordinal, step, .. } => steps.push((*ordinal, *step)),
                    What::Event(event) => {
                        events.push(event.id);
                        if let Some((user, stop)) = event.wish.clone() {
                            state.truth.note(&Fact::Told { user, stop, at: now });
                        }
                    }
                }
            }
            state.journal(&Entry::Called { steps, events, at: now });
        } else {
            state.stats.callbacks.failed_posts += 1;
            for item in batch {
                if now - item.since() > GIVE_UP_AFTER {
                    state.stats.callbacks.dropped += 1;
                    continue;
                }
                let wait = length(world.settings.posting.retry_first)
                    .saturating_mul(1 << item.tries.min(20))
                    .min(length(world.settings.posting.retry_most));
                state.queue.push(now + wait, item.tries + 1, item.what);
            }
        }
    }
    world.due.notify_one();
    world.posted.notify_waiters();
}

/// One webhook body: the statuses of a number together, events each by itself.
fn body(batch: &[Item], world: &World) -> Value {
    let state = world.state();
    let mut changes: Vec<(String, Value)> = Vec::new();
    let mut statuses: Vec<(&str, Vec<Value>)> = Vec::new();
    for item in batch {
        match &item.what {
            What::Status { send, step, .. } => {
                let Some(step) = send.plan.get(*step) else { continue };
                let status = status(send, step, state.truth.till.pricing.with_billable);
                match statuses.iter_mut().find(|(number, _)| *number == send.number) {
                    Some((_, list)) => list.push(status),
                    None => statuses.push((&send.number, vec![status])),
                }
            }
            What::Event(event) => {
                changes.push((event.account.clone(), json!({ "value": event.value, "field": event.field })));
            }
        }
    }
    for (id, list) in statuses {
        let profile = state.truth.numbers.get(id).map(|number| number.profile.clone()).unwrap_or_default();
        let value = json!({
            "messaging_product": "whatsapp", "metadata": metadata(id, &profile), "statuses": list,
        });
        changes.push((profile.account, json!({ "value": value, "field": "messages" })));
    }
    let mut entries: Vec<(String, Vec<Value>)> = Vec::new();
    for (account, change) in changes {
        match entries.iter_mut().find(|(own, _)| *own == account) {
            Some((_, list)) => list.push(change),
            None => entries.push((account, vec![change])),
        }
    }
    let time = world.now() / SECOND;
    let entry: Vec<_> = entries
        .into_iter()
        .map(|(account, changes)| json!({ "id": account, "time": time, "changes": changes }))
        .collect();
    json!({ "object": "whatsapp_business_account", "entry": entry })
}

/// The `metadata` object of a `messages` change.
pub(crate) fn metadata(number: &str, profile: &NumberProfile) -> Value {
    json!({ "display_phone_number": profile.display_phone_number, "phone_number_id": number })
}

/// The value of `X-Hub-Signature-256` for a body.
pub(crate) fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}
