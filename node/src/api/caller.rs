//! The door: who calls, whether he may, and how many calls this node works on at once. The one place where a connection
//! becomes a [`Caller`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{Request as HttpRequest, State};
use axum::middleware::Next;
use axum::response::Response as HttpResponse;
use shouwang_domain::actor::Actor;
use shouwang_domain::ids::MunicipalityCode;
use tonic::{Code, Request, Status};
use tracing::Instrument as _;

use super::convert::words;
use super::deadline::Deadline;
use super::rights::TABLE;
use super::{Limits, status, told};
use crate::auth::{Denied, Full, Identity, Municipality, PeerInfo, Place, Places, Role};
use crate::lang::{Bilingual, shortened};

/// Most characters that are told of the name of a method that was denied.
const METHOD_CHARS_MAX: usize = 200;

/// An operator whose right to the method has been checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Whose operator he is.
    pub municipality: MunicipalityCode,
    /// His pseudonymous id.
    pub operator: String,
    /// His role.
    pub role: Role,
    /// What his certificate says, by which places are shared out.
    pub identity: Arc<Identity>,
}

impl Caller {
    /// The caller of a request that came through the door.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` for one that did not.
    pub fn of<T>(request: &Request<T>) -> Result<Self, Status> {
        request.extensions().get::<Self>().cloned().ok_or_else(unknown)
    }

    /// How the records know him.
    pub fn actor(&self) -> Actor {
        Actor { municipality: self.municipality, operator: self.operator.clone(), role: words::role(self.role) }
    }

    /// The caller of that identity.
    ///
    /// # Errors
    /// `UNAUTHENTICATED` for a node: it is nobody's operator.
    pub fn new(identity: &Arc<Identity>) -> Result<Self, Status> {
        let Identity::Operator { municipality, id, role, .. } = &**identity else { return Err(unknown()) };
        let municipality = MunicipalityCode::new(municipality.code()).map_err(|_| unknown())?;
        Ok(Self { municipality, operator: id.clone(), role: *role, identity: Arc::clone(identity) })
    }
}

fn unknown() -> Status {
    let text = Bilingual::fixed("未经身份认证的调用", "the call came without a verified certificate");
    status::error(Code::Unauthenticated, "UNAUTHENTICATED", &text, &[])
}

/// What the door knows.
#[derive(Debug)]
pub struct Door {
    own: Municipality,
    federation: String,
    calls: Places,
    /// What streams of calls may take of `calls`.
    streamed: Places,
    timeout: Duration,
}

/// The places that a call takes while it is worked on; one that came in a stream holds one of the streams' too.
type Taken = (Place, Option<Place>);

impl Door {
    /// A door of a node of `own` in `federation` that lets in as many calls at once, and gives as much time to one that
    /// names no deadline, as `limits` say.
    pub fn new(own: Municipality, federation: &str, limits: &Limits) -> Self {
        let (calls, each) = (limits.calls, limits.caller_calls);
        // Who sends many calls at once takes turns with himself; a quarter is left to calls that come by themselves.
        let [calls_streamed, each_streamed] = [calls, each].map(|places| places - places / 4);
        Self {
            own,
            federation: federation.to_owned(),
            calls: Places::new(calls, each),
            streamed: Places::new(calls_streamed, each_streamed),
            timeout: limits.request_timeout,
        }
    }

    /// How long a call may take that names no deadline.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Whether this peer may call this method; gives the caller and the method's name in the table.
    ///
    /// # Errors
    /// `UNAUTHENTICATED`, `PERMISSION_DENIED`, or `UNIMPLEMENTED` for a method that is not in the table.
    pub fn admit(&self, method: &str, peer: Option<&PeerInfo>) -> Result<(Caller, &'static str), Status> {
        let admitted = self.judge(method, peer);
        if let Err(denied) = &admitted {
            // In a stream a name may be as long as a message.
            let method = shortened(method, METHOD_CHARS_MAX);
            tracing::info!(method, code = ?denied.code(), peer = ?peer.map(|peer| peer.identity().to_string()), "denied");
        }
        admitted
    }

    fn judge(&self, method: &str, peer: Option<&PeerInfo>) -> Result<(Caller, &'static str), Status> {
        let identity = peer.ok_or_else(unknown)?.shared_identity();
        if identity.federation() != self.federation {
            return Err(unknown());
        }
        let row = TABLE.check(method, identity, self.own).map_err(|denied: Denied| status::denied(&denied))?;
        Ok((Caller::new(identity)?, row.method))
    }

    /// Places for a call of a stream, as soon as there are any for it: whoever asks by a stream waits, and is not sent away.
    ///
    /// # Errors
    /// What is told to any call for which there is no place, when there was none until `by`.
    pub async fn places_in_turn(&self, caller: &Caller, by: Instant) -> Result<Taken, Status> {
        let identity = &caller.identity;
        let in_turn = async {
            let streamed = self.streamed.wait(identity).await?;
            Ok((self.calls.wait(identity).await?, Some(streamed)))
        };
        let waited = tokio::time::timeout_at(by.into(), in_turn).await;
        // Which of the places are taken is seen when all the waiting was in vain.
        let last_look = || Ok((self.calls.take(identity)?, Some(self.streamed.take(identity)?)));
        waited.unwrap_or_else(|_| last_look()).map_err(too_many)
    }
}

/// A call that has been let in.
#[derive(Debug)]
pub struct Admitted {
    /// Who calls.
    pub caller: Caller,
    /// Its method, as the table of rights has it.
    pub method: &'static str,
    /// When it came.
    pub since: Instant,
    /// By when it must be answered.
    pub deadline: Deadline,
    /// Given back when it has been.
    pub places: Taken,
}

impl Admitted {
    /// Lets `service` work on the request, which has caller and deadline with it, until it is answered or overdue.
    pub async fn carry_out<F>(self, mut request: HttpRequest, service: impl FnOnce(HttpRequest) -> F) -> HttpResponse
    where
        F: Future<Output = HttpResponse>,
    {
        let Self { caller, method, since, deadline, places } = self;
        let span = tracing::info_span!("call", method, operator = %caller.operator, municipality = %caller.municipality, role = %caller.role);
        request.extensions_mut().insert(caller);
        request.extensions_mut().insert(deadline);
        let answer = tokio::time::timeout_at(deadline.patience().into(), service(request).instrument(span)).await;
        let response = answer.unwrap_or_else(|_| overdue().into_http());
        drop(places);
        told::called(method, &response, since);
        response
    }
}

/// Lets a call in, or answers it at the door.
pub async fn pass(State(door): State<Arc<Door>>, request: HttpRequest, next: Next) -> HttpResponse {
    let since = Instant::now();
    let peer = request.extensions().get::<PeerInfo>().cloned();
    let (caller, method) = match door.admit(request.uri().path(), peer.as_ref()) {
        Ok(admitted) => admitted,
        Err(denied) => return denied.into_http(),
    };
    let place = match door.calls.take(&caller.identity) {
        Ok(place) => place,
        Err(full) => return too_many(full).into_http(),
    };
    let deadline = Deadline::begin(request.headers(), door.timeout);
    let admitted = Admitted { caller, method, since, deadline, places: (place, None) };
    admitted.carry_out(request, |request| next.run(request)).await
}

fn too_many(full: Full) -> Status {
    let (code, reason, text) = match full {
        Full::All => {
            let en = "this node works on too many calls; try again shortly";
            (Code::Unavailable, "TOO_MANY_CALLS", Bilingual::fixed("本节点正在处理的调用过多，请稍后重试", en))
        }
        Full::Caller => {
            let en = "this certificate has too many calls under way; wait until some have been answered";
            let zh = "本证书同时进行的调用过多，请待其返回后再试";
            (Code::ResourceExhausted, "CALLER_TOO_MANY_CALLS", Bilingual::fixed(zh, en))
        }
    };
    status::error(code, reason, &text, &[])
}

fn overdue() -> Status {
    let text = Bilingual::fixed(
        "请求未在时限内发送完毕或处理完毕，结果未知：如为变更，可能已生效。请用同一请求编号重试或查询结果。",
        "the request did not come to its end, or was not worked on, in time, and the outcome is not known: a change may have \
         happened; ask again with the same request id, or ask for its outcome",
    );
    status::error(Code::DeadlineExceeded, "DEADLINE", &text, &[])
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt as _;

    use super::super::change::too_late;
    use super::super::deadline;
    use super::*;
    use crate::auth::Surface;

    fn peer(identity: &str) -> PeerInfo {
        PeerInfo::new(identity.parse().unwrap(), "127.0.0.1:1".parse().unwrap(), Surface::Operator)
    }

    #[test]
    fn the_door_asks_the_table() {
        let door = door(Duration::from_secs(1));
        let lots = "/shouwang.v1.RegistryService/ListLots";
        let pledge = "/shouwang.v1.RegistryService/MakePledge";
        let missions = "/shouwang.v1.MissionService/ListMissions";
        let uri = |code: u32, role: &str| format!("spiffe://wuhai/municipality/{code}/operator/op-1/{role}");
        for (method, identity, expected) in [
            (lots, Some(uri(150_300, "duty")), Code::Ok),
            (pledge, Some(uri(150_300, "leader")), Code::Ok),
            (missions, Some(uri(640_200, "coordinator")), Code::Ok),
            (pledge, Some(uri(150_300, "keeper")), Code::PermissionDenied),
            (pledge, Some(uri(640_200, "leader")), Code::PermissionDenied),
            (lots, Some(uri(640_200, "leader")), Code::PermissionDenied),
            (lots, Some("spiffe://wuhai/municipality/150300/node/1".to_owned()), Code::PermissionDenied),
            (lots, Some("spiffe://other/municipality/150300/operator/op-1/duty".to_owned()), Code::Unauthenticated),
            (lots, None, Code::Unauthenticated),
            ("/shouwang.v1.RegistryService/Nothing", Some(uri(150_300, "admin")), Code::Unimplemented),
        ] {
            let peer = identity.as_deref().map(peer);
            let got = door.admit(method, peer.as_ref());
            let code = got.as_ref().map_or_else(Status::code, |_| Code::Ok);
            assert_eq!(code, expected, "{method} {identity:?}");
        }
        let (caller, method) = door.admit(pledge, Some(&peer(&uri(150_300, "leader")))).unwrap();
        assert_eq!((caller.operator.as_str(), method), ("op-1", pledge));
        assert_eq!(caller.actor().role, shouwang_domain::actor::Role::Leader);
    }

    #[test]
    fn a_request_that_did_not_come_through_the_door_has_no_caller() {
        let status = Caller::of(&Request::new(())).unwrap_err();
        assert_eq!(status.code(), Code::Unauthenticated);
    }

    const LOTS: &str = "/shouwang.v1.RegistryService/ListLots";
    const PATIENCE: Duration = Duration::from_secs(30);
    const LIMITS: Limits = Limits {
        calls: 8,
        caller_calls: 8,
        watches: 0,
        caller_watches: 0,
        streams: 0,
        caller_streams: 0,
        message_bytes: 1 << 20,
        request_timeout: PATIENCE,
    };

    /// How the door answers a call that says `timeout`, with `service` behind it.
    async fn answered<S, F>(door: Door, timeout: Option<&str>, service: S) -> (Option<String>, Duration)
    where
        S: Fn(Instant) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Status> + Send + 'static,
    {
        let behind = move |request: HttpRequest| {
            let service = service.clone();
            async move { service(deadline::of(&Request::from_http(request))).await.into_http::<axum::body::Body>() }
        };
        let behind = axum::Router::new().fallback(behind);
        let routes = behind.layer(axum::middleware::from_fn_with_state(Arc::new(door), pass));
        let mut request = HttpRequest::builder().uri(LOTS).body(axum::body::Body::empty()).unwrap();
        if let Some(timeout) = timeout {
            request.headers_mut().insert("grpc-timeout", timeout.parse().unwrap());
        }
        request.extensions_mut().insert(peer("spiffe://wuhai/municipality/150300/operator/op-1/duty"));
        let started = Instant::now();
        let answer = tokio::time::timeout(PATIENCE, routes.oneshot(request)).await.unwrap().unwrap();
        let status = Status::from_header_map(answer.headers());
        (status.and_then(|status| status::reason(&status)), started.elapsed())
    }

    fn door(timeout: Duration) -> Door {
        let limits = Limits { request_timeout: timeout, ..LIMITS };
        Door::new(Municipality::new(150_300).unwrap(), "wuhai", &limits)
    }

    /// What a service says that waits for its outcome as long as it may.
    async fn waits_in_vain(by: Instant) -> Status {
        tokio::time::sleep_until(by.into()).await;
        too_late(None)
    }

    #[tokio::test]
    async fn the_service_has_the_time_that_the_door_gives_and_tells_more() {
        let (short, long) = (Duration::from_millis(100), Duration::from_secs(30));
        for (timeout, said) in [(short, None), (long, Some("100m"))] {
            let (reason, took) = answered(door(timeout), said, waits_in_vain).await;
            assert_eq!(reason.as_deref(), Some("OUTCOME_UNKNOWN"), "{timeout:?} {said:?}");
            assert!(took >= Duration::from_millis(95), "{took:?}");
        }
        // Longer than the services' own habit once was.
        let has = |by: Instant| async move {
            let left = by.saturating_duration_since(Instant::now());
            assert!(left > Duration::from_secs(25) && left <= Duration::from_secs(30), "{left:?}");
            too_late(None)
        };
        assert_eq!(answered(door(long), None, has).await.0.as_deref(), Some("OUTCOME_UNKNOWN"));
    }

    #[tokio::test]
    async fn what_never_ends_is_ended_by_the_door() {
        let forever = |_| std::future::pending();
        let (reason, took) = answered(door(Duration::from_millis(100)), None, forever).await;
        assert_eq!(reason.as_deref(), Some("DEADLINE"));
        assert!(took > Duration::from_secs(1), "a service that answers in time is not cut short: {took:?}");
    }
}
