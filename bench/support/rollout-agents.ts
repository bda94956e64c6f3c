import { generateKeyPairSync } from 'node:crypto';
import type { z } from 'zod';
import { AgentMoves } from '../../test/fakes/agent-moves.ts';
import { hostId } from './link-messages.ts';
import { RawAgent } from './raw-agent.ts';
import { ToAgents, type FromAgents } from './rollout-messages.ts';

/** A process full of agents for the rollout bench: real hellos, and moves as real agents tell of them. */
const SOURCES = 4;
/** A rollout keeps the old colour for a minute and more; here all of its end is to be part of what is measured. */
const MOST_BAKE_MS = 1_000;
/** How many connect at a time; this is not what is measured. */
const ARRIVING = 64;

let agents: RawAgent[] = [];
let welcomed = 0;
let desired = 0;
let settled = 0;
let awaited = Number.POSITIVE_INFINITY;
let connectNext: () => void = () => undefined;
let arrived: () => void = () => undefined;

const tell = (message: z.infer<typeof FromAgents>): void => {
  process.send?.(message);
};

const watcher = {
  welcomed: () => {
    welcomed += 1;
    connectNext();
    arrived();
  },
  desired: () => {
    desired += 1;
    arrived();
  },
  acknowledged: () => undefined,
};

function onSettled(): void {
  settled += 1;
  if (settled !== awaited) return;
  awaited = Number.POSITIVE_INFINITY;
  tell({ kind: 'settled' });
}

process.on('message', (raw) => {
  const message = ToAgents.parse(raw);
  switch (message.kind) {
    case 'make': {
      const publicKeys: string[] = [];
      agents = Array.from({ length: message.agents }, (_, index) => {
        const { publicKey, privateKey } = generateKeyPairSync('ed25519');
        publicKeys.push(publicKey.export({ type: 'spki', format: 'der' }).toString('base64'));
        const host = hostId(index);
        const agent = new RawAgent(host, privateKey, `127.0.0.${2 + (index % SOURCES)}`, watcher);
        agent.actWith(
          new AgentMoves({
            name: host,
            send: (text) => agent.send(text),
            mostBakeMs: MOST_BAKE_MS,
            onSettled,
          }),
        );
        return agent;
      });
      tell({ kind: 'made', publicKeys });
      return;
    }
    case 'connect': {
      welcomed = 0;
      desired = 0;
      let begun = 0;
      connectNext = () => {
        agents[begun]?.connect(message.port);
        begun += 1;
      };
      arrived = () => {
        if (welcomed < agents.length || desired < agents.length) return;
        arrived = () => undefined;
        tell({ kind: 'connected' });
      };
      while (begun < Math.min(ARRIVING, agents.length)) connectNext();
      return;
    }
    case 'await':
      settled = 0;
      awaited = message.tenants;
      tell({ kind: 'waiting' });
      return;
    case 'drop':
      for (const agent of agents) agent.destroy();
      tell({ kind: 'dropped' });
      return;
  }
});
