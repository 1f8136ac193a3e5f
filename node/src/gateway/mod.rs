//! The plain listener for machines that watch the node: `/livez`, `/readyz`, `/metrics`. It tells nothing about goods,
//! and changes nothing; keep it on the loopback or a management network.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;

/// Bounds of the latency histograms, seconds: from a tenth of a millisecond to ten seconds.
const SECONDS: [f64; 16] =
    [0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

/// Whether the node is ready, with a word for what is not.
pub type Readiness = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

#[derive(Clone)]
struct Gateway {
    readiness: Readiness,
    metrics: PrometheusHandle,
}

/// Why the gateway cannot work.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The metrics recorder is taken.
    #[error("the metrics recorder could not be installed: {0}")]
    Recorder(String),
    /// The address is taken.
    #[error("metrics.listen {0}: {1}; choose another address")]
    Listen(SocketAddr, std::io::Error),
}

/// Installs the process-wide metrics recorder.
///
/// # Errors
/// There is one already.
pub fn install_recorder() -> Result<PrometheusHandle, GatewayError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| GatewayError::Recorder(error.to_string()))
}

/// Serves until `stop` resolves; answers the address bound through `bound`.
///
/// # Errors
/// The address cannot be bound.
pub async fn serve(
    address: SocketAddr,
    readiness: Readiness,
    metrics: PrometheusHandle,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), GatewayError> {
    let listener = TcpListener::bind(address).await.map_err(|error| GatewayError::Listen(address, error))?;
    let upkeep = metrics.clone();
    tokio::spawn(async move {
        // Histograms are folded now and then, so that a node nobody scrapes does not collect samples for ever.
        let mut every = tokio::time::interval(Duration::from_secs(5));
        loop {
            every.tick().await;
            upkeep.run_upkeep();
        }
    });
    let router = router(Gateway { readiness, metrics });
    axum::serve(listener, router)
        .with_graceful_shutdown(stop)
        .await
        .map_err(|error| GatewayError::Listen(address, error))
}

fn router(gateway: Gateway) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(expose))
        .with_state(gateway)
}

async fn ready(State(gateway): State<Gateway>) -> impl IntoResponse {
    match (gateway.readiness)() {
        Ok(()) => (StatusCode::OK, "ok\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn expose(State(gateway): State<Gateway>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], gateway.metrics.render())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::http::Request;
    use std::sync::atomic::{AtomicBool, Ordering};
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn readiness_follows_the_node() {
        let ready = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&ready);
        let readiness: Readiness =
            Arc::new(move || if seen.load(Ordering::SeqCst) { Ok(()) } else { Err("starting".to_owned()) });
        let metrics = PrometheusBuilder::new().build_recorder().handle();
        let ask = |path: &'static str| {
            let router = router(Gateway { readiness: Arc::clone(&readiness), metrics: metrics.clone() });
            async move { router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap().status() }
        };
        assert_eq!(ask("/livez").await, StatusCode::OK);
        assert_eq!(ask("/readyz").await, StatusCode::SERVICE_UNAVAILABLE);
        ready.store(true, Ordering::SeqCst);
        assert_eq!(ask("/readyz").await, StatusCode::OK);
        assert_eq!(ask("/metrics").await, StatusCode::OK);
        assert_eq!(ask("/elsewhere").await, StatusCode::NOT_FOUND);
    }
}
