import { mkdirSync, mkdtempSync, readdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { webImage } from '../integration/support/images.ts';
import type { AgentProcess } from '../support/agent.ts';
import { dockerAt, sharedSocket } from '../support/docker.ts';
import { startFleet, type Fleet } from '../support/fleet.ts';
import { startLoad } from '../support/load.ts';
import { run } from '../support/processes.ts';
import { claimSlice, type Slice } from '../support/slices.ts';
import { webApp } from '../support/templates.ts';

let slice: Slice;
let stateDir: string;
let fleet: Fleet;
let agent: AgentProcess;

beforeAll(async () => {
  slice = await claimSlice();
  stateDir = join(mkdtempSync(slice.statePrefix), 'small-disk');
  mkdirSync(stateDir);
  await run('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=0755', 'berth-test', stateDir]);
  const image = await webImage(dockerAt(sharedSocket()));
  fleet = await startFleet({ slice });
  agent = await fleet.addAgent({ stateDir });
  await fleet.apply('shop', webApp({ image }));
  await fleet.create('acme', 'shop');
});
afterAll(async () => {
  await fleet?.close();
  await run('umount', ['-l', stateDir]);
  rmSync(join(stateDir, '..'), { recursive: true, force: true });
});

const filler = (name: string): string => join(stateDir, `filler-${name}`);

/** Leaves not one free block on the agent's disk. */
function fill(): void {
  for (let size = 1024 * 1024, count = 0; size >= 512; count += 1) {
    try {
      writeFileSync(filler(`${count}`), Buffer.alloc(size));
    } catch {
      rmSync(filler(`${count}`), { force: true });
      size /= 2;
    }
  }
  expect(statfsSync(stateDir).bavail).toBe(0);
}

function empty(): void {
  for (const name of readdirSync(stateDir).filter((each) => each.startsWith('filler-')))
    rmSync(join(stateDir, name));
}

describe('an agent whose disk is full', () => {
  test('keeps the old colour serving, says so with the path, and goes on when there is room', async () => {
    const load = startLoad(fleet.place('acme'));
    fill();
    const changed = await fleet.set('acme', { VERSION: '2' });
    await expect
      .poll(async () => JSON.stringify(await fleet.api().explainTenant({ params: { tenant: 'acme' } })), {
        timeout: 15_000,
      })
      .toContain('state_unwritable');
    expect(JSON.stringify(await fleet.api().explainTenant({ params: { tenant: 'acme' } }))).toContain(
      stateDir,
    );
    expect([...load.now().answers.keys()]).toEqual(['1']);
    empty();
    await fleet.untilSettled('acme', changed.generation, { timeoutMs: 60_000 });
    await fleet.untilAnswers('acme', '2');
    expect((await load.stop()).failed).toEqual([]);
  });

  test('in the middle of a deploy stops before the switch and takes it up again', async () => {
    const load = startLoad(fleet.place('acme'));
    const changed = await fleet.set('acme', { VERSION: '3' });
    await fleet.journal.until(
      'that the deploy has begun',
      (event) => event.kind === 'tenant.step' && event.generation === changed.generation,
      { after: changed.afterEvent },
    );
    fill();
    await expect
      .poll(async () => JSON.stringify(await fleet.api().explainTenant({ params: { tenant: 'acme' } })), {
        timeout: 15_000,
      })
      .toMatch(/state_unwritable|"phase":"(settled|baking)"/);
    empty();
    await fleet.untilSettled('acme', changed.generation, { timeoutMs: 60_000 });
    await fleet.untilAnswers('acme', '3');
    expect((await load.stop()).failed).toEqual([]);
    expect(agent.pid()).toBeGreaterThan(0);
  });
});
