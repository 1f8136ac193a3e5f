//! Who is at the other end, and what they may do: names in certificates, mutual TLS, and the types of the rights table.
//!
//! [`Identity`] is the name a certificate carries, [`TlsStore`] the credentials of this process (replaced without a
//! restart), [`TlsIncoming`] accepts, [`connect`] dials, [`RightsTable`] decides.

pub mod channel;
mod gathering;
pub mod identity;
pub mod line;
pub mod listen;
pub mod revoked;
pub mod rights;
pub mod share;
pub mod tls;
pub mod verify;

pub use channel::{Target, connect, connect_lazy};
pub use identity::{Identity, IdentityError, Municipality, NodeName, Role};
pub use listen::{ListenLimits, PeerInfo, TlsConn, TlsIncoming};
pub use rights::{Denied, Effect, Right, RightsTable, Roles, Scope};
pub use share::{Full, Place, Places};
pub use tls::{Surface, TlsError, TlsPaths, TlsStore};
pub use verify::ExpectedNode;
