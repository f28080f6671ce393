//! Notices: tells tenants, at least once, what the journal says they should hear.

use super::ports::Ports;
use crate::model::{CampaignState, Event, EventBody};
use crate::port::store::{ReaderName, StoreError};
use crate::port::{Notice, NoticeKind};
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
        for event in &page {
            if !self.pass_on(event).await {
                break;
            }
            done = event.position;
        }
        if done > position {
            journal.acknowledge(&admin, &self.reader, done).await?;
        }
        let full = u32::try_from(page.len()).is_ok_and(|len| len == PAGE);
        Ok(full && page.last().is_some_and(|last| last.position == done))
    }

    async fn pass_on(&self, event: &Event) -> bool {
        let Some(kind) = notice_of(&event.body) else { return true };
        let notice = Notice { id: event.id, tenant: event.tenant, at: event.at, kind };
        for notifier in &self.ports.notifiers {
            if let Err(error) = notifier.notify(&notice).await {
                tracing::warn!(event = %event.id, %error, "a notice was not passed on; it comes again");
                return false;
            }
        }
        true
    }
}

fn notice_of(body: &EventBody) -> Option<NoticeKind> {
    match body {
        EventBody::Campaign { campaign, state } => match state {
            CampaignState::Running => Some(NoticeKind::CampaignStarted { campaign: *campaign }),
            CampaignState::Completed => Some(NoticeKind::CampaignCompleted { campaign: *campaign }),
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
        | EventBody::Inbound { .. }
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
