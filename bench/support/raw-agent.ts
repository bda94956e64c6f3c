import { sign, type KeyObject } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import { z } from 'zod';
import type { DesiredTenant } from '@berth/shared/domain/desired';
import { challengeText, PROTOCOL_VERSION, SUBPROTOCOL } from '@berth/shared/protocol/messages';

/** What all raw agents of one process share. */
export interface RawAgentWatcher {
  welcomed(): void;
  desired(bytes: number): void;
  acknowledged(): void;
}

/** Somebody who lives through desired states and tells of it. */
export interface Actor {
  online(): void;
  desired(tenants: readonly DesiredTenant[]): void;
  acknowledged(seq: number): void;
  stop(): void;
}

/**
 * An agent on a bare TCP socket, with a WebSocket client of fifty lines: ten thousand of them must cost less than the
 * server that is measured, or the bench would measure the clients. The hello and its signature are real.
 */
export class RawAgent {
  readonly host: string;
  readonly #key: KeyObject;
  readonly #watcher: RawAgentWatcher;
  readonly #localAddress: string;
  #position = { epoch: 0, revision: 0, digest: '0'.repeat(64) };
  #socket: Socket | null = null;
  #rest: Buffer | null = null;
  #open = false;
  #seq = 0;
  #actor: Actor | null = null;
  #pings: NodeJS.Timeout | null = null;

  constructor(host: string, key: KeyObject, localAddress: string, watcher: RawAgentWatcher) {
    this.host = host;
    this.#key = key;
    this.#localAddress = localAddress;
    this.#watcher = watcher;
  }

  /** From now on desired states are lived through by this actor, and the session is kept alive with pings. */
  actWith(actor: Actor): void {
    this.#actor = actor;
  }

  connect(port: number): void {
    const socket = connect({ host: '127.0.0.1', port, localAddress: this.#localAddress });
    this.#socket = socket;
    this.#rest = null;
    this.#open = false;
    let answered = false;
    socket.setNoDelay(true);
    socket.on('connect', () => {
      socket.write(
        `GET /api/v1/agent/connect HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
          `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: ${SUBPROTOCOL}\r\n\r\n`,
      );
    });
    socket.on('data', (data) => {
      answered = true;
      this.#read(data);
    });
    socket.on('error', () => undefined);
    socket.on('close', () => {
      // Not let in yet: the listen queue was full. As a real agent, it comes again.
      if (!answered && this.#socket === socket) setTimeout(() => this.connect(port), 20);
    });
  }

  destroy(): void {
    if (this.#pings !== null) clearInterval(this.#pings);
    this.#actor?.stop();
    const socket = this.#socket;
    this.#socket = null;
    socket?.destroy();
  }

  /** One message with a report of each of these tenants, as a deploy sends dozens. */
  report(tenants: readonly string[], at: number): void {
    this.#seq += 1;
    const reports = tenants.map(
      (tenant) =>
        `{"tenant":"${tenant}","generation":2,"live":1,"phase":"moving","at":${at},` +
        `"steps":[{"kind":"containers.start","title":"start web of generation 2","state":"running","startedAt":${at},"ms":null}],` +
        `"problem":null,"retryAt":null,"containers":[]}`,
    );
    this.send(
      `{"type":"report","seq":${this.#seq},"tenants":[${reports.join(',')}],"removals":[],"events":[],"host":null}`,
    );
  }

  #read(data: Buffer): void {
    let buffer = this.#rest === null ? data : Buffer.concat([this.#rest, data]);
    this.#rest = null;
    if (!this.#open) {
      const end = buffer.indexOf('\r\n\r\n');
      if (end < 0) {
        this.#rest = buffer;
        return;
      }
      this.#open = true;
      buffer = buffer.subarray(end + 4);
    }
    while (buffer.length >= 2) {
      const short = (buffer[1] ?? 0) & 0x7f;
      const header = short < 126 ? 2 : short === 126 ? 4 : 10;
      if (buffer.length < header) break;
      const length =
        short < 126 ? short : short === 126 ? buffer.readUInt16BE(2) : Number(buffer.readBigUInt64BE(2));
      if (buffer.length < header + length) break;
      if (((buffer[0] ?? 0) & 0x0f) === 1) this.#text(buffer.toString('utf8', header, header + length));
      buffer = buffer.subarray(header + length);
    }
    if (buffer.length > 0) this.#rest = Buffer.from(buffer);
  }

  #text(text: string): void {
    if (text.startsWith('{"type":"desired"')) {
      const [, epoch, revision, digest] =
        /"epoch":(\d+),"revision":(\d+),"base":\w+,"digest":"(\w+)"/.exec(text.slice(0, 300)) ?? [];
      this.#position = { epoch: Number(epoch), revision: Number(revision), digest: digest ?? '' };
      this.#act(text);
      this.send(JSON.stringify({ type: 'desired.ack', ...this.#position }));
      this.#watcher.desired(text.length);
    } else if (text.startsWith('{"type":"welcome"')) {
      this.#welcome(text);
      this.#watcher.welcomed();
    } else if (text.startsWith('{"type":"report.ack"')) {
      this.#actor?.acknowledged(Number(/"seq":(\d+)/.exec(text)?.[1]));
      this.#watcher.acknowledged();
    } else if (text.startsWith('{"type":"query"')) {
      // Only rollouts ask here, for the last counts of a wave; there are none.
      const [, id] = /"id":"([^"]+)"/.exec(text) ?? [];
      this.send(`{"type":"query.result","id":"${id}","answer":{"kind":"traffic"}}`);
    } else if (text.startsWith('{"type":"challenge"')) this.#hello(text);
  }

  /** The coordinator is our own: its messages are not checked once more. */
  #act(text: string): void {
    if (this.#actor === null) return;
    const { parts, tenants } = Parts.parse(JSON.parse(text));
    if (parts !== 1) throw new Error('a desired state in parts is too large for this bench');
    this.#actor.desired(tenants);
  }

  #welcome(text: string): void {
    if (this.#actor === null) return;
    const heartbeatMs = Number(/"heartbeatMs":(\d+)/.exec(text)?.[1]);
    this.#pings = setInterval(() => this.#socket?.write(PING), heartbeatMs);
    this.#actor.online();
  }

  #hello(challenge: string): void {
    const nonce = /"nonce":"([^"]+)"/.exec(challenge)?.[1] ?? '';
    const signature = sign(null, Buffer.from(challengeText(this.host, nonce)), this.#key).toString('base64');
    const { epoch, revision, digest } = this.#position;
    this.send(
      `{"type":"hello","protocol":${PROTOCOL_VERSION},"host":"${this.host}","signature":"${signature}","agentVersion":"0.1.0",` +
        `"bootId":"4f8c2f0e-6f0b-4a52-9d0b-3f7f7e5f5c11","epoch":${epoch},"revision":${revision},"digest":"${digest}",` +
        `"capacity":{"memoryBytes":8589934592,"cpus":2,"diskBytes":42949672960},"facts":{"os":"debian 12","docker":"27.0","poolSigners":"none"},` +
        `"ingress":{"address":"127.0.0.1","port":80}}`,
    );
  }

  /** One masked text frame; a mask of zeroes is legal and costs nothing. */
  send(text: string): void {
    const length = Buffer.byteLength(text);
    const header = length < 126 ? 6 : length < 0x10000 ? 8 : 14;
    const frame = Buffer.alloc(header + length);
    frame[0] = 0x81;
    if (length < 126) frame[1] = 0x80 | length;
    else if (length < 0x10000) {
      frame[1] = 0x80 | 126;
      frame.writeUInt16BE(length, 2);
    } else {
      frame[1] = 0x80 | 127;
      frame.writeBigUInt64BE(BigInt(length), 2);
    }
    frame.write(text, header);
    this.#socket?.write(frame);
  }
}

/** Masked and empty. */
const PING = Buffer.from([0x89, 0x80, 0, 0, 0, 0]);

const isTenant = (value: unknown): value is DesiredTenant =>
  typeof value === 'object' && value !== null && 'tenant' in value && 'spec' in value;
const Parts = z.object({ parts: z.number(), tenants: z.array(z.custom<DesiredTenant>(isTenant)) });
