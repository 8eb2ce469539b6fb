//! The path of a delivery URL: `/v/{contentId}/~{pass}/{object}` or, with the pass in a cookie,
//! `/v/{contentId}/{object}`; either may end in `/range/{a}-{b}`.

use model::{ContentId, ObjectPath};

/// Longest path that is looked at.
const MAX_PATH: usize = 1024;

/// A delivery URL's path, taken apart. Nothing in it is percent-decoded: every name that
/// Strongroom writes needs no encoding, so an encoded one is not ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryPath<'a> {
    /// The title.
    pub content_id: ContentId,
    /// The pass, unchecked; absent when it travels in a cookie.
    pub pass: Option<&'a str>,
    /// The object inside the title's package.
    pub object: ObjectPath,
    /// What stands behind `/range/`, unchecked.
    pub range: Option<&'a str>,
}

/// The path names nothing that could be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a delivery path")]
pub struct PathRefused;

impl<'a> DeliveryPath<'a> {
    /// Takes the raw path of a request URL apart.
    ///
    /// Errors: [`PathRefused`], whatever is wrong. Limits: 1024 characters, those of
    /// [`ObjectPath`].
    pub fn parse(raw: &'a str) -> Result<Self, PathRefused> {
        if raw.len() > MAX_PATH {
            return Err(PathRefused);
        }
        let rest = raw.strip_prefix("/v/").ok_or(PathRefused)?;
        let (content, rest) = rest.split_once('/').ok_or(PathRefused)?;
        let (pass, rest) = match rest.strip_prefix('~') {
            Some(rest) => {
                let (pass, rest) = rest.split_once('/').ok_or(PathRefused)?;
                (Some(pass), rest)
            }
            None => (None, rest),
        };
        let (object, range) = match rest.rsplit_once("/range/") {
            Some((object, range)) => (object, Some(range)),
            None => (rest, None),
        };
        Ok(Self {
            content_id: ContentId::parse(content).map_err(|_| PathRefused)?,
            pass,
            object: ObjectPath::parse(object).map_err(|_| PathRefused)?,
            range,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(raw: &str) -> Result<String, PathRefused> {
        DeliveryPath::parse(raw).map(|path| path.object.to_string())
    }

    #[test]
    fn both_forms_are_taken_apart() {
        let path = DeliveryPath::parse("/v/film/~PASS_1-x/cbcs/video-720p/3.m4s").unwrap();
        assert_eq!(path.content_id.as_str(), "film");
        assert_eq!(path.pass, Some("PASS_1-x"));
        assert_eq!(path.object.as_str(), "cbcs/video-720p/3.m4s");
        assert_eq!(path.range, None);
        let path = DeliveryPath::parse("/v/film/cbcs/video-720p.mp4/range/0-23").unwrap();
        assert_eq!(path.pass, None);
        assert_eq!(path.object.as_str(), "cbcs/video-720p.mp4");
        assert_eq!(path.range, Some("0-23"));
    }

    const OUTSIDE: &[&str] = &[
        "",
        "/",
        ".",
        "..",
        "...",
        "../x",
        "x/..",
        "x/../y",
        "x/./y",
        "./x",
        "//x",
        "x//y",
        "x/",
        "/etc/passwd",
        "//etc/passwd",
        "%2e%2e/x",
        "%2E%2E/x",
        ".%2e/x",
        "%2e./x",
        "x/%2e%2e/y",
        "%252e%252e/x",
        "%25252e%25252e/x",
        "..%2fx",
        "..%252fx",
        "..%5cx",
        "..\\x",
        "x\\..\\y",
        "\\x",
        "C:\\x",
        "C:/x",
        "x%00",
        "x\0.mp4",
        "x%00.mp4",
        "x\n",
        "x\r",
        "x%0a",
        "%c0%ae%c0%ae/x",
        "%e0%80%ae/x",
        "%u002e/x",
        "．．/x",
        "..;/x",
        "x;y",
        "x ",
        "x+y?",
        "x?y",
        "x#y",
        "file:///etc/passwd",
        "~/x",
        "~~/x",
        "~root/..",
        "x/~y/z",
        ".hidden",
        "x/.hidden",
        "x:y",
        "x|y",
        "x*",
        "$x",
        "`x`",
    ];

    #[test]
    fn nothing_outside_the_package_is_named() {
        for name in OUTSIDE {
            for raw in [format!("/v/film/~PASS/{name}"), format!("/v/film/{name}")] {
                if let Ok(path) = DeliveryPath::parse(&raw) {
                    // What passes is a plain object behind a pass that will not open.
                    assert!(name.starts_with('~') && path.pass != Some("PASS"), "{raw:?}");
                }
            }
        }
        for content in ["", ".", "..", "%2e%2e", "~", "a b", "a%2fb", "a\\b", "a\0", "ä"] {
            assert_eq!(object(&format!("/v/{content}/~PASS/x")), Err(PathRefused), "{content:?}");
        }
    }

    #[test]
    fn other_routes_and_endless_paths_are_refused() {
        for raw in
            ["", "/", "/v", "/v/", "/v/film", "/v/film/", "/V/film/x", "v/film/x", "//v/film/x"]
        {
            assert_eq!(object(raw), Err(PathRefused), "{raw}");
        }
        assert_eq!(object(&format!("/v/film/{}", "x/".repeat(1 << 19))), Err(PathRefused));
        assert_eq!(object(&format!("/v/film/~{}/x", "P".repeat(2000))), Err(PathRefused));
        assert_eq!(object(&format!("/v/film/x{}", "/range/0-1".repeat(50))), Err(PathRefused));
    }
}
