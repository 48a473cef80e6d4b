//! Secrets: values that a framework sends along, and places where they are kept.

use mesos_v1::Secret as Spelled;
use mesos_v1::secret::Type;
use model::secret::Secret;

use super::Fault;

const SECRET_BYTES_MAX: usize = 1 << 20;

/// One whose value is said.
pub(super) fn read(of: &str, spelled: &Spelled) -> Result<Secret, Fault> {
    let bad = |why: &str| Fault::new(format!("'{of}' {why}"));
    match (spelled.r#type(), &spelled.reference, &spelled.value) {
        (Type::Unknown, ..) => Err(bad("has no type")),
        (Type::Reference, None, _) => {
            Err(bad("is of type REFERENCE and must have the 'reference' field set"))
        }
        (Type::Reference, Some(_), Some(_)) => {
            Err(bad("is of type REFERENCE and must not have the 'value' field set"))
        }
        (Type::Reference, Some(kept), None) => Err(bad(&format!(
            "refers to the secret '{}': secrets by reference are not supported yet, only those of type VALUE",
            kept.name
        ))),
        (Type::Value, _, None) => Err(bad("is of type VALUE and must have the 'value' field set")),
        (Type::Value, Some(_), Some(_)) => {
            Err(bad("is of type VALUE and must not have the 'reference' field set"))
        }
        (Type::Value, None, Some(value)) if value.data.len() > SECRET_BYTES_MAX => Err(bad(
            &format!("has {} bytes, and at most {SECRET_BYTES_MAX} are taken", value.data.len()),
        )),
        (Type::Value, None, Some(value)) => Ok(Secret::new(value.data.to_vec())),
    }
}

/// As it is shown: that there is one.
pub(crate) fn withheld() -> Spelled {
    Spelled { r#type: Some(Type::Value.into()), reference: None, value: None }
}
