// Refusals: the service's problem documents (RFC 9457) as sentences for the viewer.

/** A request that was not granted, with the words to show. */
export class Refusal extends Error {
  /** What the viewer reads. */
  readonly sentence: string;
  /** The service's stable code, or one of our own (`network`, `unexpected_answer`). */
  readonly code: string;
  /** Names the request in the service's log. */
  readonly correlationId: string | undefined;
  /** HTTP status; 0 when no answer came; `null` when the page itself refuses. */
  readonly status: number | null;
  /** The `Retry-After` header as it came. */
  readonly retryAfter: string | null;

  constructor(facts: {
    sentence: string;
    code: string;
    status: number | null;
    correlationId?: string | undefined;
    retryAfter?: string | null;
  }) {
    super(facts.code);
    this.sentence = facts.sentence;
    this.code = facts.code;
    this.status = facts.status;
    this.correlationId = facts.correlationId;
    this.retryAfter = facts.retryAfter ?? null;
  }

  /** Whether the same request may be granted in a moment. */
  get isTransient(): boolean {
    return this.status !== null && [0, 429, 502, 503, 504].includes(this.status);
  }

  /** The small line under the sentence: code, then the id to give to support. */
  get reference(): string {
    return this.correlationId === undefined ? this.code : `${this.code} · ${this.correlationId}`;
  }
}

/** What the viewer reads when every retry was refused (requirement R164). */
export const UNAVAILABLE = "Playback unavailable, try again shortly";

/** The refusal to show once a transient one has outlasted its retries. */
export function unavailable(last: Refusal): Refusal {
  // Without any answer the fault may be the viewer's own connection: say that instead.
  if (last.status === 0) return last;
  return new Refusal({
    sentence: UNAVAILABLE,
    code: last.code,
    status: last.status,
    correlationId: last.correlationId,
    retryAfter: last.retryAfter,
  });
}

/** No answer came: connection lost, name not found, blocked. */
export function networkRefusal(): Refusal {
  return new Refusal({
    sentence: "The service cannot be reached. Check your connection and try again.",
    code: "network",
    status: 0,
  });
}

/** An answer of success that is not what the contract says. */
export function unexpectedAnswer(status: number): Refusal {
  return new Refusal({
    sentence: "The service gave an answer this page does not understand.",
    code: "unexpected_answer",
    status,
  });
}

/** Longest sentence shown; a longer one is not one of ours. */
const MAX_SENTENCE_CHARS = 400;

/** Makes the refusal of an answer: `body` is a problem document, or anything else. */
export function refusalOf(
  status: number,
  body: string,
  header: (name: string) => string | null,
): Refusal {
  const problem = parseObject(body);
  const detail = text(problem["detail"]) ?? text(problem["title"]);
  return new Refusal({
    sentence:
      detail !== undefined && detail.length <= MAX_SENTENCE_CHARS
        ? detail
        : `The service refused this request (${status}).`,
    code: text(problem["code"]) ?? `http_${status}`,
    status,
    correlationId: text(problem["correlation_id"]) ?? header("X-Correlation-Id") ?? undefined,
    retryAfter: header("Retry-After"),
  });
}

function parseObject(body: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}
