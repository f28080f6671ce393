//! Flows: forms of several screens.

use serde::{Deserialize, Serialize};

use crate::model::content::JsonObject;
use crate::model::content::check::{Checked, Place, hidden};
use crate::model::content::texts::{Fill, Texts, texts};

/// A button that starts a flow; message version 3.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Which flow.
    pub flow: FlowRef,
    /// The label that starts it: 1 to 30 characters.
    ///
    /// Source: Meta's `OpenAPI` v23.0 says 30; a page of its guides says 20 (unconfirmed).
    pub cta: String,
    /// Recognises the conversation in the flow's answer: 1 to 1,024 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Whether the draft or the published flow is meant; published unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<FlowMode>,
    /// How it starts; at its first screen unless said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<FlowStart>,
}

/// Which flow.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowRef {
    /// By the provider's id.
    Id(String),
    /// By the name that its maker gave.
    Name(String),
}

/// Whether a draft or a published flow is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowMode {
    /// The draft; for tests.
    Draft,
    /// The published flow.
    Published,
}

/// How a flow starts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlowStart {
    /// At a screen.
    Navigate {
        /// Its id; the first one unless said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        screen: Option<String>,
        /// What the screen is given, as the flow defines it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        data: Option<JsonObject>,
    },
    /// By asking the flow's own endpoint.
    DataExchange,
}

impl Flow {
    pub(super) fn check(&self, at: &Place<'_>) -> Checked {
        let Self { flow, cta, token, mode: _, start } = self;
        let at = at.field("parameters");
        match flow {
            FlowRef::Id(id) => at.field("flow_id").text(id, 1_024)?,
            FlowRef::Name(name) => at.field("flow_name").text(name, 1_024)?,
        }
        at.field("flow_cta").text(cta, 30)?;
        at.field("flow_token").optional(token.as_ref(), 1_024)?;
        match start {
            Some(FlowStart::Navigate { screen, data }) => {
                let at = at.field("flow_action_payload");
                at.field("screen").optional(screen.as_ref(), 1_024)?;
                data.as_ref().map_or(Ok(()), |data| data.check(&at.field("data")))
            }
            Some(FlowStart::DataExchange) | None => Ok(()),
        }
    }
}

texts!(Flow { flow, cta, token, start } keep { mode });

impl Texts for FlowRef {
    fn map_texts<E>(&self, fill: &mut Fill<'_, E>) -> Result<Self, E> {
        Ok(match self {
            Self::Id(id) => Self::Id(fill(id)?),
            Self::Name(name) => Self::Name(fill(name)?),
        })
    }
}

impl Texts for FlowStart {
    fn map_texts<E>(&self, fill: &mut Fill<'_, E>) -> Result<Self, E> {
        Ok(match self {
            Self::Navigate { screen, data } => {
                Self::Navigate { screen: screen.map_texts(fill)?, data: data.map_texts(fill)? }
            }
            Self::DataExchange => Self::DataExchange,
        })
    }
}

hidden!(Flow, FlowRef, FlowStart);
