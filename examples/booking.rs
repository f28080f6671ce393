//! A booking and its WhatsApp confirmation: committed together, or neither is; and who sees what of it.
//!
//! `cargo run --example booking` keeps both in one SQLite file, `cargo run --example booking -- postgres://…` in
//! one Postgres database. The simulator plays the provider and refuses some messages at first.

#![expect(clippy::print_stdout, reason = "an example prints")]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use wa_kit::cloud::{CloudConfig, CloudTransport, CloudWebhooks};
use wa_kit::model::{CustomerView, MessageId};
use wa_kit::port::store::{FailureFilter, Prepared};
use wa_kit::port::{Clock, SystemClock};
use wa_kit::postgres::{PostgresOptions, PostgresStore, sqlx};
use wa_kit::prelude::*;
use wa_kit::service::LogFilter;
use wa_kit::simulator::{NumberProfile, Scope, Simulator, TemplateCategory};
use wa_kit::sqlite::{SqliteOptions, SqliteStore};

type Failure = Box<dyn Error + Send + Sync>;

/// Where bookings and messages lie side by side.
enum Database {
    Sqlite(Arc<SqliteStore>),
    Postgres(Arc<PostgresStore>, sqlx::PgPool),
}

impl Database {
    async fn open(url: Option<&str>) -> Result<Self, Failure> {
        Ok(match url {
            None => {
                let path = tempfile::tempdir()?.keep().join("bookings.sqlite");
                Self::Sqlite(Arc::new(SqliteStore::open(SqliteOptions::new(path))?))
            }
            Some(url) => {
                // The application's own pool, which the store shares.
                let pool = sqlx::PgPool::connect(url).await?;
                sqlx::query("CREATE TABLE IF NOT EXISTS booking (id BIGINT PRIMARY KEY, seat TEXT NOT NULL)")
                    .execute(&pool)
                    .await?;
                let store = PostgresStore::connect(PostgresOptions::pool(pool.clone())).await?;
                Self::Postgres(Arc::new(store), pool)
            }
        })
    }

    fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(store) => Arc::clone(store) as Arc<dyn Store>,
            Self::Postgres(store, _) => Arc::clone(store) as Arc<dyn Store>,
        }
    }

    /// Writes the booking and queues its confirmation in one transaction; a table that is taken takes
    /// both back.
    async fn book(&self, id: i64, seat: &str, confirmation: &Prepared) -> Result<(), Failure> {
        match self {
            Self::Sqlite(store) => {
                let (seat, confirmation) = (seat.to_owned(), confirmation.clone());
                let booked = store.transaction(move |tx| {
                    let bookings =
                        "CREATE TABLE IF NOT EXISTS booking (id INTEGER PRIMARY KEY, seat TEXT NOT NULL)";
                    tx.connection().execute_batch(bookings)?;
                    tx.connection().execute("INSERT INTO booking VALUES (?1, ?2)", (id, seat))?;
                    tx.enqueue(&confirmation)?;
                    Ok::<_, Failure>(())
                });
                booked.await.map_err(|error| error.to_string().into())
            }
            Self::Postgres(store, pool) => {
                let mut tx = pool.begin().await?;
                sqlx::query("INSERT INTO booking VALUES ($1, $2)")
                    .bind(id)
                    .bind(seat)
                    .execute(&mut *tx)
                    .await?;
                store.enqueue_in(&mut tx, confirmation).await?;
                tx.commit().await?;
                confirmation.announce();
                Ok(())
            }
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let database = Database::open(std::env::args().nth(1).as_deref()).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let webhook = format!("http://{}/webhooks/meta", listener.local_addr()?);
    // Numbers that begin like this are not on WhatsApp.
    let meta = Simulator::builder()
        .number("100000000000001", NumberProfile::default())
        .any_template(TemplateCategory::Utility)
        .webhook(webhook, "secret")
        .failing("49151100000", Scope::Everything, 131_026)
        .start()
        .await?;
    let config = CloudConfig::builder().graph_url(meta.origin());
    let config = config.access_token("token").app_secret("secret").verify_token("verify").build()?;
    let kit = Kit::builder(database.store())
        .transport("cloud", Arc::new(CloudTransport::new(&config)?))
        .webhooks("cloud", Arc::new(CloudWebhooks::new(&config)))
        .build()
        .await?;
    serve(listener, kit.clone());
    let engine = kit.start();
    let cafe = kit.tenants().ensure("café").await?;
    let session = cafe.sessions().add(&Number::cloud("100000000000001")).await?.id;

    let started = SystemClock.now() - Duration::from_secs(60);
    let guests = ["+4915112345671", "+4915112345672", "+4915110000001"];
    let mut sent: Vec<MessageId> = Vec::new();
    for (place, guest) in (1_i64..).zip(guests) {
        let id = started.timestamp() * 10 + place;
        let seat = format!("table {place}");
        let text =
            TemplateContent::with_body("booked".parse()?, "en".parse()?, Category::Utility, [seat.clone()])?;
        let message = Message::new(session, Phone::parse(guest, None)?, Content::Template(text));
        let confirmation = cafe.messages().prepare(message.key(format!("booking-{id}").parse()?))?;
        database.book(id, &seat, &confirmation).await?;
        sent.push(confirmation.id());
        // The same booking again is refused by its key, and its message with it.
        let again = cafe.messages().prepare(Message::new(
            session,
            Phone::parse(guest, None)?,
            Content::text("this must never go")?,
        ))?;
        assert!(database.book(id, &seat, &again).await.is_err(), "one booking");
        assert!(cafe.messages().get(again.id()).await.is_err(), "nothing was queued for it");
    }

    // What the guest sees: sent or not, and nothing technical.
    for id in &sent {
        let mut view = CustomerView::OnItsWay;
        for _ in 0..100 {
            let message = cafe.messages().get(*id).await?;
            view = message.customer_view();
            if matches!(message.state, MessageState::Delivered | MessageState::Read | MessageState::Failed) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        println!("guest: WhatsApp confirmation {view:?}");
    }
    // What the owner sees: the log with a filter, and each failure with its reason and advice.
    let log = cafe.messages().log(&LogFilter::default(), None, 10).await?;
    for message in &log.messages {
        println!("owner: {} {:?} after {} attempts", message.id, message.state, message.attempts.len());
    }
    for failed in cafe.messages().failed(&FailureFilter::default(), None, 10).await? {
        println!("owner: failed, critical {}: {}", failed.critical, failed.advice);
    }
    // What the administrator sees: all tenants side by side.
    let now = SystemClock.now() + Duration::from_secs(900);
    for seen in kit.tenants().overview(started, now, 10, None, 100).await? {
        println!(
            "administrator: {} begun {} accepted {} failed {} critical {} retries that succeeded {:?} per mille",
            seen.tenant.name.as_str(),
            seen.totals.begun,
            seen.totals.accepted,
            seen.totals.failed,
            seen.critical.len(),
            seen.retry_success_per_mille(),
        );
    }
    assert_eq!(log.messages.len(), 3, "nothing but the three confirmations was ever queued");
    engine.stop(Duration::from_secs(5)).await;
    meta.stop().await;
    Ok(())
}

fn serve(listener: tokio::net::TcpListener, kit: Kit) {
    use axum::http::StatusCode;
    let receive = async move |headers: axum::http::HeaderMap, body: axum::body::Bytes| {
        let answer = kit.webhooks().meta(&headers, &body).await;
        answer
            .ok()
            .and_then(|it| StatusCode::from_u16(it.status).ok())
            .unwrap_or(StatusCode::SERVICE_UNAVAILABLE)
    };
    let app = axum::Router::new().route("/webhooks/meta", axum::routing::post(receive));
    #[expect(clippy::disallowed_methods, reason = "a program's own listener")]
    tokio::spawn(async move { axum::serve(listener, app).await });
}
