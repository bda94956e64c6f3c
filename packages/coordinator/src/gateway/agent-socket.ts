import type { Duplex } from 'node:stream';
import { WebSocket } from 'ws';
import type { AgentConnection, FleetSession } from '../services/fleet-types.ts';
import { writeText } from './frames.ts';

/** A WebSocket that carries what the gateway knows of its agent, so that a connection costs no further objects. */
export class AgentSocket extends WebSocket implements AgentConnection {
  /** `opening`: the hello is awaited; `admitting`: it is being checked; `closing`: nothing more is read. */
  stage: 'opening' | 'admitting' | 'admitted' | 'closing' = 'opening';
  nonce = '';
  openedAt = 0;
  heardAt = 0;
  session: FleetSession | null = null;
  /** What the socket speaks on; null before it is open and after it has closed. */
  stream: Duplex | null = null;

  /** Sends text while the socket is open; afterwards it goes nowhere, and `sent` hears of it. */
  tell(text: string, sent?: (error?: Error | null) => void): void {
    if (this.stream === null || this.readyState !== WebSocket.OPEN) {
      if (sent !== undefined) process.nextTick(sent, new Error('The connection is closed.'));
      return;
    }
    writeText(this.stream, text, sent);
  }
}
