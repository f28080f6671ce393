//! Audience: contacts, lists, consent, imports, and campaigns up to their frozen audience.

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use super::StoreError;
use crate::model::{
    Campaign, CampaignAction, CampaignId, CampaignName, CampaignState, Consent, ConsentSource, Contact,
    ContactAttributes, ContactId, Fingerprint, ImportId, ImportProgress, ImportRow, LineOutcome, LineProblem,
    ListName, Money, NewCampaign, Recipient, SessionId, TenantId,
};
use crate::port::{AdminScope, Scope};

/// The room of contacts and campaigns.
#[async_trait]
pub trait Audience: Send + Sync {
    /// Starts an import of a source into a list, or finds it again; `None` for an unknown tenant.
    ///
    /// - `start_import_resumes_the_same_source`: the same list and source give the same import with its progress.
    /// - `another_source_is_another_import`: a list can take several.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn start_import(
        &self,
        scope: &Scope,
        start: &StartImport,
    ) -> Result<Option<ImportProgress>, StoreError>;

    /// Takes one chunk of rows in: contacts, list, consent, report and progress together.
    ///
    /// A row's phone that the tenant knows keeps its contact: attributes are merged, the new value
    /// wins. A row whose phone this import has brought already is a duplicate and changes nothing,
    /// except that `opted_out` still counts. A phone that is on the list from elsewhere is added, not a duplicate.
    ///
    /// - `import_adds_contacts_and_counts_lines`: added + duplicates + invalid = rows taken in.
    /// - `import_applies_a_chunk_once`: a chunk that does not start at the stored progress changes nothing and gets the progress.
    /// - `import_finds_duplicates_across_chunks`: by phone, within one import.
    /// - `import_keeps_an_earlier_opt_out`: a row without `opted_out` never lifts one.
    /// - `import_opts_out_what_the_file_says`: also from a duplicate row.
    /// - `import_survives_a_reopen`: the progress is there, and goes on from there.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn import(&self, scope: &Scope, chunk: &ImportChunk) -> Result<ImportStep, StoreError>;

    /// The imports of a list, in order of their ids.
    ///
    /// - `imports_lists_what_went_into_a_list`: every import of the list with its progress, no other.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn imports(&self, scope: &Scope, list: &ListName) -> Result<Vec<ImportProgress>, StoreError>;

    /// The lines of an import that were duplicates or invalid, in the order of the file.
    ///
    /// - `import_report_names_each_bad_line`: with its line number, outcome and problem.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn import_report(
        &self,
        scope: &Scope,
        import: ImportId,
        after_line: u64,
        limit: u32,
    ) -> Result<Vec<ReportedLine>, StoreError>;

    /// The contact of these addresses, created or brought up to date; `None` for an unknown tenant.
    ///
    /// - `upsert_contact_finds_by_any_address`: by phone or by business-scoped user id, and learns the missing one.
    /// - `upsert_contact_merges_attributes`: new values win, others stay.
    /// - `upsert_contact_merges_contacts`: where the two addresses belong to two contacts, each with no other of its kind, they become one: that with the phone, with the lists, windows, conversations and messages of both.
    ///
    /// Where one of the two has another address of the same kind, it is left alone and the contact with the
    /// phone is updated. Of two attributes under one name that of the contact which was created later
    /// stays. The id of the contact that went is an alias of the one that stays.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn upsert_contact(
        &self,
        scope: &Scope,
        contact: &UpsertContact,
    ) -> Result<Option<Contact>, StoreError>;

    /// One contact.
    ///
    /// - `a_foreign_contact_is_missing`: another tenant's contact is `None`.
    /// - `a_merged_contact_is_found_by_its_former_id`: the contact that stayed, by every id that it or its parts ever had.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn contact(&self, scope: &Scope, id: ContactId) -> Result<Option<Contact>, StoreError>;

    /// The contact with this phone, else the one with this business-scoped user id.
    ///
    /// - `find_contact_by_either_address`: both find it.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn find_contact(&self, scope: &Scope, who: &Recipient) -> Result<Option<Contact>, StoreError>;

    /// The members of a list, or all contacts, in order of their ids.
    ///
    /// - `contacts_are_paged_by_id`: pages neither repeat nor miss a contact, and hold no foreign one.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn contacts(
        &self,
        scope: &Scope,
        list: Option<&ListName>,
        after: Option<ContactId>,
        limit: u32,
    ) -> Result<Vec<Contact>, StoreError>;

    /// The members of a list with all that is known of them, in the order in which they joined.
    ///
    /// `after` is the number of a member, 0 for the beginning.
    ///
    /// - `members_come_in_the_order_of_a_launch`: with rising numbers, none given twice; as many and in the order in which a launch would freeze them.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn members(
        &self,
        scope: &Scope,
        list: &ListName,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Member>, StoreError>;

    /// Changes a contact's consent. Ordered before every later begin, and written to the journal if it changed.
    ///
    /// - `an_opt_out_binds_the_next_begin`: a contact that opted out before a begin is skipped in it.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn set_consent(
        &self,
        scope: &Scope,
        contact: ContactId,
        consent: Consent,
        source: ConsentSource,
    ) -> Result<Option<Contact>, StoreError>;

    /// Puts addresses on the tenant's suppression list; how many are new to it, `None` for an unknown
    /// tenant. Ordered before every later begin. A recipient with two addresses puts both on it.
    ///
    /// - `suppress_adds_each_address_once`: known ones keep their time and are not counted.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn suppress(&self, scope: &Scope, who: &[Recipient]) -> Result<Option<u64>, StoreError>;

    /// Takes addresses off the suppression list; how many were on it.
    ///
    /// - `unsuppress_lets_go`: who was taken off can be written to again.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn unsuppress(&self, scope: &Scope, who: &[Recipient]) -> Result<u64, StoreError>;

    /// The suppression list, one entry per address: phones in order of their digits as text, then
    /// business-scoped user ids in order. `after` names an entry by its one address.
    ///
    /// - `suppressed_is_paged_by_address`: pages neither repeat nor miss an address, and hold no foreign one.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn suppressed(
        &self,
        scope: &Scope,
        after: Option<&Recipient>,
        limit: u32,
    ) -> Result<Vec<SuppressedAddress>, StoreError>;

    /// Creates a campaign as a draft, or finds it again by name.
    ///
    /// - `create_campaign_is_idempotent_by_name`: the same definition under the same name gives the same campaign.
    /// - `another_definition_under_a_name_is_refused`: and the stored one is given.
    /// - `create_campaign_takes_a_new_rate_over`: the same definition with another rate changes the rate, which decides only how fast; a budget likewise.
    /// - `create_campaign_needs_own_sessions`: a foreign or unknown session is named.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn create_campaign(&self, scope: &Scope, new: &NewCampaign) -> Result<CreateCampaign, StoreError>;

    /// Sets what a campaign's messages may cost, or `None` for no limit; `None` for an unknown campaign.
    /// Ordered before every later begin. It does not resume a campaign that was paused.
    ///
    /// - `set_budget_binds_the_next_begin`: a raised one makes room, a lowered one takes it.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn set_budget(
        &self,
        scope: &Scope,
        campaign: CampaignId,
        budget: Option<Money>,
    ) -> Result<Option<Campaign>, StoreError>;

    /// Freezes the next chunk of a campaign's audience.
    ///
    /// The first chunk moves the campaign from draft to launching and fixes which members belong
    /// to it: those on the list at that moment. Each member gets one message with its values as
    /// they are now, spread over the sessions in turn. A member without a value for a placeholder
    /// gets a message too, skipped as `missing_parameter`. The chunk after which nobody is left
    /// moves the campaign to running, or to scheduled when `start_at` is in the future.
    ///
    /// The ids of the messages are minted by [`IdMint`](crate::model::IdMint): the millisecond of the first chunk, or
    /// the next one that no other campaign of the tenant has in its ids; the session's place; ordinals
    /// from 1; [`LaunchChunk::chance`]. So two campaigns that are launched at one instant keep apart.
    ///
    /// - `launch_freezes_each_member_once`: whatever the chunk sizes, audience = members.
    /// - `launch_resumes_where_it_stopped`: also after a reopen, nobody twice.
    /// - `launch_does_not_take_later_members`: who joins the list after the first chunk gets nothing.
    /// - `launch_freezes_values`: an attribute changed after its chunk changes no message.
    /// - `launch_skips_members_without_a_value`: counted as skipped for `missing_parameter`.
    /// - `launch_spreads_over_the_sessions`: no session gets more than one message more than another.
    /// - `a_paused_launch_does_not_go_on`: only draft and launching campaigns are launched.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn launch(
        &self,
        scope: &Scope,
        campaign: CampaignId,
        chunk: &LaunchChunk,
    ) -> Result<LaunchStep, StoreError>;

    /// Pauses, resumes or cancels. Ordered before every later begin, and written to the journal: the
    /// campaign's event stands for all its messages.
    ///
    /// - `pause_binds_the_next_begin`: after it returned, no message of the campaign begins.
    /// - `resume_goes_on_where_it_stopped`: to launching, scheduled or running, as far as it was.
    /// - `cancel_skips_everything_not_begun`: counted as skipped for `cancelled`, begun attempts stay.
    /// - `an_illegal_move_changes_nothing`: and the state is named.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn act(
        &self,
        scope: &Scope,
        campaign: CampaignId,
        action: CampaignAction,
    ) -> Result<ActOutcome, StoreError>;

    /// One campaign.
    ///
    /// - `a_foreign_campaign_is_missing`: another tenant's campaign is `None`.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn campaign(&self, scope: &Scope, id: CampaignId) -> Result<Option<Campaign>, StoreError>;

    /// The campaign of this name.
    ///
    /// - `a_campaign_is_found_by_name`: within the tenant only.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn campaign_named(
        &self,
        scope: &Scope,
        name: &CampaignName,
    ) -> Result<Option<Campaign>, StoreError>;

    /// The tenant's campaigns, in order of their ids.
    ///
    /// - `campaigns_are_paged_by_id`: pages neither repeat nor miss a campaign, and hold no foreign one.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn campaigns(
        &self,
        scope: &Scope,
        after: Option<CampaignId>,
        limit: u32,
    ) -> Result<Vec<Campaign>, StoreError>;

    /// Moves what time or completion moves: scheduled to running, running to completed. The scheduler's step.
    ///
    /// - `advance_starts_what_is_due`: a scheduled campaign runs from `start_at` on.
    /// - `advance_completes_what_is_done`: a running campaign without pending and attempting messages is completed, once, with `completed_at`.
    ///
    /// # Errors
    /// By [`StoreErrorKind`](super::StoreErrorKind).
    async fn advance(&self, scope: &AdminScope) -> Result<Advanced, StoreError>;
}

const _OBJECT_SAFE: fn(&dyn Audience) = |_| {};

/// An import to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartImport {
    /// Its id; kept only if the import is new.
    pub id: ImportId,
    /// The list that gets the contacts; created if it is not there.
    pub list: ListName,
    /// The digest of the file and its column mapping.
    pub source: Fingerprint,
}

/// Rows to take in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportChunk {
    /// The import.
    pub import: ImportId,
    /// How many records were taken in before; must equal the stored progress.
    pub from_record: u64,
    /// The rows, in the order of the file.
    pub rows: Vec<ImportRow>,
    /// Whether the file ends here.
    pub last: bool,
}

/// What became of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportStep {
    /// It is in.
    Applied(ImportProgress),
    /// The import is elsewhere; go on from its progress.
    Elsewhere(ImportProgress),
    /// There is no such import.
    Missing,
}

/// A line of an import report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportedLine {
    /// The line in the file.
    pub line: u64,
    /// Duplicate or invalid.
    pub outcome: LineOutcome,
    /// What is wrong with an invalid line.
    pub problem: Option<LineProblem>,
}

/// A contact to create or bring up to date.
#[derive(Clone, PartialEq, Eq)]
pub struct UpsertContact {
    /// Its id; kept only if it is new.
    pub id: ContactId,
    /// Its addresses.
    pub recipient: Recipient,
    /// Attributes to set.
    pub attributes: ContactAttributes,
    /// A list to put it on; created if it is not there.
    pub list: Option<ListName>,
}

impl std::fmt::Debug for UpsertContact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpsertContact")
            .field("id", &self.id)
            .field("recipient", &self.recipient)
            .field("attributes", &self.attributes.keys())
            .field("list", &self.list)
            .finish()
    }
}

/// An address that is never written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SuppressedAddress {
    /// The address: a recipient with exactly one.
    pub address: Recipient,
    /// Since when.
    pub at: DateTime<Utc>,
}

/// A member of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its number in the list: rises with the order in which members joined.
    pub number: u64,
    /// Who it is.
    pub contact: Contact,
}

/// What became of a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CreateCampaign {
    /// It is new.
    Created(Campaign),
    /// It was there, the same.
    Known(Campaign),
    /// The name belongs to another definition.
    Different(Campaign),
    /// A session is not the tenant's, or there is none.
    UnknownSession(Option<SessionId>),
}

/// How to freeze the next chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaunchChunk {
    /// At most this many members.
    pub size: u32,
    /// Random bytes from which the message ids get their random part.
    pub seed: [u8; 16],
}

impl LaunchChunk {
    /// The random part of the id of the k-th message of a launch, counted from 0.
    ///
    /// A seed may serve several chunks, so the place in the launch goes in too.
    #[must_use]
    pub fn chance(&self, k: u64) -> [u8; 4] {
        let mut bytes = [0; 24];
        let (head, tail) = bytes.split_at_mut(16);
        head.copy_from_slice(&self.seed);
        tail.copy_from_slice(&k.to_be_bytes());
        let [a, b, c, d, ..] = *Fingerprint::of(&bytes).as_bytes();
        [a, b, c, d]
    }
}

/// How far a launch is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaunchStep {
    /// More members may be left.
    Frozen {
        /// Messages so far.
        audience: u64,
    },
    /// Everybody is in; this call froze the last chunk.
    Done(Campaign),
    /// The campaign is not draft or launching.
    NotLaunchable(Campaign),
    /// There is no such campaign.
    Missing,
}

/// What became of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActOutcome {
    /// The campaign moved.
    Moved(Campaign),
    /// It was where the action leads already.
    Unchanged(Campaign),
    /// The action is not possible in its state.
    Illegal(Campaign),
    /// There is no such campaign.
    Missing,
}

/// What the scheduler's step moved.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Advanced {
    /// Campaigns that moved, with their new state.
    pub moved: Vec<(TenantId, CampaignId, CampaignState)>,
    /// When the next scheduled campaign starts.
    pub next_at: Option<DateTime<Utc>>,
}
