//! The register of templates: what exists, in which state, and which parameters it takes.
//!
//! Templates come from the builder, which knows only a number of body parameters, or from
//! `POST /{account}/message_templates`, which gives whole components and is checked more closely.
//!
//! Source: Meta, Template components and template management, read December 2025.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::clock::Micros;
use super::error::Refusal;
use super::wire::{self, Object, ParameterUse, TemplateUse};

/// What a template is for; decides price, consent and limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TemplateCategory {
    /// Advertising; an opted-out user is not reached (131050).
    Marketing,
    /// About something the user has ordered or agreed to.
    Utility,
    /// One-time codes; not to business-scoped user ids (131062).
    Authentication,
}

/// The state of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TemplateStatus {
    /// Can be sent.
    Approved,
    /// Not decided yet; sending answers 132001.
    Pending,
    /// Refused; sending answers 132001.
    Rejected,
    /// Paused for bad feedback; sending answers 132015.
    Paused,
    /// Disabled for good; sending answers 132016.
    Disabled,
}

macro_rules! named {
    ($type:ident { $($variant:ident = $name:literal),+ $(,)? }) => {
        impl $type {
            /// Meta's name of it, in capitals.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// The one with this name, in capitals or not.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                [$(Self::$variant),+].into_iter().find(|one| one.name().eq_ignore_ascii_case(name))
            }
        }
    };
}

named!(TemplateCategory { Marketing = "MARKETING", Utility = "UTILITY", Authentication = "AUTHENTICATION" });
named!(TemplateStatus {
    Approved = "APPROVED",
    Pending = "PENDING",
    Rejected = "REJECTED",
    Paused = "PAUSED",
    Disabled = "DISABLED",
});

/// All templates of the simulated accounts.
#[derive(Debug)]
pub(crate) struct Templates {
    all: Vec<Template>,
    /// Accepts every name, with this category.
    pub(crate) any: Option<TemplateCategory>,
    /// The state of a template that was just created.
    pub(crate) at_birth: TemplateStatus,
}

/// One template in one language.
#[derive(Debug, Clone)]
pub(crate) struct Template {
    pub(crate) id: u64,
    account: Option<String>,
    pub(crate) name: String,
    pub(crate) language: String,
    pub(crate) category: TemplateCategory,
    pub(crate) status: TemplateStatus,
    pub(crate) quality: &'static str,
    /// When it was created over HTTP; one of the builder is old.
    born: Micros,
    /// It says the most that a message may cost.
    has_max_price: bool,
    components: Value,
    header: Header,
    body: BTreeSet<String>,
    named: bool,
    body_length: usize,
    /// Which buttons need a parameter; none when the template was given without its buttons.
    buttons: Option<Vec<bool>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Header {
    None,
    Text(BTreeSet<String>),
    Medium(String),
}

const FIRST_ID: u64 = 900_000_000_000_001;
const LONGEST_BODY: usize = 1_024;
const MOST_PER_ACCOUNT: usize = 250;

impl Templates {
    pub(crate) fn new() -> Self {
        Self { all: Vec::new(), any: None, at_birth: TemplateStatus::Pending }
    }

    /// Adds or replaces a template that belongs to every account and has only body parameters.
    pub(crate) fn put(
        &mut self,
        name: &str,
        language: &str,
        category: TemplateCategory,
        status: TemplateStatus,
        parameters: u32,
    ) {
        let body: BTreeSet<_> = (1..=parameters).map(|n| n.to_string()).collect();
        let text = (1..=parameters).fold("Simulated".to_owned(), |text, n| format!("{text} {{{{{n}}}}}"));
        let id = self.next_id();
        self.all.retain(|one| !(one.name == name && one.language == language));
        self.all.push(Template {
            id,
            account: None,
            name: name.to_owned(),
            language: language.to_owned(),
            category,
            status,
            quality: "UNKNOWN",
            born: Micros::MIN,
            has_max_price: false,
            components: json!([{ "type": "BODY", "text": text }]),
            header: Header::None,
            body,
            named: false,
            body_length: "Simulated".len(),
            buttons: None,
        });
    }

    /// The template of this name and language.
    pub(crate) fn find(&mut self, name: &str, language: &str) -> Option<&mut Template> {
        self.all.iter_mut().find(|one| one.name == name && one.language == language)
    }

    /// Whether the template says the most that a message may cost.
    pub(crate) fn has_max_price(&self, used: &TemplateUse) -> bool {
        let mut all = self.all.iter();
        all.any(|one| one.has_max_price && one.name == used.name && one.language == used.language)
    }

    /// Whether the marketing endpoint does not know the template yet.
    pub(crate) fn is_syncing(&self, used: &TemplateUse, now: Micros, takes: Micros) -> bool {
        let mut all = self.all.iter();
        let found = all.find(|one| one.name == used.name && one.language == used.language);
        found.is_some_and(|one| now < one.born.saturating_add(takes))
    }

    /// The category of a template that may be sent with these parameters.
    pub(crate) fn check(&self, account: &str, used: &TemplateUse) -> Result<TemplateCategory, Refusal> {
        let found = self
            .all
            .iter()
            .filter(|one| one.belongs_to(account))
            .find(|one| one.name == used.name && one.language == used.language);
        let Some(template) = found else {
            return self.any.ok_or_else(|| {
                let details = format!("Template {:?} does not exist in {:?}.", used.name, used.language);
                Refusal::new(132_001, details)
            });
        };
        match template.status {
            TemplateStatus::Approved => {}
            TemplateStatus::Paused => return Err(Refusal::new(132_015, "The template is paused.")),
            TemplateStatus::Disabled => return Err(Refusal::new(132_016, "The template is disabled.")),
            TemplateStatus::Pending | TemplateStatus::Rejected => {
                return Err(Refusal::new(132_001, "The template is not approved."));
            }
        }
        template.takes(used)?;
        Ok(template.category)
    }

    /// Creates a template as `POST /{account}/message_templates` does; the answer is Meta's.
    pub(crate) fn create(&mut self, account: &str, now: Micros, body: &[u8]) -> Result<Value, Refusal> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|error| Refusal::new(100, format!("Not valid JSON: {error}")))?;
        let body = wire::object(&body, "the request")?;
        let mut template = Template::read(account, self.next_id(), now, body)?;
        template.status = self.at_birth;
        let own = || self.all.iter().filter(|one| one.belongs_to(account));
        if own().any(|one| one.name == template.name && one.language == template.language) {
            return Err(Refusal::new(100, "There is already a template of this name in this language."));
        }
        if own().count() >= MOST_PER_ACCOUNT {
            return Err(Refusal::new(2_388_019, "The account has 250 templates."));
        }
        let answer = json!({
            "id": template.id.to_string(), "status": template.status.name(), "category": template.category.name(),
        });
        self.all.push(template);
        Ok(answer)
    }

    /// The account's templates as `GET /{account}/message_templates` lists them, page by page.
    pub(crate) fn list(&self, account: &str, query: &[(String, String)]) -> Result<Value, Refusal> {
        let value = |key: &str| query.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        let number = |key: &str, default: u64| match value(key) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|_| Refusal::new(100, format!("{key} is not valid"))),
        };
        let limit = usize::try_from(number("limit", 25)?.clamp(1, 1_000)).unwrap_or(25);
        // Ids only grow, so the last id seen is a cursor that survives insertions.
        let after = number("after", 0)?;
        let mut found =
            self.all.iter().filter(|one| one.id > after && one.belongs_to(account)).filter(|one| {
                value("name").is_none_or(|name| one.name.contains(name))
                    && value("language").is_none_or(|language| one.language == language)
                    && value("status").is_none_or(|status| one.status.name().eq_ignore_ascii_case(status))
                    && value("category")
                        .is_none_or(|category| one.category.name().eq_ignore_ascii_case(category))
            });
        let page: Vec<&Template> = found.by_ref().take(limit).collect();
        let mut answer = json!({ "data": page.iter().map(|one| one.show()).collect::<Vec<_>>() });
        if let (Some(first), Some(last), Some(object)) = (page.first(), page.last(), answer.as_object_mut()) {
            let mut paging =
                json!({ "cursors": { "before": first.id.to_string(), "after": last.id.to_string() } });
            if let (true, Some(paging)) = (found.next().is_some(), paging.as_object_mut()) {
                paging.insert(
                    "next".to_owned(),
                    json!(format!("/{account}/message_templates?after={}", last.id)),
                );
            }
            object.insert("paging".to_owned(), paging);
        }
        Ok(answer)
    }

    /// One template by its id.
    pub(crate) fn get(&self, id: &str) -> Option<Value> {
        self.all.iter().find(|one| one.id.to_string() == id).map(Template::show)
    }

    fn next_id(&self) -> u64 {
        self.all.iter().map(|one| one.id + 1).max().unwrap_or(FIRST_ID)
    }
}

impl Template {
    fn belongs_to(&self, account: &str) -> bool {
        self.account.as_deref().is_none_or(|own| own == account)
    }

    fn show(&self) -> Value {
        json!({
            "id": self.id.to_string(), "name": self.name, "language": self.language,
            "category": self.category.name(), "status": self.status.name(),
            "quality_score": { "score": self.quality },
            "parameter_format": if self.named { "NAMED" } else { "POSITIONAL" },
            "components": self.components,
        })
    }

    /// Whether the parameters of a message fit.
    fn takes(&self, used: &TemplateUse) -> Result<(), Refusal> {
        match &self.header {
            Header::None => count("header", 0, used.header.len())?,
            Header::Text(names) => self.texts("header", names, &used.header)?,
            Header::Medium(kind) => match used.header.as_slice() {
                [one] if one.kind == kind => {}
                _ => return Err(Refusal::new(132_012, format!("header: expected one {kind}."))),
            },
        }
        self.texts("body", &self.body, &used.body)?;
        let hydrated = self.body_length + used.body.iter().map(|parameter| parameter.length).sum::<usize>();
        if hydrated > LONGEST_BODY {
            let details = format!("body: {hydrated} characters with its parameters, at most {LONGEST_BODY}.");
            return Err(Refusal::new(132_005, details));
        }
        let Some(buttons) = &self.buttons else { return Ok(()) };
        for (index, needed) in (0_u64..).zip(buttons) {
            let given =
                used.buttons.iter().find(|button| button.index == index).map_or(0, |one| one.parameters);
            if *needed && given == 0 {
                return Err(Refusal::new(131_008, format!("button {index} requires a parameter.")));
            }
        }
        let beyond = |index: u64| usize::try_from(index).map_or(true, |index| index >= buttons.len());
        match used.buttons.iter().find(|button| beyond(button.index)) {
            Some(button) => {
                Err(Refusal::new(131_009, format!("The template has no button {}.", button.index)))
            }
            None => Ok(()),
        }
    }

    fn texts(&self, place: &str, names: &BTreeSet<String>, given: &[ParameterUse]) -> Result<(), Refusal> {
        count(place, names.len(), given.len())?;
        for parameter in given {
            if !matches!(parameter.kind, "text" | "currency" | "date_time") {
                return Err(Refusal::new(132_012, format!("{place}: {} is not a text.", parameter.kind)));
            }
            if self.named && !parameter.name.as_ref().is_some_and(|name| names.contains(name)) {
                return Err(Refusal::new(
                    132_012,
                    format!("{place}: a parameter has no name of this template."),
                ));
            }
        }
        Ok(())
    }

    fn read(account: &str, id: u64, born: Micros, body: &Object) -> Result<Self, Refusal> {
        let name = wire::text(body, "name", 1, 512)?;
        if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
            return Err(wire::bad("name", "has lower-case letters, digits and underscores"));
        }
        let category = TemplateCategory::from_name(wire::text(body, "category", 1, 64)?)
            .ok_or_else(|| wire::bad("category", "is MARKETING, UTILITY or AUTHENTICATION"))?;
        let named = match body.get("parameter_format").map(Value::as_str) {
            None | Some(Some("POSITIONAL" | "positional")) => false,
            Some(Some("NAMED" | "named")) => true,
            Some(_) => return Err(wire::bad("parameter_format", "is POSITIONAL or NAMED")),
        };
        let mut template = Self {
            id,
            account: Some(account.to_owned()),
            name: name.to_owned(),
            language: wire::text(body, "language", 1, 64)?.to_owned(),
            category,
            status: TemplateStatus::Pending,
            quality: "UNKNOWN",
            born,
            has_max_price: ["bid_spec", "optimization_spec"].iter().any(|key| body.contains_key(*key)),
            components: body.get("components").cloned().unwrap_or_default(),
            header: Header::None,
            body: BTreeSet::new(),
            named,
            body_length: 0,
            buttons: Some(Vec::new()),
        };
        let mut has_body = false;
        for component in wire::list(body, "components", 10)? {
            let component = wire::object(component, "components")?;
            let kind = wire::text(component, "type", 1, 64)?.to_ascii_uppercase();
            has_body |= kind == "BODY";
            template.read_component(&kind, component)?;
        }
        if has_body { Ok(template) } else { Err(wire::missing("BODY")) }
    }

    fn read_component(&mut self, kind: &str, component: &Object) -> Result<(), Refusal> {
        match kind {
            "HEADER" => {
                let format = wire::text(component, "format", 1, 32)?.to_ascii_lowercase();
                self.header = if format == "text" {
                    let names = placeholders(wire::text(component, "text", 1, 60)?);
                    if names.len() > 1 {
                        return Err(wire::bad("header", "has at most one placeholder"));
                    }
                    if names.is_empty() { Header::None } else { Header::Text(names) }
                } else if ["image", "video", "document", "location"].contains(&format.as_str()) {
                    Header::Medium(format)
                } else {
                    return Err(wire::bad("format", "is TEXT, IMAGE, VIDEO, DOCUMENT or LOCATION"));
                };
            }
            // The text of an authentication template is Meta's own, with the code in it.
            "BODY"
                if self.category == TemplateCategory::Authentication && !component.contains_key("text") =>
            {
                self.body = BTreeSet::from(["1".to_owned()]);
                self.body_length = " is your verification code.".len();
            }
            "BODY" => {
                let text = wire::text(component, "text", 1, LONGEST_BODY)?;
                self.body = placeholders(text);
                self.body_length = fixed_length(text);
            }
            "FOOTER" => {
                if component.contains_key("text") {
                    wire::text(component, "text", 1, 60)?;
                }
            }
            "BUTTONS" => {
                let buttons = wire::list(component, "buttons", 10)?;
                self.buttons = Some(buttons.iter().map(needs_parameter).collect::<Result<_, _>>()?);
            }
            "CAROUSEL" | "LIMITED_TIME_OFFER" => {}
            _ => return Err(wire::bad("component.type", "is a documented kind")),
        }
        Ok(())
    }
}

fn needs_parameter(button: &Value) -> Result<bool, Refusal> {
    let button = wire::object(button, "buttons")?;
    if button.contains_key("text") {
        wire::text(button, "text", 1, 25)?;
    }
    Ok(match wire::text(button, "type", 1, 32)?.to_ascii_uppercase().as_str() {
        "URL" => !placeholders(wire::text(button, "url", 1, 2_000)?).is_empty(),
        "COPY_CODE" | "OTP" => true,
        _ => false,
    })
}

/// The names between double braces.
fn placeholders(text: &str) -> BTreeSet<String> {
    text.split("{{")
        .skip(1)
        .filter_map(|rest| rest.split_once("}}"))
        .map(|(name, _)| name.trim().to_owned())
        .collect()
}

/// The characters of a text without its placeholders.
fn fixed_length(text: &str) -> usize {
    let outside = |part: &str| part.split_once("}}").map_or(part, |(_, rest)| rest).chars().count();
    let mut parts = text.split("{{");
    parts.next().map_or(0, |first| first.chars().count()) + parts.map(outside).sum::<usize>()
}

fn count(place: &str, expected: usize, given: usize) -> Result<(), Refusal> {
    if expected == given {
        return Ok(());
    }
    Err(Refusal::new(132_000, format!("{place}: {given} parameters given, {expected} expected.")))
}
