//! Which DRM system, scheme and manifest a platform plays by (R105).

use model::{Dialect, Scheme, TitlePolicy};

/// Where a player runs, by its own word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// Android, and televisions that are one.
    Android,
    /// Chrome on a computer.
    Chrome,
    /// ChromeOS.
    ChromeOs,
    /// Apple's devices, whatever the browser.
    Apple,
    /// Safari.
    Safari,
    /// Windows outside of Chrome.
    Windows,
    /// Xbox.
    Xbox,
    /// A television of its maker's own system.
    Tv,
    /// Anything else with Encrypted Media Extensions.
    Other,
}

/// The form of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestForm {
    /// MPEG-DASH.
    Dash,
    /// HTTP Live Streaming.
    Hls,
}

/// How a platform plays a title.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Playable {
    /// The DRM system.
    pub dialect: Dialect,
    /// The protection scheme.
    pub scheme: Scheme,
    /// The manifest.
    pub manifest: ManifestForm,
}

impl Platform {
    /// Every platform.
    pub const ALL: [Self; 9] = [
        Self::Android,
        Self::Chrome,
        Self::ChromeOs,
        Self::Apple,
        Self::Safari,
        Self::Windows,
        Self::Xbox,
        Self::Tv,
        Self::Other,
    ];

    /// Whether it is a device rather than a browser: such players report twice as often (R150).
    #[must_use]
    pub const fn is_device(self) -> bool {
        match self {
            Self::Android | Self::Xbox | Self::Tv => true,
            Self::Chrome
            | Self::ChromeOs
            | Self::Apple
            | Self::Safari
            | Self::Windows
            | Self::Other => false,
        }
    }

    /// The name in queries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Android => "android",
            Self::Chrome => "chrome",
            Self::ChromeOs => "chromeos",
            Self::Apple => "apple",
            Self::Safari => "safari",
            Self::Windows => "windows",
            Self::Xbox => "xbox",
            Self::Tv => "tv",
            Self::Other => "other",
        }
    }

    /// Reads the name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|platform| platform.name() == text)
    }

    /// The DRM system that the platform's makers built in.
    #[must_use]
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Android | Self::Chrome | Self::ChromeOs => Dialect::Widevine,
            Self::Apple | Self::Safari => Dialect::FairPlay,
            Self::Windows | Self::Xbox | Self::Tv => Dialect::PlayReady,
            Self::Other => Dialect::ClearKey,
        }
    }

    /// How a title with these schemes is played there; `None` where it cannot be: FairPlay has no
    /// `cenc`, and Clear Key needs a policy that gives it a key.
    #[must_use]
    pub fn play(self, policy: &TitlePolicy, schemes: &[Scheme]) -> Option<Playable> {
        let dialect = self.dialect();
        let (preferred, manifest): (&[Scheme], _) = match dialect {
            Dialect::FairPlay => (&[Scheme::Cbcs], ManifestForm::Hls),
            // Clients before PlayReady 4.0 know no other.
            Dialect::PlayReady => (&[Scheme::Cenc, Scheme::Cbcs], ManifestForm::Dash),
            Dialect::Widevine | Dialect::ClearKey => {
                (&[Scheme::Cbcs, Scheme::Cenc], ManifestForm::Dash)
            }
        };
        let has_key = policy.clearkey_track_classes().iter().next().is_some();
        if dialect == Dialect::ClearKey && !has_key {
            return None;
        }
        let scheme = *preferred.iter().find(|scheme| schemes.contains(scheme))?;
        Some(Playable { dialect, scheme, manifest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_platform_has_its_system_scheme_and_manifest() {
        use {Dialect as D, ManifestForm as M, Scheme as S};
        let policy = TitlePolicy::default();
        let both = [S::Cbcs, S::Cenc];
        let expected = [
            ("android", [Some((D::Widevine, S::Cbcs, M::Dash)); 2]),
            ("chrome", [Some((D::Widevine, S::Cbcs, M::Dash)); 2]),
            ("chromeos", [Some((D::Widevine, S::Cbcs, M::Dash)); 2]),
            ("apple", [Some((D::FairPlay, S::Cbcs, M::Hls)), None]),
            ("safari", [Some((D::FairPlay, S::Cbcs, M::Hls)), None]),
            ("windows", [Some((D::PlayReady, S::Cenc, M::Dash)); 2]),
            ("xbox", [Some((D::PlayReady, S::Cenc, M::Dash)); 2]),
            ("tv", [Some((D::PlayReady, S::Cenc, M::Dash)); 2]),
            ("other", [Some((D::ClearKey, S::Cbcs, M::Dash)); 2]),
        ];
        assert_eq!(expected.len(), Platform::ALL.len());
        for (name, [of_both, of_cenc]) in expected {
            let platform = Platform::parse(name).expect(name);
            let played = |schemes: &[Scheme]| {
                let playable = platform.play(&policy, schemes);
                playable.map(|one| (one.dialect, one.scheme, one.manifest))
            };
            assert_eq!(played(&both), of_both, "{name}");
            // A title in `cenc` alone: the same system, or none.
            let in_cenc = of_cenc.map(|(dialect, _, manifest)| (dialect, S::Cenc, manifest));
            assert_eq!(played(&[S::Cenc]), in_cenc, "{name}");
            assert_eq!(played(&[]), None, "{name}");
        }
        assert_eq!(Platform::parse("toaster"), None);
    }

    #[test]
    fn clear_key_is_offered_only_where_the_policy_gives_it_a_key() {
        let closed = TitlePolicy { clearkey_max: None, ..TitlePolicy::default() };
        assert_eq!(Platform::Other.play(&closed, &Scheme::ALL), None);
        assert!(Platform::Android.play(&closed, &Scheme::ALL).is_some());
    }
}
