import type { DesiredState } from '@berth/shared/domain/desired';
import type { Answer, Hello, Question } from '@berth/shared/protocol/messages';
import type { AgentMode } from '../state/desired.ts';
import type { AgentState } from '../state/open.ts';
import type { Clock, Log } from '../state/ports.ts';

/** What the hello tells about this host. */
export type HelloFacts = Pick<Hello, 'agentVersion' | 'bootId' | 'capacity' | 'facts' | 'ingress'>;

/** The part of the outbox that a session needs. */
export interface OutgoingReports {
  next(): { seq: number; text: string } | null;
  acknowledge(seq: number): void;
  restart(): void;
  onWaiting(listener: () => void): () => void;
}

/** What the link tells the loop. All of it is synchronous and only wakes the loop. */
export interface LinkHandlers {
  /** A new desired state is on disk. `orphans` are named by nobody any more and are left running. */
  onDesired(next: DesiredState, changed: readonly string[], orphans: readonly string[]): void;
  /** A new desired state could not be kept on disk, so it is not in force; the coordinator sends it again. */
  onUnwritable?(refused: DesiredState, changed: readonly string[], why: string): void;
  /** Whether to act on the desired state, or only to report. */
  onMode(mode: AgentMode): void;
  onOnline?(): void;
  onOffline?(): void;
  /** The coordinator began a new epoch: it may know less than it did, so report everything once more. */
  onNewEpoch?(): void;
}

export interface LinkOptions extends LinkHandlers {
  /** Base address of the coordinator. */
  url: string;
  state: AgentState;
  outbox: OutgoingReports;
  facts(): HelloFacts;
  /** Answers a question; it changes nothing on the host. The signal aborts when nobody waits any more. */
  answer(question: Question, signal: AbortSignal): Promise<Answer>;
  clock: Clock;
  /** In [0, 1). */
  random(): number;
  log: Log;
}
