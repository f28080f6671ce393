//! The application's side of webhooks: what comes in over HTTP is handed to the kit.

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::net::TcpListener;
use wa_kit::service::Kit;

/// A port that nobody listens on yet, and the address that the simulator posts to.
pub(crate) async fn bind() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/webhooks/meta", listener.local_addr().expect("an address"));
    (listener, url)
}

/// Hands each body to the kit, and tells of those that it took.
pub(crate) fn serve(listener: TcpListener, kit: Kit, taken: impl Fn(&[u8]) + Clone + Send + Sync + 'static) {
    let receive = async move |headers: HeaderMap, body: Bytes| {
        let response = kit.webhooks().meta(&headers, &body).await.expect("a webhook source");
        assert_eq!(response.refusal, None, "the simulator signs what it posts");
        if response.status == 200 {
            taken(&body);
        }
        (StatusCode::from_u16(response.status).expect("a status"), response.body)
    };
    let app = Router::new().route("/webhooks/meta", post(receive)).layer(DefaultBodyLimit::max(16 << 20));
    #[expect(clippy::disallowed_methods, reason = "the application's own listener")]
    tokio::spawn(async move { axum::serve(listener, app).await });
}
