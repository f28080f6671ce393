//! Buttons that reply, menus, and buttons that open a page.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::model::content::check::{Checked, Flaw, Place, hidden, repeated};
use crate::model::content::texts::texts;

/// A button that sends its id and title back.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplyButton {
    /// What comes back: 1 to 256 characters, unlike the others', without white space around it.
    pub id: String,
    /// What is shown: 1 to 20 characters, unlike the others'.
    pub title: String,
}

/// A menu that opens at a tap.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListMenu {
    /// The label that opens it: 1 to 20 characters.
    pub button: String,
    /// 1 to 10 sections with 1 to 10 rows in all.
    pub sections: Vec<ListSection>,
}

/// A part of a menu.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListSection {
    /// 1 to 24 characters; needed when there are several sections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Its rows, at least one.
    pub rows: Vec<ListRow>,
}

/// A row of a menu.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListRow {
    /// What comes back: 1 to 200 characters, unlike the others'.
    pub id: String,
    /// What is shown: 1 to 24 characters.
    pub title: String,
    /// A smaller text: 1 to 72 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A button that opens a web page.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UrlButton {
    /// What is shown: 1 to 20 characters.
    pub display_text: String,
    /// The page: http or https, at most 2,048 characters.
    pub url: String,
}

impl ReplyButton {
    /// A button; checked when its message is built.
    pub fn new(id: impl Into<String>, title: impl Into<String>) -> Self {
        Self { id: id.into(), title: title.into() }
    }
}

impl ListMenu {
    pub(super) fn check(&self, at: &Place<'_>) -> Checked {
        let Self { button, sections } = self;
        at.field("button").text(button, 20)?;
        at.field("sections").count(sections.len(), 1, 10)?;
        let mut ids = BTreeSet::new();
        for (index, ListSection { title, rows }) in sections.iter().enumerate() {
            let at = at.item("sections", index);
            at.field("title").must(title.is_some() || sections.len() == 1, Flaw::Missing)?;
            at.field("title").optional(title.as_ref(), 24)?;
            at.field("rows").count(rows.len(), 1, 10)?;
            for (index, ListRow { id, title, description }) in rows.iter().enumerate() {
                let at = at.item("rows", index);
                at.field("id").text(id, 200)?;
                at.field("id").must(ids.insert(id), Flaw::Repeated)?;
                at.field("title").text(title, 24)?;
                at.field("description").optional(description.as_ref(), 72)?;
            }
        }
        at.field("sections").field("rows").count(ids.len(), 1, 10)
    }
}

impl UrlButton {
    pub(super) fn check(&self, at: &Place<'_>) -> Checked {
        let Self { display_text, url } = self;
        let at = at.field("parameters");
        at.field("display_text").text(display_text, 20)?;
        at.field("url").link(url)
    }
}

pub(super) fn check_buttons(buttons: &[ReplyButton], at: &Place<'_>) -> Checked {
    for (index, ReplyButton { id, title }) in buttons.iter().enumerate() {
        let at = at.item("buttons", index);
        at.field("id").text(id, 256)?;
        at.field("id").must(id.trim() == id, Flaw::Form("without white space around it"))?;
        at.field("title").text(title, 20)?;
    }
    if let Some(index) = repeated(buttons.iter().map(|button| button.id.as_str())) {
        return Err(at.item("buttons", index).field("id").wrong(Flaw::Repeated));
    }
    match repeated(buttons.iter().map(|button| button.title.as_str())) {
        Some(index) => Err(at.item("buttons", index).field("title").wrong(Flaw::Repeated)),
        None => Ok(()),
    }
}

texts!(ReplyButton { id, title });
texts!(ListMenu { button, sections });
texts!(ListSection { title, rows });
texts!(ListRow { id, title, description });
texts!(UrlButton { display_text, url });

hidden!(ReplyButton, ListMenu, ListSection, ListRow, UrlButton);
