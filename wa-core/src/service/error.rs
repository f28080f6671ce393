//! The one error type of the services.

use super::archive::ArchiveProblem;
use super::import::CsvProblem;
use crate::engine::ConfigError;
use crate::model::{
    CampaignAction, CampaignName, CampaignState, ContentError, MessageId, ScheduleAction, ScheduleName,
    SessionId, TemplateError, TextError, TransportName, ValueError,
};
use crate::port::TransportError;
use crate::port::store::{StoreError, StoreErrorKind};

/// Why a service call did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KitError {
    /// The store did not do it; see [`StoreError::kind`].
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// The provider did not do it.
    #[error("the provider did not do it")]
    Transport(#[from] TransportError),
    /// A setting of the engine is out of range.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A small value is not valid.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The text cannot be sent.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The template message cannot be sent.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The content cannot be made.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// The file cannot be imported.
    #[error(transparent)]
    Import(#[from] CsvProblem),
    /// The archive cannot be taken in.
    #[error(transparent)]
    Archive(#[from] ArchiveProblem),
    /// The export cannot be written.
    #[error("the export cannot be written")]
    Export(#[source] std::io::Error),
    /// There is no such tenant.
    #[error("there is no such tenant")]
    NoTenant,
    /// The tenant has no such session.
    #[error("the tenant has no such session")]
    NoSession(Option<SessionId>),
    /// The tenant has no such contact.
    #[error("the tenant has no such contact")]
    NoContact,
    /// The tenant has no such conversation.
    #[error("the tenant has no such conversation")]
    NoConversation,
    /// The tenant has no such campaign.
    #[error("the tenant has no such campaign")]
    NoCampaign,
    /// The tenant has no such message.
    #[error("the tenant has no such message")]
    NoMessage,
    /// No transport of this name was registered.
    #[error("no transport named {0} is registered with the kit")]
    NoTransport(TransportName),
    /// A transport or webhook source of this name was registered twice.
    #[error("{0} is registered twice")]
    Twice(TransportName),
    /// The plan allows no more sessions.
    #[error("the plan allows {limit} sessions")]
    OverPlan {
        /// How many it allows.
        limit: u32,
    },
    /// The key was used for a message with another body.
    #[error("this key was used for another message ({message})")]
    KeyTaken {
        /// The first message.
        message: MessageId,
    },
    /// The name belongs to a campaign with another definition.
    #[error("a campaign named {:?} exists with another definition", .0.as_str())]
    NameTaken(CampaignName),
    /// The tenant has no such schedule.
    #[error("the tenant has no such schedule")]
    NoSchedule,
    /// The name belongs to a schedule with another definition.
    #[error("a schedule named {:?} exists with another definition", .0.as_str())]
    ScheduleTaken(ScheduleName),
    /// An ended schedule stays ended.
    #[error("a schedule that has ended cannot {0:?}")]
    ScheduleEnded(ScheduleAction),
    /// The action is not possible in the campaign's state.
    #[error("a campaign that is {state} cannot {action:?}")]
    Illegal {
        /// Its state.
        state: CampaignState,
        /// What was asked for, or `None` for a launch.
        action: Option<CampaignAction>,
    },
    /// The import moved on under another hand.
    #[error("another import of the same file into the same list is under way")]
    ImportElsewhere,
}

impl KitError {
    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Store(error) => error.kind() == StoreErrorKind::Unavailable,
            Self::Transport(error) => error.kind() == crate::port::TransportErrorKind::Unavailable,
            _ => false,
        }
    }
}
