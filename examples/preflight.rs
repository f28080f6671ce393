//! Asks before sending: what one message and what a whole campaign would do, when, and at what cost.
//!
//! `cargo run --example preflight` prints both answers as JSON; nothing is sent. The simulator plays
//! the provider, the store is in memory.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::sync::Arc;

use wa_kit::cloud::{CloudConfig, CloudTransport};
use wa_kit::memory::MemoryStore;
use wa_kit::model::{Category, ContactAttributes, PriceBook, QuietHours, QuietSettings, WarmUp};
use wa_kit::port::SystemClock;
use wa_kit::prelude::*;
use wa_kit::simulator::{NumberProfile, Simulator};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let meta = Simulator::builder().number("100000000000001", NumberProfile::default()).start().await?;
    let config = CloudConfig::builder().graph_url(meta.origin());
    let config = config.access_token("token").app_secret("secret").verify_token("verify").build()?;
    let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
    let kit = Kit::builder(store).transport("cloud", Arc::new(CloudTransport::new(&config)?)).build().await?;

    // What the tenant set: Meta's prices, quiet nights, a new number that may send 200 messages a day.
    let tenant = kit.tenants().ensure("acme").await?;
    let mut settings = tenant.settings().await?;
    settings.prices = Some(PriceBook::meta());
    settings.time_zone = "Europe/Berlin".parse()?;
    settings.quiet_hours = Some(QuietSettings::new([QuietHours::daily("21:00".parse()?, "08:00".parse()?)]));
    tenant.put_settings(&settings).await?;
    let session = tenant.sessions().add(&Number::cloud("100000000000001")).await?.id;
    tenant.sessions().check(session).await?;
    tenant.sessions().set_warm_up(session, Some(WarmUp { since: None, caps: vec![200, 400] })).await?;

    // 500 contacts, of whom each tenth has no name and each fiftieth said stop.
    for n in 0..500 {
        let phone = Phone::try_from(4_915_110_000_000 + n)?;
        let name = (n % 10 != 9).then(|| ("name".to_owned(), format!("N{n}")));
        let attributes: ContactAttributes = name.into_iter().collect();
        let contact = tenant.contacts().upsert(phone.into(), attributes, Some("news".parse()?)).await?;
        if n % 50 == 0 {
            tenant.contacts().set_consent(contact.id, Consent::OptedOut).await?;
        }
    }

    // One message: whether, when, why not, and at what cost.
    let ada = Phone::try_from(4_915_110_000_001)?;
    let check = tenant.messages().check(Message::new(session, ada, Content::text("Hello Ada")?)).await?;
    println!("{}", serde_json::to_string_pretty(&check.to_check_send_json())?);

    // A campaign: how many go, wait and are blocked by reason; the cost; the end.
    let offer = TemplateContent::with_body(
        "offer".parse()?,
        "en".parse()?,
        Category::Marketing,
        ["{{name}}".to_owned()],
    )?;
    let spec = CampaignSpec::new("spring".parse()?, "news".parse()?, Content::Template(offer), vec![session]);
    let preflight = tenant.campaigns().preflight(spec).await?;
    println!("{}", serde_json::to_string_pretty(&preflight)?);
    assert_eq!(preflight.audience, 500);
    assert_eq!(meta.stats().accepted, 0, "nothing was sent");
    Ok(())
}
