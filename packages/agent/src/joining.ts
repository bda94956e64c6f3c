import { rmSync } from 'node:fs';
import type { Logger } from 'pino';
import { messageOf } from '@berth/shared/domain/errors';
import type { AgentConfig } from './config.ts';
import { enrol } from './link/enrol.ts';
import { enrolOnAws } from './link/enrol-aws.ts';
import { realDisk } from './state/disk.ts';
import { savedInstance, type Identity } from './state/identity.ts';
import type { Clock } from './state/ports.ts';
import { setAside } from './state/set-aside.ts';
import { createImds } from './system/imds.ts';

/** How often IMDS is asked before the tenants are brought up without its answer, and the time between. */
const LOOKS = 3;
const PAUSE_MS = 500;

/** What an agent does to become, and to stay, one host of its coordinator. */
export interface Joining {
  /**
   * Before the state is opened: when this disk is a copy of another instance's, sets aside what belongs to that one.
   * Answers where, or null. While IMDS does not answer nothing is set aside: tenants come first, and the agent connects
   * only once it knows better.
   */
  settle(): Promise<string | null>;
  /** Binds this host at the coordinator when it is not bound yet. Errors: those of `enrol` and `enrolOnAws`. */
  enrol(identity: Identity, signal: AbortSignal): Promise<string>;
}

export function createJoining(
  config: Pick<AgentConfig, 'join' | 'joinTokenFile' | 'name' | 'coordinator' | 'stateDir'>,
  clock: Clock,
  log: Logger,
  pause: (ms: number) => Promise<void>,
): Joining {
  const { coordinator, name, stateDir } = config;
  const join = config.join ?? { kind: 'token', file: config.joinTokenFile };
  switch (join.kind) {
    case 'token':
      return {
        settle: () => Promise.resolve(null),
        async enrol(identity, signal) {
          const token =
            join.file === null
              ? ({ kind: 'env', variable: 'BERTH_JOIN_TOKEN' } as const)
              : ({ kind: 'file', path: join.file } as const);
          const host = await enrol({ url: coordinator.url, name, token, identity, signal });
          if (join.file !== null) rmSync(join.file, { force: true });
          return host;
        },
      };
    case 'aws': {
      const imds = createImds(join.imdsEndpoint);
      return {
        async settle() {
          const saved = await savedInstance(stateDir, realDisk);
          if (saved === null) return null;
          for (let look = 1; look <= LOOKS; look += 1) {
            try {
              const { instance } = await imds.document();
              if (instance === saved) return null;
              const path = await setAside(stateDir, saved, realDisk, clock);
              log.error(
                { path, was: saved, is: instance },
                'This disk is a copy of another machine’s. What belongs to that one was set aside; this one enrols anew.',
              );
              return path;
            } catch (thrown) {
              if (look === LOOKS) log.warn({}, messageOf(thrown));
              else await pause(PAUSE_MS);
            }
          }
          return null;
        },
        enrol: (identity, signal) =>
          enrolOnAws({
            url: coordinator.url,
            name,
            pool: join.pool,
            stsEndpoint: join.stsEndpoint,
            identity,
            imds,
            clock,
            signal,
          }),
      };
    }
  }
}
