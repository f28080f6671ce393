//! What would be sent: reads the file and opens nothing else.

use std::collections::HashSet;

use tokio::time::Instant;
use wa_kit::model::{CampaignContent, CampaignCounts, ContactId, Fingerprint, ImportId, ImportProgress};
use wa_kit::service::import::{CsvContacts, CsvMapping};

use crate::args::Args;
use crate::failure::Failure;
use crate::report::Report;
use crate::run::{Done, bad_file, open};

pub(crate) fn report(
    args: &Args,
    content: &CampaignContent,
    mapping: &CsvMapping,
    started: Instant,
) -> Result<Done, Failure> {
    let nobody = uuid::Uuid::nil();
    let rows = CsvContacts::new(open(args)?, mapping, || ContactId::from_uuid(nobody));
    let rows = rows.map_err(|error| bad_file(args, &error))?;
    let mut import = ImportProgress {
        id: ImportId::from_uuid(nobody),
        source: Fingerprint::of(b""),
        records: 0,
        added: 0,
        duplicates: 0,
        invalid: 0,
        finished: true,
    };
    let (mut phones, mut opted_out) = (HashSet::new(), HashSet::new());
    for row in rows {
        let row = row.map_err(|error| bad_file(args, &error))?;
        import.records += 1;
        match row.content {
            Err(problem) => {
                import.invalid += 1;
                if !args.json && import.invalid <= 20 {
                    eprintln!("line {}: {}", row.line, problem.message);
                }
            }
            Ok(line) => {
                if line.opted_out {
                    opted_out.insert(line.phone);
                }
                if phones.insert(line.phone) { import.added += 1 } else { import.duplicates += 1 }
            }
        }
    }
    let skipped = u64::try_from(opted_out.len()).unwrap_or(u64::MAX);
    let pending = import.added - skipped;
    let mut counts = CampaignCounts { audience: import.added, pending, skipped, ..CampaignCounts::default() };
    if skipped > 0 {
        counts.reasons.insert("skipped:opted_out".to_owned(), skipped);
    }
    let price = crate::setup::list_prices().price(content.pattern().category());
    if let Some(price) = price {
        let micros = i64::try_from(pending).unwrap_or(i64::MAX).saturating_mul(price.micros);
        counts.cost.insert(price.currency.to_string(), micros);
    }
    if args.text.is_some() && !args.json {
        eprintln!(
            "text goes to contacts with an open window only; the others will be skipped as window_closed"
        );
    }
    let report = Report {
        campaign: args.name.clone(),
        import: Some(import),
        counts,
        elapsed: started.elapsed(),
        dry_run: true,
        ..Report::default()
    };
    Ok(Done { report, blocked: None })
}
