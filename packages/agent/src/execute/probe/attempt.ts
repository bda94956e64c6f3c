import type { ProbeRow, ProbeVerdict } from '@berth/shared/domain/probe';
import type { Call } from './program.ts';

/** One file in the probe's image. Several attempts may be told by one. */
export interface Program {
  /** Its name. */
  id: string;
  /** Which container runs it: as root, which is the worst that an image can ask for, or as nobody. */
  who: 'root' | 'nobody';
  calls: readonly Call[];
  /** The same with more time for answers, for a host that is slow and for a second try. */
  patient?: readonly Call[];
  /** After the last call go on at this one, for ever: a server. */
  again?: number;
}

/** What an attempt aims at over the network: whatever comes back means something only while that is there. */
export type Target =
  /** An address of this host. `passing`: on a link of somebody else's, who may take it down at any time. */
  | { kind: 'host'; address: string; stays: 'certain' | 'passing' }
  /** A container of the probe's: of the same tenant, or of the other. */
  | { kind: 'container'; whose: 'own' | 'other' }
  /** The machine beyond the host. */
  | { kind: 'beyond' }
  /** Nothing that comes or goes with this host. */
  | { kind: 'elsewhere' };

/** One thing that a process in a tenant's container tries. */
export interface Attempt {
  id: string;
  area: ProbeRow['area'];
  tried: string;
  expected: string;
  program: Program;
  /** Where the program tells of several: which of its results are of this one, in the order of its calls. */
  results?: readonly number[];
  /** Without one the kernel alone answers, and what succeeds once is open. */
  target?: Target;
  /** Attempts of one group are one row: `tried` says what differs. */
  group?: string;
  judge(result: AttemptResult): ProbeVerdict;
}

export interface AttemptResult {
  /** The error number, 0 for success, `NOTHING`; null when it did not end. */
  code: number | null;
  /** What it wrote, in hexadecimal digits. */
  output: string;
}

export const REFUSED = 111;

/** It may not succeed, whatever the error. */
export const mustFail: Attempt['judge'] = ({ code }) =>
  code === null ? 'untried' : code === 0 ? 'open' : 'held';
/** A refused connection came as far as the other side's kernel, so it counts as reached. */
export const mustNotReach: Attempt['judge'] = ({ code }) =>
  code === null ? 'untried' : code === 0 || code === REFUSED ? 'open' : 'held';
export const mustWork: Attempt['judge'] = ({ code }) =>
  code === null ? 'untried' : code === 0 ? 'held' : 'broken';

/** All programs of these attempts, each once. */
export function programsOf(attempts: readonly Attempt[]): Program[] {
  return [...new Set(attempts.map((each) => each.program))];
}
