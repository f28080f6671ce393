//! The webhook: its challenge, its signature, and what its bodies say.
//!
//! Invariant: nothing unverified is translated by the engine, and no secret is compared in a time
//! that depends on it. Pure: no I/O, no clock.

mod parse;

use std::borrow::Cow;
use std::fmt;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretSlice, SecretString};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use wa_core::model::InboundEvent;
use wa_core::port::{Challenge, ReceivedWebhook, WebhookRefusal, WebhookSource};

use super::config::CloudConfig;

/// Verifies and translates the webhooks of one Meta app.
#[derive(Clone)]
pub struct CloudWebhooks {
    /// The current app secret, then the previous one, as bytes.
    app_secrets: Vec<SecretSlice<u8>>,
    verify_token: SecretString,
}

const SIGNATURE_HEADER: &str = "x-hub-signature-256";
const LONGEST_QUERY: usize = 4 * 1024;
const LONGEST_CHALLENGE: usize = 256;

impl CloudWebhooks {
    /// The largest body, in bytes, that is verified: an HTTP server need not take more.
    ///
    /// Source: Meta, Webhooks, read December 2025: payloads have up to 3 MB.
    pub const LARGEST_BODY: usize = 3 * 1024 * 1024;

    /// Takes the app secrets and the verify token of a configuration.
    #[must_use]
    pub fn new(config: &CloudConfig) -> Self {
        let bytes = |secret: &SecretString| SecretSlice::from(secret.expose_secret().as_bytes().to_vec());
        Self {
            app_secrets: config.app_secrets().map(bytes).collect(),
            verify_token: config.verify_token().clone(),
        }
    }
}

impl WebhookSource for CloudWebhooks {
    fn challenge(&self, query: &str) -> Result<Challenge, WebhookRefusal> {
        let query = query.strip_prefix('?').unwrap_or(query);
        if query.len() > LONGEST_QUERY {
            return Err(WebhookRefusal::WrongChallenge);
        }
        let mode = only(query, "hub.mode").ok_or(WebhookRefusal::WrongChallenge)?;
        let token = only(query, "hub.verify_token").ok_or(WebhookRefusal::WrongChallenge)?;
        let challenge = only(query, "hub.challenge").ok_or(WebhookRefusal::WrongChallenge)?;
        // Digests have one length, so the comparison does not tell the token's.
        let is_token = Sha256::digest(&token)
            .as_slice()
            .ct_eq(Sha256::digest(self.verify_token.expose_secret()).as_slice());
        let is_plain = (1..=LONGEST_CHALLENGE).contains(&challenge.len())
            && challenge.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
        let challenge = String::from_utf8(challenge).map_err(|_| WebhookRefusal::WrongChallenge)?;
        if mode == b"subscribe" && bool::from(is_token) && is_plain {
            Ok(Challenge(challenge))
        } else {
            Err(WebhookRefusal::WrongChallenge)
        }
    }

    fn verify(&self, webhook: &ReceivedWebhook<'_>) -> Result<(), WebhookRefusal> {
        if webhook.body.len() > Self::LARGEST_BODY {
            return Err(WebhookRefusal::TooLarge);
        }
        let header = webhook.only(SIGNATURE_HEADER).ok_or(WebhookRefusal::NoSignature)?;
        let given = signature(header).ok_or(WebhookRefusal::NoSignature)?;
        // Every secret is tried, so that the time taken does not tell which one fits.
        let fits = self.app_secrets.iter().fold(Choice::from(0), |fits, secret| {
            fits | sign(secret.expose_secret(), webhook.body).ct_eq(&given)
        });
        if bool::from(fits) { Ok(()) } else { Err(WebhookRefusal::WrongSignature) }
    }

    fn parse(&self, body: &[u8], received_at: DateTime<Utc>) -> Vec<InboundEvent> {
        parse::events(body, received_at)
    }
}

impl fmt::Debug for CloudWebhooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudWebhooks").field("secrets", &"[redacted]").finish()
    }
}

/// `sha256=` and 64 lower-case hexadecimal digits.
fn signature(header: &[u8]) -> Option<[u8; 32]> {
    let digits = header.strip_prefix(b"sha256=")?;
    if digits.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let mut bytes = [0; 32];
    hex::decode_to_slice(digits, &mut bytes).ok()?;
    Some(bytes)
}

fn sign(secret: &[u8], body: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes keys of any length");
    mac.update(body);
    mac.finalize().into_bytes().into()
}

/// The one value of a query parameter, decoded; `None` when it is absent, stands twice or is malformed.
fn only(query: &str, name: &str) -> Option<Vec<u8>> {
    let mut values = query.split('&').filter_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(key)? == name.as_bytes()).then_some(value)
    });
    let value = values.next()?;
    if values.next().is_some() {
        return None;
    }
    decode(value).map(Cow::into_owned)
}

/// Undoes percent-encoding, strictly.
fn decode(text: &str) -> Option<Cow<'_, [u8]>> {
    if !text.contains(['%', '+']) {
        return Some(Cow::Borrowed(text.as_bytes()));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        match rest {
            [] => return Some(Cow::Owned(decoded)),
            [b'%', high, low, after @ ..] => {
                let mut byte = [0];
                hex::decode_to_slice([*high, *low], &mut byte).ok()?;
                decoded.extend(byte);
                rest = after;
            }
            [b'%', ..] => return None,
            [b'+', after @ ..] => {
                decoded.push(b' ');
                rest = after;
            }
            [byte, after @ ..] => {
                decoded.push(*byte);
                rest = after;
            }
        }
    }
}
