//! Why content cannot be sent, and where: the error, and the checks that every kind shares.
//!
//! A place is written like a path in the content (`action.sections[1].rows[0].title`) and is put
//! together only when something is wrong there.

use std::collections::BTreeSet;

/// Why content cannot be sent: what is wrong, and where.
///
/// ```
/// use wa_core::model::interactive::{Action, ReplyButton};
/// use wa_core::model::{Flaw, Interactive};
/// let buttons = vec![ReplyButton::new("yes", "Yes"), ReplyButton::new("no", "No, I would rather not")];
/// let refused = Interactive::builder(Action::Buttons(buttons)).body("Shall we come?").build();
/// let problem = refused.expect_err("a title of 22 characters");
/// assert_eq!(problem.place(), "action.buttons[1].title");
/// assert_eq!(*problem.flaw(), Flaw::TooLong { chars: 22, most: 20 });
/// assert_eq!(problem.to_string(), "action.buttons[1].title has 22 characters; at most 20 are allowed");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place} {flaw}")]
pub struct InvalidContent {
    place: String,
    flaw: Flaw,
}

/// What is wrong with a part of some content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Flaw {
    /// Nothing, or nothing but white space.
    #[error("is empty")]
    Empty,
    /// More characters than the provider takes.
    #[error("has {chars} characters; at most {most} are allowed")]
    TooLong {
        /// How many it has.
        chars: usize,
        /// How many are allowed.
        most: usize,
    },
    /// Too few or too many entries.
    #[error("has {count} entries; {least} to {most} are allowed")]
    Count {
        /// How many it has.
        count: usize,
        /// The fewest.
        least: usize,
        /// The most.
        most: usize,
    },
    /// More JSON than is carried along.
    #[error("has {bytes} bytes of JSON; at most {most} are allowed")]
    TooLarge {
        /// How many it has.
        bytes: usize,
        /// How many are allowed.
        most: usize,
    },
    /// Not an address on the web.
    #[error("must start with https:// or http:// and hold no white space")]
    NotALink,
    /// Not a place on earth.
    #[error("must be decimal degrees such as 52.52")]
    NotDegrees,
    /// The same as an earlier one.
    #[error("is the same as an earlier one")]
    Repeated,
    /// This kind of content needs it.
    #[error("is needed by this kind of content")]
    Missing,
    /// This kind of content has none.
    #[error("is not possible in this kind of content")]
    NotPossible,
    /// Amounts that do not add up.
    #[error("is not what the other amounts add up to")]
    Sum,
    /// Any other form that is asked for.
    #[error("must be {0}")]
    Form(&'static str),
}

impl InvalidContent {
    /// The place, as a path in the content.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    /// What is wrong there.
    #[must_use]
    pub const fn flaw(&self) -> &Flaw {
        &self.flaw
    }
}

/// Where a check is, as a path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    above: Option<&'a Place<'a>>,
    name: &'a str,
    index: Option<usize>,
}

/// The outcome of a check.
pub(crate) type Checked = Result<(), InvalidContent>;

impl<'a> Place<'a> {
    pub(crate) const fn root(name: &'a str) -> Self {
        Self { above: None, name, index: None }
    }

    /// One of several values at the root.
    pub(crate) const fn root_item(name: &'a str, index: usize) -> Self {
        Self { above: None, name, index: Some(index) }
    }

    pub(crate) const fn field(&'a self, name: &'a str) -> Self {
        Self { above: Some(self), name, index: None }
    }

    pub(crate) const fn item(&'a self, name: &'a str, index: usize) -> Self {
        Self { above: Some(self), name, index: Some(index) }
    }

    fn path(&self) -> String {
        let mut path = self.above.map_or_else(String::new, |above| above.path() + ".");
        path.push_str(self.name);
        if let Some(index) = self.index {
            path.push_str(&format!("[{index}]"));
        }
        path
    }

    pub(crate) fn wrong(&self, flaw: Flaw) -> InvalidContent {
        InvalidContent { place: self.path(), flaw }
    }

    pub(crate) fn must(&self, holds: bool, flaw: Flaw) -> Checked {
        if holds { Ok(()) } else { Err(self.wrong(flaw)) }
    }

    /// 1 to `most` characters, not all of them white space.
    pub(crate) fn text(&self, text: &str, most: usize) -> Checked {
        self.must(!text.trim().is_empty(), Flaw::Empty)?;
        let chars = text.chars().count();
        self.must(chars <= most, Flaw::TooLong { chars, most })
    }

    /// As [`text`](Self::text), if there is one.
    pub(crate) fn optional(&self, text: Option<&String>, most: usize) -> Checked {
        text.map_or(Ok(()), |text| self.text(text, most))
    }

    pub(crate) fn count(&self, count: usize, least: usize, most: usize) -> Checked {
        self.must((least..=most).contains(&count), Flaw::Count { count, least, most })
    }

    /// An address on the web of at most 2,048 characters.
    pub(crate) fn link(&self, link: &str) -> Checked {
        self.text(link, 2_048)?;
        let has_host = ["https://", "http://"]
            .iter()
            .any(|scheme| link.strip_prefix(scheme).is_some_and(|rest| !rest.is_empty()));
        self.must(has_host && !link.contains(char::is_whitespace), Flaw::NotALink)
    }
}

/// Finds the first of several texts that was there before.
pub(crate) fn repeated<'a>(texts: impl IntoIterator<Item = &'a str>) -> Option<usize> {
    let mut seen = BTreeSet::new();
    texts.into_iter().position(|text| !seen.insert(text))
}

/// Hides what a type holds from `Debug`.
macro_rules! hidden {
    ($($type:ident),* $(,)?) => {
        $(impl std::fmt::Debug for $type {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($type), "(..)"))
            }
        })*
    };
}
pub(crate) use hidden;
