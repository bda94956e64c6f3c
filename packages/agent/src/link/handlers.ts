import type { z } from 'zod';
import type {
  Answer,
  Desired,
  Hello,
  Question,
  Secrets,
  SecretsWant,
  Signers,
  SignersAck,
} from '@berth/shared/protocol/messages';
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

/** Takes what the coordinator wants; the room that decides on it is behind this. */
export interface StateReceiver {
  desired(
    message: z.infer<typeof Desired>,
  ): Promise<{ kind: 'nothing' } | { kind: 'send'; message: object } | { kind: 'broken'; message: string }>;
  mode(epoch: number, mode: AgentMode): Promise<void>;
}

/** What this host lacks of the tenants' secrets, and where what comes goes to. */
export interface SecretLink {
  wants(): SecretsWant[];
  /** Called when there is something new to ask for; answers the way to stop it. */
  onWanting(listener: () => void): () => void;
  receive(message: Secrets): Promise<void>;
}

export interface LinkOptions {
  /** Base address of the coordinator. */
  url: string;
  state: AgentState;
  outbox: OutgoingReports;
  /** Called at the beginning of each session. */
  receiver(): StateReceiver;
  onOnline?(): void;
  onOffline?(): void;
  facts(): HelloFacts | Promise<HelloFacts>;
  secrets?: SecretLink;
  /** Takes what the coordinator hands on of whose releases run here; answers what holds. */
  signers?(message: Signers): Promise<SignersAck>;
  /** Answers a question; it changes nothing on the host. The signal aborts when nobody waits any more. */
  answer(question: Question, signal: AbortSignal): Promise<Answer>;
  clock: Clock;
  /** In [0, 1). */
  random(): number;
  log: Log;
}
