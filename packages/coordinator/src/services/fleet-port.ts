import type { Answer, Question } from '@berth/shared/protocol/messages';

/** What the services ask of the connected agents. Nothing here waits for an agent except `ask`. */
export interface FleetPort {
  /** A commit changed this host's desired state: send it soon. Cheap; calls within one tick are one send. */
  changed(host: string): void;
  /** This host is enrolled no more: ends its session. */
  removed(host: string): void;
  /** Another coordinator has removed this host or bound a new key to it: ends a session that has not that key. */
  recheck(host: string): Promise<void>;
  /**
   * When a host is held because it alone knows more than we do: holds all of them in an epoch above its own, so that a
   * confirmation reaches it too. Otherwise it does nothing. Errors: the store's.
   */
  gatherHeld(): Promise<void>;
  /** The epoch or the mode changed (an operator confirmed): tell every connected agent. */
  modeChanged(): void;
  /**
   * Asks a connected agent. Errors: `host_offline` when it has no session, `timeout` when no answer came in time (which
   * means unknown, never failed), `unavailable` when the agent is older than the question.
   */
  ask(host: string, question: Question, timeoutMs: number): Promise<Answer>;
  online(host: string): boolean;
  /** Whose releases a pool runs was set: tells its connected hosts soon. */
  signersChanged(pool: string): void;
}
