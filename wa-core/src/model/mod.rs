//! Values that are valid once made: ids, phones, recipients, money and prices, content, civil times and
//! recurrences, settings, states, what webhooks say, events.
//!
//! Flat, but for [`interactive`], whose names need their prefix.
//! Nothing here reads a clock, draws randomness or does I/O.

mod alert;
mod attempt;
mod breaker;
mod budget;
mod campaign;
mod charge;
mod civil;
mod contact;
mod content;
mod conversation;
mod doubt;
mod event;
mod finding;
mod fingerprint;
mod ids;
mod import;
mod inbound;
mod library;
mod limit;
mod market;
mod message;
mod money;
mod offset;
mod phone;
mod plan;
mod price;
mod provider_id;
mod quiet;
mod recipient;
mod reconcile;
mod recurrence;
mod schedule;
mod session;
mod settings;
mod tag;
mod template;
mod tenant;
mod time;
mod value;

pub use alert::{AlertSettings, CampaignAlert, RetryBackoff, Undelivered};
pub use attempt::{AttemptKey, DeliveryFacts, Fact, FailureCode, FailureDetails, Outcome, RejectClass};
pub use breaker::{Breaker, BreakerReason, BreakerScope};
pub use budget::{BudgetOf, BudgetUse, TenantBudget};
pub(crate) use campaign::columns_of;
pub use campaign::{
    Campaign, CampaignAction, CampaignContent, CampaignCounts, CampaignName, CampaignState, ContentError,
    NewCampaign, values_of,
};
pub use charge::{Charge, ChargeSource, Charged, FreeReason, RateCategory};
pub use civil::{CivilDateTime, CivilTime, TimeZone, TimeZoneError, Weekdays};
pub use contact::{Consent, ConsentRecord, ConsentSource, Contact, ContactAttributes, ListName, Seen};
pub use content::{
    CardAddress, CardEmail, CardName, CardOrg, CardPhone, CardUrl, Category, ContactCard, ContactCards,
    Content, ContentKind, ContentKinds, Flaw, Interactive, InvalidContent, JsonObject, Location, Media,
    MediaKind, MediaRef, Reaction, Text, TextError, interactive,
};
pub use conversation::{Agent, Conversation, ConversationAction, ConversationId, ConversationState, Thread};
pub use doubt::{InDoubtPolicy, Resolution};
pub use event::{Event, EventBody, StreamPosition};
pub use finding::{Finding, Invariant};
pub use fingerprint::Fingerprint;
pub use ids::{
    BatchId, CampaignId, ContactId, EventId, IdMint, ImportId, IncarnationId, InstanceId, MessageId, RawId,
    ScheduleId, SessionId, TenantId, WorkerId,
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
pub use limit::PaceLimit;
pub use market::Market;
pub use message::{
    AttemptView, Chosen, CustomerView, HoldReason, Lane, MessageState, MessageView, NewMessage, SendKey,
    SkipReason,
};
pub use money::{Currency, Money, MoneyError, PriceList};
pub use offset::UtcOffset;
pub use phone::{Phone, PhoneError, Region, Regions};
pub use plan::{Entitlement, Period, QuotaUsage};
pub use price::{
    AttemptPrice, DatedPolicy, Estimate, MarketRates, PriceBook, PricePolicy, PriceReason, RateCard, Rates,
};
pub use provider_id::ProviderMessageId;
pub use quiet::{QuietHours, QuietSettings};
pub use recipient::{Bsuid, Recipient, RecipientError};
pub use reconcile::{ReconcileCause, ReconcileNeed};
pub use recurrence::{Nth, Recurrence, RecurrenceEnd, Repeat, Slot};
pub use schedule::{
    MissedRuns, NewSchedule, Schedule, ScheduleAction, ScheduleName, ScheduleRun, ScheduleSpec,
    ScheduleState, SkippedRun,
};
pub use session::{
    NewSession, NumberId, Quality, Session, SessionReport, SessionState, Throughput, Tier, TransportName,
};
pub use settings::{
    BeyondCap, FrequencyCap, Gap, GapSetting, Included, OutsideWindow, QualityPolicy, SessionSetting,
    SessionSettings, TemplateCooldown, TenantSettings, WarmUp, WhenRed,
};
pub use tag::{AttemptTag, TagError, TagKey};
pub use template::{
    ButtonType, CarouselCard, Component, Currencied, HeaderMedia, LanguageCode, Parameter, TemplateContent,
    TemplateError, TemplateName,
};
pub use tenant::{Tenant, TenantName};
pub use time::{from_micros, micros, whole_micros};
pub use value::ValueError;
pub(crate) use value::{is_token, text_value};
