//! Buttons: how many of which kind, their labels, and where they lead.

use super::definition::ButtonDefinition;
use super::finding::{Finding, Issue};
use super::text::{Piece, pieces, plain};
use crate::model::Category;

/// The most characters of a label.
const MAX_LABEL: usize = 25;
/// The most characters of an address.
const MAX_LINK: usize = 2_000;
/// The most characters of a code.
const MAX_CODE: usize = 15;

pub(super) fn lint(
    buttons: &[ButtonDefinition],
    category: Category,
    above: &str,
    findings: &mut Vec<Finding>,
) {
    let place = format!("{above}buttons");
    // A card has at most two.
    let most = if above.is_empty() { 10 } else { 2 };
    count(buttons, &place, most, findings);
    let mut labels: Vec<&str> = Vec::new();
    for (index, button) in buttons.iter().enumerate() {
        let place = format!("{place}[{index}]");
        if category == Category::Authentication && !button.is_otp() {
            findings.push(Finding::new(place.as_str(), Issue::NotInAuthentication));
        }
        if category != Category::Authentication && button.is_otp() {
            findings.push(Finding::new(place.as_str(), Issue::OnlyInAuthentication));
        }
        if let Some(label) = label(button) {
            let place = format!("{place}.text");
            lint_label(label, &place, findings);
            if labels.contains(&label) {
                findings.push(Finding::new(place, Issue::Repeated));
            }
            labels.push(label);
        }
        match button {
            ButtonDefinition::Url { text: _, url, example } => lint_link(url, example, &place, findings),
            ButtonDefinition::PhoneNumber { text: _, phone_number } => {
                let fits = |c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | ' ' | '(' | ')');
                let has_digits = phone_number.contains(|c: char| c.is_ascii_digit());
                if !has_digits || phone_number.len() > 20 || !phone_number.chars().all(fits) {
                    findings.push(Finding::new(format!("{place}.phone_number"), Issue::Phone));
                }
            }
            ButtonDefinition::CopyCode { example } => lint_code(example, &place, findings),
            ButtonDefinition::QuickReply { .. }
            | ButtonDefinition::Otp { .. }
            | ButtonDefinition::Flow { .. }
            | ButtonDefinition::Other => {}
        }
    }
}

fn count(buttons: &[ButtonDefinition], place: &str, most: usize, findings: &mut Vec<Finding>) {
    if !(1..=most).contains(&buttons.len()) {
        let issue = Issue::Count { count: buttons.len(), least: 1, most };
        findings.push(Finding::new(place, issue));
    }
    type Is = fn(&ButtonDefinition) -> bool;
    let kinds: [(&str, usize, Is); 3] = [
        ("url", 2, |it| matches!(it, ButtonDefinition::Url { .. })),
        ("phone_number", 1, |it| matches!(it, ButtonDefinition::PhoneNumber { .. })),
        ("copy_code", 1, |it| matches!(it, ButtonDefinition::CopyCode { .. })),
    ];
    for (kind, most, is) in kinds {
        let count = buttons.iter().filter(|button| is(button)).count();
        if count > most {
            findings.push(Finding::new(format!("{place}.{kind}"), Issue::Count { count, least: 0, most }));
        }
    }
    // Quick replies in one group, the others in one group: the kind changes once at most.
    let is_reply: Vec<_> =
        buttons.iter().map(|button| matches!(button, ButtonDefinition::QuickReply { .. })).collect();
    let changes = is_reply.windows(2).filter(|pair| matches!(pair, [one, two] if one != two)).count();
    if changes > 1 {
        findings.push(Finding::new(place, Issue::Grouping));
    }
}

fn label(button: &ButtonDefinition) -> Option<&str> {
    match button {
        ButtonDefinition::QuickReply { text }
        | ButtonDefinition::Url { text, .. }
        | ButtonDefinition::PhoneNumber { text, .. }
        | ButtonDefinition::Flow { text } => Some(text),
        ButtonDefinition::Otp { text } => text.as_deref(),
        ButtonDefinition::CopyCode { .. } | ButtonDefinition::Other => None,
    }
}

fn lint_label(label: &str, place: &str, findings: &mut Vec<Finding>) {
    let mut tell = |issue| findings.push(Finding::new(place, issue));
    if label.trim().is_empty() {
        tell(Issue::Missing);
    }
    let chars = label.chars().count();
    if chars > MAX_LABEL {
        tell(Issue::TooLong { chars, most: MAX_LABEL });
    }
    let parameters = pieces(label).iter().filter(|piece| !matches!(piece, Piece::Plain(_))).count();
    if parameters > 0 {
        tell(Issue::TooManyParameters { count: parameters, most: 0 });
    }
    plain(label, &mut tell);
}

fn lint_link(url: &str, example: &[String], place: &str, findings: &mut Vec<Finding>) {
    let mut tell = |field: &str, issue| findings.push(Finding::new(format!("{place}.{field}"), issue));
    let is_link =
        ["https://", "http://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
    if !is_link || url.contains(char::is_whitespace) {
        tell("url", Issue::NotALink);
    }
    let chars = url.chars().count();
    if chars > MAX_LINK {
        tell("url", Issue::TooLong { chars, most: MAX_LINK });
    }
    let pieces = pieces(url);
    match pieces.as_slice() {
        [Piece::Plain(_)] | [] => {}
        [Piece::Plain(_), Piece::Parameter("1")] => {
            if example.iter().all(|example| example.trim().is_empty()) {
                tell("example", Issue::NoExample { parameter: "1".to_owned() });
            }
        }
        [Piece::Plain(_), Piece::Parameter(name)] => {
            tell("url", Issue::Malformed { found: format!("{{{{{name}}}}}") });
        }
        _ => tell("url", Issue::LinkParameter),
    }
}

fn lint_code(example: &[String], place: &str, findings: &mut Vec<Finding>) {
    let place = format!("{place}.example");
    match example.first().map(|code| (code.trim().is_empty(), code.chars().count())) {
        None | Some((true, _)) => findings.push(Finding::new(place, Issue::Missing)),
        Some((false, chars)) if chars > MAX_CODE => {
            findings.push(Finding::new(place, Issue::TooLong { chars, most: MAX_CODE }));
        }
        Some((false, _)) => {}
    }
}
