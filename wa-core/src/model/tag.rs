//! The attempt tag: what a provider echoes so that a status finds its attempt.
//!
//! Form: `wa1:<instance>:<tenant>.<message>.<n>.<batch>:<mac>`, at most 170 ASCII characters, no personal
//! data. The batch tells an attempt from one of the same number that a store has lost with its last
//! commits, or in a life before it was restored. The MAC stops another app on the same account from inventing matches; the instance id
//! lets two installations share an account without claiming each other's statuses.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use super::attempt::AttemptKey;
use super::ids::{BatchId, InstanceId, MessageId, TenantId};

/// The secret that signs an installation's tags.
#[derive(Clone, PartialEq, Eq)]
pub struct TagKey([u8; 32]);

/// An attempt key as it travels through a provider.
#[derive(Clone, PartialEq, Eq)]
pub struct AttemptTag(String);

/// Why an echoed text is not a tag of this installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TagError {
    /// Not a tag at all; probably another application's callback data.
    #[error("not an attempt tag")]
    NotATag,
    /// A tag of another installation.
    #[error("an attempt tag of another installation")]
    OtherInstance,
    /// The signature is wrong.
    #[error("an attempt tag with a wrong signature")]
    Forged,
}

impl TagKey {
    /// Wraps 32 random bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The bytes, for storing them.
    #[must_use]
    pub const fn expose(&self) -> &[u8; 32] {
        &self.0
    }

    fn mac(&self, text: &str) -> [u8; 8] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(text.as_bytes());
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(mac.finalize().into_bytes());
        [a, b, c, d, e, f, g, h]
    }
}

impl fmt::Debug for TagKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TagKey([redacted])")
    }
}

impl AttemptTag {
    /// Makes the tag of an attempt that was begun in a batch.
    #[must_use]
    pub fn new(instance: InstanceId, attempt: AttemptKey, batch: BatchId, key: &TagKey) -> Self {
        let signed = format!(
            "wa1:{}:{}.{}.{}.{}",
            instance.as_uuid().simple(),
            attempt.tenant.as_uuid().simple(),
            attempt.message.as_uuid().simple(),
            attempt.n,
            batch.as_uuid().simple(),
        );
        let mac = hex::encode(key.mac(&signed));
        Self(format!("{signed}:{mac}"))
    }

    /// The text to hand to the provider.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Reads an echoed text: the attempt, and the batch in which it was begun.
    ///
    /// # Errors
    /// Why it is not a tag of this installation; never panics on foreign text.
    pub fn verify(text: &str, instance: InstanceId, key: &TagKey) -> Result<(AttemptKey, BatchId), TagError> {
        let (signed, mac) = text.rsplit_once(':').ok_or(TagError::NotATag)?;
        let rest = signed.strip_prefix("wa1:").ok_or(TagError::NotATag)?;
        let (owner, attempt) = rest.split_once(':').ok_or(TagError::NotATag)?;
        let owner = Uuid::try_parse(owner).map_err(|_| TagError::NotATag)?;
        if owner != instance.as_uuid() {
            return Err(TagError::OtherInstance);
        }
        let mac = hex::decode(mac).map_err(|_| TagError::Forged)?;
        if !bool::from(subtle::ConstantTimeEq::ct_eq(mac.as_slice(), key.mac(signed).as_slice())) {
            return Err(TagError::Forged);
        }
        let mut parts = attempt.split('.');
        let mut next = || parts.next().ok_or(TagError::NotATag);
        let tenant = Uuid::try_parse(next()?).map_err(|_| TagError::NotATag)?;
        let message = Uuid::try_parse(next()?).map_err(|_| TagError::NotATag)?;
        let n = next()?.parse().map_err(|_| TagError::NotATag)?;
        let batch = Uuid::try_parse(next()?).map_err(|_| TagError::NotATag)?;
        let attempt =
            AttemptKey { tenant: TenantId::from_uuid(tenant), message: MessageId::from_uuid(message), n };
        Ok((attempt, BatchId::from_uuid(batch)))
    }
}

impl fmt::Debug for AttemptTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AttemptTag({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt() -> AttemptKey {
        AttemptKey {
            tenant: TenantId::from_uuid(Uuid::from_u128(7)),
            message: MessageId::from_uuid(Uuid::from_u128(9)),
            n: 3,
        }
    }

    fn batch() -> BatchId {
        BatchId::from_uuid(Uuid::from_u128(11))
    }

    #[test]
    fn a_tag_comes_back_as_the_attempt_it_was_made_from() {
        let (instance, key) = (InstanceId::from_uuid(Uuid::from_u128(1)), TagKey::new([5; 32]));
        let tag = AttemptTag::new(instance, attempt(), batch(), &key);
        assert!(tag.as_str().len() <= 170);
        assert_eq!(AttemptTag::verify(tag.as_str(), instance, &key), Ok((attempt(), batch())));
    }

    #[test]
    fn foreign_and_forged_tags_are_told_apart() {
        let (instance, key) = (InstanceId::from_uuid(Uuid::from_u128(1)), TagKey::new([5; 32]));
        let tag = AttemptTag::new(instance, attempt(), batch(), &key);
        let other = InstanceId::from_uuid(Uuid::from_u128(2));
        assert_eq!(AttemptTag::verify(tag.as_str(), other, &key), Err(TagError::OtherInstance));
        let wrong = TagKey::new([6; 32]);
        assert_eq!(AttemptTag::verify(tag.as_str(), instance, &wrong), Err(TagError::Forged));
        let moved = tag.as_str().replace(".3.", ".4.");
        assert_eq!(AttemptTag::verify(&moved, instance, &key), Err(TagError::Forged));
        for text in ["", "order-17", "wa1:", "wa1:x:y:z", "wa2:a:b:c"] {
            assert_eq!(AttemptTag::verify(text, instance, &key), Err(TagError::NotATag), "{text}");
        }
    }

    #[test]
    fn the_key_is_not_shown() {
        assert_eq!(format!("{:?}", TagKey::new([9; 32])), "TagKey([redacted])");
    }
}
