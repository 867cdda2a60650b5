//! One connection from its first byte to its last, and what every answer on it has in common.

use crate::api::app::App;
use crate::api::auth::LetIn;
use crate::api::error::{Problem, refuse, with_fallbacks};
use crate::api::gate::{Gate, Verdict};
use crate::api::guard::Rules;
use crate::api::limits::Limits;
use crate::api::peer::Peer;
use crate::api::tally::RefusalCounts;
use crate::api::{SIGN, sign};
use crate::types::mutex::Mutex;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::DefaultBodyLimit;
use axum::http::header::{CACHE_CONTROL, CONNECTION, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Method, Request};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

/// What an interface serves.
pub struct Routes {
    /// Puts the routes together: to make all of them takes a good part of a start, so it is done when one is needed.
    make: Box<dyn Fn() -> Router + Send + Sync>,
    /// Every route, with fallbacks, once that was.
    made: Mutex<Option<TowerToHyperService<Router>>>,
    /// For an interface that signs: what [`sign::sign`] is given.
    signing: Option<App>,
}

impl From<Router> for Routes {
    fn from(router: Router) -> Routes {
        Routes::later(move || router.clone())
    }
}

impl Routes {
    /// What `make` gives, once somebody asks.
    pub fn later(make: impl Fn() -> Router + Send + Sync + 'static) -> Routes {
        Routes { make: Box::new(make), made: Mutex::new(None), signing: None }
    }

    /// The routes of an interface that signs. What bots ask all the time is answered without the router, which takes longer
    /// than the handler; it knows the route for everyone else: other methods, and programs that ask what there is.
    pub fn signing(make: impl Fn() -> Router + Send + Sync + 'static, app: App) -> Routes {
        Routes { signing: Some(app), ..Routes::later(make) }
    }

    /// Paths and methods without a route get their problems here, and bodies their one bound.
    fn all(&self) -> TowerToHyperService<Router> {
        // The gate bounds bodies before axum would.
        let make = || TowerToHyperService::new(with_fallbacks((self.make)()).layer(DefaultBodyLimit::disable()));
        self.made.lock().get_or_insert_with(make).clone()
    }

    /// Answers a whole request.
    async fn answer(&self, request: Request<Bytes>, peer: Peer) -> Response {
        if let Some(app) = self.signing.as_ref().filter(|_| is_to_sign(&request)) {
            let signed = async {
                let bot = LetIn::with(request.headers(), peer, app)?;
                sign::sign_one(app, &bot, request.body()).await
            };
            return signed.await.into_response();
        }
        let mut request = request.map(Body::from);
        request.extensions_mut().insert(peer);
        let Ok(answer) = self.all().call(request).await;
        answer
    }
}

fn is_to_sign<B>(request: &Request<B>) -> bool {
    request.method() == Method::POST && request.uri().path() == SIGN
}

/// One HTTP interface: what it serves, to whom, within which bounds.
pub struct Interface {
    /// What it serves.
    routes: Routes,
    /// What a request head may look like.
    rules: Arc<Rules>,
    /// How much, how long, how many.
    limits: Limits,
    /// Where refusals are counted; the interfaces of a daemon share it.
    counts: Arc<RefusalCounts>,
}

impl Interface {
    /// An interface from its routes.
    pub fn new(routes: impl Into<Routes>, rules: Rules, limits: Limits, counts: Arc<RefusalCounts>) -> Arc<Interface> {
        Arc::new(Interface { routes: routes.into(), rules: Arc::new(rules), limits, counts })
    }

    /// The bounds.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Where refusals are counted.
    pub fn counts(&self) -> &RefusalCounts {
        &self.counts
    }

    /// Serves a connection until either side ends it. Once `stop` holds true, a request that hyper has is finished and
    /// the connection closed; one that is still arriving is dropped.
    pub async fn serve<S>(self: Arc<Self>, stream: S, peer: Peer, mut stop: watch::Receiver<bool>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let _open = self.counts.open();
        let verdict = Arc::new(Verdict::default());
        let gate = Gate::new(stream, Arc::clone(&self.rules), self.limits.clone(), Arc::clone(&verdict));
        let service = service_fn(|request| self.answer(request, peer, &verdict));
        // The gate has all the timeouts. Without a date, equal answers are equal bytes.
        let connection = http1::Builder::new()
            .half_close(true)
            .header_read_timeout(None)
            .auto_date_header(false)
            .serve_connection(TokioIo::new(gate), service);
        let mut connection = pin!(connection);
        let stopped = async { drop(stop.wait_for(|stopping| *stopping).await) };
        // How a connection ended interests nobody: every request on it has had its answer or never became one.
        tokio::select! {
            _ = connection.as_mut() => {}
            () = stopped => {
                connection.as_mut().graceful_shutdown();
                let _ = connection.await;
            }
        }
        if verdict.timed_out() {
            self.counts.record(peer.key(), "http.timeout");
        }
    }

    /// Answers what hyper has read: a request, or the placeholder of a refused one.
    fn answer(
        &self,
        request: Request<Incoming>,
        peer: Peer,
        verdict: &Verdict,
    ) -> impl Future<Output = Result<Response, Infallible>> {
        // Asked now, and not when the future is first polled: the next request must not be taken for this one.
        let refused = self.refuse(peer, verdict);
        async move {
            let answer = match refused {
                Some(refused) => refused,
                None => self.route(request, peer).await,
            };
            Ok(guarded(answer))
        }
    }

    fn refuse(&self, peer: Peer, verdict: &Verdict) -> Option<Response> {
        let refusal = verdict.take_refusal()?;
        self.counts.record(peer.key(), refusal.code());
        Some(closing(refuse(refusal)))
    }

    /// Routes a whole request. A panic ends it with `internal` and nothing of the panic in it.
    async fn route(&self, request: Request<Incoming>, peer: Peer) -> Response {
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await else { return closing(Problem::internal().into_response()) };
        let answer = caught(self.routes.answer(Request::from_parts(parts, body.to_bytes()), peer)).await;
        answer.unwrap_or_else(|| closing(Problem::internal().into_response()))
    }
}

/// What every answer says: keep no copy, and take the type as it is.
fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// The same answer, after which the connection is closed. For refusals, and for requests that carried a secret: hyper
/// keeps its buffer for as long as the connection lives.
pub fn closing(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// The outcome of a future, or none if it panicked.
async fn caught<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}
