//! Tenants that share a worker.

use super::plant::{Plant, SECOND, brief, launch, number, send, tenant, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_messages_of_one_tenant_do_not_wait_for_the_thousands_of_another() {
    let plant = Plant::new(80).await;
    let process = plant.process(brief()).await;
    let numbers = process.numbers(6).await;
    launch(&process.tenant, numbers, 6_000).await;
    until("it runs", 10 * SECOND, async || plant.sent().0 > 100).await;
    let small = tenant(&process.kit, "small").await;
    let few = number(&small, 99).await;
    until("the number is held", 10 * SECOND, async || process.held() == 7).await;
    let before = plant.sent().0;
    for n in 0..10 {
        send(&small, few, n).await;
    }
    let of_small = || {
        let sent = plant.transport.sent();
        let large = sent.iter().filter(|it| it.attempt.tenant != small.id()).count();
        (sent.len() - large, large)
    };
    let took = until("the ten are sent", 20 * SECOND, async || of_small().0 == 10).await;
    let (_, large) = of_small();
    assert!(large - before < 3_000, "the other one has sent {large} and {before} before: {took:?}");
    until("the other one goes on", 10 * SECOND, async || of_small().1 > large).await;
    process.stop().await;
}
