import type { AgentConnection, FleetSession } from './fleet-types.ts';

/** One connected agent. There may be ten thousand: a few words each, no timers, no closures. */
export class Session implements FleetSession {
  readonly host: string;
  readonly connection: AgentConnection;
  readonly heartbeatMs: number;
  readonly timeoutMs: number;
  /** The key that it came with. */
  readonly publicKey: string;
  /** The mode this agent was told last. */
  told: 'apply' | 'observe';
  /** The revision that was sent last, in the fleet's epoch; null: the agent needs all of its state. */
  cursor: number | null = null;
  /** A state in several parts is on its way; until it has left, nothing else is sent. */
  sending = false;
  /** Full states refused in a row. */
  refusals = 0;
  paused = false;
  closed = false;
  /** Which version of its pool's signers it has, 0 for none; null: it knows nothing of that. */
  signers: number | null = null;
  pool = '';
  /** Questions without an answer yet. */
  asked = 0;
  /** Wants of secrets that are being answered. */
  wanting = 0;

  constructor(
    host: string,
    connection: AgentConnection,
    heartbeat: { heartbeatMs: number; timeoutMs: number },
    told: 'apply' | 'observe',
    publicKey: string,
  ) {
    this.publicKey = publicKey;
    this.host = host;
    this.connection = connection;
    this.heartbeatMs = heartbeat.heartbeatMs;
    this.timeoutMs = heartbeat.timeoutMs;
    this.told = told;
  }
}
