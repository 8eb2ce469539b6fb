import { MediaPlayer } from "dashjs";
import { offer, video } from "./ticket";

offer((ticket, scheme) => {
  const player = MediaPlayer().create();
  player.initialize(video(), undefined, true);
  player.setProtectionData({ "org.w3.clearkey": { serverURL: ticket.license.clearkey } });
  player.attachSource(`${ticket.manifest.dash}?scheme=${scheme}`);
});
