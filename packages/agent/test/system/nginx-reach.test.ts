import { chmod, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { everybodyPasses } from '../../src/system/nginx.ts';

test('a directory below a closed home is out of reach for Nginx’s workers', async () => {
  const home = await mkdtemp(join(tmpdir(), 'berth-reach-'));
  try {
    const agent = join(home, 'a', 'agent');
    await mkdir(agent, { recursive: true });
    await chmod(home, 0o711);
    expect(await everybodyPasses(agent)).toBe(true);
    await chmod(home, 0o700);
    expect(await everybodyPasses(agent)).toBe(false);
  } finally {
    await rm(home, { recursive: true, force: true });
  }
});
