import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ApiClient } from '@berth/shared/api/client';
import type { Event } from '@berth/shared/api/schemas';
import { BerthError } from '@berth/shared/domain/errors';
import { enrolOnAws } from '@berth/agent/link/enrol-aws';
import { realDisk } from '@berth/agent/state/disk';
import { openIdentity, type Identity } from '@berth/agent/state/identity';
import { createImds } from '@berth/agent/system/imds';
import { awsMachine, regionKey, type AwsMachine, type RegionKey } from '../fakes/aws-machines.ts';
import { startImds, type ImdsDouble } from '../fakes/imds.ts';
import { startSts, type AwsDouble } from '../fakes/sts.ts';
import { coordinatorIn, type CoordinatorProcess } from './coordinator.ts';

const SHIFTED = fileURLToPath(new URL('./shifted-clock.mjs', import.meta.url));

/** A machine on AWS with its disk: the agent's own code for enrolment, without containers. */
export interface AwsHost {
  imds: ImdsDouble;
  directory: string;
  identity: Identity;
  /** How far its clock is ahead, in milliseconds. */
  aheadMs: number;
  enrol(pool?: string): Promise<string>;
  /** What became of it in vain. */
  refused(pool?: string): Promise<BerthError>;
}

/** A coordinator process with a pool that instances of one account may join, and the parts of AWS that they need. */
export interface EnrolmentWorld {
  dir: string;
  coordinator: CoordinatorProcess;
  sts: AwsDouble;
  region: RegionKey;
  api(): ApiClient;
  /** A machine that STS knows, with an empty disk or that of another. */
  host(machine?: AwsMachine, directory?: string): Promise<AwsHost>;
  /** Starts the coordinator anew, with a clock that is this much ahead. */
  restart(aheadMs?: number): Promise<void>;
  events(kind: string): Promise<Event[]>;
  close(): Promise<void>;
}

export const RULE = {
  account: '123456789012',
  regions: ['eu-central-1'],
  roles: ['berth-host'],
  images: ['ami-0123456789abcdef0'],
};

export async function enrolmentWorld(enrolment: Record<string, unknown> = {}): Promise<EnrolmentWorld> {
  const dir = mkdtempSync(join(tmpdir(), 'berth-enrolment-'));
  const region = regionKey();
  const certificate = join(dir, 'eu-central-1.pem');
  writeFileSync(certificate, region.certificate);
  const sts = await startSts([]);
  const doubles: ImdsDouble[] = [];
  const env: NodeJS.ProcessEnv = {};
  const coordinator = coordinatorIn(dir, '127.0.0.1', {
    config: {
      enrolment: {
        stsEndpoints: [sts.url],
        stsTimeoutMs: 1_000,
        certificates: { 'eu-central-1': certificate },
        ...enrolment,
      },
    },
    env,
  });
  await coordinator.start();
  const api = (): ApiClient => coordinator.api();
  await api().setPoolJoin({ params: { pool: 'prod' }, body: { aws: RULE } });
  let disks = 0;
  return {
    dir,
    coordinator,
    sts,
    region,
    api,
    async host(machine = awsMachine(), given) {
      if (!sts.machines.includes(machine)) sts.machines.push(machine);
      const imds = await startImds(machine, region);
      doubles.push(imds);
      disks += 1;
      const directory = given ?? join(dir, `disk-${disks}`);
      await realDisk.makeDirectory(directory);
      const { identity } = await openIdentity(directory, realDisk, { now: () => Date.now() });
      const host: AwsHost = {
        imds,
        directory,
        identity,
        aheadMs: 0,
        enrol: (pool = 'prod') =>
          enrolOnAws({
            url: coordinator.url(),
            name: 'web-1',
            pool,
            stsEndpoint: sts.url,
            identity,
            imds: createImds(imds.url, 500),
            clock: { now: () => Date.now() + host.aheadMs },
          }),
        async refused(pool) {
          const thrown: unknown = await host.enrol(pool).then(
            (id) => new Error(`it was enrolled as ${id}`),
            (error: unknown) => error,
          );
          if (thrown instanceof BerthError) return thrown;
          throw thrown;
        },
      };
      return host;
    },
    async restart(aheadMs = 0) {
      await coordinator.kill('SIGTERM');
      env['NODE_OPTIONS'] = aheadMs === 0 ? '' : `--import=${SHIFTED}`;
      env['TEST_CLOCK_AHEAD_MS'] = String(aheadMs);
      await coordinator.start();
    },
    events: async (kind) => (await api().listEvents({ query: { kind, limit: 100 } })).items,
    async close() {
      await coordinator.kill('SIGTERM');
      for (const double of [sts, ...doubles]) await double.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
