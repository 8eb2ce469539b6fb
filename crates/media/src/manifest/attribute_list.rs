//! Attribute lists of HLS tags (RFC 8216bis, 4.2).

/// Most attributes of one tag.
const MAX_ATTRIBUTES: usize = 64;

/// The attributes of one tag, in order, as they stand in the playlist.
pub(crate) struct AttributeList<'a>(Vec<(&'a str, &'a str)>);

impl<'a> AttributeList<'a> {
    /// Reads what stands behind a tag's colon; `None` when it is malformed, names an attribute
    /// twice or has more than 64.
    pub(crate) fn parse(mut rest: &'a str) -> Option<Self> {
        let mut list: Vec<(&str, &str)> = Vec::new();
        loop {
            let (name, behind) = rest.split_once('=')?;
            let name = name.trim();
            let is_name =
                |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'-';
            let is_known = list.iter().any(|(known, _)| *known == name);
            if name.is_empty() || !name.bytes().all(is_name) || is_known {
                return None;
            }
            let len = match behind.strip_prefix('"') {
                Some(quoted) => quoted.find('"')? + 2,
                None => behind.find(',').unwrap_or(behind.len()),
            };
            let (value, behind) = behind.split_at_checked(len)?;
            if list.len() == MAX_ATTRIBUTES || (!value.starts_with('"') && value.contains('"')) {
                return None;
            }
            list.push((name, value));
            if behind.is_empty() {
                return Some(Self(list));
            }
            rest = behind.strip_prefix(',')?;
        }
    }

    /// The value of an attribute, without quotes.
    pub(crate) fn value(&self, name: &str) -> Option<&'a str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.trim_matches('"'))
    }

    /// The list again, with the attributes of these names only.
    pub(crate) fn with_only(&self, names: &[&str]) -> String {
        let kept = self.0.iter().filter(|(name, _)| names.contains(name));
        kept.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
    }

    /// The list again with other values: `change` gets each name and value as it stands there,
    /// and answers with what is to stand there instead, where that is something else.
    pub(crate) fn with_changed(&self, change: impl Fn(&str, &str) -> Option<String>) -> String {
        let changed = self.0.iter().map(|(name, value)| match change(name, value) {
            Some(other) => format!("{name}={other}"),
            None => format!("{name}={value}"),
        });
        changed.collect::<Vec<_>>().join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_values_may_hold_commas_and_equals_signs() {
        let list = AttributeList::parse("A=1,B=\"x,y=z\",C-2=\"\"").unwrap();
        assert_eq!(list.value("A"), Some("1"));
        assert_eq!(list.value("B"), Some("x,y=z"));
        assert_eq!(list.value("C-2"), Some(""));
        assert_eq!(list.value("D"), None);
        assert_eq!(list.with_only(&["B", "A", "D"]), "A=1,B=\"x,y=z\"");
    }

    #[test]
    fn malformed_lists_are_refused() {
        for bad in ["", "A", "=1", "a=1", "A=\"x", "A=\"x\"y", "A=1,", "A=1,A=2", "A=x\"y", ",A=1"]
        {
            assert!(AttributeList::parse(bad).is_none(), "{bad}");
        }
        let many = |count| (0..count).map(|n| format!("A{n}=1")).collect::<Vec<_>>().join(",");
        assert!(AttributeList::parse(&many(64)).is_some());
        assert!(AttributeList::parse(&many(65)).is_none());
    }
}
