//! What goes wrong is told, paused, put back and waited for: with the engine at work.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures::executor::block_on;

use super::super::notices::Notices;
use super::stage::{Stage, rejected};
use crate::model::*;
use crate::port::store::*;
use crate::port::{Notice, NoticeKind, Notifier, NotifyError};
use crate::rules::status::Awaited;
use crate::service::{EngineConfig, ExportFormat, ExportOptions};
use crate::testing::Reply;

/// Keeps what it is told.
#[derive(Debug, Clone, Default)]
struct Told(Arc<Mutex<Vec<NoticeKind>>>);

#[async_trait]
impl Notifier for Told {
    async fn notify(&self, notice: &Notice) -> Result<(), NotifyError> {
        self.0.lock().expect("nobody panics").push(notice.kind.clone());
        Ok(())
    }
}

/// What tenants are told of everything in the journal.
fn notices(stage: &Stage) -> Vec<NoticeKind> {
    let told = Told::default();
    let mut ports = stage.kit.inner.ports.clone();
    ports.notifiers.push(Arc::new(told.clone()));
    let notices = Notices::new(ports);
    while block_on(notices.step()).expect("a page") {}
    let told = told.0.lock().expect("nobody panics");
    told.clone()
}

fn state_of(stage: &Stage, campaign: CampaignId) -> CampaignState {
    block_on(stage.tenant.campaigns().get(campaign)).expect("a campaign").state
}

/// A campaign whose first messages all fail for one reason.
fn failing(members: u64, failures: usize) -> (Stage, CampaignId) {
    let config = EngineConfig { max_in_doubt_per_crash: 4, ..EngineConfig::default() };
    let mut stage = Stage::new(20, config);
    for _ in 0..failures {
        stage.transport.then(rejected(RejectClass::Template, 132_001));
    }
    let campaign = stage.campaign(members);
    stage.wake();
    stage.run_for(Duration::from_secs(20));
    (stage, campaign)
}

#[test]
fn a_campaign_that_fails_for_one_reason_pauses_and_goes_on_when_it_is_mended() {
    let (mut stage, campaign) = failing(100, 20);
    assert_eq!(state_of(&stage, campaign), CampaignState::Paused);
    let sent = stage.transport.sent().len();
    assert!((20..=24).contains(&sent), "{sent} requests until it stopped");
    let alert = block_on(stage.tenant.campaigns().alert(campaign)).expect("an answer").expect("an alert");
    assert!(matches!(&alert, CampaignAlert::Paused { reason, .. } if reason == "failed:132001"), "{alert:?}");

    let told = notices(&stage);
    let failing = told.iter().filter(|it| matches!(it, NoticeKind::CampaignFailing { .. })).count();
    let paused = told.iter().filter(|it| matches!(it, NoticeKind::CampaignPausedForFailures { .. })).count();
    let plain = told.iter().filter(|it| matches!(it, NoticeKind::CampaignPaused { .. })).count();
    assert_eq!((failing, paused, plain), (1, 1, 0), "{told:?}");

    // The template is mended, what failed is put back, and the campaign goes on.
    let filter = FailureFilter { code: Some(132_001), ..FailureFilter::default() };
    let campaigns = stage.tenant.campaigns();
    let redriven = block_on(campaigns.redrive(campaign, filter.clone())).expect("put back");
    assert_eq!((redriven.requeued, redriven.refused), (20, 0));
    assert_eq!(block_on(campaigns.redrive(campaign, filter)).expect("an answer").requeued, 0);
    block_on(campaigns.resume(campaign)).expect("resumed");
    stage.wake();
    stage.run_for(Duration::from_secs(30));
    let counts = stage.counts(campaign);
    assert_eq!((counts.accepted, counts.failed, counts.retries), (100, 0, 20));
    assert_eq!(state_of(&stage, campaign), CampaignState::Completed);
    let done = notices(&stage).into_iter().find_map(|it| match it {
        NoticeKind::CampaignCompleted { campaign: done, counts } => Some((done, counts)),
        _ => None,
    });
    let (done, told) = done.expect("its end is told");
    assert_eq!((done, told.expect("with counts").accepted), (campaign, 100));
}

#[test]
fn a_failed_message_says_what_to_do_and_can_be_tried_again() {
    let mut stage = Stage::new(80, EngineConfig::default());
    for _ in 0..4 {
        stage.transport.then(rejected(RejectClass::Retry, 131_000));
    }
    let id = stage.send(stage.single(4_915_100_000_001));
    stage.run_for(Duration::from_secs(60));
    let messages = stage.tenant.messages();
    let filter = FailureFilter { critical_only: true, ..FailureFilter::default() };
    let page = block_on(messages.failed(&filter, None, 10)).expect("a page");
    let [failed] = page.as_slice() else { panic!("one failed: {page:?}") };
    assert!(failed.critical && failed.message.id == id);
    assert!(failed.advice.contains("Try the message again"), "{}", failed.advice);
    assert_eq!(failed.message.customer_view(), CustomerView::NotSent);
    assert!(matches!(block_on(messages.retry(id)), Ok(RetryMessage::Requeued(_))));
    stage.wake();
    stage.run_for(Duration::from_secs(1));
    let view = stage.view(id);
    assert_eq!((view.state, view.attempts.len()), (MessageState::Accepted, 5));
    assert!(block_on(stage.tenant.messages().failed(&filter, None, 10)).expect("a page").is_empty());
}

#[test]
fn the_engine_notices_silence_and_tells_of_a_deaf_number() {
    let mut stage = Stage::new(80, EngineConfig::default());
    let heard = stage.send(stage.single(4_915_100_000_001));
    stage.run_for(Duration::from_secs(1));
    let tag = stage.transport.sent()[0].tag.clone();
    stage.status(&tag, Fact::Sent);
    let campaign = stage.campaign(12);
    stage.wake();
    stage.run_for(Duration::from_secs(890));
    let silent = |stage: &Stage| block_on(stage.tenant.messages().silent(None, 100)).expect("a page");
    assert!(silent(&stage).is_empty(), "not before their time");
    stage.run_for(Duration::from_secs(90));
    let found = silent(&stage);
    assert_eq!(found.len(), 12);
    assert!(found.iter().all(|view| view.campaign == Some(campaign) && view.id != heard));
    let deaf: Vec<_> = notices(&stage)
        .into_iter()
        .filter_map(|it| match it {
            NoticeKind::SessionDeaf { session, advice, .. } => Some((session, advice)),
            _ => None,
        })
        .collect();
    let [(session, advice)] = deaf.as_slice() else { panic!("told once: {deaf:?}") };
    assert!(*session == stage.session && advice.contains("webhook"), "{advice}");
    stage.run_for(Duration::from_secs(3_600));
    assert_eq!(silent(&stage).len(), 12);
}

#[test]
fn an_export_has_a_line_per_recipient_and_no_formula() {
    let mut stage = Stage::new(80, EngineConfig::default());
    let currency: Currency = "USD".parse().expect("a currency");
    let prices = PriceList { currency, per_message: [(Category::Marketing, 60_400)].into() };
    let mut settings = block_on(stage.tenant.settings()).expect("settings");
    settings.prices = Some(prices.into());
    block_on(stage.tenant.put_settings(&settings)).expect("valid settings");
    let details = FailureDetails::new("=HYPERLINK(\"evil\"), \"quoted\"");
    let failure =
        FailureCode { code: 131_008, class: RejectClass::Request, title: "+title".to_owned(), details };
    stage.transport.then(Reply::Outcome(crate::port::SendOutcome::Rejected { failure, retry_after: None }));
    let campaign = stage.campaign(1_203);
    stage.wake();
    stage.run_for(Duration::from_secs(30));
    let export = |options| {
        let mut file = Vec::new();
        let lines =
            block_on(stage.tenant.campaigns().export(campaign, &mut file, options)).expect("an export");
        assert_eq!(lines, 1_203);
        String::from_utf8(file).expect("UTF-8")
    };
    let text = export(ExportOptions::default());
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header: Vec<String> = reader.headers().expect("a header").iter().map(str::to_owned).collect();
    let column = |name: &str| header.iter().position(|it| it == name).expect("a column");
    let (phone, state, title, said, advice) =
        (column("phone"), column("state"), column("error_title"), column("error_details"), column("advice"));
    let records: Vec<csv::StringRecord> = reader.records().map(|record| record.expect("a record")).collect();
    assert_eq!(records.len(), 1_203);
    let phones: std::collections::BTreeSet<_> =
        records.iter().map(|record| record[phone].to_owned()).collect();
    assert_eq!(phones.len(), 1_203);
    assert!(phones.iter().all(|it| Phone::parse(it, None).is_ok()), "an import reads them back");
    let failed: Vec<_> = records.iter().filter(|record| &record[state] == "failed").collect();
    let [failed] = failed.as_slice() else { panic!("one failed") };
    assert_eq!((&failed[title], &failed[said]), ("'+title", "'=HYPERLINK(\"evil\"), \"quoted\""));
    assert!(failed[advice].contains("not valid"));
    let (cost, of, unpriced) = (column("cost_micros"), column("cost_currency"), column("unpriced"));
    assert_eq!((&failed[cost], &failed[of], &failed[unpriced]), ("", "", "0"), "it was given back");
    let sum: i64 = records.iter().filter_map(|record| record[cost].parse::<i64>().ok()).sum();
    assert!(records.iter().all(|record| record[of] == *"USD" || &record[state] == "failed"));
    let counted = stage.counts(campaign).cost;
    assert_eq!(counted.get("USD"), Some(&sum), "together they are what the campaign costs");
    assert_eq!(sum, 1_202 * 60_400);
    assert!(text.lines().all(|line| !line.is_empty()) && text.contains("\r\n"));

    let marked = export(ExportOptions { byte_order_mark: true, ..ExportOptions::default() });
    assert_eq!(marked.strip_prefix('\u{feff}'), Some(text.as_str()));

    let lines = export(ExportOptions { format: ExportFormat::JsonLines, ..ExportOptions::default() });
    let parsed: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(parsed.len(), 1_203);
    let failed: Vec<_> = parsed.iter().filter(|line| line["state"] == "failed").collect();
    assert_eq!(failed[0]["error_title"], "+title", "programs get what was said");
    assert!(failed[0].get("read_at").is_none() && failed[0].get("cost_micros").is_none());
    assert_eq!(parsed.iter().filter(|line| line["cost_settled"] == false).count(), 1_202, "only expected");

    let mut only_failed = Vec::new();
    let all = FailureFilter::default();
    let count = stage.tenant.messages().export_failed(&all, &mut only_failed, ExportOptions::default());
    assert_eq!(block_on(count).expect("an export"), 1);
    let missing = CampaignId::from_uuid(uuid::Uuid::nil());
    assert!(block_on(stage.tenant.campaigns().export_csv(missing, Vec::new())).is_err());
}

/// A store that tells when it was written stays behind; the wait ends all the same.
#[tokio::test(start_paused = true)]
async fn an_outcome_is_waited_for_as_long_as_was_said() {
    let setting = super::running::plain().await;
    let id = setting.send(4_915_100_000_001).await;
    let messages = setting.tenant.messages();
    let before = tokio::time::Instant::now();
    let early = messages.outcome(id, Awaited::Answer, Duration::from_secs(2)).await.expect("an outcome");
    assert_eq!((early.in_time, early.message.state), (false, MessageState::Pending));
    assert!(before.elapsed() >= Duration::from_secs(2), "nobody sends yet");

    let running = setting.kit.start();
    let answer = messages.outcome(id, Awaited::Answer, Duration::from_secs(30)).await.expect("an outcome");
    assert_eq!((answer.in_time, answer.message.state), (true, MessageState::Accepted));
    let mut watch = messages.watch(id);
    assert_eq!(watch.next().await.expect("a view").state, MessageState::Accepted);
    let delivery = messages.outcome(id, Awaited::Delivery, Duration::from_secs(60));
    let calls = async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let tag = setting.transport.sent()[0].tag.clone();
        let body = format!("{tag} {}", Fact::Delivered.bit());
        assert_eq!(setting.call_back(&body).await, 200);
    };
    let (delivery, ()) = futures::join!(delivery, calls);
    let delivery = delivery.expect("an outcome");
    assert_eq!((delivery.in_time, delivery.message.state), (true, MessageState::Delivered));
    assert_eq!(watch.next().await.expect("a view").state, MessageState::Delivered);
    let unknown = MessageId::from_uuid(uuid::Uuid::nil());
    assert!(messages.outcome(unknown, Awaited::Answer, Duration::ZERO).await.is_err());
    running.stop(Duration::from_secs(1)).await;
}
