import { generateKeyPairSync } from 'node:crypto';
import type { ApiClient } from '@berth/shared/api/client';
import { SimulatedAgent, type SimulatedAgentOptions } from './simulated-agent.ts';

/** An enrolled host whose agent moves its tenants as it is told, and can go to another coordinator. */
export interface SimulatedHost {
  host: string;
  agent: SimulatedAgent;
  /** Each tenant's generations in the order in which they were told, without repetitions. */
  told: Map<string, number[]>;
  url(): string;
  /** Connects to another coordinator, with all that it has and does. */
  moveTo(url: string): Promise<void>;
}

/** Steps take a tenth of their time, so that there is a middle of a rollout. */
const PACE = 0.1;

export async function hostOn(url: string, admin: ApiClient, name: string): Promise<SimulatedHost> {
  const pair = generateKeyPairSync('ed25519');
  const publicKey = pair.publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  const privateKey = pair.privateKey.export({ type: 'pkcs8', format: 'der' }).toString('base64');
  const { token } = await admin.createJoinToken({ body: {} });
  const { host } = await admin.enrolHost({ body: { token, publicKey, name } });
  const told = new Map<string, number[]>();
  const options: SimulatedAgentOptions = {
    url,
    host,
    privateKey,
    moves: { pace: PACE, mostBakeMs: 100 },
    onMessage: (message) => {
      if (message.type !== 'desired') return;
      for (const { tenant, generation } of message.tenants) {
        const before = told.get(tenant) ?? [];
        if (before.at(-1) !== generation) told.set(tenant, [...before, generation]);
      }
    },
  };
  const agent = new SimulatedAgent(options);
  await agent.online();
  return {
    host,
    agent,
    told,
    url: () => options.url,
    async moveTo(next) {
      options.url = next;
      await agent.online();
    },
  };
}
