//! The conformance suite of the Store seam: one case per named clause of its contracts.
//!
//! Every case starts from a fresh, empty store whose clock stands still until the case moves it,
//! and is named after the clause that it checks. The cases are written from the contracts alone.
//!
//! # How to prove an own store
//!
//! Say how a fresh store is opened and how the same data is opened again, and name the suite in a
//! test file. Each clause becomes one `#[tokio::test]`, in a module per room:
//!
//! ```
//! use std::sync::Arc;
//! use wa_core::memory::MemoryStore;
//! use wa_core::port::{Clock, store::Store};
//! use wa_core::testing::store::{OpenStore, StoreFixture};
//!
//! struct Fixture;
//! struct Opened(MemoryStore); // your store, and what is needed to open its data again
//!
//! #[async_trait::async_trait]
//! impl StoreFixture for Fixture {
//!     async fn open(&self, clock: Arc<dyn Clock>) -> Box<dyn OpenStore> {
//!         Box::new(Opened(MemoryStore::new(clock)))
//!     }
//! }
//!
//! #[async_trait::async_trait]
//! impl OpenStore for Opened {
//!     fn store(&self) -> Arc<dyn Store> {
//!         Arc::new(self.0.clone())
//!     }
//!     async fn reopen(&mut self) {
//!         self.0 = self.0.clone();
//!     }
//! }
//!
//! wa_core::store_conformance!(Fixture);
//! ```
//!
//! A store that is broken on purpose can be given to [`run`], which reports instead of panicking.

#![expect(clippy::panic, reason = "a case whose clause does not hold panics with what it saw")]

mod archive;
mod audience;
mod directory;
mod failures;
mod inbox;
mod journal;
mod judges;
mod ledger;
mod numbers;
mod outbox;
mod reports;
mod schedules;
mod tenancy;
mod values;
mod world;

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::LocalBoxFuture;

use self::tenancy::a_foreign_id_looks_missing;
use self::world::Premise;
use crate::port::Clock;
use crate::port::store::Store;

/// Opens stores for the suite.
#[async_trait]
pub trait StoreFixture: Send + Sync {
    /// Opens a fresh, empty store that tells the time by `clock`.
    async fn open(&self, clock: Arc<dyn Clock>) -> Box<dyn OpenStore>;
}

/// A store under test, and what is needed to open its data again.
#[async_trait]
pub trait OpenStore: Send + Sync {
    /// The store, as an application would hold it.
    fn store(&self) -> Arc<dyn Store>;

    /// Closes the store and opens the same data again, as after a restart.
    ///
    /// The suite has dropped every handle that [`store`](Self::store) gave.
    async fn reopen(&mut self);
}

/// One case: a clause of a contract and the check that it holds.
#[derive(Clone, Copy)]
pub struct Case {
    /// The room whose contract has the clause; `store` for what holds in every room.
    pub room: &'static str,
    /// The clause.
    pub clause: &'static str,
    run: Run,
}

type Run = for<'a> fn(&'a dyn StoreFixture) -> LocalBoxFuture<'a, ()>;

/// What a run of the whole suite found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The clauses that hold.
    pub kept: Vec<&'static str>,
    /// The clauses that do not, with what was seen.
    pub broken: Vec<Broken>,
}

/// A clause that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// The room.
    pub room: &'static str,
    /// The clause.
    pub clause: &'static str,
    /// What was seen.
    pub seen: String,
}

/// Runs one case.
///
/// # Panics
/// When the clause does not hold, or there is none of this name.
pub async fn check(fixture: &dyn StoreFixture, clause: &str) {
    let case = cases().into_iter().find(|case| case.clause == clause);
    let case = case.expect("the suite has a case of this name");
    (case.run)(fixture).await;
}

/// Runs every case, each on a fresh store, whatever becomes of the others.
pub async fn run(fixture: &dyn StoreFixture) -> Report {
    let mut report = Report::default();
    for case in cases() {
        match outcome(&case, fixture).await {
            None => report.kept.push(case.clause),
            Some(seen) => report.broken.push(Broken { room: case.room, clause: case.clause, seen }),
        }
    }
    report
}

/// What went wrong in a case, if anything did.
async fn outcome(case: &Case, fixture: &dyn StoreFixture) -> Option<String> {
    let checked = AssertUnwindSafe((case.run)(fixture)).catch_unwind().await;
    checked.err().map(|panic| said(panic.as_ref()))
}

fn said(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

impl Report {
    /// Checks that every clause holds.
    ///
    /// # Panics
    /// When one does not; the message names all that do not.
    pub fn assert_kept(&self) {
        let lines: Vec<String> =
            self.broken.iter().map(|it| format!("{}::{}: {}", it.room, it.clause, it.seen)).collect();
        assert!(lines.is_empty(), "{} clauses do not hold:\n{}", lines.len(), lines.join("\n"));
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Case({}::{})", self.room, self.clause)
    }
}

/// The one list of cases; everything else is made from it.
#[doc(hidden)]
#[macro_export]
macro_rules! __store_clauses {
    ($with:ident $args:tt) => {
        $crate::$with! { $args
            directory in directory {
                identity_is_made_once
                ensure_tenant_creates_once
                tenants_are_paged_by_id
                tenant_is_none_when_missing
                settings_default_until_put
                put_settings_come_back
                put_settings_bind_the_next_begin
            }
            numbers in numbers {
                add_session_is_idempotent_by_number
                add_session_keeps_the_plans_limit
                add_session_learns_the_account
                add_session_needs_its_tenant
                two_tenants_may_add_one_number
                a_foreign_session_is_missing
                sessions_are_paged_by_id
                report_session_keeps_what_is_not_said
                set_session_changes_one_setting
                route_finds_every_tenant_of_a_number
                attend_makes_a_worker_known
                attend_keeps_since_when
                attend_counts_what_each_holds
                attend_without_room_takes_leave
                acquire_raises_the_epoch
                acquire_gives_a_session_to_one_worker
                acquire_after_the_lease_ended_names_the_quiet_time
                acquire_counts_unsettled_deaths
                acquire_passes_a_released_state_on
                heartbeat_prolongs_held_leases
                heartbeat_leaves_out_lost_sessions
                release_frees_at_once
                a_stale_release_changes_nothing
                recent_gives_what_meters_are_rebuilt_from
                an_open_breaker_binds_the_next_begin
                a_foreign_session_gets_no_breaker
                a_reset_breaker_lets_go
                breakers_lists_open_ones
                templates_shows_the_latest_of_each_part
                templates_are_paged_by_key
            }
            audience in audience {
                start_import_resumes_the_same_source
                another_source_is_another_import
                import_adds_contacts_and_counts_lines
                import_applies_a_chunk_once
                import_finds_duplicates_across_chunks
                import_keeps_an_earlier_opt_out
                import_opts_out_what_the_file_says
                import_survives_a_reopen
                imports_lists_what_went_into_a_list
                import_report_names_each_bad_line
                upsert_contact_finds_by_any_address
                upsert_contact_merges_attributes
                upsert_contact_merges_contacts
                a_foreign_contact_is_missing
                a_merged_contact_is_found_by_its_former_id
                find_contact_by_either_address
                contacts_are_paged_by_id
                members_come_in_the_order_of_a_launch
                an_opt_out_binds_the_next_begin
                suppress_adds_each_address_once
                unsuppress_lets_go
                suppressed_is_paged_by_address
                create_campaign_is_idempotent_by_name
                another_definition_under_a_name_is_refused
                create_campaign_takes_a_new_rate_over
                create_campaign_needs_own_sessions
                set_budget_binds_the_next_begin
                launch_freezes_each_member_once
                launch_resumes_where_it_stopped
                launch_does_not_take_later_members
                launch_freezes_values
                launch_skips_members_without_a_value
                launch_spreads_over_the_sessions
                a_paused_launch_does_not_go_on
                pause_binds_the_next_begin
                resume_goes_on_where_it_stopped
                cancel_skips_everything_not_begun
                an_illegal_move_changes_nothing
                a_foreign_campaign_is_missing
                a_campaign_is_found_by_name
                campaigns_are_paged_by_id
                advance_starts_what_is_due
                advance_completes_what_is_done
            }
            schedules in schedules {
                create_schedule_is_idempotent_by_name
                another_schedule_under_a_name_is_refused
                create_schedule_needs_own_sessions
                a_schedule_starts_with_the_first_slot_from_now_on
                a_foreign_schedule_is_missing
                a_schedule_is_found_by_name
                schedules_are_paged_by_id
                runs_are_paged_by_slot
                a_paused_schedule_runs_nothing
                resume_goes_on_with_the_next_slot
                an_ended_schedule_stays_ended
                due_schedules_names_what_has_come
                due_schedules_names_runs_to_launch
                due_schedules_says_when_the_next_one_comes
                run_schedule_makes_one_campaign_per_slot
                run_schedule_counts_the_validity_from_the_slot
                run_schedule_skips_what_was_missed
                run_schedule_skips_a_taken_name
                run_schedule_ends_with_its_last_slot
                run_schedule_writes_the_journal
            }
            outbox in outbox {
                enqueue_is_idempotent_by_key
                another_body_under_a_key_is_refused
                keys_of_two_tenants_do_not_meet
                enqueue_keeps_what_is_quoted
                enqueue_needs_an_own_session
                a_cancelled_message_never_begins
                a_begun_message_cannot_be_cancelled
                cancel_withdraws_a_resend
                due_writes_nothing
                due_gives_transactional_first
                due_respects_due_at
                due_leaves_out_paused_campaigns
                due_is_bounded_by_limit
                due_skips_named_campaigns
                due_skips_named_feeds
                due_says_the_pace
                begin_commits_an_attempt_per_permit
                begin_is_refused_without_a_live_lease
                begin_takes_each_message_once
                begin_twice_begins_once
                begin_refuses_a_used_batch_id
                begin_moves_the_feed_in_order
                begin_leaves_one_fact_per_message
                begin_reserves_quota_exactly
                begin_reserves_the_tier_exactly
                begin_reserves_the_budget_exactly
                begin_pauses_a_campaign_whose_budget_is_spent
                begin_holds_an_unknown_price_under_a_budget
                begin_counts_free_service_messages
                begin_sees_what_committed_before
                begin_keeps_the_cooldown
                begin_keeps_the_frequency_cap
                begin_keeps_the_warm_up_cap_exactly
                begin_keeps_safe_mode
                begin_keeps_the_suppression_list
                begin_needs_an_opt_in_where_asked
                begin_holds_marketing_of_a_bad_number
                begin_waits_out_quiet_hours
                begin_falls_back_to_the_template
                begin_writes_the_price
                begin_writes_the_journal
                consider_writes_nothing
                consider_answers_as_begin_would
                consider_tells_the_taken_slots
                consider_judges_behind_a_stop
                consider_takes_hypothetical_messages
                consider_needs_an_own_session
                abandon_gives_a_committed_batch_back
                abandon_bars_a_batch_that_never_came
                abandon_can_be_repeated
                settle_merges_and_repeats_safely
                settle_is_not_fenced
                settle_gives_back_once
                settle_schedules_a_retry
                settle_schedules_no_retry_past_the_validity
                settle_puts_a_throttled_message_back
                settle_opens_a_breaker
                settle_records_a_marketing_opt_out
                settle_names_unknown_attempts
                settle_joins_waiting_statuses
                an_in_doubt_attempt_is_not_overridden_by_another
                settle_withdraws_a_resend
                settle_writes_the_journal
                settle_tells_of_undeliverable_messages
                settle_tells_of_a_failing_campaign_once
                settle_pauses_a_campaign_that_fails_for_one_reason
                retry_adds_an_attempt_to_the_chain
                retry_leaves_alone_what_may_be_delivered
                redrive_requeues_what_fits
                redrive_twice_requeues_once
                redrive_never_touches_what_may_be_delivered
                redrive_takes_skipped_ones_by_their_reason
                listen_finds_silent_messages_once
                listen_finds_a_deaf_session_once
                listen_goes_on_where_it_stopped
                sweep_never_makes_pending
                sweep_waits_for_the_grace
                sweep_leaves_settled_attempts_alone
                recover_never_resends_by_itself
                recover_resends_after_its_time
                recover_resends_what_is_proven_silent
                recover_keeps_to_the_narrowest_policy
                recover_leaves_alone_what_is_over
                recover_leaves_another_life_alone
                recover_tries_a_failed_resend_again
                recover_gives_up_for_good
                recover_goes_on_where_it_stopped
                recover_needs_a_live_lease
                recover_writes_the_journal
                a_resend_reopens_its_campaign
                resolve_decides_a_message_in_doubt
                resolve_resends_once
                resolve_resends_nothing_that_is_over
                resolve_leaves_others_alone
                late_news_of_a_resolved_message_count
            }
            inbox in inbox {
                keep_is_durable
                keep_knows_a_repeated_body
                unprojected_gives_what_is_left
                project_applies_statuses_in_any_order
                project_resolves_an_in_doubt_attempt
                project_heeds_the_batch_of_a_tag
                project_keeps_an_early_status
                project_is_done_once
                project_opens_a_window
                project_keeps_the_chain_in_any_order
                project_clamps_a_future_stamp
                project_stores_an_inbound_message_once
                project_stores_every_kind
                project_attaches_what_hangs_on_a_message
                project_stores_an_echo
                project_records_a_stop_word
                project_orders_words_by_the_users_clock
                project_records_a_preference
                project_notes_names
                project_merges_contacts_by_any_address
                project_follows_a_changed_address
                project_takes_the_entry_point_from_a_status
                project_opens_a_conversation
                project_keeps_to_the_account
                project_stops_and_resumes_an_account
                project_changes_what_a_number_may
                project_stops_and_resumes_a_template
                project_leaves_foreign_numbers_alone
                project_lets_no_event_block_its_siblings
                project_names_what_the_engine_meters
                project_writes_the_journal
                window_is_of_one_session
                window_counts_both_ways
                window_knows_its_entry_point
                windows_are_paged_by_their_end
                windows_lists_open_ones
                inbound_is_paged_by_position
                conversations_are_paged_latest_first
                conversations_are_filtered
                a_foreign_conversation_is_missing
                a_conversation_shows_its_first_response
                conversation_messages_are_in_order_of_time
                a_conversation_is_assigned_closed_and_reopened
                a_conversation_counts_what_is_unread
                prune_keeps_what_is_not_projected
            }
            ledger in ledger {
                set_entitlement_binds_the_next_begin
                entitlement_is_unlimited_until_set
                usage_counts_begun_messages
                usage_is_the_tenants_own
                cost_is_the_sum_of_attempts
                cost_of_a_campaign_contact_and_period_is_the_sum_of_its_attempts
                a_webhook_settles_the_price
                a_price_of_an_unknown_category_is_unknown
                an_early_price_waits_for_its_attempt
                a_failed_message_costs_nothing
                a_price_is_settled_by_the_prices_of_its_begin
                contact_spend_counts_what_was_sent
                budget_use_is_the_sum_of_attempts
            }
            journal in journal {
                events_are_read_in_order
                events_survive_a_reopen
                readers_stand_apart
                a_reader_never_goes_back
                prune_keeps_what_a_reader_needs
                a_notice_is_kept_once
                notices_are_paged_by_id
            }
            archive in archive {
                a_new_store_waits_for_nobody
                suspend_binds_the_next_begin
                suspend_holds_what_would_go_on
                suspend_starts_a_new_incarnation
                suspend_keeps_the_first_cause
                suspend_stops_schedules
                unreconciled_is_paged_by_key
                lift_lets_singles_go
                lift_makes_up_for_no_slot
                examine_finds_nothing_in_a_sound_store
                export_gives_records_in_order
                export_is_of_one_instant
                export_holds_nothing_of_others
                export_holds_no_secret
                export_of_nobody_gives_nothing
                import_brings_everything_back
                import_derives_what_follows
                import_is_hidden_until_it_is_finished
                import_goes_on_where_it_stopped
                import_of_another_file_is_elsewhere
                import_refuses_what_is_taken
                import_refuses_what_is_missing
                an_imported_tenant_is_held
                an_imported_open_attempt_comes_into_doubt
                an_imported_tenant_takes_its_slots
                unfinished_imports_are_listed
                a_discarded_import_leaves_nothing
                held_tenants_are_paged_by_id
                release_lets_singles_go
                release_makes_up_for_no_slot
            }
            reports in reports {
                counts_equal_a_recount
                counts_add_up
                a_foreign_message_is_missing
                a_message_shows_its_chain_of_attempts
                messages_are_paged_latest_first
                recipients_are_paged_by_id
                in_doubt_lists_exactly_those_in_doubt
                failed_lists_exactly_those_that_fit
                failed_says_why
                silent_lists_what_was_never_heard_of
                alert_gives_the_last_one
                trend_equals_a_recount
                trend_is_of_one_session_or_all
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __store_cases {
    ([] $($room:ident in $module:ident { $($clause:ident)* })*) => {
        vec![$($(Case {
            room: stringify!($room),
            clause: stringify!($clause),
            run: |fixture| Box::pin(on(fixture, $module::$clause)),
        }),*),*]
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __store_tests {
    ([$fixture:expr] $($room:ident in $module:ident { $($clause:ident)* })*) => {
        mod store {
            #[allow(unused_imports)] // a fixture may be named by its full path
            use super::*;

            #[tokio::test]
            async fn a_foreign_id_looks_missing() {
                $crate::testing::store::check(&$fixture, "a_foreign_id_looks_missing").await;
            }
        }
        $(
        mod $room {
            #[allow(unused_imports)] // a fixture may be named by its full path
            use super::*;
            $(
                #[tokio::test]
                async fn $clause() {
                    $crate::testing::store::check(&$fixture, stringify!($clause)).await;
                }
            )*
        }
        )*
    };
}

/// Makes one `#[tokio::test]` per clause of the Store contracts, in a module per room.
///
/// Takes an expression that makes a [`StoreFixture`](crate::testing::store::StoreFixture); it is
/// evaluated in each test, with the names of the place where the macro stands. The crate that uses
/// it needs tokio with `rt` and `macros`.
#[macro_export]
macro_rules! store_conformance {
    ($fixture:expr) => {
        $crate::__store_clauses! { __store_tests [$fixture] }
    };
}

/// Every case, room by room.
#[must_use]
pub fn cases() -> Vec<Case> {
    let everywhere = Case {
        room: "store",
        clause: "a_foreign_id_looks_missing",
        run: |fixture| Box::pin(a_foreign_id_looks_missing(fixture)),
    };
    let mut cases = vec![everywhere];
    cases.extend(of_rooms());
    cases
}

/// Runs a case on what it starts from.
async fn on<P: Premise, F: Future<Output = ()>>(fixture: &dyn StoreFixture, case: impl FnOnce(P) -> F) {
    case(P::open(fixture).await).await;
}

fn of_rooms() -> Vec<Case> {
    crate::__store_clauses! { __store_cases [] }
}
