//! Where a medium comes from.

use serde::{Deserialize, Serialize};

use super::check::{Checked, Place, hidden};
use super::texts::{Fill, Texts};

/// Where a medium comes from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaRef {
    /// An id that the provider gave for an upload.
    Id(String),
    /// A public http or https address.
    Link(String),
}

impl MediaRef {
    /// The provider's id of an upload; checked by whatever it becomes part of.
    pub fn id(id: impl Into<String>) -> Self {
        Self::Id(id.into())
    }

    /// A public http or https address; checked by whatever it becomes part of.
    pub fn link(link: impl Into<String>) -> Self {
        Self::Link(link.into())
    }

    pub(crate) fn check(&self, at: &Place<'_>) -> Checked {
        match self {
            Self::Id(id) => at.field("id").text(id, 1_024),
            Self::Link(link) => at.field("link").link(link),
        }
    }
}

impl Texts for MediaRef {
    fn map_texts<E>(&self, fill: &mut Fill<'_, E>) -> Result<Self, E> {
        Ok(match self {
            Self::Id(id) => Self::Id(fill(id)?),
            Self::Link(link) => Self::Link(fill(link)?),
        })
    }
}

hidden!(MediaRef);
