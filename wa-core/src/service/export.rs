//! Exports: what became of each recipient, as a file that people open and programs read.
//!
//! Written page by page, so memory is bounded whatever the size of the campaign. CSV is that of
//! RFC 4180 with a header line. Texts that a provider or contact wrote are guarded: a cell that
//! begins with `=`, `+`, `-`, `@` or a control character gets a `'` in front, so that no spreadsheet
//! runs it as a formula (OWASP, CSV injection). A phone is a plus and digits, which is no formula, and
//! stays as it is, so that [`import_csv`](super::Contacts::import_csv) reads it back; instants are
//! RFC 3339 in UTC.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;

use super::campaigns::Campaigns;
use super::error::KitError;
use super::failures::Advisers;
use super::messages::Messages;
use crate::model::{AttemptPrice, CampaignId, Currency, Fact, MessageState, MessageView, Money, PriceReason};
use crate::port::store::FailureFilter;

/// Messages read and written at once.
const PAGE: u32 = 500;

/// How an export is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExportOptions {
    /// The format.
    pub format: ExportFormat,
    /// Whether a CSV file begins with the mark by which Excel knows UTF-8.
    pub byte_order_mark: bool,
}

/// The format of an export.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExportFormat {
    /// RFC 4180 with a header line, guarded against formulas.
    #[default]
    Csv,
    /// One JSON object per line with the same fields; nothing is guarded, and empty fields are left out.
    JsonLines,
}

impl Campaigns<'_> {
    /// Writes a line for each message of a campaign, in order of their ids; how many.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use wa_core::{memory::MemoryStore, port::SystemClock, service::{CampaignSpec, Kit, Number}, testing::ScriptedTransport};
    /// # use wa_core::model::{Content, ContactAttributes, Phone};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let clock = Arc::new(SystemClock);
    /// # let transport = Arc::new(ScriptedTransport::new(clock.clone()));
    /// # let kit = Kit::builder(Arc::new(MemoryStore::new(clock))).transport("cloud", transport).build().await?;
    /// # let tenant = kit.tenants().ensure("acme").await?;
    /// # let session = tenant.sessions().add(&Number::cloud("100")).await?;
    /// # let ada = Phone::parse("+4915112345678", None)?;
    /// # tenant.contacts().upsert(ada.into(), ContactAttributes::new(), Some("news".parse()?)).await?;
    /// # let spec = CampaignSpec::new("spring".parse()?, "news".parse()?, Content::text("Hello")?, vec![session.id]);
    /// # let campaign = tenant.campaigns().create(spec).await?;
    /// # tenant.campaigns().launch(campaign.id, |_| {}).await?;
    /// let mut file = Vec::new();
    /// assert_eq!(tenant.campaigns().export_csv(campaign.id, &mut file).await?, 1);
    /// let text = String::from_utf8(file)?;
    /// assert!(text.starts_with("message,phone,user_id,state,"));
    /// assert!(text.contains(",+4915112345678,,pending,"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// When the tenant has no such campaign, the store fails, or the writer does.
    pub async fn export_csv(self, id: CampaignId, writer: impl Write + Send) -> Result<u64, KitError> {
        self.export(id, writer, ExportOptions::default()).await
    }

    /// Writes a line for each message of a campaign as the options say; how many.
    ///
    /// # Errors
    /// When the tenant has no such campaign, the store fails, or the writer does.
    pub async fn export(
        self,
        id: CampaignId,
        writer: impl Write + Send,
        options: ExportOptions,
    ) -> Result<u64, KitError> {
        self.counts(id).await?;
        let mut sheet = Sheet::open(writer, options)?;
        let mut advisers = Advisers::new(self.tenant());
        let mut after = None;
        loop {
            let page = self.recipients(id, after, PAGE).await?;
            let Some(last) = page.last() else { return sheet.close() };
            after = Some(last.id);
            for message in &page {
                sheet.add(message, &mut advisers).await?;
            }
            sheet.flush()?;
        }
    }
}

impl Messages<'_> {
    /// Writes a line for each message that failed and fits, in order of their ids; how many.
    ///
    /// # Errors
    /// When the store or the writer fails.
    pub async fn export_failed(
        self,
        filter: &FailureFilter,
        writer: impl Write + Send,
        options: ExportOptions,
    ) -> Result<u64, KitError> {
        let tenant = self.tenant();
        let mut sheet = Sheet::open(writer, options)?;
        let mut advisers = Advisers::new(tenant);
        let mut after = None;
        loop {
            let page = tenant.kit.store().reports().failed(&tenant.scope, filter, after, PAGE).await?;
            let Some(last) = page.last() else { return sheet.close() };
            after = Some(last.id);
            for message in &page {
                sheet.add(message, &mut advisers).await?;
            }
            sheet.flush()?;
        }
    }
}

/// One line; the names of the fields are the header.
#[derive(Debug, Serialize)]
struct Line<'a> {
    message: String,
    phone: String,
    user_id: &'a str,
    state: &'static str,
    /// Why it was skipped or waits.
    reason: &'static str,
    waits_until: String,
    critical: bool,
    attempts: usize,
    first_attempt_at: String,
    last_attempt_at: String,
    accepted_at: String,
    sent_at: String,
    delivered_at: String,
    read_at: String,
    failed_at: String,
    provider_id: Cow<'a, str>,
    /// What its attempts cost, in micros: a text with one number for each currency, between semicolons.
    cost_micros: String,
    /// The currencies, in the same order.
    cost_currency: String,
    /// Whether the provider has said of each attempt that counts what it charges.
    cost_settled: Option<bool>,
    /// Attempts of which nobody knows what they cost.
    unpriced: Option<u64>,
    error_code: Option<i64>,
    error_class: &'static str,
    error_title: Cow<'a, str>,
    error_details: Cow<'a, str>,
    advice: &'static str,
}

/// The header, also of an export without lines.
const HEADER: [&str; 25] = [
    "message",
    "phone",
    "user_id",
    "state",
    "reason",
    "waits_until",
    "critical",
    "attempts",
    "first_attempt_at",
    "last_attempt_at",
    "accepted_at",
    "sent_at",
    "delivered_at",
    "read_at",
    "failed_at",
    "provider_id",
    "cost_micros",
    "cost_currency",
    "cost_settled",
    "unpriced",
    "error_code",
    "error_class",
    "error_title",
    "error_details",
    "advice",
];

impl<'a> Line<'a> {
    fn of(view: &'a MessageView, advice: &'static str, guard: fn(&'a str) -> Cow<'a, str>) -> Self {
        let at =
            |fact: Fact| text_of(view.attempts.iter().filter_map(|attempt| attempt.facts.at(fact)).min());
        let failed = [Fact::Failed, Fact::Rejected].into_iter();
        let failed = failed.filter_map(|fact| view.attempts.last()?.facts.at(fact)).min();
        let failure = view.failure();
        let named = view.attempts.iter().rev().find_map(|attempt| attempt.facts.provider_id.as_deref());
        let skipped = view.skipped.map(|reason| reason.as_str());
        let cost = Cost::of(view);
        let begun = !view.attempts.is_empty();
        let list = |parts: Vec<String>| parts.join(";");
        Self {
            message: view.id.to_string(),
            phone: view.recipient.phone().map(|phone| phone.e164().to_string()).unwrap_or_default(),
            user_id: view.recipient.bsuid().map_or("", |user| user.as_str()),
            state: view.state.as_str(),
            reason: skipped.or(view.held.map(|(reason, _)| reason.as_str())).unwrap_or(""),
            waits_until: text_of(view.held.map(|(_, until)| until)),
            critical: view.is_critical(),
            attempts: view.attempts.len(),
            first_attempt_at: text_of(view.attempts.first().map(|attempt| attempt.begun_at)),
            last_attempt_at: text_of(view.attempts.last().map(|attempt| attempt.begun_at)),
            accepted_at: at(Fact::Accepted),
            sent_at: at(Fact::Sent),
            delivered_at: at(Fact::Delivered),
            read_at: at(Fact::Read),
            failed_at: text_of(failed),
            provider_id: guard(named.unwrap_or("")),
            cost_micros: list(cost.micros.values().map(i64::to_string).collect()),
            cost_currency: list(cost.micros.keys().map(|currency| currency.as_str().to_owned()).collect()),
            cost_settled: cost.settled,
            unpriced: begun.then_some(cost.unpriced),
            error_code: failure.map(|failure| failure.code),
            error_class: failure.map_or("", |failure| failure.class.as_str()),
            error_title: guard(failure.map_or("", |failure| failure.title.as_str())),
            error_details: guard(
                failure.and_then(|failure| failure.details.as_ref()).map_or("", |details| details.as_str()),
            ),
            advice,
        }
    }
}

/// What the attempts of one message cost.
struct Cost {
    micros: BTreeMap<Currency, i64>,
    /// `None` when nothing counts.
    settled: Option<bool>,
    unpriced: u64,
}

impl Cost {
    fn of(view: &MessageView) -> Self {
        let mut cost = Self { micros: BTreeMap::new(), settled: None, unpriced: 0 };
        for AttemptPrice { sent_as: _, category: _, estimate: _, amount, reason, settled } in
            view.attempts.iter().map(|it| it.price)
        {
            // What was given back costs nothing, and nobody will say anything about it.
            if reason == PriceReason::GivenBack {
                continue;
            }
            cost.settled = Some(cost.settled.unwrap_or(true) && settled);
            match amount {
                Some(Money { micros, currency }) => {
                    let sum = cost.micros.entry(currency).or_default();
                    *sum = sum.saturating_add(micros);
                }
                None => cost.unpriced += 1,
            }
        }
        cost
    }
}

fn text_of(at: Option<DateTime<Utc>>) -> String {
    at.map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true)).unwrap_or_default()
}

/// Keeps a spreadsheet from taking a text for a formula.
fn guarded(text: &str) -> Cow<'_, str> {
    match text.chars().next() {
        Some('=' | '+' | '-' | '@') => Cow::Owned(format!("'{text}")),
        Some(first) if first.is_control() => Cow::Owned(format!("'{text}")),
        Some(_) | None => Cow::Borrowed(text),
    }
}

/// A file in the making: lines are collected in memory and written page by page.
struct Sheet<W> {
    writer: W,
    options: ExportOptions,
    page: Vec<u8>,
    lines: u64,
}

impl<W: Write> Sheet<W> {
    fn open(writer: W, options: ExportOptions) -> Result<Self, KitError> {
        let mut sheet = Self { writer, options, page: Vec::new(), lines: 0 };
        if options.format == ExportFormat::Csv {
            if options.byte_order_mark {
                sheet.page.extend("\u{feff}".bytes());
            }
            sheet.put(|csv| csv.write_record(HEADER))?;
        }
        Ok(sheet)
    }

    async fn add(&mut self, view: &MessageView, advisers: &mut Advisers<'_>) -> Result<(), KitError> {
        let advice = if view.state == MessageState::Failed { advisers.advice(view).await? } else { "" };
        match self.options.format {
            ExportFormat::Csv => {
                let line = Line::of(view, advice, guarded);
                self.put(|csv| csv.serialize(&line))?;
            }
            ExportFormat::JsonLines => {
                let line = Line::of(view, advice, Cow::Borrowed);
                let mut line = serde_json::to_value(&line).map_err(|error| KitError::Export(error.into()))?;
                if let Some(fields) = line.as_object_mut() {
                    fields.retain(|_, value| !value.is_null() && value.as_str() != Some(""));
                }
                self.page.extend(line.to_string().into_bytes());
                self.page.push(b'\n');
            }
        }
        self.lines += 1;
        Ok(())
    }

    fn put(
        &mut self,
        write: impl FnOnce(&mut csv::Writer<&mut Vec<u8>>) -> csv::Result<()>,
    ) -> Result<(), KitError> {
        let failed = |error: csv::Error| KitError::Export(io::Error::other(error));
        let mut csv = csv::WriterBuilder::new()
            .has_headers(false)
            .terminator(csv::Terminator::CRLF)
            .from_writer(&mut self.page);
        write(&mut csv).map_err(failed)?;
        csv.flush().map_err(KitError::Export)
    }

    fn flush(&mut self) -> Result<(), KitError> {
        self.writer.write_all(&self.page).map_err(KitError::Export)?;
        self.page.clear();
        Ok(())
    }

    fn close(mut self) -> Result<u64, KitError> {
        self.flush()?;
        self.writer.flush().map_err(KitError::Export)?;
        Ok(self.lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_begins_like_a_formula() {
        for bad in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"] {
            assert_eq!(guarded(bad), format!("'{bad}"));
        }
        for good in ["", "wamid.HBg=", "a-b", "'=1"] {
            assert_eq!(guarded(good), good);
        }
    }
}
