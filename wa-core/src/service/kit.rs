//! The kit: built once, shared everywhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use futures::channel::mpsc;

use super::archive::Archives;
use super::error::KitError;
use super::reconcile::Reconcile;
use super::tenant::TenantHandle;
use super::webhooks::Webhooks;
use crate::engine::{self, EngineConfig, IntakeRequest, Ports, Signal};
use crate::model::{
    Finding, IncarnationId, InstanceId, TagKey, Tenant, TenantId, TenantName, TransportName, WorkerId,
};
use crate::port::store::{Hear, News, Store, StoreIdentity};
use crate::port::{
    AdminScope, Billing, Clock, Entropy, Notifier, SystemClock, SystemEntropy, Transport, WebhookSource,
};
use crate::rules::judge::StandardJudge;

/// The library, put together: a store, transports, and the engine's settings. Clones share one kit.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use wa_core::{memory::MemoryStore, port::SystemClock, service::Kit, testing::ScriptedTransport};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let clock = Arc::new(SystemClock);
/// let store = Arc::new(MemoryStore::new(clock.clone()));
/// let transport = Arc::new(ScriptedTransport::new(clock)); // or `CloudTransport`
/// let kit = Kit::builder(store).transport("cloud", transport).build().await?;
/// let engine = kit.start();
/// let tenant = kit.tenants().ensure("acme").await?;
/// assert_eq!(kit.tenants().ensure("acme").await?.id(), tenant.id());
/// assert_eq!(engine.stop(Duration::from_secs(1)).await.open, 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Kit {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) ports: Ports,
    pub(crate) config: EngineConfig,
    pub(crate) judge: StandardJudge,
    /// Something to send or to own appeared.
    /// Sessions, campaigns or settings changed.
    pub(crate) work: Signal,
    /// A message was queued.
    pub(crate) due: Signal,
    /// The journal grew.
    pub(crate) journal: Signal,
    /// The running engine's queue of webhooks, if one runs.
    pub(crate) intake: Mutex<Option<mpsc::Sender<IntakeRequest>>>,
    /// What the running engine is asked about its numbers, if one runs.
    pub(crate) questions: Mutex<Option<mpsc::UnboundedSender<engine::Question>>>,
}

/// Puts a [`Kit`] together.
#[derive(Debug)]
pub struct KitBuilder {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    billing: Option<Arc<dyn Billing>>,
    transports: Vec<(String, Arc<dyn Transport>)>,
    sources: Vec<(String, Arc<dyn WebhookSource>)>,
    notifiers: Vec<Arc<dyn Notifier>>,
    config: EngineConfig,
    judge: StandardJudge,
}

/// The tenants of a kit.
#[derive(Debug, Clone, Copy)]
pub struct Tenants<'a> {
    pub(super) kit: &'a Kit,
}

impl Kit {
    /// Starts to put a kit together on a store.
    #[must_use]
    pub fn builder(store: Arc<dyn Store>) -> KitBuilder {
        KitBuilder {
            store,
            clock: Arc::new(SystemClock),
            entropy: Arc::new(SystemEntropy),
            billing: None,
            transports: Vec::new(),
            sources: Vec::new(),
            notifiers: Vec::new(),
            config: EngineConfig::default(),
            judge: StandardJudge::default(),
        }
    }

    /// The tenants.
    #[must_use]
    pub const fn tenants(&self) -> Tenants<'_> {
        Tenants { kit: self }
    }

    /// The handle through which everything of one tenant is reached.
    ///
    /// Whether there is such a tenant is not asked: everything of an unknown one is missing.
    #[must_use]
    pub fn tenant(&self, id: TenantId) -> TenantHandle {
        TenantHandle::new(self.clone(), id)
    }

    /// The entry for providers' callbacks; works with any HTTP server.
    #[must_use]
    pub const fn webhooks(&self) -> Webhooks<'_> {
        Webhooks::new(self)
    }

    /// What to do after the store was restored, moved or failed over: until then nothing is sent.
    #[must_use]
    pub const fn reconcile(&self) -> Reconcile<'_> {
        Reconcile::new(self)
    }

    /// Tenants as files: exports of one, backups of all, and imports from any kind of store.
    #[must_use]
    pub const fn archive(&self) -> Archives<'_> {
        Archives::new(self)
    }

    /// Looks for what should hold in the store and does not: at most `limit` findings of each kind. An empty
    /// list is the good answer. Reads everything, and holds up nothing.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn doctor(&self, limit: u32) -> Result<Vec<Finding>, KitError> {
        let ports = &self.inner.ports;
        Ok(ports.store.archive().examine(&ports.admin(), limit).await?)
    }

    /// The events of all tenants, from where this reader last acknowledged.
    ///
    /// # Errors
    /// When the name is not valid or the store cannot be read.
    pub async fn events(&self, reader: &str) -> Result<engine::EventStream, KitError> {
        let inner = &self.inner;
        let stream =
            engine::EventStream::open(inner.ports.clone(), reader.parse()?, inner.journal.clone()).await?;
        Ok(stream)
    }

    /// Starts the engine on the current tokio runtime: the only call that spawns.
    ///
    /// One engine per kit is enough; a second one would share the work as another process would.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[must_use = "dropping the handle stops the engine at once"]
    pub fn start(&self) -> engine::Running {
        let inner = &self.inner;
        let worker = engine::Worker::new(inner.ports.clone(), inner.config.clone(), inner.judge);
        let (sender, receiver) = mpsc::channel(2 * inner.config.intake_batch);
        *inner.intake.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(sender);
        let signals = engine::Signals {
            work: inner.work.clone(),
            due: inner.due.clone(),
            journal: inner.journal.clone(),
            ..engine::Signals::default()
        };
        inner.ports.store.subscribe(hearer(&signals));
        let (asker, questions) = mpsc::unbounded();
        *inner.questions.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(asker);
        engine::start(worker, &inner.config, signals, receiver, questions)
    }

    /// The steps of the engine without a runner, for tests on manual time.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn steps(&self) -> (engine::Worker, engine::Intake) {
        let inner = &self.inner;
        let worker = engine::Worker::new(inner.ports.clone(), inner.config.clone(), inner.judge);
        (worker, engine::Intake::new(inner.ports.clone()))
    }

    pub(crate) fn store(&self) -> &dyn Store {
        &*self.inner.ports.store
    }
}

/// Passes on what other processes announce, for as long as the engine with these signals runs.
fn hearer(signals: &engine::Signals) -> Hear {
    let alive = Arc::downgrade(&signals.alive);
    let (work, due, free) = (signals.work.clone(), signals.due.clone(), signals.free.clone());
    Arc::new(move |news| {
        match news {
            News::Due => due.raise(),
            News::Work => work.raise(),
            News::Free => free.raise(),
        }
        alive.strong_count() > 0
    })
}

impl Tenants<'_> {
    /// The tenant of this name, created if there is none. Safe to call at every start.
    ///
    /// # Errors
    /// When the name is not valid or the store fails.
    pub async fn ensure(self, name: &str) -> Result<TenantHandle, KitError> {
        let ports = &self.kit.inner.ports;
        let name: TenantName = name.parse()?;
        let fresh = TenantId::mint(ports.clock.now(), ports.draw());
        let tenant = ports.store.directory().ensure_tenant(&ports.admin(), &name, fresh).await?;
        engine::entitle(ports, &tenant).await?;
        Ok(self.kit.tenant(tenant.id))
    }

    /// All tenants in order of their ids; `after` is exclusive.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn list(self, after: Option<TenantId>, limit: u32) -> Result<Vec<Tenant>, KitError> {
        let ports = &self.kit.inner.ports;
        Ok(ports.store.directory().tenants(&ports.admin(), after, limit).await?)
    }
}

impl KitBuilder {
    /// Registers a transport under a name; sessions name it.
    #[must_use]
    pub fn transport(mut self, name: impl Into<String>, transport: Arc<dyn Transport>) -> Self {
        self.transports.push((name.into(), transport));
        self
    }

    /// Registers what verifies and translates the webhooks of the transport of this name.
    #[must_use]
    pub fn webhooks(mut self, name: impl Into<String>, source: Arc<dyn WebhookSource>) -> Self {
        self.sources.push((name.into(), source));
        self
    }

    /// Adds somebody who tells tenants what they should hear.
    #[must_use]
    pub fn notifier(mut self, notifier: Arc<dyn Notifier>) -> Self {
        self.notifiers.push(notifier);
        self
    }

    /// Sets who knows the tenants' plans; without one nothing is limited.
    #[must_use]
    pub fn billing(mut self, billing: Arc<dyn Billing>) -> Self {
        self.billing = Some(billing);
        self
    }

    /// Sets how the engine works.
    #[must_use]
    pub fn engine(mut self, config: EngineConfig) -> Self {
        self.config = config;
        self
    }

    /// Sets how much earlier than its end a window counts as closed.
    #[must_use]
    pub fn window_guard(mut self, guard: crate::rules::window::Guard) -> Self {
        self.judge.guard = guard;
        self
    }

    /// Sets the clock; for tests.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the source of randomness; for tests.
    #[must_use]
    pub fn entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }

    /// Checks everything and asks the store who it is.
    ///
    /// # Errors
    /// When a setting or name is not valid, a name stands twice, or the store fails.
    pub async fn build(self) -> Result<Kit, KitError> {
        self.config.validate()?;
        let transports = named(self.transports)?;
        let sources = named(self.sources)?;
        let now = self.clock.now();
        let entropy = &*self.entropy;
        let worker = WorkerId::mint(now, engine::draw(entropy));
        let fresh = StoreIdentity {
            instance: InstanceId::mint(now, engine::draw(entropy)),
            incarnation: IncarnationId::mint(now, engine::draw(entropy)),
            tag_key: TagKey::new(engine::draw(entropy)),
        };
        let admin = AdminScope::new(worker);
        let identity = self.store.directory().identity(&admin, &fresh).await?;
        if let Some(need) = self.store.archive().awaits(&admin).await? {
            tracing::warn!(since = %need.since, cause = need.cause.as_str(), "the store sends nothing until it is reconciled");
        }
        let ports = Ports {
            store: self.store,
            clock: self.clock,
            entropy: self.entropy,
            billing: self.billing,
            transports,
            sources,
            notifiers: self.notifiers,
            identity,
            worker,
            #[cfg(feature = "mutants")]
            mutant: self.config.mutant,
        };
        let inner = Inner {
            ports,
            config: self.config,
            judge: self.judge,
            work: Signal::default(),
            due: Signal::default(),
            journal: Signal::default(),
            intake: Mutex::new(None),
            questions: Mutex::new(None),
        };
        Ok(Kit { inner: Arc::new(inner) })
    }
}

fn named<T>(parts: Vec<(String, T)>) -> Result<BTreeMap<TransportName, T>, KitError> {
    let mut by_name = BTreeMap::new();
    for (name, part) in parts {
        let name: TransportName = name.parse()?;
        if by_name.insert(name.clone(), part).is_some() {
            return Err(KitError::Twice(name));
        }
    }
    Ok(by_name)
}
