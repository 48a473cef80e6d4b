//! Profiles in the format of Docker's: which system calls are allowed, by name, arguments, and what the container has.

use anyhow::{Context, bail};
use libseccomp::{
    ScmpAction, ScmpArch, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall,
};
use model::confinement::Capabilities;
use serde::Deserialize;

use super::export;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Profile {
    default_action: String,
    default_errno_ret: Option<i32>,
    #[serde(default)]
    architectures: Vec<String>,
    #[serde(default)]
    arch_map: Vec<Family>,
    #[serde(default)]
    syscalls: Vec<Rule>,
}

/// An architecture and those whose programs its machines run, too.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Family {
    architecture: String,
    #[serde(default)]
    sub_architectures: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    #[serde(default)]
    names: Vec<String>,
    /// As older profiles spell it.
    name: Option<String>,
    action: String,
    errno_ret: Option<i32>,
    #[serde(default)]
    args: Option<Vec<Argument>>,
    #[serde(default)]
    includes: Condition,
    #[serde(default)]
    excludes: Condition,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u32,
    #[serde(default)]
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Condition {
    caps: Vec<String>,
    arches: Vec<String>,
    min_kernel: Option<String>,
}

impl Profile {
    pub(crate) fn read(text: &[u8]) -> anyhow::Result<Profile> {
        let profile: Profile = serde_json::from_slice(text).context("reading it")?;
        // A profile with a mistake is refused when it is first used, whatever the container.
        action(&profile.default_action, profile.default_errno_ret)?;
        for rule in &profile.syscalls {
            action(&rule.action, rule.errno_ret)?;
            for name in rule.includes.caps.iter().chain(&rule.excludes.caps) {
                name.parse::<Capabilities>()?;
            }
        }
        Ok(profile)
    }

    /// For a container that can have these capabilities, on this machine.
    pub(crate) fn compile(&self, bounding: Capabilities) -> anyhow::Result<Vec<u8>> {
        let default = action(&self.default_action, self.default_errno_ret)?;
        let mut rules = ScmpFilterContext::new(default)?;
        for architecture in self.architectures() {
            rules.add_arch(architecture)?;
        }
        let kernel = kernel();
        for rule in self.syscalls.iter().filter(|rule| rule.applies(bounding, kernel)) {
            let action = action(&rule.action, rule.errno_ret)?;
            if action != default {
                rule.add_to(&mut rules, action)?;
            }
        }
        export(&rules)
    }

    /// Those that are named, or those of this machine's family; its own is always there.
    fn architectures(&self) -> Vec<ScmpArch> {
        let own = ScmpArch::native();
        let family = self.arch_map.iter().find(|one| architecture(&one.architecture) == Some(own));
        let sisters = family.iter().flat_map(|one| &one.sub_architectures);
        let all = self.architectures.iter().chain(sisters).filter_map(|name| architecture(name));
        all.filter(|one| *one != own).collect()
    }
}

impl Rule {
    /// All that it includes is so, and nothing that it excludes.
    fn applies(&self, bounding: Capabilities, kernel: (u32, u32)) -> bool {
        let has = |name: &String| name.parse().is_ok_and(|one| bounding.contains(one));
        let is_here = |name: &String| NAMES_OF_THIS.contains(&name.as_str());
        let is_new = |version: &String| version_of(version).is_some_and(|least| kernel >= least);
        let Condition { caps, arches, min_kernel } = &self.includes;
        let included = caps.iter().all(has)
            && (arches.is_empty() || arches.iter().any(is_here))
            && min_kernel.iter().all(is_new);
        let Condition { caps, arches, min_kernel } = &self.excludes;
        let excluded =
            caps.iter().any(has) || arches.iter().any(is_here) || min_kernel.iter().any(is_new);
        included && !excluded
    }

    /// Calls that this machine does not know are as the others are.
    fn add_to(&self, rules: &mut ScmpFilterContext, action: ScmpAction) -> anyhow::Result<()> {
        let names = self.names.iter().chain(&self.name);
        let calls = names.filter_map(|name| ScmpSyscall::from_name(name).ok());
        let arguments = self.args.iter().flatten().map(Argument::compare);
        let arguments = arguments.collect::<anyhow::Result<Vec<_>>>()?;
        let indexes = || self.args.iter().flatten().map(|one| one.index);
        let repeats = indexes().enumerate().any(|(n, one)| indexes().take(n).any(|it| it == one));
        for call in calls {
            match repeats {
                // One argument of several values: each is a rule of its own.
                true => {
                    for argument in &arguments {
                        rules.add_rule_conditional(action, call, &[*argument])?;
                    }
                }
                false if arguments.is_empty() => {
                    rules.add_rule(action, call)?;
                }
                false => {
                    rules.add_rule_conditional(action, call, &arguments)?;
                }
            }
        }
        Ok(())
    }
}

impl Argument {
    fn compare(&self) -> anyhow::Result<ScmpArgCompare> {
        let (op, value) = match self.op.as_str() {
            "SCMP_CMP_NE" => (ScmpCompareOp::NotEqual, self.value),
            "SCMP_CMP_LT" => (ScmpCompareOp::Less, self.value),
            "SCMP_CMP_LE" => (ScmpCompareOp::LessOrEqual, self.value),
            "SCMP_CMP_EQ" => (ScmpCompareOp::Equal, self.value),
            "SCMP_CMP_GE" => (ScmpCompareOp::GreaterEqual, self.value),
            "SCMP_CMP_GT" => (ScmpCompareOp::Greater, self.value),
            "SCMP_CMP_MASKED_EQ" => (ScmpCompareOp::MaskedEqual(self.value), self.value_two),
            other => bail!("there is no comparison {other:?}"),
        };
        Ok(ScmpArgCompare::new(self.index, op, value))
    }
}

fn action(name: &str, errno: Option<i32>) -> anyhow::Result<ScmpAction> {
    Ok(match name {
        "SCMP_ACT_ALLOW" => ScmpAction::Allow,
        "SCMP_ACT_ERRNO" => ScmpAction::Errno(errno.unwrap_or(libc::EPERM)),
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => ScmpAction::KillThread,
        "SCMP_ACT_KILL_PROCESS" => ScmpAction::KillProcess,
        "SCMP_ACT_TRAP" => ScmpAction::Trap,
        "SCMP_ACT_LOG" => ScmpAction::Log,
        other => bail!("the action {other:?} is not supported: allow, errno, kill, trap or log"),
    })
}

fn architecture(name: &str) -> Option<ScmpArch> {
    Some(match name {
        "SCMP_ARCH_X86_64" => ScmpArch::X8664,
        "SCMP_ARCH_X86" => ScmpArch::X86,
        "SCMP_ARCH_X32" => ScmpArch::X32,
        "SCMP_ARCH_AARCH64" => ScmpArch::Aarch64,
        "SCMP_ARCH_ARM" => ScmpArch::Arm,
        // Programs of other machines do not run on this one.
        _ => return None,
    })
}

/// As conditions name the architecture of this machine.
const NAMES_OF_THIS: &[&str] = if cfg!(target_arch = "x86_64") {
    &["amd64", "x32"]
} else if cfg!(target_arch = "aarch64") {
    &["arm64"]
} else {
    &[]
};

fn kernel() -> (u32, u32) {
    let release = rustix::system::uname();
    release.release().to_str().ok().and_then(version_of).unwrap_or((0, 0))
}

/// `6.18.1-amd64` is 6.18.
fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = r#"{
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
        "archMap": [{"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}],
        "syscalls": [
            {"names": ["read", "no_such_call"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["personality"], "action": "SCMP_ACT_ALLOW",
             "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]},
            {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38,
             "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
            {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}}
        ]}"#;

    #[test]
    fn a_profile_depends_on_what_a_container_may_do() {
        let profile = Profile::read(TWO.as_bytes()).expect("read");
        let admin: Capabilities = "SYS_ADMIN".parse().expect("known");
        let few = profile.compile(Capabilities::NONE).expect("compiled");
        assert!(!few.is_empty());
        assert_ne!(few, profile.compile(admin).expect("compiled"));
    }

    #[test]
    fn rules_apply_where_all_is_so_that_they_ask_for() {
        let check = |text: &str, kernel: (u32, u32), applies: bool| {
            let text = format!(r#"{{"names": [], "action": "SCMP_ACT_ALLOW", {text}}}"#);
            let rule: Rule = serde_json::from_str(&text).expect("a rule");
            assert_eq!(rule.applies(Capabilities(1), kernel), applies, "{text}");
        };
        check(r#""includes": {}"#, (5, 1), true);
        check(r#""includes": {"caps": ["CAP_CHOWN"]}"#, (5, 1), true);
        check(r#""includes": {"caps": ["CAP_KILL"]}"#, (5, 1), false);
        check(r#""excludes": {"caps": ["CAP_CHOWN"]}"#, (5, 1), false);
        check(r#""includes": {"minKernel": "4.8"}"#, (4, 7), false);
        check(r#""includes": {"minKernel": "4.8"}"#, (4, 10), true);
        check(r#""includes": {"arches": ["s390"]}"#, (5, 1), false);
    }

    #[test]
    fn a_profile_with_a_mistake_is_refused() {
        let check = |text: &str, why: &str| {
            let refused = Profile::read(text.as_bytes()).expect_err(text);
            assert!(format!("{refused:#}").contains(why), "{refused:#}");
        };
        check("{", "reading it");
        check(r#"{"defaultAction": "SCMP_ACT_WISH"}"#, "SCMP_ACT_WISH");
        let rule = r#""names": ["read"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["X"]}"#;
        check(&format!(r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{{rule}}}]}}"#), "X");
    }
}
