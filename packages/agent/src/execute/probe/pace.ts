/** How long things may take, as this host is now. */
export interface Pace {
  /** Which of a program's two forms: the one that waits longer for answers is for a slow host. */
  answers: 'quick' | 'patient';
  /** Seconds until a program that does not end is ended. */
  limitS: number;
}

/** Before anything was measured: patient, so that what must work is not taken for broken. */
export const UNKNOWN_PACE: Pace = { answers: 'patient', limitS: 20 };

const SLOW_MS = 1_500;
const LEAST_S = 6;
const MOST_S = 20;

/**
 * What the time of the first run tells: a handful of programs whose answers come at once, so that nothing of it is
 * waiting but for the host.
 */
export function paceOf(ms: number): Pace {
  const limitS = Math.min(MOST_S, Math.max(LEAST_S, Math.ceil((ms * 8) / 1000)));
  return { answers: ms > SLOW_MS ? 'patient' : 'quick', limitS };
}

/** For what did not end: more time, whatever was measured. */
export function slower(pace: Pace): Pace {
  return { answers: 'patient', limitS: Math.min(MOST_S, Math.max(12, 2 * pace.limitS)) };
}
