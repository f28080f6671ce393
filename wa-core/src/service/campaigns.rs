//! The campaigns of a tenant.

use chrono::{DateTime, TimeDelta, Utc};

use super::error::KitError;
use super::preflight::{self, Preflight};
use super::tenant::TenantHandle;
use crate::model::{
    Campaign, CampaignAction, CampaignContent, CampaignCounts, CampaignId, CampaignName, Content,
    InDoubtPolicy, Lane, ListName, MessageId, MessageView, Money, NewCampaign, SessionId, ValueError,
};
use crate::port::store::{ActOutcome, CreateCampaign, LaunchChunk, LaunchStep};

/// Members frozen with one commit.
const CHUNK: u32 = 1_000;

/// The campaigns of one tenant.
///
/// ```
/// # use std::sync::Arc;
/// # use wa_core::{memory::MemoryStore, port::SystemClock, service::{Kit, Number}, testing::ScriptedTransport};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let clock = Arc::new(SystemClock);
/// # let transport = Arc::new(ScriptedTransport::new(clock.clone()));
/// # let kit = Kit::builder(Arc::new(MemoryStore::new(clock))).transport("cloud", transport).build().await?;
/// use wa_core::model::{CampaignState, Content, ContactAttributes, Phone};
/// use wa_core::service::CampaignSpec;
///
/// let tenant = kit.tenants().ensure("acme").await?;
/// let session = tenant.sessions().add(&Number::cloud("100")).await?;
/// let (ada, list) = (Phone::parse("+4915112345678", None)?, "news".parse()?);
/// let attributes = ContactAttributes::from([("name".to_owned(), "Ada".to_owned())]);
/// tenant.contacts().upsert(ada.into(), attributes, Some("news".parse()?)).await?;
///
/// let content = Content::text("Hello {{name}}")?;
/// let spec = CampaignSpec::new("spring".parse()?, list, content, vec![session.id]);
/// let campaign = tenant.campaigns().create(spec).await?;
/// let launched = tenant.campaigns().launch(campaign.id, |frozen| println!("{frozen} frozen")).await?;
/// assert_eq!(launched.state, CampaignState::Running);
/// assert_eq!(tenant.campaigns().counts(campaign.id).await?.pending, 1);
/// assert_eq!(tenant.campaigns().pause(campaign.id).await?.state, CampaignState::Paused);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Campaigns<'a> {
    tenant: &'a TenantHandle,
}

/// A campaign to create.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CampaignSpec {
    /// Its name, unique per tenant.
    pub name: CampaignName,
    /// Whose members get it.
    pub list: ListName,
    /// What it says, with `{{column}}` where each contact has its own value.
    pub content: CampaignContent,
    /// A template that goes instead of free-form content outside the window, where the tenant's
    /// settings say `outside_window: fallback`.
    pub fallback: Option<CampaignContent>,
    /// The sending numbers.
    pub sessions: Vec<SessionId>,
    /// Its lane.
    pub lane: Lane,
    /// Messages not begun by then are skipped as expired.
    pub valid_until: Option<DateTime<Utc>>,
    /// Not dispatched before this instant.
    pub start_at: Option<DateTime<Utc>>,
    /// At most this many messages a second and session, beside the number's own limit.
    pub rate: Option<u32>,
    /// What its messages may cost altogether; it is paused before it would pass that.
    pub budget: Option<Money>,
    /// What becomes of messages of which nobody knows whether they were sent; `None` for what the tenant set.
    pub in_doubt: Option<InDoubtPolicy>,
}

impl CampaignSpec {
    /// A bulk campaign that starts when it is launched.
    #[must_use]
    pub fn new(name: CampaignName, list: ListName, content: Content, sessions: Vec<SessionId>) -> Self {
        Self {
            name,
            list,
            content: CampaignContent::new(content),
            fallback: None,
            sessions,
            lane: Lane::Bulk,
            valid_until: None,
            start_at: None,
            rate: None,
            budget: None,
            in_doubt: None,
        }
    }
}

impl<'a> Campaigns<'a> {
    pub(crate) const fn new(tenant: &'a TenantHandle) -> Self {
        Self { tenant }
    }

    pub(super) const fn tenant(self) -> &'a TenantHandle {
        self.tenant
    }

    /// Creates a campaign as a draft, or finds the same one again by name.
    ///
    /// # Errors
    /// When the name belongs to another definition, a session is unknown, or the store fails.
    pub async fn create(self, spec: CampaignSpec) -> Result<Campaign, KitError> {
        let new = self.define(spec)?;
        let store = self.tenant.kit.store();
        match store.audience().create_campaign(&self.tenant.scope, &new).await? {
            CreateCampaign::Created(campaign) | CreateCampaign::Known(campaign) => Ok(campaign),
            CreateCampaign::Different(_) => Err(KitError::NameTaken(new.name)),
            CreateCampaign::UnknownSession(session) => Err(KitError::NoSession(session)),
        }
    }

    /// What the campaign would do if it were launched now: how many messages would go, wait and be
    /// blocked, each by reason, what it would cost and when it would end.
    ///
    /// Found by running the engine in virtual time over the next 31 days, with the facts that begin would
    /// read; nothing is written and nothing is sent. The campaign need not have been created. Memory
    /// grows with the messages that wait at one time.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use wa_core::{memory::MemoryStore, port::SystemClock, service::{CampaignSpec, Kit, Number}, testing::ScriptedTransport};
    /// # use wa_core::model::{Category, Content, ContactAttributes, Phone, SkipReason, TemplateContent};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let clock = Arc::new(SystemClock);
    /// # let transport = Arc::new(ScriptedTransport::new(clock.clone()));
    /// # let kit = Kit::builder(Arc::new(MemoryStore::new(clock))).transport("cloud", transport.clone()).build().await?;
    /// # let tenant = kit.tenants().ensure("acme").await?;
    /// # let session = tenant.sessions().add(&Number::cloud("100")).await?;
    /// # let (ada, bob) = (Phone::parse("+4915112345678", None)?, Phone::parse("+4915112345679", None)?);
    /// # let named = [("name".to_owned(), "Ada".to_owned())];
    /// # tenant.contacts().upsert(ada.into(), named.into_iter().collect(), Some("news".parse()?)).await?;
    /// # tenant.contacts().upsert(bob.into(), ContactAttributes::new(), Some("news".parse()?)).await?;
    /// # let (name, language) = ("spring_sale".parse()?, "en".parse()?);
    /// # let offer = TemplateContent::with_body(name, language, Category::Utility, ["{{name}}".to_owned()])?;
    /// # let content = Content::Template(offer);
    /// let spec = CampaignSpec::new("spring".parse()?, "news".parse()?, content, vec![session.id]);
    /// let forecast = tenant.campaigns().preflight(spec).await?;
    /// assert_eq!((forecast.audience, forecast.go), (2, 1));
    /// assert_eq!(forecast.blocked.get(&SkipReason::MissingParameter), Some(&1)); // one has no name
    /// assert!(transport.sent().is_empty());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`create`](Self::create), but for a name that is taken.
    pub async fn preflight(self, spec: CampaignSpec) -> Result<Preflight, KitError> {
        self.preflight_within(spec, preflight::HORIZON).await
    }

    /// As [`preflight`](Self::preflight), looking this far ahead.
    ///
    /// # Errors
    /// As [`preflight`](Self::preflight).
    pub async fn preflight_within(
        self,
        spec: CampaignSpec,
        horizon: TimeDelta,
    ) -> Result<Preflight, KitError> {
        let new = self.define(spec)?;
        if new.sessions.is_empty() {
            return Err(KitError::NoSession(None));
        }
        let inner = &self.tenant.kit.inner;
        preflight::run(&inner.ports, &inner.config, inner.judge, &self.tenant.scope, &new, horizon).await
    }

    /// Freezes the audience and starts the campaign; goes on where an interrupted launch stopped.
    ///
    /// `progress` is called after each chunk with the messages frozen so far.
    ///
    /// # Errors
    /// When there is no such campaign, it is past launching, or the store fails.
    pub async fn launch(
        self,
        id: CampaignId,
        mut progress: impl FnMut(u64) + Send,
    ) -> Result<Campaign, KitError> {
        let inner = &self.tenant.kit.inner;
        loop {
            let chunk = LaunchChunk { size: CHUNK, seed: inner.ports.draw() };
            match inner.ports.store.audience().launch(&self.tenant.scope, id, &chunk).await? {
                LaunchStep::Frozen { audience } => progress(audience),
                LaunchStep::Done(campaign) => {
                    inner.work.raise();
                    inner.journal.raise();
                    return Ok(campaign);
                }
                LaunchStep::NotLaunchable(campaign) => {
                    return Err(KitError::Illegal { state: campaign.state, action: None });
                }
                LaunchStep::Missing => return Err(KitError::NoCampaign),
            }
        }
    }

    /// Sets what its messages may cost altogether, or `None` for no limit; a campaign that is paused for
    /// its budget goes on by [`resume`](Self::resume).
    ///
    /// # Errors
    /// When the budget is below 0, there is no such campaign, or the store fails.
    pub async fn set_budget(self, id: CampaignId, budget: Option<Money>) -> Result<Campaign, KitError> {
        not_negative(budget)?;
        let inner = &self.tenant.kit.inner;
        let found = inner.ports.store.audience().set_budget(&self.tenant.scope, id, budget).await?;
        inner.work.raise();
        found.ok_or(KitError::NoCampaign)
    }

    /// Stops beginning messages; once it returned, at most the begun ones still go out.
    ///
    /// # Errors
    /// When the campaign cannot be paused, is unknown, or the store fails.
    pub async fn pause(self, id: CampaignId) -> Result<Campaign, KitError> {
        self.act(id, CampaignAction::Pause).await
    }

    /// Goes on with a paused campaign.
    ///
    /// # Errors
    /// When the campaign cannot be resumed, is unknown, or the store fails.
    pub async fn resume(self, id: CampaignId) -> Result<Campaign, KitError> {
        self.act(id, CampaignAction::Resume).await
    }

    /// Skips everything that has not begun.
    ///
    /// # Errors
    /// When the campaign is completed, is unknown, or the store fails.
    pub async fn cancel(self, id: CampaignId) -> Result<Campaign, KitError> {
        self.act(id, CampaignAction::Cancel).await
    }

    /// One campaign.
    ///
    /// # Errors
    /// When the tenant has none of this id or the store fails.
    pub async fn get(self, id: CampaignId) -> Result<Campaign, KitError> {
        let found = self.tenant.kit.store().audience().campaign(&self.tenant.scope, id).await?;
        found.ok_or(KitError::NoCampaign)
    }

    /// The campaign of this name.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn find(self, name: &CampaignName) -> Result<Option<Campaign>, KitError> {
        Ok(self.tenant.kit.store().audience().campaign_named(&self.tenant.scope, name).await?)
    }

    /// The campaigns in order of their ids; `after` is exclusive.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(self, after: Option<CampaignId>, limit: u32) -> Result<Vec<Campaign>, KitError> {
        Ok(self.tenant.kit.store().audience().campaigns(&self.tenant.scope, after, limit).await?)
    }

    /// How many of its messages are where.
    ///
    /// # Errors
    /// When the tenant has no such campaign or the store fails.
    pub async fn counts(self, id: CampaignId) -> Result<CampaignCounts, KitError> {
        let counts = self.tenant.kit.store().reports().counts(&self.tenant.scope, id).await?;
        counts.ok_or(KitError::NoCampaign)
    }

    /// Its messages in order of their ids; `after` is exclusive.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn recipients(
        self,
        id: CampaignId,
        after: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageView>, KitError> {
        Ok(self.tenant.kit.store().reports().recipients(&self.tenant.scope, id, after, limit).await?)
    }

    /// The campaign as it is stored, checked as far as that needs no store.
    fn define(self, spec: CampaignSpec) -> Result<NewCampaign, KitError> {
        let ports = &self.tenant.kit.inner.ports;
        let CampaignSpec {
            name,
            list,
            content,
            fallback,
            sessions,
            lane,
            valid_until,
            start_at,
            rate,
            budget,
            in_doubt,
        } = spec;
        not_negative(budget)?;
        in_doubt.map_or(Ok(()), InDoubtPolicy::validate)?;
        if let Some(fallback) = &fallback
            && !matches!(fallback.pattern(), Content::Template(_))
        {
            return Err(ValueError::new("a fallback", "a template").into());
        }
        let id = CampaignId::mint(ports.clock.now(), ports.draw());
        Ok(NewCampaign {
            id,
            name,
            content,
            fallback,
            list,
            sessions,
            lane,
            valid_until,
            start_at,
            rate,
            budget,
            in_doubt,
        })
    }

    async fn act(self, id: CampaignId, action: CampaignAction) -> Result<Campaign, KitError> {
        let inner = &self.tenant.kit.inner;
        let outcome = inner.ports.store.audience().act(&self.tenant.scope, id, action).await?;
        inner.work.raise();
        inner.journal.raise();
        match outcome {
            ActOutcome::Moved(campaign) | ActOutcome::Unchanged(campaign) => Ok(campaign),
            ActOutcome::Illegal(campaign) => {
                Err(KitError::Illegal { state: campaign.state, action: Some(action) })
            }
            ActOutcome::Missing => Err(KitError::NoCampaign),
        }
    }
}

fn not_negative(budget: Option<Money>) -> Result<(), ValueError> {
    match budget {
        Some(budget) if budget.micros < 0 => Err(ValueError::new("a budget", "0 or more")),
        Some(_) | None => Ok(()),
    }
}
