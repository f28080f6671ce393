//! Values that are valid once made: ids, phones, money, content, states, events.
//!
//! Nothing here reads a clock, draws randomness or does I/O.

mod attempt;
mod breaker;
mod campaign;
mod contact;
mod content;
mod conversation;
mod event;
mod fingerprint;
mod ids;
mod import;
mod inbound;
mod library;
mod message;
mod money;
mod phone;
mod plan;
mod recipient;
mod session;
mod tag;
mod template;
mod tenant;
mod time;
mod value;

pub use attempt::{AttemptKey, DeliveryFacts, Fact, FailureCode, Outcome, RejectClass};
pub use breaker::{Breaker, BreakerReason, BreakerScope};
pub use campaign::{
    Campaign, CampaignAction, CampaignContent, CampaignCounts, CampaignName, CampaignState, ContentError,
    NewCampaign,
};
pub use contact::{Consent, ConsentRecord, ConsentSource, Contact, ContactAttributes, ListName, Seen};
pub use content::{Category, Content, Text, TextError};
pub use conversation::{Agent, Conversation, ConversationAction, ConversationId, ConversationState, Thread};
pub use event::{Event, EventBody, StreamPosition};
pub use fingerprint::Fingerprint;
pub use ids::{
    BatchId, CampaignId, ContactId, EventId, IdMint, ImportId, IncarnationId, InstanceId, MessageId, RawId,
    SessionId, TenantId, WorkerId,
};
pub use import::{ImportLine, ImportProgress, ImportRow, LineOutcome, LineProblem};
pub use inbound::{
    AccountAlert, AccountChange, AccountReview, AccountUpdate, BanState, BusinessCapability, ChargedCategory,
    Decision, Echo, IdentityChange, InboundBody, InboundContext, InboundEvent, InboundKind, InboundLocation,
    InboundMedia, InboundMessage, JsonText, NamedEvent, NumberEvent, NumberName, NumberQuality,
    PartnerChange, Preference, PreferenceChoice, PricingKind, PricingTier, Referral, ReferredProduct,
    ReportedError, Restriction, RestrictionKind, SecurityEvent, SecurityKind, StatusUpdate,
    TemplateCategoryChange, TemplateComponents, TemplateEvent, TemplateQuality, TemplateRef, TemplateStatus,
    UserChange, UserChangeKind, WebhookConversation, WebhookPricing,
};
pub use library::{TemplateKey, TemplateRecord};
pub use message::{
    AttemptView, HoldReason, Lane, MessageState, MessageView, NewMessage, SendKey, SkipReason,
};
pub use money::{Currency, Money, MoneyError, PriceList};
pub use phone::{Phone, PhoneError, Region};
pub use plan::{Entitlement, Period, QuotaUsage};
pub use recipient::{Bsuid, Recipient, RecipientError};
pub use session::{
    NewSession, NumberId, Quality, Session, SessionReport, SessionState, Throughput, Tier, TransportName,
};
pub use tag::{AttemptTag, TagError, TagKey};
pub use template::{
    ButtonType, CarouselCard, Component, Currencied, HeaderMedia, LanguageCode, MediaRef, Parameter,
    TemplateContent, TemplateError, TemplateName,
};
pub use tenant::{Tenant, TenantName, TenantSettings};
pub use time::{from_micros, micros, whole_micros};
pub use value::ValueError;
pub(crate) use value::{is_token, text_value};
