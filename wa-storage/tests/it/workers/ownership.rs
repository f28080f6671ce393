//! Who holds which session when processes come, go and die.

use wa_core::model::MessageState;
use wa_core::service::EngineConfig;

use super::plant::{Plant, Process, SECOND, brief, launch, send, told, until};

fn held(processes: &[Process]) -> Vec<usize> {
    processes.iter().map(Process::held).collect()
}

async fn until_held(processes: &[Process], expected: &[usize]) -> std::time::Duration {
    let what = format!("{expected:?} held");
    until(&what, 40 * SECOND, async || {
        let mut held = held(processes);
        held.sort_unstable();
        held == expected
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_sessions_go_to_the_process_with_the_fewest() {
    let plant = Plant::new(80).await;
    let processes =
        [plant.process(brief()).await, plant.process(brief()).await, plant.process(brief()).await];
    until("all known", 20 * SECOND, async || plant.count("SELECT count(*) FROM worker").await == 3).await;
    let numbers = processes[0].numbers(7).await;
    until_held(&processes, &[2, 2, 3]).await;
    for (n, number) in (0..).zip(&numbers) {
        send(&processes[0].tenant, *number, n).await;
    }
    // Told by one process, sent by whichever holds the number.
    until("all sent", 20 * SECOND, async || plant.sent() == (7, 7)).await;
    for process in processes {
        process.stop().await;
    }
    assert_eq!(plant.count("SELECT count(*) FROM worker").await, 0, "they took leave");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_joins_is_handed_its_share_one_by_one_while_messages_go() {
    let plant = Plant::new(50).await;
    let first = plant.process(brief()).await;
    let numbers = first.numbers(6).await;
    let campaign = launch(&first.tenant, numbers, 1_800).await;
    until("it runs", 20 * SECOND, async || plant.sent().0 > 50).await;
    let second = plant.process(brief()).await;
    let processes = [first, second];
    let mut fewest = 6;
    until("spread", 60 * SECOND, async || {
        fewest = fewest.min(processes.iter().map(Process::held).sum());
        held(&processes) == [3, 3]
    })
    .await;
    assert!(fewest >= 5, "one at a time: {fewest} held");
    until("all sent", 90 * SECOND, async || plant.sent().0 >= 1_800).await;
    until("all settled", 20 * SECOND, async || {
        processes[0].tenant.campaigns().counts(campaign).await.expect("counts").accepted == 1_800
    })
    .await;
    assert_eq!(plant.sent(), (1_800, 1_800), "nothing was sent twice");
    assert_eq!(held(&processes), [3, 3], "and nothing moved any more");
    let epochs = plant.count("SELECT sum(epoch)::bigint FROM session_lease").await;
    assert_eq!(epochs, 6 + 3, "three sessions changed hands once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crashed_processes_sessions_are_taken_when_its_lease_ends_and_nothing_is_sent_twice() {
    let plant = Plant::new(40).await;
    let mut processes = vec![plant.process(brief()).await, plant.process(brief()).await];
    until("both known", 20 * SECOND, async || plant.count("SELECT count(*) FROM worker").await == 2).await;
    let numbers = processes[0].numbers(4).await;
    until_held(&processes, &[2, 2]).await;
    let campaign = launch(&processes[0].tenant, numbers, 1_200).await;
    until("both send", 20 * SECOND, async || plant.sent().0 > 200).await;
    processes.remove(0).crash().await;
    assert_eq!(processes[0].held(), 2, "its leases live on");
    until_held(&processes, &[4]).await;
    let counts = async || processes[0].tenant.campaigns().counts(campaign).await.expect("counts");
    until("all done", 90 * SECOND, async || {
        let counts = counts().await;
        counts.accepted + counts.in_doubt == 1_200
    })
    .await;
    let (sent, messages) = plant.sent();
    let doubt = counts().await.in_doubt;
    assert_eq!(sent, messages, "nothing was sent twice");
    assert!(doubt <= 32, "{doubt} in doubt of the 32 that may be");
    assert!(sent >= 1_200 - 32, "{sent} sent, {doubt} in doubt");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_processes_sessions_go_to_the_others_at_once() {
    let plant = Plant::new(80).await;
    // Leases that end after minutes, and nobody asks within the test.
    let mut processes =
        vec![plant.process(told()).await, plant.process(told()).await, plant.process(told()).await];
    until("all known", 20 * SECOND, async || plant.count("SELECT count(*) FROM worker").await == 3).await;
    let numbers = processes[0].numbers(9).await;
    let all = async || held(&processes).iter().sum::<usize>() == 9;
    until("all held", 20 * SECOND, all).await;
    processes.remove(0).stop().await;
    // Three minutes before a lease would end, and one before anybody would ask.
    let took =
        until("all held again", 20 * SECOND, async || held(&processes).iter().sum::<usize>() == 9).await;
    assert!(held(&processes).iter().all(|held| *held >= 3), "{:?} after {took:?}", held(&processes));
    let mut messages = Vec::new();
    for (n, number) in (0..).zip(&numbers) {
        messages.push(send(&processes[0].tenant, *number, n).await);
    }
    until("all sent", 20 * SECOND, async || plant.sent() == (9, 9)).await;
    for id in messages {
        until("settled", 20 * SECOND, async || {
            let view = processes[0].tenant.messages().get(id).await.expect("a message");
            view.state == MessageState::Accepted
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_can_hold_no_more_leaves_the_rest_to_others() {
    let plant = Plant::new(80).await;
    let small = EngineConfig { max_sessions: 1, ..brief() };
    let processes = [plant.process(small).await, plant.process(brief()).await];
    until("both known", 20 * SECOND, async || plant.count("SELECT count(*) FROM worker").await == 2).await;
    processes[0].numbers(5).await;
    until("all held", 20 * SECOND, async || held(&processes) == [1, 4]).await;
}
