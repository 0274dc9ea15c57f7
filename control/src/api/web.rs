//! The web pages: files that are part of the program, for browsers that have not said yet who they are. They hold no secret; what they
//! show they ask of the API, as anybody does.
//!
//! Contract: a path is answered only if it is in the table, so no path leads to a file. Nothing is loaded from elsewhere and nothing
//! runs but these files: [`POLICY`] forbids it.
use super::Plane;
use axum::Router;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// Content Security Policy level 3. Forms are sent by scripts, and nobody shows these pages in pages of his own.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'";

/// A file of the pages.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    pub path: &'static str,
    pub kind: &'static str,
    pub body: &'static str,
}

/// A page in its frame: its path, its title, and the name of its files.
macro_rules! page {
    ($path:literal, $title:literal, $name:literal) => {
        Asset {
            path: $path,
            kind: "text/html; charset=utf-8",
            body: concat!(
                include_str!("../../web/head.html"),
                "<title>",
                $title,
                " – Sonda</title>\n<script type=\"module\" src=\"/web/",
                $name,
                ".js\"></script>\n",
                include_str!("../../web/nav.html"),
                include_str!(concat!("../../web/", $name, ".html")),
                include_str!("../../web/foot.html"),
            ),
        }
    };
}

/// A file beside the pages.
macro_rules! file {
    ($kind:literal, $name:literal) => {
        Asset { path: concat!("/web/", $name), kind: $kind, body: include_str!(concat!("../../web/", $name)) }
    };
}

/// All of them.
pub const ASSETS: &[Asset] = &[
    page!("/", "Status", "status"),
    page!("/traffic", "Traffic", "traffic"),
    page!("/alerts", "Alerts", "alerts"),
    page!("/login", "Log in", "login"),
    file!("text/css; charset=utf-8", "sonda.css"),
    file!("image/svg+xml", "sonda.svg"),
    file!("text/javascript; charset=utf-8", "alerts.js"),
    file!("text/javascript; charset=utf-8", "api.js"),
    file!("text/javascript; charset=utf-8", "chart.js"),
    file!("text/javascript; charset=utf-8", "dom.js"),
    file!("text/javascript; charset=utf-8", "flows.js"),
    file!("text/javascript; charset=utf-8", "graph.js"),
    file!("text/javascript; charset=utf-8", "idea.js"),
    file!("text/javascript; charset=utf-8", "login.js"),
    file!("text/javascript; charset=utf-8", "session.js"),
    file!("text/javascript; charset=utf-8", "status.js"),
    file!("text/javascript; charset=utf-8", "text.js"),
    file!("text/javascript; charset=utf-8", "traffic.js"),
];

/// A route for each.
pub(super) fn router() -> Router<Plane> {
    ASSETS.iter().fold(Router::new(), |router, asset| {
        router.route(asset.path, get(move |headers: HeaderMap| async move { answer(asset, &headers) }))
    })
}

fn answer(asset: &Asset, asked: &HeaderMap) -> Response {
    let tag = tag_of(asset.body);
    let is_known = asked.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let headers = [
        (header::CONTENT_TYPE, asset.kind),
        (header::ETAG, tag.as_str()),
        // Asked for each time: a new version of the program has new pages.
        (header::CACHE_CONTROL, "no-cache"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    if is_known { (StatusCode::NOT_MODIFIED, headers).into_response() } else { (headers, asset.body).into_response() }
}

/// A tag that differs where texts do: FNV-1a of 64 bits, and the length. Nobody but us writes these texts.
fn tag_of(body: &str) -> String {
    let hash = body
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("\"{hash:016x}-{}\"", body.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::Path;

    #[test]
    fn every_file_is_in_the_table() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("web");
        let names = std::fs::read_dir(folder).expect("it is there").flatten();
        let names: BTreeSet<String> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        let of_frames = ["foot.html", "head.html", "nav.html"].map(String::from);
        let of_pages = ["alerts.html", "login.html", "status.html", "traffic.html"].map(String::from);
        let files = ASSETS.iter().filter_map(|asset| asset.path.strip_prefix("/web/")).map(String::from);
        assert_eq!(files.chain(of_frames).chain(of_pages).collect::<BTreeSet<String>>(), names);
    }

    #[test]
    fn pages_say_nothing_that_the_policy_forbids() {
        for asset in ASSETS {
            let outside = asset.body.replace("http://www.w3.org/2000/svg", "");
            assert!(!outside.contains("http://") && !outside.contains("https://"), "{} names a host", asset.path);
            if asset.kind.starts_with("text/html") {
                assert!(!asset.body.contains(" style=") && !asset.body.contains("<style"), "{}", asset.path);
                let mut words = asset.body.split_whitespace();
                assert!(!words.any(|word| word.starts_with("on") && word.contains('=')), "{}", asset.path);
                let scripts = asset.body.matches("<script").count();
                assert_eq!(
                    scripts,
                    asset.body.matches("<script type=\"module\" src=\"/web/").count(),
                    "{}",
                    asset.path
                );
            }
        }
    }

    #[test]
    fn what_did_not_change_is_not_sent_again() {
        let first = answer(&ASSETS[0], &HeaderMap::new());
        assert_eq!(first.status(), StatusCode::OK);
        let again = HeaderMap::from_iter([(header::IF_NONE_MATCH, first.headers()[header::ETAG].clone())]);
        assert_eq!(answer(&ASSETS[0], &again).status(), StatusCode::NOT_MODIFIED);
        assert_eq!(answer(&ASSETS[1], &again).status(), StatusCode::OK);
    }
}
