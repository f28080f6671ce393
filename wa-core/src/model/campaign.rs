//! A campaign: one content for a frozen audience.
//!
//! Invariant: once a campaign exists, who gets what cannot change. Its definition has a
//! fingerprint, and another definition under the same name is refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::contact::{ContactAttributes, ListName};
use super::content::texts::Texts;
use super::content::{Content, InvalidContent, TextError};
use super::doubt::InDoubtPolicy;
use super::fingerprint::Fingerprint;
use super::ids::{CampaignId, SessionId};
use super::message::{HoldReason, Lane, names};
use super::money::Money;
use super::template::TemplateError;
use super::value::{is_label, text_value};

/// A campaign's name, unique per tenant: 1 to 200 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CampaignName(String);

/// What a campaign says, with `{{column}}` placeholders where each contact has its own value.
///
/// Every text of every kind of content may hold some: bodies, captions, labels, ids, links, the texts
/// of a flow's data. The pattern itself is content and keeps the limits of its kind as it is written,
/// so a link names its `https://` outside of a placeholder. What is filled is checked again for each
/// contact.
///
/// ```
/// use wa_core::model::{CampaignContent, Content};
/// let content = CampaignContent::new(Content::text("Hello {{name}}")?);
/// assert_eq!(content.columns(), ["name"]);
/// let filled = content.fill(&["Ada {{name}}".to_owned()])?;
/// assert_eq!(filled, Content::text("Hello Ada {{name}}")?); // values are data, filled once
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Content", into = "Content")]
pub struct CampaignContent {
    pattern: Content,
    columns: Vec<String>,
}

/// Why content cannot be made for one contact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ContentError {
    /// A placeholder has no value.
    #[error("there is no value for {{{{{0}}}}}")]
    MissingValue(String),
    /// The filled text cannot be sent.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The filled template cannot be sent.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// The filled content of another kind cannot be sent.
    #[error(transparent)]
    Invalid(#[from] InvalidContent),
    /// A reaction quotes a message; it names the one that it belongs to itself.
    #[error("a reaction cannot quote a message")]
    ReactionQuotes,
}

/// A campaign as a caller defines it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCampaign {
    /// Its id, minted by the kit; kept only if the name is new.
    pub id: CampaignId,
    /// Its name, unique per tenant.
    pub name: CampaignName,
    /// What it says.
    pub content: CampaignContent,
    /// A template that goes instead of free-form content outside the window, where the tenant's
    /// settings say so.
    pub fallback: Option<CampaignContent>,
    /// Whose members get it.
    pub list: ListName,
    /// The sending numbers, 1 to [`IdMint::MAX_SESSIONS`](super::IdMint::MAX_SESSIONS); the audience is spread evenly.
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
    /// What becomes of those of which nobody knows whether they were sent; `None` for what the tenant set.
    pub in_doubt: Option<InDoubtPolicy>,
}

/// The states of a campaign; see `rules::campaign` for the legal moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CampaignState {
    /// Defined, its audience not frozen.
    Draft,
    /// Its audience is being frozen, in chunks.
    Launching,
    /// Frozen, waiting for `start_at`.
    Scheduled,
    /// Being dispatched.
    Running,
    /// Stopped by a caller or a rule; can be resumed.
    Paused,
    /// Stopped because the store came back from a backup; sends nothing until resumed.
    NeedsReconcile,
    /// No message can begin any more; deliveries may still come in.
    Completed,
    /// Cancelled by a caller.
    Cancelled,
}

/// What a caller can do with a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CampaignAction {
    /// Stop beginning messages.
    Pause,
    /// Go on.
    Resume,
    /// Skip everything that has not begun.
    Cancel,
}

/// A stored campaign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    /// Its id.
    pub id: CampaignId,
    /// Its name.
    pub name: CampaignName,
    /// What it says.
    pub content: CampaignContent,
    /// A template that goes instead of free-form content outside the window, where the tenant's
    /// settings say so.
    pub fallback: Option<CampaignContent>,
    /// Whose members get it.
    pub list: ListName,
    /// The sending numbers, in order.
    pub sessions: Vec<SessionId>,
    /// Its lane.
    pub lane: Lane,
    /// Messages not begun by then are skipped as expired.
    pub valid_until: Option<DateTime<Utc>>,
    /// Not dispatched before this instant.
    pub start_at: Option<DateTime<Utc>>,
    /// At most this many messages a second and session.
    pub rate: Option<u32>,
    /// What its messages may cost altogether.
    pub budget: Option<Money>,
    /// What becomes of those of which nobody knows whether they were sent; `None` for what the tenant set.
    pub in_doubt: Option<InDoubtPolicy>,
    /// What was asked for, as one digest.
    pub definition: Fingerprint,
    /// Its state.
    pub state: CampaignState,
    /// Why a rule paused it; `None` unless it is paused by one.
    pub paused_for: Option<HoldReason>,
    /// When it was created.
    pub created_at: DateTime<Utc>,
    /// When the first chunk was frozen.
    pub launched_at: Option<DateTime<Utc>>,
    /// When the last message was begun or closed.
    pub completed_at: Option<DateTime<Utc>>,
}

/// How many messages of a campaign are where.
///
/// `audience = pending + attempting + accepted + failed + in_doubt + skipped` at every moment;
/// `sent`, `delivered` and `read` count within `accepted`, and `read ≤ delivered ≤ sent`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CampaignCounts {
    /// Frozen messages.
    pub audience: u64,
    /// Waiting, held included.
    pub pending: u64,
    /// Begun, outcome not recorded.
    pub attempting: u64,
    /// Taken by the provider and not failed since.
    pub accepted: u64,
    /// Definitely not delivered.
    pub failed: u64,
    /// Of the failed: tried again in vain as often as they may be.
    #[serde(default)]
    pub critical: u64,
    /// Nobody knows.
    pub in_doubt: u64,
    /// Of those in doubt: another attempt is waited for.
    #[serde(default)]
    pub resending: u64,
    /// Closed without an attempt that could have delivered.
    pub skipped: u64,
    /// Of the accepted: sent, delivered, read or played.
    pub sent: u64,
    /// Of the accepted: delivered, read or played.
    pub delivered: u64,
    /// Of the accepted: read or played.
    pub read: u64,
    /// Attempts after the first of a message.
    pub retries: u64,
    /// What the attempts cost that were not given back, in micros by currency.
    pub cost: BTreeMap<String, i64>,
    /// Attempts that count and whose price is not known.
    pub unpriced: u64,
    /// Why messages were skipped or failed: `skipped:<reason>` and `failed:<code>`.
    pub reasons: BTreeMap<String, u64>,
}

names!(CampaignState {
    Draft = "draft",
    Launching = "launching",
    Scheduled = "scheduled",
    Running = "running",
    Paused = "paused",
    NeedsReconcile = "needs_reconcile",
    Completed = "completed",
    Cancelled = "cancelled",
});

impl CampaignContent {
    /// Takes content whose texts may hold `{{column}}` placeholders.
    #[must_use]
    pub fn new(pattern: Content) -> Self {
        let mut columns = Vec::new();
        let mut seen = BTreeSet::new();
        let mut note = |text: &str| {
            for piece in Pieces(text) {
                if let Piece::Placeholder(name) = piece
                    && seen.insert(name.to_owned())
                {
                    columns.push(name.to_owned());
                }
            }
            Ok::<_, std::convert::Infallible>(text.to_owned())
        };
        let Ok(_) = pattern.map_texts(&mut note);
        Self { pattern, columns }
    }

    /// The columns that each contact needs, in order of first appearance, each once.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The content with its placeholders.
    #[must_use]
    pub const fn pattern(&self) -> &Content {
        &self.pattern
    }

    /// Puts one contact's values in; `values` are in the order of [`columns`](Self::columns).
    ///
    /// # Errors
    /// When a value is missing or blank, or the result cannot be sent.
    pub fn fill(&self, values: &[String]) -> Result<Content, ContentError> {
        self.fill_from(&self.columns, values)
    }

    /// Puts one contact's values in, which are in the order of `columns`.
    ///
    /// # Errors
    /// When a value is missing or blank, or the result cannot be sent.
    pub fn fill_from(&self, columns: &[String], values: &[String]) -> Result<Content, ContentError> {
        let filled = self.pattern.map_texts(&mut |text: &str| fill_text(text, columns, values))?;
        filled.validate()?;
        Ok(filled)
    }
}

/// The columns that each contact needs, in order of first appearance, each once: those of the
/// content, then those of its fallback.
#[must_use]
pub(crate) fn columns_of(content: &CampaignContent, fallback: Option<&CampaignContent>) -> Vec<String> {
    let mut columns = content.columns.clone();
    for column in fallback.into_iter().flat_map(|fallback| &fallback.columns) {
        if !columns.contains(column) {
            columns.push(column.clone());
        }
    }
    columns
}

fn fill_text(text: &str, columns: &[String], values: &[String]) -> Result<String, ContentError> {
    let mut filled = String::with_capacity(text.len() + 16);
    for piece in Pieces(text) {
        match piece {
            Piece::Literal(literal) => filled.push_str(literal),
            Piece::Placeholder(name) => {
                let value = columns
                    .iter()
                    .position(|column| column == name)
                    .and_then(|place| values.get(place))
                    .filter(|value| !value.trim().is_empty())
                    .ok_or_else(|| ContentError::MissingValue(name.to_owned()))?;
                filled.push_str(value);
            }
        }
    }
    Ok(filled)
}

impl From<Content> for CampaignContent {
    fn from(pattern: Content) -> Self {
        Self::new(pattern)
    }
}

impl From<CampaignContent> for Content {
    fn from(content: CampaignContent) -> Self {
        content.pattern
    }
}

enum Piece<'a> {
    Literal(&'a str),
    Placeholder(&'a str),
}

/// Splits a text into literals and `{{name}}` placeholders; unbalanced braces are literal.
struct Pieces<'a>(&'a str);

impl<'a> Iterator for Pieces<'a> {
    type Item = Piece<'a>;
    fn next(&mut self) -> Option<Piece<'a>> {
        if self.0.is_empty() {
            return None;
        }
        if let Some(rest) = self.0.strip_prefix("{{")
            && let Some((name, after)) = rest.split_once("}}")
            && !name.trim().is_empty()
            && !name.contains('{')
        {
            self.0 = after;
            return Some(Piece::Placeholder(name.trim()));
        }
        // A brace at the very start that opened no placeholder is literal, so look past it.
        let skip = usize::from(self.0.starts_with('{'));
        let tail = self.0.get(skip..).unwrap_or("");
        let end = tail.find('{').map_or(self.0.len(), |place| place + skip);
        let (literal, after) = self.0.split_at(end);
        self.0 = after;
        Some(Piece::Literal(literal))
    }
}

/// One contact's values in the order of these columns, and whether none is missing or blank.
#[must_use]
pub fn values_of(columns: &[String], attributes: &ContactAttributes) -> (Vec<String>, bool) {
    let value = |column: &String| attributes.get(column).cloned().unwrap_or_default();
    let values: Vec<_> = columns.iter().map(value).collect();
    let is_complete = values.iter().all(|value| !value.trim().is_empty());
    (values, is_complete)
}

impl Campaign {
    /// The columns that each contact needs, in order of first appearance, each once.
    #[must_use]
    pub fn columns(&self) -> Vec<String> {
        columns_of(&self.content, self.fallback.as_ref())
    }

    /// A new campaign as it is stored first: a draft.
    #[must_use]
    pub fn draft(new: &NewCampaign, now: DateTime<Utc>) -> Self {
        let definition = new.definition();
        let NewCampaign {
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
        } = new.clone();
        Self {
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
            definition,
            state: CampaignState::Draft,
            paused_for: None,
            created_at: now,
            launched_at: None,
            completed_at: None,
        }
    }
}

impl NewCampaign {
    /// The digest of what is asked for; the id is not part of it.
    #[must_use]
    pub fn definition(&self) -> Fingerprint {
        let Self {
            id: _,
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
        } = self;
        // Rate and budget may be changed between runs without changing who gets what.
        let _ = (rate, budget);
        let form = (name, content, fallback, list, sessions, lane, valid_until, start_at, in_doubt);
        Fingerprint::of_json(&form).unwrap_or_else(|| Fingerprint::of(b"no JSON form"))
    }
}

text_value!(CampaignName, "a campaign name", "1 to 200 characters without control characters", is_label);

impl fmt::Display for CampaignState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Category, TemplateContent};

    #[test]
    fn placeholders_are_found_once_and_in_order() {
        let pattern = Content::text("{{b}} { {{ a }} {{{x}} {{}} {{b}} {{open").expect("a text");
        assert_eq!(CampaignContent::new(pattern).columns(), ["b", "a", "x"]);
    }

    #[test]
    fn a_blank_value_is_missing() {
        let content = CampaignContent::new(Content::text("Hi {{name}}").expect("a text"));
        let missing = Err(ContentError::MissingValue("name".to_owned()));
        assert_eq!(content.fill(&["  ".to_owned()]), missing);
        assert_eq!(content.fill(&[]), missing);
    }

    #[test]
    fn a_template_is_filled_in_every_component() {
        let template = TemplateContent::with_body(
            "hello".parse().expect("a name"),
            "en_US".parse().expect("a language"),
            Category::Utility,
            ["{{name}}".to_owned(), "no {{code}} yet".to_owned()],
        )
        .expect("a template");
        let content = CampaignContent::new(Content::Template(template));
        assert_eq!(content.columns(), ["name", "code"]);
        let filled = content.fill(&["Ada".to_owned(), "17".to_owned()]).expect("content");
        let json = serde_json::to_string(&filled).expect("JSON");
        assert!(json.contains("Ada") && json.contains("no 17 yet"), "{json}");
    }
}
