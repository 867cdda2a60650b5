//! One connection from its first byte to its last, and what every answer on it has in common.

use crate::api::error::{Problem, refuse, with_fallbacks};
use crate::api::gate::{Gate, Verdict};
use crate::api::guard::Rules;
use crate::api::limits::Limits;
use crate::api::peer::Peer;
use crate::api::tally::RefusalCounts;
use axum::Router;
use axum::body::Body;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{CACHE_CONTROL, CONNECTION, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderValue, Request};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

/// One HTTP interface: what it serves, to whom, within which bounds.
#[derive(Debug)]
pub struct Interface {
    /// The routes, with fallbacks.
    routes: TowerToHyperService<Router>,
    /// What a request head may look like.
    rules: Arc<Rules>,
    /// How much, how long, how many.
    limits: Limits,
    /// Where refusals are counted; the interfaces of a daemon share it.
    counts: Arc<RefusalCounts>,
}

impl Interface {
    /// An interface from its routes. Paths and methods without a route get their problems here, and bodies their one
    /// bound.
    pub fn new(router: Router, rules: Rules, limits: Limits, counts: Arc<RefusalCounts>) -> Arc<Interface> {
        // The gate bounds bodies before axum would.
        let router = with_fallbacks(router).layer(DefaultBodyLimit::disable());
        Arc::new(Interface { routes: TowerToHyperService::new(router), rules: Arc::new(rules), limits, counts })
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
        let verdict = Arc::new(Verdict::default());
        let gate = Gate::new(stream, Arc::clone(&self.rules), self.limits.clone(), Arc::clone(&verdict));
        let service = Answering { interface: Arc::clone(&self), peer, verdict: Arc::clone(&verdict) };
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

    fn refuse(&self, peer: Peer, verdict: &Verdict) -> Option<Response> {
        let refusal = verdict.take_refusal()?;
        self.counts.record(peer.key(), refusal.code());
        Some(closing(refuse(refusal)))
    }

    /// Routes a whole request. A panic ends it with `internal` and nothing of the panic in it.
    async fn route(self: Arc<Self>, request: Request<Incoming>, peer: Peer) -> Response {
        let (mut parts, body) = request.into_parts();
        let Ok(body) = body.collect().await else { return closing(Problem::internal().into_response()) };
        parts.extensions.insert(peer);
        let request = Request::from_parts(parts, Body::from(body.to_bytes()));
        let answer = caught(self.routes.call(request)).await;
        answer.unwrap_or_else(|| closing(Problem::internal().into_response()))
    }
}

/// The service that hyper calls on one connection.
struct Answering {
    /// The interface; every connection shares it.
    interface: Arc<Interface>,
    /// Who is asking.
    peer: Peer,
    /// What this connection's gate has to say about the request.
    verdict: Arc<Verdict>,
}

impl Service<Request<Incoming>> for Answering {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if let Some(refused) = self.interface.refuse(self.peer, &self.verdict) {
            return Box::pin(std::future::ready(Ok(guarded(refused))));
        }
        let answer = Arc::clone(&self.interface).route(request, self.peer);
        Box::pin(async move { Ok(guarded(answer.await)) })
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
async fn caught<T>(future: impl Future<Output = Result<T, Infallible>>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(|Ok(output)| Some(output)),
        Err(_) => Poll::Ready(None),
    })
    .await
}
