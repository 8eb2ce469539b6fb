import Hls from "hls.js";
import { offer, offerTracks, video } from "./ticket";

offer((ticket, scheme) => {
  const master = scheme === "cenc" ? "master_cenc.m3u8" : "master.m3u8";
  const player = new Hls({
    emeEnabled: true,
    drmSystems: { "org.w3.clearkey": { licenseUrl: ticket.license.clearkey } },
  });
  player.on(Hls.Events.ERROR, (_event, error) => {
    if (error.fatal) console.error(`hls.js: ${error.type} ${error.details} ${error.error.message}`);
  });
  const languages = (tracks: readonly { lang?: string }[]) => tracks.map(({ lang }) => lang ?? "und");
  offerTracks({
    audio: () => languages(player.audioTracks),
    chooseAudio: (language) => (player.audioTrack = languages(player.audioTracks).indexOf(language)),
    subtitles: () => languages(player.subtitleTracks),
    chooseSubtitles: (language) => {
      player.subtitleDisplay = true;
      player.subtitleTrack = languages(player.subtitleTracks).indexOf(language);
    },
    thumbnailWidth: () => Promise.resolve(null),
  });
  player.loadSource(new URL(master, ticket.manifest.hls).href);
  player.attachMedia(video());
});
