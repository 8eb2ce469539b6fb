//! Ids and words of the model, and platforms: what is read is written back as the same name.

use model::{
    ArtFile, ArtKind, ContentId, Country, Dialect, ImageFormat, KeyId, KeyState, ObjectPath,
    PlanName, PolicyName, Scheme, SecurityLevel, SignInId, Subscription, TitleDescription,
    TrackClass,
};
use playback::platform::Platform;

/// Reads `bytes` as every kind of name.
pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Ok(id) = ContentId::parse(text) {
        assert_eq!(id.as_str(), text);
    }
    if let Ok(path) = ObjectPath::parse(text) {
        assert_eq!(path.as_str(), text);
    }
    if let Ok(kid) = KeyId::parse(text) {
        assert_eq!(KeyId::parse(&kid.to_string()), Ok(kid));
    }
    let _ = KeyId::parse_base64url(text);
    let _ = (PlanName::parse(text), SignInId::parse(text), Country::parse(text));
    let _ = (Dialect::parse(text), Scheme::parse(text), TrackClass::parse(text));
    let _ = (PolicyName::parse(text), SecurityLevel::parse(text));
    if let Some(platform) = Platform::parse(text) {
        assert_eq!(platform.name(), text);
    }
    let _ = (KeyState::parse(text), Subscription::parse(text));
    let _ = (ArtKind::parse(text), ImageFormat::parse(text));
    if let Some(file) = ArtFile::parse(text) {
        assert_eq!(file.to_string(), text);
    }
    if let Ok(description) = TitleDescription::parse(text) {
        assert_eq!(description.check(), Ok(()));
    }
}
