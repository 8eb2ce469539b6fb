import { MediaPlayer } from "dashjs";
import type { Thumbnail } from "dashjs";
import { offer, offerTracks, ofLanguage, overlay, video } from "./ticket";

offer((ticket, scheme) => {
  const player = MediaPlayer().create();
  player.initialize(video(), undefined, true);
  player.setProtectionData({ "org.w3.clearkey": { serverURL: ticket.license.clearkey } });
  player.attachTTMLRenderingDiv(overlay());
  const languages = (type: "audio" | "text") =>
    player.getTracksFor(type).map(({ lang }) => lang ?? "und");
  offerTracks({
    audio: () => languages("audio"),
    chooseAudio: (language) =>
      player.setCurrentTrack(ofLanguage(player.getTracksFor("audio"), language)),
    subtitles: () => languages("text"),
    chooseSubtitles: (language) => {
      player.enableText(true);
      player.setTextTrack(languages("text").indexOf(language));
    },
    thumbnailWidth: (seconds) =>
      new Promise((give) => {
        player.provideThumbnail(seconds, (found: Thumbnail | null) => give(found?.width ?? null));
      }),
  });
  player.attachSource(`${ticket.manifest.dash}?scheme=${scheme}`);
});
