//! What a registry says about an image: manifests and lists of them, in OCI's and in Docker's spelling.

use std::fmt;

use crate::ImageConfig;

/// Overlayfs takes no more.
const LAYERS_MAX: usize = 500;
const UNCOMMON: &str = "unknown";

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Manifest {
    Image {
        config: Blob,
        layers: Vec<Blob>,
    },
    /// One image for each platform.
    List(Vec<Choice>),
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct Blob {
    pub(crate) digest: String,
    pub(crate) size: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct Choice {
    digest: String,
    platform: Option<Platform>,
}

#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct Platform {
    os: String,
    architecture: String,
    variant: Option<String>,
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    schema_version: u32,
    manifests: Option<Vec<Choice>>,
    config: Option<Blob>,
    layers: Option<Vec<Blob>>,
}

#[derive(serde::Deserialize)]
struct ConfigDocument {
    config: Option<ConfigWords>,
}

#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct ConfigWords {
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    env: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
    stop_signal: Option<String>,
}

pub(crate) fn parse(bytes: &[u8]) -> Result<Manifest, String> {
    let document: Document = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if document.schema_version != 2 {
        return Err(format!(
            "it has schema version {}, and only 2 is understood",
            document.schema_version
        ));
    }
    match (document.manifests, document.config, document.layers) {
        (Some(choices), ..) => {
            choices.iter().try_for_each(|choice| check_digest(&choice.digest))?;
            Ok(Manifest::List(choices))
        }
        (None, Some(config), Some(layers)) if layers.len() <= LAYERS_MAX => {
            layers.iter().chain([&config]).try_for_each(|blob| check_digest(&blob.digest))?;
            Ok(Manifest::Image { config, layers })
        }
        (None, Some(_), Some(layers)) => {
            Err(format!("it has {} layers, and at most {LAYERS_MAX} work", layers.len()))
        }
        (None, ..) => Err("it names neither a config and layers nor other manifests".into()),
    }
}

/// The manifest for this machine, or what it wants and what there is.
pub(crate) fn choose(choices: &[Choice]) -> Result<&str, (String, String)> {
    let architecture = architecture();
    let fits = |choice: &&Choice| {
        choice
            .platform
            .as_ref()
            .is_some_and(|is| is.os == "linux" && is.architecture == architecture)
    };
    // Variants ask more of a processor than the plain platform does, except for the only one of arm64.
    let plain = |choice: &&Choice| {
        choice
            .platform
            .as_ref()
            .is_some_and(|is| matches!(is.variant.as_deref(), None | Some("" | "v8" | "v1")))
    };
    let fitting = || choices.iter().filter(fits);
    let unnamed = choices.iter().find(|choice| choice.platform.is_none());
    match fitting().find(plain).or_else(|| fitting().next()).or(unnamed) {
        Some(choice) => Ok(&choice.digest),
        None => Err((format!("linux/{architecture}"), offered(choices))),
    }
}

fn offered(choices: &[Choice]) -> String {
    let known =
        choices.iter().filter_map(|choice| choice.platform.as_ref()).filter(|is| is.os != UNCOMMON);
    let names: Vec<_> = known.map(Platform::to_string).collect();
    if names.is_empty() { "no platform at all".into() } else { names.join(", ") }
}

/// In Go's words, as images use them.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

pub(crate) fn parse_config(bytes: &[u8]) -> Result<ImageConfig, String> {
    let document: ConfigDocument =
        serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let words = document.config.unwrap_or_default();
    let env = words.env.unwrap_or_default();
    Ok(ImageConfig {
        entrypoint: words.entrypoint.unwrap_or_default(),
        cmd: words.cmd.unwrap_or_default(),
        env: env
            .iter()
            .filter_map(|pair| pair.split_once('='))
            .map(|(k, v)| (k.into(), v.into()))
            .collect(),
        working_dir: words.working_dir.filter(|dir| !dir.is_empty()),
        user: words.user.filter(|user| !user.is_empty()),
        stop_signal: words.stop_signal.filter(|signal| !signal.is_empty()),
    })
}

/// Digests become names of files, so nothing else may pass for one.
pub(crate) fn check_digest(digest: &str) -> Result<(), String> {
    let is_hex = |hex: &str| hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    match digest.split_once(':') {
        Some(("sha256", hex)) if hex.len() == 64 && is_hex(hex) => Ok(()),
        Some(("sha512", hex)) if hex.len() == 128 && is_hex(hex) => Ok(()),
        _ => {
            Err(format!("it names something by {digest:?}, which is not a sha256 or sha512 digest"))
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(digest: &str, platform: Option<(&str, &str, Option<&str>)>) -> Choice {
        let platform = platform.map(|(os, architecture, variant)| Platform {
            os: os.into(),
            architecture: architecture.into(),
            variant: variant.map(Into::into),
        });
        Choice { digest: digest.into(), platform }
    }

    #[test]
    fn the_plainest_image_for_this_platform_is_chosen() {
        let here = architecture();
        let check =
            |choices: &[Choice], expected: Result<&str, &str>| match (choose(choices), expected) {
                (Ok(chosen), expected) => assert_eq!(Ok(chosen), expected),
                (Err((_, offered)), expected) => assert_eq!(Err(offered.as_str()), expected),
            };
        let (plain, v3) = (
            choice("plain", Some(("linux", here, None))),
            choice("v3", Some(("linux", here, Some("v3")))),
        );
        let other = choice("other", Some(("windows", here, None)));
        let attestation = choice("attestation", Some(("unknown", "unknown", None)));
        check(&[other.clone(), v3.clone(), plain], Ok("plain"));
        check(&[other.clone(), v3], Ok("v3"));
        check(&[other.clone(), choice("unnamed", None)], Ok("unnamed"));
        check(&[attestation.clone(), other], Err(&format!("windows/{here}")));
        check(&[attestation], Err("no platform at all"));
    }

    #[test]
    fn a_digest_that_could_be_a_path_is_refused() {
        for digest in [
            "../../etc",
            "sha256:../../x",
            "sha256:AB",
            &format!("sha256:{}", "AB".repeat(32)),
            "md5:ab",
        ] {
            let text = format!(
                r#"{{"schemaVersion": 2, "config": {{"digest": "{digest}", "size": 1}}, "layers": []}}"#
            );
            let refusal = parse(text.as_bytes()).expect_err(digest);
            assert!(refusal.contains("not a sha256"), "{refusal}");
        }
    }

    #[test]
    fn a_config_may_leave_out_or_empty_anything() {
        let check = |text: &str, expected: ImageConfig| {
            assert_eq!(parse_config(text.as_bytes()), Ok(expected), "{text}")
        };
        check("{}", ImageConfig::default());
        check(r#"{"config": null}"#, ImageConfig::default());
        check(
            r#"{"config": {"Entrypoint": null, "User": "", "WorkingDir": ""}}"#,
            ImageConfig::default(),
        );
        check(
            r#"{"config": {"Entrypoint": ["/a"], "Cmd": ["b"], "Env": ["A=1=2", "odd"], "WorkingDir": "/w", "User": "u:g", "StopSignal": "SIGQUIT"}}"#,
            ImageConfig {
                entrypoint: vec!["/a".into()],
                cmd: vec!["b".into()],
                env: vec![("A".into(), "1=2".into())],
                working_dir: Some("/w".into()),
                user: Some("u:g".into()),
                stop_signal: Some("SIGQUIT".into()),
            },
        );
    }
}
