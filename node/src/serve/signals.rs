//! What the operating system tells a node: stop (SIGTERM, SIGINT), or read the certificates again (SIGHUP).

use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};

use crate::auth::TlsStore;

/// Resolves when the node is told to stop; meanwhile reloads certificates whenever it is told to.
pub async fn stop(tls: &Arc<TlsStore>) {
    let (Ok(mut terminate), Ok(mut interrupt), Ok(mut hangup)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()), signal(SignalKind::hangup()))
    else {
        // Without signals the node can still be killed; it must not stop by itself.
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            _ = terminate.recv() => return,
            _ = interrupt.recv() => return,
            _ = hangup.recv() => match tls.reload() {
                Ok(()) => info!("certificates were read again / 已重新载入证书"),
                Err(error) => error!(%error, "the new certificates are refused, the old ones stay in use"),
            },
        }
    }
}
