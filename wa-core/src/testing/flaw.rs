//! Stores that are wrong, each in one small way, and the clauses made for them.

macro_rules! flaws {
    ($($(#[$doc:meta])* $flaw:ident: $($clause:ident),*;)*) => {
        /// A store that is wrong in one small way. The conformance suite of the Store seam must tell each by
        /// the clause made for it, and by no other.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Flaw {
            $($(#[$doc])* $flaw,)*
        }

        impl Flaw {
            /// Every flaw.
            pub const ALL: &[Self] = &[$(Self::$flaw),*];

            /// The clauses that a store with this flaw does not keep.
            #[must_use]
            pub const fn clauses(self) -> &'static [&'static str] {
                match self {
                    $(Self::$flaw => &[$(stringify!($clause)),*],)*
                }
            }
        }
    };
}

flaws! {
    // store
    /// Shows what a contact of another tenant has cost.
    ShowsAForeignSpend: a_foreign_id_looks_missing;
    // directory
    /// Takes the identity that each call brings.
    MakesAnotherIdentity: identity_is_made_once;
    /// Makes another tenant of a name that is known.
    MakesATenantTwice: ensure_tenant_creates_once;
    /// Repeats the last tenant of a page on the next one.
    RepeatsATenant: tenants_are_paged_by_id;
    /// Gives the default settings to a tenant that does not exist.
    GivesSettingsToNobody: tenant_is_none_when_missing;
    /// Puts all settings but the offset of the billing month.
    ForgetsASetting: put_settings_come_back;
    /// Begins for a tenant that is paused; one clause is about pauses, one about all that begin sees.
    BeginsForAPausedTenant: put_settings_bind_the_next_begin, begin_sees_what_committed_before;
    // numbers
    /// Answers for a known number with the id that the call brought.
    AnswersWithANewSessionId: add_session_is_idempotent_by_number;
    /// Adds one session more than the plan allows.
    PassesTheSessionLimitByOne: add_session_keeps_the_plans_limit;
    /// Does not note the account that is named for a known number.
    LearnsNoAccount: add_session_learns_the_account;
    /// Takes a tenant that does not exist for one whose plan is full.
    AddsASessionToNobody: add_session_needs_its_tenant;
    /// Refuses a number that another tenant has; where two are needed for a route, that fails too.
    GivesANumberToOneTenant: two_tenants_may_add_one_number, route_finds_every_tenant_of_a_number;
    /// Shows a session of another tenant; whoever asks for one sees it, and so does the stranger.
    ShowsAForeignSession: a_foreign_id_looks_missing, a_foreign_session_is_missing;
    /// Repeats the last session of a page on the next one.
    RepeatsASession: sessions_are_paged_by_id;
    /// Sets the tier back where a report does not name it.
    ForgetsWhatIsNotReported: report_session_keeps_what_is_not_said;
    /// Sets the other settings of a session back when one is changed.
    ResetsOtherSettings: set_session_changes_one_setting;
    /// Names only the first tenant of a number.
    RoutesToOneTenant: route_finds_every_tenant_of_a_number;
    /// Knows a worker at the very end of its lease; that is also where its gap begins.
    RemembersAWorkerTooLong: attend_makes_a_worker_known, attend_keeps_since_when;
    /// Counts a worker's attendance from its last call.
    StartsEachAttendanceAnew: attend_keeps_since_when;
    /// Counts leases that have ended.
    CountsEndedLeases: attend_counts_what_each_holds;
    /// Keeps a worker that has taken leave.
    RemembersWhoTookLeave: attend_without_room_takes_leave;
    /// Gives a released session away under its old epoch.
    KeepsTheEpoch: acquire_raises_the_epoch;
    /// Gives a session away a second before its lease ends; where it was prolonged one sees that too.
    GivesASessionToTwo: acquire_gives_a_session_to_one_worker, heartbeat_prolongs_held_leases;
    /// Names the earliest end of the attempts that are open, not the latest.
    NamesTheFirstQuietTime: acquire_after_the_lease_ended_names_the_quiet_time;
    /// Counts no death of an owner that left attempts open.
    CountsNoDeath: acquire_counts_unsettled_deaths;
    /// Passes the state of a released session on to the owner after the next as well.
    PassesAStateOnTwice: acquire_passes_a_released_state_on;
    /// Prolongs a lease by half of what is asked for.
    ProlongsALeaseByHalf: heartbeat_prolongs_held_leases;
    /// Prolongs a lease that has ended.
    RevivesALostLease: heartbeat_leaves_out_lost_sessions;
    /// Counts what was never sent among the recent attempts.
    RemembersWhatDidNotLeave: recent_gives_what_meters_are_rebuilt_from;
    /// Opens a breaker for a session of another tenant; the stranger sees that too.
    StopsAForeignSession: a_foreign_id_looks_missing, a_foreign_session_gets_no_breaker;
    /// Does not tell that a session goes on.
    ResumesSilently: a_reset_breaker_lets_go;
    /// Takes the news of a template that came in last; whether it is stopped hangs on that.
    TakesTheLastNewsOfATemplate: templates_shows_the_latest_of_each_part, project_stops_and_resumes_a_template;
    /// Repeats the last template of a page on the next one.
    RepeatsATemplate: templates_are_paged_by_key;
    // audience
    /// Applies a chunk of an import wherever it starts.
    AppliesAChunkTwice: import_applies_a_chunk_once;
    /// Knows duplicates within a chunk only.
    ForgetsTheNumbersOfAChunk: import_finds_duplicates_across_chunks;
    /// Lets a row without an opt-out lift an earlier one.
    LiftsAnOptOut: import_keeps_an_earlier_opt_out;
    /// Ignores the opt-out of a row that repeats a number.
    IgnoresADuplicatesOptOut: import_opts_out_what_the_file_says;
    /// Does not know after a restart that an import was finished; an export that was imported before it is looked at shows it as well.
    ForgetsThatAnImportIsOver: import_survives_a_reopen, import_brings_everything_back;
    /// Lists the imports of other lists too.
    ListsTheImportsOfAllLists: imports_lists_what_went_into_a_list;
    /// Leaves duplicates out of an import's report.
    ReportsNoDuplicate: import_report_names_each_bad_line;
    /// Does not learn the user id of a contact whose phone is known.
    LearnsNoSecondAddress: upsert_contact_finds_by_any_address;
    /// Does not find a contact by the id of one that was merged into a merged one.
    ForgetsAnAliasOfAnAlias: a_merged_contact_is_found_by_its_former_id;
    /// Does not look at the user id where the phone is unknown.
    StopsAtAnUnknownPhone: find_contact_by_either_address;
    /// Repeats the last contact of a page on the next one.
    RepeatsAContact: contacts_are_paged_by_id;
    /// Lists the members of a list in the order of their ids.
    ListsMembersByTheirIds: members_come_in_the_order_of_a_launch;
    /// Begins for a contact that the tenant blocked.
    BeginsForTheBlocked: an_opt_out_binds_the_next_begin;
    /// Counts addresses that were suppressed before.
    CountsTheSuppressedAgain: suppress_adds_each_address_once;
    /// Takes only the first of several addresses off the suppression list.
    TakesOneAddressOff: unsuppress_lets_go;
    /// Repeats the last address of a page on the next one.
    RepeatsASuppressedAddress: suppressed_is_paged_by_address;
    /// Freezes the last member of a chunk of one again with the next; all that launch one by one see it.
    FreezesTheBorderTwice: create_campaign_is_idempotent_by_name, launch_freezes_each_member_once, launch_spreads_over_the_sessions, lift_lets_singles_go;
    /// Takes another definition under a known name; so does a schedule's run under a taken name.
    TakesAnotherDefinition: another_definition_under_a_name_is_refused, run_schedule_skips_a_taken_name;
    /// Keeps the rate with which a campaign was first created.
    KeepsTheFirstRate: create_campaign_takes_a_new_rate_over;
    /// Creates a campaign on a session of another tenant; the stranger sees that too.
    TakesAForeignSession: a_foreign_id_looks_missing, create_campaign_needs_own_sessions;
    /// Answers with a lowered budget and keeps the higher one.
    ForgetsALoweredBudget: set_budget_binds_the_next_begin;
    /// Starts a launch anew after a restart; an export shows it as well.
    ForgetsHowFarALaunchIs: launch_resumes_where_it_stopped, import_brings_everything_back;
    /// Takes members that joined after the first chunk.
    TakesLaterMembers: launch_does_not_take_later_members;
    /// Fills messages in by the attributes of the moment.
    FillsInWhenItSends: launch_freezes_values;
    /// Launches a message for a member that lacks a value.
    SendsWithoutAValue: launch_skips_members_without_a_value;
    /// Gives what is the third session's to the first.
    LaunchesOverTwoSessions: launch_spreads_over_the_sessions;
    /// Goes on with a launch that is paused.
    LaunchesWhilePaused: a_paused_launch_does_not_go_on;
    /// Begins what waits to be tried again while its campaign is paused.
    BeginsARetryOfAPausedCampaign: pause_binds_the_next_begin;
    /// Leaves what waits to be tried again when its campaign is cancelled.
    CancelsNoRetry: cancel_skips_everything_not_begun;
    /// Refuses an illegal action and pauses the campaign.
    MovesIllegally: an_illegal_move_changes_nothing;
    /// Repeats the last campaign of a page on the next one.
    RepeatsACampaign: campaigns_are_paged_by_id;
    /// Starts a scheduled campaign after its instant, not at it.
    StartsACampaignLate: advance_starts_what_is_due;
    /// Does not note when a campaign was completed.
    CompletesWithoutATime: advance_completes_what_is_done;
    // schedules
    /// Answers for a known schedule with the id that the call brought.
    AnswersWithANewScheduleId: create_schedule_is_idempotent_by_name;
    /// Takes another definition under the name of a schedule.
    TakesAnotherSchedule: another_schedule_under_a_name_is_refused;
    /// Creates a schedule on a session of another tenant; the stranger sees that too.
    SchedulesOnAForeignSession: a_foreign_id_looks_missing, create_schedule_needs_own_sessions;
    /// Leaves a slot out that comes in the instant of the schedule's creation.
    LeavesTheFirstSlotOut: a_schedule_starts_with_the_first_slot_from_now_on;
    /// Repeats the last schedule of a page on the next one.
    RepeatsASchedule: schedules_are_paged_by_id;
    /// Shows the runs of other schedules too.
    ShowsTheRunsOfAllSchedules: runs_are_paged_by_slot;
    /// Makes up for the slots that passed in a pause.
    MakesUpForAPause: resume_goes_on_with_the_next_slot;
    /// Resumes a schedule that has ended.
    ResumesAnEndedSchedule: an_ended_schedule_stays_ended;
    /// Names a schedule as due after the instant of its slot, not at it.
    NamesADueScheduleLate: due_schedules_names_what_has_come;
    /// Does not name a run whose launch has begun.
    ForgetsAHalfLaunchedRun: due_schedules_names_runs_to_launch;
    /// Says when the last schedule comes, not the next.
    NamesTheLastSlotAsNext: due_schedules_says_when_the_next_one_comes;
    /// Counts a slot as run again that has run already.
    RunsASlotAgain: run_schedule_makes_one_campaign_per_slot;
    /// Counts several missed slots as one.
    CountsSkippedSlotsOnce: run_schedule_skips_what_was_missed;
    /// Stays at a slot whose name is taken.
    WaitsForATakenName: run_schedule_skips_a_taken_name;
    /// Does not tell of a slot that it skips.
    SkipsASlotSilently: run_schedule_writes_the_journal;
    // outbox
    /// Takes a message for another one when its times differ.
    ComparesTimes: enqueue_is_idempotent_by_key;
    /// Takes another body under a known key; another quote is another body.
    TakesAnotherBody: another_body_under_a_key_is_refused, enqueue_keeps_what_is_quoted;
    /// Finds the keys of other tenants; the stranger sees that too.
    MixesTheKeysOfTenants: a_foreign_id_looks_missing, keys_of_two_tenants_do_not_meet, export_holds_nothing_of_others;
    /// Forgets at the second attempt what a message quotes.
    QuotesOnlyOnce: enqueue_keeps_what_is_quoted;
    /// Takes a message in for a session of another tenant; the stranger sees that too.
    QueuesForAForeignSession: a_foreign_id_looks_missing, enqueue_needs_an_own_session;
    /// Begins a message that was cancelled while it waited in a row; it was closed meanwhile.
    BeginsWhatWasCancelled: a_cancelled_message_never_begins, begin_takes_each_message_once;
    /// Answers that a message was cancelled which has begun.
    CancelsWhatIsBegun: a_begun_message_cannot_be_cancelled;
    /// Sends again what was cancelled in doubt.
    ResendsWhatWasCancelled: cancel_withdraws_a_resend;
    /// Gives what is due by its time alone.
    MixesTheLanes: due_gives_transactional_first;
    /// Gives messages of a campaign that is to be left out.
    GivesASkippedCampaign: due_skips_named_campaigns;
    /// Gives messages of a feed that is to be left out.
    GivesASkippedFeed: due_skips_named_feeds;
    /// Does not say how fast a number may go.
    SaysNoPace: due_says_the_pace;
    /// Loses the last attempt of a batch in a restart.
    ForgetsAnAttempt: begin_commits_an_attempt_per_permit;
    /// Begins for a second after the lease has ended.
    BeginsAfterTheLeaseEnded: begin_is_refused_without_a_live_lease;
    /// Begins for a worker whose epoch has passed; whoever settles late may not begin late either.
    BeginsUnderAPassedEpoch: begin_is_refused_without_a_live_lease, settle_is_not_fenced;
    /// Begins a batch under an id that was begun before.
    BeginsUnderAUsedId: begin_refuses_a_used_batch_id;
    /// Lets a batch that was abandoned land later; its id is as good as unused.
    ForgetsAnAbandonedBatch: begin_refuses_a_used_batch_id, abandon_bars_a_batch_that_never_came;
    /// Begins items of a feed that do not continue it.
    JumpsInTheFeed: begin_moves_the_feed_in_order;
    /// Puts no row where an item of a feed is to wait; the journal tells what is not so.
    LosesWhatWaits: begin_leaves_one_fact_per_message, begin_writes_the_journal;
    /// Begins one message more than the quota has; so does whoever rests on a full quota.
    PassesTheQuotaByOne: begin_reserves_quota_exactly, consider_writes_nothing, set_entitlement_binds_the_next_begin;
    /// Counts the tier's slots without those of the same batch; those that an import brings are counted by begins.
    ForgetsTheSlotsOfABatch: begin_reserves_the_tier_exactly, an_imported_tenant_takes_its_slots;
    /// Begins for one person more than the tier allows; what is given back is seen by a full tier.
    PassesTheTierByOne: begin_reserves_the_tier_exactly, settle_gives_back_once, an_imported_tenant_takes_its_slots;
    /// Takes another slot for a recipient that has one.
    TakesASlotForEachMessage: begin_reserves_the_tier_exactly;
    /// Begins past the budget of the month.
    IgnoresTheMonthsBudget: begin_reserves_the_budget_exactly;
    /// Does not note why it paused a campaign.
    PausesForNoReason: begin_pauses_a_campaign_whose_budget_is_spent;
    /// Begins under a budget what has no price.
    BeginsAtAnUnknownPrice: begin_holds_an_unknown_price_under_a_budget;
    /// Counts a free message that was given back.
    KeepsAFreeMessageThatWasGivenBack: begin_counts_free_service_messages;
    /// Begins for a tenant that billing suspended; one clause is about entitlements, one about all that begin sees.
    BeginsForASuspendedTenant: begin_sees_what_committed_before, set_entitlement_binds_the_next_begin;
    /// Begins on a number that is disconnected.
    BeginsOnADisconnectedNumber: begin_sees_what_committed_before;
    /// Keeps a window open for a minute longer.
    KeepsAWindowOpenForAMinute: begin_sees_what_committed_before;
    /// Begins marketing of a number with a bad rating; one clause is about ratings, one about all that begin sees.
    SendsMarketingOfABadNumber: begin_sees_what_committed_before, begin_holds_marketing_of_a_bad_number;
    /// Keeps the cooldown of each number by itself.
    CoolsDownByNumber: begin_keeps_the_cooldown;
    /// Begins past the frequency cap.
    IgnoresTheFrequencyCap: begin_keeps_the_frequency_cap;
    /// Counts the warm-up without what the same batch takes.
    ForgetsTheWarmUpOfABatch: begin_keeps_the_warm_up_cap_exactly;
    /// Counts in the warm-up what was given back.
    KeepsTheWarmUpOfWhatWasGivenBack: begin_keeps_the_warm_up_cap_exactly;
    /// Begins one message more than the day of the warm-up has.
    PassesTheWarmUpByOne: begin_keeps_the_warm_up_cap_exactly;
    /// Begins in safe mode for who is not allowed.
    IgnoresSafeMode: begin_keeps_safe_mode;
    /// Does not look whether another address of the contact is suppressed.
    SuppressesOneAddressOnly: begin_keeps_the_suppression_list;
    /// Takes who has not refused for who has opted in.
    TakesAllowedForOptedIn: begin_needs_an_opt_in_where_asked;
    /// Begins in quiet hours.
    BeginsInQuietHours: begin_waits_out_quiet_hours;
    /// Takes quiet hours by the country of a number, whatever zone its contact has.
    IgnoresTheRecipientsZone: begin_waits_out_quiet_hours;
    /// Falls back to a template that is stopped.
    FallsBackToAStoppedTemplate: begin_falls_back_to_the_template;
    /// Does not tell what a begin changed.
    BeginsSilently: begin_writes_the_journal;
    /// Closes what it was only asked about.
    ClosesWhatItConsiders: consider_writes_nothing;
    /// Does not tell which slots are taken.
    TellsNoSlots: consider_tells_the_taken_slots;
    /// Gives no verdict on what stands behind a stop.
    ConsidersNothingBehindAStop: consider_judges_behind_a_stop;
    /// Gives no verdict on messages that it does not know.
    ConsidersWhatItKnows: consider_takes_hypothetical_messages;
    /// Leaves attempts of an abandoned batch that a sweep put in doubt.
    AbandonsOnlyWhatIsOpen: abandon_gives_a_committed_batch_back;
    /// Takes an attempt without outcome for one that was not sent; whatever is swept shows it.
    SweepsIntoPending: abandon_gives_a_committed_batch_back, settle_is_not_fenced, sweep_never_makes_pending, project_resolves_an_in_doubt_attempt, an_imported_open_attempt_comes_into_doubt;
    /// Takes the instant of the outcome that came last; costs are told by it too.
    TakesTheLaterOutcome: settle_merges_and_repeats_safely, cost_is_the_sum_of_attempts;
    /// Passes over an acceptance that comes after a takeover.
    RefusesALateSettle: settle_is_not_fenced;
    /// Counts a slot of the tier that was given back.
    KeepsASlotThatWasGivenBack: settle_gives_back_once;
    /// Does not count the second retry of a message.
    CountsNoSecondRetry: settle_schedules_a_retry;
    /// Tries a message again that will have expired by then.
    RetriesWhatWillHaveExpired: settle_schedules_no_retry_past_the_validity;
    /// Lets a message fail that came too fast for its recipient.
    FailsWhatIsThrottled: settle_puts_a_throttled_message_back;
    /// Opens no breaker for a number.
    StopsNoNumber: settle_opens_a_breaker;
    /// Does not record an opt-out that a refusal tells.
    RecordsNoOptOut: settle_records_a_marketing_opt_out;
    /// Leaves a resend waiting once the message is known to have been taken.
    LeavesAResendWaiting: settle_withdraws_a_resend;
    /// Calls no undeliverable message critical.
    TellsOfNothingCritical: settle_tells_of_undeliverable_messages;
    /// Tells of a failing campaign with every failure.
    AlertsAgainAndAgain: settle_tells_of_a_failing_campaign_once;
    /// Tells that a failing campaign was paused and does not pause it.
    TellsOfAPauseOnly: settle_pauses_a_campaign_that_fails_for_one_reason;
    /// Counts the retries of a message from before it was put back.
    RetriesNoRedrivenMessage: retry_adds_an_attempt_to_the_chain;
    /// Puts a message back that is in doubt.
    PutsBackWhatIsInDoubt: retry_leaves_alone_what_may_be_delivered;
    /// Puts back whatever failed, whatever the filter says.
    RedrivesWhatDoesNotFit: redrive_requeues_what_fits;
    /// Puts messages in doubt back with those that failed.
    RedrivesWhatIsInDoubt: redrive_never_touches_what_may_be_delivered;
    /// Puts skipped messages of other campaigns back.
    RedrivesAnyCampaign: redrive_takes_skipped_ones_by_their_reason;
    /// Tells of a deaf number each time it listens.
    TellsOfADeafNumberEachTime: listen_finds_a_deaf_session_once;
    /// Passes over what began together with the last attempt of a chunk.
    StopsListeningAtTheLimit: listen_goes_on_where_it_stopped;
    /// Sweeps attempts that have an outcome; what was swept before is among them.
    SweepsWhatIsSettled: sweep_never_makes_pending, sweep_leaves_settled_attempts_alone;
    /// Sweeps an attempt as soon as its request must have ended.
    SweepsWithoutGrace: sweep_waits_for_the_grace;
    /// Sends again what waits for a person; whatever such a message goes through shows it.
    ResendsByItself: recover_never_resends_by_itself, recover_keeps_to_the_narrowest_policy, recover_gives_up_for_good, recover_writes_the_journal;
    /// Sends again while the request may still be under way.
    ResendsWithoutGrace: recover_resends_after_its_time;
    /// Takes silence for proven while webhooks wait to be read.
    IgnoresUnreadBodies: recover_resends_what_is_proven_silent;
    /// Ignores the policy that a campaign has for messages in doubt.
    IgnoresACampaignsPolicy: recover_keeps_to_the_narrowest_policy;
    /// Does not try a resend again that failed; the limit of resends is not reached then.
    TriesNoFailedResendAgain: recover_leaves_alone_what_is_over, recover_tries_a_failed_resend_again;
    /// Looks at more messages in doubt than it is asked to.
    RecoversPastTheLimit: recover_goes_on_where_it_stopped;
    /// Looks at messages in doubt of a session that it does not hold.
    RecoversWithoutALease: recover_needs_a_live_lease;
    /// Sends again what was begun before the store was restored.
    ResendsWhatAnotherLifeBegan: recover_leaves_another_life_alone;
    /// Does not tell what it sends again.
    ResendsSilently: recover_writes_the_journal;
    /// Takes a campaign for done while a message of it waits to be sent again.
    ForgetsResends: a_resend_reopens_its_campaign;
    /// Puts a message back by hand that waits to be sent again already.
    ResendsAnew: resolve_resends_once;
    /// Sends by hand again what is over.
    ResendsWhatIsOver: resolve_resends_nothing_that_is_over;
    // inbox
    /// Loses the bodies that it kept in a restart.
    ForgetsBodies: keep_is_durable;
    /// Keeps a body again that it knows.
    KeepsABodyTwice: keep_knows_a_repeated_body;
    /// Repeats the last body of a page on the next one.
    RepeatsABody: unprojected_gives_what_is_left;
    /// Forgets that a message was read when another status comes.
    ForgetsThatItWasRead: project_applies_statuses_in_any_order;
    /// Takes the instant of the status that came last.
    TakesTheLaterStatus: project_applies_statuses_in_any_order;
    /// Projects a body again that was projected.
    ProjectsAgain: project_is_done_once;
    /// Takes the message that came in last for the user's latest, and so for the one that moves the window.
    TakesTheMessagesAsTheyCame: project_opens_a_window, project_keeps_the_chain_in_any_order;
    /// Believes a stamp in the future, which keeps a window open for longer.
    BelievesAFutureStamp: project_clamps_a_future_stamp;
    /// Stores a message again that it knows; what it stores it also meters.
    StoresAMessageTwice: project_stores_an_inbound_message_once, project_names_what_the_engine_meters;
    /// Does not keep what a user's message replies to.
    DropsTheContext: project_stores_every_kind;
    /// Shows only one of the things that hang on a message.
    HangsOneThingOnAMessage: project_attaches_what_hangs_on_a_message;
    /// Stores an echo again that it knows.
    StoresAnEchoTwice: project_stores_an_echo;
    /// Takes the stop or resume word that came in last.
    OrdersWordsAsTheyCame: project_orders_words_by_the_users_clock;
    /// Lets a resume of marketing lift a stop word.
    LiftsAStopByAPreference: project_records_a_preference;
    /// Takes the name that came in last.
    TakesTheLastNameThatCame: project_notes_names;
    /// Does not merge two contacts that a message shows to be one.
    MergesNobodyWhoWrites: project_merges_contacts_by_any_address;
    /// Does not keep the end of a free entry point that a status names.
    ForgetsTheToldEntryPoint: project_takes_the_entry_point_from_a_status;
    /// Carries out on all sessions what was decided about one account.
    DecidesForEveryAccount: project_keeps_to_the_account;
    /// Stops an account by news that is older than what it knows.
    TakesOldNewsOfAnAccount: project_stops_and_resumes_an_account;
    /// Changes a number by news that is older than what it knows.
    TakesOldNewsOfANumber: project_changes_what_a_number_may;
    /// Stops a template on the first number of its account only.
    StopsATemplateOnOneNumber: project_stops_and_resumes_a_template;
    /// Does not tell of a user's message.
    HearsSilently: project_writes_the_journal;
    /// Tells a stop word as a decision of the tenant.
    TakesAStopWordForACallersDecision: project_writes_the_journal;
    /// Lets a message to one number open the windows of all.
    SharesAWindow: window_is_of_one_session;
    /// Counts in a window what did not arrive.
    CountsWhatDidNotArrive: window_counts_both_ways;
    /// Counts a free entry point from the referral, not from the answer.
    CountsTheEntryPointFromTheReferral: window_knows_its_entry_point;
    /// Repeats the last window of a page on the next one.
    RepeatsAWindow: windows_are_paged_by_their_end;
    /// Lists closed windows among the open ones.
    ListsClosedWindows: windows_lists_open_ones;
    /// Repeats the last message of a page on the next one.
    RepeatsAnInboundMessage: inbound_is_paged_by_position;
    /// Repeats the last conversation of a page on the next one.
    RepeatsAConversation: conversations_are_paged_latest_first;
    /// Lists conversations that somebody looks after as nobody's.
    ListsTheAssignedAsNobodys: conversations_are_filtered;
    /// Shows a conversation of another tenant; whoever asks for one sees it, and so does the stranger.
    ShowsAForeignConversation: a_foreign_id_looks_missing, a_foreign_conversation_is_missing;
    /// Takes the last answer for the first.
    ShowsTheLastResponse: a_conversation_shows_its_first_response;
    /// Lists a conversation in the order in which it came in.
    ListsAConversationAsItCame: conversation_messages_are_in_order_of_time;
    /// Does not tell who looks after a conversation.
    AssignsSilently: a_conversation_is_assigned_closed_and_reopened;
    /// Prunes bodies that were not projected.
    PrunesUnreadBodies: prune_keeps_what_is_not_projected;
    // ledger
    /// Counts the attempts of all months in one.
    CountsEveryMonth: usage_counts_begun_messages;
    /// Books under the category that was asked for, not under that which is charged.
    BooksUnderItsOwnCategory: cost_of_a_campaign_contact_and_period_is_the_sum_of_its_attempts;
    /// Charges for a message that failed after its price was settled.
    ChargesForAFailedMessage: a_failed_message_costs_nothing;
    /// Settles by the prices that the tenant has now.
    SettlesByThePricesOfToday: a_price_is_settled_by_the_prices_of_its_begin;
    /// Shows the first template of a contact as the last.
    ShowsTheFirstTemplate: contact_spend_counts_what_was_sent;
    // journal
    /// Leaves an event out behind the border of a page.
    LosesAnEvent: events_are_read_in_order;
    /// Repeats the last event of a page on the next one, also after a restart.
    RepeatsAnEvent: events_are_read_in_order, events_survive_a_reopen;
    /// Gives events other ids after a restart.
    NumbersEventsAnew: events_survive_a_reopen;
    /// Starts a new reader where the others are.
    GivesReadersOnePosition: readers_stand_apart;
    /// Lets a reader go back.
    LetsAReaderGoBack: a_reader_never_goes_back;
    /// Prunes events that a reader has not acknowledged.
    PrunesUnreadEvents: prune_keeps_what_a_reader_needs;
    /// Repeats the last notice of a page on the next one.
    RepeatsANotice: notices_are_paged_by_id;
    // archive
    /// Begins single messages while the store waits; an imported tenant is held by the same rule.
    BeginsSinglesAfterARestore: suspend_binds_the_next_begin, an_imported_tenant_is_held;
    /// Does not hold a scheduled campaign.
    LeavesAScheduledCampaign: suspend_holds_what_would_go_on;
    /// Keeps its incarnation when it is suspended.
    KeepsItsIncarnation: suspend_starts_a_new_incarnation;
    /// Waits for the last cause, not for the first.
    TakesTheLastCause: suspend_keeps_the_first_cause;
    /// Names schedules as due while the store waits.
    NamesSchedulesAfterARestore: suspend_stops_schedules;
    /// Runs schedules while the store waits.
    RunsSchedulesAfterARestore: suspend_stops_schedules;
    /// Repeats the last campaign that is held of a page on the next one.
    RepeatsAnUnreconciledCampaign: unreconciled_is_paged_by_key;
    /// Runs the slots that came while the store waited.
    MakesUpForSlots: lift_makes_up_for_no_slot;
    /// Finds fault with a message that was tried again.
    FindsFaultWithARetry: examine_finds_nothing_in_a_sound_store;
    // reports
    /// Shows a message of another tenant; whoever asks for one sees it, and so does the stranger.
    ShowsAForeignMessage: a_foreign_id_looks_missing, a_foreign_message_is_missing;
    /// Repeats the last message of a page on the next one.
    RepeatsAMessage: messages_are_paged_latest_first;
    /// Repeats the last recipient of a page on the next one.
    RepeatsARecipient: recipients_are_paged_by_id;
    /// Lists what was in doubt and was taken.
    ListsWhatWasInDoubt: in_doubt_lists_exactly_those_in_doubt;
    /// Lists every failed message, whatever the filter says.
    ListsEveryFailure: failed_lists_exactly_those_that_fit;
    /// Does not show the details of a failure.
    LosesTheDetails: failed_says_why;
    /// Lists as silent what was heard of since.
    ListsWhatWasHeardOf: silent_lists_what_was_never_heard_of;
    /// Forgets alerts in a restart.
    ForgetsAlerts: alert_gives_the_last_one;
    /// Counts an attempt an hour later.
    CountsInTheNextHour: trend_equals_a_recount;
    /// Tells the trend of all sessions for one.
    TellsTheTrendOfAll: trend_is_of_one_session_or_all;
}
