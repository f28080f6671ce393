//! The calls of a script on the smaller rooms.

use std::time::Duration;

use chrono::TimeDelta;
use wa_core::model::{
    AlertSettings, BeyondCap, Breaker, BreakerReason, BreakerScope, Category, Entitlement, EventId,
    FailureCode, FailureDetails, FrequencyCap, Gap, GapSetting, IncarnationId, Included, InstanceId, Lane,
    NewSession, NumberId, OutsideWindow, Period, Quality, QualityPolicy, QuietHours, QuietSettings,
    RejectClass, RetryBackoff, SessionId, SessionReport, SessionSetting, SessionState, StreamPosition,
    TagKey, TemplateCooldown, TenantId, TenantSettings, Throughput, Tier, TransportName, WarmUp, WhenRed,
};
use wa_core::port::store::{
    AcquireSessions, AddSession, DispatchState, FailureFilter, Presence, ReaderName, StoreIdentity,
};
use wa_core::port::{Notice, NoticeKind};

use super::script::{Known, Script, Step, TENANTS, WORKERS};
use super::stores::every;
use crate::world::{LEASE, admin, worker_id};

impl Script {
    pub(super) async fn time(&mut self) -> Step {
        let by = match self.roll(30) {
            0 => 25 * 3_600,
            1 => 7 * 3_600,
            2 | 3 => 600,
            4..=7 => 20,
            8..=14 => 6,
            _ => 1,
        };
        self.stores.clock.advance(Duration::from_secs(by));
        self.tell("time", true, by);
        // The owners live on, mostly, or others follow them.
        match self.owner() {
            _ if self.percent(25) => Ok(()),
            Some(worker) => self.heartbeat(worker).await,
            None => self.acquire().await,
        }
    }

    pub(super) async fn reopen(&mut self) -> Step {
        self.stores.reopen().await;
        self.tell("reopen", true, ());
        Ok(())
    }

    pub(super) async fn ensure_tenant(&mut self, place: u64, fresh: TenantId) -> Step {
        let name = format!("tenant {place}").parse().expect("a name");
        let made = every!(self.stores, s => s.directory().ensure_tenant(&admin(), &name, fresh));
        self.tell("ensure_tenant", made.is_ok(), made);
        Ok(())
    }

    pub(super) async fn directory(&mut self) -> Step {
        match self.roll(8) {
            0 => {
                let n = u8::try_from(self.roll(200)).expect("small");
                let fresh = StoreIdentity {
                    instance: InstanceId::from_uuid(self.uuid()),
                    incarnation: IncarnationId::from_uuid(self.uuid()),
                    tag_key: TagKey::new([n; 32]),
                };
                let kept = every!(self.stores, s => s.directory().identity(&admin(), &fresh));
                self.tell("identity", kept.is_ok(), ());
            }
            1 => {
                let place = if self.percent(85) { self.roll(TENANTS - 1) } else { self.roll(TENANTS) };
                let coming = self.arrival.as_ref().map(|it| it.tenant).filter(|_| self.percent(30));
                let other = if self.percent(80) { place } else { self.roll(TENANTS) };
                self.ensure_tenant(place, coming.unwrap_or(Self::tenant_at(other))).await?;
            }
            2 => {
                let (after, limit) = (self.percent(30).then(|| self.tenant()), self.limit());
                let page = every!(self.stores, s => s.directory().tenants(&admin(), after, limit));
                self.tell("tenants", page.is_ok_and(|page| !page.is_empty()), after);
            }
            3 => {
                let scope = self.scope();
                let found = every!(self.stores, s => s.directory().tenant(&scope));
                self.tell("tenant", found.is_ok_and(|it| it.is_some()), scope);
            }
            4 => {
                let scope = self.scope();
                let found = every!(self.stores, s => s.directory().settings(&scope));
                self.tell("settings", found.is_ok_and(|it| it.is_some()), scope);
            }
            _ => {
                let scope = self.scope();
                let settings = TenantSettings {
                    paused: self.percent(8),
                    max_retries: u8::try_from(self.roll(4)).expect("small"),
                    retry_after_seconds: vec![1, 5],
                    retry_backoff: self.percent(20).then(RetryBackoff::default),
                    in_doubt: self.doubt_policy().unwrap_or_default(),
                    later_retries: u8::from(self.percent(50)),
                    // Low enough to be reached by campaigns of a few.
                    alerts: AlertSettings {
                        failing_of: 1,
                        pause_failures: 2,
                        pause_window: 2,
                        silent_after_seconds: AlertSettings::SHORTEST_SILENCE,
                        deaf_after: 2,
                        ..AlertSettings::default()
                    },
                    prices: self.percent(85).then(|| self.prices()),
                    billing_offset: self.offset(),
                    budget: self.tenant_budget(),
                    time_zone: "Europe/Berlin".parse().expect("a zone"),
                    quiet_hours: self.percent(10).then(|| self.night()),
                    ..self.rules()
                };
                let put = every!(self.stores, s => s.directory().put_settings(&scope, &settings));
                self.tell("put_settings", put.is_ok_and(|it| it), settings);
            }
        }
        Ok(())
    }

    fn night(&self) -> QuietSettings {
        let hour = |n: u64| format!("{n:02}:00").parse().expect("a time");
        let from = self.roll(24);
        let night = QuietHours::daily(hour(from), hour((from + 1 + self.roll(9)) % 24));
        let lanes = if self.percent(50) { vec![Lane::Bulk] } else { Lane::ALL.to_vec() };
        QuietSettings { lanes: lanes.into_iter().collect(), ..QuietSettings::new([night]) }
    }

    /// Settings of the rules that hang on the recipient and the number.
    fn rules(&self) -> TenantSettings {
        let included = || if self.percent(30) { Included::Included } else { Included::Exempt };
        let cooldown = || TemplateCooldown {
            hours: u8::try_from(1 + self.roll(8)).expect("small"),
            authentication: included(),
            transactional: included(),
        };
        let cap = || FrequencyCap {
            times: u8::try_from(1 + self.roll(3)).expect("small"),
            days: u8::try_from(1 + self.roll(2)).expect("small"),
            categories: if self.percent(60) {
                [Category::Marketing].into()
            } else {
                [Category::Marketing, Category::Utility].into()
            },
            beyond: if self.percent(50) { BeyondCap::Wait } else { BeyondCap::Skip },
        };
        let outside =
            [OutsideWindow::Block, OutsideWindow::Fallback, OutsideWindow::Send, OutsideWindow::Send];
        TenantSettings {
            template_cooldown: self.percent(35).then(cooldown),
            frequency_cap: self.percent(20).then(cap),
            window_tracking: self.percent(85),
            cost_tracking: self.percent(85),
            outside_window: *self.pick(&outside).expect("four"),
            quality: QualityPolicy { yellow_percent: 40, red: WhenRed::Hold },
            require_opt_in: self.percent(6),
            safe_mode: self.percent(6).then(|| (0..4).map(|_| self.recipient()).collect()),
            ..TenantSettings::default()
        }
    }

    async fn set_session(&mut self) -> Step {
        let (session, tenant) = self.session();
        let scope = self.scope_of(tenant);
        let warm_up = || WarmUp {
            since: self.percent(70).then(|| self.now()),
            caps: (0..=self.roll(3)).map(|_| u32::try_from(1 + self.roll(6)).expect("few")).collect(),
        };
        let change = if self.percent(70) {
            SessionSetting::WarmUp(self.percent(50).then(warm_up))
        } else {
            SessionSetting::Gap(GapSetting::Of(Gap { millis: 1_500, jitter_millis: 500 }))
        };
        let set = every!(self.stores, s => s.numbers().set_session(&scope, session, &change));
        self.tell("set_session", set.is_ok_and(|it| it.is_some()), (session, change));
        Ok(())
    }

    pub(super) async fn add_session(&mut self) -> Step {
        let scope = self.scope();
        let number = self.roll(3);
        let transport: TransportName =
            (if self.percent(80) { "cloud" } else { "openwa" }).parse().expect("a name");
        let new = NewSession {
            id: SessionId::from_uuid(self.uuid()),
            transport: transport.clone(),
            number: self.number(number),
            portfolio: if self.percent(70) { "one".to_owned() } else { "other".to_owned() },
            account: self.percent(80).then(|| self.account()),
            phone: self.percent(50).then(|| self.phone()),
        };
        let added = every!(self.stores, s => s.numbers().add_session(&scope, &new));
        if let Ok(AddSession::Added(session)) = &added {
            let known = Known { tenant: scope.tenant(), transport, number };
            self.sessions.insert(session.id, known);
        }
        let good = matches!(added, Ok(AddSession::Added(_) | AddSession::Known(_)));
        self.tell("add_session", good, (scope, added));
        Ok(())
    }

    pub(super) fn account(&self) -> String {
        if self.percent(80) { "waba.1".to_owned() } else { "waba.2".to_owned() }
    }

    pub(super) fn number(&self, number: u64) -> NumberId {
        number.to_string().parse().expect("a number id")
    }

    pub(super) async fn acquire(&mut self) -> Step {
        let worker = self.roll(WORKERS);
        let id = worker_id(u128::from(worker));
        let ask = AcquireSessions {
            worker: id,
            lease: LEASE * 4,
            most: u32::try_from(1 + self.roll(5)).expect("few"),
        };
        let scope = wa_core::testing::scope::admin(id);
        let leases = every!(self.stores, s => s.numbers().acquire(&scope, &ask));
        for lease in leases.iter().flatten() {
            self.leases.insert(lease.session.id, (worker, lease.clone()));
        }
        self.tell("acquire", leases.as_ref().is_ok_and(|it| !it.is_empty()), (worker, leases));
        Ok(())
    }

    async fn attend(&mut self) -> Step {
        let worker = worker_id(u128::from(self.roll(WORKERS)));
        let most = u32::try_from(self.roll(4)).expect("few");
        let presence = Presence { worker, lease: LEASE * 4, most };
        let scope = wa_core::testing::scope::admin(worker);
        let there = every!(self.stores, s => s.numbers().attend(&scope, &presence));
        self.tell("attend", there.as_ref().is_ok_and(|it| !it.workers.is_empty()), (presence, there));
        Ok(())
    }

    async fn heartbeat(&mut self, worker: u64) -> Step {
        let scope = self.holder(worker);
        let held = every!(self.stores, s => s.numbers().heartbeat(&scope, LEASE * 4));
        let until = self.now() + LEASE * 4;
        for session in held.iter().flatten() {
            if let Some((_, lease)) = self.leases.get_mut(session) {
                lease.until = until;
            }
        }
        self.tell("heartbeat", held.as_ref().is_ok_and(|it| !it.is_empty()), (worker, held));
        Ok(())
    }

    fn breaker_scope(&self) -> (BreakerScope, TenantId) {
        let (session, tenant) = self.session();
        let scope = if self.percent(60) {
            BreakerScope::Session(session)
        } else {
            BreakerScope::Template(
                session,
                "hello".parse().expect("a name"),
                "en_US".parse().expect("a language"),
            )
        };
        (scope, tenant)
    }

    pub(super) async fn numbers(&mut self) -> Step {
        match self.roll(26) {
            24 | 25 => self.set_session().await?,
            0 | 1 => self.add_session().await?,
            2 => {
                let (session, tenant) = self.session();
                let scope = self.scope_of(tenant);
                let found = every!(self.stores, s => s.numbers().session(&scope, session));
                self.tell("session", found.is_ok_and(|it| it.is_some()), session);
            }
            3 => {
                let (session, tenant) = self.session();
                let (scope, after, limit) =
                    (self.scope_of(tenant), self.percent(30).then_some(session), self.limit());
                let page = every!(self.stores, s => s.numbers().sessions(&scope, after, limit));
                self.tell("sessions", page.is_ok_and(|page| !page.is_empty()), after);
            }
            4..=6 => {
                let (session, tenant) = self.session();
                let scope = self.scope_of(tenant);
                let state = match self.roll(16) {
                    0 => Some(SessionState::Disconnected),
                    1 => Some(SessionState::Deleted),
                    2..=6 => None,
                    _ => Some(SessionState::Connected),
                };
                let tier = [Tier::Limited(3), Tier::Limited(6), Tier::Unlimited];
                let report = SessionReport {
                    state,
                    throughput: self.percent(20).then(|| Throughput::try_from(20).expect("a throughput")),
                    tier: self.percent(70).then(|| *self.pick(&tier).expect("three")),
                    quality: self
                        .percent(20)
                        .then(|| if self.percent(70) { Quality::Green } else { Quality::Red }),
                    phone: self.percent(10).then(|| self.phone()),
                };
                let stored = every!(self.stores, s => s.numbers().report_session(&scope, session, &report));
                self.tell("report_session", stored.is_ok_and(|it| it.is_some()), (session, report));
            }
            7 => {
                let (session, _) = self.session();
                let Some(Known { transport, number, .. }) = self.sessions.get(&session).cloned() else {
                    return Ok(());
                };
                let number = self.number(number);
                let routes = every!(self.stores, s => s.numbers().route(&admin(), &transport, &number));
                self.tell("route", routes.is_ok_and(|it| !it.is_empty()), session);
            }
            8 | 9 => self.attend().await?,
            10..=13 => self.acquire().await?,
            14 | 15 => {
                let worker = self.owner().filter(|_| self.percent(90));
                self.heartbeat(worker.unwrap_or_else(|| self.roll(WORKERS))).await?;
            }
            16 => {
                let Some((session, scope)) = self.held() else { return Ok(()) };
                let state = DispatchState { releases: vec![1, 2] };
                let released = every!(self.stores, s => s.numbers().release(&scope, session, &state));
                let now = self.now();
                if let Some((_, lease)) = self.leases.get_mut(&session).filter(|_| released == Ok(true)) {
                    lease.until = now;
                }
                self.tell("release", released.is_ok_and(|it| it), (session, scope));
            }
            17 => {
                // Mostly of a session that is held.
                let alive = |session| self.is_alive(session) || self.percent(10);
                let begun: Vec<_> = self.attempts.iter().map(|(_, session)| *session).collect();
                let begun: Vec<_> = begun.into_iter().filter(|session| alive(*session)).collect();
                let held = self.pick_late(&begun);
                let held = held.and_then(|session| Some((*session, self.leases.get(session)?.0)));
                let Some((session, worker)) = held else { return Ok(()) };
                let scope = self.holder(worker);
                let since = self.now() - TimeDelta::hours(9);
                let recent = every!(self.stores, s => s.numbers().recent(&scope, session, since), |mut all: Vec<wa_core::port::store::RecentAttempt>| {
                    // Oldest first is promised, and no order of those begun together.
                    assert!(all.is_sorted_by_key(|it| it.begun_at));
                    all.sort_by_key(|it| (it.begun_at, it.recipient));
                    all
                });
                self.tell("recent", recent.is_ok_and(|it| !it.is_empty()), session);
            }
            18 | 19 => {
                let (what, tenant) = self.breaker_scope();
                let scope = self.scope_of(tenant);
                let breaker = Breaker {
                    scope: what,
                    reason: if self.percent(50) { BreakerReason::Spam } else { BreakerReason::Account },
                    code: i64::try_from(self.roll(2)).expect("small"),
                    until: self.percent(85).then(|| self.now() + TimeDelta::seconds(8)),
                    since: self.now(),
                };
                let open = every!(self.stores, s => s.numbers().open_breaker(&scope, &breaker));
                self.tell("open_breaker", open.is_ok_and(|it| it), breaker);
            }
            20 | 21 => {
                // Mostly one that is open.
                let (mut what, tenant) = self.breaker_scope();
                let mut scope = self.scope_of(tenant);
                let mut any = false;
                for tenant in self.tenants() {
                    let of = wa_core::testing::scope::tenant(tenant);
                    let open = every!(self.stores, s => s.numbers().breakers(&of)).unwrap_or_default();
                    any |= !open.is_empty();
                    if let Some(open) = self.pick(&open).filter(|_| self.percent(90)) {
                        (what, scope) = (open.scope.clone(), of);
                    }
                }
                if !any && self.percent(80) {
                    return Ok(());
                }
                let reset = every!(self.stores, s => s.numbers().reset_breaker(&scope, &what));
                self.tell("reset_breaker", reset.is_ok_and(|it| it), what);
            }
            22 => self.templates().await?,
            _ => {
                let scope = self.scope();
                let open = every!(self.stores, s => s.numbers().breakers(&scope));
                self.tell("breakers", open.is_ok(), open);
            }
        }
        Ok(())
    }

    /// A name that the provider could have given an attempt.
    pub(super) fn provider_id(&self, place: usize) -> String {
        if self.percent(92) { format!("wamid.{place}") } else { format!("a.wamid.{place}") }
    }

    pub(super) fn failure(&self) -> FailureCode {
        let (code, class) = *self
            .pick(&[
                (131_000, RejectClass::Retry),
                (131_000, RejectClass::Retry),
                (130_429, RejectClass::Throttled),
                (131_056, RejectClass::PairThrottled),
                (131_026, RejectClass::Recipient),
                (131_049, RejectClass::Later),
                (131_050, RejectClass::OptedOut),
                (132_015, RejectClass::TemplatePaused),
                (131_048, RejectClass::Spam),
                (190, RejectClass::Credential),
            ])
            .expect("some");
        let details = FailureDetails::new(["", "one", "another"][self.index(3)]);
        FailureCode { code, class, title: format!("failure {code}"), details }
    }

    pub(super) async fn ledger(&mut self) -> Step {
        let scope = self.scope();
        match self.roll(6) {
            0 | 1 => {
                let entitlement = Entitlement {
                    plan: "plan".to_owned(),
                    messages_per_month: self.percent(60).then(|| 5 + self.roll(40)),
                    sessions: self.percent(40).then(|| u32::try_from(1 + self.roll(4)).expect("few")),
                    suspended: self.percent(8),
                };
                let set = every!(self.stores, s => s.ledger().set_entitlement(&scope, &entitlement));
                self.tell("set_entitlement", set.is_ok_and(|it| it), entitlement);
            }
            2 => {
                let found = every!(self.stores, s => s.ledger().entitlement(&scope));
                self.tell("entitlement", found.is_ok_and(|it| it.is_some()), scope);
            }
            3 => {
                let period = Period::of(self.now());
                let usage = every!(self.stores, s => s.ledger().usage(&scope, period));
                self.tell("usage", usage.is_ok_and(|it| it.is_some()), scope);
            }
            _ => self.money().await?,
        }
        Ok(())
    }

    pub(super) async fn journal(&mut self) -> Step {
        let reader: ReaderName = ["a", "b"][usize::from(self.percent(30))].parse().expect("a name");
        match self.roll(10) {
            0 | 1 => {
                let after = if self.percent(60) { 0 } else { self.roll(20) };
                let (after, limit) = (StreamPosition(after), self.limit());
                let page =
                    every!(self.stores, s => s.journal().read(&admin(), after, limit), super::export::bodies);
                self.tell("read", page.is_ok_and(|it| !it.is_empty()), after);
            }
            2 => {
                let position = every!(self.stores, s => s.journal().position(&admin(), &reader));
                self.tell("position", position.is_ok(), position);
            }
            3..=5 => {
                let position = StreamPosition(self.roll(30));
                let done = every!(self.stores, s => s.journal().acknowledge(&admin(), &reader, position));
                self.tell("acknowledge", done.is_ok(), (reader, position));
            }
            6 => {
                let before = self.now() - TimeDelta::seconds(i64::try_from(self.roll(9)).expect("small"));
                let gone = every!(self.stores, s => s.journal().prune_events(&admin(), before));
                self.tell("prune_events", gone.is_ok(), gone);
            }
            7 | 8 => {
                let scope = self.scope();
                let tenant = if self.percent(92) { scope.tenant() } else { self.tenant() };
                let id = EventId::from_uuid(uuid::Uuid::from_u128(u128::from(self.roll(6))));
                let (_, campaign) = self.campaign();
                let notice =
                    Notice { id, tenant, at: self.now(), kind: NoticeKind::CampaignStarted { campaign } };
                let kept = every!(self.stores, s => s.journal().keep_notice(&scope, &notice));
                self.tell("keep_notice", kept.is_ok_and(|it| it), notice);
            }
            _ => {
                let (scope, limit) = (self.scope(), self.limit());
                let page = every!(self.stores, s => s.journal().notices(&scope, None, limit));
                self.tell("notices", page.is_ok(), scope);
            }
        }
        Ok(())
    }

    pub(super) fn failure_filter(&self) -> FailureFilter {
        let failure = self.failure();
        FailureFilter {
            campaign: self.percent(20).then(|| self.campaign().1),
            session: self.percent(10).then(|| self.session().0),
            code: self.percent(10).then_some(failure.code),
            class: self.percent(20).then_some(failure.class),
            since: self.percent(10).then(|| self.now() - TimeDelta::seconds(9)),
            before: self.percent(10).then(|| self.now() - TimeDelta::seconds(3)),
            critical_only: self.percent(15),
        }
    }

    pub(super) async fn reports(&mut self) -> Step {
        match self.roll(10) {
            9 => self.trend().await?,
            6 => {
                let (tenant, id) = self.campaign();
                let scope = self.scope_of(tenant);
                let alert = every!(self.stores, s => s.reports().alert(&scope, id));
                self.tell("alert", alert.is_ok(), alert);
            }
            7 => {
                let (scope, filter, limit) = (self.scope(), self.failure_filter(), self.limit());
                let after = self.pick(&self.messages).map(|(_, id)| *id).filter(|_| self.percent(20));
                let page = every!(self.stores, s => s.reports().failed(&scope, &filter, after, limit));
                self.tell("failed", page.is_ok(), filter);
            }
            8 => {
                let (scope, limit) = (self.scope(), self.limit());
                let page = every!(self.stores, s => s.reports().silent(&scope, None, limit));
                self.tell("silent", page.is_ok(), scope);
            }
            0 | 1 => {
                let (tenant, id) = self.campaign();
                let scope = self.scope_of(tenant);
                let counts = every!(self.stores, s => s.reports().counts(&scope, id));
                self.tell("counts", counts.is_ok_and(|it| it.is_some()), id);
            }
            2 => {
                let known = self.pick_late(&self.messages).copied();
                let Some((tenant, id)) = known else { return Ok(()) };
                let scope = self.scope_of(tenant);
                let view = every!(self.stores, s => s.reports().message(&scope, id));
                self.tell("message", view.is_ok_and(|it| it.is_some()), id);
            }
            3 => {
                let before = self.pick(&self.messages).map(|(_, id)| *id).filter(|_| self.percent(20));
                let (scope, limit) = (self.scope(), self.limit());
                let page = every!(self.stores, s => s.reports().messages(&scope, before, limit));
                self.tell("messages", page.is_ok_and(|it| !it.is_empty()), before);
            }
            4 => {
                // Mostly one that was launched.
                let mut found = self.campaign();
                for _ in 0..3 {
                    let (of, id) = (wa_core::testing::scope::tenant(found.0), found.1);
                    let any = every!(self.stores, s => s.reports().recipients(&of, id, None, 1));
                    if any.is_ok_and(|it| !it.is_empty()) {
                        break;
                    }
                    found = self.campaign();
                }
                let (tenant, id) = found;
                let after = self.pick(&self.messages).map(|(_, id)| *id).filter(|_| self.percent(20));
                let (scope, limit) = (self.scope_of(tenant), self.limit());
                let page = every!(self.stores, s => s.reports().recipients(&scope, id, after, limit));
                self.tell("recipients", page.is_ok_and(|it| !it.is_empty()), id);
            }
            _ => {
                let after = self.pick(&self.messages).map(|(_, id)| *id).filter(|_| self.percent(20));
                let (scope, limit) = (self.scope(), self.limit());
                let page = every!(self.stores, s => s.reports().in_doubt(&scope, after, limit));
                self.tell("in_doubt", page.is_ok(), after);
            }
        }
        Ok(())
    }
}
