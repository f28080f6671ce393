//! What a projection collects beside its rows, and what is told of conversations and sessions.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use wa_core::model::{
    ConversationId, EventBody, MessageId, MessageState, Session, SessionId, TenantId, Thread, TransportName,
};
use wa_core::port::store::Projected;
use wa_core::rules::conversation::Told;
use wa_core::rules::effects::{self, Ruling, Whose};

/// What became of one event.
#[derive(Debug)]
pub(crate) enum Applied {
    Merged,
    Waiting,
    Foreign,
    Unknown,
    Heard {
        inbound: u64,
        metered: Vec<(SessionId, DateTime<Utc>)>,
    },
    /// The sessions as they are now.
    Decided(Vec<Session>),
}

/// What became of all events so far.
#[derive(Debug, Default)]
pub(crate) struct Done {
    projected: Projected,
    sessions: BTreeMap<SessionId, Session>,
}

impl Done {
    pub(crate) fn add(&mut self, applied: Applied) {
        match applied {
            Applied::Merged => {}
            Applied::Waiting => self.projected.waiting += 1,
            Applied::Foreign => self.projected.foreign += 1,
            Applied::Unknown => self.projected.unknown += 1,
            Applied::Heard { inbound, metered } => {
                self.projected.inbound += inbound;
                self.projected.metered.extend(metered);
            }
            Applied::Decided(sessions) => {
                self.sessions.extend(sessions.into_iter().map(|session| (session.id, session)));
            }
        }
    }

    pub(crate) fn finish(self, changed: Vec<(TenantId, MessageId, MessageState)>) -> Projected {
        let Self { projected, sessions } = self;
        Projected { changed, sessions: sessions.into_values().collect(), ..projected }
    }
}

/// A ruling on its way to one tenant's sessions.
#[derive(Debug)]
pub(crate) struct Carrying<'a> {
    pub(crate) tenant: TenantId,
    pub(crate) transport: &'a TransportName,
    pub(crate) ruling: &'a Ruling,
    pub(crate) at: DateTime<Utc>,
    pub(crate) sessions: Vec<Session>,
    /// Those that were stopped or let go, in whole or in part.
    pub(crate) touched: BTreeSet<SessionId>,
}

impl Carrying<'_> {
    /// The places of the sessions that are meant.
    pub(crate) fn meant(&self, whose: Whose) -> Vec<usize> {
        let meant: BTreeSet<_> = effects::concerned(whose, self.ruling.phone, &self.sessions)
            .into_iter()
            .map(|session| session.id)
            .collect();
        let places = self.sessions.iter().enumerate();
        places.filter(|(_, session)| meant.contains(&session.id)).map(|(place, _)| place).collect()
    }
}

/// The event of a conversation's change.
pub(crate) fn told_of(key: ConversationId, thread: &Thread, told: Told) -> EventBody {
    let ConversationId { session, contact } = key;
    match told {
        Told::Opened => EventBody::ConversationOpened { session, contact },
        Told::Closed => EventBody::ConversationClosed { session, contact },
        Told::Assigned => {
            EventBody::ConversationAssigned { session, contact, agent: thread.assigned.clone() }
        }
    }
}

/// The event of a session's change.
pub(crate) fn changed_event(session: &Session) -> EventBody {
    EventBody::SessionChanged {
        session: session.id,
        state: session.state,
        throughput: session.throughput,
        tier: session.tier,
        quality: session.quality,
    }
}
