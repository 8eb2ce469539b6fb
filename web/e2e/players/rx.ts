import RxPlayer from "rx-player";
import { offer, video } from "./ticket";

offer((ticket, scheme) => {
  const player = new RxPlayer({ videoElement: video() });
  // rx-player keeps its tracks to itself until one is chosen.
  const subtitles = () => player.getAvailableTextTracks().map(({ language }) => language);
  Object.assign(window, { subtitles });
  player.loadVideo({
    url: `${ticket.manifest.dash}?scheme=${scheme}`,
    transport: "dash",
    autoPlay: true,
    keySystems: [
      {
        type: "org.w3.clearkey",
        getLicense: async (challenge) => {
          const body = new Uint8Array(challenge);
          const answer = await fetch(ticket.license.clearkey, { method: "POST", body });
          if (!answer.ok) throw new Error(`license refused: ${answer.status}`);
          return answer.arrayBuffer();
        },
      },
    ],
  });
});
