//! Who the first process runs as: the text of a request or image turned into numbers.
//! Works on the text of the image's passwd and group files; never reads them itself.

use crate::RuntimeError;

/// A user as written, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRequest {
    user: String,
    group: Option<String>,
}

/// A user in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolvedUser {
    /// User id inside the container.
    pub uid: u32,
    /// Group id inside the container.
    pub gid: u32,
    /// Further groups that name the user as a member.
    pub additional_gids: Vec<u32>,
}

struct PasswdEntry<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
}

impl UserRequest {
    /// Takes `user[:group]` apart; empty text is root.
    pub fn parse(text: &str) -> Self {
        let (user, group) = match text.split_once(':') {
            Some((user, group)) => (user, Some(group).filter(|group| !group.is_empty())),
            None => (text, None),
        };
        let user = if user.is_empty() { "0" } else { user };
        Self { user: user.to_owned(), group: group.map(str::to_owned) }
    }

    /// The answer when the text alone gives it: `uid:gid`, or root.
    pub fn as_numbers(&self) -> Option<ResolvedUser> {
        let uid = self.user.parse().ok()?;
        let gid = match &self.group {
            Some(group) => group.parse().ok()?,
            None if uid == 0 => 0,
            None => return None,
        };
        Some(ResolvedUser { uid, gid, additional_gids: Vec::new() })
    }

    /// The answer with the help of the image's `/etc/passwd` and `/etc/group` (empty text when it has none).
    ///
    /// # Errors
    /// `Invalid` when a name is in neither file.
    pub fn resolve(&self, passwd: &str, group: &str) -> Result<ResolvedUser, RuntimeError> {
        let number = self.user.parse::<u32>().ok();
        let entry = passwd_entries(passwd).find(|entry| match number {
            Some(uid) => entry.uid == uid,
            None => entry.name == self.user,
        });
        let uid = match (&entry, number) {
            (Some(entry), _) => entry.uid,
            (None, Some(uid)) => uid,
            (None, None) => return Err(self.unknown("user", &self.user, "passwd")),
        };
        if let Some(wanted) = &self.group {
            let gid = self.group_id(wanted, group)?;
            return Ok(ResolvedUser { uid, gid, additional_gids: Vec::new() });
        }
        let gid = entry.as_ref().map_or(0, |entry| entry.gid);
        let additional_gids = entry.map_or_else(Vec::new, |entry| memberships(group, entry.name, gid));
        Ok(ResolvedUser { uid, gid, additional_gids })
    }

    fn group_id(&self, wanted: &str, group: &str) -> Result<u32, RuntimeError> {
        if let Ok(gid) = wanted.parse() {
            return Ok(gid);
        }
        group
            .lines()
            .filter_map(group_entry)
            .find(|(name, ..)| *name == wanted)
            .map(|(_, gid, _)| gid)
            .ok_or_else(|| self.unknown("group", wanted, "group"))
    }

    fn unknown(&self, what: &str, name: &str, file: &str) -> RuntimeError {
        RuntimeError::invalid(
            format!("resolve {what} {name:?}"),
            format!("the image's /etc/{file} does not list it: give a number or add the {what} to the image"),
        )
    }
}

fn passwd_entries(text: &str) -> impl Iterator<Item = PasswdEntry<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(PasswdEntry { name, uid, gid })
    })
}

fn group_entry(line: &str) -> Option<(&str, u32, &str)> {
    let mut fields = line.split(':');
    let name = fields.next()?;
    let gid = fields.nth(1)?.parse().ok()?;
    Some((name, gid, fields.next().unwrap_or_default()))
}

fn memberships(group: &str, user: &str, primary: u32) -> Vec<u32> {
    group
        .lines()
        .filter_map(group_entry)
        .filter(|(_, gid, members)| *gid != primary && members.split(',').any(|member| member == user))
        .map(|(_, gid, _)| gid)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1001:Web:/srv:/bin/sh\nbroken\n";
    const GROUP: &str = "root:x:0:\nweb:x:1001:\nlogs:x:40:web,other\n";

    fn resolve(text: &str) -> Result<ResolvedUser, RuntimeError> {
        UserRequest::parse(text).resolve(PASSWD, GROUP)
    }

    #[test]
    fn numbers_need_no_files() {
        let user = |text| UserRequest::parse(text).as_numbers();
        assert_eq!(user(""), Some(ResolvedUser::default()));
        assert_eq!(user("0"), Some(ResolvedUser::default()));
        assert_eq!(user("65534:65534").map(|user| (user.uid, user.gid)), Some((65534, 65534)));
        assert_eq!(user("1000"), None, "its group is in the passwd file");
        assert_eq!(user("web"), None);
    }

    #[test]
    fn names_come_from_the_image() {
        let web = resolve("web").unwrap();
        assert_eq!((web.uid, web.gid, web.additional_gids), (1000, 1001, vec![40]));
        assert_eq!(resolve("1000").unwrap().gid, 1001);
        assert_eq!(resolve("4242").unwrap().gid, 0);
        assert_eq!(resolve("web:logs").unwrap().gid, 40);
        assert_eq!(resolve("7:logs").unwrap().uid, 7);
    }

    #[test]
    fn unknown_names_say_where_they_were_sought() {
        assert!(resolve("nobody").unwrap_err().to_string().contains("/etc/passwd"));
        assert!(resolve("web:nobody").unwrap_err().to_string().contains("/etc/group"));
    }
}
