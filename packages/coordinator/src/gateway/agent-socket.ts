import { WebSocket } from 'ws';
import type { AgentConnection, FleetSession } from '../services/fleet-types.ts';

/** A WebSocket that carries what the gateway knows of its agent, so that a connection costs no further objects. */
export class AgentSocket extends WebSocket implements AgentConnection {
  /** `opening`: the hello is awaited; `admitting`: it is being checked; `closing`: nothing more is read. */
  stage: 'opening' | 'admitting' | 'admitted' | 'closing' = 'opening';
  nonce = '';
  openedAt = 0;
  heardAt = 0;
  session: FleetSession | null = null;
}
