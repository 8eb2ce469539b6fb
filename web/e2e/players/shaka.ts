import shaka from "shaka-player/dist/shaka-player.dash-es2021.js";
import { offer, sessionUrl, video } from "./ticket";

offer((ticket, scheme) => {
  const player = new shaka.Player();
  player.addEventListener("error", (event: Event) => {
    console.error(`Shaka: ${"detail" in event ? JSON.stringify(event.detail) : event.type}`);
  });
  player.configure({ drm: { servers: { "org.w3.clearkey": sessionUrl(ticket) } } });
  const play = async () => {
    await player.attach(video());
    await player.load(`${ticket.manifest.dash}?scheme=${scheme}`);
  };
  play().catch((error: unknown) => console.error(`Shaka: ${JSON.stringify(error)}`));
});
