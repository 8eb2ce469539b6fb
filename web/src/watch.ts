// The watch page: from its address to a playing picture, or to the reason why not.

import { element, showRefusal } from "./dom";
import { chooseScheme, playableSchemes } from "./player/capability";
import { AskAhead } from "./player/ask-ahead";
import { Controls } from "./player/controls";
import { Heartbeat } from "./player/heartbeat";
import { LicenseDesk } from "./player/license-desk";
import { classesText, expiryText, levelText, type LicenseState } from "./player/license-state";
import { Renewal } from "./player/renewal";
import { KEPT_SCHEME, Screen } from "./player/screen";
import { isKept, keptScreen } from "./offline/kept-screen";
import { offerDownload } from "./offline/panel";
import { stateText } from "./offline/words";
import { abandon, farewell, heartbeat, playbackTicket, request, titles } from "./service/api";
import type { PlayerReport } from "./service/api";
import { Refusal } from "./service/problem";
import { PAGE_PORTS, persist } from "./service/retry";
import { signInPath } from "./service/return-path";
import { isStale, type Ticket } from "./service/ticket";
import { clockTime } from "./time";

/** Nearer to the start or the end than this, nobody wants to resume, seconds. */
const RESUME_MARGIN_S = 5;

/** How often "ends in" is written anew. */
const PANEL_REFRESH_MS = 15_000;

/** The parameter of the page that plays what is downloaded, with or without network. */
const KEPT = "kept";

const video = element("video", HTMLVideoElement);
const message = element("message", HTMLDivElement);
const status = element("status", HTMLParagraphElement);
const busy = element("busy", HTMLDivElement);

export async function watchPage(): Promise<void> {
  const contentId = decodeURIComponent(location.pathname.split("/")[2] ?? "");
  void showTitle(contentId);
  const wantsKept = new URLSearchParams(location.search).has(KEPT);
  if (wantsKept || (!navigator.onLine && (await isKept(contentId)))) return watchKept(contentId);
  try {
    const scheme = chooseScheme(
      new URLSearchParams(location.search).get("scheme"),
      await playableSchemes(),
    );
    let ticket = await newTicket(contentId);
    const startS = ticket.isLive ? null : await offerResume(ticket.resumeS);
    // The viewer may have thought it over for longer than the slot was kept.
    if (isStale(ticket, Date.now())) ticket = await newTicket(contentId);
    const manifest = new URL(ticket.manifestUrl);
    if (scheme !== null) manifest.searchParams.set("scheme", scheme);
    await new Viewing(contentId, ticket).play(manifest.href, startS);
  } catch (error) {
    // Only the token call answers 401 here: nobody is signed in, or not any more.
    if (error instanceof Refusal && error.status === 401) {
      location.replace(signInPath(location.pathname + location.search));
    } else if (error instanceof Refusal && error.status === 0 && (await isKept(contentId))) {
      await watchKept(contentId);
    } else {
      refuse(error);
    }
  }
}

/** Plays what is downloaded: nothing is asked of the service, and no stream slot is taken. */
async function watchKept(contentId: string): Promise<void> {
  let controls: Controls | undefined;
  let end = async (): Promise<void> => undefined;
  busy.hidden = false;
  try {
    const { screen, record } = await keptScreen(contentId, video, {
      tracksChanged: () => controls?.showTracks(),
      buffering: (isBuffering) => (busy.hidden = !isBuffering),
      failed: (refusal) => {
        element("controls", HTMLDivElement).hidden = true;
        refuse(refusal);
        void end();
      },
      namedKeys: () => undefined,
    });
    end = () => screen.close();
    element("title", HTMLHeadingElement).textContent = record.name;
    document.title = `${record.name} · Strongroom`;
    await screen.load(`${KEPT_SCHEME}://${contentId}/manifest.mpd`, 0);
    busy.hidden = true;
    status.textContent = stateText(record, Date.now());
    controls = new Controls(video, screen);
    await video.play().catch(() => undefined);
  } catch (error) {
    refuse(error);
    await end();
  }
}

/** One viewing: the player, its license and its heartbeat, from start to end. */
class Viewing {
  readonly #desk: LicenseDesk;
  readonly #screen: Screen;
  readonly #heartbeat: Heartbeat;
  readonly #renewal: Renewal;
  readonly #askAhead: AskAhead;
  #controls: Controls | undefined;
  #hasEnded = false;

  constructor(
    private readonly contentId: string,
    ticket: Ticket,
  ) {
    this.#desk = new LicenseDesk(
      ticket,
      {
        ...PAGE_PORTS,
        post: (url, challenge) => request(url, licenseInit(challenge)),
        freshTicket: () => playbackTicket(contentId),
      },
      {
        granted: (state) => this.#licenseGranted(state),
        scheduled: (afterS) => {
          // The next keys come with a license of their own: none is renewed beside it.
          this.#renewal.stop();
          void this.#askAhead.plan(afterS);
        },
        waiting: showWaiting,
      },
    );
    this.#screen = new Screen(video, (challenge) => this.#desk.acquire(challenge), {
      tracksChanged: () => this.#controls?.showTracks(),
      buffering: (isBuffering) => (busy.hidden = !isBuffering),
      failed: (refusal) => void this.#end(refusal),
      namedKeys: (initData) => this.#askAhead.saw(initData),
    });
    this.#askAhead = new AskAhead(PAGE_PORTS, (initData) => this.#screen.askFor(initData));
    this.#heartbeat = new Heartbeat(
      {
        report,
        send: (state) => heartbeat(this.#desk.ticket.heartbeatUrl, state),
        ended: (refusal) => void this.#end(refusal),
      },
      ticket.heartbeatIntervalS,
    );
    this.#renewal = new Renewal(
      PAGE_PORTS,
      () => this.#desk.renew(),
      (refusal) => void this.#end(refusal),
    );
  }

  async play(manifestUrl: string, startS: number | null): Promise<void> {
    busy.hidden = false;
    this.#farewellOnLeave();
    try {
      await this.#screen.load(manifestUrl, startS);
    } catch (error) {
      await this.#end(error);
      return;
    }
    if (this.#hasEnded) return;
    busy.hidden = true;
    status.textContent = "";
    this.#controls = new Controls(video, this.#screen);
    this.#reportChanges();
    this.#offerDownload();
    // Where the browser wants a gesture first, the play button waits for it.
    await video.play().catch(() => undefined);
  }

  /** Where the browser can keep the title. What is live cannot be kept by any. */
  #offerDownload(): void {
    const { dialects, isLive, rotates } = this.#desk.ticket;
    if (isLive || rotates) return;
    void offerDownload({
      contentId: this.contentId,
      dialects,
      codecs: this.#screen.codecs(),
      name: () => element("title", HTMLHeadingElement).textContent ?? this.contentId,
    });
  }

  #reportChanges(): void {
    let isOver = false;
    video.addEventListener("pause", () => void this.#heartbeat.beat());
    video.addEventListener("ended", () => {
      // The report of the end frees the slot.
      isOver = true;
      void this.#heartbeat.beat();
      this.#heartbeat.stop();
    });
    video.addEventListener("play", () => {
      if (!isOver) return this.#heartbeat.start();
      isOver = false;
      this.#desk.reopen().then(
        () => this.#heartbeat.start(),
        (refusal: unknown) => this.#end(refusal),
      );
    });
  }

  #farewellOnLeave(): void {
    addEventListener("pagehide", () => {
      if (!this.#hasEnded) this.#freeSlot();
    });
    // Brought back out of the browser's memory, the page has no slot any more.
    addEventListener("pageshow", (event) => {
      if (event.persisted) location.reload();
    });
  }

  #freeSlot(): void {
    const { sessionId, heartbeatUrl } = this.#desk.ticket;
    if (this.#controls === undefined) abandon(sessionId);
    else farewell(heartbeatUrl, { ...report(), state: "stopped" });
  }

  #licenseGranted(state: LicenseState): void {
    status.textContent = "";
    showLicense(state);
    if (state.expiresMs !== null) void this.#renewal.plan(state.expiresMs);
  }

  async #end(reason: unknown): Promise<void> {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#heartbeat.stop();
    this.#renewal.stop();
    this.#askAhead.stop();
    this.#freeSlot();
    element("controls", HTMLDivElement).hidden = true;
    refuse(reason);
    await this.#screen.close();
  }
}

function newTicket(contentId: string): Promise<Ticket> {
  return persist(() => playbackTicket(contentId), PAGE_PORTS, showWaiting);
}

/** The session form of the license URL is opened by the sign-in cookie. */
function licenseInit(challenge: ArrayBuffer): RequestInit {
  return {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: challenge,
    credentials: "include",
  };
}

function report(): PlayerReport {
  // A film seen to its end begins anew next time.
  if (video.ended) return { position_s: 0, state: "stopped" };
  const state = video.paused ? "paused" : "playing";
  return { position_s: Math.floor(video.currentTime), state };
}

/** Lets the viewer choose where to begin; answers at once when there is nothing to choose. */
function offerResume(resumeS: number): Promise<number> {
  if (resumeS < RESUME_MARGIN_S) return Promise.resolve(0);
  const offer = element("offer", HTMLDivElement);
  const resume = element("resume", HTMLButtonElement);
  const restart = element("restart", HTMLButtonElement);
  resume.textContent = `Resume at ${clockTime(resumeS)}`;
  offer.hidden = false;
  busy.hidden = true;
  resume.focus();
  return new Promise((choose) => {
    const take = (startS: number) => {
      offer.hidden = true;
      choose(startS);
    };
    resume.addEventListener("click", () => take(resumeS), { once: true });
    restart.addEventListener("click", () => take(0), { once: true });
  });
}

function refuse(reason: unknown): void {
  if (!(reason instanceof Refusal)) throw reason;
  busy.hidden = true;
  status.textContent = "";
  showRefusal(message, reason);
  const again = document.createElement("button");
  again.type = "button";
  again.className = "quiet";
  again.textContent = "Try again";
  again.addEventListener("click", () => location.reload());
  message.append(again);
}

function showWaiting(retry: number, delayMs: number): void {
  const seconds = Math.max(1, Math.round(delayMs / 1000));
  status.textContent = `The service is busy. Trying again in ${seconds} s (${retry} of 3).`;
}

async function showTitle(contentId: string): Promise<void> {
  // Only a name: whatever goes wrong here shows itself with the ticket.
  const found = await titles().catch(() => []);
  const name = found.find((title) => title.contentId === contentId)?.name ?? contentId;
  element("title", HTMLHeadingElement).textContent = name;
  document.title = `${name} · Strongroom`;
}

let panelTimer: ReturnType<typeof setInterval> | undefined;

function showLicense(state: LicenseState): void {
  element("license", HTMLElement).hidden = false;
  element("license-level", HTMLElement).textContent = levelText(state);
  element("license-classes", HTMLElement).textContent = classesText(state);
  const expiry = element("license-expiry", HTMLElement);
  const write = () => (expiry.textContent = expiryText(state, Date.now()));
  write();
  clearInterval(panelTimer);
  panelTimer = setInterval(write, PANEL_REFRESH_MS);
}
