//! Where the Cloud API is and with which secrets it is used.
//!
//! Invariant: a `CloudConfig` that exists names an https address (or http on this machine) that ends
//! in an API version, and holds secrets that can be used as they stand. It is not checked whether
//! Meta accepts them; that takes a request.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

use super::marketing::MarketingMessages;

/// How to reach the Cloud API. Made with [`CloudConfig::builder`].
///
/// ```
/// use wa_adapters::cloud::CloudConfig;
/// let config = CloudConfig::builder()
///     .graph_url("http://127.0.0.1:8080")
///     .access_token("EAAG-hush")
///     .app_secret("hush")
///     .verify_token("hush-hush")
///     .build()?;
/// assert_eq!(config.base_url(), "http://127.0.0.1:8080/v26.0");
/// assert!(!format!("{config:?}").contains("hush"));
/// # Ok::<(), wa_adapters::cloud::CloudConfigError>(())
/// ```
#[derive(Clone)]
pub struct CloudConfig {
    base: Url,
    version: ApiVersion,
    authorization: HeaderValue,
    app_secret: SecretString,
    previous_app_secret: Option<SecretString>,
    verify_token: SecretString,
    connect_timeout: Duration,
    call_timeout: Duration,
    marketing: Option<MarketingMessages>,
}

/// Collects what a [`CloudConfig`] needs; [`build`](Self::build) checks it.
#[derive(Clone)]
#[must_use = "a builder does nothing until it is built"]
pub struct CloudConfigBuilder {
    graph_url: String,
    access_token: SecretString,
    app_secret: SecretString,
    previous_app_secret: Option<SecretString>,
    verify_token: SecretString,
    connect_timeout: Duration,
    call_timeout: Duration,
    marketing: Option<MarketingMessages>,
}

/// Why a configuration cannot be used, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CloudConfigError {
    /// The address cannot be read.
    #[error("the Graph API address is not a URL; write it like https://graph.facebook.com")]
    NotAUrl,
    /// The address is neither https nor http.
    #[error("the Graph API address starts with {scheme}://; it must start with https://")]
    Scheme {
        /// What it starts with.
        scheme: String,
    },
    /// The token would travel readable.
    #[error(
        "plain http to {host} would send the access token readable; use https:// (http is for localhost only)"
    )]
    PlainHttp {
        /// The host.
        host: String,
    },
    /// The address holds more than host and path.
    #[error("the Graph API address has {part}; give only host and path, such as https://graph.facebook.com")]
    UrlPart {
        /// What is too much.
        part: &'static str,
    },
    /// A secret is missing.
    #[error("the {secret} is empty; {remedy}")]
    EmptySecret {
        /// Which one.
        secret: &'static str,
        /// Where to get it.
        remedy: &'static str,
    },
    /// A secret cannot be used as it stands.
    #[error("the {secret} holds {found}; copy it again without line breaks or spaces")]
    UnusableSecret {
        /// Which one.
        secret: &'static str,
        /// What is wrong with it.
        found: &'static str,
    },
    /// A time-out makes no sense.
    #[error("the {which} time-out is {} ms; it must be 1 to 60000 ms", .given.as_millis())]
    Timeout {
        /// Which one.
        which: &'static str,
        /// What was given.
        given: Duration,
    },
    /// The HTTP client cannot start, usually because TLS finds no root certificates.
    #[error("the HTTP client cannot start; check that the system's root certificates are installed")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// A Graph API version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ApiVersion {
    pub(super) major: u32,
    pub(super) minor: u32,
}

const DEFAULT_ORIGIN: &str = "https://graph.facebook.com";
// Source: Meta, Graph API versions, read October 2026: v26.0 is the latest.
const DEFAULT_VERSION: ApiVersion = ApiVersion { major: 26, minor: 0 };
const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

impl CloudConfig {
    /// Starts with Meta's own address and no secrets.
    pub fn builder() -> CloudConfigBuilder {
        CloudConfigBuilder {
            graph_url: DEFAULT_ORIGIN.to_owned(),
            access_token: SecretString::default(),
            app_secret: SecretString::default(),
            previous_app_secret: None,
            verify_token: SecretString::default(),
            connect_timeout: Duration::from_secs(5),
            call_timeout: Duration::from_secs(10),
            marketing: None,
        }
    }

    /// The address with its version, without a slash at its end.
    #[must_use]
    pub fn base_url(&self) -> &str {
        self.base.as_str()
    }

    /// Which templates go through the marketing endpoint, if any do.
    #[must_use]
    pub const fn marketing_messages(&self) -> Option<&MarketingMessages> {
        self.marketing.as_ref()
    }

    pub(super) const fn version(&self) -> ApiVersion {
        self.version
    }

    /// The `Authorization` header, marked sensitive.
    pub(super) const fn authorization(&self) -> &HeaderValue {
        &self.authorization
    }

    /// The secrets that sign webhooks: the current one, then the previous one.
    pub(super) fn app_secrets(&self) -> impl Iterator<Item = &SecretString> {
        std::iter::once(&self.app_secret).chain(&self.previous_app_secret)
    }

    pub(super) const fn verify_token(&self) -> &SecretString {
        &self.verify_token
    }

    pub(super) const fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    pub(super) const fn call_timeout(&self) -> Duration {
        self.call_timeout
    }
}

impl CloudConfigBuilder {
    /// The address of the Graph API; `/v26.0` is added unless its path ends in a version.
    ///
    /// Plain http is taken for this machine only.
    pub fn graph_url(mut self, url: impl Into<String>) -> Self {
        self.graph_url = url.into();
        self
    }

    /// The token of a system user or business with `whatsapp_business_messaging`.
    pub fn access_token(mut self, token: impl Into<SecretString>) -> Self {
        self.access_token = token.into();
        self
    }

    /// The app's secret, which signs webhooks.
    pub fn app_secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.app_secret = secret.into();
        self
    }

    /// The secret before the last reset: webhooks signed with it are still taken.
    pub fn previous_app_secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.previous_app_secret = Some(secret.into());
        self
    }

    /// The token that the app dashboard sends when the webhook is subscribed.
    pub fn verify_token(mut self, token: impl Into<SecretString>) -> Self {
        self.verify_token = token.into();
        self
    }

    /// How long making a connection may take; 5 seconds unless set.
    ///
    /// A connection that is not made in time is known not to have sent anything, so keep this below
    /// the time-out of a send.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a call other than a send may take; 10 seconds unless set.
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.call_timeout = timeout;
        self
    }

    /// Sends marketing templates through the marketing endpoint; through `/messages` unless set.
    pub fn marketing_messages(mut self, marketing: MarketingMessages) -> Self {
        self.marketing = Some(marketing);
        self
    }

    /// Checks everything.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn build(self) -> Result<CloudConfig, CloudConfigError> {
        let (base, version) = base_url(&self.graph_url)?;
        check_secret(
            "access token",
            &self.access_token,
            "create one for a system user in Business Settings",
        )?;
        check_secret("app secret", &self.app_secret, "find it in the app dashboard under Settings, Basic")?;
        if let Some(previous) = &self.previous_app_secret {
            check_secret("previous app secret", previous, "leave it out if there is none")?;
        }
        check_secret(
            "verify token",
            &self.verify_token,
            "choose any text and enter it in the app dashboard",
        )?;
        check_timeout("connect", self.connect_timeout)?;
        check_timeout("call", self.call_timeout)?;
        Ok(CloudConfig {
            base,
            version,
            authorization: bearer(&self.access_token)?,
            app_secret: self.app_secret,
            previous_app_secret: self.previous_app_secret,
            verify_token: self.verify_token,
            connect_timeout: self.connect_timeout,
            call_timeout: self.call_timeout,
            marketing: self.marketing,
        })
    }
}

impl fmt::Debug for CloudConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloudConfig")
            .field("base_url", &self.base_url())
            .field("secrets", &"[redacted]")
            .field("connect_timeout", &self.connect_timeout)
            .field("call_timeout", &self.call_timeout)
            .field("marketing", &self.marketing)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CloudConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address is left out: before it is checked it may hold a password.
        f.debug_struct("CloudConfigBuilder")
            .field("secrets", &"[redacted]")
            .field("connect_timeout", &self.connect_timeout)
            .field("call_timeout", &self.call_timeout)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}.{}", self.major, self.minor)
    }
}

impl ApiVersion {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.strip_prefix('v')?.split_once('.')?;
        let number = |digits: &str| {
            let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
            if is_number { digits.parse().ok() } else { None }
        };
        Some(Self { major: number(major)?, minor: number(minor)? })
    }
}

fn base_url(text: &str) -> Result<(Url, ApiVersion), CloudConfigError> {
    let mut url = Url::parse(text.trim()).map_err(|_| CloudConfigError::NotAUrl)?;
    let Some(host) = url.host_str().map(str::to_owned) else { return Err(CloudConfigError::NotAUrl) };
    match url.scheme() {
        "https" => {}
        "http" if is_this_machine(&host) => {}
        "http" => return Err(CloudConfigError::PlainHttp { host }),
        other => return Err(CloudConfigError::Scheme { scheme: other.to_owned() }),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(CloudConfigError::UrlPart { part: "a user name or password" });
    }
    if url.query().is_some() {
        return Err(CloudConfigError::UrlPart { part: "a query" });
    }
    if url.fragment().is_some() {
        return Err(CloudConfigError::UrlPart { part: "a fragment" });
    }
    let path = url.path().trim_end_matches('/').to_owned();
    let last = path.rsplit('/').next().unwrap_or("");
    let version = if let Some(version) = ApiVersion::parse(last) {
        url.set_path(&path);
        version
    } else {
        url.set_path(&format!("{path}/{DEFAULT_VERSION}"));
        DEFAULT_VERSION
    };
    Ok((url, version))
}

fn is_this_machine(host: &str) -> bool {
    let literal = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || literal.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn check_secret(
    secret: &'static str,
    value: &SecretString,
    remedy: &'static str,
) -> Result<(), CloudConfigError> {
    let text = value.expose_secret();
    if text.trim().is_empty() {
        return Err(CloudConfigError::EmptySecret { secret, remedy });
    }
    if text.trim() != text {
        return Err(CloudConfigError::UnusableSecret { secret, found: "white space at its start or end" });
    }
    if text.chars().any(char::is_control) {
        return Err(CloudConfigError::UnusableSecret { secret, found: "a control character" });
    }
    Ok(())
}

fn bearer(token: &SecretString) -> Result<HeaderValue, CloudConfigError> {
    let unusable = |found| CloudConfigError::UnusableSecret { secret: "access token", found };
    let text = token.expose_secret();
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unusable("a space or a character that is not ASCII"));
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {text}"))
        .map_err(|_| unusable("a character that cannot stand in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

fn check_timeout(which: &'static str, given: Duration) -> Result<(), CloudConfigError> {
    if (Duration::from_millis(1)..=LONGEST_TIMEOUT).contains(&given) {
        Ok(())
    } else {
        Err(CloudConfigError::Timeout { which, given })
    }
}
