import type { Duplex } from 'node:stream';
import { unreachable } from '@berth/shared/domain/errors';
import type { AgentConnection, FleetSession } from '../services/fleet-types.ts';
import { FrameReader, type FrameSink } from './frame-reader.ts';
import { controlFrame, writeText } from './frames.ts';

/**
 * Who is on the way out is read for a while, so that it can read our goodbye before the connection breaks; but nobody
 * may go on sending for ever.
 */
const MAX_DROPPED_BYTES = 16 * 1024 * 1024;

/** What the gateway does about its agents' sockets: one for all of them. */
export interface AgentEars {
  onMessage(socket: AgentSocket, payload: Buffer | null): void;
  onPing(socket: AgentSocket): void;
  onError(socket: AgentSocket, thrown: Error): void;
  /** The connection is gone; nothing else follows. */
  onClose(socket: AgentSocket): void;
  readonly maxBytes: number;
  /** How long an agent that we close may take to answer that. */
  readonly closeMs: number;
}

/**
 * The coordinator's end of one agent's WebSocket, and what the gateway knows of that agent, in one object: there may be
 * ten thousand, and a general WebSocket brings two more streams' worth of state and a dozen listeners for each.
 */
export class AgentSocket implements AgentConnection, FrameSink {
  /** `opening`: the hello is awaited; `admitting`: it is being checked; `closing`: nothing more is read. */
  stage: 'opening' | 'admitting' | 'admitted' | 'closing' = 'opening';
  nonce = '';
  openedAt = 0;
  heardAt = 0;
  session: FleetSession | null = null;

  readonly #stream: Duplex;
  readonly #ears: AgentEars;
  readonly #reader: FrameReader;
  /** `saying-goodbye`: our close frame is out, and the agent's is awaited. */
  #state: 'open' | 'saying-goodbye' | 'ended' | 'closed' = 'open';
  /** What came after we had said goodbye. */
  #dropped = 0;
  #hurry: NodeJS.Timeout | null = null;

  constructor(stream: Duplex, ears: AgentEars) {
    this.#stream = stream;
    this.#ears = ears;
    this.#reader = new FrameReader(this, ears.maxBytes);
  }

  get open(): boolean {
    return this.#state === 'open';
  }

  get isPaused(): boolean {
    return this.#stream.isPaused();
  }

  /** Bytes that have not left this process. */
  get bufferedAmount(): number {
    return this.#stream.writableLength;
  }

  /** Sends text while the socket is open; afterwards it goes nowhere, and `sent` hears of it. `before` goes ahead of it. */
  tell(text: string, sent?: (error?: Error | null) => void, before = ''): void {
    if (this.#state === 'open') writeText(this.#stream, text, sent, before);
    else if (sent !== undefined) process.nextTick(sent, new Error('The connection is closed.'));
  }

  pong(payload: Buffer = NOTHING): void {
    if (this.#state === 'open') this.#stream.write(controlFrame('pong', payload));
  }

  /** Says goodbye; the connection ends when the agent has answered, or after a while. */
  close(code: number, reason: string): void {
    if (this.#state !== 'open') return;
    this.#state = 'saying-goodbye';
    this.#stream.write(controlFrame('close', goodbye(code, reason)));
    // What the agent still says is read and dropped, or its goodbye would never be reached.
    this.#stream.resume();
    this.#waitForEnd();
  }

  terminate(): void {
    this.#state = 'ended';
    this.#stream.destroy();
  }

  pause(): void {
    if (this.#state === 'open') this.#stream.pause();
  }

  resume(): void {
    this.#stream.resume();
  }

  // What the network says; the gateway hands it on, because a listener of its own for each socket costs too much.

  received(chunk: Buffer): void {
    if (this.#state !== 'open') {
      this.#dropped += chunk.length;
      if (this.#dropped > MAX_DROPPED_BYTES) {
        this.terminate();
        return;
      }
    }
    this.#reader.read(chunk);
  }

  ended(): void {
    switch (this.#state) {
      case 'open':
      case 'saying-goodbye':
        this.#end();
        return;
      case 'ended':
      case 'closed':
        return;
      default:
        unreachable(this.#state);
    }
  }

  failed(thrown: Error): void {
    this.#ears.onError(this, thrown);
    this.terminate();
  }

  gone(): void {
    this.#state = 'closed';
    if (this.#hurry !== null) clearTimeout(this.#hurry);
    this.#hurry = null;
    this.#ears.onClose(this);
  }

  // What the frames say.

  onText(payload: Buffer): void {
    if (this.#state === 'open') this.#ears.onMessage(this, payload);
  }

  onBinary(): void {
    if (this.#state === 'open') this.#ears.onMessage(this, null);
  }

  onPing(payload: Buffer): void {
    this.pong(payload);
    this.#ears.onPing(this);
  }

  onPong(): void {}

  onGoodbye(code: number): void {
    // 1005 means that none was given, and may not be sent.
    if (this.#state === 'open')
      this.#stream.write(controlFrame('close', code === NO_CODE ? NOTHING : goodbye(code, '')));
    this.#end();
  }

  onBroken(code: number, why: string): void {
    if (this.#state === 'open') this.#ears.onError(this, new Error(`The agent broke the protocol: ${why}.`));
    this.close(code, '');
  }

  #end(): void {
    this.#state = 'ended';
    this.#stream.end();
    this.#stream.resume();
    this.#waitForEnd();
  }

  #waitForEnd(): void {
    this.#hurry ??= setTimeout(() => this.#stream.destroy(), this.#ears.closeMs);
  }
}

const NO_CODE = 1005;
const NOTHING = Buffer.alloc(0);

/** What a close frame carries: two bytes of code, and as much of the reason as has room, without half a letter. */
function goodbye(code: number, reason: string): Buffer {
  const payload = Buffer.alloc(125);
  payload.writeUInt16BE(code);
  return payload.subarray(0, 2 + payload.write(reason, 2));
}
