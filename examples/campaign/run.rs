//! Import, launch, send, wait for statuses.

use std::fs::File;
use std::io::{Cursor, Read, Seek};
use std::time::Duration;

use tokio::time::Instant;
use wa_kit::model::{
    BreakerScope, Campaign, CampaignContent, CampaignName, CampaignState, HoldReason, ImportProgress,
    ListName, Session,
};
use wa_kit::prelude::*;
use wa_kit::service::import::{CsvContacts, CsvMapping, source_fingerprint};
use wa_kit::simulator::Simulator;

use crate::args::Args;
use crate::dry_run;
use crate::failure::Failure;
use crate::progress::Progress;
use crate::report::Report;
use crate::setup::{self, Stage};

/// The contacts that come with the example.
const BUNDLED: &[u8] = include_bytes!("../data/contacts.csv");

/// A file that can be read twice.
pub(crate) trait Contacts: Read + Seek + Send {}
impl<T: Read + Seek + Send> Contacts for T {}

/// A report, and why the campaign is not finished, if it is not.
pub(crate) struct Done {
    pub(crate) report: Report,
    pub(crate) blocked: Option<String>,
}

/// How a run ended.
enum Ended {
    Finished,
    Blocked(String),
}

/// What the run needs to know from the command line.
struct Plan {
    name: CampaignName,
    list: ListName,
    content: CampaignContent,
    mapping: CsvMapping,
}

pub(crate) async fn campaign(args: Args) -> Result<Done, Failure> {
    let started = Instant::now();
    let plan = Plan::new(&args)?;
    // A column that is not there is found before anything is opened or sent.
    CsvContacts::new(open(&args)?, &plan.mapping, || unreachable!("no row is read"))
        .map_err(|error| bad_file(&args, &error))?;
    if args.dry_run {
        return dry_run::report(&args, &plan.content, &plan.mapping, started);
    }
    let stage = setup::stage(&args).await?;
    let session = setup::session(&stage, args.rate).await?;
    let progress = Progress::new(args.json);
    let running = stage.kit.start();
    let mut report = Report {
        campaign: plan.name.as_str().to_owned(),
        store: Some(stage.place.shown()),
        ..Report::default()
    };
    let before = accepted_so_far(&stage, &plan.name).await?;
    let ended = tokio::select! {
        ended = work(&args, &plan, &stage, &session, &running, &progress, &mut report) => ended,
        signal = interrupted() => Ok(Ended::Blocked(format!("interrupted by {signal}; run the same command again to go on"))),
    };
    progress.clear();
    if let Some(simulator) = &stage.simulator {
        // Read receipts that are on their way make the report of a trial nicer.
        simulator.flush(Duration::from_secs(2)).await;
    }
    running.stop(Duration::from_secs(10)).await;
    let ended = ended?;
    if let Some(campaign) = stage.tenant.campaigns().find(&plan.name).await? {
        report.counts = stage.tenant.campaigns().counts(campaign.id).await?;
        if let Some(path) = &args.export {
            let unwritable = |error| Failure::other(&format!("{} cannot be written", path.display()), error);
            let file = File::create(path).map_err(unwritable)?;
            stage.tenant.campaigns().export_csv(campaign.id, std::io::BufWriter::new(file)).await?;
        }
    }
    report.import = stage.tenant.contacts().imports(&plan.list).await?.pop();
    report.sends = report.counts.accepted.saturating_sub(before);
    report.elapsed = started.elapsed();
    report.commits = stage.store.commits();
    let Stage { store, simulator, .. } = stage;
    if let Some(simulator) = simulator {
        let stats = simulator.stop().await;
        if stats.repeated + stats.window_violations + stats.rate_violations + stats.tier_violations > 0 {
            eprintln!("the simulator saw rules broken: {stats:?}");
        }
    }
    store.close().await;
    let blocked = match ended {
        Ended::Finished => None,
        Ended::Blocked(why) => Some(why),
    };
    Ok(Done { report, blocked })
}

async fn work(
    args: &Args,
    plan: &Plan,
    stage: &Stage,
    session: &Session,
    running: &Running,
    progress: &Progress,
    report: &mut Report,
) -> Result<Ended, Failure> {
    let campaigns = stage.tenant.campaigns();
    let source = source_fingerprint(open(args)?, &plan.mapping)
        .map_err(|error| Failure::other("the contacts cannot be read", error))?;
    let imports = stage.tenant.contacts().imports(&plan.list).await?;
    if imports.iter().any(|import| import.source != source) {
        return Err(Failure::bad_input(format!(
            "the campaign {:?} was started with another file or column mapping; choose another --name",
            plan.name.as_str()
        )));
    }
    let mut spec = CampaignSpec::new(
        plan.name.clone(),
        plan.list.clone(),
        plan.content.pattern().clone(),
        vec![session.id],
    );
    spec.rate = args.rate;
    let campaign = campaigns.create(spec).await?;
    let count = |at: &ImportProgress| progress.count("importing", at.records);
    let import = stage.tenant.contacts().import_csv(&plan.list, open(args)?, &plan.mapping, count);
    let import = import.await?;
    if !args.json && campaign.state == CampaignState::Draft {
        show_bad_lines(stage, &import).await?;
    }
    report.import = Some(import);
    let campaign = launch(args, plan, stage, session, campaign, progress).await?;
    watch(args, stage, session, running, campaign, progress, report).await
}

/// The first lines that were not taken, for people; the store keeps all of them.
async fn show_bad_lines(stage: &Stage, import: &ImportProgress) -> Result<(), Failure> {
    let lines = stage.tenant.contacts().import_report(import.id, 0, 1_000).await?;
    let invalid = lines.iter().filter_map(|line| line.problem.as_ref().map(|problem| (line.line, problem)));
    for (line, problem) in invalid.take(10) {
        eprintln!("line {line}: {}", problem.message);
    }
    if import.invalid > 10 {
        eprintln!("… {} lines were not taken in all", import.invalid);
    }
    Ok(())
}

async fn launch(
    args: &Args,
    plan: &Plan,
    stage: &Stage,
    session: &Session,
    campaign: Campaign,
    progress: &Progress,
) -> Result<Campaign, Failure> {
    let campaigns = stage.tenant.campaigns();
    match campaign.state {
        CampaignState::Draft | CampaignState::Launching => {
            if let (Some(simulator), true) = (&stage.simulator, args.text.is_some()) {
                open_windows(stage, simulator, session, &plan.list).await?;
            }
            Ok(campaigns.launch(campaign.id, |frozen| progress.count("freezing", frozen)).await?)
        }
        CampaignState::Paused | CampaignState::NeedsReconcile => {
            campaigns.resume(campaign.id).await?;
            let resumed = campaigns.get(campaign.id).await?;
            if resumed.state == CampaignState::Launching {
                return Ok(campaigns
                    .launch(campaign.id, |frozen| progress.count("freezing", frozen))
                    .await?);
            }
            Ok(resumed)
        }
        CampaignState::Scheduled
        | CampaignState::Running
        | CampaignState::Completed
        | CampaignState::Cancelled => Ok(campaign),
    }
}

/// A tenth of the contacts writes first, so that free-form text may go to them.
async fn open_windows(
    stage: &Stage,
    simulator: &Simulator,
    session: &Session,
    list: &ListName,
) -> Result<(), Failure> {
    let contacts = stage.tenant.contacts();
    let (mut after, mut place, mut last) = (None, 0_u64, None);
    loop {
        let page = contacts.list(Some(list), after, 1_000).await?;
        let Some(end) = page.last() else { break };
        after = Some(end.id);
        for contact in &page {
            place += 1;
            let Some(phone) = contact.recipient.phone().filter(|_| place % 10 == 1) else { continue };
            let wrote = simulator.inbound(&stage.number, &phone.digits(), "Hello, what is new?");
            wrote.map_err(|error| Failure::other("the simulator did not play a user", error))?;
            last = Some(contact.id);
        }
    }
    simulator.flush(Duration::from_secs(10)).await;
    let Some(last) = last else { return Ok(()) };
    for _ in 0..200 {
        if contacts.window(session.id, last).await?.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn watch(
    args: &Args,
    stage: &Stage,
    session: &Session,
    running: &Running,
    campaign: Campaign,
    progress: &Progress,
    report: &mut Report,
) -> Result<Ended, Failure> {
    let campaigns = stage.tenant.campaigns();
    let patience = args.wait().max(Duration::from_secs(60));
    let first = campaigns.counts(campaign.id).await?;
    progress.sending(&first);
    let start = Instant::now();
    let (mut left, mut moved_at) = (u64::MAX, start);
    let mut sent_at = None;
    loop {
        let counts = campaigns.counts(campaign.id).await?;
        progress.show(&counts);
        let open = counts.pending + counts.attempting;
        if open != left {
            (left, moved_at) = (open, Instant::now());
        }
        if open == 0 {
            let sent_at = *sent_at.get_or_insert_with(Instant::now);
            report.sending = sent_at - start;
            let told = counts.accepted == counts.delivered && counts.in_doubt == 0;
            if told || sent_at.elapsed() >= args.wait() {
                return Ok(Ended::Finished);
            }
        } else {
            sent_at = None;
            report.sending = start.elapsed();
            if let Some(why) = stopped(stage, session, running).await? {
                return Ok(Ended::Blocked(why));
            }
            if moved_at.elapsed() >= patience {
                return Ok(Ended::Blocked(stuck(stage, &campaign, running, patience).await?));
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What the provider stopped the number for, once nothing of it is under way any more.
async fn stopped(stage: &Stage, session: &Session, running: &Running) -> Result<Option<String>, Failure> {
    let breakers = stage.tenant.sessions().breakers().await?;
    let breaker = breakers.iter().find(|it| it.scope == BreakerScope::Session(session.id));
    Ok(breaker.filter(|_| running.status().open == 0).map(|breaker| {
        format!(
            "the provider stopped the number ({}): {} Then run the same command again.",
            breaker.code,
            wa_kit::cloud::advice(breaker.code)
        )
    }))
}

/// Why nothing moves, for the user: what is stopped, else why the first messages wait.
async fn stuck(
    stage: &Stage,
    campaign: &Campaign,
    running: &Running,
    patience: Duration,
) -> Result<String, Failure> {
    let status = running.status();
    let page = stage.tenant.campaigns().recipients(campaign.id, None, 1_000).await?;
    let held = page.iter().find_map(|message| message.held).map(|(why, _)| why);
    let why = match (status.stopped.first(), held) {
        (Some((_, _, why)), _) => why.as_str(),
        (None, _) if status.sessions == 0 => "another process holds the number",
        (None, Some(HoldReason::NotSent)) => {
            "no request reaches the provider; check --graph-url and the network"
        }
        (None, Some(why)) => why.as_str(),
        (None, None) => "every message waits for its time",
    };
    Ok(format!(
        "nothing could be sent for {} s: {why}; run the same command again to go on",
        patience.as_secs(),
    ))
}

async fn accepted_so_far(stage: &Stage, name: &CampaignName) -> Result<u64, Failure> {
    let campaigns = stage.tenant.campaigns();
    Ok(match campaigns.find(name).await? {
        Some(campaign) => campaigns.counts(campaign.id).await?.accepted,
        None => 0,
    })
}

/// Ends with the name of the signal that asks this program to stop.
async fn interrupted() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let (interrupt, terminate) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()));
    let (Ok(mut interrupt), Ok(mut terminate)) = (interrupt, terminate) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    }
}

impl Plan {
    fn new(args: &Args) -> Result<Self, Failure> {
        let name: CampaignName =
            args.name.parse().map_err(|error| Failure::bad_input(format!("--name: {error}")))?;
        let list = args.name.parse().map_err(|error| Failure::bad_input(format!("--name: {error}")))?;
        let content = args.content()?;
        let mapping = CsvMapping {
            phone_column: args.phone_column.clone(),
            region: args.region()?,
            required_columns: content.columns().to_vec(),
            ..CsvMapping::default()
        };
        Ok(Self { name, list, content, mapping })
    }
}

/// The contacts' file, from its start.
pub(crate) fn open(args: &Args) -> Result<Box<dyn Contacts>, Failure> {
    match &args.contacts {
        None => Ok(Box::new(Cursor::new(BUNDLED))),
        Some(path) => match File::open(path) {
            Ok(file) => Ok(Box::new(std::io::BufReader::new(file))),
            Err(error) => Err(Failure::bad_input(format!("{} cannot be read: {error}", path.display()))),
        },
    }
}

pub(crate) fn bad_file(args: &Args, error: &dyn std::fmt::Display) -> Failure {
    let name = args.contacts.as_ref().map_or("the contacts".to_owned(), |path| path.display().to_string());
    Failure::bad_input(format!("{name}: {error}"))
}
