/** When to try again. Pure: the randomness and how the last session went are arguments. */
export interface ReconnectState {
  /** Tries since the last stable session. */
  attempt: number;
}

export interface ReconnectLimits {
  baseMs: number;
  capMs: number;
}

/** How a try or a session came to its end. */
export type SessionEnd =
  /** No session came about: nothing answered, or what answered was not a coordinator. */
  | { kind: 'failed' }
  /** A newer session of the same host has taken over; two agents must not fight for one identity. */
  | { kind: 'superseded' }
  /** The coordinator does not know this host or key. Only a person can change that. */
  | { kind: 'refused' }
  /** The coordinator said that it goes away: everybody comes back at once, so spread them. */
  | { kind: 'going-away' }
  /** Cut after this many milliseconds of a working session. */
  | { kind: 'lost'; afterMs: number };

export const FIRST_LIMITS: ReconnectLimits = { baseMs: 1000, capMs: 30_000 };
/** A session that lasted this long proves that the coordinator is well. */
export const STABLE_MS = 30_000;
export const SUPERSEDED_MS = 60_000;
const AT_LEAST_MS = 50;

export const START: ReconnectState = { attempt: 0 };

/** `random` is in [0, 1). The delay is between 50 ms and the cap, but for `superseded`: one to two minutes. */
export function afterEnd(
  state: ReconnectState,
  end: SessionEnd,
  limits: ReconnectLimits,
  random: number,
): { state: ReconnectState; delayMs: number } {
  const cap = Math.max(limits.capMs, AT_LEAST_MS);
  const jitter = (ceiling: number): number =>
    Math.round(Math.max(AT_LEAST_MS, Math.min(cap, ceiling) * random));
  switch (end.kind) {
    case 'superseded':
      return { state: START, delayMs: Math.round(SUPERSEDED_MS * (1 + random)) };
    case 'refused':
      return { state, delayMs: Math.round(Math.max(AT_LEAST_MS, cap * (0.5 + random / 2))) };
    case 'going-away':
      return { state: { attempt: 1 }, delayMs: jitter(limits.baseMs * 2) };
    case 'failed':
    case 'lost': {
      const stable = end.kind === 'lost' && end.afterMs >= STABLE_MS;
      const attempt = stable ? 0 : state.attempt;
      // 2^20 is beyond any cap; the bound keeps the number finite after days.
      return {
        state: { attempt: Math.min(attempt + 1, 20) },
        delayMs: jitter(limits.baseMs * 2 ** attempt),
      };
    }
  }
}
