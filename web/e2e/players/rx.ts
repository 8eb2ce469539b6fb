import RxPlayer from "rx-player";
import { offer, offerTracks, ofLanguage, overlay, sessionUrl, video } from "./ticket";

offer((ticket, scheme) => {
  const player = new RxPlayer({ videoElement: video() });
  player.addEventListener("error", ({ message }) => console.error(`rx-player: ${message}`));
  // A choice is of one period, and the next ones are there only some time before they play.
  let [audio, subtitles] = ["", ""];
  const apply = () => {
    for (const { id: periodId } of player.getAvailablePeriods()) {
      if (audio !== "") {
        const { id: trackId } = ofLanguage(player.getAvailableAudioTracks(periodId), audio);
        player.setAudioTrack({ trackId, periodId });
      }
      if (subtitles !== "") {
        const { id: trackId } = ofLanguage(player.getAvailableTextTracks(periodId), subtitles);
        player.setTextTrack({ trackId, periodId });
      }
    }
  };
  player.addEventListener("newAvailablePeriods", apply);
  offerTracks({
    audio: () => player.getAvailableAudioTracks().map(({ language }) => language),
    chooseAudio: (language) => {
      audio = language;
      apply();
    },
    subtitles: () => player.getAvailableTextTracks().map(({ language }) => language),
    chooseSubtitles: (language) => {
      subtitles = language;
      apply();
    },
    thumbnailWidth: async (time) => {
      const container = document.createElement("div");
      await player.renderThumbnail({ container, time });
      const picture = container.querySelector("canvas, img");
      return picture === null ? null : Number(picture.getAttribute("width"));
    },
  });
  player.loadVideo({
    url: `${ticket.manifest.dash}?scheme=${scheme}`,
    transport: "dash",
    autoPlay: true,
    textTrackMode: "html",
    textTrackElement: overlay(),
    keySystems: [
      {
        type: "org.w3.clearkey",
        // Every license carries the keys of all tracks, so that of two inits that come together
        // the second waits for the answer to the first, and needs none of its own.
        singleLicensePer: "periods",
        getLicense: async (challenge) => {
          const body = new Uint8Array(challenge);
          const url = ticket.live === true ? sessionUrl(ticket) : ticket.license.clearkey;
          const answer = await fetch(url, { method: "POST", body });
          if (!answer.ok) throw new Error(`license refused: ${answer.status}`);
          return answer.arrayBuffer();
        },
      },
    ],
  });
});
