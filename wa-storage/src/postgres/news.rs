//! What workers tell each other: announced in the transaction that makes it so, heard over one connection.
//!
//! Postgres delivers an announcement when its transaction is committed, so whoever hears of something finds
//! it. What is announced while nobody is connected is lost; engines ask now and then anyway.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgListener;
use sqlx::{PgConnection, PgPool};
use tokio::task::JoinHandle;
use wa_core::model::Fingerprint;
use wa_core::port::store::{Hear, News};

use super::error::Fallible;

/// Who listens, and the task that does it for them.
#[derive(Default)]
pub(super) struct Listening(Mutex<State>);

#[derive(Default)]
struct State {
    task: Option<JoinHandle<()>>,
    hearers: Arc<Mutex<Vec<Hear>>>,
}

impl std::fmt::Debug for Listening {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("Listening").field("is_on", &state.task.is_some()).finish_non_exhaustive()
    }
}

/// How long a broken listener waits before it connects again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

impl Listening {
    /// Lets somebody hear what is announced under this name; the first one starts the task.
    pub(super) fn add(&self, pool: &PgPool, channel: String, hear: Hear) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.hearers.lock().unwrap_or_else(PoisonError::into_inner).push(hear);
        if state.task.is_none() {
            let (pool, hearers) = (pool.clone(), Arc::clone(&state.hearers));
            #[expect(
                clippy::disallowed_methods,
                reason = "the listener is the store's own, and ends with it"
            )]
            let task = tokio::spawn(async move { listen(&pool, &channel, &hearers).await });
            state.task = Some(task);
        }
    }

    /// Ends the task.
    pub(super) fn stop(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(task) = state.task.take() {
            task.abort();
        }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn listen(pool: &PgPool, channel: &str, hearers: &Mutex<Vec<Hear>>) {
    while !pool.is_closed() {
        if let Err(error) = hear(pool, channel, hearers).await {
            tracing::debug!(%error, "the listener lost its connection");
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

async fn hear(pool: &PgPool, channel: &str, hearers: &Mutex<Vec<Hear>>) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(channel).await?;
    loop {
        // Whatever was announced while nobody was connected may be anything.
        tell(hearers, &[News::Due, News::Work]);
        while let Some(heard) = listener.try_recv().await? {
            match heard.payload() {
                DUE => tell(hearers, &[News::Due]),
                FREE => tell(hearers, &[News::Free]),
                _ => tell(hearers, &[News::Work]),
            }
        }
    }
}

fn tell(hearers: &Mutex<Vec<Hear>>, news: &[News]) {
    let mut hearers = hearers.lock().unwrap_or_else(PoisonError::into_inner);
    hearers.retain(|hear| news.iter().all(|news| hear(*news)));
}

/// The channel on which the workers of one store talk.
pub(super) fn channel(schema: &str) -> String {
    // A schema's name can be as long as a channel's may be.
    format!("wa_kit_{:016x}", Fingerprint::of(schema.as_bytes()).short())
}

/// Announces something in an open transaction, as the caller's may be.
pub(super) async fn announce(conn: &mut PgConnection, schema: &str, news: News) -> Fallible<()> {
    let payload = match news {
        News::Due => DUE,
        News::Work => "work",
        News::Free => FREE,
    };
    sqlx::query("SELECT pg_notify($1, $2)").bind(channel(schema)).bind(payload).execute(conn).await?;
    Ok(())
}

const DUE: &str = "due";
const FREE: &str = "free";
