//! What a simulated number is.

/// How a number is doing with its readers; shown by the number look-up, without other effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quality {
    /// `GREEN`.
    Green,
    /// `YELLOW`.
    Yellow,
    /// `RED`.
    Red,
    /// `UNKNOWN`.
    Unknown,
}

impl Quality {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Green => "GREEN",
            Self::Yellow => "YELLOW",
            Self::Red => "RED",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// A number that the simulator plays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberProfile {
    /// Messages in a sliding second; Meta gives 80, 1,000 after the upgrade, 20 in coexistence.
    ///
    /// The look-up says `HIGH` from 1,000 on and else `STANDARD`, as Meta's does: a client cannot
    /// learn any other figure from it.
    pub throughput: u32,
    /// Unique users outside windows in moving 24 hours, shared by the portfolio's numbers (the
    /// lowest holds); none is unlimited.
    pub tier: Option<u32>,
    /// The quality rating in the look-up.
    pub quality: Quality,
    /// The phone number itself, digits only.
    pub display_phone_number: String,
    /// The business's name.
    pub verified_name: String,
    /// The `WhatsApp` Business account, to which templates belong.
    pub account: String,
    /// The business portfolio, to which the messaging limit belongs.
    pub portfolio: String,
}

impl Default for NumberProfile {
    /// 80 messages a second, no tier, green.
    fn default() -> Self {
        Self {
            throughput: 80,
            tier: None,
            quality: Quality::Green,
            display_phone_number: "15550100200".to_owned(),
            verified_name: "Simulated Business".to_owned(),
            account: "200000000000001".to_owned(),
            portfolio: "300000000000001".to_owned(),
        }
    }
}

/// Meta's names for its limits; any other limit is named in the same way.
pub(crate) fn tier_name(limit: Option<u32>) -> String {
    match limit {
        None => "TIER_UNLIMITED".to_owned(),
        Some(limit) if limit >= 1_000 && limit % 1_000 == 0 => format!("TIER_{}K", limit / 1_000),
        Some(limit) => format!("TIER_{limit}"),
    }
}
