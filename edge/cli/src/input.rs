//! JSON that a user hands over: in a file, at a URL, on standard input, or as `key=value` words.

use std::fs;
use std::io::Read as _;

use anyhow::{Context, Result};
use serde_json::{Map, Value};

use crate::client::{Client, Target};
use crate::failure::Failure;
use crate::screen::Screen;

/// A definition that is larger is a mistake.
const INPUT_BYTES_MAX: u64 = 16 << 20;

/// The fields of an app that are text even if they look like something else.
const TEXT_FIELDS: [&str; 6] = ["cmd", "executor", "id", "killSelection", "role", "user"];

/// Of a file or URL; of standard input if none is named or its name is `-`.
pub(crate) async fn definition(screen: &mut Screen<'_>, source: Option<&str>) -> Result<Value> {
    let text = match source {
        None | Some("-") => typed(screen)?,
        Some(url) if url.starts_with("http://") || url.starts_with("https://") => {
            download(url).await?
        }
        Some(path) => {
            fs::read_to_string(path).with_context(|| format!("reading the definition {path}"))?
        }
    };
    let name = source.unwrap_or("standard input");
    let value: Value =
        serde_json::from_str(&text).with_context(|| format!("{name} is not JSON"))?;
    match value {
        Value::Object(_) => Ok(value),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err(Failure::Other(format!("{name} holds no JSON object, but an app is one")).into())
        }
    }
}

fn typed(screen: &mut Screen<'_>) -> Result<String> {
    if screen.typed {
        return Err(Failure::Usage(
            "name a file or a URL, or pipe the JSON in: dcos marathon app add < app.json".into(),
        )
        .into());
    }
    let mut text = String::new();
    let mut input = screen.input.take(INPUT_BYTES_MAX);
    input.read_to_string(&mut text).context("reading standard input")?;
    Ok(text)
}

async fn download(url: &str) -> Result<String> {
    let client = Client::new(&Target::plain(url)?)?;
    client.text(client.get("")).await.with_context(|| format!("downloading {url}"))
}

/// `cpus=2 mem=308 cmd='sleep 9'`: values are JSON where they can be, else text.
pub(crate) fn properties(words: &[String]) -> Result<Value> {
    let mut object = Map::new();
    for word in words {
        let Some((key, value)) = word.split_once('=') else {
            return Err(Failure::Usage(format!(
                "{word:?} is not of the form key=value, such as instances=3"
            ))
            .into());
        };
        let value = match TEXT_FIELDS.contains(&key) {
            true => Value::String(value.to_owned()),
            false => serde_json::from_str(value).unwrap_or_else(|_| value.into()),
        };
        if object.insert(key.to_owned(), value).is_some() {
            return Err(Failure::Usage(format!("{key} was given more than once")).into());
        }
    }
    Ok(Value::Object(object))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(words: &[&str], expected: Option<Value>) {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(properties(&words).ok(), expected, "{words:?}");
    }

    #[test]
    fn properties_are_json_where_they_can_be() {
        check(&["cpus=0.5", "instances=3"], Some(json!({"cpus": 0.5, "instances": 3})));
        check(&["env={\"A\":\"1\"}"], Some(json!({"env": {"A": "1"}})));
        check(&["cmd=5", "user=nobody"], Some(json!({"cmd": "5", "user": "nobody"})));
        check(&["cmd=a=b"], Some(json!({"cmd": "a=b"})));
        check(&["cpus"], None);
        check(&["cpus=1", "cpus=2"], None);
    }
}
