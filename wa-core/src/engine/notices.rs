//! Notices: tells tenants, at least once, what the journal says they should hear.

use super::ports::Ports;
use crate::model::{CampaignAlert, CampaignState, Event, EventBody};
use crate::port::store::{ReaderName, StoreError};
use crate::port::{Notice, NoticeKind, Scope};
use crate::rules::effects::{advice as account_advice, template_advice};
use crate::rules::judge::advice;

/// Events read at once.
const PAGE: u32 = 1_000;

/// Reads the journal and passes notices on.
#[derive(Debug)]
pub(crate) struct Notices {
    ports: Ports,
    reader: ReaderName,
}

impl Notices {
    pub(crate) fn new(ports: Ports) -> Self {
        let reader = "wa.notices".parse().expect("the name is visible ASCII");
        Self { ports, reader }
    }

    /// Passes one page on; whether there may be more. A notice that fails comes again.
    pub(crate) async fn step(&self) -> Result<bool, StoreError> {
        if self.ports.notifiers.is_empty() {
            return Ok(false);
        }
        let (journal, admin) = (self.ports.store.journal(), self.ports.admin());
        let position = journal.position(&admin, &self.reader).await?;
        let page = journal.read(&admin, position, PAGE).await?;
        let mut done = position;
        let mut before = None;
        for event in &page {
            // A campaign that was paused for its failures has been told about with the reason.
            let told = is_pause_after(before, event);
            if !told && !self.pass_on(event).await? {
                break;
            }
            before = Some(event);
            done = event.position;
        }
        if done > position {
            journal.acknowledge(&admin, &self.reader, done).await?;
        }
        let full = u32::try_from(page.len()).is_ok_and(|len| len == PAGE);
        Ok(full && page.last().is_some_and(|last| last.position == done))
    }

    async fn pass_on(&self, event: &Event) -> Result<bool, StoreError> {
        let Some(mut kind) = notice_of(&event.body) else { return Ok(true) };
        if let NoticeKind::CampaignCompleted { campaign, counts } = &mut kind {
            let reports = self.ports.store.reports();
            *counts = reports.counts(&Scope::new(event.tenant), *campaign).await?.map(Box::new);
        }
        let notice = Notice { id: event.id, tenant: event.tenant, at: event.at, kind };
        for notifier in &self.ports.notifiers {
            if let Err(error) = notifier.notify(&notice).await {
                tracing::warn!(event = %event.id, %error, "a notice was not passed on; it comes again");
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What to do about a number whose statuses do not come.
const DEAF: &str = "Messages of this number are taken, but no webhook about them arrives. Check that the app \
     is subscribed to the account's webhooks and that their address can be reached.";

/// Whether an event is the pause that the alert before it has told about.
fn is_pause_after(before: Option<&Event>, event: &Event) -> bool {
    let Some(before) = before.filter(|before| before.tenant == event.tenant) else { return false };
    match (&before.body, &event.body) {
        (
            EventBody::CampaignAlert { campaign: alerted, alert: CampaignAlert::Paused { .. } },
            EventBody::Campaign { campaign, state: CampaignState::Paused },
        ) => alerted == campaign,
        (_, _) => false,
    }
}

fn notice_of(body: &EventBody) -> Option<NoticeKind> {
    match body {
        EventBody::Campaign { campaign, state } => match state {
            CampaignState::Running => Some(NoticeKind::CampaignStarted { campaign: *campaign }),
            CampaignState::Completed => {
                Some(NoticeKind::CampaignCompleted { campaign: *campaign, counts: None })
            }
            CampaignState::Paused | CampaignState::NeedsReconcile => {
                Some(NoticeKind::CampaignPaused { campaign: *campaign })
            }
            CampaignState::Draft
            | CampaignState::Launching
            | CampaignState::Scheduled
            | CampaignState::Cancelled => None,
        },
        EventBody::SessionStopped { session, reason, code: _ } => {
            Some(NoticeKind::SessionStopped { session: *session, advice: advice(*reason).to_owned() })
        }
        EventBody::CampaignAlert { campaign, alert } => Some(match alert {
            CampaignAlert::Failing { failed, answered } => {
                NoticeKind::CampaignFailing { campaign: *campaign, failed: *failed, answered: *answered }
            }
            CampaignAlert::Paused { reason, failed, answered } => NoticeKind::CampaignPausedForFailures {
                campaign: *campaign,
                reason: reason.clone(),
                failed: *failed,
                answered: *answered,
            },
        }),
        EventBody::SessionDeaf { session, silent } => {
            Some(NoticeKind::SessionDeaf { session: *session, silent: *silent, advice: DEAF.to_owned() })
        }
        EventBody::BudgetSpent { campaign } => Some(NoticeKind::BudgetSpent { campaign: *campaign }),
        EventBody::TemplateChanged { name, language, status, .. } => {
            let status = status.as_ref()?;
            Some(NoticeKind::TemplateStopped {
                name: name.as_str().to_owned(),
                language: language.as_str().to_owned(),
                status: status.as_str().to_owned(),
                advice: template_advice(status)?.to_owned(),
            })
        }
        EventBody::AccountAlert { account, name, detail, urgent: true } => Some(NoticeKind::AccountAlert {
            account: account.clone(),
            name: name.clone(),
            detail: detail.clone(),
            advice: account_advice().to_owned(),
        }),
        EventBody::Messages { .. }
        | EventBody::Undeliverable { .. }
        | EventBody::Silent { .. }
        | EventBody::Resend { .. }
        | EventBody::GivenUp { .. }
        | EventBody::Resolved { .. }
        | EventBody::Inbound { .. }
        | EventBody::Schedule { .. }
        | EventBody::ScheduleRun { .. }
        | EventBody::ScheduleSkipped { .. }
        | EventBody::Echo { .. }
        | EventBody::Consent { .. }
        | EventBody::SessionResumed { .. }
        | EventBody::SessionChanged { .. }
        | EventBody::AccountAlert { .. }
        | EventBody::ContactsMerged { .. }
        | EventBody::ContactMoved { .. }
        | EventBody::ConversationOpened { .. }
        | EventBody::ConversationClosed { .. }
        | EventBody::ConversationAssigned { .. } => None,
    }
}
