//! `POST /v1/backup`: the sealed backup as a stream, so that it never has to fit into memory.

use crate::api::admin::disk_hangs;
use crate::api::app::App;
use crate::api::error::Problem;
use crate::vault::AdminError;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use http_body_util::channel::Channel;
use std::io;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Pieces that wait for a slow reader at most.
const PIECES_AHEAD: usize = 4;

/// Makes a backup. A problem is answered as one as long as nothing was sent; later the stream breaks off, and a backup
/// without its last piece does not restore.
#[utoipa::path(
    post,
    path = "/v1/backup",
    tag = "admin",
    responses(
        (status = 200, content_type = "application/octet-stream", body = Vec<u8>),
        (status = "default", body = Problem)
    )
)]
pub async fn backup(State(app): State<App>) -> Result<Response, Problem> {
    let (mut pieces, body) = Channel::<Bytes, io::Error>::new(PIECES_AHEAD);
    let (begun, beginning) = oneshot::channel::<Result<(), Problem>>();
    let (vault, runtime) = (Arc::clone(&app.vault), Handle::current());
    let place = Arc::clone(&app.ordinary).try_acquire_owned().map_err(|_| Problem::too_many_wait())?;
    tokio::task::spawn_blocking(move || {
        let _place = place;
        let mut begun = Some(begun);
        let made = vault.backup(&mut |piece| {
            if let Some(begun) = begun.take() {
                begun.send(Ok(())).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
            }
            let sent = runtime.block_on(pieces.send_data(Bytes::copy_from_slice(piece)));
            sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
        });
        finish(made, begun, pieces);
    });
    tokio::select! {
        begun = beginning => begun.map_err(|_| Problem::internal())??,
        () = disk_hangs(&app) => return Err(Problem::disk_does_not_answer()),
    }
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    Ok(response)
}

type Begun = Option<oneshot::Sender<Result<(), Problem>>>;

fn finish(made: Result<(), AdminError>, begun: Begun, pieces: http_body_util::channel::Sender<Bytes, io::Error>) {
    match (made, begun) {
        (Ok(()), _) => (),
        // Nobody waits for the answer any more when this fails, so there is nobody to tell.
        (Err(error), Some(begun)) => drop(begun.send(Err(error.into()))),
        (Err(_), None) => pieces.abort(io::ErrorKind::Other.into()),
    }
}
