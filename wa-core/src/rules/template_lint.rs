//! What a provider would refuse about a template, before it is submitted.
//!
//! A refused template costs a day and an edit of the few that there are; what can be known before is
//! told here, with its place and what to do. Whether the text fits its category is a reviewer's to
//! say and not looked at.
//!
//! Source: Meta, Template components, Template categories and error codes (2388039 to 2388299), read
//! December 2025 and May 2026. Findings that other sources report are warnings and say so.

mod button;
mod definition;
mod finding;
mod text;

pub use definition::{
    ButtonDefinition, CardDefinition, ComponentDefinition, Examples, HeaderFormat, ParameterFormat,
    TemplateDefinition,
};
pub use finding::{Finding, Issue, Severity};

use crate::model::{Category, LanguageCode, TemplateName};
use text::Room;

/// The most characters of a body.
const MAX_BODY: usize = 1_024;
/// The most characters of the body of a card.
const MAX_CARD_BODY: usize = 160;
/// The most characters of a text header, and of a footer.
const MAX_LINE: usize = 60;

/// Looks a template over; no finding means that nothing is known against it.
///
/// In the order of the definition: name, language, category, then each component.
///
/// ```
/// use wa_core::rules::template_lint::{lint, Issue, TemplateDefinition};
/// let submitted = r#"{
///     "name": "order_update", "language": "en_US", "category": "UTILITY",
///     "components": [
///         {"type": "BODY", "text": "{{1}}, your order is on its way to you now"}
///     ]
/// }"#;
/// let template: TemplateDefinition = serde_json::from_str(submitted)?;
/// let findings = lint(&template);
/// assert_eq!(findings[0].place, "body");
/// assert_eq!(findings[0].issue, Issue::Leading);
/// assert_eq!(findings[0].code(), Some(2_388_299));
/// assert_eq!(findings[1].to_string(), "body: no example for {{1}}; give one");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[must_use]
pub fn lint(template: &TemplateDefinition) -> Vec<Finding> {
    let TemplateDefinition { name, language, category, parameter_format, components } = template;
    let mut findings = Vec::new();
    if name.chars().count() > 512 {
        let issue = Issue::TooLong { chars: name.chars().count(), most: 512 };
        findings.push(Finding::new("name", issue));
    } else if name.parse::<TemplateName>().is_err() {
        findings.push(Finding::new("name", Issue::Name));
    }
    if language.parse::<LanguageCode>().is_err() {
        findings.push(Finding::new("language", Issue::Language));
    }
    if *category == Category::Service {
        findings.push(Finding::new("category", Issue::Category));
    }
    count_components(components, *category, &mut findings);
    for component in components {
        lint_component(component, *category, *parameter_format, "", MAX_BODY, &mut findings);
    }
    findings
}

fn count_components(components: &[ComponentDefinition], category: Category, findings: &mut Vec<Finding>) {
    type Is = fn(&ComponentDefinition) -> bool;
    let kinds: [(&str, Is); 4] = [
        ("header", |it| matches!(it, ComponentDefinition::Header { .. })),
        ("body", |it| matches!(it, ComponentDefinition::Body { .. })),
        ("footer", |it| matches!(it, ComponentDefinition::Footer { .. })),
        ("buttons", |it| matches!(it, ComponentDefinition::Buttons { .. })),
    ];
    for (name, is) in kinds {
        let count = components.iter().filter(|component| is(component)).count();
        if count == 0 && name == "body" {
            findings.push(Finding::new("body", Issue::Missing));
        }
        if count > 1 {
            findings.push(Finding::new(name, Issue::Count { count, least: 0, most: 1 }));
        }
    }
    if category == Category::Authentication {
        let has_code = components.iter().any(|component| match component {
            ComponentDefinition::Buttons { buttons } => buttons.iter().any(ButtonDefinition::is_otp),
            ComponentDefinition::Header { .. }
            | ComponentDefinition::Body { .. }
            | ComponentDefinition::Footer { .. }
            | ComponentDefinition::Carousel { .. }
            | ComponentDefinition::Other => false,
        });
        if !has_code {
            findings.push(Finding::new("buttons", Issue::NeedsCodeButton));
        }
    }
}

fn lint_component(
    component: &ComponentDefinition,
    category: Category,
    format: ParameterFormat,
    above: &str,
    most_body: usize,
    findings: &mut Vec<Finding>,
) {
    let is_code = category == Category::Authentication;
    match component {
        ComponentDefinition::Header { format: kind, text, example } => {
            let place = format!("{above}header");
            if is_code {
                findings.push(Finding::new(place, Issue::NotInAuthentication));
                return;
            }
            match kind {
                HeaderFormat::Text => {
                    let room = Room { most: MAX_LINE, parameters: 1, is_plain: true, is_body: false };
                    text::lint(text.as_deref().unwrap_or(""), example, format, &room, &place, findings);
                }
                HeaderFormat::Image | HeaderFormat::Video | HeaderFormat::Document | HeaderFormat::Gif => {
                    if example.handles.iter().all(|handle| handle.trim().is_empty()) {
                        findings.push(Finding::new(place, Issue::NoMediaExample));
                    }
                }
                HeaderFormat::Location | HeaderFormat::Product | HeaderFormat::Other => {}
            }
        }
        ComponentDefinition::Body { text, example } => {
            let place = format!("{above}body");
            match (text, is_code) {
                // The text of a one-time code is the provider's own.
                (None, true) => {}
                (Some(_), true) => findings.push(Finding::new(place, Issue::NotInAuthentication)),
                (text, false) => {
                    let room = Room { most: most_body, parameters: 100, is_plain: false, is_body: true };
                    text::lint(text.as_deref().unwrap_or(""), example, format, &room, &place, findings);
                }
            }
        }
        ComponentDefinition::Footer { text } => {
            let place = format!("{above}footer");
            match (text, is_code) {
                (None, true) => {}
                (Some(_), true) => findings.push(Finding::new(place, Issue::NotInAuthentication)),
                (text, false) => {
                    let room = Room { most: MAX_LINE, parameters: 0, is_plain: true, is_body: false };
                    let nothing = Examples::default();
                    text::lint(text.as_deref().unwrap_or(""), &nothing, format, &room, &place, findings);
                }
            }
        }
        ComponentDefinition::Buttons { buttons } => button::lint(buttons, category, above, findings),
        ComponentDefinition::Carousel { cards } => lint_cards(cards, category, format, findings),
        ComponentDefinition::Other => {}
    }
}

fn lint_cards(
    cards: &[CardDefinition],
    category: Category,
    format: ParameterFormat,
    findings: &mut Vec<Finding>,
) {
    if !(2..=10).contains(&cards.len()) {
        findings.push(Finding::new("cards", Issue::Count { count: cards.len(), least: 2, most: 10 }));
    }
    for (index, card) in cards.iter().enumerate() {
        let above = format!("cards[{index}].");
        for component in &card.components {
            lint_component(component, category, format, &above, MAX_CARD_BODY, findings);
        }
    }
}

#[cfg(test)]
mod tests;
