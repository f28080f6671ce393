//! Migrations on a real server: there and back, by several at once, and cut off anywhere.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};
use tokio::task::JoinSet;
use wa_core::port::store::{Store, StoreErrorKind};
use wa_core::testing::SeededEntropy;
use wa_storage::{PostgresMigrations, PostgresOptions, PostgresStore, TestDatabase};

use super::figure;
use super::proxy::{Cut, Proxy};
use crate::world::admin;

/// Everything that there is in a schema, a line each.
const DUMP: &str = "WITH of AS (SELECT oid FROM pg_namespace WHERE nspname = $1), \
     things AS (SELECT c.* FROM pg_class c JOIN of ON c.relnamespace = of.oid) \
     SELECT concat_ws(' ', 'relation', relname, relkind, relrowsecurity, relforcerowsecurity, reloptions::text) \
         FROM things \
     UNION ALL SELECT concat_ws(' ', 'column', c.relname, a.attname, a.attnum, \
         format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, \
         pg_get_expr(d.adbin, d.adrelid), o.collname) \
         FROM things c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
         LEFT JOIN pg_collation o ON o.oid = a.attcollation \
     UNION ALL SELECT concat_ws(' ', 'index', pg_get_indexdef(c.oid)) FROM things c WHERE c.relkind = 'i' \
     UNION ALL SELECT concat_ws(' ', 'constraint', c.relname, n.conname, pg_get_constraintdef(n.oid)) \
         FROM things c JOIN pg_constraint n ON n.conrelid = c.oid \
     UNION ALL SELECT concat_ws(' ', 'policy', c.relname, p.polname, p.polcmd, p.polpermissive, \
         pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)) \
         FROM things c JOIN pg_policy p ON p.polrelid = c.oid \
     UNION ALL SELECT concat_ws(' ', 'function', p.proname) FROM pg_proc p JOIN of ON p.pronamespace = of.oid \
     UNION ALL SELECT concat_ws(' ', 'trigger', t.tgname) FROM things c JOIN pg_trigger t ON t.tgrelid = c.oid \
     ORDER BY 1";

/// A database without anything in it.
struct Empty {
    url: String,
    admin: PgConnection,
    _near: TestDatabase,
}

impl Empty {
    async fn new(name: &str) -> Self {
        let near = TestDatabase::create().await;
        let name = format!("wa_kit_test_{}_{name}", std::process::id());
        let mut admin = connect(&near.admin_url()).await;
        let owner: PgConnectOptions = near.url().parse().expect("a URL");
        run(&mut admin, &format!("CREATE DATABASE {name} OWNER {}", owner.get_username())).await;
        let on = |url: &str| {
            let options: PgConnectOptions = url.parse().expect("a URL");
            options.database(&name).to_url_lossy().to_string()
        };
        let admin = connect(&on(&near.admin_url())).await;
        Self { url: on(near.url()), admin, _near: near }
    }

    fn options(&self) -> PostgresOptions {
        options(&self.url)
    }

    async fn dump(&mut self, schema: &str) -> Vec<String> {
        let dump = sqlx::query_scalar(DUMP).bind(schema).fetch_all(&mut self.admin).await;
        dump.expect("a dump")
    }

    async fn versions(&mut self) -> Vec<i64> {
        let versions = sqlx::query_scalar("SELECT version FROM wa_kit.schema_version ORDER BY 1");
        versions.fetch_all(&mut self.admin).await.expect("versions")
    }

    /// Ends whoever still works on it, and takes everything out.
    async fn clear(&mut self) {
        run(
            &mut self.admin,
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid(); \
             DROP SCHEMA IF EXISTS wa_kit CASCADE",
        )
        .await;
    }

    /// Migrates after an interruption and compares with a schema that was made in one go.
    async fn check(&mut self, whole: &[String]) {
        let so_far = self.dump("wa_kit").await;
        assert!(so_far.is_empty() || so_far == whole, "half a schema: {} of {}", so_far.len(), whole.len());
        migrate(self.options()).await.expect("it goes on from there");
        assert_eq!(self.dump("wa_kit").await, whole);
        assert_eq!(self.versions().await, [1]);
        self.clear().await;
    }
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.expect("the server answers")
}

async fn run(on: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(on).await.expect("it is done");
}

fn options(url: &str) -> PostgresOptions {
    PostgresOptions::new(url).connections(3).patience(Duration::from_secs(10))
}

async fn migrate(options: PostgresOptions) -> Result<Vec<u32>, wa_core::port::store::StoreError> {
    PostgresMigrations::open(options).await?.run().await
}

#[tokio::test]
async fn a_schema_is_listed_made_taken_back_and_made_again() {
    let mut empty = Empty::new("there_and_back").await;
    let mut migrations = PostgresMigrations::open(empty.options()).await.expect("a database");
    let listed = migrations.list().await.expect("a list");
    assert!(listed.iter().all(|it| it.applied_at.is_none() && it.name.is_some()), "{listed:?}");
    let newest = listed.last().expect("a migration").version;
    assert_eq!(migrations.roll_back_one().await.expect("an answer"), None, "there is nothing to take back");
    let all: Vec<u32> = (1..=newest).collect();
    assert_eq!(migrations.run().await.expect("it is made"), all);
    assert!(migrations.run().await.expect("an answer").is_empty(), "nothing is left to do");
    let listed = migrations.list().await.expect("a list");
    assert!(listed.iter().all(|it| it.applied_at.is_some()), "{listed:?}");
    let whole = empty.dump("wa_kit").await;
    for version in (1..=newest).rev() {
        assert_eq!(migrations.roll_back_one().await.expect("an answer"), Some(version));
    }
    assert_eq!(migrations.roll_back_one().await.expect("an answer"), None);
    let left = empty.dump("wa_kit").await;
    let is_of_versions = |line: &String| line.contains("schema_version");
    assert!(left.iter().all(is_of_versions), "{left:?} is left");
    assert_eq!(migrations.run().await.expect("it is made again"), all);
    assert_eq!(empty.dump("wa_kit").await, whole);
    println!("there and back: {} things in the schema, twice the same", whole.len());
}

#[tokio::test]
async fn stores_that_start_at_once_make_one_schema() {
    let mut empty = Empty::new("at_once").await;
    migrate(empty.options()).await.expect("it is made");
    let whole = empty.dump("wa_kit").await;
    empty.clear().await;
    let many: usize = figure("WA_MIGRATE_AT_ONCE", 10);
    let mut starting = JoinSet::new();
    for _ in 0..many {
        starting.spawn(PostgresStore::connect(empty.options()));
    }
    let stores = starting.join_all().await;
    for store in &stores {
        let store = store.as_ref().expect("each of them starts");
        store.directory().tenants(&admin(), None, 10).await.expect("and works");
    }
    assert_eq!(empty.dump("wa_kit").await, whole);
    assert_eq!(empty.versions().await, [1], "one of them made it");
    println!("at once: {many} stores started, 1 schema");
}

#[tokio::test]
async fn a_migration_whose_connection_ends_at_any_moment_goes_on() {
    let mut empty = Empty::new("ended").await;
    let dice = SeededEntropy::new(26);
    let start = tokio::time::Instant::now();
    migrate(empty.options()).await.expect("it is made");
    let takes = u64::try_from(start.elapsed().as_micros()).expect("short");
    let whole = empty.dump("wa_kit").await;
    empty.clear().await;
    let wanted: u32 = figure("WA_MIGRATE_ENDS", 8);
    let (mut ended, mut tries) = (0, 0);
    while ended < wanted {
        tries += 1;
        assert!(tries < 20 * wanted, "only {ended} of {tries} were ended in time");
        let mut migrating = JoinSet::new();
        migrating.spawn(migrate(empty.options()));
        tokio::time::sleep(Duration::from_micros(dice.next() % takes)).await;
        run(
            &mut empty.admin,
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
        let result = migrating.join_next().await.expect("a task").expect("no panic");
        ended += u32::from(result.is_err());
        empty.check(&whole).await;
    }
    println!(
        "ended: {ended} of {tries} migrations by the server in {takes} µs, each whole after another run"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_is_cut_off_after_any_byte_goes_on() {
    let mut empty = Empty::new("cut").await;
    let proxy = Proxy::to(&empty.url).await;
    proxy.order(Cut::Sent(usize::MAX));
    let mut migrations = PostgresMigrations::open(options(proxy.url())).await.expect("a database");
    migrations.run().await.expect("it is made");
    let (sent, answered) = proxy.bytes();
    drop(migrations);
    assert_eq!(proxy.made(), []);
    let whole = empty.dump("wa_kit").await;
    empty.clear().await;
    let places: usize = figure("WA_MIGRATE_CUTS", 4);
    let mut cuts = vec![Cut::BeforeCommit, Cut::WithCommit, Cut::AfterCommit];
    for place in 0..places {
        cuts.push(Cut::Sent(place * (sent - 1) / (places - 1).max(1)));
        cuts.push(Cut::Answered(place * (answered - 1) / (places - 1).max(1)));
    }
    let (mut made, mut failed, mut unknown) = (0, 0, 0);
    for cut in &cuts {
        proxy.order(*cut);
        let result = migrate(options(proxy.url())).await;
        // The last few bytes are those of a connection that is given back, which the call does not wait for.
        let is_made = proxy.made() == [*cut];
        assert!(is_made || result.is_ok(), "{cut:?} of {sent} sent and {answered} answered: {result:?}");
        made += u32::from(is_made);
        failed += u32::from(result.is_err());
        unknown += u32::from(result.is_err_and(|error| error.kind() == StoreErrorKind::Unknown));
        empty.check(&whole).await;
    }
    assert!(unknown >= 3, "what is cut off at a commit is unknown");
    println!(
        "cut off: {made} of {} places in {sent} bytes sent and {answered} answered, {failed} calls failed, \
         {unknown} of them unknown",
        cuts.len()
    );
}

#[tokio::test]
async fn a_schema_one_version_ahead_is_accepted_and_two_are_refused() {
    let mut empty = Empty::new("ahead").await;
    migrate(empty.options()).await.expect("it is made");
    run(&mut empty.admin, "INSERT INTO wa_kit.schema_version VALUES (2, now())").await;
    let store = Arc::new(PostgresStore::connect(empty.options()).await.expect("one ahead is accepted"));
    store.directory().tenants(&admin(), None, 10).await.expect("and works");
    let mut migrations = PostgresMigrations::open(empty.options()).await.expect("a database");
    let listed = migrations.list().await.expect("a list");
    assert_eq!(listed.last().map(|it| (it.version, it.name)), Some((2, None)), "it is not known here");
    let refused = migrations.roll_back_one().await.expect_err("it is not this program's to take back");
    assert_eq!(refused.kind(), StoreErrorKind::Broken);
    run(&mut empty.admin, "INSERT INTO wa_kit.schema_version VALUES (3, now())").await;
    let refused = PostgresStore::connect(empty.options()).await.expect_err("two ahead are refused");
    assert_eq!(refused.kind(), StoreErrorKind::Broken);
    assert!(refused.to_string().contains("newer than this program accepts"), "{refused}");
}

#[tokio::test]
async fn the_name_of_a_schema_is_checked() {
    let mut empty = Empty::new("named").await;
    let long = "a".repeat(64);
    for name in ["", "1st", "Wa", "wa kit", "wa-kit", "wa\"kit", "a; DROP SCHEMA b", "ä", &long] {
        let refused = PostgresStore::connect(empty.options().schema(name)).await.expect_err("it is none");
        assert_eq!(refused.kind(), StoreErrorKind::Broken, "{name}");
        assert!(refused.to_string().contains("lower-case letters, digits and underscores"), "{refused}");
    }
    // What is a word of SQL elsewhere is a name here.
    for name in ["_", "a1", "user", "order", "all", &long[..63]] {
        let store = PostgresStore::connect(empty.options().schema(name)).await;
        let store = store.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        store.directory().tenants(&admin(), None, 10).await.expect("it works");
        assert!(!empty.dump(name).await.is_empty(), "{name}");
    }
}
