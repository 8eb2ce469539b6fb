import Hls, { type DRMSystemConfiguration } from "hls.js";
import { offer, offerTracks, sessionUrl, type TokenAnswer, video } from "./ticket";

/**
 * What hls.js must be told of a live event whose keys change: a Clear Key line of a playlist names
 * the key of one period, and only the media names the batch. So nothing is asked for a line alone;
 * the media is appended, and what it names is asked for, with the line's own key, since hls.js
 * gives a key up that the answer lacks, and the init names no key of a period.
 */
function keySystem(ticket: TokenAnswer): DRMSystemConfiguration {
  if (ticket.live !== true) return { licenseUrl: ticket.license.clearkey };
  return {
    licenseUrl: sessionUrl(ticket),
    generateRequest: (_type, initData, { decryptdata }) => {
      if (initData === null || decryptdata.keyId === null) {
        return { initDataType: "cenc", initData: null };
      }
      const named = new Set([...kidsOf(new Uint8Array(initData)), base64Url(decryptdata.keyId)]);
      const { buffer } = new TextEncoder().encode(JSON.stringify({ kids: [...named] }));
      return { initDataType: "keyids", initData: buffer };
    },
  };
}

/** The key ids of the first `pssh` (ISO/IEC 23001-7:2016, 8.1), which is the common system's. */
function kidsOf(pssh: Uint8Array): string[] {
  const [version, count] = [pssh[8], new DataView(pssh.buffer).getUint32(28)];
  if (version !== 1 || 32 + 16 * count > pssh.length) throw new Error("no pssh of version 1");
  return Array.from({ length: count }, (_, at) => {
    const begin = 32 + 16 * at;
    return base64Url(pssh.slice(begin, begin + 16));
  });
}

function base64Url(bytes: Uint8Array): string {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

offer((ticket, scheme) => {
  const master = scheme === "cenc" ? "master_cenc.m3u8" : "master.m3u8";
  const player = new Hls({
    emeEnabled: true,
    drmSystems: { "org.w3.clearkey": keySystem(ticket) },
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
