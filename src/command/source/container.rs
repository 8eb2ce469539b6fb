//! Which container a source is, by its first bytes: names lie, and what is not known here never
//! reaches another program.

use media::Input;

/// A container that can be read, ours or by ffmpeg.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// ISO base media and QuickTime: read by the packager itself.
    Mp4,
    /// MPEG-TS (ISO/IEC 13818-1) in packets of 188 bytes, or longer ones around them.
    MpegTs {
        /// Bytes from one packet to the next.
        stride: u64,
    },
    /// Matroska and WebM (RFC 9559).
    Matroska,
    /// AVI.
    Avi,
    /// Flash Video.
    Flv,
}

/// Packets that must begin where they should: five in a row are no accident.
const PACKETS: u64 = 5;

impl Container {
    /// The container of a source; `None` for what is none of these, and for what cannot be read.
    pub fn of(input: &mut dyn Input) -> Option<Self> {
        let mut head = [0; 2048];
        let there = usize::try_from(input.len()).unwrap_or(usize::MAX).min(head.len());
        let head = head.get_mut(..there)?;
        input.read_at(0, head).ok()?;
        Self::of_head(head)
    }

    fn of_head(head: &[u8]) -> Option<Self> {
        const FIRST_BOXES: [&[u8]; 9] =
            [b"ftyp", b"styp", b"moov", b"mdat", b"free", b"skip", b"wide", b"pdin", b"uuid"];
        let at = |offset: usize, bytes: &[u8]| {
            head.get(offset..).is_some_and(|rest| rest.starts_with(bytes))
        };
        if FIRST_BOXES.iter().any(|kind| at(4, kind)) {
            return Some(Self::Mp4);
        }
        if at(0, b"\x1a\x45\xdf\xa3") {
            return Some(Self::Matroska);
        }
        if at(0, b"RIFF") && at(8, b"AVI ") {
            return Some(Self::Avi);
        }
        if at(0, b"FLV\x01") {
            return Some(Self::Flv);
        }
        // As broadcast; with a time stamp in front (Blu-ray); with a checksum behind.
        let is_ts = |first: u64, stride: u64| {
            let mut packets = (0..PACKETS).map(|packet| first + packet * stride);
            packets.all(|offset| usize::try_from(offset).is_ok_and(|offset| at(offset, b"\x47")))
        };
        [(0, 188), (4, 192), (0, 204)]
            .into_iter()
            .find(|(first, stride)| is_ts(*first, *stride))
            .map(|(_, stride)| Self::MpegTs { stride })
    }

    /// ffmpeg's name for what reads it, so that ffmpeg guesses nothing.
    pub const fn demuxer(self) -> &'static str {
        match self {
            Self::Mp4 => "mov",
            Self::MpegTs { .. } => "mpegts",
            Self::Matroska => "matroska",
            Self::Avi => "avi",
            Self::Flv => "flv",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_tell_and_names_do_not() {
        let mut ts = [0xff_u8; 188 * 6];
        let mut bluray = [0xff_u8; 192 * 6];
        for packet in 0..6 {
            *ts.get_mut(packet * 188).unwrap() = 0x47;
            *bluray.get_mut(packet * 192 + 4).unwrap() = 0x47;
        }
        let of = |mut bytes: &[u8]| Container::of(&mut bytes);
        assert_eq!(of(&ts), Some(Container::MpegTs { stride: 188 }));
        assert_eq!(of(&bluray), Some(Container::MpegTs { stride: 192 }));
        assert_eq!(of(b"\0\0\0\x20ftypisom"), Some(Container::Mp4));
        assert_eq!(of(b"\x1a\x45\xdf\xa3\x93"), Some(Container::Matroska));
        assert_eq!(of(b"RIFF\0\0\0\0AVI LIST"), Some(Container::Avi));
        assert_eq!(of(b"FLV\x01\x05"), Some(Container::Flv));
    }

    #[test]
    fn what_makes_ffmpeg_read_other_files_is_no_container() {
        let of = |mut bytes: &[u8]| Container::of(&mut bytes);
        for text in [
            "#EXTM3U\n#EXTINF:1,\n/etc/passwd\n",
            "ffconcat version 1.0\nfile x\n",
            "v=0\r\no=-",
            "",
        ] {
            assert_eq!(of(text.as_bytes()), None, "{text}");
        }
        assert_eq!(of(&[0x47; 100]), None);
        assert_eq!(of(b"RIFF\0\0\0\0WAVE"), None);
    }
}
