import { generateKeyPairSync } from 'node:crypto';
import { hostId, MANY, tenantOf, tenantsOf, ToClients, type FromClients } from './link-messages.ts';
import { RawAgent } from './raw-agent.ts';
import type { z } from 'zod';

/** A process full of agents for the link bench; several source addresses, because one has 28,000 ports. */
const SOURCES = 4;
let agents: RawAgent[] = [];
let welcomed = 0;
let desired = 0;
let acknowledged = 0;
let check: () => void = () => undefined;
let connectNext: () => void = () => undefined;

const tell = (message: z.infer<typeof FromClients>): void => {
  process.send?.(message);
};

const watcher = {
  welcomed: () => {
    welcomed += 1;
    connectNext();
    check();
  },
  desired: () => {
    desired += 1;
    check();
  },
  acknowledged: () => {
    acknowledged += 1;
    check();
  },
};

function whenAll(done: () => boolean, then: (ms: number) => void): void {
  const started = performance.now();
  check = () => {
    if (!done()) return;
    check = () => undefined;
    then(performance.now() - started);
  };
}

process.on('message', (raw) => {
  const message = ToClients.parse(raw);
  switch (message.kind) {
    case 'make': {
      const publicKeys: string[] = [];
      agents = Array.from({ length: message.agents }, (_, index) => {
        const { publicKey, privateKey } = generateKeyPairSync('ed25519');
        publicKeys.push(publicKey.export({ type: 'spki', format: 'der' }).toString('base64'));
        return new RawAgent(hostId(index), privateKey, `127.0.0.${2 + (index % SOURCES)}`, watcher);
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
      whenAll(
        () => welcomed >= agents.length && (!message.desired || desired >= agents.length),
        (ms) => tell({ kind: 'connected', ms }),
      );
      while (begun < Math.min(message.atOnce, agents.length)) connectNext();
      return;
    }
    case 'report': {
      let round = 0;
      const started = performance.now();
      const next = (): void => {
        if (round >= message.rounds) {
          tell({ kind: 'reported', ms: performance.now() - started });
          return;
        }
        round += 1;
        acknowledged = 0;
        const one = message.perMessage === 1;
        const speaking = one ? agents : agents.slice(0, Math.floor(agents.length / MANY));
        whenAll(() => acknowledged >= speaking.length, next);
        const at = Date.now();
        speaking.forEach((agent, index) =>
          agent.report(one ? [tenantOf(index)] : tenantsOf(index, agents.length), at),
        );
      };
      next();
      return;
    }
    case 'drop':
      for (const agent of agents) agent.destroy();
      tell({ kind: 'dropped' });
      return;
  }
});
