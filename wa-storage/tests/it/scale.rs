//! Large lists: few commits, and a cost that does not grow with what is done.

use wa_core::model::{ContactAttributes, ContactId, Fingerprint, ImportId, ImportLine, ImportRow, Lane};
use wa_core::port::store::{AttemptFact, ImportChunk, ImportStep, StartImport, Store};

use crate::world::{World, accepted, phone};

/// Large enough that a step whose cost grows with the table would take minutes.
const PEOPLE: u64 = 10_000;

#[tokio::test]
async fn ten_thousand_messages_need_few_commits_from_import_to_accepted() {
    let world = World::new().await;
    let (session, worker) = world.held("1", 1).await;
    let start = StartImport {
        id: ImportId::from_uuid(world.uuid()),
        list: "people".parse().expect("a list name"),
        source: Fingerprint::of(b"file"),
    };
    let audience = world.store.audience();
    let scope = world.scope();
    audience.start_import(&scope, &start).await.expect("an answer");
    for from in (0..PEOPLE).step_by(1_000) {
        let rows = (from..from + 1_000).map(|n| ImportRow {
            line: n + 2,
            content: Ok(ImportLine {
                contact: ContactId::from_uuid(world.uuid()),
                phone: phone(n),
                attributes: ContactAttributes::from([("name".to_owned(), format!("Person {n}"))]),
                opted_out: false,
            }),
        });
        let chunk = ImportChunk {
            import: start.id,
            from_record: from,
            rows: rows.collect(),
            last: from + 1_000 == PEOPLE,
        };
        let step = audience.import(&scope, &chunk).await.expect("an answer");
        assert!(matches!(step, ImportStep::Applied(_)));
    }
    let campaign = world.draft("news", "people", &[session.id]).await;
    world.launch(campaign.id, 1_000).await;
    let before = world.store.stats();
    let mut accepted_so_far = 0_u64;
    loop {
        let begun = world.begin_due(&worker, session.id, 64).await;
        if begun.attempts.is_empty() {
            break;
        }
        let facts: Vec<_> = begun
            .attempts
            .iter()
            .map(|attempt| AttemptFact {
                attempt: attempt.key,
                at: world.now(),
                outcome: accepted(&format!("wamid.{}", attempt.key.message)),
                retry_after: None,
            })
            .collect();
        let settled = world.store.outbox().settle(&facts).await.expect("an answer");
        accepted_so_far += u64::try_from(settled.changed.len()).expect("few");
    }
    assert_eq!(accepted_so_far, PEOPLE);
    let commits = world.store.stats().commits - before.commits;
    assert!(commits <= 2 * (PEOPLE / 64 + 2), "{commits} commits");
    let counts = world.store.reports().counts(&scope, campaign.id).await.expect("an answer");
    let counts = counts.expect("the campaign");
    assert_eq!((counts.audience, counts.accepted, counts.pending), (PEOPLE, PEOPLE, 0));
    let message = world.enqueue(session.id, PEOPLE + 1, Lane::Transactional).await;
    assert_eq!(world.due(&worker, session.id, 64).await[0].id, message);
}
