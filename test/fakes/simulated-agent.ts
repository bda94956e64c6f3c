import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { WebSocket, type RawData } from 'ws';
import { EMPTY_DIGEST } from '@berth/shared/domain/desired';
import {
  challengeText,
  MAX_FRAME_BYTES,
  PROTOCOL_VERSION,
  SUBPROTOCOL,
  ToAgent,
  type Hello,
} from '@berth/shared/protocol/messages';
import type { DesiredTenant } from '@berth/shared/domain/desired';
import { AgentMoves, type AgentMovesOptions } from './agent-moves.ts';

export interface SimulatedAgentOptions {
  /** Such as http://127.0.0.1:7700. */
  url: string;
  host: string;
  /** PKCS #8 DER, base64; made when it is left out. */
  privateKey?: string;
  /** Source address, such as 127.0.0.7: one address has 28,000 ports. */
  localAddress?: string;
  /** What the agent says it has. */
  position?: { epoch: number; revision: number; digest: string };
  bootId?: string;
  /** Checks every message against the protocol; off when ten thousand agents share one process. */
  strict?: boolean;
  /** Moves its tenants as it is told and tells of it; `report` is not to be used beside this. */
  moves?: Omit<AgentMovesOptions, 'name' | 'send'>;
  onMessage?: (message: ToAgent, bytes: number) => void;
  onWelcome?: () => void;
  onDesired?: (revision: number) => void;
  onClose?: (code: number) => void;
}

/**
 * An agent without a host: it speaks the real protocol with a real key over a real socket, takes every desired state as
 * given and, unless it is asked to move its tenants, does nothing with it. Ten thousand fit into one process.
 */
export class SimulatedAgent {
  readonly host: string;
  readonly publicKey: string;
  position: { epoch: number; revision: number; digest: string };
  mode: 'apply' | 'observe' | null = null;
  /** Whether desired states are acknowledged. */
  acknowledges = true;
  bytesReceived = 0;
  socket: WebSocket | null = null;
  readonly #options: SimulatedAgentOptions;
  readonly #key: KeyObject;
  readonly #moves: AgentMoves | null;
  /** Tenants of the parts of a desired state that is not whole yet. */
  #gathered: DesiredTenant[] = [];
  #seq = 0;

  constructor(options: SimulatedAgentOptions) {
    this.#options = options;
    this.#moves =
      options.moves === undefined
        ? null
        : new AgentMoves({
            ...options.moves,
            name: options.host,
            send: (text) => this.socket?.send(text),
          });
    this.host = options.host;
    this.position = options.position ?? { epoch: 0, revision: 0, digest: EMPTY_DIGEST };
    this.#key =
      options.privateKey === undefined
        ? generateKeyPairSync('ed25519').privateKey
        : createPrivateKey({
            key: Buffer.from(options.privateKey, 'base64'),
            format: 'der',
            type: 'pkcs8',
          });
    this.publicKey = createPublicKey(this.#key).export({ type: 'spki', format: 'der' }).toString('base64');
  }

  /** Begins to connect; `onWelcome` or `onClose` tell how it went. */
  connect(): void {
    const { localAddress } = this.#options;
    const url = `${this.#options.url.replace(/^http/, 'ws')}/api/v1/agent/connect`;
    const socket = new WebSocket(url, SUBPROTOCOL, {
      perMessageDeflate: false,
      maxPayload: MAX_FRAME_BYTES,
      ...(localAddress === undefined ? {} : { localAddress }),
    });
    this.socket = socket;
    socket.on('message', (data) => {
      const text = textOf(data);
      this.bytesReceived += text.length;
      this.#receive(this.#parse(text), text.length);
    });
    socket.on('error', () => undefined);
    socket.on('close', (code) => {
      if (this.socket === socket) {
        this.socket = null;
        this.#moves?.offline();
      }
      this.#options.onClose?.(code);
    });
  }

  /** Connects and waits for the welcome. Errors: the connection was closed instead. */
  async online(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.connect();
      const socket = this.socket;
      socket?.on('close', (code) => reject(new Error(`closed with ${code} instead of a welcome`)));
      socket?.on('message', (data) => {
        if (textOf(data).startsWith('{"type":"welcome"')) resolve();
      });
    });
  }

  /** Sends a report with these fields and returns its number. */
  report(fields: Record<string, unknown>): number {
    this.#seq += 1;
    this.send({
      type: 'report',
      seq: this.#seq,
      tenants: [],
      removals: [],
      events: [],
      host: null,
      ...fields,
    });
    return this.#seq;
  }

  send(message: object): void {
    this.socket?.send(JSON.stringify(message));
  }

  /** As a machine that loses its power: no goodbye. What it moved goes on when it is connected again. */
  cut(): void {
    this.socket?.terminate();
  }

  close(): void {
    this.#moves?.stop();
    this.socket?.close();
  }

  #parse(text: string): ToAgent {
    const value: unknown = JSON.parse(text);
    if (this.#options.strict !== false) return ToAgent.parse(value);
    if (isMessage(value)) return value;
    throw new Error(`not a message: ${text.slice(0, 100)}`);
  }

  #receive(message: ToAgent, bytes: number): void {
    switch (message.type) {
      case 'challenge':
        this.#hello(message.nonce);
        break;
      case 'welcome':
        this.mode = message.mode;
        this.#moves?.online();
        this.#options.onWelcome?.();
        break;
      case 'mode':
        this.mode = message.mode;
        break;
      case 'desired': {
        this.#gathered.push(...message.tenants);
        if (message.part < message.parts) break;
        const { epoch, revision, digest } = message;
        this.position = { epoch, revision, digest };
        if (this.acknowledges) this.send({ type: 'desired.ack', epoch, revision, digest });
        this.#moves?.desired(this.#gathered);
        this.#gathered = [];
        this.#options.onDesired?.(revision);
        break;
      }
      case 'report.ack':
        this.#moves?.acknowledged(message.seq);
        break;
      case 'query':
      case 'secrets':
      case 'signers':
        break;
    }
    this.#options.onMessage?.(message, bytes);
  }

  #hello(nonce: string): void {
    const hello: Hello = {
      type: 'hello',
      protocol: PROTOCOL_VERSION,
      host: this.host,
      signature: sign(null, Buffer.from(challengeText(this.host, nonce)), this.#key).toString('base64'),
      agentVersion: '0.1.0',
      bootId: this.#options.bootId ?? '4f8c2f0e-6f0b-4a52-9d0b-3f7f7e5f5c11',
      ...this.position,
      capacity: { memoryBytes: 8 * 2 ** 30, cpus: 2, diskBytes: 40 * 2 ** 30 },
      facts: { os: 'debian 12', docker: '27.0' },
      ingress: { address: '127.0.0.1', port: 80 },
    };
    this.send(hello);
  }
}

/** A cheap look instead of a full check: the coordinator under load is our own. */
function isMessage(value: unknown): value is ToAgent {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

/** A host id that is valid and made from a number. */
export function hostId(number: number): string {
  return `h_${number.toString(36).padStart(16, '0')}`;
}

function textOf(data: RawData): string {
  if (Buffer.isBuffer(data)) return data.toString();
  return Array.isArray(data) ? Buffer.concat(data).toString() : Buffer.from(data).toString();
}
