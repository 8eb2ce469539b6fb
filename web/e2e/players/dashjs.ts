import { MediaPlayer } from "dashjs";
import { offer, video } from "./ticket";

offer((ticket, scheme) => {
  const player = MediaPlayer().create();
  player.initialize(video(), undefined, true);
  // What else the player lists, for the test to ask.
  Object.assign(window, { imageTracks: () => player.getTracksFor("image").length });
  player.setProtectionData({ "org.w3.clearkey": { serverURL: ticket.license.clearkey } });
  player.attachSource(`${ticket.manifest.dash}?scheme=${scheme}`);
});
