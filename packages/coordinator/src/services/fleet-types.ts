import type { FromAgent, Hello, Secrets, SecretsWant } from '@berth/shared/protocol/messages';
import type { FleetPort } from './fleet-port.ts';
import type { FleetStore } from './fleet-store.ts';

/** Answers what a host lacks: each value sealed to that host's key, and only what is desired there now. */
export type SecretDelivery = (host: string, want: SecretsWant['want']) => Promise<Secrets[]>;

export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
}

/** A structured log, as pino has it. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** One agent's socket as the fleet sees it; a WebSocket is one. */
export interface AgentConnection {
  /** When anything was last heard from it. */
  readonly heardAt: number;
  /** `sent` is called once the bytes have left this process, or with why they never will. */
  tell(text: string, sent?: (error?: Error | null) => void): void;
  close(code: number, reason: string): void;
  /** Stops and resumes reading from this agent. */
  pause(): void;
  resume(): void;
}

/** An authenticated agent's session. */
export interface FleetSession {
  readonly host: string;
  /** How long this agent may be silent. */
  readonly timeoutMs: number;
}

export type AgentMessage = Exclude<FromAgent, Hello>;

/** What the gateway needs of the fleet. */
export interface Fleet extends FleetPort {
  /**
   * Begins a session for an agent that said hello. `verify` checks its signature against the host's public key (SPKI
   * DER, base64). Null: not accepted. Errors: whatever the store threw; the agent then tries again later.
   */
  admit(
    connection: AgentConnection,
    hello: Hello,
    verify: (publicKey: string) => Promise<boolean>,
  ): Promise<FleetSession | null>;
  /** A message of an admitted agent, and its size on the wire. Returns why it breaks the protocol, or null. */
  receive(session: FleetSession, message: AgentMessage, bytes: number): string | null;
  /** The session's socket is closed. */
  left(session: FleetSession): void;
  stats(): FleetStats;
  /** Writes down what is known, as far as the store takes it, and stops all timers. */
  close(): Promise<void>;
}

export interface FleetStats {
  agents: number;
  /** Reports that wait to be written. */
  reportsWaiting: number;
  /** Hosts whose desired state waits to be sent. */
  changesWaiting: number;
  mode: 'apply' | 'observe';
  epoch: number;
}

export interface HeartbeatSettings {
  /** No agent pings more often than this. */
  minMs: number;
  /** Nor do all agents together ping more often than this. */
  pingsPerSecond: number;
}

export interface FleetOptions {
  store: FleetStore;
  clock: Clock;
  /** In [0, 1). */
  random(): number;
  log: Log;
  /** Answers what hosts lack; without it they are not answered. */
  secrets?: SecretDelivery;
  heartbeat?: Partial<HeartbeatSettings>;
  /** Changes and reports that come within this time are one read, one transaction. */
  tickMs?: number;
}
