//! What happens to accounts.

use serde_json::Value;
use wa_core::model::{
    AccountAlert, AccountChange, AccountReview, AccountUpdate, BanState, InboundEvent, PartnerChange,
    PricingTier, Restriction,
};

use super::Change;
use super::json::{as_word, instant, list, lower, name, note, word};
use super::numbers::decision;

impl Change<'_> {
    pub(super) fn account_update(&self) -> Option<InboundEvent> {
        let value = self.value;
        let event = name(value, "event")?;
        let info = value.get("waba_info");
        Some(InboundEvent::Account(AccountUpdate {
            account: info.and_then(|info| name(info, "waba_id")).unwrap_or_else(|| self.account.clone()),
            display_phone_number: self.display_phone_number(),
            change: change(value, &event),
            name: event,
            at: self.at,
        }))
    }

    pub(super) fn account_alert(&self) -> Option<InboundEvent> {
        let value = self.value;
        // Newer versions have an object around what older ones have at the top.
        let info = value.get("alert_info").unwrap_or(value);
        let alert = name(info, "alert_type");
        alert.as_ref()?;
        Some(InboundEvent::AccountAlert(AccountAlert {
            account: self.account.clone(),
            entity_kind: name(value, "entity_type"),
            entity: name(value, "entity_id"),
            name: alert,
            severity: name(info, "alert_severity"),
            status: name(info, "alert_status"),
            description: note(info, "alert_description"),
            at: self.at,
        }))
    }

    pub(super) fn account_review(&self) -> Option<InboundEvent> {
        Some(InboundEvent::AccountReview(AccountReview {
            account: self.account.clone(),
            decision: decision(self.value, "decision")?,
            at: self.at,
        }))
    }
}

/// What happened, by its name; one whose details are missing still happened.
fn change(value: &Value, event: &str) -> AccountChange {
    let part = |name: &str| value.get(name).unwrap_or(&Value::Null);
    match event {
        "ACCOUNT_VIOLATION" => {
            AccountChange::Violation { policy: name(part("violation_info"), "violation_type") }
        }
        "ACCOUNT_RESTRICTION" => AccountChange::Restriction {
            restrictions: list(value, "restriction_info").iter().filter_map(restriction).collect(),
        },
        "DISABLED_UPDATE" => ban(part("ban_info")).unwrap_or(AccountChange::Other),
        "ACCOUNT_DELETED" => AccountChange::Deleted,
        "ACCOUNT_OFFBOARDED" => AccountChange::Offboarded,
        "ACCOUNT_RECONNECTED" => AccountChange::Reconnected,
        "PARTNER_ADDED" | "PARTNER_REMOVED" | "PARTNER_APP_INSTALLED" | "PARTNER_APP_UNINSTALLED" => {
            AccountChange::Partner(PartnerChange {
                owner: word(part("waba_info"), "owner_business_id"),
                app: word(part("waba_info"), "partner_app_id"),
                solution: word(part("waba_info"), "solution_id"),
                reason: name(part("disconnection_info"), "reason"),
                initiated_by: name(part("disconnection_info"), "initiated_by"),
            })
        }
        "PARTNER_CLIENT_CERTIFICATION_STATUS_UPDATE" => {
            let info = part("partner_client_certification_info");
            AccountChange::Certification {
                business: word(info, "client_business_id"),
                decision: decision(info, "status"),
                reasons: list(info, "rejection_reasons")
                    .iter()
                    .filter_map(as_word)
                    .filter(|reason| reason != "NONE")
                    .map(Into::into)
                    .collect(),
            }
        }
        "VOLUME_BASED_PRICING_TIER_UPDATE" => {
            AccountChange::PricingTier(pricing_tier(part("volume_tier_info")))
        }
        "AUTH_INTL_PRICE_ELIGIBILITY_UPDATE" => {
            let info = part("auth_international_rate_eligibility");
            let exception = |item: &Value| Some((name(item, "country_code")?, instant(item, "start_time")));
            AccountChange::AuthenticationInternational {
                starts_at: instant(info, "start_time"),
                exceptions: list(info, "exception_countries").iter().filter_map(exception).collect(),
            }
        }
        "BUSINESS_PRIMARY_LOCATION_COUNTRY_UPDATE" => AccountChange::Country { code: name(value, "country") },
        "MM_LITE_TERMS_SIGNED" => AccountChange::MarketingTermsSigned,
        "AD_ACCOUNT_LINKED" => {
            let info = part("waba_info");
            let ad_account = word(info, "ad_account_linked").or_else(|| word(info, "ad_account_id"));
            AccountChange::AdAccountLinked { ad_account }
        }
        _ => AccountChange::Other,
    }
}

fn restriction(item: &Value) -> Option<Restriction> {
    Some(Restriction { kind: lower(item, "restriction_type")?.into(), until: instant(item, "expiration") })
}

/// Some versions write the state as a list of one.
fn ban(info: &Value) -> Option<AccountChange> {
    let state = info.get("waba_ban_state")?;
    let state = as_word(state).or_else(|| as_word(state.as_array()?.first()?))?;
    let state = BanState::from(state.to_ascii_lowercase());
    Some(AccountChange::Ban { state, date: name(info, "waba_ban_date") })
}

fn pricing_tier(info: &Value) -> PricingTier {
    let bounds = word(info, "tier");
    let (from, to) = bounds.as_deref().and_then(|bounds| bounds.split_once(':')).unwrap_or(("", ""));
    PricingTier {
        category: lower(info, "pricing_category").map(Into::into),
        from: from.trim().parse().ok(),
        to: to.trim().parse().ok(),
        region: name(info, "region"),
        month: name(info, "effective_month"),
        at: instant(info, "tier_update_time"),
    }
}
