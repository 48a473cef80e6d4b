//! Names of users and groups become numbers, by the files of the root that the process will see.

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};

/// More than any sane account file; an image must not fill our memory.
const ACCOUNTS_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Who a process runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    /// Further groups.
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
}

/// The account files of one root; an absent file has no accounts.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    passwd: String,
    group: String,
}

impl Accounts {
    /// Symbolic links in `root` cannot lead out of it.
    pub(crate) fn of(root: &Path) -> Result<Accounts, String> {
        let root = File::open(root).map_err(|e| format!("{}: {e}", root.display()))?;
        Ok(Accounts { passwd: read(&root, "etc/passwd")?, group: read(&root, "etc/group")? })
    }

    /// `user`, `user:group`, each a name or a number.
    pub(crate) fn resolve(&self, text: &str) -> Result<Identity, String> {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (text, None),
        };
        let mut identity = self.user(user)?;
        if let Some(group) = group {
            identity.gid = self.group(group)?;
        }
        Ok(identity)
    }

    /// Further groups, by name or number.
    pub(crate) fn join(&self, identity: &mut Identity, groups: &[String]) -> Result<(), String> {
        for group in groups {
            let group = self.group(group)?;
            if !identity.groups.contains(&group) {
                identity.groups.push(group);
            }
        }
        Ok(())
    }

    fn user(&self, user: &str) -> Result<Identity, String> {
        let number = user.parse::<u32>().ok();
        for line in self.passwd.lines() {
            let fields: Vec<&str> = line.split(':').collect();
            let [name, _, uid, gid, _, home, ..] = fields[..] else { continue };
            let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse()) else { continue };
            if name == user || number == Some(uid) {
                let groups = self.groups_of(name);
                let home = if home.is_empty() { "/" } else { home };
                return Ok(Identity { uid, gid, groups, home: home.into() });
            }
        }
        match number {
            Some(uid) => Ok(Identity { uid, gid: 0, groups: Vec::new(), home: "/".into() }),
            None if user == "root" => {
                Ok(Identity { uid: 0, gid: 0, groups: Vec::new(), home: "/root".into() })
            }
            None => Err(format!("no user {user:?} in /etc/passwd")),
        }
    }

    fn group(&self, group: &str) -> Result<u32, String> {
        let named = self.group_lines().find(|(name, _, _)| *name == group).map(|(_, gid, _)| gid);
        named
            .or_else(|| group.parse().ok())
            .ok_or_else(|| format!("no group {group:?} in /etc/group"))
    }

    fn groups_of(&self, user: &str) -> Vec<u32> {
        self.group_lines()
            .filter(|(_, _, members)| members.split(',').any(|member| member == user))
            .map(|(_, gid, _)| gid)
            .collect()
    }

    fn group_lines(&self) -> impl Iterator<Item = (&str, u32, &str)> {
        self.group.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let (name, gid) = (fields.next()?, fields.nth(1)?.parse().ok()?);
            Some((name, gid, fields.next().unwrap_or_default()))
        })
    }
}

/// By the files of the root that this process is in.
pub(crate) fn in_own_root(user: &str) -> Result<Identity, String> {
    Accounts::of(Path::new("/"))?.resolve(user)
}

/// A later value replaces an earlier one.
pub(crate) fn set_variable(environment: &mut Vec<(String, String)>, name: &str, value: &str) {
    match environment.iter_mut().find(|(known, _)| known == name) {
        Some((_, old)) => *old = value.to_string(),
        None => environment.push((name.to_string(), value.to_string())),
    }
}

fn read(root: impl AsFd, path: &str) -> Result<String, String> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT);
    let file = match opened {
        Ok(file) => File::from(file),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(String::new()),
        Err(e) => return Err(format!("/{path}: {e}")),
    };
    let mut bytes = Vec::new();
    file.take(ACCOUNTS_BYTES_MAX).read_to_end(&mut bytes).map_err(|e| format!("/{path}: {e}"))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts() -> Accounts {
        Accounts {
            passwd: "root:x:0:0:root:/root:/bin/sh\nweb:x:33:34:web:/var/www:/bin/sh\n".into(),
            group: "root:x:0:\nwww:x:34:\nlogs:x:4:web,other\n".into(),
        }
    }

    #[test]
    fn users_and_groups_are_names_or_numbers() {
        let check = |text: &str, uid: u32, gid: u32, groups: &[u32], home: &str| {
            let expected = Identity { uid, gid, groups: groups.to_vec(), home: home.into() };
            assert_eq!(accounts().resolve(text), Ok(expected), "{text}");
        };
        check("root", 0, 0, &[], "/root");
        check("web", 33, 34, &[4], "/var/www");
        check("33", 33, 34, &[4], "/var/www");
        check("web:logs", 33, 4, &[4], "/var/www");
        check("1000", 1000, 0, &[], "/");
        check("1000:1001", 1000, 1001, &[], "/");
    }

    #[test]
    fn unknown_names_are_refused_and_root_needs_no_file() {
        assert!(accounts().resolve("nobody").is_err());
        assert!(accounts().resolve("web:nobody").is_err());
        assert_eq!(Accounts::default().resolve("root").map(|root| root.uid), Ok(0));
    }
}
