//! Postgres databases for tests: each test has one of its own on a real server.
//!
//! The server is the one of `WA_TEST_POSTGRES_URL`, else one on 127.0.0.1:5432, else a throw-away cluster that is
//! made with the `initdb` of this machine and ends with the process. Tests connect as a plain role, because
//! a superuser is not held to row-level security.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection};

use crate::{PostgresOptions, PostgresStore};

/// The role that owns the databases of tests.
const ROLE: &str = "wa_kit_test";

/// What is said where no server is found and none can be started.
const INSTALL: &str = "these tests need PostgreSQL 14 or newer: set WA_TEST_POSTGRES_URL, or install it \
     (Debian and Ubuntu: apt-get install postgresql; Fedora: dnf install postgresql-server; macOS: brew install \
     postgresql)";

/// A database with the store's schema in it, empty, and of nobody else for as long as this value lives.
///
/// Databases are used again: to empty one takes a few milliseconds, to make one needs the disk.
#[derive(Debug)]
pub struct TestDatabase {
    name: String,
    url: String,
}

/// Databases of this process that nobody uses now.
static FREE: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl TestDatabase {
    /// Empties a database that is free, or makes one from the template that this version of the schema has.
    ///
    /// # Panics
    /// When there is no server, with the command that installs one.
    pub async fn create() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let server = server().await;
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let name = match free {
            Some(name) => {
                server.empty(&name).await;
                name
            }
            None => {
                let number = NEXT.fetch_add(1, Ordering::Relaxed);
                let name = format!("wa_kit_test_{}_{number}", std::process::id());
                let mut admin = server.admin().await;
                let sql = format!("CREATE DATABASE {name} TEMPLATE {} OWNER {ROLE}", server.template);
                execute(&mut admin, sql).await;
                admin.close().await.expect("the connection closes");
                name
            }
        };
        let url = server.url_of(&name);
        Self { name, url }
    }

    /// Where it is, for a role that is held to row-level security.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it is, for the server's administrator.
    ///
    /// # Panics
    /// Never: a database comes from a server.
    #[must_use]
    pub fn admin_url(&self) -> String {
        let server = SERVER.get().expect("a database comes from a server");
        server.admin.clone().database(&self.name).to_url_lossy().to_string()
    }

    /// How to open a store in it, on a few connections.
    pub fn options(&self) -> PostgresOptions {
        PostgresOptions::new(&self.url).connections(6)
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.name));
    }
}

static SERVER: OnceLock<Server> = OnceLock::new();

#[derive(Debug)]
struct Server {
    admin: PgConnectOptions,
    template: String,
    /// The throw-away cluster, where this process started one.
    _cluster: Option<TestCluster>,
}

impl Server {
    async fn admin(&self) -> PgConnection {
        self.admin.connect().await.expect("the server still answers")
    }

    /// Ends whoever is still connected and takes everything out.
    async fn empty(&self, database: &str) {
        let mut admin = self.admin.clone().database(database).connect().await.expect("the server answers");
        let end = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity \
             WHERE datname = current_database() AND pid <> pg_backend_pid()";
        execute(&mut admin, end.to_owned()).await;
        let empty = "DO $$ DECLARE it RECORD; BEGIN \
             FOR it IN SELECT c.oid::regclass AS name FROM pg_class c \
                 WHERE c.relkind = 'r' AND c.relnamespace = 'wa_kit'::regnamespace \
                 AND c.relname NOT IN ('schema_version', 'journal_end') \
             LOOP EXECUTE format('DELETE FROM %s', it.name); END LOOP; \
             FOR it IN SELECT c.oid::regclass AS name FROM pg_class c \
                 WHERE c.relkind = 'S' AND c.relnamespace = 'wa_kit'::regnamespace \
             LOOP PERFORM setval(it.name, 1, false); END LOOP; \
             UPDATE wa_kit.journal_end SET position = 0; END $$";
        execute(&mut admin, empty.to_owned()).await;
        admin.close().await.expect("the connection closes");
    }

    fn url_of(&self, database: &str) -> String {
        let plain = self.admin.clone().username(ROLE).password(ROLE).database(database);
        plain.to_url_lossy().to_string()
    }
}

async fn server() -> &'static Server {
    static STARTING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _turn = STARTING.lock().await;
    if let Some(known) = SERVER.get() {
        return known;
    }
    let (admin, cluster) = find().await;
    let template = make_template(&admin).await;
    SERVER.get_or_init(|| Server { admin, template, _cluster: cluster })
}

/// A server, and the cluster where it had to be started.
async fn find() -> (PgConnectOptions, Option<TestCluster>) {
    if let Ok(url) = std::env::var("WA_TEST_POSTGRES_URL") {
        let options: PgConnectOptions = url.parse().expect("WA_TEST_POSTGRES_URL is a URL of Postgres");
        let reached = options.connect().await.map(drop);
        assert!(reached.is_ok(), "the server of WA_TEST_POSTGRES_URL does not answer: {reached:?}");
        return (options, None);
    }
    let user = std::env::var("USER").unwrap_or_default();
    for name in ["postgres", user.as_str(), "root"] {
        let options = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(5432)
            // A handshake takes a debug build 100 ms, and nothing leaves the machine.
            .ssl_mode(PgSslMode::Disable)
            .username(name)
            .database("postgres");
        if is_administrator(&options).await {
            return (options, None);
        }
    }
    let cluster = TestCluster::start(Disk::Unsynced);
    let options = cluster.options();
    wait_for(&options, &cluster.folder).await;
    (options, Some(cluster))
}

async fn is_administrator(options: &PgConnectOptions) -> bool {
    let Ok(mut connection) = options.connect().await else { return false };
    let asked =
        sqlx::query_scalar("SELECT rolsuper OR rolcreatedb FROM pg_roles WHERE rolname = current_user");
    asked.fetch_one(&mut connection).await.unwrap_or(false)
}

/// Makes the database from which those of tests are copied, once for each state of the migrations.
async fn make_template(options: &PgConnectOptions) -> String {
    let migrations = concat!(
        include_str!("postgres/migrations/0001_base.up.sql"),
        include_str!("postgres/migrations/0001_base.down.sql")
    );
    let mark = wa_core::model::Fingerprint::of(migrations.as_bytes()).short();
    let template = format!("wa_kit_template_{mark:016x}");
    let mut admin = options.connect().await.expect("the server answers");
    // One process at a time.
    execute(&mut admin, "SELECT pg_advisory_lock(hashtextextended('wa_kit_template', 0))".to_owned()).await;
    execute(&mut admin, make_role()).await;
    let known: Vec<String> =
        sqlx::query_scalar("SELECT datname FROM pg_database WHERE datname LIKE 'wa\\_kit\\_%'")
            .fetch_all(&mut admin)
            .await
            .expect("the databases are listed");
    for left in known.iter().filter(|name| is_left_over(name) || **name == format!("{template}_new")) {
        execute(&mut admin, format!("DROP DATABASE IF EXISTS {left}")).await;
    }
    if !known.contains(&template) {
        execute(&mut admin, format!("CREATE DATABASE {template}_new OWNER {ROLE}")).await;
        let fresh = options.clone().username(ROLE).password(ROLE).database(&format!("{template}_new"));
        let store = PostgresStore::connect(PostgresOptions::new(fresh.to_url_lossy().as_str())).await;
        store.expect("the schema is made").close().await;
        // A copy of it would be taken for a restored one.
        let made = options.clone().database(&format!("{template}_new")).connect().await;
        let mut made = made.expect("the server answers");
        execute(&mut made, "DELETE FROM wa_kit.origin".to_owned()).await;
        made.close().await.expect("the connection closes");
        execute(&mut admin, format!("ALTER DATABASE {template}_new RENAME TO {template}")).await;
    }
    admin.close().await.expect("the connection closes");
    template
}

/// Whether a database was a test's whose process has ended.
fn is_left_over(name: &str) -> bool {
    let process = name.strip_prefix("wa_kit_test_").and_then(|rest| rest.split('_').next());
    process.is_some_and(|id| Path::new("/proc/self").exists() && !Path::new("/proc").join(id).exists())
}

async fn execute(connection: &mut PgConnection, sql: String) {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.clone())).execute(connection).await;
    assert!(done.is_ok(), "{sql}: {done:?}");
}

/// A throw-away cluster of its own. A shell stands between, starts the server again whenever it ends, and
/// ends it for good when this process is gone, however it went.
#[derive(Debug)]
pub struct TestCluster {
    folder: PathBuf,
    port: u16,
    keeper: Child,
}

/// Whether commits of a cluster reach the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disk {
    /// As in production.
    Synced,
    /// Fast: only the process must not be lost, and the machine never is in a test.
    Unsynced,
}

impl TestCluster {
    /// Starts a cluster. It answers a moment later.
    ///
    /// # Panics
    /// Without PostgreSQL's programs on this machine, with the command that installs them.
    #[must_use]
    pub fn start(disk: Disk) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let bin = programs().unwrap_or_else(|| panic!("{INSTALL}"));
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("wa-kit-postgres-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder for the cluster");
        let port = free_port();
        let (bin, place) = (bin.display(), folder.display());
        let sync = match disk {
            Disk::Synced => "",
            Disk::Unsynced => "-c fsync=off -c full_page_writes=off",
        };
        let script = format!(
            "cd '{place}' && '{bin}/initdb' -D data -A trust -U postgres -E UTF8 --locale=C -N >initdb.log 2>&1 \
             && {{ (while [ ! -e stop ]; do '{bin}/postgres' -D data -p {port} -k '{place}' \
             -c listen_addresses=127.0.0.1 {sync} >>server.log 2>&1; sleep 0.1; done) & \
             read -r ended; touch stop; kill -INT $(head -1 data/postmaster.pid); wait; rm -rf '{place}'/*; }}"
        );
        let keeper = as_plain_user(&folder, &script).stdin(Stdio::piped()).spawn();
        let keeper =
            keeper.unwrap_or_else(|error| panic!("the cluster cannot be started ({error}); {INSTALL}"));
        Self { folder, port, keeper }
    }

    /// Waits until the cluster answers, and makes an empty database for a role that is held to
    /// row-level security; its URL, and the administrator's.
    ///
    /// # Panics
    /// When it does not answer for a minute.
    pub async fn database(&self, name: &str) -> (String, String) {
        let options = self.options();
        wait_for(&options, &self.folder).await;
        let mut admin = options.connect().await.expect("the cluster answers");
        execute(&mut admin, make_role()).await;
        execute(&mut admin, format!("CREATE DATABASE {name} OWNER {ROLE}")).await;
        admin.close().await.expect("the connection closes");
        let own = options.clone().username(ROLE).database(name).to_url_lossy().to_string();
        (own, options.database(name).to_url_lossy().to_string())
    }

    /// Kills the server with SIGKILL; it starts again by itself.
    ///
    /// # Panics
    /// When there is no `kill` on this machine.
    #[must_use]
    pub fn kill_server(&self) -> bool {
        let Ok(file) = std::fs::read_to_string(self.folder.join("data/postmaster.pid")) else { return false };
        let Some(id) = file.lines().next() else { return false };
        Command::new("kill").args(["-9", id]).status().expect("there is a kill command").success()
    }

    fn options(&self) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username("postgres")
            .database("postgres")
    }
}

impl Drop for TestCluster {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        drop(self.keeper.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

async fn wait_for(options: &PgConnectOptions, folder: &Path) {
    for _ in 0..600 {
        if is_administrator(options).await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the cluster in {} does not answer", folder.display());
}

fn make_role() -> String {
    format!(
        "DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{ROLE}') THEN \
         CREATE ROLE {ROLE} LOGIN PASSWORD '{ROLE}' NOSUPERUSER NOBYPASSRLS; END IF; END $$"
    )
}

/// The folder with `initdb` and `postgres`, the newest version first.
fn programs() -> Option<PathBuf> {
    let on_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect::<Vec<_>>());
    let mut folders = on_path.unwrap_or_default();
    for place in ["/usr/lib/postgresql", "/usr/local/lib/postgresql", "/opt/homebrew/opt"] {
        let versions = std::fs::read_dir(place).into_iter().flatten().flatten();
        let mut versions: Vec<PathBuf> = versions.map(|version| version.path().join("bin")).collect();
        versions.sort_by_key(|version| std::cmp::Reverse(version.clone()));
        folders.extend(versions);
    }
    folders.push("/usr/pgsql/bin".into());
    folders.into_iter().find(|folder| folder.join("initdb").exists() && folder.join("postgres").exists())
}

/// A shell that runs as somebody other than root: `initdb` refuses root.
fn as_plain_user(folder: &Path, script: &str) -> Command {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout.starts_with(b"0\n"));
    if !is_root {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        return command;
    }
    let user = if Command::new("id").arg("postgres").output().is_ok_and(|out| out.status.success()) {
        "postgres"
    } else {
        "nobody"
    };
    let owned = Command::new("chown").arg(user).arg(folder).status();
    assert!(owned.is_ok_and(|done| done.success()), "the cluster's folder cannot be given to {user}");
    let mut command = Command::new("setpriv");
    command.args(["--reuid", user, "--regid", user, "--clear-groups", "sh", "-c", script]);
    if user == "nobody" {
        command = Command::new("su");
        command.args(["-s", "/bin/sh", user, "-c", script]);
    }
    command
}

fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}
